"""Table of the parameters for docs/parameters.md, made from their definition.

python -m sfm_odometry.nodes.parameter_table > docs/parameters.md
"""

from dataclasses import fields
from typing import Any

from sfm_odometry.cli import run_cli
from sfm_odometry.nodes.parameters import NodeParameters, ros_name

# A backslash joins two lines of the source to one of the page.
HEAD = """\
# Parameters of odometry_node

Made from `sfm_odometry/nodes/parameters.py` by \
`python -m sfm_odometry.nodes.parameter_table`; a test keeps it so.

When: *any time* = while the node runs; *unconfigured* = at the start, or after \
`ros2 lifecycle set /sfm_odometry cleanup`; *start* = only
when the process starts. A value that makes no sense is refused with the reason, \
at the start (exit code 2) as later.
Besides: `use_sim_time`, and \
`qos_overrides.<topic>.publisher.{history,depth,reliability}` of every output and
`qos_overrides.<topic>.subscription.depth` of image and camera_info, \
whose reliability is `image_qos`.

| name | default | values | when | |
| --- | --- | --- | --- | --- |
"""


def parameter_table() -> str:
    """Returns the page in Markdown."""
    return HEAD + "".join(f"| {' | '.join(_row(item))} |\n" for item in fields(NodeParameters))


def _row(item: Any) -> tuple[str, ...]:
    """Returns the cells of one parameter."""
    metadata = item.metadata
    when = "start" if metadata["read_only"] else "any time" if metadata["live"] else "unconfigured"
    return (
        f"`{ros_name(item)}`",
        _text(item.default),
        _values(item),
        when,
        metadata["description"].replace("|", "\\|"),
    )


def _values(item: Any) -> str:
    """Returns the allowed values of one parameter."""
    choices = item.metadata["choices"]
    limits = item.metadata["limits"]
    if choices:
        return ", ".join(_text(choice) for choice in choices)
    if limits is not None:
        return f"{limits[0]:g} to {limits[1]:g}"
    return {bool: "true, false", str: "text", tuple: "numbers"}[type(item.default)]


def _text(value: Any) -> str:
    """Returns a value as it is written in YAML, in code marks."""
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value != "" else '`""`'


if __name__ == "__main__":
    raise SystemExit(run_cli(lambda: print(parameter_table(), end="")))
