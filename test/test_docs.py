"""What the Markdown files say is so: their commands parse, their links lead somewhere, their
settings exist."""

import ast
import dataclasses
import importlib
import re
import shlex
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from sfm_odometry.nodes.parameters import NodeParameters, ros_name
from training.config import TrainConfig, load_config
from training.objective.objective_config import ObjectiveConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = ("", "sh", "bash", "console")
COMMAND = re.compile(
    r"-m (?P<module>training(?:\.\w+)*|sfm_odometry\.(?:run|export))\b(?P<arguments>[^>|#]*)"
)
SPAN = re.compile(r"`([^`\n]+)`")
SETTING = re.compile(r"((?:objective|model|augment)\.\w+(?:\.\w+)*|[a-z]\w*(?==(?!value)))[=:]?.*")


@dataclasses.dataclass(frozen=True)
class Command:
    """A call of one of our programs in a fenced block."""

    page: str
    module: str
    arguments: list[str]


def commands() -> list[Command]:
    blocks = [
        (page.name, block)
        for page in PAGES
        for language, block in FENCED.findall(page.read_text())
        if language in SHELLS
    ]
    return [command for page, block in blocks for command in commands_of(page, block)]


def commands_of(page: str, block: str) -> Iterator[Command]:
    """Our programs' calls in the lines of a block; lines that end in a backslash go on."""
    for line in block.replace("\\\n", " ").splitlines():
        if match := COMMAND.search(line):
            yield Command(page, match["module"], shlex.split(match["arguments"]))


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())


def named(commands: list[Command]) -> pytest.MarkDecorator:
    ids = [f"{command.page}-{command.module}-{index}" for index, command in enumerate(commands)]
    return pytest.mark.parametrize("command", commands, ids=ids)


def main_of(module: str) -> typing.Callable[[list[str]], int]:
    """`main` of a module, or of the package's __main__."""
    found = importlib.import_module(module)
    return (
        found.main if hasattr(found, "main") else importlib.import_module(f"{module}.__main__").main
    )


def test_there_are_commands_of_every_program_to_look_at() -> None:
    modules = {command.module for command in commands()}
    wanted = {
        "synthetic",
        "prepare",
        "train",
        "plot",
        "ablation",
        "evaluate",
        "accuracy",
        "classical",
    }
    assert {f"training.{name}" for name in wanted} | {"sfm_odometry.run"} <= modules


@named(commands())
def test_the_program_takes_these_options(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    main = main_of(command.module)
    # Every program reads its command line, then hands its work to run_cli: this stops it there.
    monkeypatch.setattr(importlib.import_module(main.__module__), "run_cli", lambda work: 0)
    assert main(command.arguments) == 0


@named(
    [command for command in commands() if command.module in ("training.train", "training.ablation")]
)
def test_the_recipe_is_there_and_takes_these_settings(command: Command) -> None:
    recipe = ROOT / command.arguments[command.arguments.index("--config") + 1]
    assert recipe.is_file()
    if command.module == "training.train":
        load_config(recipe, [argument for argument in command.arguments if "=" in argument])


def test_a_program_that_does_not_take_an_option_is_found_out() -> None:
    (command,) = commands_of("page", "python -m training.plot runs/a --no-such-option  # why not\n")
    with pytest.raises(SystemExit):
        main_of(command.module)(command.arguments)


LAUNCH = re.compile(r"ros2 launch sfm_odometry (?P<file>\S+)(?P<arguments>[^#\n]*)")
ROS_PROGRAM = re.compile(r"(?:-m sfm_odometry\.nodes\.|ros2 run sfm_odometry )(\w+)")
GIVEN_PARAMETER = re.compile(r"-p ([\w.]+):=|ros2 param set \S+ ([\w.]+)")


def lines_of_shell() -> list[str]:
    blocks = [
        block
        for page in PAGES
        for language, block in FENCED.findall(page.read_text())
        if language in SHELLS
    ]
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def launch_arguments(file: str) -> set[str]:
    """Names of the arguments of a launch file: the keys of its dictionaries and of
    camera.launch.py's, which all of them take."""
    nodes = [
        node
        for name in (file, "camera.launch.py")
        for node in ast.walk(ast.parse((ROOT / "launch" / name).read_text()))
    ]
    keys = [key for node in nodes if isinstance(node, ast.Dict) for key in node.keys]
    return {key.value for key in keys if isinstance(key, ast.Constant)}


def test_launch_files_are_there_and_take_these_arguments() -> None:
    launched = [match for line in lines_of_shell() for match in LAUNCH.finditer(line)]
    assert {match["file"] for match in launched} == {
        path.name for path in (ROOT / "launch").glob("*.launch.py")
    }
    for match in launched:
        names = re.findall(r"(\w+):=", match["arguments"])
        assert set(names) <= launch_arguments(match["file"]), match[0]


def test_ros_programs_and_their_parameters_are_there() -> None:
    lines = lines_of_shell()
    programs = {name for line in lines for name in ROS_PROGRAM.findall(line)}
    assert "odometry_node" in programs
    assert all((ROOT / "sfm_odometry" / "nodes" / f"{name}.py").is_file() for name in programs)
    given = {
        name for line in lines for names in GIVEN_PARAMETER.findall(line) for name in names if name
    }
    assert given and given <= NODE_PARAMETERS | {"use_sim_time"}


def links(page: Path) -> list[str]:
    return [
        link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not re.match(r"\w+:", link)
    ]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def fields_of(kind: object) -> dict[str, object]:
    """Names and types of the fields of a dataclass, or of all that a union allows."""
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    hints = [typing.get_type_hints(each) for each in kinds if dataclasses.is_dataclass(each)]
    return {name: hint for each in hints for name, hint in each.items()}


NODE_PARAMETERS = {ros_name(item) for item in dataclasses.fields(NodeParameters)}


def is_setting(name: str) -> bool:
    """Whether training or the node has a setting of this name."""
    if name in NODE_PARAMETERS:
        return True
    kind: object = TrainConfig
    for part in name.split("."):
        fields = fields_of(kind)
        if part not in fields:
            return False
        kind = fields[part]
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_the_text_exist(page: Path) -> None:
    settings = [
        match[1]
        for span in SPAN.findall(prose(page))
        for word in span.split()
        if (match := SETTING.fullmatch(word))
    ]
    assert [name for name in settings if not is_setting(name)] == []


def test_a_setting_that_does_not_exist_is_found_out() -> None:
    assert (
        is_setting("objective.auto_mask")
        and is_setting("model.pose.feature_widths")
        and is_setting("steps")
    )
    assert (
        not is_setting("objective.automask")
        and not is_setting("model.pose.feature_width")
        and not is_setting("auto_mask")
    )


def table_of_switches() -> dict[str, list[str]]:
    """The recipes' values of each objective setting, as docs/training.md lists them."""
    row = re.compile(
        r"^\| `objective\.(\w+)` \|.*\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE
    )
    rows = row.findall((ROOT / "docs/training.md").read_text())
    return {name: [value.strip() for value in values] for name, *values in rows}


def test_the_table_of_switches_is_complete_and_right() -> None:
    table = table_of_switches()
    assert set(table) == {field.name for field in dataclasses.fields(ObjectiveConfig)}
    for column, recipe in enumerate(("sfmlearner", "vid2depth", "default")):
        objective = load_config(ROOT / f"config/training/{recipe}.yaml").objective
        for name, values in table.items():
            assert values[column] == in_words(getattr(objective, name)), f"{name} of {recipe}"


def in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_python_of_the_readme_tracks_a_folder_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = FENCED.findall((ROOT / "README.md").read_text())
    (program,) = [block for language, block in blocks if language == "python"]
    folder = tmp_path / "sequences/00/image_0"
    folder.mkdir(parents=True)
    wall = np.random.default_rng(0).integers(0, 256, (94, 360), np.uint8)
    wall = cv2.resize(wall, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    for index in range(6):  # a wall that passes at 4 pixels a frame
        image = wall[:376, 4 * index : 4 * index + 1241]
        cv2.imwrite(str(folder / f"{index:06d}.png"), image)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 6  # one pose for each image
