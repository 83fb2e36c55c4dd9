"""Textures of walls, floors, ceilings and furniture. Those named light are made to be tinted.

All are RGBA uint8; colours are reflectances, 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.synthetic.noise import fractal, opaque, tinted
from training.synthetic.surfaces import Colour, as_colour

LIGHT: Colour = (235.0, 235.0, 235.0)


def plaster(rng: np.random.Generator) -> np.ndarray:
    """Draws light painted plaster: nearly bare, some with the grain of a roller."""
    stains = rng.uniform(0.01, 0.035) * fractal(rng, 256, 256, 2, 0.6)
    grain = rng.uniform(0.0, 0.03) * fractal(rng, 256, 256, 64, 0.9)
    return opaque(tinted(LIGHT, stains, grain))


def random_colour(rng: np.random.Generator, low: float = 40.0, high: float = 235.0) -> Colour:
    """Returns a colour with a random hue, mostly a muted one."""
    grey = rng.uniform(low, high)
    hue = rng.uniform(-1, 1, 3) * rng.choice([8.0, 20.0, 40.0, 80.0])
    return as_colour(np.clip(grey + hue - hue.mean(), 15, 245))


def wallpaper(rng: np.random.Generator) -> np.ndarray:
    """Draws a wallpaper: stripes, or motifs in rows."""
    side = 512
    base = np.array(random_colour(rng, 130, 230))
    image = tinted(as_colour(base), 0.02 * fractal(rng, side, side, 64, 0.9))
    ink = as_colour(np.clip(base * rng.uniform(0.55, 0.9) + rng.uniform(-15, 15, 3), 10, 245))
    if rng.random() < 0.4:
        # Stripes of some widths that repeat over the texture.
        period = int(rng.choice([32, 64, 128]))
        widths = rng.integers(2, period // 2, 2)
        for left in range(0, side, period):
            image[:, left : left + widths[0]] = ink
            image[:, left + widths[0] + 4 : left + widths[0] + 4 + widths[1] // 4] *= 0.9
    else:
        motif = _motif(rng, int(rng.choice([64, 128])))
        rows = side // len(motif)
        shares = [np.roll(motif, (row % 2) * len(motif) // 2, axis=1) for row in range(rows)]
        share = np.concatenate([np.tile(each, (1, rows)) for each in shares])[..., None]
        image += (np.array(ink, np.float32) - image) * share
    return opaque(image)


def _motif(rng: np.random.Generator, side: int) -> np.ndarray:
    """Returns the share of ink (side, side) 0..1 of one motif: petals, rings or lozenges."""
    share = np.zeros((side, side), np.float32)
    middle = (side // 2, side // 2)
    petals = int(rng.integers(2, 7))
    long_axis = side * rng.uniform(0.15, 0.3)
    for petal in range(petals):
        angle = 360.0 * petal / petals
        direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        at = np.round(np.array(middle) + direction * long_axis * 0.7).astype(int)
        axes = (int(long_axis * 0.6), max(int(long_axis * rng.uniform(0.15, 0.4)), 1))
        cv2.ellipse(share, at.tolist(), axes, angle, 0, 360, 1.0, int(rng.choice([-1, 2])))
    cv2.circle(share, middle, max(side // 14, 2), 1.0, -1)
    return cv2.GaussianBlur(share, (0, 0), 0.8)


def tiles(rng: np.random.Generator) -> np.ndarray:
    """Draws square, brick-like or chequered glazed tiles, 8 by 8 or 4 by 8."""
    side = 512
    base = np.array(random_colour(rng, 70, 235))
    other = np.array(random_colour(rng, 30, 235)) if rng.random() < 0.4 else base
    image = tinted(LIGHT, 0.04 * fractal(rng, side, side, 8, 0.8)) / LIGHT[0]
    width = int(rng.choice([64, 64, 128]))
    height = 64
    is_bond = width > height and rng.random() < 0.6
    spread = rng.uniform(0.0, 0.12)
    for row in range(side // height):
        for column in range(side // width):
            colour = base if (row + column) % 2 else other
            left = (column * width + (row % 2) * is_bond * width // 2) % side
            columns = np.arange(left, left + width) % side
            tone = 1 + spread * rng.standard_normal()
            image[row * height : (row + 1) * height, columns] *= (colour * tone).astype(np.float32)
    # Joints.
    joint = as_colour(np.clip(base * rng.choice([0.6, 1.3]), 20, 245))
    thickness = int(rng.integers(2, 5))
    for row in range(side // height):
        image[row * height : row * height + thickness] = joint
        shift = (row % 2) * is_bond * width // 2
        for left in range(shift, side, width):
            image[row * height : (row + 1) * height, left : left + thickness] = joint
    return opaque(image)


def planks(rng: np.random.Generator) -> np.ndarray:
    """Draws a floor of wooden planks along u, joints staggered."""
    side = 512
    colours = ((170, 125, 80), (130, 88, 55), (200, 165, 120), (95, 65, 45), (160, 150, 135))
    base = np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.8, 1.15)
    count = int(rng.choice([4, 8, 8, 16]))
    height = side // count
    rows = []
    for _ in range(count):
        row = _grain(rng, height, side, as_colour(base * (1 + 0.1 * rng.standard_normal())))
        left = int(rng.integers(side))
        ends = [left] if count == 4 else [left, (left + side // 2 + int(rng.integers(40))) % side]
        for end in ends:
            row[:, end : end + 2] *= 0.5
        row[:2] *= 0.6
        rows.append(row)
    return opaque(np.concatenate(rows))


def _grain(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Returns wood grain along the rows, (height, width, 3) float32; sides are powers of two."""
    lines = fractal(rng, 256, 16, 8, 0.85)
    lines = cv2.resize(lines, (width, 256), interpolation=cv2.INTER_CUBIC)
    first = int(rng.integers(256 - min(height, 255)))
    part = lines[first : first + height] if height <= 256 else cv2.resize(lines, (width, height))
    return tinted(colour, 0.055 * part)


def wood(rng: np.random.Generator) -> np.ndarray:
    """Draws light veneer with its grain along u, to be tinted."""
    image = _grain(rng, 256, 512, LIGHT)
    bands = fractal(rng, 256, 512, 2, 0.5)
    return opaque(image * (1 + 0.06 * bands)[..., None])


def carpet(rng: np.random.Generator) -> np.ndarray:
    """Draws a fitted carpet: a pile, some of it in stripes or squares."""
    side = 512
    base = np.array(random_colour(rng, 50, 190))
    image = tinted(
        as_colour(base),
        rng.uniform(0.05, 0.16) * fractal(rng, side, side, 128, 0.9),
        0.06 * fractal(rng, side, side, 4, 0.7),
    )
    kind = rng.random()
    if kind < 0.3:
        # Thin stripes of two tones, as on carpet tiles.
        stripes = np.repeat(rng.uniform(0.6, 1.35, side // 4), 4).astype(np.float32)
        half = side // 2
        image *= stripes[None, :, None]
        image[:half, :half] = np.transpose(image[:half, :half], (1, 0, 2))
        image[half:, half:] = np.transpose(image[half:, half:], (1, 0, 2))
    elif kind < 0.5:
        for first in range(0, side, 128):
            image[first : first + 2] *= 0.8
            image[:, first : first + 2] *= 0.8
    return opaque(image)


def rug(rng: np.random.Generator) -> np.ndarray:
    """Draws a rug with a border and a field of motifs, shown once."""
    side = 512
    colours = [np.array(random_colour(rng, 30, 210)) for _ in range(4)]
    image = np.empty((side, side, 3), np.float32)
    image[:] = colours[0]
    for k, margin in enumerate(np.sort(rng.integers(8, 90, 3)).tolist()):
        image[margin : side - margin, margin : side - margin] = colours[(k + 1) % 4]
    motif = _motif(rng, 64)
    share = np.tile(motif, (8, 8))[..., None]
    share[:64] *= rng.random() < 0.5
    image += (colours[1] - image) * share * np.float32(rng.uniform(0.4, 1.0))
    pile = 0.08 * fractal(rng, side, side, 128, 0.9) + 0.05 * fractal(rng, side, side, 4, 0.7)
    return opaque(image * (1 + pile)[..., None])


def fabric(rng: np.random.Generator) -> np.ndarray:
    """Draws light woven cloth, plain, in checks or in stripes, to be tinted."""
    side = 256
    weave = fractal(rng, side, side, 64, 0.9)
    folds = fractal(rng, side, side, 2, 0.6)
    image = tinted(LIGHT, 0.06 * weave, rng.uniform(0.02, 0.1) * folds)
    if rng.random() < 0.5:
        period = int(rng.choice([32, 64, 128]))
        ink = np.array(random_colour(rng, 90, 255)) / 235
        for first in range(0, side, period):
            width = period // int(rng.integers(2, 6))
            image[:, first : first + width] *= ink.astype(np.float32)
            if period > 32:
                image[first : first + width] *= ink.astype(np.float32)
    return opaque(image)


def leather(rng: np.random.Generator) -> np.ndarray:
    """Draws light leather or plastic: soft spots and scratches, to be tinted."""
    image = tinted((215, 215, 215), 0.035 * fractal(rng, 256, 256, 4, 0.75))
    for _ in range(int(rng.integers(0, 25))):
        start = rng.integers(0, 256, 2)
        end = start + rng.integers(-40, 40, 2)
        tone = float(rng.uniform(150, 250))
        cv2.line(image, start.tolist(), end.tolist(), (tone, tone, tone), 1, cv2.LINE_AA)
    return opaque(image)


def metal(rng: np.random.Generator) -> np.ndarray:
    """Draws brushed steel with soft bright and dark reflections across u."""
    streaks = cv2.resize(fractal(rng, 256, 32, 32, 0.9), (256, 256))
    x = np.linspace(0, 2 * np.pi, 256, dtype=np.float32)
    waves = sum(rng.uniform(0.03, 0.15) * np.sin(k * x + rng.uniform(0, 6)) for k in range(1, 4))
    return opaque(tinted((205, 207, 210), 0.03 * streaks, np.tile(waves, (256, 1))))


def stone(rng: np.random.Generator) -> np.ndarray:
    """Draws polished granite or marble of a worktop."""
    side = 512
    base = np.array(random_colour(rng, 30, 220))
    speckles = fractal(rng, side, side, 64, 1.0)
    clouds = fractal(rng, side, side, 4, 0.75)
    image = tinted(as_colour(base), rng.uniform(0.02, 0.25) * speckles, 0.1 * clouds)
    if rng.random() < 0.4:
        veins = np.exp(-np.abs(clouds) * 18)[..., None]
        image += (np.float32(base.mean() * rng.choice([0.6, 1.4])) - image) * veins * 0.6
    return opaque(image)


def cork(rng: np.random.Generator) -> np.ndarray:
    """Draws light cardboard or cork, to be tinted."""
    return opaque(tinted(LIGHT, 0.07 * fractal(rng, 256, 256, 32, 0.95)))
