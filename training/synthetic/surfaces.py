"""Opaque textures: walls, facades, roofs, bark, ground detail.

All are RGBA uint8; colours are reflectances, 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.synthetic.noise import fractal, opaque, tinted

Colour = tuple[float, float, float]
WALLS: tuple[Colour, ...] = (
    (205, 198, 180),
    (214, 205, 190),
    (222, 220, 214),
    (190, 160, 100),
    (165, 110, 80),
    (150, 150, 150),
    (196, 182, 150),
    (120, 70, 55),
    (180, 190, 200),
)


def as_colour(values: np.ndarray) -> Colour:
    """Returns a colour as three Python floats, the type that OpenCV requires."""
    return float(values[0]), float(values[1]), float(values[2])


def plain(rng: np.random.Generator, contrast: float = 0.1) -> np.ndarray:
    """Draws painted sheet or plaster: light, to be tinted."""
    return opaque(tinted((235, 235, 235), contrast * fractal(rng, 128, 128, 4, 0.7)))


def rough(rng: np.random.Generator) -> np.ndarray:
    """Draws fine grain that modulates the painted ground."""
    grain = fractal(rng, 256, 256, 16, 0.95)
    return opaque(tinted((150, 150, 150), 0.1 * grain))


def bark(rng: np.random.Generator) -> np.ndarray:
    """Draws bark with vertical streaks."""
    streaks = cv2.resize(fractal(rng, 64, 256, 8, 0.9), (128, 256), interpolation=cv2.INTER_LINEAR)[
        :, :128
    ]
    return opaque(tinted((92, 80, 68), 0.45 * streaks))


def masonry(rng: np.random.Generator, colour: Colour, courses: int) -> np.ndarray:
    """Draws bricks or hewn stones in bond, `courses` rows in 256 texels."""
    # Grain, and the colour of the joints.
    side = 256
    image = tinted(colour, 0.18 * fractal(rng, side, side, 16, 0.8))
    joint = np.asarray(colour, np.float32) * rng.uniform(0.5, 1.35)
    height = side // courses
    # Stones of different tones; the joints are drawn over their borders.
    for row in range(courses):
        width = height * 2
        for column in range(-1, side // width + 1):
            left = column * width + (row % 2) * width // 2
            tone = 1.0 + 0.22 * rng.standard_normal()
            image[row * height : (row + 1) * height, max(left, 0) : max(left + width, 0)] *= max(
                tone, 0.4
            )
            cv2.line(
                image,
                (left, row * height),
                (left, (row + 1) * height),
                joint.tolist(),
                max(height // 10, 1),
            )
        cv2.line(
            image, (0, row * height), (side, row * height), joint.tolist(), max(height // 10, 1)
        )
    return opaque(image)


def roof(rng: np.random.Generator, colour: Colour) -> np.ndarray:
    """Draws rows of roof tiles with dark laps, moss and bleached spots."""
    image = tinted(colour, 0.25 * fractal(rng, 256, 256, 4, 0.8))
    for row in range(0, 256, 16):
        image[row : row + 3] *= 0.55
        image[row + 3 : row + 6] *= 1.2
    image[:, ::8] *= 0.85
    return opaque(image)


def foliage(rng: np.random.Generator, colour: Colour, contrast: float = 0.75) -> np.ndarray:
    """Draws a wall of leaves: clumps, lit leaves and dark gaps."""
    return opaque(leaf_colour(rng, 256, colour, contrast))


def leaf_colour(
    rng: np.random.Generator, side: int, colour: Colour, contrast: float = 0.75
) -> np.ndarray:
    """Returns the colours of leaves at three scales, (side, side, 3) float32."""
    clumps = fractal(rng, side, side, 6, 0.8, octaves=3)
    leaves = fractal(rng, side, side, side // 8, 0.9)
    image = (
        np.asarray(colour, np.float32) * np.exp(0.35 * clumps + contrast * 0.6 * leaves)[..., None]
    )
    hue = fractal(rng, side, side, 8, 0.8)
    image[..., 0] *= 1 + 0.12 * hue
    return image


def facade(rng: np.random.Generator, storeys: int, shop: bool) -> np.ndarray:
    """Draws a house front of four bays over its whole height.

    It has a plinth, windows with frames, shutters and sills, a door, and with `shop` shop windows
    on the ground floor.
    """
    # Wall of brick or plaster.
    width = 512
    height = 512
    base = _wall_colour(rng)
    if rng.random() < 0.25:
        image = masonry(rng, base, int(rng.choice([16, 32])))[..., :3].astype(np.float32)
        image = np.tile(image, (2, 2, 1))
    else:
        image = tinted(
            base,
            0.05 * fractal(rng, height, width, 4, 0.8),
            0.05 * fractal(rng, height, width, 64, 0.9),
        )
    image *= (1 - 0.12 * np.abs(np.linspace(-1, 1, height, dtype=np.float32)) ** 4)[:, None, None]
    # Plinth, windows and door.
    storey = height // storeys
    trim = as_colour(np.clip(np.array(base) * rng.uniform(0.45, 1.35), 20, 245))
    _draw_plinth(rng, image, storey, trim)
    _draw_openings(rng, image, storeys, trim, shop)
    # Cornices between the storeys, and a drainpipe.
    if rng.random() < 0.5:
        for level in range(1, storeys):
            cv2.line(image, (0, level * storey), (width, level * storey), trim, 4)
    pipe = int(rng.integers(width))
    cv2.line(image, (pipe, 0), (pipe, height), tuple(0.4 * c for c in base), 5)
    return opaque(image)


def _draw_openings(
    rng: np.random.Generator, image: np.ndarray, storeys: int, trim: Colour, shop: bool
) -> None:
    """Draws the windows and the door of a facade of four bays (H, W, 3), in place."""
    height = image.shape[0]
    storey = height // storeys
    door = int(rng.integers(4))
    style = _WindowStyle(rng, trim, storey)
    for level in range(storeys):
        for bay in range(4):
            middle = (64 + bay * 128 + int(rng.integers(-3, 4)), level * storey + int(storey * 0.5))
            is_ground_floor = level == storeys - 1
            if is_ground_floor and bay == door:
                style.door(image, middle[0], height)
            elif is_ground_floor and shop:
                style.pane(image, middle, 50, int(storey * 0.3))
            elif rng.random() > 0.06:
                style.window(rng, image, middle)


def _wall_colour(rng: np.random.Generator) -> Colour:
    """Returns a random colour of a wall."""
    colour = np.array(WALLS[int(rng.integers(len(WALLS)))]) * rng.uniform(0.75, 1.1) + rng.uniform(
        -12, 12, 3
    )
    return as_colour(np.clip(colour, 30, 245))


def _draw_plinth(rng: np.random.Generator, image: np.ndarray, storey: int, trim: Colour) -> None:
    """Draws a plinth of stones or darker plaster into a facade (H, W, 3), in place."""
    top = image.shape[0] - int(storey * rng.uniform(0.08, 0.25))
    if rng.random() < 0.4:
        stones = masonry(rng, (125, 85, 70), 8)[..., :3].astype(np.float32)
        image[top:] = np.tile(stones, (1, 2, 1))[: image.shape[0] - top]
    else:
        image[top:] *= rng.uniform(0.5, 0.85)
    cv2.line(image, (0, top), (image.shape[1], top), trim, 3)


class _WindowStyle:
    """Style of the windows and doors of one house; methods draw into a facade (H, W, 3)."""

    def __init__(self, rng: np.random.Generator, trim: Colour, storey: int) -> None:
        self.trim = trim
        self.half_width = int(rng.integers(20, 36))
        self.half_height = int(storey * rng.uniform(0.2, 0.3))
        self.frame = tuple(
            float(c) for c in rng.choice([[225, 225, 222], [90, 60, 45], [160, 160, 160]])
        )
        self.shutter = (
            tuple(float(c) for c in rng.uniform(40, 150, 3)) if rng.random() < 0.35 else None
        )
        self.glass = rng.uniform(18, 60)

    def window(self, rng: np.random.Generator, image: np.ndarray, middle: tuple[int, int]) -> None:
        """Draws a window with pane, sill and, at random, a blind and shutters."""
        x, y = middle
        w = self.half_width
        h = self.half_height
        # Surround and pane.
        cv2.rectangle(image, (x - w - 5, y - h - 5), (x + w + 5, y + h + 5), self.trim, -1)
        self.pane(image, middle, w, h)
        # Blind.
        if rng.random() < 0.4:
            down = int(2 * h * rng.uniform(0.15, 1.0))
            cv2.rectangle(
                image, (x - w + 3, y - h + 3), (x + w - 3, y - h + down), (185.0, 180.0, 170.0), -1
            )
            for line in range(y - h + 6, y - h + down, 7):
                cv2.line(image, (x - w + 3, line), (x + w - 3, line), (140.0, 136.0, 130.0), 1)
        # Sill and shutters.
        cv2.line(image, (x - w - 9, y + h + 6), (x + w + 9, y + h + 6), (60.0, 58.0, 55.0), 4)
        if self.shutter:
            for side in (-1, 1):
                left = x + side * (w + 4) - (18 if side < 0 else 0)
                cv2.rectangle(image, (left, y - h - 3), (left + 18, y + h + 3), self.shutter, -1)

    def pane(self, image: np.ndarray, middle: tuple[int, int], w: int, h: int) -> None:
        """Draws a framed pane of half width `w` and half height `h` with a reflection."""
        x, y = middle
        glass = (self.glass * 0.85, self.glass * 0.95, self.glass * 1.1)
        cv2.rectangle(image, (x - w, y - h), (x + w, y + h), glass, -1)
        reflection = np.array([[x - w, y + h], [x, y - h], [x + w, y - h], [x + w // 3, y + h]])
        cv2.fillConvexPoly(image, reflection, tuple(1.5 * g for g in glass))
        cv2.rectangle(image, (x - w, y - h), (x + w, y + h), self.frame, 5)
        cv2.line(image, (x, y - h), (x, y + h), self.frame, 4)

    def door(self, image: np.ndarray, x: int, bottom: int) -> None:
        """Draws a door with a small window, centred at column `x`."""
        door_height = int(self.half_height * 2.4)
        cv2.rectangle(image, (x - 30, bottom - door_height - 6), (x + 30, bottom), self.trim, -1)
        cv2.rectangle(
            image, (x - 22, bottom - door_height), (x + 22, bottom), (70.0, 55.0, 45.0), -1
        )
        cv2.rectangle(
            image,
            (x - 12, bottom - door_height + 10),
            (x + 12, bottom - door_height // 2),
            (35.0, 38.0, 42.0),
            -1,
        )


def garage(rng: np.random.Generator) -> np.ndarray:
    """Draws a wall of garage doors."""
    image = tinted((205, 200, 190), 0.06 * fractal(rng, 256, 256, 4, 0.8))
    colour = tuple(float(c) for c in rng.uniform(40, 170, 3))
    cv2.rectangle(image, (28, 60), (228, 255), colour, -1)
    for line in range(70, 255, 18):
        cv2.line(image, (28, line), (228, line), tuple(0.7 * c for c in colour), 2)
    return opaque(image)
