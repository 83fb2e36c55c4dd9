"""What images and camera_info contain, over topics: few bits, little to see, odd numbers."""

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from sfm_odometry.nodes.conversions import byte_array

K = [300.0, 0.0, 211.5, 0.0, 300.0, 67.5, 0.0, 0.0, 1.0]


def camera_info(k: list[float] = K, **fields: object) -> CameraInfo:
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    return CameraInfo(**{"width": 424, "height": 136, "k": k, "p": p, **fields})


def sixteen_bits(rig, index: int, gain: int, offset: int, encoding: str) -> dict[str, object]:
    """Fields of a frame as a 16-bit image, of gain * grey + offset."""
    pixels = np.frombuffer(rig.frames[index].image.data, np.uint8).reshape(136, 424, 3)
    wide = pixels[..., 1].astype("<u2") * gain + offset
    return {"encoding": encoding, "step": 848, "data": byte_array(wide.tobytes())}


def ends(rig, gain: int, offset: int, encoding: str) -> np.ndarray:
    """Position after six frames."""
    for index in range(6):
        rig.send(index, **sixteen_bits(rig, index, gain, offset, encoding))
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    position = rig.received.odom[-1].pose.pose.position
    return np.array([position.x, position.y, position.z])


@pytest.mark.parametrize(("parameter", "gain", "offset", "encoding"), [
    ("auto", 2, 3000, "mono16"), ("auto", 16, 0, "16UC1"), ("12", 16, 0, "MONO16"),
])  # fmt: skip
def test_images_of_a_few_bits_are_seen_in_all_their_grey_levels(
    rig, parameter: str, gain: int, offset: int, encoding: str
) -> None:
    rig.start(**{"camera.bit_depth": parameter})
    assert np.isfinite(ends(rig, gain, offset, encoding)).all()
    assert "grey levels" not in str(rig.node.state)
    assert rig.count("frames_refused") == 0


@pytest.mark.parametrize(("data", "words"), [
    (np.where(np.arange(136 * 424) % 3, 60, 90), "2 grey levels in the image"),
    (np.zeros(136 * 424), "the image is nearly black"),
    (np.full(136 * 424, 255), "the image is saturated"),
])  # fmt: skip
def test_an_image_in_which_little_is_seen_is_told_in_the_state(
    rig, data: np.ndarray, words: str
) -> None:
    rig.start(**{"diagnostics.period": 0.1})
    dull = {"encoding": "mono8", "step": 424, "data": byte_array(data.astype(np.uint8).tobytes())}
    rig.send(0, **dull)
    rig.spinner.until(
        lambda: any(words in status.status[0].message for status in rig.received.status)
    )
    for index in range(1, 7):
        rig.send(index)
    rig.spinner.until(lambda: rig.count("frames_processed") == 7)
    assert words not in str(rig.node.state)


def test_four_grey_levels_of_16_bits_are_told_where_the_bits_are_fixed(rig) -> None:
    rig.start(**{"camera.bit_depth": "16"})
    rig.send(0, **sixteen_bits(rig, 0, 2, 3000, "mono16"))
    rig.spinner.until(lambda: rig.count("frames_processed") == 1)
    assert "3 grey levels in the image" in str(rig.node.state)


@pytest.mark.parametrize("region", [
    RegionOfInterest(x_offset=100, y_offset=50, width=424, height=136),
    RegionOfInterest(x_offset=100, y_offset=50),
])  # fmt: skip
def test_a_camera_info_that_contradicts_itself_does_not_turn_the_path(rig, region) -> None:
    rig.other_info = camera_info(roi=region)
    rig.start()
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    assert "camera_info contradicts itself: its region of interest" in str(rig.node.state)
    assert rig.node.pipeline._rectifier.intrinsics == rig.drive.sequence.intrinsics


@pytest.mark.parametrize(("k", "words"), [
    ([0.58, 0.0, 0.5, 0.0, 1.92, 0.5, 0.0, 0.0, 1.0], "looks like shares of the image"),
    ([4.2, 0.0, 2.4, 0.0, 4.2, 1.8, 0.0, 0.0, 1.0], "looks like millimetres or metres"),
    ([300.0, 0.0, 2000.0, 0.0, 300.0, 67.5, 0.0, 0.0, 1.0], "a centre near the image"),
])  # fmt: skip
def test_intrinsics_that_no_camera_has_are_refused_with_their_cause(
    rig, k: list[float], words: str
) -> None:
    rig.other_info = camera_info(k)
    rig.start()
    rig.send(0)
    rig.spinner.until(lambda: rig.count("refused_camera_info") == 1)
    rig.spinner.until(lambda: rig.logged(words))
    # An image may overtake its camera_info.
    rig.other_info = None
    for index in range(1, 8):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) >= 5)
