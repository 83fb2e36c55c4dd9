"""A long run of the real node over topics, with a fault in every few frames: `python -m
benchmarks.soak --frames 30000`.

The model is small and was never trained, and frames are sent as fast as they are worked on. Said at
the end, and asked for: every frame is accounted for, no number that goes out is not finite,
quaternions are of unit length, the queue is bounded, and memory, threads and handles are what they
were after the first fifth. Exit code 1 where that is not so.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
import rclpy.logging
import torch
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage

from benchmarks.soak.camera import FAULTS, FaultyCamera
from demo.processes import domain_id
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.nodes.memory import resident_memory_mib
from sfm_odometry.nodes.odometry_node import OdometryNode
from sfm_odometry.nodes.spinning import make_executor

BATCH = 20
QUEUE_SIZE = 100
FAULT_SHARE = 0.1
MEMORY_GROWTH_MIB = 5.0
QUATERNION_ERROR = 1e-9
PATIENCE_S = 60.0
ACCOUNTED = (
    "frames_processed",
    "frames_refused",
    "frames_dropped",
    "frames_stale",
    "inference_errors",
)
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


class Listener:
    """Looks at everything that the node sends, and keeps none of it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.messages = self.not_finite = 0
        self.quaternion_error = 0.0
        self.status: dict[str, int | str] = {}
        self.longest_queue = 0
        node.create_subscription(Odometry, "odom", self._on_odometry, 500)
        node.create_subscription(TFMessage, "/tf", self._on_transforms, 500)
        node.create_subscription(DiagnosticArray, "sfm_odometry/status", self._on_status, 10)
        self._panels: list = []

    def come_or_go(self) -> None:
        """Subscribe to depth, mask and points, or no longer."""
        if self._panels:
            for subscription in self._panels:
                self._node.destroy_subscription(subscription)
            self._panels = []
            return
        for kind, topic in (
            (Image, "depth/image_rect"),
            (Image, "mask/image"),
            (PointCloud2, "depth/points"),
        ):
            self._panels.append(
                self._node.create_subscription(kind, topic, lambda message: None, 5)
            )

    def _on_odometry(self, message: Odometry) -> None:
        twist, pose = message.twist, message.pose
        vectors = [pose.pose.position, twist.twist.linear, twist.twist.angular]
        self._see(
            [
                *pose.covariance,
                *twist.covariance,
                *(getattr(vector, axis) for vector in vectors for axis in "xyz"),
            ]
        )
        self._see_turn(pose.pose.orientation)

    def _on_transforms(self, message: TFMessage) -> None:
        for transform in message.transforms:
            translation = transform.transform.translation
            self._see([translation.x, translation.y, translation.z])
            self._see_turn(transform.transform.rotation)

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status = {
            pair.key: int(pair.value) if pair.value.isdigit() else pair.value
            for pair in message.status[0].values
        }
        self.longest_queue = max(self.longest_queue, int(self.status.get("frames_waiting", 0)))

    def _see(self, numbers: list[float]) -> None:
        self.messages += 1
        self.not_finite += not np.isfinite(numbers).all()

    def _see_turn(self, quaternion: object) -> None:
        length = np.linalg.norm([getattr(quaternion, axis) for axis in "xyzw"])
        self.quaternion_error = (
            max(self.quaternion_error, abs(float(length) - 1.0))
            if np.isfinite(length)
            else float("inf")
        )


class Soak:
    """The node, a camera in front of it and a listener behind it, all served by one executor."""

    def __init__(self, model: Path, seed: int) -> None:
        settings = {"model.path": str(model), "model.device": "cpu", "model.backend": "eager", "diagnostics.period": 0.05,
                    "always_process_most_recent_frame": False, "queue_size": QUEUE_SIZE, "path.max_length": 100,
                    "camera.base_from_camera": [0.0, 0.0, 1.2, -0.5, 0.5, -0.5, 0.5]}  # fmt: skip
        self._random = np.random.default_rng(seed)
        self._others = rclpy.create_node("soak")
        self.node = OdometryNode(
            parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()]
        )
        self.node.get_logger().set_level(
            rclpy.logging.LoggingSeverity.ERROR
        )  # it would tell of each fault
        self.camera, self.listener = (
            FaultyCamera(self._others, self._random),
            Listener(self._others),
        )
        self.faults: Counter[str] = Counter()
        self._executor = make_executor()
        for node in (self._others, self.node):
            self._executor.add_node(node)
        self.node.autostart()
        self._until(lambda: self.camera.heard)

    def run(self, frames: int) -> None:
        """Send so many frames, and wait until each of them is accounted for."""
        wanted = self.camera.sent + frames
        while self.camera.sent < wanted:
            for _ in range(min(BATCH, wanted - self.camera.sent)):
                self._send()
            self.camera.good_calibration()
            self._until(self._settled)
            if self._random.random() < 0.02:
                self._interrupt()

    def close(self) -> None:
        """Destroy everything."""
        for node in (self.node, self._others):
            node.destroy_node()
        self._executor.shutdown()

    def _send(self) -> None:
        if self._random.random() > FAULT_SHARE:
            self.camera.good_frame()
            return
        fault = FAULTS[self._random.integers(len(FAULTS))]
        self.faults[fault.__name__] += 1
        fault(self.camera)

    def _interrupt(self) -> None:
        """What operators do: stop and start the node, or listen to other topics."""
        if self._random.random() < 0.5:
            self.faults["listeners come or go"] += 1
            self.listener.come_or_go()
            return
        self.faults["stopped and started"] += 1
        self.node.trigger_deactivate()
        self._until(lambda: not self.camera.heard)
        self.node.trigger_activate()
        self._until(lambda: self.camera.heard)

    def _settled(self) -> bool:
        """Whether the node says that it has dealt with all frames."""
        status = self.listener.status
        return (
            self.camera.sent
            == status.get("frames_received")
            == sum(int(status[name]) for name in ACCOUNTED)
        )

    def _until(self, condition: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            self._executor.spin_once(timeout_sec=0.1)
            if time.monotonic() > deadline_s:
                raise TimeoutError(
                    f"the node hangs: {self.camera.sent} frames sent, status {self.listener.status}"
                )


def measure() -> tuple[float, int, int]:
    """Resident memory in MiB, threads (the middleware's too) and open handles of this process."""
    return (
        resident_memory_mib(),
        len(os.listdir("/proc/self/task")),
        len(os.listdir("/proc/self/fd")),
    )


def soak(frames: int, seed: int) -> list[str]:
    """Run, print what was seen, and return what was wrong."""
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "small.safetensors"
        save_model(model, Model(MODEL), {})
        run = Soak(model, seed)
    started_s = time.monotonic()
    run.run(frames // 5)
    before = measure()
    for _ in range(4):
        run.run(frames // 5)
        after = measure()
        elapsed_s, growth_mib = time.monotonic() - started_s, after[0] - before[0]
        print(
            f"{run.camera.sent} frames in {elapsed_s:.0f} s: {after[0]:.1f} MiB, growth {growth_mib:+.1f}",
            flush=True,
        )
    wrong = judge(run, before, after)
    run.close()
    return wrong


def judge(run: Soak, before: tuple[float, int, int], after: tuple[float, int, int]) -> list[str]:
    """Print the results; returns what is wrong with them."""
    listener, status = run.listener, run.listener.status
    counters = ("frames_received", *ACCOUNTED, "frames_published", "gaps", "clock_jumps", "losses")
    print(", ".join(f"{name} {status[name]}" for name in counters))
    print(f"faults: {', '.join(f'{name} {count}' for name, count in sorted(run.faults.items()))}")
    print(
        f"messages {listener.messages}, not finite {listener.not_finite}, quaternions off by {listener.quaternion_error:.1e} at most"
    )
    print(
        f"longest queue {listener.longest_queue}, threads {before[1]} -> {after[1]}, handles {before[2]} -> {after[2]}"
    )
    findings = {
        "not finite": listener.not_finite > 0,
        "quaternions are not of unit length": listener.quaternion_error > QUATERNION_ERROR,
        "nothing was published": status["frames_published"] == 0,
        "inference failed": status["inference_errors"] != 0,
        "the queue grew": listener.longest_queue > QUEUE_SIZE,
        "memory grew": after[0] - before[0] > MEMORY_GROWTH_MIB,
        "threads leak": after[1] > before[1],
        "handles leak": after[2] > before[2],
    }
    return [name for name, found in findings.items() if found]


def main(argv: list[str] | None = None) -> int:
    """Run the soak; returns the exit code."""
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
        wrong = soak(max(arguments.frames, 100), arguments.seed)
    finally:
        rclpy.try_shutdown()
    print("soak: " + (", ".join(wrong) if wrong else "all is well"))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
