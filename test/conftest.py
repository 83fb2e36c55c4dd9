"""Keeps the tests' ROS traffic to themselves: a domain of their own, on this machine only, and
no log files in the home folder."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

# Before any test imports rclpy: the middleware reads these once. The domain differs from one test
# run to the next; above 101 its ports could meet those that Linux gives out.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
LOGS = tempfile.mkdtemp(prefix="sfm_odometry_test_logs_")
os.environ["ROS_LOG_DIR"] = LOGS
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ["ROS_LOCALHOST_ONLY"] = "1"
else:
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_STATIC_PEERS"):
    os.environ.pop(name, None)

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

SLOW_TESTS = (
    "sfm_odometry/backends/test_backends",
    "sfm_odometry/inference/test_checkpoint",
    "sfm_odometry/networks/test_networks",
    "sfm_odometry/test_odometry",
    "sfm_odometry/test_robustness",
    "sfm_odometry/test_run",
    "sfm_odometry/tracking/test_lazy",
    "sfm_odometry/tracking/test_trajectory",
    "training/accuracy/test_accuracy",
    "training/classical/test_classical",
    "training/engine/test_distributed",
    "training/engine/test_host_waits",
    "training/engine/test_train_resume",
    "training/evaluate/test_compare",
    "training/objective/test_gradients",
    "training/objective/test_icp",
    "training/objective/test_landscape",
    "training/prepare/test_resume",
    "training/synthetic",
    "training/test_ablation",
    "training/test_plot",
    "training/test_train",
    "benchmarks/test_training",
)
"""Modules with the marker `slow`: those that take more than about 5 seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and those that need ROS 2."""
    folder = Path(__file__).resolve().parent
    for item in items:
        path = str(item.path.relative_to(folder))
        if path.startswith(ROS_TESTS):
            item.add_marker(pytest.mark.ros)
        if path.startswith(SLOW_TESTS):
            item.add_marker(pytest.mark.slow)


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
