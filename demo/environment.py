"""Facts about the model and the machine of a measurement."""

import os
import platform
from importlib import metadata
from pathlib import Path

import rclpy

from demo.recording import NodeRecording

PACKAGES = ("torch", "numpy", "opencv-python-headless")


def model_and_machine_facts(
    recording: NodeRecording, load_before: float
) -> dict[str, str | int | float]:
    """Returns the facts about model and machine together.

    load_before: the machine's load average when the demo began.
    """
    return model_facts(recording) | machine_facts(load_before)


def model_facts(recording: NodeRecording) -> dict[str, str | int | float]:
    """Returns the model's name, hash and device from the node's status."""
    status = recording.status
    return {name: status.get(name, "not told") for name in ("model", "model_sha256", "device")}


def machine_facts(load_before: float) -> dict[str, str | int | float]:
    """Returns versions, processor and load.

    load_before: the machine's load average when the measurement began.
    """
    distribution = os.environ.get("ROS_DISTRO", "")
    rclpy_version = _version("rclpy", "ros-rclpy")
    middleware = rclpy.get_rmw_implementation_identifier()
    return {
        "sfm_odometry": _version("sfm-odometry", "sfm_odometry"),
        "python": platform.python_version(),
        "ros": f"{distribution} rclpy {rclpy_version}, {middleware}".strip(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(load_before, 2),
        "system": platform.platform(terse=True),
    }


def _version(*names: str) -> str:
    """Returns the version of the first of these distributions that is installed."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "from source"


def _processor() -> str:
    """Returns the processor's name, or its architecture where the name is unknown."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
