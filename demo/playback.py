"""One drive through real processes: the odometry node, the player, and this process as their
listener."""

import time
from pathlib import Path

from demo.drive import DemoDrive
from demo.processes import Child, child_environment, python_command
from demo.progress import Progress
from demo.recorder import Recorder
from demo.recording import Recording, read_publish_log

READY_TIMEOUT_S = 120.0
# After the last image: how long the node may stay silent before there is nothing more to wait for.
SILENCE_S = 3.0
POLL_S = 0.1
# Depth and masks to choose the report's panels from.
PANEL_CANDIDATES = 24


def play(
    drive: DemoDrive, logs: Path, model: Path | None, rate_hz: float | None, progress: Progress
) -> tuple[Recording, dict[int, int]]:
    """Play a drive and record the node; returns the recording and {stamp_ns: publish_time_ns} of
    the frames played.

    Raises ChildError when the node or the player fails, or the node does not get ready.
    """
    published = logs / "published.csv"
    with Recorder(keep_every=max(1, drive.frames // PANEL_CANDIDATES)) as recorder:
        with Child(
            "odometry node", _node_command(model), logs / "odometry_node.log", child_environment()
        ) as node:
            _wait_until_ready(recorder, node, progress)
            player_command = _player_command(drive, rate_hz, published)
            with Child(
                "player", player_command, logs / "kitti_player.log", child_environment()
            ) as player:
                _follow(recorder, node, player, drive.frames, progress)
                player.check_success()
            _wait_for_silence(recorder, node, drive.frames, progress)
            node.stop()
            node.check_success()
        return recorder.recording, read_publish_log(published)


def _node_command(model: Path | None) -> list[str]:
    parameters = () if model is None else ("-p", f"model.path:={model.absolute()}")
    return python_command("sfm_odometry.nodes.odometry_node", "--ros-args", *parameters)


def _player_command(drive: DemoDrive, rate_hz: float | None, published: Path) -> list[str]:
    options = ["--frames", str(drive.frames), "--publish-log", str(published)]
    options += [] if drive.camera is None else ["--camera", str(drive.camera)]
    options += [] if rate_hz is None else ["--hz", str(rate_hz)]
    return python_command("sfm_odometry.nodes.kitti_player", str(drive.folder), *options)


def _wait_until_ready(recorder: Recorder, node: Child, progress: Progress) -> None:
    progress.say("starting the odometry node")
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not recorder.node_ready():
        node.check_alive()
        if time.monotonic() > deadline_s:
            raise node.fail(f"was not ready after {READY_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)


def _follow(
    recorder: Recorder, node: Child, player: Child, frames: int, progress: Progress
) -> None:
    """Show what arrives until the player has ended."""
    while not player.wait(POLL_S):
        node.check_alive()
        _show(recorder, frames, progress)


def _wait_for_silence(recorder: Recorder, node: Child, frames: int, progress: Progress) -> None:
    """Let the node finish: until the odometry of all frames is there, or nothing has come for a
    while."""
    heard, since_s = -1, time.monotonic()
    while heard < frames and time.monotonic() - since_s < SILENCE_S:
        node.check_alive()
        if len(recorder.recording.odometry) != heard:
            heard, since_s = len(recorder.recording.odometry), time.monotonic()
        _show(recorder, frames, progress)
        time.sleep(POLL_S)


def _show(recorder: Recorder, frames: int, progress: Progress) -> None:
    heard = recorder.recording
    progress.count(
        "tracking",
        len(heard.odometry),
        frames,
        f"{heard.depths_received} depth images, {heard.masks_received} masks",
    )
