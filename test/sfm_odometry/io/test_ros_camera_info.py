"""CameraInfo: fallbacks, region and binning, and undistortion against the distortion model."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from sfm_odometry.errors import CalibrationError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import RefusedImage

K = [300.0, 0.0, 160.0, 0.0, 310.0, 120.0, 0.0, 0.0, 1.0]
P = [280.0, 0.0, 150.0, 0.0, 0.0, 290.0, 110.0, 0.0, 0.0, 0.0, 1.0, 0.0]
EYE = np.eye(3).ravel().tolist()


def info(**fields: object) -> CameraInfo:
    return CameraInfo(
        **{
            "width": 320,
            "height": 240,
            "k": K,
            "p": P,
            "r": EYE,
            "distortion_model": "plumb_bob",
            "d": [0.0] * 5,
            **fields,
        }
    )


def rectifier(
    message: CameraInfo, rectified: bool = True, width: int = 320, height: int = 240
) -> Rectifier:
    return Rectifier(Calibration.from_message(message), width, height, rectified)


def test_rectified_input_uses_p() -> None:
    assert rectifier(info()).intrinsics == Intrinsics(280.0, 290.0, 150.0, 110.0, 320, 240)


def test_zero_k_falls_back_to_p_and_zero_p_to_k() -> None:
    assert rectifier(info(k=[0.0] * 9)).intrinsics.fx == 280.0
    assert rectifier(info(k=[0.0] * 9), rectified=False).intrinsics.fx == 280.0
    for empty in ([0.0] * 12, np.eye(3, 4).ravel().tolist()):
        assert rectifier(info(p=empty)).intrinsics == Intrinsics(
            300.0, 310.0, 160.0, 120.0, 320, 240
        )


@pytest.mark.parametrize(("fields", "words"), [
    ({"k": [0.0] * 9, "p": [0.0] * 12}, "K and P are zero, the camera is not calibrated"),
    ({"k": EYE, "p": np.eye(3, 4).ravel().tolist()}, "K and P are the identity, the camera is not"),
    ({"p": [float("nan")] * 12}, "focal lengths nan"),
    ({"p": [-280.0, *P[1:]]}, "focal lengths -280, 290"),
    ({"p": [*P[:5], float("inf"), *P[6:]]}, "focal lengths 280, inf"),
])  # fmt: skip
def test_unusable_calibrations_are_refused(fields: dict, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        Calibration.from_message(info(**fields))


def test_equal_messages_give_equal_calibrations() -> None:
    assert Calibration.from_message(info()) == Calibration.from_message(info())
    assert Calibration.from_message(info()) != Calibration.from_message(info(p=[281.0, *P[1:]]))


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(RefusedImage, match="image is 640x480, but camera_info is of 320x240"):
        rectifier(info(), width=640, height=480)


def test_a_camera_info_without_size_has_that_of_the_images() -> None:
    assert rectifier(info(width=0, height=0), width=640, height=480).intrinsics.width == 640


def test_region_and_binning_move_the_projection_as_they_move_the_pixels() -> None:
    region = RegionOfInterest(x_offset=40, y_offset=20, width=200, height=160)
    intrinsics = rectifier(
        info(roi=region, binning_x=2, binning_y=4), width=100, height=40
    ).intrinsics
    point = np.array([0.1, -0.05, 1.0])
    full = np.array(P).reshape(3, 4)[:, :3] @ point
    # Pixel i of the binned image is the mean of the sensor's pixels left + b i ... left + b i + b -
    # 1.
    expected = ((full[:2] - [40, 20]) - [0.5, 1.5]) / [2, 4]
    np.testing.assert_allclose((intrinsics.matrix() @ point)[:2], expected, atol=1e-9)


@pytest.mark.parametrize(("model", "distortion"), [
    ("plumb_bob", [-0.25, 0.08, 0.002, -0.001, 0.0]),
    ("rational_polynomial", [0.2, 0.05, 0.001, 0.0, 0.01, 0.3, 0.02, 0.0]),
    ("equidistant", [0.05, -0.01, 0.002, 0.0]),
])  # fmt: skip
@pytest.mark.parametrize("turn_rad", [0.0, 0.05])
def test_undistortion_inverts_the_distortion_model(
    model: str, distortion: list[float], turn_rad: float
) -> None:
    rotation = cv2.Rodrigues(np.array([0.0, turn_rad, 0.0]))[0]
    rectify = rectifier(
        info(distortion_model=model, d=distortion, r=rotation.ravel().tolist()), rectified=False
    )
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    # The brightness of a pixel is its coordinate in the source image.
    for ramp, scale in ((columns, 255 / 319), (rows, 255 / 239)):
        axis = 0 if ramp is columns else 1
        image = np.rint(ramp * scale).astype(np.uint8)
        rectified = rectify(image)
        for u, v in ((150, 110), (100, 60), (220, 160), (60, 180)):
            ray = rotation.T @ np.linalg.inv(rectify.intrinsics.matrix()) @ [u, v, 1.0]
            project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
            source = project(
                ray.reshape(1, 1, 3),
                np.zeros(3),
                np.zeros(3),
                np.array(K).reshape(3, 3),
                np.array(distortion),
            )[0].ravel()
            assert abs(rectified[v, u] - source[axis] * scale) < 1.5


def test_an_undistorted_image_is_not_resampled() -> None:
    image = np.arange(240 * 320, dtype=np.uint32).astype(np.uint8).reshape(240, 320)
    undistorted = rectifier(info(p=[300.0, 0, 160, 0, 0, 310, 120, 0, 0, 0, 1, 0]), rectified=False)
    assert undistorted(image) is image


def test_unknown_distortion_is_refused_for_raw_images_only() -> None:
    unknown = info(distortion_model="kannala", d=[0.1])
    assert rectifier(unknown).intrinsics.fx == 280.0
    with pytest.raises(
        CalibrationError, match="distortion model 'kannala' is not known, expected one of plumb_bob"
    ):
        rectifier(unknown, rectified=False)


@pytest.mark.parametrize(("fields", "words"), [
    ({"d": [0.1]}, r"D of plumb_bob has 1 values \(0.1\), expected 4, 5, 8, 12, 14 finite ones"),
    ({"d": [float("nan")] * 5}, r"D of plumb_bob has 5 values \(nan"),
    ({"d": [0.1] * 3, "distortion_model": "equidistant"},
     "D of equidistant has 3 values .* expected 4 finite ones"),
    ({"r": [2.0] * 9}, "R is no rotation: 2, 2, 2"),
    ({"r": [-value for value in EYE]}, "R is no rotation: -1"),
])  # fmt: skip
def test_invalid_distortion_or_rotation_is_refused_for_raw_images_only(
    fields: dict, words: str
) -> None:
    assert (
        rectifier(info(**fields)).intrinsics.fx == 280.0
    )  # they are not used for rectified images
    with pytest.raises(CalibrationError, match=words):
        rectifier(info(**fields), rectified=False)


@pytest.mark.parametrize("fields", [
    {"p": [1e300, *P[1:]]}, {"p": [*P[:2], -1e18, *P[3:]]}, {"p": [1e-300, *P[1:]]},
    {"binning_x": 2**32 - 1}, {"roi": RegionOfInterest(x_offset=2**32 - 1)},
])  # fmt: skip
def test_numbers_beyond_any_camera_are_refused(fields: dict) -> None:
    with pytest.raises(CalibrationError, match="are not those of a camera"):
        rectifier(info(**{"width": 0, "height": 0, **fields}))


REGION = RegionOfInterest
SENSOR_K = [600.0, 0.0, 320.0, 0.0, 620.0, 240.0, 0.0, 0.0, 1.0]
IMAGE_K = [300.0, 0.0, 160.0, 0.0, 310.0, 120.0, 0.0, 0.0, 1.0]


def of_k(k: list[float], **fields: object) -> CameraInfo:
    return info(k=k, p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0], **fields)


@pytest.mark.parametrize(("message", "words"), [
    # Baxter, camera1394: the whole width at an offset.
    (of_k(IMAGE_K, roi=REGION(x_offset=100, y_offset=50, width=320, height=240)),
     "region of interest 320x240 at 100, 50 lies outside its 320x240 pixels; K and P are taken"),
    (of_k(IMAGE_K, roi=REGION(x_offset=100, y_offset=50)), "at 100, 50 has no size; K and P"),
    (of_k(IMAGE_K, roi=REGION(x_offset=100), width=0, height=0), "at 100, 0 has no size"),
    (of_k(IMAGE_K, roi=REGION(y_offset=60, width=320)), "320x0 at 0, 60 has no size"),
    # The sensor's size as the region, in the image's size.
    (of_k(IMAGE_K, roi=REGION(width=640, height=480)), "640x480 at 0, 0 lies outside its 320x240"),
    # Binning told twice: in the size, in K, or in both.
    (of_k(IMAGE_K, binning_x=2, binning_y=2), "size 320x240 is that of the image, before binning"),
    (of_k(IMAGE_K, binning_x=2, binning_y=2, width=640, height=480),
     "its principal point is that of the image, not of the sensor; K and P are taken as they are"),
    # The region's own K.
    (of_k(IMAGE_K, width=640, height=480,
          roi=REGION(x_offset=160, y_offset=120, width=320, height=240)),
     "its principal point is that of the image"),
])  # fmt: skip
@pytest.mark.parametrize("rectified", [False, True])
def test_a_contradiction_is_decided_by_the_principal_point_and_said(
    message: CameraInfo, words: str, rectified: bool
) -> None:
    rectify = rectifier(message, rectified)
    assert rectify.intrinsics == Intrinsics(300.0, 310.0, 160.0, 120.0, 320, 240)
    assert words in rectify.warning and "\n" not in rectify.warning


@pytest.mark.parametrize(("message", "words", "centre"), [
    # K is of the sensor although the size is of the image.
    (of_k(SENSOR_K, binning_x=2, binning_y=2), "binning 2x2 applied", (159.75, 119.75)),
    (of_k(SENSOR_K, roi=REGION(x_offset=160, y_offset=120, width=320, height=240)),
     "the offset 160, 120 applied", (160.0, 120.0)),
    (of_k(SENSOR_K, roi=REGION(x_offset=160, y_offset=120)), "the offset 160, 120", (160.0, 120.0)),
    # An offset that was applied already, and binning that was not.
    (of_k(SENSOR_K, binning_x=2, binning_y=2, roi=REGION(x_offset=300, y_offset=200)),
     "binning 2x2 applied", (159.75, 119.75)),
])  # fmt: skip
def test_a_contradiction_with_the_sensors_matrix(
    message: CameraInfo, words: str, centre: tuple[float, float]
) -> None:
    rectify = rectifier(message)
    assert words in rectify.warning
    assert (rectify.intrinsics.cx, rectify.intrinsics.cy) == pytest.approx(centre)


@pytest.mark.parametrize("message", [
    of_k(SENSOR_K, width=640, height=480, binning_x=2, binning_y=2),
    of_k(SENSOR_K, width=640, height=480, roi=REGION(x_offset=160, y_offset=120, width=320,
                                                     height=240)),
    of_k(SENSOR_K, width=640, height=480, roi=REGION(x_offset=320, width=320, height=240)),
    of_k(SENSOR_K, width=640, height=480, roi=REGION(width=640, height=480), binning_x=2,
         binning_y=2),
    of_k(IMAGE_K, roi=REGION(width=320, height=240)),
    of_k(IMAGE_K),
])  # fmt: skip
def test_a_camera_info_that_fits_together_is_taken_without_a_word(message: CameraInfo) -> None:
    assert rectifier(message).warning == ""


def test_a_region_in_a_corner_of_the_sensor_is_plausible() -> None:
    """Its principal point is far outside of the image."""
    region = REGION(x_offset=590, y_offset=430, width=50, height=50)
    message = of_k(SENSOR_K, width=640, height=480, roi=region)
    assert rectifier(message, width=50, height=50).intrinsics.cx == -270.0


@pytest.mark.parametrize(("k", "words"), [
    ([0.58, 0, 0.5, 0, 0.77, 0.5, 0, 0, 1], "camera_info: .* looks like shares of the image"),
    ([4.2, 0, 2.4, 0, 4.2, 1.8, 0, 0, 1], "looks like millimetres"),
    ([17000.0, 0, 160, 0, 17000, 120, 0, 0, 1], "expected focal lengths from 32 to 16000"),
    ([300.0, 0, 900, 0, 300, 120, 0, 0, 1], "a centre near the image"),
])  # fmt: skip
@pytest.mark.parametrize("size", [(0, 0), (320, 240)])
def test_numbers_that_cannot_be_a_cameras_are_refused(
    k: list[float], words: str, size: tuple[int, int]
) -> None:
    with pytest.raises(CalibrationError, match=words):
        rectifier(of_k([float(value) for value in k], width=size[0], height=size[1]))


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
def test_black_margins_of_undistortion_are_not_seen(model: str) -> None:
    barrel = [0.3, 0.0, 0.0, 0.0] if model == "plumb_bob" else [0.5, 0.0, 0.0, 0.0]
    rectify = rectifier(of_k(IMAGE_K, d=barrel, distortion_model=model), rectified=False)
    rectified = rectify(np.full((240, 320), 200, np.uint8))
    assert rectify.seen is not None and not rectify.seen.all() and rectify.seen[120, 160]
    assert (rectified[rectify.seen] == 200).all() and rectified[~rectify.seen].min() == 0
    assert rectify.seen is rectify.seen


def test_an_image_without_margins_is_all_seen() -> None:
    assert rectifier(info()).seen is None
    inward = rectifier(of_k(IMAGE_K, d=[-0.2, 0.0, 0.0, 0.0]), rectified=False)
    assert inward.resamples and inward.seen is None
