"""Soak test of the real node, with faulty camera input: `python -m benchmarks.soak --frames 30000`.

Sends frames over topics as fast as the node processes them, a fault in one of ten; the model is
small and untrained. Checks at the end that every frame is accounted for, that all published numbers
are finite, that quaternions are of unit length, that the queue was bounded, and that memory,
threads and file handles are as after the first fifth. Exit code 1 where a check fails.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
import rclpy.logging
import torch
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage

from benchmarks.soak.camera import FAULTS, FaultyCamera
from demo.processes import domain_id
from sfm_odometry.cli import run_cli
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.nodes.memory import resident_memory_mib
from sfm_odometry.nodes.odometry_node import OdometryNode
from sfm_odometry.nodes.spinning import make_executor

BATCH = 20
"""Frames that are sent before waiting for the node."""
MIN_FRAMES = 100
QUEUE_SIZE = 100
FAULT_SHARE = 0.1
"""Share of frames with a fault."""
INTERRUPTION_SHARE = 0.02
"""Share of batches after which the node is restarted, or subscriptions change."""
MAX_MEMORY_GROWTH_MIB = 5.0
MAX_QUATERNION_ERROR = 1e-9
TIMEOUT_S = 60.0
ACCOUNTED_COUNTERS = (
    "frames_processed",
    "frames_refused",
    "frames_dropped",
    "frames_stale",
    "inference_errors",
)
"""Counters of the node's status that add up to the frames received."""
PRINTED_COUNTERS = (
    "frames_received",
    *ACCOUNTED_COUNTERS,
    "frames_published",
    "gaps",
    "clock_jumps",
    "losses",
)
IMAGE_TOPICS = {"depth/image_rect": Image, "mask/image": Image, "depth/points": PointCloud2}
MODEL = ModelConfig(
    width=64,
    height=32,
    depth=DepthNetConfig(3, (4, 8), (3, 3), (8, 4), scales=2),
    pose=PoseNetConfig(
        3,
        5,
        (4, 8, 8, 8, 8),
        pose_widths=(8,),
        mask_widths=(8, 8, 8, 4, 4),
        mask_kernels=(3, 3, 3, 3, 3),
    ),
)
NODE_PARAMETERS = {
    "model.device": "cpu",
    "model.backend": "eager",
    "diagnostics.period": 0.05,
    "always_process_most_recent_frame": False,
    "queue_size": QUEUE_SIZE,
    "path.max_length": 100,
    "camera.base_from_camera": [0.0, 0.0, 1.2, -0.5, 0.5, -0.5, 0.5],
}


class OutputMonitor:
    """Checks everything that the node publishes, and keeps only counts and extremes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.messages = 0
        """Number of odometry and TF messages."""
        self.not_finite = 0
        """Number of messages with a NaN or infinite value."""
        self.quaternion_error = 0.0
        """Largest difference of a quaternion's length from 1."""
        self.status: dict[str, int | str] = {}
        """Last status of the node."""
        self.max_queue_length = 0
        self._image_subscriptions: list[Subscription] = []
        node.create_subscription(Odometry, "odom", self._on_odometry, 500)
        node.create_subscription(TFMessage, "/tf", self._on_transforms, 500)
        node.create_subscription(DiagnosticArray, "sfm_odometry/status", self._on_status, 10)

    def toggle_image_subscriptions(self) -> None:
        """Subscribe to depth, mask and points, or cancel these subscriptions."""
        if self._image_subscriptions:
            for subscription in self._image_subscriptions:
                self._node.destroy_subscription(subscription)
            self._image_subscriptions = []
            return
        for topic, kind in IMAGE_TOPICS.items():
            self._image_subscriptions.append(
                self._node.create_subscription(kind, topic, lambda message: None, 5)
            )

    def _on_odometry(self, message: Odometry) -> None:
        pose = message.pose
        twist = message.twist
        vectors = [pose.pose.position, twist.twist.linear, twist.twist.angular]
        self._check_finite(
            [
                *pose.covariance,
                *twist.covariance,
                *(getattr(vector, axis) for vector in vectors for axis in "xyz"),
            ]
        )
        self._check_quaternion(pose.pose.orientation)

    def _on_transforms(self, message: TFMessage) -> None:
        for transform in message.transforms:
            translation = transform.transform.translation
            self._check_finite([translation.x, translation.y, translation.z])
            self._check_quaternion(transform.transform.rotation)

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status = {
            pair.key: int(pair.value) if pair.value.isdigit() else pair.value
            for pair in message.status[0].values
        }
        queue_length = int(self.status.get("frames_waiting", 0))
        self.max_queue_length = max(self.max_queue_length, queue_length)

    def _check_finite(self, numbers: list[float]) -> None:
        """Count a message, and whether all its numbers are finite."""
        self.messages += 1
        self.not_finite += not np.isfinite(numbers).all()

    def _check_quaternion(self, quaternion: Quaternion) -> None:
        """Update the largest error of a quaternion's length."""
        length = np.linalg.norm([getattr(quaternion, axis) for axis in "xyzw"])
        error = abs(float(length) - 1.0) if np.isfinite(length) else float("inf")
        self.quaternion_error = max(self.quaternion_error, error)


class SoakTest:
    """Node, camera and output monitor, all served by one executor in this process."""

    def __init__(self, model: Path, seed: int) -> None:
        # The node, and another one for camera and monitor.
        self._random = np.random.default_rng(seed)
        self._peer = rclpy.create_node("soak")
        settings = {"model.path": str(model), **NODE_PARAMETERS}
        self.node = OdometryNode(
            parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()]
        )
        # It logs every fault otherwise.
        self.node.get_logger().set_level(rclpy.logging.LoggingSeverity.ERROR)
        self.camera = FaultyCamera(self._peer, self._random)
        self.monitor = OutputMonitor(self._peer)
        self.faults: Counter[str] = Counter()

        # Start, and wait until the node is connected to the camera.
        self._executor = make_executor()
        for node in (self._peer, self.node):
            self._executor.add_node(node)
        self.node.autostart()
        self._spin_until(lambda: self.camera.connected)

    def run(self, frames: int) -> None:
        """Send `frames` frames, and wait until each of them is accounted for.

        Raises TimeoutError where the node hangs.
        """
        last = self.camera.sent + frames
        while self.camera.sent < last:
            for _ in range(min(BATCH, last - self.camera.sent)):
                self._send()
            self.camera.send_valid_calibration()
            self._spin_until(self._all_accounted)
            if self._random.random() < INTERRUPTION_SHARE:
                self._interrupt()

    def close(self) -> None:
        """Destroy the nodes and the executor."""
        for node in (self.node, self._peer):
            node.destroy_node()
        self._executor.shutdown()

    def _send(self) -> None:
        """Send a valid frame, or sometimes a faulty one."""
        if self._random.random() > FAULT_SHARE:
            self.camera.send_valid_frame()
            return
        fault = FAULTS[self._random.integers(len(FAULTS))]
        self.faults[fault.__name__] += 1
        fault(self.camera)

    def _interrupt(self) -> None:
        """Restart the node, or change the subscriptions, as operators do."""
        if self._random.random() < 0.5:
            self.faults["listeners come or go"] += 1
            self.monitor.toggle_image_subscriptions()
            return
        self.faults["stopped and started"] += 1
        self.node.trigger_deactivate()
        self._spin_until(lambda: not self.camera.connected)
        self.node.trigger_activate()
        self._spin_until(lambda: self.camera.connected)

    def _all_accounted(self) -> bool:
        """Whether every frame sent is in one of the counters of the node's status."""
        status = self.monitor.status
        return (
            self.camera.sent
            == status.get("frames_received")
            == sum(int(status[name]) for name in ACCOUNTED_COUNTERS)
        )

    def _spin_until(self, condition: Callable[[], object]) -> None:
        """Serve the nodes until the condition holds; raises TimeoutError after TIMEOUT_S."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            self._executor.spin_once(timeout_sec=0.1)
            if time.monotonic() > deadline_s:
                raise TimeoutError(
                    f"the node hangs: {self.camera.sent} frames sent, status {self.monitor.status}"
                )


@dataclass(frozen=True)
class ResourceUsage:
    """Resident memory in MiB, threads (the middleware's too) and open handles of this process."""

    memory_mib: float
    threads: int
    handles: int


def measure_usage() -> ResourceUsage:
    """Returns the present resource usage of this process."""
    return ResourceUsage(
        memory_mib=resident_memory_mib(),
        threads=len(os.listdir("/proc/self/task")),
        handles=len(os.listdir("/proc/self/fd")),
    )


def soak(frames: int, seed: int) -> list[str]:
    """Run the test and print its course; returns the names of the failed checks."""
    # Start the node on a small model with random weights.
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "small.safetensors"
        save_model(model, Model(MODEL), {})
        run = SoakTest(model, seed)
    started_s = time.monotonic()

    # The first fifth warms up; growth is counted from its end.
    run.run(frames // 5)
    before = measure_usage()
    for _ in range(4):
        run.run(frames // 5)
        after = measure_usage()
        elapsed_s = time.monotonic() - started_s
        growth_mib = after.memory_mib - before.memory_mib
        print(
            f"{run.camera.sent} frames in {elapsed_s:.0f} s: "
            f"{after.memory_mib:.1f} MiB, growth {growth_mib:+.1f}",
            flush=True,
        )
    failures = judge(run.monitor, run.faults, before, after)
    run.close()
    return failures


def judge(
    monitor: OutputMonitor, faults: Counter[str], before: ResourceUsage, after: ResourceUsage
) -> list[str]:
    """Print the results; returns the names of the failed checks.

    faults: number of each. before, after: usage after the first fifth of the frames and at the end.
    """
    status = monitor.status
    print(", ".join(f"{name} {status[name]}" for name in PRINTED_COUNTERS))
    print(f"faults: {', '.join(f'{name} {count}' for name, count in sorted(faults.items()))}")
    print(
        f"messages {monitor.messages}, not finite {monitor.not_finite}, "
        f"quaternions off by {monitor.quaternion_error:.1e} at most"
    )
    print(
        f"longest queue {monitor.max_queue_length}, threads {before.threads} -> {after.threads}, "
        f"handles {before.handles} -> {after.handles}"
    )
    checks = {
        "not finite": monitor.not_finite > 0,
        "quaternions are not of unit length": monitor.quaternion_error > MAX_QUATERNION_ERROR,
        "nothing was published": status["frames_published"] == 0,
        "inference failed": status["inference_errors"] != 0,
        "the queue grew": monitor.max_queue_length > QUEUE_SIZE,
        "memory grew": after.memory_mib - before.memory_mib > MAX_MEMORY_GROWTH_MIB,
        "threads leak": after.threads > before.threads,
        "handles leak": after.handles > before.handles,
    }
    return [name for name, failed in checks.items() if failed]


def main(argv: list[str] | None = None) -> int:
    """Run the soak test; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--frames", type=int, default=30_000, help="frames to send (default: 30000)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of the faults and the pictures (default: 1)"
    )
    arguments = parser.parse_args(argv)
    rclpy.init(domain_id=domain_id())  # apart from a robot that may run on this machine
    try:
        failures = soak(max(arguments.frames, MIN_FRAMES), arguments.seed)
    finally:
        rclpy.try_shutdown()
    print("soak: " + (", ".join(failures) if failures else "all is well"))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
