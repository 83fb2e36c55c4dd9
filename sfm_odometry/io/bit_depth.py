"""Images of 10, 12, 14 or 16 bits in 16-bit values, brought to the 8 bits that odometry works on.

Thermal and machine vision cameras use a part of the 16-bit range that no format tells: the range is
measured, and held over the frames of a camera so that brightness does not flicker.
"""

import argparse

import cv2
import numpy as np

from sfm_odometry.errors import InputError

BIT_DEPTHS = ("auto", "8", "10", "12", "14", "16")
"""Choices of the parameter camera.bit_depth."""
MAX_SAMPLES = 20_000
"""Pixels that the range is measured on, taken at equal distances."""
DARK_PERCENTILE = 0.5
BRIGHT_PERCENTILE = 99.5
"""Percentiles of a frame's values that become black and white."""
MARGIN = 0.1
"""Room left on both sides of the first frame's range, in shares of it, for brighter and darker
frames."""
FULL_SPREAD = 16384
"""Range of values, from which on a camera uses all 16 bits."""
NARROW_SPREAD = 4096
"""Range of values below which a camera of all 16 bits is no longer one, if it lasts for
NARROW_FRAMES frames."""
NARROW_FRAMES = 10
MIN_SPREAD = 64
"""Smallest range that is stretched; a smaller one is noise."""
ADAPTATION = 0.02
"""Share of the way to a new frame's range that the held range goes."""
MAX_ADAPTATION = 0.01
"""Largest change of each end of the held range from frame to frame, in shares of the range: less
than three grey values."""
MAX_CLIPPED = 0.5
"""Share of a frame's pixels beyond the held range, from which on the range is measured anew."""


class BitDepth:
    """Brings images of one camera, oldest first, to uint8.

    bits: `auto` measures the range of the values that the first frame uses, and lets it follow
    later frames slowly; a camera that uses the whole 16 bits keeps its high byte. A number of bits
    maps 0 to 2**bits - 1, without looking at the values. Raises InputError for another choice.
    """

    def __init__(self, bits: str = "auto") -> None:
        if str(bits) not in BIT_DEPTHS:
            raise InputError(f"bit_depth must be one of {', '.join(BIT_DEPTHS)}, got '{bits}'")
        self.bits = str(bits)
        self.reset()

    def reset(self) -> None:
        """Forget the range: the next frame is that of another camera."""
        self._size: tuple[int, ...] = ()
        self.range: tuple[float, float] | None = None
        """Values that become black and white; None before the first 16-bit frame."""
        self._full = False
        self._narrow_frames = 0

    @property
    def stretches(self) -> bool:
        """Whether a part of the 16-bit values was measured, which becomes 0 to 255."""
        return self.range is not None and not self._full

    def __call__(self, pixels: np.ndarray, truncate: bool = False) -> np.ndarray:
        """Converts an image of uint16 to uint8; one of uint8 passes unchanged.

        truncate: the high byte of full-range values, as image files are read; otherwise 65535
        becomes 255, rounded, as ROS converts mono16.
        """
        if pixels.dtype == np.uint8:
            return pixels
        if pixels.shape[:2] != self._size:
            self.reset()
            self._size = pixels.shape[:2]
        low, high = self._range_of(pixels)
        if (low, high) == (0.0, 65535.0):
            return high_byte(pixels, truncate)
        # Values below black are clipped first: convertScaleAbs would mirror them.
        clipped = np.maximum(pixels, np.uint16(np.ceil(low)))
        scale = 255.0 / (high - low)
        return cv2.convertScaleAbs(clipped, alpha=scale, beta=-low * scale).reshape(pixels.shape)

    def _range_of(self, pixels: np.ndarray) -> tuple[float, float]:
        """Values that become black and white in this frame."""
        if self.bits != "auto":
            return 0.0, float(2 ** int(self.bits) - 1)
        samples = _samples(pixels)
        low, high = np.percentile(samples, (DARK_PERCENTILE, BRIGHT_PERCENTILE)).tolist()
        if self.range is None or self._must_measure_anew(samples, high - low):
            self._full = high - low >= FULL_SPREAD
            self._narrow_frames = 0
            self.range = (0.0, 65535.0) if self._full else _widened(low, high)
        elif not self._full:
            self.range = _adapted(self.range, _widened(low, high))
        return self.range

    def _must_measure_anew(self, samples: np.ndarray, spread: float) -> bool:
        """Whether the held range is that of other images, such as black ones at the start."""
        assert self.range is not None
        self._narrow_frames = self._narrow_frames + 1 if spread < NARROW_SPREAD else 0
        if self._full:
            return self._narrow_frames >= NARROW_FRAMES
        low, high = self.range
        clipped = np.count_nonzero((samples < low) | (samples > high)) / samples.size
        return clipped > MAX_CLIPPED or spread > 2 * FULL_SPREAD


def add_bit_depth_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option --bit-depth, the command line's camera.bit_depth."""
    parser.add_argument(
        "--bit-depth",
        choices=BIT_DEPTHS,
        default="auto",
        help="used bits of images of 16 bits: a number maps 0 to 2^bits - 1 to black and white, "
        "auto (default) the range of the values, which follows slowly; images of 8 bits stay",
    )


def high_byte(pixels: np.ndarray, truncate: bool = False) -> np.ndarray:
    """Converts full-range uint16 to uint8: truncated, or 65535 to 255 and rounded."""
    if truncate:
        return (pixels >> 8).astype(np.uint8)
    return cv2.convertScaleAbs(pixels, alpha=1.0 / 257.0)


def _samples(pixels: np.ndarray) -> np.ndarray:
    """At most about MAX_SAMPLES of the pixels' values, at equal distances, of all channels.

    Without 0 and 65535, as black margins and dead pixels have them, where there are others.
    """
    height, width = pixels.shape[:2]
    stride = max(int(np.sqrt(height * width / MAX_SAMPLES)), 1)
    values = pixels[::stride, ::stride].ravel()
    inner = values[(values > 0) & (values < 65535)]
    return inner if inner.size else values


def _adapted(held: tuple[float, float], wanted: tuple[float, float]) -> tuple[float, float]:
    """The held range after a step towards the wanted one, too small to be seen as a flicker."""
    limit = MAX_ADAPTATION * (held[1] - held[0])
    low_step, high_step = (
        min(max(ADAPTATION * (new - old), -limit), limit)
        for old, new in zip(held, wanted, strict=True)
    )
    return held[0] + low_step, held[1] + high_step


def _widened(low: float, high: float) -> tuple[float, float]:
    """The range with a margin on both sides, of MIN_SPREAD at least, within 16 bits."""
    margin = max(MARGIN * (high - low), (MIN_SPREAD - (high - low)) / 2)
    return max(low - margin, 0.0), min(high + margin, 65535.0)
