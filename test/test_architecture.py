"""Import rules of the repository, checked on the source. docs/architecture.md explains them."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sfm_odometry", "training", "benchmarks", "demo")
ROS = {"rclpy", "tf2_ros", "tf2_py", "tf2_geometry_msgs", "tf_transformations", "cv_bridge"}
ROS |= {"sensor_msgs_py", "builtin_interfaces", "rcl_interfaces", "launch", "launch_ros"}
ROS |= {"ament_index_python"}
LAYERS = (
    ("errors", "config", "loading"),
    ("geometry",),
    ("networks",),
    ("backends",),
    ("io",),
    ("inference",),
    ("tracking", "scale"),
    ("params", "results"),
    ("steps",),
    ("odometry",),
    ("viewers",),
    ("run", "export"),
    ("nodes",),
)
"""Rooms of sfm_odometry, lowest first; a room imports from its own layer and from lower ones."""
MAX_ROOT_MODULES = {"sfm_odometry": 12, "training": 8}
MAX_IMPORT_CHAIN = 10


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path, runtime: bool = False) -> frozenset[str]:
    """Full names of all imported modules; `from a import b` counts as a and as a.b.

    runtime: without those that only type checkers see.
    """
    package = path.relative_to(ROOT).parent.parts
    names: set[str] = set()
    hidden = {
        id(node)
        for block in (ast.walk(tree(path)) if runtime else ())
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree(path)):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*parents, *filter(None, [node.module])))
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def top_levels(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def layer(module: str) -> int | None:
    """Index in LAYERS of a module of sfm_odometry; None for a module without a layer."""
    package, _, rest = module.partition(".")
    room = rest.split(".")[0]
    found = [index for index, rooms in enumerate(LAYERS) if room in rooms]
    return found[0] if package == "sfm_odometry" and found else None


@functools.cache
def method_calls(path: Path) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Attribute)]


def test_every_room_has_a_layer() -> None:
    rooms = {path.relative_to(ROOT).with_suffix("").parts[1] for path in sources("sfm_odometry")}
    assert rooms - {"__init__", "cli"} == {room for rooms in LAYERS for room in rooms}


def test_imports_run_from_higher_layers_to_lower_ones() -> None:
    upward = []
    for path in sources("sfm_odometry"):
        own = layer(module_of(path))
        for name in imports(path):
            imported = layer(name)
            if own is not None and imported is not None and imported > own:
                upward.append(f"{module_of(path)} imports {name}")
    assert not upward


def test_only_nodes_import_ros() -> None:
    offending = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("sfm_odometry", "training")
        if "nodes" not in path.parts
        for name in top_levels(path)
        if name in ROS or name.endswith(("_msgs", "_srvs"))
    ]
    assert not offending


def test_the_package_stands_alone() -> None:
    others = {"training", "benchmarks", "demo", "test"}
    assert not [path for path in sources("sfm_odometry") if top_levels(path) & others]


def test_training_imports_neither_nodes_nor_demo() -> None:
    forbidden = ("sfm_odometry.nodes", "demo", "benchmarks")
    offending = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("training")
        for name in imports(path)
        if name.startswith(forbidden)
    ]
    assert not offending


def import_graph(package: str) -> dict[str, set[str]]:
    """Modules that each module of a package imports from the same package."""
    modules = {module_of(path): path for path in sources(package) if path.stem != "__init__"}
    return {
        name: (imports(path, runtime=True) & modules.keys()) - {name}
        for name, path in modules.items()
    }


def longest_chain(graph: dict[str, set[str]]) -> list[str]:
    @functools.cache
    def chain(module: str) -> tuple[str, ...]:
        return (module, *max((chain(name) for name in graph[module]), key=len, default=()))

    return list(max((chain(module) for module in graph), key=len))


def test_no_import_cycles() -> None:
    for package in PACKAGES:
        waiting = import_graph(package)
        while free := {name for name, needed in waiting.items() if not needed & waiting.keys()}:
            waiting = {name: needed for name, needed in waiting.items() if name not in free}
        assert not waiting, f"each of these waits for another: {sorted(waiting)}"


def test_import_chains_are_short() -> None:
    for package in PACKAGES:
        chain = longest_chain(import_graph(package))
        assert len(chain) <= MAX_IMPORT_CHAIN, " -> ".join(chain)


def test_few_modules_lie_at_the_root_of_a_package() -> None:
    for package, limit in MAX_ROOT_MODULES.items():
        modules = sorted(path.name for path in (ROOT / package).glob("*.py"))
        assert len(modules) <= limit, modules


def test_no_torchvision_and_no_pickle() -> None:
    for path in sources(*PACKAGES):
        assert not top_levels(path) & {"torchvision", "pickle"}, path
        for call in method_calls(path):
            if call.func.attr == "load" and ast.unparse(call.func) == "torch.load":  # type: ignore[attr-defined]
                # Without it torch.load runs code of a file.
                assert "weights_only=True" in ast.unparse(call), path


def test_models_are_not_pickles() -> None:
    assert not [path for path in sources("sfm_odometry") if "torch.load" in path.read_text()]


def test_no_literal_device() -> None:
    """Tensors follow the device of the model: `.to(device)`, never `.cuda()`."""
    for path in sources(*PACKAGES):
        names = [call.func.attr for call in method_calls(path)]  # type: ignore[attr-defined]
        assert "cuda" not in names, path


def test_functions_are_short() -> None:
    long = []
    for path in sources(*PACKAGES, "tools", "docs", "launch", "ros_dropins"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 40:
                    long.append(f"{path.relative_to(ROOT)}: {node.name} has {lines} lines")
    assert not long


def test_importing_the_node_does_not_import_torch() -> None:
    """The node is visible, and can be ended by a signal, before torch is loaded (seconds)."""
    program = "import sys, sfm_odometry.nodes.odometry_node; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_importing_the_package_does_not_import_torch() -> None:
    program = "import sys, sfm_odometry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
