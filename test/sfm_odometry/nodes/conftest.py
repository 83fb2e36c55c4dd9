"""Fixtures of the nodes' tests: a tiny model, a generated drive, ROS, and processes."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import rclpy
import torch
from cv_bridge import CvBridge
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Log as RosoutLine
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster

from demo.listener import spin_until
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.kitti import open_sequence
from sfm_odometry.io.ros_camera_info import Rectifier
from sfm_odometry.io.trajectories import write_kitti
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.nodes import session
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.odometry_node import OdometryNode
from sfm_odometry.nodes.outputs import Outputs
from sfm_odometry.nodes.players.drive import DriveMessages, Mounting
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams
from sfm_odometry.results import OdometryResult

ROOT = Path(__file__).resolve().parents[3]
START_NS = 1_700_000_000_000_000_000
MOUNTING = Mounting(camera_height_m=1.2)
MODEL = {"model.device": "cpu", "model.backend": "eager"}
"""The eager backend gives the same numbers on every machine."""
ROSOUT_QOS = QoSProfile(
    depth=1000,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""rclpy names this profile only in some of its versions."""
PATIENCE_S = 180.0
"""Time limit of any wait, on a loaded machine."""


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained small model, whose motions are small and differ from frame to frame."""
    torch.manual_seed(1)
    depth = DepthNetConfig(
        encoder_widths=(8, 16, 16, 32, 32, 32, 32), decoder_widths=(32, 32, 32, 16, 16, 16, 8)
    )
    pose = PoseNetConfig(
        encoder_widths=(8, 16, 16, 32, 32), pose_widths=(32, 32), mask_widths=(32, 16, 16, 16, 8)
    )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, Model(ModelConfig(depth=depth, pose=pose)), {})
    return path


@pytest.fixture(scope="session")
def drive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve RGB frames in KITTI odometry layout: a passing texture, with poses along a curve."""
    folder = tmp_path_factory.mktemp("drives") / "curve"
    (folder / "image_2").mkdir(parents=True)
    rng = np.random.default_rng(5)
    texture = cv2.resize(
        rng.integers(0, 255, (40, 120, 3), dtype=np.uint8),
        (600, 200),
        interpolation=cv2.INTER_CUBIC,
    )
    poses = np.tile(np.eye(4), (12, 1, 1))
    for index in range(12):
        view = np.ascontiguousarray(texture[20 : 20 + 136, 15 * index : 15 * index + 424])
        cv2.imwrite(str(folder / "image_2" / f"{index:06d}.png"), view)
        angle = 0.02 * index
        poses[index, :3, :3] = [
            [np.cos(angle), 0, np.sin(angle)],
            [0, 1, 0],
            [-np.sin(angle), 0, np.cos(angle)],
        ]
        poses[index, :3, 3] = [0.1 * index**2, 0.0, 0.8 * index]
    matrix = "300 0 211.5 0 0 300 67.5 0 0 0 1 0"
    (folder / "calib.txt").write_text("".join(f"P{camera}: {matrix}\n" for camera in range(4)))
    (folder / "times.txt").write_text("".join(f"{0.1 * index:.6e}\n" for index in range(12)))
    write_kitti(folder / "poses.txt", poses)
    return folder


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """rclpy, initialised for the module's tests."""
    # What an earlier module left in cycles would stay in the graph.
    gc.unfreeze()
    gc.collect()
    rclpy.init()
    yield
    rclpy.try_shutdown()


class Spinner:
    """Spins nodes in a thread of their own, and waits for conditions that they bring about."""

    def __init__(self) -> None:
        self._executor = SingleThreadedExecutor()
        self._nodes: list[Node] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=spin_until, args=(self._executor, self._ended), daemon=True
        )

    def add(self, node: Node) -> Node:
        """Spin the node too."""
        self._nodes.append(node)
        self._executor.add_node(node)
        if not self._thread.is_alive():
            self._thread.start()
        return node

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until the condition holds; fail the test after PATIENCE_S."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"waited in vain for {what or condition}"
            time.sleep(0.005)

    def call(self, client: object, request: object) -> object:
        """Call a service; returns its response."""
        assert client.wait_for_service(timeout_sec=PATIENCE_S)
        future = client.call_async(request)
        self.until(future.done, "the service's answer")
        return future.result()

    def close(self) -> None:
        """Stop spinning and destroy the nodes."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()


@pytest.fixture
def spinner(ros: None) -> Iterator[Spinner]:
    """Spinner of the test's nodes."""
    result = Spinner()
    yield result
    result.close()


class Processes:
    """Starts the project's modules as processes, and ends them with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen] = []

    def start(self, module: str, *arguments: object) -> subprocess.Popen:
        """Start `python -m module arguments`, with stdout and stderr in one pipe."""
        # The ROS wheels' bootstrap runs anew in the child.
        environment = {
            key: value
            for key, value in os.environ.items()
            if key != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
        }
        command = [sys.executable, "-m", module, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, module: str, *arguments: object) -> tuple[int, str]:
        """Run a process to its end; returns its exit code and output."""
        process = self.start(module, *arguments)
        output, _ = process.communicate(timeout=2 * PATIENCE_S)
        return process.returncode, output

    def close(self) -> None:
        """Kill the processes that are still running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Processes of the test."""
    result = Processes(tmp_path)
    yield result
    result.close()


class Rig:
    """Node under test, with a camera in front of it and a listener behind it."""

    def __init__(self, spinner, drive_folder: Path, model_path: Path) -> None:
        self.spinner = spinner
        self.model_path = model_path
        self.drive = DriveMessages(open_sequence(drive_folder), MOUNTING)
        self.frames = list(self.drive.frames())
        self.camera = rclpy.create_node("camera")
        self.listener = rclpy.create_node("listener")
        self.received = SimpleNamespace(
            odom=[], tf=[], depth=[], depth_info=[], mask=[], mask_info=[], status=[]
        )
        self.node: OdometryNode
        self.other_info: CameraInfo | None = None
        """camera_info to send in place of the drive's own."""
        for kind, topic, name in (
            (Odometry, "odom", "odom"),
            (TFMessage, "/tf", "tf"),
            (DiagnosticArray, "/sfm_odometry/status", "status"),
        ):
            self.listen(kind, topic, name)
        self._rosout: list[RosoutLine] = []
        self.listener.create_subscription(RosoutLine, "/rosout", self._rosout.append, ROSOUT_QOS)
        spinner.add(self.camera)
        spinner.add(self.listener)

    def listen(self, kind: type, topic: str, name: str) -> list:
        """Subscribe to the topic; returns the list of its messages, also received.<name>."""
        messages = getattr(self.received, name, [])
        setattr(self.received, name, messages)
        self.listener.create_subscription(kind, topic, messages.append, 100)
        return messages

    @property
    def outputs(self) -> Outputs:
        """Publishers of the node."""
        return self.node.pipeline._outputs

    def listen_to_images(self) -> None:
        """Subscribe to depth and masks."""
        for kind, topic, name in (
            (Image, "depth/image_rect", "depth"), (CameraInfo, "depth/camera_info", "depth_info"),
            (Image, "mask/image", "mask"), (CameraInfo, "mask/camera_info", "mask_info"),
        ):  # fmt: skip
            self.listen(kind, topic, name)

    def start(
        self, send_tf: bool = True, reliability: str = "RELIABLE", **parameters: object
    ) -> OdometryNode:
        """Start the node, and wait until camera, node and listener are connected."""
        # Send the camera's transform, and start the node.
        values = {
            **MODEL,
            "model.path": str(self.model_path),
            "always_process_most_recent_frame": False,
            "diagnostics.warn_after": 10 * PATIENCE_S,
            "diagnostics.error_after": 20 * PATIENCE_S,
            **parameters,
        }
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        if send_tf:
            self.tf = StaticTransformBroadcaster(self.camera)
            self.tf.sendTransform(MOUNTING.static_transform(START_NS))
        self.node = OdometryNode(parameter_overrides=overrides)
        try:
            self.node.autostart()
        except Exception:
            self.node.destroy_node()
            raise

        # Start the camera.
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy[reliability])
        self.image = self.camera.create_publisher(Image, "image", qos)
        self.info = self.camera.create_publisher(CameraInfo, "camera_info", qos)
        self.spinner.add(self.node)
        if self.node.state.name not in ("unconfigured", "inactive"):
            given = {"camera.calibration", "camera.fov"} & set(parameters)
            compressed = parameters.get("image_transport") == "compressed"
            self.wait_until_connected(compressed, camera_info=not given)
        return self.node

    def wait_until_connected(self, compressed: bool = False, camera_info: bool = True) -> None:
        """Wait until the node subscribes to the camera, and the listener sees its publishers.

        camera_info: whether the node listens to it.
        """
        publishers = [self.info] * camera_info + [self.image] * (not compressed)
        self.spinner.until(
            lambda: all(publisher.get_subscription_count() for publisher in publishers),
            "the node's subscriptions",
        )
        self.spinner.until(
            lambda: (
                self.listener.count_publishers("odom") == 1
                and self.listener.count_publishers("/tf") == 1
            )
        )

    def send(
        self, index: int, stamp_ns: int | None = None, info: bool = True, **changes: object
    ) -> int:
        """Send a frame, by default stamped at 10 Hz; returns its stamp.

        info: whether to send camera_info. changes: fields of the image to replace.
        """
        frame = self.frames[index % len(self.frames)]
        stamp_ns = START_NS + index * 100_000_000 if stamp_ns is None else stamp_ns
        frame.stamp(stamp_ns)
        if info:
            if self.other_info is not None:
                self.other_info.header = frame.image.header
            self.info.publish(self.other_info or frame.camera_info)

        # Send the image with the changes, and undo them.
        before = {name: getattr(frame.image, name) for name in changes}
        for name, value in changes.items():
            setattr(frame.image, name, value)
        self.image.publish(frame.image)
        for name, value in before.items():
            setattr(frame.image, name, value)
        return stamp_ns

    def wait_for_image_subscriptions(self) -> None:
        """Wait until the node sees subscriptions of depth and masks."""
        self.spinner.until(
            lambda: self.outputs.depth.has_subscribers and self.outputs.mask.has_subscribers
        )

    def count(self, name: str) -> int:
        """Value of a counter of the node."""
        return self.node.statistics.counts[name]

    def status(self) -> dict[str, str]:
        """Wait for a status that is sent from now on; returns its values.

        The next one that comes may have been sent before.
        """
        now_ns = self.node.get_clock().now().nanoseconds
        before = len(self.received.status)
        self.spinner.until(
            lambda: (
                len(self.received.status) > before
                and stamp_to_ns(self.received.status[-1].header.stamp) >= now_ns
            ),
            "a status",
        )
        return {pair.key: pair.value for pair in self.received.status[-1].status[0].values}

    def wait_for_state(self, name: str) -> None:
        self.spinner.until(
            lambda: self.node.state.name == name, f"state {name}, is {self.node.state}"
        )

    def trigger(self, service: str) -> Trigger.Response:
        return self.spinner.call(
            self.listener.create_client(Trigger, f"/sfm_odometry/{service}"), Trigger.Request()
        )

    def logged(self, words: str) -> bool:
        """Whether a line of the node's log contains the words.

        Read from /rosout, as pytest's capture of stderr loses lines written while it is read.
        """
        return any(words in line.msg for line in self._rosout)

    def whole_log(self) -> list[str]:
        """Returns all lines that the node has logged."""
        end = f"end of the log, {time.monotonic_ns()}"
        self.node.get_logger().info(end)
        self.spinner.until(lambda: self.logged(end), "the end of the log")
        return [line.msg for line in self._rosout]

    def expected(
        self, count: int, params: OdometryParams | None = None, rectify: Rectifier | None = None
    ) -> list[OdometryResult]:
        """Returns the results of the odometry itself for the first frames.

        rectify: applied to the images first.
        """
        odometry = MonocularOdometry(Estimator.from_file(self.model_path, "cpu", "eager"), params)
        bridge = CvBridge()
        intrinsics = self.drive.sequence.intrinsics if rectify is None else rectify.intrinsics
        preprocess = rectify or (lambda image: image)
        return [
            odometry.process(
                preprocess(bridge.imgmsg_to_cv2(frame.image, "rgb8")),
                intrinsics,
                START_NS + index * 100_000_000,
                seen=None if rectify is None else rectify.seen,
            )
            for index, frame in enumerate(self.frames[:count])
        ]


@pytest.fixture
def rig(spinner, drive_folder: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Rig of the generated drive and the small model.

    The image timeout and the time without a pose are long, as a loaded machine takes seconds for
    the frames of a test.
    """
    monkeypatch.setattr(session, "IMAGE_TIMEOUT_S", PATIENCE_S)
    return Rig(spinner, drive_folder, model_path)
