"""Image messages: every encoding, padded rows, byte order, and what is refused."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from sfm_odometry.io.ros_image import ACCEPTED_ENCODINGS, RefusedImage, decode_image
from sfm_odometry.nodes.conversions import byte_array

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 10), dtype=np.uint8)
WITH_ALPHA = np.dstack([RGB, np.full(RGB.shape[:2], 7, np.uint8)])
LAYOUTS = {  # encoding: (pixels in the message, decoded pixels)
    "mono8": (GREY, GREY),
    "8UC1": (GREY, GREY),
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "8UC3": (RGB[..., ::-1], RGB),
    "rgba8": (WITH_ALPHA, RGB),
    "bgra8": (WITH_ALPHA[..., [2, 1, 0, 3]], RGB),
    "8UC4": (WITH_ALPHA[..., [2, 1, 0, 3]], RGB),
    "mono16": (GREY.astype(np.uint16) * 257, GREY),
    "rgb16": (RGB.astype(np.uint16) * 257, RGB),
    "bgr16": (RGB[..., ::-1].astype(np.uint16) * 257, RGB),
}


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    pixels = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.hstack([rows, np.full((len(rows), padding), 99, np.uint8)])
    height, width = pixels.shape[:2]
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        step=rows.shape[1],
        is_bigendian=int(big_endian),
        data=byte_array(rows.tobytes()),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", LAYOUTS)
def test_decoding_gives_the_pixels_in_every_layout(
    encoding: str, big_endian: bool, padding: int
) -> None:
    stored, expected = LAYOUTS[encoding]
    decoded = decode_image(message(stored, encoding, padding, big_endian))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize(("encoding", "first_row", "second_row"), [
    ("bayer_rggb8", "rg", "gb"), ("bayer_bggr8", "bg", "gr"),
    ("bayer_gbrg8", "gb", "rg"), ("bayer_grbg8", "gr", "bg"),
])  # fmt: skip
def test_bayer_patterns_have_ros_order(encoding: str, first_row: str, second_row: str) -> None:
    levels = {"r": 200, "g": 100, "b": 30}
    tile = np.array(
        [[levels[letter] for letter in row] for row in (first_row, second_row)], np.uint8
    )
    decoded = decode_image(message(np.tile(tile, (4, 4)), encoding))
    np.testing.assert_array_equal(decoded[2:-2, 2:-2].reshape(-1, 3), [[200, 100, 30]] * 16)


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
def test_yuv_layouts(encoding: str, order: str) -> None:
    values = {"y": 150, "u": 90, "v": 170}
    row = np.array([values[letter] for letter in order] * 3, np.uint8).reshape(6, 2)
    decoded = decode_image(message(np.stack([row] * 2), encoding))
    # BT.601 with the range of video: R = 1.164 (Y - 16) + 1.596 (V - 128) and so on.
    luma = 1.164 * (150 - 16)
    expected = [luma + 1.596 * 42, luma - 0.813 * 42 - 0.391 * -38, luma + 2.018 * -38]
    np.testing.assert_allclose(decoded.reshape(-1, 3), [expected] * 12, atol=1.5)


def test_every_accepted_encoding_is_tested_here() -> None:
    bayer = {f"bayer_{pattern}8" for pattern in ("rggb", "bggr", "gbrg", "grbg")}
    assert set(ACCEPTED_ENCODINGS) == {*LAYOUTS, *bayer, "yuv422", "uyvy", "yuv422_yuy2", "yuyv"}


def test_last_row_may_lack_its_padding() -> None:
    padded = message(RGB, "rgb8", padding=5)
    padded.data = padded.data[:-5]
    np.testing.assert_array_equal(decode_image(padded), RGB)


def test_common_encodings_are_not_copied() -> None:
    sent = message(RGB, "rgb8")
    decoded = decode_image(sent)
    sent.data[0] = (int(decoded[0, 0, 0]) + 1) % 256
    assert decoded[0, 0, 0] == sent.data[0]


def changed(**fields: object) -> Image:
    image = message(GREY, "mono8")
    for name, value in fields.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize(("image", "reason", "words"), [
    (changed(encoding="32FC1"), "encoding", "encoding '32FC1' is not accepted, only mono8"),
    (changed(encoding=""), "encoding", "encoding ''"),
    (changed(width=0), "size", "0x6 pixels"),
    (changed(height=0), "size", "10x0 pixels"),
    (changed(step=9), "step", "step is 9 bytes, but a row of 10 mono8 pixels has 10"),
    (changed(step=11), "length", "data has 60 bytes, expected 6 rows of 11 bytes = 66"),
    (changed(height=7), "length", "data has 60 bytes, expected 7 rows"),
    (changed(height=5), "length", "data has 60 bytes, expected 5 rows"),
    (changed(data=byte_array(b"")), "length", "data has 0 bytes"),
    (changed(width=2**32 - 1), "step", "4294967295"),
    (changed(encoding="yuv422", width=5, step=10), "size", "5x6 yuv422 cannot be converted"),
])  # fmt: skip
def test_misfits_are_refused_with_the_reason(image: Image, reason: str, words: str) -> None:
    with pytest.raises(RefusedImage, match=words) as caught:
        decode_image(image)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("image", "stored"), [(RGB, RGB[..., ::-1]), (GREY, GREY)])
def test_compressed_png(image: np.ndarray, stored: np.ndarray) -> None:
    data = byte_array(cv2.imencode(".png", np.ascontiguousarray(stored))[1].tobytes())
    np.testing.assert_array_equal(decode_image(CompressedImage(format="png", data=data)), image)


@pytest.mark.parametrize("data", [b"", b"no image", cv2.imencode(".jpg", RGB)[1].tobytes()[:20]])
def test_invalid_compressed_data_is_refused(data: bytes) -> None:
    with pytest.raises(
        RefusedImage, match=f"{len(data)} bytes of format 'jpeg' cannot be decoded"
    ) as caught:
        decode_image(CompressedImage(format="jpeg", data=byte_array(data)))
    assert caught.value.reason == "decode"
