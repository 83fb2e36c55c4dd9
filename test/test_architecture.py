"""The import rules of the house, read off the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sfm_odometry", "training", "demo")
ROS = {
    "rclpy",
    "tf2_ros",
    "tf2_py",
    "tf2_msgs",
    "tf2_geometry_msgs",
    "tf_transformations",
    "cv_bridge",
    "sensor_msgs_py",
}
ROS |= {
    "builtin_interfaces",
    "rcl_interfaces",
    "rosgraph_msgs",
    "lifecycle_msgs",
    "launch",
    "launch_ros",
    "ament_index_python",
}
# Lower layers may not import higher ones.
LAYERS = (
    "errors",
    "camera",
    "geometry",
    "networks",
    "checkpoint",
    "backends",
    "estimator",
    "odometry",
    "run",
    "nodes",
)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever in it; `from a import b` counts as
    a and a.b."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
                if node.level
                else node.module
            )
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def top_levels(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def layer(module: str) -> int | None:
    """Place of sfm_odometry.X or sfm_odometry.X.Y in the order, None where the order says
    nothing about it."""
    parts = module.split(".")
    return (
        LAYERS.index(parts[1])
        if len(parts) > 1 and parts[0] == "sfm_odometry" and parts[1] in LAYERS
        else None
    )


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "path", paths, ids=[str(path.relative_to(ROOT)) for path in paths]
    )


@named([path for path in sources("sfm_odometry", "training") if "nodes" not in path.parts])
def test_only_nodes_know_ros(path: Path) -> None:
    assert not {
        name for name in top_levels(path) if name in ROS or name.endswith(("_msgs", "_srvs"))
    }


@named(sources("sfm_odometry"))
def test_the_package_imports_neither_training_nor_demo(path: Path) -> None:
    assert not top_levels(path) & {"training", "demo", "test"}


@named(sources("training"))
def test_training_does_not_import_nodes_or_demo(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith(("sfm_odometry.nodes", "demo"))}


@named([path for path in sources("sfm_odometry") if layer(module_of(path)) is not None])
def test_imports_run_one_way(path: Path) -> None:
    own = layer(module_of(path))
    above = {
        name for name in imports(path) if (layer(name) if layer(name) is not None else -1) > own
    }
    assert not above


def test_no_module_imports_itself_in_a_circle() -> None:
    modules = {module_of(path).removesuffix(".__init__"): path for path in sources("sfm_odometry")}
    waiting = {name: (imports(path) & modules.keys()) - {name} for name, path in modules.items()}
    while free := {name for name, needed in waiting.items() if not needed & waiting.keys()}:
        waiting = {name: needed for name, needed in waiting.items() if name not in free}
    assert not waiting, f"each of these waits for another: {sorted(waiting)}"


@named(sources(*PACKAGES))
def test_no_torchvision_and_no_pickle(path: Path) -> None:
    assert not top_levels(path) & {"torchvision", "pickle"}
    loads = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if is_method_call(node) and ast.unparse(node.func) == "torch.load"
    ]
    assert all("weights_only=True" in ast.unparse(node) for node in loads), (
        "without it torch.load runs what the file says"
    )


@named(sources("sfm_odometry"))
def test_models_are_not_pickles(path: Path) -> None:
    assert "torch.load" not in path.read_text()


@named(sources(*PACKAGES))
def test_no_literal_device(path: Path) -> None:
    calls = [
        node.func.attr for node in ast.walk(ast.parse(path.read_text())) if is_method_call(node)
    ]
    assert "cuda" not in calls, "tensors follow the device of the model: .to(device)"


def is_method_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


def test_a_node_is_there_before_torch_is() -> None:
    # torch takes seconds to load, in which nobody would see the node, nor a signal end it well.
    program = "import sys, sfm_odometry.nodes.odometry_node; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
