"""Textures that show one thing: fronts of cupboards, doors, books, labels, pictures, screens.

All are RGBA uint8 and shown once on a face. Screens and views out of windows are luminous.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.synthetic.noise import fractal, opaque, tinted
from training.synthetic.rooms.coverings import LIGHT, random_colour
from training.synthetic.surfaces import Colour, as_colour, leaf_colour

DARK: Colour = (30.0, 30.0, 32.0)
STEEL: Colour = (175.0, 177.0, 180.0)


def _sheet(rng: np.random.Generator, height: int, width: int, colour: Colour) -> np.ndarray:
    """Returns a nearly plain surface (height, width, 3) float32."""
    stains = cv2.resize(fractal(rng, 32, 32, 4, 0.8), (width, height))
    return tinted(colour, 0.015 * stains)


def cupboard(rng: np.random.Generator) -> np.ndarray:
    """Draws a light cupboard door with frame, shadow gaps and a handle, to be tinted."""
    image = _sheet(rng, 256, 256, LIGHT)
    if rng.random() < 0.5:
        margin = int(rng.integers(20, 45))
        cv2.rectangle(image, (margin, margin), (255 - margin, 255 - margin), (190.0,) * 3, 4)
        cv2.line(image, (margin, 255 - margin), (255 - margin, 255 - margin), (250.0,) * 3, 3)
    if rng.random() < 0.6:
        y = int(rng.integers(16, 40))
        cv2.line(image, (150, y), (235, y), STEEL, 6)
        cv2.line(image, (150, y + 5), (235, y + 5), (90.0,) * 3, 2)
    else:
        cv2.circle(image, (228, 40), 9, (120.0,) * 3, -1)
        cv2.circle(image, (226, 38), 5, (210.0,) * 3, -1)
    cv2.rectangle(image, (0, 0), (255, 255), (60.0,) * 3, 4)
    return opaque(image)


def drawers(rng: np.random.Generator) -> np.ndarray:
    """Draws light drawers, three to five, with handles, to be tinted."""
    image = _sheet(rng, 256, 256, LIGHT)
    count = int(rng.integers(3, 6))
    is_bar = rng.random() < 0.5
    for edge in np.linspace(0, 256, count + 1)[:-1].astype(int).tolist():
        cv2.line(image, (0, edge), (255, edge), (50.0,) * 3, 4)
        y = edge + 128 // count
        if is_bar:
            cv2.line(image, (88, y), (168, y), STEEL, 6)
            cv2.line(image, (88, y + 5), (168, y + 5), (95.0,) * 3, 2)
        else:
            cv2.circle(image, (128, y), 8, (110.0,) * 3, -1)
    cv2.rectangle(image, (0, 0), (255, 255), (60.0,) * 3, 3)
    return opaque(image)


def appliance(rng: np.random.Generator) -> np.ndarray:
    """Draws the front of an oven, a washing machine or a dishwasher."""
    tone = float(rng.choice([230.0, 190.0, 45.0]))
    image = _sheet(rng, 256, 256, (tone, tone, tone))
    image[:44] *= 0.85
    for x in (30, 60, 190, 225):
        cv2.circle(image, (x, 22), 9, (90.0,) * 3, -1)
        cv2.circle(image, (x, 22), 6, (200.0,) * 3, 2)
    cv2.rectangle(image, (95, 10), (160, 34), (25.0, 45.0, 40.0), -1)
    if rng.random() < 0.5:
        cv2.circle(image, (128, 150), 82, (150.0,) * 3, 10)
        cv2.circle(image, (128, 150), 74, (40.0, 42.0, 46.0), -1)
        cv2.ellipse(image, (110, 130), (30, 48), 30, 200, 300, (110.0,) * 3, 5)
    else:
        cv2.rectangle(image, (24, 84), (232, 222), DARK, -1)
        cv2.line(image, (20, 64), (236, 64), STEEL, 9)
        reflection = np.array([[60, 222], [130, 84], [170, 84], [100, 222]])
        cv2.fillConvexPoly(image, reflection, (58.0, 60.0, 64.0))
    cv2.rectangle(image, (0, 0), (255, 255), (40.0,) * 3, 3)
    return opaque(image)


def room_door(rng: np.random.Generator) -> np.ndarray:
    """Draws a light room door with panels or a pane and its handle, to be tinted."""
    image = _sheet(rng, 512, 256, LIGHT)
    kind = int(rng.integers(3))
    if kind == 1:
        for top, bottom in ((40, 220), (270, 470)):
            for left, right in ((30, 115), (141, 226)):
                cv2.rectangle(image, (left, top), (right, bottom), (185.0,) * 3, 5)
                cv2.line(image, (left, bottom), (right, bottom), (250.0,) * 3, 3)
    elif kind == 2:
        cv2.rectangle(image, (50, 50), (206, 330), (150.0, 160.0, 160.0), -1)
        cv2.rectangle(image, (50, 50), (206, 330), (200.0,) * 3, 6)
    cv2.rectangle(image, (222, 245), (236, 300), STEEL, -1)
    cv2.line(image, (229, 258), (190, 258), (120.0,) * 3, 8)
    cv2.rectangle(image, (0, 0), (255, 511), (120.0,) * 3, 3)
    return opaque(image)


def books(rng: np.random.Generator) -> np.ndarray:
    """Draws a row of book spines of different widths and colours."""
    image = np.empty((128, 512, 3), np.float32)
    x = 0
    while x < 512:
        width = int(rng.integers(10, 42))
        image[:, x : x + width] = random_colour(rng, 20, 220)
        image[:, x : x + 2] *= 0.5
        ink = random_colour(rng, 20, 240)
        band = int(rng.integers(8, 100))
        cv2.rectangle(
            image, (x + 4, band), (x + width - 4, band + int(rng.integers(4, 22))), ink, -1
        )
        for y in range(30, 110, int(rng.integers(6, 14))):
            if rng.random() < 0.5:
                cv2.line(
                    image, (x + width // 2, y), (x + width // 2, y + 4), ink, max(width // 4, 1)
                )
        x += width
    return opaque(image)


def spine(rng: np.random.Generator) -> np.ndarray:
    """Draws a light cover or spine with title lines, to be tinted."""
    image = _sheet(rng, 128, 128, LIGHT)
    _write_lines(rng, image, (12, 12, 116, 60), (60.0,) * 3)
    cv2.rectangle(image, (16, 76), (112, 116), random_colour(rng), -1)
    return opaque(image)


def label(rng: np.random.Generator) -> np.ndarray:
    """Draws the print of a package: fields of colour, shapes and lines of text."""
    image = _sheet(rng, 128, 128, random_colour(rng, 40, 240))
    for _ in range(int(rng.integers(1, 5))):
        a = rng.integers(0, 128, 2)
        b = a + rng.integers(10, 70, 2)
        if rng.random() < 0.5:
            cv2.rectangle(image, a.tolist(), b.tolist(), random_colour(rng, 30, 240), -1)
        else:
            cv2.circle(image, a.tolist(), int(rng.integers(8, 40)), random_colour(rng, 30, 240), -1)
    top = int(rng.integers(5, 70))
    _write_lines(rng, image, (10, top, 118, top + 45), random_colour(rng, 10, 250))
    return opaque(image)


def _write_lines(
    rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int], ink: Colour
) -> None:
    """Draws lines that look like text into a box (left, top, right, bottom) of an image."""
    left, top, right, bottom = box
    height = int(rng.integers(4, 9))
    for y in range(top, bottom, height * 2):
        x = left
        end = right - int(rng.integers(0, (right - left) // 2))
        while x < end:
            word = int(rng.integers(2, 8)) * height // 2
            cv2.rectangle(image, (x, y), (min(x + word, right), y + height - 1), ink, -1)
            x += word + height


def paper(rng: np.random.Generator) -> np.ndarray:
    """Draws a sheet, a magazine or a notice: text in columns, and a picture."""
    image = _sheet(rng, 256, 256, random_colour(rng, 215, 240))
    ink = random_colour(rng, 20, 110)
    _write_lines(rng, image, (20, 18, 236, 40), ink)
    left = 20 if rng.random() < 0.5 else 134
    _write_lines(rng, image, (20, 60, 236 if rng.random() < 0.4 else 122, 240), (70.0,) * 3)
    cv2.rectangle(image, (left, 130), (left + 100, 215), random_colour(rng, 40, 200), -1)
    return opaque(image)


def picture(rng: np.random.Generator) -> np.ndarray:
    """Draws a framed landscape, an abstract painting or a poster."""
    side = 256
    kind = rng.random()
    if kind < 0.4:
        # Landscape: sky over hills.
        image = outdoors(rng, side)
    elif kind < 0.75:
        field = fractal(rng, side, side, 4, 0.6)
        first, second = (np.array(random_colour(rng, 20, 230), np.float32) for _ in range(2))
        image = first + (second - first) * np.clip(0.5 + 0.5 * field, 0, 1)[..., None]
        for _ in range(int(rng.integers(2, 12))):
            points = rng.integers(0, side, (int(rng.integers(3, 6)), 2)).astype(np.int32)
            cv2.fillPoly(image, [points], random_colour(rng, 20, 240), cv2.LINE_AA)
    else:
        image = cv2.resize(label(rng)[..., :3], (side, side)).astype(np.float32)
    border = int(rng.integers(4, 26))
    frame = random_colour(rng, 15, 235)
    if rng.random() < 0.5:
        cv2.rectangle(image, (0, 0), (side - 1, side - 1), (232.0,) * 3, 4 * border // 2)
    cv2.rectangle(image, (0, 0), (side - 1, side - 1), frame, border)
    return opaque(image)


def outdoors(rng: np.random.Generator, side: int = 512) -> np.ndarray:
    """Draws a view of sky, trees and perhaps a house, (side, side, 3) float32."""
    clouds = np.clip(0.5 + 0.4 * fractal(rng, side, side, 4, 0.6), 0, 1)[..., None]
    image = np.array([150, 190, 235], np.float32) + clouds * np.array([90, 55, 15], np.float32)
    if rng.random() < 0.6:
        left = int(rng.integers(0, side // 2))
        right = left + int(rng.integers(side // 4, side // 2))
        top = int(side * rng.uniform(0.25, 0.5))
        cv2.rectangle(image, (left, top), (right, side), random_colour(rng, 110, 220), -1)
        for y in range(top + side // 24, side, side // 9):
            for x in range(left + side // 24, right - side // 12, side // 8):
                cv2.rectangle(image, (x, y), (x + side // 20, y + side // 14), DARK, -1)
    green = (float(rng.uniform(50, 90)), float(rng.uniform(75, 110)), float(rng.uniform(25, 50)))
    leaves = leaf_colour(rng, side, green)
    line = cv2.GaussianBlur(fractal(rng, 4, side, 2, 0.7)[:1], (0, 0), side / 90)[0]
    ridge = side * (rng.uniform(0.5, 0.7) + 0.08 * line)
    return np.where((np.arange(side)[:, None] > ridge)[..., None], leaves, image)


def view(rng: np.random.Generator) -> np.ndarray:
    """Draws the view out of a window; luminous."""
    return opaque(outdoors(rng))


def lawn(rng: np.random.Generator) -> np.ndarray:
    """Draws the ground outside; luminous."""
    return opaque(leaf_colour(rng, 256, (75.0, 90.0, 40.0), 0.4))


def screen(rng: np.random.Generator) -> np.ndarray:
    """Draws a lit screen with windows, text and a picture; luminous."""
    image = _sheet(rng, 256, 256, random_colour(rng, 30, 180))
    for _ in range(int(rng.integers(1, 4))):
        left, top = (int(v) for v in rng.integers(8, 130, 2))
        right, bottom = left + int(rng.integers(60, 116)), top + int(rng.integers(50, 110))
        is_dark = rng.random() < 0.4
        body = (30.0,) * 3 if is_dark else (235.0,) * 3
        cv2.rectangle(image, (left, top), (right, bottom), body, -1)
        cv2.rectangle(image, (left, top), (right, top + 9), random_colour(rng, 60, 200), -1)
        ink = random_colour(rng, 150, 240) if is_dark else random_colour(rng, 20, 120)
        _write_lines(rng, image, (left + 6, top + 16, right - 4, bottom - 8), ink)
    cv2.rectangle(image, (0, 0), (255, 255), (10.0,) * 3, 8)
    return opaque(image)


def dark_screen(rng: np.random.Generator) -> np.ndarray:
    """Draws a screen that is off, with a soft reflection."""
    image = _sheet(rng, 256, 256, (22.0, 23.0, 26.0))
    reflection = np.array([[40, 256], [130, 0], [200, 0], [110, 256]])
    cv2.fillConvexPoly(image, reflection, (36.0, 38.0, 42.0))
    image = cv2.GaussianBlur(image, (0, 0), 6)
    cv2.rectangle(image, (0, 0), (255, 255), (12.0,) * 3, 8)
    return opaque(image)


def keyboard(rng: np.random.Generator) -> np.ndarray:
    """Draws the keys of a keyboard."""
    tone = float(rng.choice([35.0, 210.0]))
    image = _sheet(rng, 64, 256, (tone, tone, tone))
    key = (tone * 0.6 + 40,) * 3
    for y in range(5, 58, 11):
        for x in range(5 + int(rng.integers(4)), 244, 13):
            cv2.rectangle(image, (x, y), (x + 9, y + 7), key, -1)
    return opaque(image)


def radiator(rng: np.random.Generator) -> np.ndarray:
    """Draws the ribs of a radiator."""
    image = _sheet(rng, 128, 256, (228.0, 226.0, 220.0))
    shade = 1 - 0.28 * np.abs(np.sin(np.arange(256) * np.pi / 16)).astype(np.float32) ** 3
    image *= shade[None, :, None]
    image[:6] *= 0.8
    return opaque(image)


def curtain(rng: np.random.Generator) -> np.ndarray:
    """Draws light cloth in vertical folds, to be tinted."""
    x = np.arange(256) * 2 * np.pi / 256
    waves = [rng.uniform(0.05, 0.16) * np.sin(k * x + rng.uniform(0, 6)) for k in (3, 5, 8, 11)]
    folds = np.sum(waves, axis=0).astype(np.float32)
    weave = 0.03 * fractal(rng, 256, 256, 64, 0.9)
    return opaque(tinted(LIGHT, np.tile(folds, (256, 1)), weave))


def blind(rng: np.random.Generator) -> np.ndarray:
    """Draws the slats of a blind, light, to be tinted."""
    image = _sheet(rng, 256, 256, LIGHT)
    for y in range(0, 256, 16):
        image[y : y + 4] *= 0.55
        image[y + 12 : y + 16] *= 0.85
    return opaque(image)


def board(rng: np.random.Generator) -> np.ndarray:
    """Draws a whiteboard with scribbles or a pin board with notes."""
    is_white = rng.random() < 0.5
    image = _sheet(rng, 256, 512, (236.0, 238.0, 238.0) if is_white else (170.0, 125.0, 80.0))
    for _ in range(int(rng.integers(3, 12))):
        x, y = int(rng.integers(20, 420)), int(rng.integers(15, 190))
        if is_white:
            ink = ((30.0, 50.0, 150.0), (170.0, 30.0, 30.0), DARK)[int(rng.integers(3))]
            walk = np.cumsum(rng.integers(-9, 12, (14, 2)), axis=0) + np.array([x, y])
            cv2.polylines(image, [walk.astype(np.int32)], False, ink, 2, cv2.LINE_AA)
        else:
            size = rng.integers(25, 70, 2)
            cv2.rectangle(
                image, (x, y), (x + size[0], y + size[1]), random_colour(rng, 170, 240), -1
            )
            _write_lines(
                rng, image, (x + 4, y + 5, x + int(size[0]) - 2, y + int(size[1]) - 4), DARK
            )
    cv2.rectangle(image, (0, 0), (511, 255), random_colour(rng, 60, 190), 9)
    return opaque(image)


def socket(rng: np.random.Generator) -> np.ndarray:
    """Draws a socket or a switch."""
    image = _sheet(rng, 64, 64, (235.0, 234.0, 230.0))
    if rng.random() < 0.5:
        cv2.circle(image, (32, 32), 21, (190.0,) * 3, -1)
        for x in (24, 40):
            cv2.circle(image, (x, 32), 3, DARK, -1)
    else:
        cv2.rectangle(image, (14, 14), (50, 50), (215.0,) * 3, 3)
    cv2.rectangle(image, (0, 0), (63, 63), (150.0,) * 3, 3)
    return opaque(image)


def clock(rng: np.random.Generator) -> np.ndarray:
    """Draws a round wall clock as a cut-out."""
    image = np.full((128, 128, 3), random_colour(rng, 200, 240), np.float32)
    alpha = np.zeros((128, 128), np.uint8)
    cv2.circle(alpha, (64, 64), 58, 255, -1)
    cv2.circle(image, (64, 64), 56, random_colour(rng, 20, 120), 8)
    for hour in range(12):
        tip = np.array([np.cos(hour * np.pi / 6), np.sin(hour * np.pi / 6)])
        start, end = ((64 + tip * reach).astype(int).tolist() for reach in (40, 48))
        cv2.line(image, start, end, DARK, 3)
    for reach, width in ((24, 5), (38, 3)):
        angle = rng.uniform(0, 6.28)
        end = (64 + reach * np.array([np.cos(angle), np.sin(angle)])).astype(int).tolist()
        cv2.line(image, (64, 64), end, DARK, width, cv2.LINE_AA)
    return np.concatenate([np.clip(image, 0, 255).astype(np.uint8), alpha[..., None]], axis=2)


def glow(rng: np.random.Generator) -> np.ndarray:
    """Draws a lamp's diffuser; luminous."""
    return opaque(tinted((250, 246, 235), 0.01 * fractal(rng, 64, 64, 4)))


def leafy(rng: np.random.Generator) -> np.ndarray:
    """Draws a house plant as a cut-out: stems with long leaves from the middle of the bottom."""
    side = 256
    image = np.zeros((side, side, 3), np.float32)
    alpha = np.zeros((side, side), np.uint8)
    base = np.array([rng.uniform(35, 70), rng.uniform(75, 125), rng.uniform(25, 60)])
    for _ in range(int(rng.integers(14, 34))):
        # A leaf that bends outwards from its stem.
        angle = rng.uniform(-1.25, 1.25)
        reach = rng.uniform(80, 235)
        share = np.linspace(0, 1, 14)[:, None]
        bend = np.concatenate([np.sin(angle * share), -np.cos(angle * share * 1.2)], axis=1)
        stem = np.array([128, 252]) + bend * share * reach
        colour = as_colour(base * rng.uniform(0.6, 1.35))
        width = rng.uniform(4, 13)
        leaf = width * np.sin(np.pi * np.clip(share, 0.05, 1)) ** 0.7
        normal = np.stack([bend[:, 1], -bend[:, 0]], axis=1)
        outline = np.concatenate([stem + normal * leaf, (stem - normal * leaf)[::-1]])
        points = np.clip(np.round(outline), 3, side - 4).astype(np.int32)
        cv2.fillPoly(image, [points], colour, cv2.LINE_AA)
        cv2.fillPoly(alpha, [points], 255)
        cv2.polylines(image, [stem.astype(np.int32)], False, as_colour(base * 1.5), 1, cv2.LINE_AA)
    return np.concatenate([np.clip(image, 0, 255).astype(np.uint8), alpha[..., None]], axis=2)
