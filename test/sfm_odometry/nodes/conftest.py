"""A tiny model, a generated drive and a running ROS for the tests of the nodes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
import torch
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from sfm_odometry.checkpoint import save_model
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.pose_files import write_kitti

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0  # how long anything may take on a loaded machine before a test fails


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that was never trained; its motions are small and differ from frame to frame."""
    torch.manual_seed(1)
    depth = DepthNetConfig(encoder_widths=(8, 16, 16, 32, 32, 32, 32), decoder_widths=(32, 32, 32, 16, 16, 16, 8))
    pose = PoseNetConfig(encoder_widths=(8, 16, 16, 32, 32), pose_widths=(32, 32), mask_widths=(32, 16, 16, 16, 8))
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, Model(ModelConfig(depth=depth, pose=pose)), {})
    return path


@pytest.fixture(scope="session")
def drive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve RGB frames in KITTI odometry layout: a texture that moves by, with poses along a curve."""
    folder = tmp_path_factory.mktemp("drives") / "curve"
    (folder / "image_2").mkdir(parents=True)
    rng = np.random.default_rng(5)
    texture = cv2.resize(rng.integers(0, 255, (40, 120, 3), dtype=np.uint8), (600, 200), interpolation=cv2.INTER_CUBIC)
    poses = np.tile(np.eye(4), (12, 1, 1))
    for index in range(12):
        view = np.ascontiguousarray(texture[20 : 20 + 136, 15 * index : 15 * index + 424])
        cv2.imwrite(str(folder / "image_2" / f"{index:06d}.png"), view)
        angle = 0.02 * index
        poses[index, :3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        poses[index, :3, 3] = [0.1 * index**2, 0.0, 0.8 * index]
    matrix = "300 0 211.5 0 0 300 67.5 0 0 0 1 0"
    (folder / "calib.txt").write_text("".join(f"P{camera}: {matrix}\n" for camera in range(4)))
    (folder / "times.txt").write_text("".join(f"{0.1 * index:.6e}\n" for index in range(12)))
    write_kitti(folder / "poses.txt", poses)
    return folder


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    """rclpy, initialised for the module's tests."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


class Spinner:
    """Spins nodes in a thread of their own, and waits for what they bring about."""

    def __init__(self) -> None:
        self._executor = SingleThreadedExecutor()
        self._nodes: list[Node] = []
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)

    def add(self, node: Node) -> Node:
        """Spin the node too."""
        self._nodes.append(node)
        self._executor.add_node(node)
        if not self._thread.is_alive():
            self._thread.start()
        return node

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until the condition holds; fails the test when that takes too long."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what or condition}"
            time.sleep(0.005)

    def call(self, client: object, request: object) -> object:
        """The answer of a service."""
        assert client.wait_for_service(timeout_sec=PATIENCE_S)
        future = client.call_async(request)
        self.until(future.done, "the service's answer")
        return future.result()

    def close(self) -> None:
        """Stop spinning and destroy the nodes."""
        self._executor.shutdown()
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)
        for node in self._nodes:
            node.destroy_node()


@pytest.fixture
def spinner(ros: None) -> Iterator[Spinner]:
    """Spins the test's nodes."""
    result = Spinner()
    yield result
    result.close()


class Processes:
    """Starts the project's modules as processes, and ends them with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen] = []

    def start(self, module: str, *arguments: object) -> subprocess.Popen:
        """`python -m module arguments`, stdout and stderr together in a pipe."""
        # The ROS wheels' bootstrap runs anew in the child.
        environment = {key: value for key, value in os.environ.items() if key != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
        command = [sys.executable, "-m", module, *map(str, arguments)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._started.append(process)
        return process

    def run(self, module: str, *arguments: object) -> tuple[int, str]:
        """Exit code and output of a process that ends by itself."""
        process = self.start(module, *arguments)
        output, _ = process.communicate(timeout=2 * PATIENCE_S)
        return process.returncode, output

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes."""
    result = Processes(tmp_path)
    yield result
    result.close()
