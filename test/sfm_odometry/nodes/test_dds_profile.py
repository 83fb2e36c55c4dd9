"""The shared memory that a container has by default holds the segments of our processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROFILE = ROOT / "config" / "fastdds_images.xml"
DEFAULT_SHM = "64m"
PARTICIPANTS = 7
"""Driver, static transforms, player or filter, node, RViz, a recorder and `ros2 topic`."""
MOUNT = f"mount -t tmpfs -o size={DEFAULT_SHM} tmpfs /dev/shm"
PROGRAM = f"""
import os, rclpy
nodes = []
for number in range({PARTICIPANTS}):
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes.append(rclpy.create_node(f"node_{{number}}", context=context))
names = [name for name in os.listdir("/dev/shm") if name.startswith(("fastdds_", "fastrtps_"))]
print(sum(os.path.getsize(os.path.join("/dev/shm", name)) > 2**20 for name in names))
"""


def in_small_shm(*command: str) -> subprocess.CompletedProcess:
    """Run a command in a namespace of its own, whose /dev/shm has the size of a container's."""
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # Kilted, Jazzy
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    return subprocess.run(
        [*namespace, "sh", "-c", f'{MOUNT} && exec "$@"', "sh", *command],
        env={**os.environ, **dict.fromkeys(names, str(PROFILE))},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_seven_processes_fit_the_shared_memory_of_a_container() -> None:
    if shutil.which("unshare") is None or in_small_shm("true").returncode != 0:
        pytest.skip("no mount namespace can be made here, which the small /dev/shm needs")
    result = in_small_shm(sys.executable, "-c", PROGRAM)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(PARTICIPANTS)], result.stderr
    assert "Error" not in result.stdout + result.stderr
