"""Textures with holes: crowns, car sides, fences, signs. Alpha 255 is there, 0 is not."""

from __future__ import annotations

import cv2
import numpy as np

from training.synthetic.noise import fractal
from training.synthetic.surfaces import Colour, leaf_colour

SIDE_LENGTH, SIDE_HEIGHT = 512, 256  # texels of a car's side, wheels included


def crown(rng: np.random.Generator, colour: Colour, slender: float, airy: float) -> np.ndarray:
    """A tree's crown: blobs of leaves in an ellipse (slender 0) or a cone (1), with gaps of sky
    where `airy` (0..1)."""
    side = 256
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    ellipse = np.sqrt(np.maximum(1 - ((y - 0.5) / 0.47) ** 2, 0))
    cone = np.clip((y - 0.03) * 1.05, 0, 1) * (y < 0.97)
    outline = 0.46 * ((1 - slender) * ellipse + slender * cone)
    depth = outline - np.abs(x - 0.5)
    ragged = 0.05 * fractal(rng, side, side, 6, 0.7, octaves=3) + 0.025 * fractal(
        rng, side, side, 32, 0.9
    )
    gaps = fractal(rng, side, side, 10, 0.85) > 2.6 - 2.2 * airy - 1.2 * np.exp(
        -np.maximum(depth, 0) * 14
    )
    alpha = (depth + ragged > 0.04) & ~gaps
    alpha[:2], alpha[-2:], alpha[:, :2], alpha[:, -2:] = False, False, False, False
    image = (
        leaf_colour(rng, side, colour)
        * (1.25 - 0.6 * y[..., None])
        * (0.75 + 0.25 * np.clip(depth, 0, 0.3)[..., None] / 0.3)
    )
    return _with_alpha(image, alpha)


def branches(rng: np.random.Generator) -> np.ndarray:
    """A bare fork of branches."""
    side = 256
    image = np.full((side, side, 3), (70, 60, 50), np.float32)
    alpha = np.zeros((side, side), np.uint8)
    _branch(rng, alpha, np.array([side / 2, side - 3.0]), -np.pi / 2, 70.0, 11.0)
    return _with_alpha(image * np.exp(0.2 * fractal(rng, side, side, 16))[..., None], alpha > 0)


def _branch(
    rng: np.random.Generator,
    alpha: np.ndarray,
    start: np.ndarray,
    angle_rad: float,
    length: float,
    width: float,
) -> None:
    end = start + length * np.array([np.cos(angle_rad), np.sin(angle_rad)])
    cv2.line(
        alpha,
        tuple(int(v) for v in start),
        tuple(int(v) for v in np.clip(end, 4, 251)),
        255,
        max(int(width), 1),
    )
    if width > 2:
        for turn in (-1, 1):
            _branch(
                rng,
                alpha,
                end,
                angle_rad + turn * rng.uniform(0.2, 0.7),
                length * rng.uniform(0.6, 0.85),
                width * 0.65,
            )


def fence(rng: np.random.Generator, colour: Colour, gap: float) -> np.ndarray:
    """Slats with gaps between two rails."""
    image = (
        np.full((128, 128, 3), colour, np.float32)
        * np.exp(0.15 * fractal(rng, 128, 128, 8))[..., None]
    )
    alpha = np.zeros((128, 128), bool)
    for left in range(0, 128, 16):
        alpha[6:, left : left + max(int(16 * (1 - gap)), 2)] = True
    alpha[20:28] = True
    alpha[100:108] = True
    return _with_alpha(image, alpha)


def meadow(rng: np.random.Generator, colour: Colour) -> np.ndarray:
    """A strip of tall grass or low shrubs with a ragged top."""
    image = leaf_colour(rng, 256, colour)[:128]
    ragged = 0.28 + 0.09 * fractal(rng, 256, 256, 8, 0.9)[0]
    alpha = np.arange(128)[:, None] > ragged[None] * 128
    return _with_alpha(image, alpha)


def sign(rng: np.random.Generator, kind: int) -> np.ndarray:
    """A traffic sign: 0 round prohibition, 1 warning triangle, 2 blue, 3 direction board."""
    image = np.full((64, 64, 3), 215, np.float32)
    alpha = np.zeros((64, 64), np.uint8)
    if kind == 0:
        cv2.circle(alpha, (32, 32), 29, 255, -1)
        cv2.circle(image, (32, 32), 26, (185.0, 25.0, 25.0), 7)
        cv2.putText(
            image,
            str(int(rng.choice([30, 50, 60]))),
            (15, 41),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.9,
            (20.0, 20.0, 20.0),
            3,
        )
    elif kind == 1:
        points = np.array([[32, 4], [61, 58], [3, 58]])
        cv2.fillConvexPoly(alpha, points, 255)
        cv2.polylines(image, [points], True, (185.0, 25.0, 25.0), 8)
    elif kind == 2:
        cv2.rectangle(alpha, (5, 3), (59, 61), 255, -1)
        image[:] = (30, 60, 150)
        cv2.putText(image, "P", (17, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (225.0, 225.0, 225.0), 5)
    else:
        cv2.rectangle(alpha, (2, 16), (62, 48), 255, -1)
        cv2.arrowedLine(image, (10, 32), (54, 32), (20.0, 20.0, 20.0), 5, tipLength=0.4)
    return _with_alpha(image, alpha > 0)


def pedestrian(rng: np.random.Generator) -> np.ndarray:
    """A standing figure."""
    image = np.zeros((128, 64, 3), np.float32)
    alpha = np.zeros((128, 64), np.uint8)
    coat, trousers, skin = (
        rng.uniform(20, 190, 3).tolist(),
        rng.uniform(15, 90, 3).tolist(),
        (190.0, 140.0, 115.0),
    )
    for mask_value, target in ((255, alpha), (None, image)):
        colours = [mask_value] * 3 if mask_value else [coat, trousers, skin]
        cv2.line(target, (27, 70), (22, 124), colours[1], 11)
        cv2.line(target, (37, 70), (43, 124), colours[1], 11)
        cv2.ellipse(target, (32, 48), (14, 30), 0, 0, 360, colours[0], -1)
        cv2.circle(target, (32, 13), 9, colours[2], -1)
    return _with_alpha(image, alpha > 0)


def car_side(
    profile: np.ndarray, glass: np.ndarray, wheels: tuple[float, float], radius: tuple[float, float]
) -> np.ndarray:
    """A car's side: outlines, wheel centres and wheel radius in fractions of length and height
    (from the rear, from the ground)."""
    size = np.array([SIDE_LENGTH - 1, SIDE_HEIGHT - 1])
    image = np.full((SIDE_HEIGHT, SIDE_LENGTH, 3), 225, np.float32)
    alpha = np.zeros((SIDE_HEIGHT, SIDE_LENGTH), np.uint8)

    def texels(points: np.ndarray) -> np.ndarray:
        return np.round(np.stack([points[:, 0], 1 - points[:, 1]], axis=1) * size).astype(np.int32)

    cv2.fillPoly(alpha, [texels(profile)], 255)
    image *= np.linspace(1.1, 0.75, SIDE_HEIGHT, dtype=np.float32)[:, None, None]
    cv2.fillPoly(image, [texels(glass)], (24.0, 27.0, 30.0))
    middle = int(texels(glass)[:, 0].mean())
    for x in (middle, int(middle + 0.17 * SIDE_LENGTH), int(middle - 0.2 * SIDE_LENGTH)):
        cv2.line(
            image,
            (x, int(0.1 * SIDE_HEIGHT)),
            (x, int(0.78 * SIDE_HEIGHT)),
            (110.0, 110.0, 110.0),
            3,
        )
    cv2.line(
        image,
        (0, int(0.62 * SIDE_HEIGHT)),
        (SIDE_LENGTH, int(0.62 * SIDE_HEIGHT)),
        (90.0, 90.0, 90.0),
        5,
    )
    cv2.rectangle(
        image, (0, int(0.84 * SIDE_HEIGHT)), (SIDE_LENGTH, SIDE_HEIGHT), (40.0, 40.0, 40.0), -1
    )
    axes = (int(radius[0] * SIDE_LENGTH), int(radius[1] * SIDE_HEIGHT))
    for wheel in wheels:
        center = (int(wheel * SIDE_LENGTH), SIDE_HEIGHT - 1 - axes[1])
        for target, rim, hub in (
            (image, (14.0, 14.0, 14.0), (150.0, 150.0, 150.0)),
            (alpha, 255, 255),
        ):
            cv2.ellipse(target, center, axes, 0, 0, 360, rim, -1)
            cv2.ellipse(target, center, (axes[0] * 6 // 10, axes[1] * 6 // 10), 0, 0, 360, hub, -1)
        for spoke in range(5):
            direction = (
                np.array([np.cos(spoke * 1.2566) * axes[0], np.sin(spoke * 1.2566) * axes[1]])
                * 0.55
            )
            cv2.line(
                image, center, tuple(int(v) for v in center + direction), (45.0, 45.0, 45.0), 5
            )
    return _with_alpha(image, alpha > 0)


def _with_alpha(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [np.clip(image, 0, 255).astype(np.uint8), alpha.astype(np.uint8)[..., None] * 255], axis=2
    )
