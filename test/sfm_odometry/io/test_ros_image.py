"""Image messages: every encoding, padded rows, byte order, and what is refused."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from sfm_odometry.io.bit_depth import BitDepth
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
    "16UC1": (GREY.astype(np.uint16) * 257, GREY),
    "16UC3": (RGB[..., ::-1].astype(np.uint16) * 257, RGB),
    "rgba16": (WITH_ALPHA.astype(np.uint16) * 257, RGB),
    "bgra16": (WITH_ALPHA[..., [2, 1, 0, 3]].astype(np.uint16) * 257, RGB),
    "16UC4": (WITH_ALPHA[..., [2, 1, 0, 3]].astype(np.uint16) * 257, RGB),
}
PLANES = ("nv12", "nv21", "nv24")


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
    wide = np.tile(tile, (4, 4)).astype(np.uint16) * 257
    sixteen = decode_image(message(wide, f"{encoding[:-1]}16"), BitDepth("16"))
    np.testing.assert_array_equal(sixteen, decoded)


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
    patterns = ("rggb", "bggr", "gbrg", "grbg")
    bayer = {f"bayer_{pattern}{bits}" for pattern in patterns for bits in (8, 16)}
    packed = {"yuv422", "uyvy", "yuv422_yuy2", "yuyv"}
    assert set(ACCEPTED_ENCODINGS) == {*LAYOUTS, *bayer, *packed, *PLANES}


def planes_message(encoding: str, width: int, height: int, padding: int = 0) -> Image:
    """Image of a left half of Y, U, V = 150, 90, 170 and a right half of 80, 128, 128."""
    left = np.arange(width) < width // 2
    luma = np.tile(np.where(left, 150, 80), (height, 1))
    u, v = np.where(left, 90, 128), np.where(left, 170, 128)
    first, second = (v, u) if encoding == "nv21" else (u, v)
    pairs = np.stack([first, second], axis=-1)
    chroma = (
        np.tile(pairs.reshape(1, -1), (height, 1))
        if encoding == "nv24"
        else np.tile(pairs[::2].reshape(1, -1), (height // 2, 1))
    )
    factor = chroma.shape[1] // width
    rows = [np.pad(luma, ((0, 0), (0, padding))), np.pad(chroma, ((0, 0), (0, factor * padding)))]
    data = np.concatenate([part.astype(np.uint8).ravel() for part in rows])
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        step=width + padding,
        data=byte_array(data.tobytes()),
    )


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", PLANES)
def test_yuv_in_planes(encoding: str, padding: int) -> None:
    decoded = decode_image(planes_message(encoding, 8, 4, padding))
    luma = 1.164 * (150 - 16)
    expected = [luma + 1.596 * 42, luma - 0.813 * 42 - 0.391 * -38, luma + 2.018 * -38]
    np.testing.assert_allclose(decoded[:, :4].reshape(-1, 3), [expected] * 16, atol=1.5)
    np.testing.assert_allclose(decoded[:, 4:].reshape(-1, 3), [[74.5] * 3] * 16, atol=1.5)


def test_nv24_may_have_an_odd_size() -> None:
    assert decode_image(planes_message("nv24", 7, 3)).shape == (3, 7, 3)


def test_planes_may_have_a_step_of_all_planes() -> None:
    image = planes_message("nv12", 8, 4)
    image.step = 12
    assert decode_image(image).shape == (4, 8, 3)


@pytest.mark.parametrize(("spelling", "name"), [
    ("RGB8", "rgb8"), ("Mono8", "mono8"), ("rgb8 ", "rgb8"), ("BGR8", "bgr8"),
    ("MONO16", "mono16"), ("16uc1", "16UC1"), ("8uc3", "8UC3"), ("mono8\0", "mono8"),
    ("Y8", "mono8"), ("y16", "mono16"), ("bgr24", "bgr8"), ("mono-8", "mono8"),
])  # fmt: skip
def test_other_spellings_are_understood(spelling: str, name: str) -> None:
    stored, expected = LAYOUTS[name]
    np.testing.assert_array_equal(decode_image(message(stored, spelling)), expected)


@pytest.mark.parametrize("spelling", ["BAYER_RGGB8", "rggb8", "YUV422", "YUYV", "NV12", "yuy2"])
def test_other_spellings_of_bayer_and_yuv_are_understood(spelling: str) -> None:
    if spelling == "NV12":
        assert decode_image(planes_message(spelling, 8, 4)).shape == (4, 8, 3)
    else:
        channels = (2,) if "y" in spelling.lower()[:1] else ()
        pixels = np.full((4, 8, *channels), 100, np.uint8)
        assert decode_image(message(pixels, spelling)).shape == (4, 8, 3)


@pytest.mark.parametrize(("encoding", "gain", "offset"), [
    ("mono16", 2, 3000), ("16UC1", 4, 0), ("rgb16", 16, 0), ("bayer_rggb16", 16, 0),
    ("MONO16", 8, 29000),
])  # fmt: skip
def test_a_few_used_bits_are_stretched(encoding: str, gain: int, offset: int) -> None:
    pixels = RNG.integers(0, 256, (40, 60, 3) if encoding == "rgb16" else (40, 60))
    decoded = decode_image(message((pixels * gain + offset).astype(np.uint16), encoding))
    assert len(np.unique(decoded)) > 100 and decoded.std() > 30


def test_a_compressed_image_of_16_bits_is_stretched_or_keeps_its_high_byte() -> None:
    thermal = np.tile(GREY, (4, 4)).astype(np.uint16) * 2 + 3000
    full = np.tile(GREY, (4, 4)).astype(np.uint16) * 257
    decoded, kept = (
        decode_image(
            CompressedImage(
                format="16UC1; png compressed",
                data=byte_array(cv2.imencode(".png", pixels)[1].tobytes()),
            )
        )
        for pixels in (thermal, full)
    )
    assert decoded.std() > 0.7 * GREY.std()
    np.testing.assert_array_equal(kept, full >> 8)


def with_orientation(data: bytes, orientation: int) -> bytes:
    """Adds an EXIF orientation to a JPEG."""
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation, 0, 0])
    exif = b"Exif\0\0" + tiff + b"\0\0\0\0"
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


def test_a_compressed_image_is_not_turned_by_its_exif_data() -> None:
    """camera_info speaks of the stored image."""
    data = with_orientation(cv2.imencode(".jpg", GREY)[1].tobytes(), 6)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (10, 6, 3)
    decoded = decode_image(CompressedImage(format="jpeg", data=byte_array(data)))
    assert decoded.shape == GREY.shape


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0\0\0\x18ftypmp42" + b"video" * 1000])
def test_a_jpeg_with_a_tail_is_decoded(tail: bytes) -> None:
    data = cv2.imencode(".jpg", RGB)[1].tobytes() + tail
    assert decode_image(CompressedImage(format="jpeg", data=byte_array(data))).shape == RGB.shape


def test_a_truncated_jpeg_is_refused() -> None:
    """OpenCV would fill the rest in grey."""
    data = cv2.imencode(".jpg", np.tile(RGB, (20, 20, 1)))[1].tobytes()
    with pytest.raises(RefusedImage, match="are truncated"):
        decode_image(CompressedImage(format="jpeg", data=byte_array(data[: len(data) // 2])))


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
    (changed(encoding="32FC1"), "encoding",
     "'32FC1' is not accepted: a map of numbers, such as depth or disparity, is no picture, only"),
    (changed(encoding="64FC9"), "encoding", "is no picture"),
    (changed(encoding="h264"), "encoding", "encoding 'h264' is not accepted, only mono8"),
    (changed(encoding=""), "encoding", "encoding ''"),
    (changed(width=0), "size", "0x6 pixels"),
    (changed(height=0), "size", "10x0 pixels"),
    (changed(step=9), "step", "step is 9 bytes, but a row of 10 mono8 pixels has 10"),
    (changed(step=11), "length", "data has 60 bytes, expected 6 rows of 11 bytes = 66"),
    (changed(height=7), "length", "data has 60 bytes, expected 7 rows"),
    (changed(height=5), "length", "data has 60 bytes, expected 5 rows"),
    (changed(data=byte_array(b"")), "length", "data has 0 bytes"),
    (changed(width=2**32 - 1), "step", "4294967295"),
    (changed(encoding="yuv422", width=5, step=10), "size",
     "5x6 yuv422 cannot be converted: two pixels share their colour, expected an even width"),
    (changed(encoding="YUYV", width=5, step=60, height=1), "size", "expected an even width"),
    (changed(encoding="nv12", width=5), "size", "expected an even width"),
    (changed(encoding="nv21", height=3), "size", "expected an even height"),
    (changed(encoding="nv12", width=10, height=6), "length", "60 bytes, expected 90 for 10x6 nv12"),
    (changed(encoding="nv24", width=0), "size", "0x6 pixels"),
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
        RefusedImage, match=f"{len(data)} bytes of format 'jpeg' (cannot be decoded|are truncated)"
    ) as caught:
        decode_image(CompressedImage(format="jpeg", data=byte_array(data)))
    assert caught.value.reason == "decode"
