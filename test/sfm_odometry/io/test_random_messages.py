"""Random messages through decoding, calibration, preprocessing and the window: 20,000 cases of what
no camera should send.

The outcome is an image, intrinsics or a refusal with a reason; never another exception, never a
number that is not finite.
"""

import array
import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import ACCEPTED_ENCODINGS, RefusedImage, decode_image
from sfm_odometry.tracking.window import Arrival, FrameWindow


def cases(count: int) -> settings:
    """The same cases every time: a failure is to be found by whoever runs the tests next, too."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


NOISE = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8).tobytes()
SIZES = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 2**16, 2**31, 2**32 - 1])
STEPS = st.sampled_from([-8, -1, 0, 0, 0, 0, 1, 3, 2**31])
BYTES_IN_A_PIXEL = {
    "mono16": 2,
    "rgb8": 3,
    "bgr8": 3,
    "8UC3": 3,
    "rgb16": 6,
    "bgr16": 6,
    "rgba8": 4,
    "bgra8": 4,
    "8UC4": 4,
}
ENCODINGS = st.sampled_from(
    [*ACCEPTED_ENCODINGS, "", "64FC9", "32FC1", "MONO8", "rgb8 ", "\x00", "bayer_rggb16", "ä" * 300]
)


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Often nearly right: a step or a length that is off by a little, or not at all."""
    width, height, encoding = draw(SIZES), draw(SIZES), draw(ENCODINGS)
    pixel = 2 if encoding.startswith(("yuv", "uyvy")) else BYTES_IN_A_PIXEL.get(encoding, 1)
    step = min(max(width * pixel + draw(STEPS), 0), 2**32 - 1)
    length = max(step * height + draw(STEPS), 0)
    return Image(width=width, height=height, encoding=encoding, step=step, is_bigendian=draw(st.sampled_from([0, 1, 255])),
                 data=array.array("B", NOISE[: min(length, len(NOISE))]))  # fmt: skip


@cases(8000)
@given(images())
def test_an_image_is_decoded_or_refused(message: Image) -> None:
    try:
        image = decode_image(message)
    except RefusedImage as refusal:
        assert (
            refusal.reason in ("encoding", "size", "step", "length")
            and "\n" not in str(refusal)
            and len(str(refusal)) < 400
        )
        return
    assert image.dtype == np.uint8 and image.shape in (
        (message.height, message.width),
        (message.height, message.width, 3),
    )


PNG = cv2.imencode(".png", np.zeros((6, 10, 3), np.uint8))[1].tobytes()
JPEG = cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes()


@cases(2500)
@given(
    st.sampled_from([PNG, JPEG, NOISE]),
    st.integers(0, 800),
    st.integers(0, 400),
    st.integers(0, 255),
    st.sampled_from(["jpeg", ""]),
)
def test_a_compressed_image_is_decoded_or_refused(
    file: bytes, length: int, place: int, value: int, kind: str
) -> None:
    data = bytearray(file[:length])
    if place < len(data):
        data[place] = value
    try:
        image = decode_image(CompressedImage(format=kind, data=array.array("B", data)))
    except RefusedImage as refusal:
        assert refusal.reason == "decode"
        return
    assert image.dtype == np.uint8 and image.ndim in (2, 3)


# Width and height, or two other numbers that go together: few draws, as each costs time.
PAIRS = st.sampled_from(
    [
        (0, 0),
        (48, 32),
        (48, 24),
        (24, 16),
        (1, 1),
        (1, 2),
        (2, 2),
        (8, 0),
        (100, 2**32 - 1),
        (2**32 - 1, 2**32 - 1),
    ]
)
NUMBERS = st.sampled_from(
    [
        0.0,
        1.0,
        24.0,
        30.0,
        300.0,
        -1.0,
        1e-300,
        1e300,
        -1e300,
        1e18,
        math.nan,
        math.inf,
        -math.inf,
        5e-324,
    ]
)
FOCAL = st.one_of(st.sampled_from([30.0, 300.0]), NUMBERS)
MODELS = st.sampled_from(
    ["plumb_bob", "rational_polynomial", "equidistant", "fisheye", "", "kannala", "x" * 500]
)


@st.composite
def camera_infos(draw: st.DrawFn) -> CameraInfo:
    """Matrices of a camera, or of none; distortion of any length and value; regions and binning
    beyond any sensor."""
    fx, fy, cx, cy = draw(FOCAL), draw(FOCAL), draw(NUMBERS), draw(NUMBERS)
    odd = draw(st.one_of(st.just(0.0), NUMBERS))
    k = [fx, odd, cx, 0.0, fy, cy, 0.0, odd, 1.0]
    p = [draw(FOCAL), odd, cx, 0.0, 0.0, fy, cy, odd, 0.0, 0.0, 1.0, 0.0]
    corner, size, sensor, binning = draw(PAIRS), draw(PAIRS), draw(PAIRS), draw(PAIRS)
    region = RegionOfInterest(x_offset=corner[0], y_offset=corner[1], width=size[0], height=size[1])
    return CameraInfo(width=sensor[0], height=sensor[1], distortion_model=draw(MODELS), d=draw(st.lists(NUMBERS, max_size=9)),
                      k=draw(st.sampled_from([k, [0.0] * 9])), p=draw(st.sampled_from([p, [0.0] * 12])),
                      r=draw(st.sampled_from([[0.0] * 9, [1.0, 0, 0, 0, 1, 0, 0, 0, 1], [odd] * 9])),
                      binning_x=binning[0], binning_y=binning[1], roi=region)  # fmt: skip


def finite(intrinsics: Intrinsics) -> bool:
    return all(
        math.isfinite(number)
        for number in (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
    )


@cases(4000)
@given(
    camera_infos(),
    st.booleans(),
    st.sampled_from([(48, 32), (48, 24), (1, 1)]),
    st.sampled_from(["crop", "stretch", "pad"]),
)
def test_a_calibration_is_used_or_refused(
    message: CameraInfo, rectified: bool, size: tuple[int, int], mode: str
) -> None:
    image = np.full((size[1], size[0]), 128, np.uint8)
    try:
        rectify = Rectifier(Calibration.from_message(message), *size, rectified)
        preprocess = Preprocessor(rectify.intrinsics, 32, 16, 1, mode)
        seen = preprocess(rectify(image))
    except (CalibrationError, ImageError) as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 400
        return
    assert seen.shape == (16, 32, 1) and seen.dtype == np.uint8
    assert finite(rectify.intrinsics) and finite(preprocess.intrinsics)
    assert np.isfinite(np.linalg.inv(preprocess.intrinsics.matrix())).all()


STEPS_NS = st.sampled_from(
    [100_000_000, 100_000_000, 0, 1, -1, -999_999_999, -1_000_000_000, 600_000_000, 2**62, -(2**62)]
)


@cases(5500)
@given(st.lists(STEPS_NS, max_size=10), st.integers(-(2**62), 2**62))
@example([100_000_000] * 8, 1)
def test_the_window_holds_rising_stamps_without_a_gap(steps_ns: list[int], stamp_ns: int) -> None:
    window: FrameWindow[int] = FrameWindow(5, 500_000_000)
    for number, step_ns in enumerate(steps_ns):
        before, stamp_ns = window.stamps_ns, stamp_ns + step_ns
        added = window.add(number, stamp_ns)
        stamps_ns = window.stamps_ns
        assert len(window.frames) == len(stamps_ns) <= 5
        assert all(0 < late - early <= 500_000_000 for early, late in itertools.pairwise(stamps_ns))
        if added.arrival is Arrival.REFUSED:
            assert added.reason and stamps_ns == before
        else:
            assert stamps_ns[-1] == stamp_ns and window.frames[-1] == number


@pytest.mark.parametrize(
    "message",
    [
        CameraInfo(width=48, height=32, p=[math.nan] * 12),
        CameraInfo(width=48, height=32, k=[-1.0] * 9),
    ],
)
def test_the_nightmares_by_name_are_refused(message: CameraInfo) -> None:
    with pytest.raises(CalibrationError):
        Calibration.from_message(message)
