"""Overload and bad input: full queues, missing frames, floods of warnings, a depth of NaN."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from cv_bridge import CvBridge
from sensor_msgs.msg import Image

from sfm_odometry.inference.checkpoint import load_model, save_model
from sfm_odometry.io.ros_image import ACCEPTED_ENCODINGS

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000


def drive(rig, indices: range, count: int) -> None:
    for index in indices:
        rig.send(index)
    rig.spinner.until(
        lambda: len(rig.received.odom) == count,
        f"{count} odometry messages, are {len(rig.received.odom)}",
    )


def test_a_full_queue_drops_its_oldest_frames_and_counts_them(rig) -> None:
    rig.start(queue_size=3, **{"window.max_gap": 1.0})
    pipeline = rig.node.pipeline
    track = pipeline._track
    started = threading.Event()
    go_on = threading.Event()
    pipeline._track = lambda *arguments: (started.set(), go_on.wait(60), track(*arguments))[2]
    rig.send(0)
    assert started.wait(60)
    for index in range(1, 9):
        rig.send(index)
        rig.spinner.until(lambda arrived=index + 1: rig.count("frames_received") == arrived)
    assert len(rig.node.session.queue) == 3
    assert rig.count("dropped_slow") == rig.count("frames_dropped") == 5
    go_on.set()
    rig.spinner.until(lambda: rig.count("frames_processed") == 4)
    assert pipeline._odometry._window.stamps_ns == [
        START_NS + index * STEP_NS for index in (0, 6, 7, 8)
    ]
    drive(rig, range(9, 11), 6)
    assert rig.status()["dropped_slow"] == "5"


def test_missing_frames_are_counted_and_tracking_goes_on(rig) -> None:
    rig.start()
    sent = [index for index in range(12) if index not in (7, 9, 10)]
    for index in sent:
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == len(sent))
    status = rig.status()
    assert (status["frames_missing"], status["gaps"], status["state"]) == ("3", "0", "tracking")


def test_an_unknown_encoding_is_named_with_what_is_accepted(rig) -> None:
    rig.start()
    drive(rig, range(5), 5)
    rig.send(5, encoding="rgb12")
    rig.spinner.until(
        lambda: rig.logged(
            "frame refused: encoding 'rgb12' is not accepted, only " + ", ".join(ACCEPTED_ENCODINGS)
        )
    )
    drive(rig, range(6, 8), 7)


def test_a_flood_of_bad_frames_is_one_line_of_each_kind_in_the_log(rig) -> None:
    rig.start()
    for index in range(100):
        rig.send(index, encoding="rgb12")
        rig.send(index, step=3)
    rig.spinner.until(lambda: rig.count("frames_refused") == 200, "200 refusals")
    refusals = [line for line in rig.whole_log() if "frame refused" in line]
    assert any("encoding 'rgb12'" in line for line in refusals) and any(
        "step is 3 bytes" in line for line in refusals
    )
    assert len(refusals) <= 6  # two kinds, each logged every five seconds


def test_a_stamp_that_no_message_can_hold_is_refused(rig) -> None:
    rig.start()
    drive(rig, range(5), 5)
    frame = rig.frames[5]
    frame.stamp(START_NS)
    frame.image.header.stamp.sec = 2**31 - 1
    frame.image.header.stamp.nanosec = 2**32 - 1
    rig.image.publish(frame.image)
    rig.spinner.until(lambda: rig.count("refused_far_stamp") == 1)
    drive(rig, range(6, 8), 7)


@pytest.fixture
def blind_model(model_path: Path, tmp_path: Path) -> Path:
    """Model whose depth is NaN, as its finite weights are so large that sums overflow."""
    model = load_model(model_path)
    for tensor in model.depth_net.parameters():
        tensor.copy_(torch.where(tensor < 0, -1e38, 1e38))
    path = tmp_path / "blind.safetensors"
    save_model(path, model, {})
    return path


def test_a_depth_of_nan_is_unknown_depth_and_leaves_the_odometry_finite(
    rig, blind_model: Path
) -> None:
    depth: list[Image] = rig.listen(Image, "depth/image_rect", "depth")
    rig.start(**{"model.path": str(blind_model)})
    rig.spinner.until(lambda: rig.outputs.depth.has_subscribers)
    drive(rig, range(7), 7)
    rig.spinner.until(lambda: len(depth) == 7)
    assert all(np.isnan(CvBridge().imgmsg_to_cv2(image, "passthrough")).all() for image in depth)
    for message in rig.received.odom:
        assert (
            np.isfinite(message.pose.covariance).all()
            and np.isfinite(message.twist.covariance).all()
        )
        assert np.isfinite(message.pose.pose.position.x) and np.isfinite(
            message.twist.twist.linear.x
        )
    assert rig.count("frames_unrefined") > 0
