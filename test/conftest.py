"""Environment, markers and order of all tests, and the real KITTI frames.

The tests' ROS traffic keeps to itself: a domain of their own, on this machine only, and no log
files in the home folder.
"""

import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest

# Before any test imports rclpy: the middleware reads these once. The domain differs from one test
# run to the next; above 101 its ports could meet those that Linux gives out.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
LOGS = tempfile.mkdtemp(prefix="sfm_odometry_test_logs_")
os.environ["ROS_LOG_DIR"] = LOGS
# The user's cache is neither read nor written: one of this run, which its workers and processes
# share, so that each model's backends are measured once.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["SFM_ODOMETRY_CACHE"] = str(Path(LOGS) / "cache")
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ["ROS_LOCALHOST_ONLY"] = "1"
else:
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_STATIC_PEERS"):
    os.environ.pop(name, None)

# The processes of a test run share the cores: threads that wait for each other would only take
# time from the others. Read when torch and OpenCV are imported.
for name in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(name, "1")

SHARED_KITTI = Path(__file__).resolve().parents[2] / "shared" / "data" / "kitti"


ROS_TESTS = (
    "sfm_odometry/nodes",
    "ros_dropins",
    "demo",
    "benchmarks/test_node",
    "benchmarks/test_soak",
    "training/prepare/test_bag",
    "test_packaging",
)
"""Tests with the marker `ros`, by the beginnings of their paths in this folder."""

SECONDS = {
    "sfm_odometry/test_robustness": 65,
    "training/engine/test_distributed": 36,
    "benchmarks/test_node": 33,
    "demo/test_end_to_end": 27,
    "training/accuracy/test_accuracy": 26,
    "sfm_odometry/nodes/test_signals": 22,
    "training/engine/test_train_resume": 18,
    "sfm_odometry/nodes/test_faults": 18,
    "sfm_odometry/nodes/test_processes": 16,
    "sfm_odometry/nodes/test_odometry_node": 16,
    "sfm_odometry/test_odometry": 16,
    "test_packaging": 14,
    "training/synthetic/test_drive": 13,
    "training/test_train": 13,
    "benchmarks/test_training": 12,
    "training/adapt/test_adapt": 12,
    "sfm_odometry/nodes/test_steering": 12,
    "training/objective/test_landscape": 11,
    "sfm_odometry/nodes/test_random_topics": 11,
    "benchmarks/test_soak": 11,
    "sfm_odometry/nodes/test_image_contents": 10,
    "sfm_odometry/nodes/test_image_outputs": 9,
    "sfm_odometry/nodes/test_pose_watch": 9,
    "sfm_odometry/nodes/test_interface": 8,
    "sfm_odometry/nodes/test_changing_cameras": 8,
    "sfm_odometry/backends/test_backends": 8,
    "training/synthetic/test_rooms": 8,
    "sfm_odometry/nodes/test_speed_inputs": 7,
    "sfm_odometry/test_cli": 7,
    "sfm_odometry/test_run": 7,
    "training/engine/test_host_waits": 6,
    "training/objective/test_icp": 6,
    "training/prepare/test_resume": 6,
    "sfm_odometry/nodes/test_tf_watch": 6,
    "sfm_odometry/nodes/test_overload": 5,
    "training/classical/test_classical": 5,
    "demo/test_report": 5,
    "training/objective/test_gradients": 5,
    "test_architecture": 5,
}
"""Modules that take about 5 seconds or more on an idle core, with their seconds: the longest are
started first, and all have the marker `slow`."""


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C reach child processes, and keep the order of the modules.

    A shell's background jobs ignore SIGINT, and so would all that the tests start. pytest-xdist
    would start the modules with the most tests first, not those that take longest.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and those that need ROS 2; order the modules, the longest first."""
    folder = Path(__file__).resolve().parent
    seconds = {}
    for item in items:
        path = str(item.path.relative_to(folder).with_suffix(""))
        seconds[item] = SECONDS.get(path, 0)
        if path.startswith(ROS_TESTS):
            item.add_marker(pytest.mark.ros)
        if path in SECONDS:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: -seconds[item])


@pytest.fixture(scope="session")
def kitti() -> Path:
    """The folder of real KITTI frames beside the repository; tests that need it skip where it is
    absent."""
    if not SHARED_KITTI.is_dir():
        pytest.skip(
            f"no real KITTI frames at {SHARED_KITTI}: they may not be shipped (CC BY-NC-SA)"
        )
    return SHARED_KITTI


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(LOGS, ignore_errors=True)
