"""Small things on tables, shelves and floors, drawn into the piece of furniture that bears them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.synthetic.rooms.piece import WHITE, Piece, grey, vivid

Place = tuple[float, float, float]
"""x, y and height in the piece's frame, metres."""


def mug(piece: Piece, place: Place) -> None:
    """Adds a mug with its handle."""
    rng = piece.rng
    radius = rng.uniform(0.035, 0.05)
    height = rng.uniform(0.07, 0.12)
    tint = vivid(rng)
    texture = piece.pick("label" if rng.random() < 0.4 else "plaster")
    piece.prism(place, height, (radius * 0.9, radius), texture, tint, 10, None, has_top=False)
    top = (place[0], place[1], place[2] + height * 0.9)
    piece.prism(top, 0.002, (radius, radius), piece.pick("leather"), (0.2, 0.12, 0.08), 8)
    angle = rng.uniform(0, 6.28)
    at = np.array([np.cos(angle), np.sin(angle)]) * (radius + 0.012)
    low = (place[0] + at[0] - 0.012, place[1] + at[1] - 0.005, place[2] + height * 0.25)
    high = (low[0] + 0.024, low[1] + 0.01, place[2] + height * 0.75)
    piece.block(low, high, piece.pick("plaster"), tint, spin_rad=angle, is_solid=False)


def bottle(piece: Piece, place: Place) -> None:
    """Adds a bottle with a label and a neck."""
    rng = piece.rng
    radius = rng.uniform(0.03, 0.05)
    height = rng.uniform(0.12, 0.24)
    tint = vivid(rng)
    piece.prism(place, height * 0.25, (radius, radius), piece.pick("leather"), tint, has_top=False)
    middle = (place[0], place[1], place[2] + height * 0.25)
    piece.prism(middle, height * 0.55, (radius, radius), piece.pick("label"), WHITE, 10, None)
    shoulder = (place[0], place[1], place[2] + height * 0.8)
    piece.prism(shoulder, height * 0.2, (radius, radius * 0.4), piece.pick("leather"), tint)
    neck = (place[0], place[1], place[2] + height)
    piece.prism(neck, height * 0.25, (radius * 0.4, radius * 0.35), piece.pick("leather"), tint, 8)


def package(piece: Piece, place: Place) -> None:
    """Adds a box with printed faces."""
    rng = piece.rng
    size = rng.uniform((0.06, 0.03, 0.05), (0.28, 0.18, 0.3))
    low = (place[0] - size[0] / 2, place[1] - size[1] / 2, place[2])
    high = (place[0] + size[0] / 2, place[1] + size[1] / 2, place[2] + size[2])
    texture = piece.pick("label")
    spin = rng.uniform(0, 6.28)
    piece.block(low, high, texture, size_m=float(size.max()), front=texture, spin_rad=spin)


def books(piece: Piece, place: Place) -> None:
    """Adds a pile of books or magazines."""
    rng = piece.rng
    height = place[2]
    size = rng.uniform((0.14, 0.2), (0.22, 0.3))
    spin = rng.uniform(0, 6.28)
    for _ in range(int(rng.integers(1, 6))):
        thickness = rng.uniform(0.006, 0.045)
        shift = rng.uniform(-0.01, 0.01, 2)
        low = (place[0] - size[0] / 2 + shift[0], place[1] - size[1] / 2 + shift[1], height)
        high = (low[0] + size[0], low[1] + size[1], height + thickness)
        top = piece.pick("label" if rng.random() < 0.5 else "paper")
        piece.block(
            low, high, piece.pick("cover"), vivid(rng), 0.3, top=top, spin_rad=spin, is_solid=False
        )
        height += thickness
        spin += rng.uniform(-0.2, 0.2)
    half = (size[0] / 2, size[1] / 2, (height - place[2]) / 2)
    piece.solid((place[0], place[1], place[2] + half[2]), half, spin)


def sheets(piece: Piece, place: Place) -> None:
    """Adds some sheets of paper."""
    rng = piece.rng
    for k in range(int(rng.integers(1, 4))):
        shift = rng.uniform(-0.08, 0.08, 2)
        low = (place[0] - 0.105 + shift[0], place[1] - 0.148 + shift[1], place[2] + 0.002 * k)
        high = (low[0] + 0.21, low[1] + 0.297, low[2] + 0.0015)
        paper = piece.pick("paper")
        spin = rng.uniform(0, 6.28)
        piece.block(low, high, paper, top=paper, spin_rad=spin, is_solid=False)


def bowl(piece: Piece, place: Place) -> None:
    """Adds a bowl, a plate or a pot."""
    rng = piece.rng
    radius = rng.uniform(0.07, 0.14)
    height = rng.choice([0.015, 0.06, 0.09, 0.16])
    foot = radius if height > 0.1 else 0.6 * radius
    texture = piece.pick("metal" if height > 0.1 else "plaster")
    piece.prism(place, float(height), (foot, radius), texture, vivid(rng), 12, 0.5)


def pot_plant(piece: Piece, place: Place) -> None:
    """Adds a small plant in a pot."""
    rng = piece.rng
    plant(piece, place, rng.uniform(0.05, 0.09), rng.uniform(0.15, 0.4))


def plant(piece: Piece, place: Place, radius: float, height: float) -> None:
    """Adds a pot with crossed cut-outs of leaves; sizes in metres."""
    # Pot.
    rng = piece.rng
    pot = radius * 1.7
    piece.prism(place, pot, (radius * 0.75, radius), piece.pick("leather"), vivid(rng), 10, 0.5)
    # Leaves.
    tint = grey(rng, 0.7, 1.2)
    texture = piece.pick("leafy")
    spin = rng.uniform(0, 3)
    width = height * rng.uniform(0.7, 1.2)
    base = np.array([place[0], place[1], place[2] + pot - 0.01])
    up = np.array([0.0, 0.0, height])
    for k in range(4):
        angle = spin + k * np.pi / 4
        half = np.array([np.cos(angle), np.sin(angle), 0.0]) * width / 2
        corners = [base - half, base + half, base + half + up, base - half + up]
        points = [(float(c[0]), float(c[1]), float(c[2])) for c in corners]
        piece.sheet(points, texture, tint, ((-1.0, 1.0)[k % 2], 1.0), cutout=True)
    half_size = (width * 0.35, width * 0.35, height * 0.45)
    if height > 0.5:
        middle = (place[0], place[1], place[2] + pot + height * 0.5)
        piece.solid(middle, half_size, casts_shadow=False)


def laptop(piece: Piece, place: Place) -> None:
    """Adds an open laptop or a keyboard."""
    rng = piece.rng
    tint = grey(rng, 0.15, 0.9)
    x, y, z = place
    keys = piece.pick("keyboard")
    piece.block((x - 0.17, y - 0.12, z), (x + 0.17, y + 0.12, z + 0.018), keys, tint, top=keys)
    if rng.random() < 0.6:
        lean = rng.uniform(0.02, 0.1)
        lit = piece.pick("screen" if rng.random() < 0.7 else "dark_screen")
        back = y - 0.12
        rim = [(x + 0.17, back), (x - 0.17, back)]
        lower = [(each[0], each[1], z + 0.018) for each in rim]
        upper = [(each[0], each[1] - lean, z + 0.24) for each in rim[::-1]]
        piece.sheet([*lower, *upper], lit, two_sided=False)
        behind = [(px, py - 0.006, pz) for px, py, pz in (*lower[::-1], *upper[::-1])]
        piece.sheet(behind, piece.pick("metal"), tint, two_sided=False)


def gadget(piece: Piece, place: Place) -> None:
    """Adds a dark or white device: a radio, a toaster, a charger."""
    rng = piece.rng
    size = rng.uniform((0.08, 0.06, 0.03), (0.3, 0.22, 0.24))
    low = (place[0] - size[0] / 2, place[1] - size[1] / 2, place[2])
    high = (place[0] + size[0] / 2, place[1] + size[1] / 2, place[2] + size[2])
    front = piece.pick(str(rng.choice(["appliance", "dark_screen", "keyboard", "drawers"])))
    tint = grey(rng, 0.2, 1.0)
    spin = rng.uniform(-0.5, 0.5)
    piece.block(low, high, piece.pick("leather"), tint, 0.5, front=front, spin_rad=spin)


ITEMS: tuple[tuple[Callable[[Piece, Place], None], float], ...] = (
    (mug, 0.07),
    (bottle, 0.06),
    (package, 0.15),
    (books, 0.17),
    (sheets, 0.18),
    (bowl, 0.15),
    (pot_plant, 0.1),
    (laptop, 0.2),
    (gadget, 0.17),
)
"""Small things and the radius in metres that each needs."""


def scatter(
    piece: Piece, low: tuple[float, float], high: tuple[float, float], height: float, density: float
) -> None:
    """Scatters small things over a rectangle of the piece; `density` is things per square metre."""
    rng = piece.rng
    area = max(high[0] - low[0], 0.0) * max(high[1] - low[1], 0.0)
    taken: list[tuple[float, float, float]] = []
    for _ in range(rng.poisson(area * density)):
        add, radius = ITEMS[int(rng.integers(len(ITEMS)))]
        if min(high[0] - low[0], high[1] - low[1]) < 2 * radius:
            continue
        x = float(rng.uniform(low[0] + radius, high[0] - radius))
        y = float(rng.uniform(low[1] + radius, high[1] - radius))
        if all(np.hypot(x - a, y - b) > radius + c for a, b, c in taken):
            add(piece, (x, y, height))
            taken.append((x, y, radius))


def carton(piece: Piece, place: Place) -> float:
    """Adds a cardboard or plastic box on the floor; returns its height."""
    rng = piece.rng
    size = rng.uniform((0.25, 0.2, 0.15), (0.6, 0.45, 0.45))
    low = (place[0] - size[0] / 2, place[1] - size[1] / 2, place[2])
    high = (place[0] + size[0] / 2, place[1] + size[1] / 2, place[2] + size[2])
    tint = (0.72, 0.56, 0.38) if rng.random() < 0.6 else vivid(rng)
    front = piece.pick("label") if rng.random() < 0.5 else None
    texture = piece.pick("card")
    piece.block(low, high, texture, tint, 0.5, front=front, spin_rad=rng.uniform(-0.3, 0.3))
    return float(size[2])
