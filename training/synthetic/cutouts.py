"""Textures with holes: crowns, car sides, fences, signs.

All are RGBA uint8; alpha is 255 on the object and 0 in its holes.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.synthetic.noise import fractal
from training.synthetic.surfaces import Colour, leaf_colour

# Size in texels of a car's side, wheels included.
SIDE_LENGTH = 512
SIDE_HEIGHT = 256


def crown(rng: np.random.Generator, colour: Colour, slender: float, airy: float) -> np.ndarray:
    """Draws a tree's crown: blobs of leaves with gaps of sky.

    `slender` 0 is an ellipse, 1 a cone; `airy` 0..1 is the amount of gaps.
    """
    side = 256
    # Outline: `depth` is the distance inwards from it, as a fraction of the side.
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    ellipse = np.sqrt(np.maximum(1 - ((y - 0.5) / 0.47) ** 2, 0))
    cone = np.clip((y - 0.03) * 1.05, 0, 1) * (y < 0.97)
    outline = 0.46 * ((1 - slender) * ellipse + slender * cone)
    depth = outline - np.abs(x - 0.5)
    # Ragged border and gaps, more of them near the border.
    ragged = 0.05 * fractal(rng, side, side, 6, 0.7, octaves=3) + 0.025 * fractal(
        rng, side, side, 32, 0.9
    )
    gaps = fractal(rng, side, side, 10, 0.85) > 2.6 - 2.2 * airy - 1.2 * np.exp(
        -np.maximum(depth, 0) * 14
    )
    alpha = (depth + ragged > 0.04) & ~gaps
    # Clear a margin: bilinear interpolation must not wrap around.
    alpha[:2] = False
    alpha[-2:] = False
    alpha[:, :2] = False
    alpha[:, -2:] = False
    # Leaves, darker at the bottom and at the border.
    image = (
        leaf_colour(rng, side, colour)
        * (1.25 - 0.6 * y[..., None])
        * (0.75 + 0.25 * np.clip(depth, 0, 0.3)[..., None] / 0.3)
    )
    return _with_alpha(image, alpha)


def branches(rng: np.random.Generator) -> np.ndarray:
    """Draws a bare fork of branches."""
    side = 256
    image = np.full((side, side, 3), (70, 60, 50), np.float32)
    alpha = np.zeros((side, side), np.uint8)
    _draw_branch(rng, alpha, np.array([side / 2, side - 3.0]), -np.pi / 2, 70.0, 11.0)
    return _with_alpha(image * np.exp(0.2 * fractal(rng, side, side, 16))[..., None], alpha > 0)


def _draw_branch(
    rng: np.random.Generator,
    alpha: np.ndarray,
    start: np.ndarray,
    angle_rad: float,
    length: float,
    width: float,
) -> None:
    """Draws a branch and, recursively, its two thinner ones; lengths in texels."""
    # The branch itself, within the texture.
    end = start + length * np.array([np.cos(angle_rad), np.sin(angle_rad)])
    cv2.line(
        alpha,
        tuple(int(v) for v in start),
        tuple(int(v) for v in np.clip(end, 4, 251)),
        255,
        max(int(width), 1),
    )
    # Its fork, unless it is a twig.
    if width > 2:
        for turn in (-1, 1):
            _draw_branch(
                rng,
                alpha,
                end,
                angle_rad + turn * rng.uniform(0.2, 0.7),
                length * rng.uniform(0.6, 0.85),
                width * 0.65,
            )


def fence(rng: np.random.Generator, colour: Colour, gap: float) -> np.ndarray:
    """Draws slats on two rails; `gap` 0..1 is the share of the gaps between the slats."""
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
    """Draws a strip of tall grass or low shrubs with a ragged top."""
    image = leaf_colour(rng, 256, colour)[:128]
    ragged = 0.28 + 0.09 * fractal(rng, 256, 256, 8, 0.9)[0]
    alpha = np.arange(128)[:, None] > ragged[None] * 128
    return _with_alpha(image, alpha)


def sign(rng: np.random.Generator, kind: int) -> np.ndarray:
    """Draws a traffic sign: 0 round prohibition, 1 warning triangle, 2 blue, 3 direction board."""
    image = np.full((64, 64, 3), 215, np.float32)
    alpha = np.zeros((64, 64), np.uint8)
    if kind == 0:
        # Speed limit.
        cv2.circle(alpha, (32, 32), 29, 255, -1)
        cv2.circle(image, (32, 32), 26, (185.0, 25.0, 25.0), 7)
        cv2.putText(
            image,
            text=str(int(rng.choice([30, 50, 60]))),
            org=(15, 41),
            fontFace=cv2.FONT_HERSHEY_SIMPLEX,
            fontScale=0.9,
            color=(20.0, 20.0, 20.0),
            thickness=3,
        )
    elif kind == 1:
        # Warning triangle.
        points = np.array([[32, 4], [61, 58], [3, 58]])
        cv2.fillConvexPoly(alpha, points, 255)
        cv2.polylines(image, [points], isClosed=True, color=(185.0, 25.0, 25.0), thickness=8)
    elif kind == 2:
        # Parking.
        cv2.rectangle(alpha, (5, 3), (59, 61), 255, -1)
        image[:] = (30, 60, 150)
        cv2.putText(
            image,
            text="P",
            org=(17, 50),
            fontFace=cv2.FONT_HERSHEY_SIMPLEX,
            fontScale=1.6,
            color=(225.0, 225.0, 225.0),
            thickness=5,
        )
    else:
        # Direction board.
        cv2.rectangle(alpha, (2, 16), (62, 48), 255, -1)
        cv2.arrowedLine(image, (10, 32), (54, 32), (20.0, 20.0, 20.0), 5, tipLength=0.4)
    return _with_alpha(image, alpha > 0)


def pedestrian(rng: np.random.Generator) -> np.ndarray:
    """Draws a standing figure."""
    image = np.zeros((128, 64, 3), np.float32)
    alpha = np.zeros((128, 64), np.uint8)
    coat = rng.uniform(20, 190, 3).tolist()
    trousers = rng.uniform(15, 90, 3).tolist()
    skin = (190.0, 140.0, 115.0)
    # Draw legs, body and head twice: white into the alpha channel, coloured into the image.
    for target, colours in ((alpha, [255, 255, 255]), (image, [coat, trousers, skin])):
        cv2.line(target, (27, 70), (22, 124), colours[1], 11)
        cv2.line(target, (37, 70), (43, 124), colours[1], 11)
        _fill_ellipse(target, (32, 48), (14, 30), colours[0])
        cv2.circle(target, (32, 13), 9, colours[2], -1)
    return _with_alpha(image, alpha > 0)


def car_side(
    profile: np.ndarray, glass: np.ndarray, wheels: tuple[float, float], radius: tuple[float, float]
) -> np.ndarray:
    """Draws a car's side in light paint, to be tinted.

    `profile` (P, 2) and `glass` (G, 2) are outlines of body and windows, `wheels` the wheels'
    centres along the length and `radius` their radius across length and height; all in fractions
    of the car's length, from the rear, and of its height, from the ground.
    """
    image = np.full((SIDE_HEIGHT, SIDE_LENGTH, 3), 225, np.float32)
    alpha = np.zeros((SIDE_HEIGHT, SIDE_LENGTH), np.uint8)
    # Body and windows.
    cv2.fillPoly(alpha, [_side_texels(profile)], 255)
    image *= np.linspace(1.1, 0.75, SIDE_HEIGHT, dtype=np.float32)[:, None, None]
    cv2.fillPoly(image, [_side_texels(glass)], (24.0, 27.0, 30.0))
    # Details, drawn over the windows.
    _draw_side_details(image, middle=int(_side_texels(glass)[:, 0].mean()))
    # Wheels.
    axes = (int(radius[0] * SIDE_LENGTH), int(radius[1] * SIDE_HEIGHT))
    for wheel in wheels:
        center = (int(wheel * SIDE_LENGTH), SIDE_HEIGHT - 1 - axes[1])
        _draw_wheel(image, alpha, center, axes)
    return _with_alpha(image, alpha > 0)


def _side_texels(points: np.ndarray) -> np.ndarray:
    """Returns texels (N, 2) int32 of points (N, 2) in fractions of a car's length and height."""
    size = np.array([SIDE_LENGTH - 1, SIDE_HEIGHT - 1])
    return np.round(np.stack([points[:, 0], 1 - points[:, 1]], axis=1) * size).astype(np.int32)


def _draw_side_details(image: np.ndarray, middle: int) -> None:
    """Draws door gaps, the line of the door handles and the sill; `middle` is the middle gap."""
    for x in (middle, int(middle + 0.17 * SIDE_LENGTH), int(middle - 0.2 * SIDE_LENGTH)):
        top = (x, int(0.1 * SIDE_HEIGHT))
        cv2.line(image, top, (x, int(0.78 * SIDE_HEIGHT)), (110.0, 110.0, 110.0), 3)
    handle_row = int(0.62 * SIDE_HEIGHT)
    cv2.line(image, (0, handle_row), (SIDE_LENGTH, handle_row), (90.0, 90.0, 90.0), 5)
    sill_row = int(0.84 * SIDE_HEIGHT)
    cv2.rectangle(image, (0, sill_row), (SIDE_LENGTH, SIDE_HEIGHT), (40.0, 40.0, 40.0), -1)


def _draw_wheel(
    image: np.ndarray, alpha: np.ndarray, center: tuple[int, int], axes: tuple[int, int]
) -> None:
    """Draws tyre, hub and spokes of a wheel; `axes` are its radii in texels, across and up."""
    # Tyre and hub, opaque in the alpha channel.
    hub_axes = (axes[0] * 6 // 10, axes[1] * 6 // 10)
    _fill_ellipse(image, center, axes, (14.0, 14.0, 14.0))
    _fill_ellipse(image, center, hub_axes, (150.0, 150.0, 150.0))
    _fill_ellipse(alpha, center, axes, 255)
    # Spokes.
    for spoke in range(5):
        angle = spoke * 1.2566
        direction = np.array([np.cos(angle) * axes[0], np.sin(angle) * axes[1]]) * 0.55
        tip = tuple(int(v) for v in center + direction)
        cv2.line(image, center, tip, (45.0, 45.0, 45.0), 5)


def _fill_ellipse(
    target: np.ndarray, center: tuple[int, int], axes: tuple[int, int], colour: Colour | float
) -> None:
    """Draws a filled ellipse with half axes in texels."""
    cv2.ellipse(
        target,
        center,
        axes,
        angle=0,
        startAngle=0,
        endAngle=360,
        color=colour,  # type: ignore[call-overload]
        thickness=-1,
    )


def _with_alpha(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns RGBA uint8 from RGB float (H, W, 3), 0..255, and alpha bool (H, W)."""
    return np.concatenate(
        [np.clip(image, 0, 255).astype(np.uint8), alpha.astype(np.uint8)[..., None] * 255], axis=2
    )
