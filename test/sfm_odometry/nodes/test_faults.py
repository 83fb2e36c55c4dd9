"""Faults of the inputs: outputs during a fault, counters and log lines, and recovery."""

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image

from sfm_odometry.errors import InputError
from sfm_odometry.nodes import session, tf_conversions
from sfm_odometry.nodes.conversions import encode_image, make_header, stamp_to_ns

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


def drive(rig, indices: range, count: int, offset_ns: int = 0) -> None:
    for index in indices:
        rig.send(index, START_NS + offset_ns + index * 100_000_000)
    rig.spinner.until(
        lambda: len(rig.received.odom) == count,
        f"{count} odometry messages, are {len(rig.received.odom)}",
    )


def position(message) -> np.ndarray:
    return tf_conversions.matrix_from_pose(message.pose.pose)[:3, 3]


def transform_stamps(rig) -> list[int]:
    return [
        stamp_to_ns(transform.header.stamp)
        for message in rig.received.tf
        for transform in message.transforms
    ]


@pytest.mark.parametrize("reset", [False, True])
def test_a_bag_that_loops_flushes_and_goes_on_or_starts_anew(rig, reset: bool) -> None:
    rig.start(**{"window.reset_on_clock_jump": reset})
    drive(rig, range(8), 8, offset_ns=100 * SECOND_NS)
    drive(rig, range(5), 13)  # 100 s back
    assert rig.count("clock_jumps") == 1
    rig.spinner.until(lambda: rig.logged("clock jumped back 100.70 s"))
    last = position(rig.received.odom[7])
    first = position(rig.received.odom[8])
    np.testing.assert_allclose(first, np.zeros(3) if reset else last, atol=1e-9)
    rig.spinner.until(lambda: len(transform_stamps(rig)) == 13, "transforms of the new time")
    for half in (transform_stamps(rig)[:8], transform_stamps(rig)[8:]):
        assert half == sorted(half)
    drive(rig, range(5, 8), 16)


def test_a_gap_flushes_bridges_with_less_trust_and_says_so(rig) -> None:
    rig.start()
    drive(rig, range(8), 8)
    drive(rig, range(5), 13, offset_ns=1_700_000_000)  # the first one second after the last
    assert rig.count("gaps") == 1
    rig.spinner.until(lambda: rig.logged("gap of 1.00 s"))
    spread = [
        np.trace(np.reshape(message.pose.covariance, (6, 6))) for message in rig.received.odom
    ]
    grown = np.diff(spread)
    assert grown[7] > 3 * np.median(grown[:7])
    drive(rig, range(5, 7), 15, offset_ns=1_700_000_000)


def test_tracking_resumes_after_the_camera_was_restarted(
    rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.start()
    drive(rig, range(6), 6)
    rig.camera.destroy_publisher(rig.image)
    rig.camera.destroy_publisher(rig.info)
    with monkeypatch.context() as timeout:
        timeout.setattr(session, "IMAGE_TIMEOUT_S", 0.5)
        rig.wait_for_state("waiting_image")
        rig.spinner.until(lambda: "nobody publishes /image" in rig.node.state.reason)
    rig.image = rig.camera.create_publisher(Image, "image", 50)
    rig.info = rig.camera.create_publisher(CameraInfo, "camera_info", 50)
    rig.wait_until_connected()
    drive(rig, range(5), 11, offset_ns=20 * SECOND_NS)
    assert rig.node.state.name == "tracking"


def test_another_calibration_flushes_and_goes_on_from_the_pose(rig) -> None:
    rig.start()
    drive(rig, range(7), 7)
    rig.other_info = CameraInfo(
        width=424, height=136, p=[310.0, 0, 211.5, 0, 0, 310, 67.5, 0, 0, 0, 1, 0]
    )
    rig.info.publish(rig.other_info)
    rig.spinner.until(lambda: rig.node.session.inputs.calibration.p[0] == 310.0)
    drive(rig, range(7, 12), 12)  # frames 7 to 11 fill a new window, and 7 is bridged
    assert rig.count("camera_changes") == 1
    rig.spinner.until(lambda: rig.logged("intrinsics changed"))


def test_another_size_is_refused_until_its_camera_info_comes(rig) -> None:
    rig.start()
    drive(rig, range(6), 6)
    half = encode_image(
        np.zeros((68, 212, 3), np.uint8), "rgb8", make_header(1, "camera_optical_frame")
    )
    changes = {name: getattr(half, name) for name in ("width", "height", "step", "data")}
    rig.send(6, info=False, **changes)
    rig.spinner.until(lambda: rig.count("refused_size") == 1)
    rig.spinner.until(lambda: rig.logged("image is 212x68, but camera_info is of 424x136"))
    rig.info.publish(
        CameraInfo(width=212, height=68, p=[150.0, 0, 105.5, 0, 0, 150, 33.5, 0, 0, 0, 1, 0])
    )
    rig.spinner.until(lambda: rig.node.session.inputs.calibration.size == (212, 68))
    for index in range(7, 12):
        rig.send(index, info=False, **changes)
    rig.spinner.until(lambda: rig.count("frames_processed") == 11)
    assert rig.count("camera_changes") == 1


@pytest.mark.parametrize(("fields", "words"), [
    ({"p": [float("nan")] * 12}, "focal lengths nan"),
    ({"p": [-1.0] * 12}, "focal lengths -1, -1"),
    ({}, "K and P are zero"),
    ({"p": [1e308, 0, 0, 0, 0, float("inf"), 0, 0, 0, 0, 1, 0]}, "focal lengths 1e+308, inf"),
])  # fmt: skip
def test_bad_camera_info_is_named_in_the_state(rig, fields: dict, words: str) -> None:
    rig.start()
    rig.other_info = CameraInfo(width=424, height=136, **fields)
    rig.send(0)
    rig.wait_for_state("waiting_camera_info")
    rig.spinner.until(lambda: words in rig.node.state.reason, words)
    assert not rig.received.odom
    rig.other_info = None
    drive(rig, range(1, 6), 6)


def test_an_empty_k_is_replaced_by_p(rig) -> None:
    rig.other_info = CameraInfo(
        width=424, height=136, p=[300.0, 0, 211.5, 0, 0, 300, 67.5, 0, 0, 0, 1, 0]
    )
    rig.start()
    drive(rig, range(6), 6)
    motion = rig.expected(6)[-1].motions[-1]
    base_from_camera = rig.drive.mounting.base_from_camera()
    np.testing.assert_allclose(
        position(rig.received.odom[-1]),
        tf_conversions.base_pose(base_from_camera, motion.start_from_camera)[:3, 3],
        atol=1e-9,
    )


def test_big_endian_mono16_is_decoded(rig) -> None:
    rig.start()
    for index in range(6):
        wide = rig.frames[index].image
        pixels = np.frombuffer(wide.data, np.uint8).reshape(136, 424, 3)[..., 1].astype(">u2") * 257
        data = encode_image(pixels.view(np.uint8), "mono8", make_header(1, "")).data
        rig.send(index, encoding="mono16", is_bigendian=1, step=848, data=data)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    assert rig.count("frames_refused") == 0


@pytest.mark.parametrize(
    "changes",
    [{"width": 0}, {"height": 0}, {"data": []}, {"step": 0}, {"width": 2**31, "height": 2**31}],
)
def test_an_empty_or_huge_image_is_refused_and_tracking_goes_on(rig, changes: dict) -> None:
    rig.start()
    drive(rig, range(5), 5)
    rig.send(5, **changes)
    rig.spinner.until(lambda: rig.count("frames_refused") == 1)
    drive(rig, range(6, 8), 7)


def test_a_missing_gpu_is_an_error_and_auto_falls_back_to_the_cpu(
    rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match="device 'cuda:0' is not there"):
        rig.start(**{"model.device": "cuda:0"})
    rig.start(**{"model.device": "auto"})
    assert rig.status()["device"] == "cpu"
    rig.spinner.until(lambda: rig.logged("on cpu, as torch sees no GPU"))


def test_a_frame_that_runs_out_of_memory_is_skipped(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.start()
    drive(rig, range(6), 6)
    with monkeypatch.context() as fault:

        def no_memory(*arguments: object, **keywords: object) -> None:
            raise MemoryError("no room")

        fault.setattr(type(rig.node.pipeline.estimator), "motion", no_memory)
        fault.setattr("sfm_odometry.tracking.feature_tracks.track_klt", no_memory)
        rig.send(6)
        rig.spinner.until(lambda: rig.count("inference_errors") == 1)
        assert rig.node.state.name == "tracking"  # a single failure is no error state
    drive(rig, range(7, 9), 9)  # frame 6 is in the window, and its odometry comes with 7
    assert rig.status()["inference_errors"] == "1"
