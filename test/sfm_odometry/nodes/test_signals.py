"""Signals and kills: a process ends in order in every phase, and tracking resumes after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from sfm_odometry.io.kitti import open_sequence
from sfm_odometry.nodes.players.drive import DriveMessages, Mounting

NODE = "sfm_odometry.nodes.odometry_node"
PLAYER = "sfm_odometry.nodes.kitti_player"
PLAYERS = ("kitti_player", "bag_player", "image_player")
ROOT = Path(__file__).resolve().parents[3]
START_NS = 1_700_000_000_000_000_000
POSE = "[0.0, 0.0, 1.2, -0.5, 0.5, -0.5, 0.5]"
END_WITHIN_S = 30.0
"""Time limit for the end of a process, on a loaded machine."""


def ros_arguments(model_path: Path, **settings: object) -> list[str]:
    """ROS arguments of the model and of other parameters."""
    settings = {
        "model.path": model_path,
        "model.device": "cpu",
        "model.backend": "eager",
        **settings,
    }
    return [word for name, value in settings.items() for word in ("-p", f"{name}:={value}")]


class Camera:
    """Camera in front of a node in another process, and a listener behind it."""

    def __init__(self, spinner, drive_folder) -> None:
        self.spinner = spinner
        self.node = spinner.add(rclpy.create_node("camera"))
        self.received = SimpleNamespace(odom=[], state=[], points=[])
        self.node.create_subscription(Odometry, "odom", self.received.odom.append, 50)
        self.node.create_subscription(
            DiagnosticArray, "/sfm_odometry/status", self._store_state, 50
        )
        self.image = self.node.create_publisher(Image, "image", 300)
        self.info = self.node.create_publisher(CameraInfo, "camera_info", 300)
        self.frames = list(DriveMessages(open_sequence(drive_folder), Mounting()).frames())

    def _store_state(self, array: DiagnosticArray) -> None:
        self.received.state.append(
            next(pair.value for pair in array.status[0].values if pair.key == "state")
        )

    def connect(self) -> None:
        self.spinner.until(
            lambda: self.image.get_subscription_count() and self.info.get_subscription_count(),
            "the node",
        )

    def send(self, frames: range) -> None:
        for index in frames:
            frame = self.frames[index % len(self.frames)]
            frame.stamp(START_NS + index * 100_000_000)
            self.info.publish(frame.camera_info)
            self.image.publish(frame.image)


@pytest.fixture
def camera(spinner, drive_folder) -> Camera:
    return Camera(spinner, drive_folder)


def while_configuring(camera: Camera) -> None:
    """Wait until the node exists but its model does not: torch alone takes seconds to load."""
    camera.spinner.until(lambda: "sfm_odometry" in camera.node.get_node_names(), "the node")


def while_filling(camera: Camera) -> None:
    """Wait until the window is filling."""
    camera.connect()
    camera.send(range(2))
    camera.spinner.until(lambda: "filling_window" in camera.received.state, "the window's filling")


def while_inferring(camera: Camera) -> None:
    """Wait until the node has received many frames and processed only some of them."""
    camera.connect()
    camera.send(range(150))
    camera.spinner.until(lambda: camera.received.odom, "odometry")


def while_publishing(camera: Camera) -> None:
    """Wait for a large point cloud, before the other messages of its frame are published."""
    camera.node.create_subscription(PointCloud2, "depth/points", camera.received.points.append, 10)
    camera.node.create_subscription(Image, "depth/image_rect", lambda message: None, 10)
    camera.node.create_subscription(Image, "depth/image_color", lambda message: None, 10)
    camera.connect()
    for index in range(600):
        camera.send(range(index, index + 1))
        time.sleep(0.02)
        if camera.received.points:
            return
    raise AssertionError("no points came")


@pytest.mark.parametrize(("phase", "number"), [
    (while_configuring, signal.SIGINT),
    (while_configuring, signal.SIGTERM),
    (while_filling, signal.SIGINT),
    (while_inferring, signal.SIGINT),
    (while_inferring, signal.SIGTERM),
    (while_publishing, signal.SIGINT),
])  # fmt: skip
def test_a_signal_ends_the_node_in_every_phase(
    camera: Camera, processes, model_path, phase, number: signal.Signals
) -> None:
    settings = {
        "depth.output_size": "input",
        "always_process_most_recent_frame": "false",
        "camera.base_from_camera": POSE,
    }
    arguments = ros_arguments(model_path, **settings)
    node = processes.start(NODE, "--ros-args", *arguments)
    phase(camera)
    node.send_signal(number)
    output, _ = node.communicate(timeout=END_WITHIN_S)
    assert node.returncode == 0, output
    assert (
        "Traceback" not in output
        and "terminate called" not in output
        and "error" not in output.lower()
    ), output
    if phase is while_inferring:
        assert len(camera.received.odom) < 150, (
            "everything had been worked on: the signal came too late to test anything"
        )


BUSY = """
import time
from rclpy.node import Node
from sfm_odometry.nodes.spinning import run_node
def work(node):
    print("busy", flush=True)
    time.sleep(60)
raise SystemExit(run_node(lambda: Node("busy"), work))
"""


def test_a_second_signal_ends_a_busy_node_at_once() -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert node.stdout.readline() == "busy\n"
    for _ in range(2):  # from the terminal and from the launcher: they count as one
        node.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        node.wait(1.5)
    node.send_signal(signal.SIGTERM)
    output, _ = node.communicate(timeout=10.0)
    assert (node.returncode, output) == (0, "")


LOADING = """
import hashlib, time
from rclpy.node import Node
from sfm_odometry.nodes.spinning import interruptible, run_node
def drop_exceptions():
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
def stay_native():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
def wait():
    time.sleep(600)
def work(node):
    with interruptible():
        print("busy", flush=True)
        {what}()
raise SystemExit(run_node(lambda: Node("busy"), work))
"""


def end_loading(what: str, number: signal.Signals) -> tuple[int, str]:
    """Send a signal to a node that loads; returns its exit code and further output."""
    command = [sys.executable, "-c", LOADING.format(what=what)]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert node.stdout.readline() == "busy\n"
    node.send_signal(number)
    output, _ = node.communicate(timeout=END_WITHIN_S)
    return node.returncode, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_loading(number: signal.Signals) -> None:
    assert end_loading("wait", number) == (0, "")


@pytest.mark.parametrize("what", ["drop_exceptions", "stay_native"])
def test_a_signal_ends_loading_that_does_not_react(what: str) -> None:
    assert end_loading(what, signal.SIGINT) == (0, "")


def test_an_error_that_is_logged_already_is_exit_code_1() -> None:
    program = """
from rclpy.node import Node
from sfm_odometry.nodes.spinning import LoggedError, interruptible, run_node
def work(node):
    with interruptible():  # of which nothing is left behind
        raise LoggedError("the log has it")
raise SystemExit(run_node(lambda: Node("failing"), work))
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=END_WITHIN_S)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")


def test_tracking_resumes_after_the_camera_or_the_node_was_killed(
    camera: Camera, processes, model_path, drive_folder
) -> None:
    received = camera.received
    spinner = camera.spinner
    for publisher in (camera.image, camera.info):
        camera.node.destroy_publisher(publisher)  # the player is the camera here
    arguments = ros_arguments(model_path, **{"diagnostics.period": 0.2})
    play = (PLAYER, drive_folder, "--loop", "--hz", 20)
    node = processes.start(NODE, "--ros-args", *arguments)
    player = processes.start(*play)
    spinner.until(lambda: len(received.odom) > 5, "the first odometry")

    player.kill()
    spinner.until(
        lambda: received.state[-1] == "waiting_image", "the loss of the camera to be seen"
    )
    count = len(received.odom)
    player = processes.start(*play)
    spinner.until(
        lambda: len(received.odom) > count + 5 and received.state[-1] == "tracking",
        "odometry of the camera that came back",
    )

    node.kill()
    node.communicate(timeout=END_WITHIN_S)
    count = len(received.odom)
    node = processes.start(NODE, "--ros-args", *arguments)
    spinner.until(
        lambda: len(received.odom) > count + 5 and received.state[-1] == "tracking",
        "odometry of the node that came back",
    )
    for process in (node, player):
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=END_WITHIN_S)
        assert (process.returncode, "Traceback" in output) == (0, False), output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", [NODE, *(f"sfm_odometry.nodes.{name}" for name in PLAYERS)])
def test_a_signal_while_importing(module: str, number: signal.Signals) -> None:
    """Python reports each import: the signal comes right after the first of this package."""
    environment = {
        key: value for key, value in os.environ.items() if key != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
    }
    command = [sys.executable, "-X", "importtime", "-m", module]
    node = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert node.stdout is not None
    lines = []
    for line in node.stdout:
        lines.append(line)
        if "early_signals" in line:
            node.send_signal(number)
            break
    lines += node.communicate(timeout=END_WITHIN_S)[0].splitlines()
    assert node.returncode == 0, lines[-20:]
    assert not any("Traceback" in line for line in lines)
