"""Playback of one drive: the odometry node, the player, and this process as their recorder."""

import time
from pathlib import Path

from demo.drive import DemoDrive
from demo.processes import Child, child_environment, python_command
from demo.progress import Progress
from demo.recorder import Recorder
from demo.recording import NodeRecording, read_publish_log

READY_TIMEOUT_S = 120.0
SILENCE_S = 3.0
"""Silence of the node after the last image, after which nothing more is waited for."""
POLL_S = 0.1
SAMPLES = 24
"""Depth images and masks that are kept, from which the report's pictures are chosen."""


def play(
    drive: DemoDrive,
    logs: Path,
    model: Path | None,
    rate_hz: float | None,
    progress: Progress,
    live: tuple[str, int] | None = None,
) -> tuple[NodeRecording, dict[int, int]]:
    """Play a drive and record the node.

    live: host and port at which the node serves its live view; None for none.

    Returns the recording and {stamp_ns: publish_time_ns} of the frames played. Raises ChildError
    where the node or the player fails, or the node does not get ready.
    """
    publish_log = logs / "published.csv"
    environment = child_environment()
    with Recorder(sample_every=max(1, drive.frames // SAMPLES)) as recorder:
        # Start the node.
        node_log = logs / "odometry_node.log"
        with Child("odometry node", _node_command(model, live), node_log, environment) as node:
            _wait_until_ready(recorder, node, progress)

            # Play the drive.
            command = _player_command(drive, rate_hz, publish_log)
            with Child("player", command, logs / "kitti_player.log", environment) as player:
                _wait_for_player(recorder, node, player, drive.frames, progress)
                player.check_success()

            # Let the node finish.
            _wait_for_silence(recorder, node, drive.frames, progress)
            node.stop()
            node.check_success()
        return recorder.recording, read_publish_log(publish_log)


def _node_command(model: Path | None, live: tuple[str, int] | None) -> list[str]:
    values = {} if model is None else {"model.path": str(model.absolute())}
    if live is not None:
        values |= {"live.host": live[0], "live.port": str(live[1])}
    parameters = [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
    return python_command("sfm_odometry.nodes.odometry_node", "--ros-args", *parameters)


def _player_command(drive: DemoDrive, rate_hz: float | None, publish_log: Path) -> list[str]:
    options = ["--frames", str(drive.frames), "--publish-log", str(publish_log)]
    options += [] if drive.camera is None else ["--camera", str(drive.camera)]
    options += [] if rate_hz is None else ["--hz", str(rate_hz)]
    return python_command("sfm_odometry.nodes.kitti_player", str(drive.folder), *options)


def _wait_until_ready(recorder: Recorder, node: Child, progress: Progress) -> None:
    """Wait until the node listens for images; raises ChildError where it does not."""
    progress.say("starting the odometry node")
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not recorder.node_ready():
        node.check_alive()
        if time.monotonic() > deadline_s:
            raise node.fail(f"was not ready after {READY_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)


def _wait_for_player(
    recorder: Recorder, node: Child, player: Child, frames: int, progress: Progress
) -> None:
    """Show the recorder's progress until the player has ended."""
    while not player.wait(POLL_S):
        node.check_alive()
        _show_progress(recorder, frames, progress)


def _wait_for_silence(recorder: Recorder, node: Child, frames: int, progress: Progress) -> None:
    """Wait until all frames' odometry has come, or none has come for SILENCE_S."""
    received = -1
    last_s = time.monotonic()
    while received < frames and time.monotonic() - last_s < SILENCE_S:
        node.check_alive()
        if len(recorder.recording.odometry) != received:
            received = len(recorder.recording.odometry)
            last_s = time.monotonic()
        _show_progress(recorder, frames, progress)
        time.sleep(POLL_S)


def _show_progress(recorder: Recorder, frames: int, progress: Progress) -> None:
    recording = recorder.recording
    progress.count(
        step="tracking",
        done=len(recording.odometry),
        total=frames,
        details=f"{recording.depths_received} depth images, {recording.masks_received} masks",
    )
