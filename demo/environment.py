"""What ran, and on what."""

import os
import platform
from importlib import metadata
from pathlib import Path

import rclpy

from demo.recording import Recording

PACKAGES = ("torch", "numpy", "opencv-python-headless")


def facts_of(recording: Recording, load_before: float) -> dict[str, str | int | float]:
    """Model and machine as one table; `load_before` is the machine's load average when the demo
    began."""
    return model_facts(recording) | machine_facts(load_before)


def model_facts(recording: Recording) -> dict[str, str | int | float]:
    """The model's name, hash and device, as the node says in its status."""
    status = recording.status
    return {name: status.get(name, "not told") for name in ("model", "model_sha256", "device")}


def machine_facts(load_before: float) -> dict[str, str | int | float]:
    """Versions and machine; `load_before` is the machine's load average when the demo began."""
    middleware = rclpy.get_rmw_implementation_identifier()
    return {
        "sfm_odometry": _version("sfm-odometry", "sfm_odometry"),
        "python": platform.python_version(),
        "ros": f"{os.environ.get('ROS_DISTRO', '')} rclpy {_version('rclpy', 'ros-rclpy')}, {middleware}".strip(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(load_before, 2),
        "system": platform.platform(terse=True),
    }


def _version(*names: str) -> str:
    """Version of the first of these distributions that is installed."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "from source"


def _processor() -> str:
    for line in (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if Path("/proc/cpuinfo").exists()
        else ()
    ):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
