"""A real `colcon build` puts everything where `ros2 run` and `ros2 launch` look for it, and
nothing else."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXECUTABLES = {"odometry_node", "kitti_player", "kitti_to_bag", "bag_player"}
EXECUTABLES |= {"image_player", "wait_for_node", "foxglove_layout"}
COLCON = shutil.which(
    "colcon", path=f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ.get('PATH', '')}"
)


@pytest.fixture(scope="module", params=["install", "symlink-install"])
def prefix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install folder of the package, built in a workspace of its own."""
    if COLCON is None:
        pytest.skip("colcon is not installed")
    if request.param == "symlink-install" and "ROS_DISTRO" in os.environ:
        pytest.skip("the ROS 2 that is sourced brings a setuptools of its own")
    workspace = tmp_path_factory.mktemp("workspace")
    command = [COLCON, "--log-base", workspace / "log", "build", "--base-paths", ROOT]
    command += ["--build-base", workspace / "build", "--install-base", workspace / "install"]
    command += ["--symlink-install"] if request.param == "symlink-install" else []
    built = subprocess.run(command, cwd=workspace, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return workspace / "install" / "sfm_odometry"


def run_installed(prefix: Path, *command: object) -> subprocess.CompletedProcess:
    """A command in the sourced workspace, away from the source tree."""
    setup = f'. "{prefix.parent}/local_setup.sh" && exec "$@"'
    return subprocess.run(
        ["sh", "-c", setup, "sh", *map(str, command)], cwd=prefix, capture_output=True, text=True
    )


def test_executables_are_where_ros2_run_looks(prefix: Path) -> None:
    found = {
        path.name
        for path in (prefix / "lib" / "sfm_odometry").iterdir()
        if os.access(path, os.X_OK)
    }
    assert found == EXECUTABLES


@pytest.mark.parametrize("name", sorted(EXECUTABLES - {"odometry_node"}))
def test_executables_start(prefix: Path, name: str) -> None:
    started = run_installed(prefix, prefix / "lib" / "sfm_odometry" / name, "--help")
    assert started.returncode == 0, started.stderr
    assert "usage" in started.stdout


def test_share_holds_launch_and_configuration(prefix: Path) -> None:
    program = (
        "from ament_index_python import get_package_share_directory as share\n"
        "print(share('sfm_odometry'))"
    )
    share = Path(run_installed(prefix, sys.executable, "-c", program).stdout.strip())
    assert share == prefix / "share" / "sfm_odometry"
    for folder in ("launch", "config"):
        source = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
        assert {path.name for path in (share / folder).iterdir() if path.is_file()} == source
    assert {"camera.launch.py", "kitti_replay.launch.py"} <= {
        path.name for path in (share / "launch").iterdir()
    }


def test_model_is_installed(prefix: Path) -> None:
    program = "import sfm_odometry.inference.checkpoint as c; print(c.__file__); c.load_model()"
    loaded = run_installed(prefix, sys.executable, "-c", program)
    assert loaded.returncode == 0, loaded.stderr
    assert Path(loaded.stdout.splitlines()[0]).is_relative_to(prefix.parents[1])


def test_only_the_package_is_installed(prefix: Path) -> None:
    for name in ("training", "demo", "test", "tf2_ros", "cv_bridge"):
        assert not list(prefix.rglob(f"site-packages/{name}*"))


def declared_dependencies() -> set[str]:
    return set(
        re.findall(r"<exec_depend[^>]*>(.*?)</exec_depend>", (ROOT / "package.xml").read_text())
    )


def test_package_xml_declares_what_is_imported() -> None:
    key_of = {
        "tf2_ros": "tf2_ros_py",
        "numpy": "python3-numpy",
        "cv2": "python3-opencv",
        "torch": "python3-torch",
    }
    key_of |= {"rosbags": "python3-rosbags-pip", "yaml": "python3-yaml"}
    imported = set()
    for path in [*(ROOT / "sfm_odometry").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        imported |= top_level_imports(path)
    needed = imported - set(sys.stdlib_module_names) - {"sfm_odometry"} - optional_packages()
    assert {key_of.get(name, name) for name in needed} <= declared_dependencies()


def optional_packages() -> set[str]:
    """What setup.py offers as extras: rosdep does not bring it, and the package works without
    it."""
    options: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr("setuptools.setup", lambda **given: options.update(given))
        runpy.run_path("setup.py")
    modules = {"foxglove-sdk": "foxglove", "rerun-sdk": "rerun"}
    names = {
        re.split(r"[^\w.-]", name)[0]
        for names in options["extras_require"].values()
        for name in names
    }
    return {modules.get(name, name) for name in names}


def test_extras_are_imported_only_where_they_are_used() -> None:
    optional = optional_packages()
    assert {"onnxruntime", "openvino", "foxglove", "rerun"} <= optional
    for path in (ROOT / "sfm_odometry").rglob("*.py"):
        outside_functions = [
            node
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not packages_imported(outside_functions) & optional, path


def top_level_imports(path: Path) -> set[str]:
    return packages_imported(ast.walk(ast.parse(path.read_text())))


def packages_imported(nodes: Iterable[ast.AST]) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_package_xml_is_valid_and_agrees_on_the_version() -> None:
    package_module = pytest.importorskip("catkin_pkg.package")
    package = package_module.parse_package(ROOT / "package.xml")
    package.validate()
    assert package.package_format == 3
    assert package.get_build_type() == "ament_python"
    assert f'version="{package.version}"' in (ROOT / "setup.py").read_text()
    assert f"\n{package.version} (" in (ROOT / "CHANGELOG.rst").read_text()
