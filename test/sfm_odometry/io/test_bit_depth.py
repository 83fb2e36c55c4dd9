"""16-bit images that use a part of their range: stretched, held over frames, or by fixed bits."""

import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.bit_depth import BIT_DEPTHS, BitDepth

GREY = np.random.default_rng(4).integers(0, 256, (60, 80)).astype(np.uint16)
COLOUR = np.random.default_rng(5).integers(0, 256, (60, 80, 3)).astype(np.uint16)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_the_whole_range_keeps_its_high_byte(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(BitDepth()(pixels * 257), pixels)
    odd = pixels * 257 - (pixels > 0) * np.uint16(100)
    np.testing.assert_array_equal(BitDepth()(odd, truncate=True), odd >> 8)
    np.testing.assert_array_equal(BitDepth("16")(odd, truncate=True), odd >> 8)


def test_images_of_8_bits_pass_unchanged() -> None:
    pixels = GREY.astype(np.uint8)
    assert all(BitDepth(bits)(pixels) is pixels for bits in BIT_DEPTHS)


@pytest.mark.parametrize(("gain", "offset"), [
    (1, 0),  # 8 bits in 16
    (4, 0), (16, 0), (64, 0),  # 10, 12 and 14 bits
    (2, 3000),  # thermal
    (8, 29000),  # hundredths of a kelvin
    (16, 61000),  # a part at the upper end
])  # fmt: skip
@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_a_part_of_the_range_is_stretched(pixels: np.ndarray, gain: int, offset: int) -> None:
    wide = np.clip(pixels.astype(int) * gain + offset, 0, 65535).astype(np.uint16)
    decoded = BitDepth()(wide)
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8
    assert decoded.std() > 0.7 * pixels.std()
    assert correlation(decoded, np.minimum(wide, 65535)) > 0.999


@pytest.mark.parametrize("bits", ["8", "10", "12", "14", "16"])
def test_fixed_bits_map_their_range(bits: str) -> None:
    top = 2 ** int(bits) - 1
    values = np.array([[0, top // 2 + 1, top, min(top + 500, 65535)]], np.uint16)
    assert BitDepth(bits)(values).tolist() == [[0, 128, 255, 255]]


def test_brightness_does_not_flicker() -> None:
    """A hot object that comes into view changes the other pixels by a few grey values."""
    bit_depth = BitDepth()
    before = bit_depth(GREY * 2 + 3000)
    for _ in range(3):
        hot = GREY * 2 + 3000
        hot[:20, :20] = 9000
        pixels = bit_depth(hot)
        assert pixels[:20, :20].min() == 255
        difference = before[20:].astype(int) - pixels[20:]
        assert np.abs(difference).mean() < 6.0
    assert len(np.unique(pixels[20:])) > 100


def test_the_range_follows_slowly() -> None:
    bit_depth = BitDepth()
    bit_depth(GREY * 2 + 3000)
    for _ in range(300):
        pixels = bit_depth(GREY * 2 + 3200)
    assert abs(pixels.mean() - BitDepth()(GREY * 2 + 3200).mean()) < 3.0


@pytest.mark.parametrize("first", [np.zeros_like(GREY), GREY * 0 + 300, GREY * 257])
def test_a_wrong_beginning_is_given_up(first: np.ndarray) -> None:
    """A black, flat or full-range image at the start is that of a camera that still warms up."""
    bit_depth = BitDepth()
    bit_depth(first)
    for _ in range(12):
        pixels = bit_depth(GREY * 2 + 3000)
    assert correlation(pixels, GREY) > 0.99 and pixels.std() > 0.6 * GREY.std()


def test_a_few_flat_frames_do_not_change_a_full_range_camera() -> None:
    bit_depth = BitDepth()
    bit_depth(GREY * 257)
    bit_depth(GREY * 0 + 20000)
    np.testing.assert_array_equal(bit_depth(GREY * 257), GREY)


def test_black_margins_and_dead_pixels_do_not_count() -> None:
    wide = GREY * 2 + 3000
    wide[:, :20] = 0
    wide[7, 33] = 65535
    assert BitDepth()(wide)[:, 20:].std() > 0.7 * GREY.std()


def test_noise_is_not_stretched() -> None:
    noise = 8000 + GREY % 4
    assert BitDepth()(noise).std() < 6.0


def test_another_size_or_a_reset_starts_anew() -> None:
    bit_depth = BitDepth()
    bit_depth(GREY * 257)
    assert not bit_depth.stretches
    bit_depth(GREY[:30] * 2 + 3000)
    assert bit_depth.stretches
    bit_depth.reset()
    assert bit_depth.range is None


def test_an_unknown_number_of_bits_is_refused() -> None:
    with pytest.raises(InputError, match=r"bit_depth must be one of auto, 8, 10, .* got '11'"):
        BitDepth("11")


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 1, 3)])
@pytest.mark.parametrize("value", [0, 1, 65535])
def test_flat_and_tiny_images(shape: tuple[int, ...], value: int) -> None:
    decoded = BitDepth()(np.full(shape, value, np.uint16))
    assert decoded.shape == shape and decoded.dtype == np.uint8
