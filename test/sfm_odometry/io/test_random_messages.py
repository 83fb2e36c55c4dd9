"""20,000 random messages, most of them invalid, in decoding, calibration, preprocessing and window.

The outcome is an image, intrinsics or a refusal with a reason; never another exception, never a
number that is not finite.
"""

import array
import itertools
import math
from collections.abc import Iterator
from random import Random

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import RESIZE_MODES, Preprocessor
from sfm_odometry.io.bit_depth import BIT_DEPTHS, BitDepth
from sfm_odometry.io.image_quality import image_problem
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import ACCEPTED_ENCODINGS, RefusedImage, decode_image
from sfm_odometry.tracking.window import Arrival, FrameWindow


def generators(count: int) -> Iterator[Random]:
    """Random numbers of each of `count` cases, the same in every run."""
    return (Random(seed) for seed in range(count))


NOISE = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8).tobytes()
SMALL_SIZES = (1, 2, 3, 4, 5, 7, 8, 16)
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 2**16, 2**31, 2**32 - 1)
STEPS = (-8, -1, 0, 0, 0, 0, 1, 3, 2**31)
BYTES_IN_A_PIXEL = {
    "mono16": 2,
    "16UC1": 2,
    "16UC3": 6,
    "16UC4": 8,
    "rgba16": 8,
    "bgra16": 8,
    "rgb8": 3,
    "bgr8": 3,
    "8UC3": 3,
    "rgb16": 6,
    "bgr16": 6,
    "rgba8": 4,
    "bgra8": 4,
    "8UC4": 4,
}
ENCODINGS = (
    *ACCEPTED_ENCODINGS,
    "",
    "64FC9",
    "32FC1",
    "MONO8",
    "rgb8 ",
    "\x00",
    "RGB8",
    "Y16",
    "NV12",
    "16uc1",
    "ä" * 300,
)


def random_image(random: Random) -> Image:
    """A message that is often valid, or nearly: with a slightly wrong step or length."""
    width, height = (random.choice(random.choice([SMALL_SIZES, SIZES])) for _ in range(2))
    encoding = random.choice(ENCODINGS)
    two_bytes = encoding.startswith(("yuv", "uyvy")) or encoding.endswith("16")
    pixel = BYTES_IN_A_PIXEL.get(encoding, 2 if two_bytes else 1)
    rows = {"nv12": 1.5, "nv21": 1.5, "NV12": 1.5, "nv24": 3.0}.get(encoding, 1.0)
    step = min(max(width * pixel + random.choice(STEPS), 0), 2**32 - 1)
    length = max(int(step * height * rows) + random.choice(STEPS), 0)
    return Image(
        width=width,
        height=height,
        encoding=encoding,
        step=step,
        is_bigendian=random.choice([0, 1, 255]),
        data=array.array("B", NOISE[: min(length, len(NOISE))]),
    )


def test_an_image_is_decoded_or_refused() -> None:
    bit_depths = [BitDepth(bits) for bits in BIT_DEPTHS]
    for random in generators(8000):
        message = random_image(random)
        try:
            image = decode_image(message, random.choice([None, *bit_depths]))
        except RefusedImage as refusal:
            assert refusal.reason in ("encoding", "size", "step", "length")
            assert "\n" not in str(refusal) and len(str(refusal)) < 400
            continue
        size = (message.height, message.width)
        assert image.dtype == np.uint8 and image.shape in (size, (*size, 3))
        assert "\n" not in image_problem(image)


PNG = cv2.imencode(".png", np.zeros((6, 10, 3), np.uint8))[1].tobytes()
WIDE_PNG = cv2.imencode(".png", np.full((6, 10), 3000, np.uint16))[1].tobytes()
JPEG = cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes()


def test_a_compressed_image_is_decoded_or_refused() -> None:
    for random in generators(2500):
        # Truncate a file and change one byte.
        file = random.choice([PNG, WIDE_PNG, JPEG, JPEG + NOISE[:300], NOISE])
        data = bytearray(file[: random.randint(0, 800)])
        index = random.randint(0, 400)
        if index < len(data):
            data[index] = random.randint(0, 255)
        format_name = random.choice(["jpeg", ""])
        try:
            image = decode_image(CompressedImage(format=format_name, data=array.array("B", data)))
        except RefusedImage as refusal:
            assert refusal.reason == "decode"
            continue
        assert image.dtype == np.uint8 and image.ndim in (2, 3)


PAIRS = (
    (0, 0),
    (96, 64),
    (12, 8),
    (48, 32),
    (48, 24),
    (24, 16),
    (1, 1),
    (1, 2),
    (2, 2),
    (8, 0),
    (100, 2**32 - 1),
    (2**32 - 1, 2**32 - 1),
)
"""Width and height, or other pairs of numbers."""
PLAUSIBLE_PAIRS = ((0, 0), (48, 32), (1, 1))
NUMBERS = (
    0.0,
    1.0,
    24.0,
    30.0,
    300.0,
    0.58,
    0.5,
    3000.0,
    -1.0,
    1e-300,
    1e300,
    -1e300,
    1e18,
    math.nan,
    math.inf,
    -math.inf,
    5e-324,
)
MODELS = (
    "plumb_bob",
    "rational_polynomial",
    "equidistant",
    "fisheye",
    "",
    "kannala",
    "x" * 500,
)


def random_camera_info(random: Random) -> CameraInfo:
    """A calibration of any values: matrices, distortion, region and binning beyond any sensor."""

    def any_of(plausible: tuple[float, ...]) -> float:
        return random.choice(random.choice([plausible, NUMBERS]))

    # Matrices.
    fy = any_of((30.0, 300.0))
    cx = any_of((24.0, 30.0))
    cy = any_of((24.0, 30.0))
    skew = any_of((0.0,))
    k = [any_of((30.0, 300.0)), skew, cx, 0.0, fy, cy, 0.0, skew, 1.0]
    p = [any_of((30.0, 300.0)), skew, cx, 0.0, 0.0, fy, cy, skew, 0.0, 0.0, 1.0, 0.0]
    # Region, sensor and binning.
    corner, size, sensor, binning = (
        random.choice(random.choice([PLAUSIBLE_PAIRS, PAIRS])) for _ in range(4)
    )
    region = RegionOfInterest(x_offset=corner[0], y_offset=corner[1], width=size[0], height=size[1])
    return CameraInfo(
        width=sensor[0],
        height=sensor[1],
        distortion_model=random.choice(MODELS),
        d=random.choices(random.choice([(0.0, 1e-300), NUMBERS]), k=random.randint(0, 9)),
        k=random.choice([k, [0.0] * 9]),
        p=random.choice([p, [0.0] * 12]),
        r=random.choice([[0.0] * 9, [1.0, 0, 0, 0, 1, 0, 0, 0, 1], [skew] * 9]),
        binning_x=binning[0],
        binning_y=binning[1],
        roi=region,
    )


def finite(intrinsics: Intrinsics) -> bool:
    return all(
        math.isfinite(number)
        for number in (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
    )


def test_a_calibration_is_used_or_refused() -> None:
    for random in generators(4000):
        message = random_camera_info(random)
        size = random.choice([(48, 32), (48, 24), (1, 1)])
        image = np.full((size[1], size[0]), 128, np.uint8)
        input_is_rectified = random.choice([False, True])
        mode = random.choice(RESIZE_MODES)
        try:
            rectify = Rectifier(Calibration.from_message(message), *size, input_is_rectified)
            preprocess = Preprocessor(rectify.intrinsics, 32, 16, 1, mode)
            network_input = preprocess(rectify(image))
        except (CalibrationError, ImageError) as refusal:
            assert "\n" not in str(refusal) and len(str(refusal)) < 400
            continue
        preprocess.set_seen(rectify.seen)
        assert preprocess.valid_mask.shape == (16, 32) and "\n" not in rectify.warning
        assert network_input.shape == (16, 32, 1) and network_input.dtype == np.uint8
        assert finite(rectify.intrinsics) and finite(preprocess.intrinsics)
        assert np.isfinite(np.linalg.inv(preprocess.intrinsics.matrix())).all()


STEPS_NS = (
    100_000_000,
    100_000_000,
    0,
    1,
    -1,
    -999_999_999,
    -1_000_000_000,
    600_000_000,
    2**62,
    -(2**62),
)


def test_the_window_holds_rising_stamps_without_a_gap() -> None:
    check_window([100_000_000] * 8, 1)
    for random in generators(5500):
        steps_ns = random.choices(STEPS_NS, k=random.randint(0, 10))
        check_window(steps_ns, random.randint(-(2**62), 2**62))


def check_window(steps_ns: list[int], stamp_ns: int) -> None:
    """Adds frames at stamps with these steps to a window, and checks it after each."""
    window: FrameWindow[int] = FrameWindow(5, 500_000_000)
    for number, step_ns in enumerate(steps_ns):
        before = window.stamps_ns
        stamp_ns += step_ns
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
def test_matrices_of_nan_or_negative_numbers_are_refused(message: CameraInfo) -> None:
    with pytest.raises(CalibrationError):
        Calibration.from_message(message)
