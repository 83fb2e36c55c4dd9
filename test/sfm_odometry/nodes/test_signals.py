"""Signals and kills: the process ends well in whatever it was doing, and what was killed is met
again when it comes back."""

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
ROOT = Path(__file__).resolve().parents[3]
START_NS = 1_700_000_000_000_000_000
POSE = "[0.0, 0.0, 1.2, -0.5, 0.5, -0.5, 0.5]"
END_WITHIN_S = 30.0  # on a loaded machine; a process that hangs takes for ever


class Camera:
    """A camera in front of a node in another process, and a listener behind it."""

    def __init__(self, spinner, drive_folder) -> None:
        self.spinner = spinner
        self.node = spinner.add(rclpy.create_node("camera"))
        self.got = SimpleNamespace(odom=[], state=[], points=[])
        self.node.create_subscription(Odometry, "odom", self.got.odom.append, 50)
        self.node.create_subscription(
            DiagnosticArray, "/sfm_odometry/status", self._store_state, 50
        )
        self.image = self.node.create_publisher(Image, "image", 300)
        self.info = self.node.create_publisher(CameraInfo, "camera_info", 300)
        self.shots = list(DriveMessages(open_sequence(drive_folder), Mounting()).shots())

    def _store_state(self, array: DiagnosticArray) -> None:
        self.got.state.append(
            next(pair.value for pair in array.status[0].values if pair.key == "state")
        )

    def connect(self) -> None:
        self.spinner.until(
            lambda: self.image.get_subscription_count() and self.info.get_subscription_count(),
            "the node",
        )

    def send(self, frames: range) -> None:
        for index in frames:
            shot = self.shots[index % len(self.shots)]
            shot.stamp(START_NS + index * 100_000_000)
            self.info.publish(shot.camera_info)
            self.image.publish(shot.image)


@pytest.fixture
def camera(spinner, drive_folder) -> Camera:
    return Camera(spinner, drive_folder)


def while_configuring(camera: Camera) -> None:
    """The node is there, its model is not: torch alone takes seconds to load."""
    camera.spinner.until(lambda: "sfm_odometry" in camera.node.get_node_names(), "the node")


def while_filling(camera: Camera) -> None:
    camera.connect()
    camera.send(range(2))
    camera.spinner.until(lambda: "filling_window" in camera.got.state, "the window's filling")


def while_inferring(camera: Camera) -> None:
    """Most of the frames that it has got are still to be worked on."""
    camera.connect()
    camera.send(range(150))
    camera.spinner.until(lambda: camera.got.odom, "odometry")


def while_publishing(camera: Camera) -> None:
    """A large cloud has just come, the others of the frame are on their way."""
    camera.node.create_subscription(PointCloud2, "depth/points", camera.got.points.append, 10)
    camera.node.create_subscription(Image, "depth/image_rect", lambda message: None, 10)
    camera.node.create_subscription(Image, "depth/image_color", lambda message: None, 10)
    camera.connect()
    for index in range(600):
        camera.send(range(index, index + 1))
        time.sleep(0.02)
        if camera.got.points:
            return
    raise AssertionError("no points came")


@pytest.mark.parametrize(("phase", "number"), [
    (while_configuring, signal.SIGINT), (while_configuring, signal.SIGTERM), (while_filling, signal.SIGINT),
    (while_inferring, signal.SIGINT), (while_inferring, signal.SIGTERM), (while_publishing, signal.SIGINT),
])  # fmt: skip
def test_a_signal_ends_the_node_in_every_phase(
    camera: Camera, processes, model_path, phase, number: signal.Signals
) -> None:
    settings = {"model.path": model_path, "model.device": "cpu", "model.backend": "eager", "depth.output_size": "input",
                "always_process_most_recent_frame": "false", "camera.base_from_camera": POSE}  # fmt: skip
    given = [word for name, value in settings.items() for word in ("-p", f"{name}:={value}")]
    node = processes.start(NODE, "--ros-args", *given)
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
        assert len(camera.got.odom) < 150, (
            "everything had been worked on: the signal came too late to test anything"
        )


BUSY = """
import time
from rclpy.node import Node
from sfm_odometry.nodes.spinning import run_node
raise SystemExit(run_node(lambda: Node("busy"), lambda node: (print("busy", flush=True), time.sleep(60))))
"""


def test_a_second_signal_ends_a_busy_node_at_once() -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert node.stdout.readline() == "busy\n"
    for _ in range(2):  # from the terminal and from what started the node: they count as one
        node.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        node.wait(1.5)
    node.send_signal(signal.SIGTERM)
    output, _ = node.communicate(timeout=10.0)
    assert (node.returncode, output) == (0, "")


def test_a_killed_camera_and_a_killed_node_are_met_again(
    camera: Camera, processes, model_path, drive_folder
) -> None:
    got, spinner = camera.got, camera.spinner
    for publisher in (camera.image, camera.info):
        camera.node.destroy_publisher(publisher)  # the player is the camera here
    given = [
        "-p",
        f"model.path:={model_path}",
        "-p",
        "model.device:=cpu",
        "-p",
        "model.backend:=eager",
        "-p",
        "diagnostics.period:=0.2",
    ]
    play = (PLAYER, drive_folder, "--loop", "--hz", 20)
    node, player = processes.start(NODE, "--ros-args", *given), processes.start(*play)
    spinner.until(lambda: len(got.odom) > 5, "the first odometry")

    player.kill()
    spinner.until(lambda: got.state[-1] == "waiting_image", "the loss of the camera to be seen")
    seen = len(got.odom)
    player = processes.start(*play)
    spinner.until(
        lambda: len(got.odom) > seen + 5 and got.state[-1] == "tracking",
        "odometry of the camera that came back",
    )

    node.kill()
    node.communicate(timeout=END_WITHIN_S)
    seen = len(got.odom)
    node = processes.start(NODE, "--ros-args", *given)
    spinner.until(
        lambda: len(got.odom) > seen + 5 and got.state[-1] == "tracking",
        "odometry of the node that came back",
    )
    for process in (node, player):
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=END_WITHIN_S)
        assert (process.returncode, "Traceback" in output) == (0, False), output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", [NODE, PLAYER, "sfm_odometry.nodes.bag_player"])
def test_a_signal_while_importing(module: str, number: signal.Signals) -> None:
    """Python says each import that is done: the signal comes right after the first of ours."""
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
    said = []
    for line in node.stdout:
        said.append(line)
        if "early_signals" in line:
            node.send_signal(number)
            break
    said += node.communicate(timeout=END_WITHIN_S)[0].splitlines()
    assert node.returncode == 0, said[-20:]
    assert not any("Traceback" in line for line in said)
