"""Furniture: each function builds one piece from random sizes, colours and textures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.synthetic.rooms import clutter
from training.synthetic.rooms.piece import Piece, grey, vivid, woody

if TYPE_CHECKING:
    from training.synthetic.rooms.materials import Materials
    from training.synthetic.surfaces import Colour


def _legs(
    piece: Piece,
    low: tuple[float, float],
    high: tuple[float, float],
    height: float,
    thickness: float,
    look: tuple[int, Colour],
) -> None:
    """Adds four legs at the corners of a rectangle."""
    for x in (low[0], high[0] - thickness):
        for y in (low[1], high[1] - thickness):
            corner = (x + thickness, y + thickness, height)
            piece.block((x, y, 0.0), corner, look[0], look[1])


def _table_top(
    piece: Piece, size: tuple[float, float, float], look: tuple[int, Colour], density: float
) -> None:
    """Adds a table of width, depth and height `size`, with things on it."""
    # Top.
    width, depth, height = size
    rng = piece.rng
    thickness = rng.uniform(0.02, 0.05)
    top = height - thickness
    piece.block((-width / 2, 0.0, top), (width / 2, depth, height), *look, size_m=1.0)
    # Legs with rails, or a column.
    inset = rng.uniform(0.0, 0.08)
    leg = rng.uniform(0.03, 0.09)
    low = (-width / 2 + inset, inset)
    high = (width / 2 - inset, depth - inset)
    if rng.random() < 0.8 or width > 1.2:
        _legs(piece, low, high, top, leg, look)
        if rng.random() < 0.5:
            rail = (low[0] + leg, low[1] + 0.01, top - 0.09)
            piece.block(rail, (high[0] - leg, low[1] + 0.03, top), *look)
            front = (low[0] + leg, high[1] - 0.03, top - 0.09)
            piece.block(front, (high[0] - leg, high[1] - 0.01, top), *look)
    else:
        piece.prism((0.0, depth / 2, 0.0), 0.03, (0.25, 0.22), look[0], look[1])
        piece.prism((0.0, depth / 2, 0.03), top - 0.03, (0.05, 0.04), look[0], look[1])
    # What lies on it.
    margin = 0.03
    edge = (width / 2 - margin, depth - margin)
    clutter.scatter(piece, (-edge[0], margin), edge, height, density)


def table(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a dining table, or a low one."""
    piece = Piece(materials, rng)
    size = (rng.uniform(0.7, 2.0), rng.uniform(0.65, 1.0), rng.uniform(0.7, 0.78))
    look = (piece.pick("wood"), woody(rng))
    _table_top(piece, size, look, rng.uniform(3, 18))
    return piece


def low_table(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a low table for a sofa."""
    piece = Piece(materials, rng)
    size = (rng.uniform(0.6, 1.2), rng.uniform(0.45, 0.7), rng.uniform(0.35, 0.5))
    _table_top(piece, size, (piece.pick("wood"), woody(rng)), rng.uniform(1, 9))
    return piece


def desk(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a desk with screens, a keyboard and papers."""
    piece = Piece(materials, rng)
    width = rng.uniform(1.1, 1.8)
    depth = rng.uniform(0.65, 0.8)
    height = rng.uniform(0.7, 0.76)
    _table_top(piece, (width, depth, height), (piece.pick("wood"), woody(rng)), 2.0)
    # Screens on their feet.
    for x in (-0.32, 0.32) if rng.random() < 0.4 and width > 1.4 else (0.0,):
        screen = "screen" if rng.random() < 0.65 else "dark_screen"
        tint = grey(rng, 0.1, 0.3)
        piece.block((x - 0.1, 0.1, height), (x + 0.1, 0.26, height + 0.015), 0, tint)
        piece.block((x - 0.02, 0.14, height), (x + 0.02, 0.17, height + 0.2), 0, tint)
        low = (x - 0.28, 0.17, height + 0.12)
        piece.panel(low, (x + 0.28, 0.2, height + 0.46), piece.pick(screen), edge=tint)
    # Keyboard, and drawers below.
    keys = piece.pick("keyboard")
    front = depth - 0.12
    piece.block((-0.2, front - 0.15, height), (0.2, front, height + 0.02), keys, top=keys)
    if rng.random() < 0.6:
        low = (width / 2 - 0.5, 0.05, 0.04)
        high = (width / 2 - 0.1, depth - 0.1, height - 0.08)
        piece.block(low, high, piece.pick("wood"), woody(rng), front=piece.pick("drawers"))
    return piece


def chair(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a chair with slats or a padded back."""
    piece = Piece(materials, rng)
    look = (piece.pick("wood"), woody(rng))
    width = rng.uniform(0.4, 0.48)
    depth = rng.uniform(0.4, 0.46)
    seat = rng.uniform(0.43, 0.48)
    top = rng.uniform(0.78, 1.0)
    half = width / 2
    _legs(piece, (-half, 0.0), (half, depth), seat - 0.03, 0.04, look)
    cushion = (piece.pick("leather"), vivid(rng)) if rng.random() < 0.5 else look
    piece.block((-half, 0.0, seat - 0.03), (half, depth + 0.01, seat + 0.02), *cushion)
    for x in (-half, half - 0.04):
        piece.block((x, 0.0, seat + 0.02), (x + 0.04, 0.035, top), *look)
    if rng.random() < 0.5:
        for z in np.linspace(seat + 0.12, top - 0.07, int(rng.integers(2, 5))).tolist():
            piece.block((-half + 0.04, 0.008, z), (half - 0.04, 0.028, z + 0.06), *look)
    else:
        piece.block((-half + 0.04, 0.0, seat + 0.1), (half - 0.04, 0.03, top), *cushion)
    return piece


def office_chair(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a swivel chair."""
    piece = Piece(materials, rng)
    dark = grey(rng, 0.08, 0.3)
    texture = piece.pick("leather")
    cloth = (piece.pick("fabric"), vivid(rng))
    middle = (0.0, 0.28)
    for k in range(5):
        angle = k * 2 * np.pi / 5
        x, y = middle[0] + 0.14 * np.cos(angle), middle[1] + 0.14 * np.sin(angle)
        low, high = (x - 0.14, y - 0.025, 0.04), (x + 0.14, y + 0.025, 0.09)
        piece.block(low, high, texture, dark, spin_rad=angle)
    piece.prism((*middle, 0.09), 0.33, (0.03, 0.025), texture, dark)
    piece.block((-0.24, 0.04, 0.42), (0.24, 0.52, 0.5), *cloth)
    piece.block((-0.22, 0.0, 0.6), (0.22, 0.06, rng.uniform(0.95, 1.2)), *cloth)
    piece.block((-0.03, -0.02, 0.42), (0.03, 0.0, 0.8), texture, dark)
    return piece


def stool(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a stool."""
    piece = Piece(materials, rng)
    look = (piece.pick("wood"), woody(rng))
    height = rng.uniform(0.4, 0.72)
    _legs(piece, (-0.16, 0.0), (0.16, 0.32), height, 0.03, look)
    piece.prism((0.0, 0.16, height), 0.04, (0.19, 0.19), *look, sides=12)
    return piece


def kitchen_line(materials: Materials, rng: np.random.Generator, width: float = 2.4) -> Piece:
    """Builds a kitchen counter with cupboards, sink, hob and things on it."""
    piece = Piece(materials, rng)
    tint = vivid(rng) if rng.random() < 0.5 else woody(rng)
    depth = 0.6
    count = max(round(width / 0.6), 1)
    step = width / count
    # Cupboards, drawers and appliances.
    style = piece.pick("cupboard")
    body = piece.pick("plaster")
    for k in range(count):
        low = (-width / 2 + k * step, 0.0, 0.12)
        high = (low[0] + step, depth - 0.03, 0.86)
        kind = rng.random()
        if kind < 0.2:
            piece.block(low, high, body, front=piece.pick("appliance"))
        elif kind < 0.45:
            piece.block(low, high, body, tint, front=piece.pick("drawers"))
        else:
            piece.block(low, high, body, tint, front=style)
    # Plinth and worktop.
    plinth = (width / 2 - 0.01, depth - 0.08, 0.12)
    piece.block((-width / 2 + 0.01, 0.0, 0.0), plinth, body, grey(rng, 0.1, 0.8))
    stone = piece.pick("stone" if rng.random() < 0.6 else "wood")
    top = 0.9
    slab = grey(rng, 0.3, 1.0)
    piece.block((-width / 2, 0.0, 0.86), (width / 2, depth, top), stone, slab, size_m=1.2)
    free = _sink_and_hob(piece, width, top)
    clutter.scatter(piece, (free[0], 0.03), (free[1], depth - 0.12), top, rng.uniform(4, 14))
    return piece


def _sink_and_hob(piece: Piece, width: float, top: float) -> tuple[float, float]:
    """Adds a sink at the left end and a hob at the right; returns the free range of x between."""
    rng = piece.rng
    low, high = -width / 2 + 0.05, width / 2 - 0.05
    if width > 1.3:
        # Sink with its tap.
        metal = piece.pick("metal")
        dark = (0.55, 0.55, 0.56)
        piece.block((low, 0.08, top), (low + 0.5, 0.52, top + 0.006), metal, is_solid=False)
        basin = [(low + 0.05, 0.14), (low + 0.45, 0.14), (low + 0.45, 0.48), (low + 0.05, 0.48)]
        piece.sheet([(x, y, top + 0.008) for x, y in basin], metal, dark, two_sided=False)
        piece.prism((low + 0.25, 0.1, top), 0.25, (0.018, 0.014), metal)
        spout = (low + 0.262, 0.27, top + 0.25)
        piece.block((low + 0.238, 0.1, top + 0.23), spout, metal, is_solid=False)
        low += 0.55
    if width > 1.9 and rng.random() < 0.7:
        # Hob with four plates.
        black = (0.08, 0.08, 0.09)
        piece.block((high - 0.55, 0.06, top), (high, 0.54, top + 0.008), 0, black, is_solid=False)
        for x in (high - 0.41, high - 0.15):
            for y in (0.18, 0.42):
                ring = rng.uniform(0.07, 0.1)
                shade = grey(rng, 0.15, 0.3)
                piece.prism((x, y, top + 0.008), 0.004, (ring, ring), 0, shade, 12, is_solid=False)
        if rng.random() < 0.6:
            clutter.bowl(piece, (high - 0.41, 0.18, top + 0.012))
        high -= 0.6
    return low, high


def wall_cupboards(materials: Materials, rng: np.random.Generator, width: float = 1.8) -> Piece:
    """Builds wall cupboards, or an open wall shelf with things on it."""
    piece = Piece(materials, rng)
    count = max(round(width / 0.5), 1)
    low = (-width / 2, 0.0, 1.42)
    if rng.random() < 0.65:
        high = (width / 2, 0.34, rng.uniform(1.95, 2.15))
        tint = vivid(rng) if rng.random() < 0.5 else woody(rng)
        door = piece.pick("cupboard")
        piece.block(low, high, piece.pick("plaster"), tint, front=door, fronts=count)
    else:
        look = (piece.pick("wood"), woody(rng))
        for z in (1.42, 1.78):
            piece.block((-width / 2, 0.0, z), (width / 2, 0.24, z + 0.025), *look)
            edge = (width / 2 - 0.02, 0.24)
            clutter.scatter(piece, (-edge[0], 0.0), edge, z + 0.025, 14.0)
    return piece


def fridge(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a fridge, some with notes on its door."""
    piece = Piece(materials, rng)
    height = rng.uniform(1.2, 2.0)
    tint = grey(rng, 0.5, 1.0)
    split = height * rng.uniform(0.3, 0.6)
    for low, high in ((0.02, split - 0.006), (split + 0.006, height)):
        texture = piece.pick("metal" if rng.random() < 0.3 else "plaster")
        piece.block((-0.3, 0.0, low), (0.3, 0.64, high), texture, tint)
        handle = (0.25, 0.68, min(low + 0.6, high - 0.05))
        piece.block((0.22, 0.64, low + 0.1), handle, piece.pick("metal"), is_solid=False)
    for _ in range(int(rng.integers(0, 6))):
        x, z = rng.uniform(-0.25, 0.05), rng.uniform(split, height - 0.25)
        size = rng.uniform(0.06, 0.2)
        corners = [(x + size, z), (x, z), (x, z + size), (x + size, z + size)]
        points = [(float(a), 0.643, float(b)) for a, b in corners]
        piece.sheet(points, piece.pick(str(rng.choice(["paper", "label"]))), two_sided=False)
    return piece


def bookshelf(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds open shelves with books and other things."""
    piece = Piece(materials, rng)
    look = (piece.pick("wood"), woody(rng))
    width = rng.uniform(0.6, 1.6)
    depth = rng.uniform(0.24, 0.36)
    height = rng.uniform(0.9, 2.1)
    half = width / 2
    for x in (-half, half - 0.02):
        piece.block((x, 0.0, 0.0), (x + 0.02, depth, height), *look)
    piece.block((-half + 0.02, 0.0, 0.0), (half - 0.02, 0.012, height - 0.02), *look)
    levels = np.linspace(0.06, height - 0.02, max(round(height / 0.36), 2) + 1)
    for k, level in enumerate(levels.tolist()):
        piece.block((-half + 0.02, 0.012, level), (half - 0.02, depth, level + 0.02), *look)
        if k + 1 < len(levels):
            room = float(levels[k + 1] - level) - 0.02
            _fill_shelf(piece, (-half + 0.03, half - 0.03), depth, level + 0.02, room)
    return piece


def _fill_shelf(
    piece: Piece, span: tuple[float, float], depth: float, level: float, room: float
) -> None:
    """Fills one level of a shelf with books, boxes or small things."""
    rng = piece.rng
    # Small things, or a row from the left.
    kind = rng.random()
    x = span[0]
    if kind < 0.2:
        clutter.scatter(piece, (span[0], 0.02), (span[1], depth), level, 15.0)
        return
    while x < span[1] - 0.1 and rng.random() < 0.93:
        width = float(min(rng.uniform(0.08, 0.4), span[1] - x))
        height = room * rng.uniform(0.55, 0.92)
        front = depth - rng.uniform(0.02, 0.1)
        low, high = (x, 0.02, level), (x + width, front, level + height)
        if kind < 0.85:
            row = piece.pick("books")
            piece.block(low, high, piece.pick("cover"), grey(rng, 0.6, 1.0), 0.3, front=row)
        else:
            piece.block(low, high, piece.pick("card"), vivid(rng), 0.4)
        x += width + float(rng.choice([0.0, 0.0, 0.08, 0.2]))


def wardrobe(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a wardrobe or a tall cupboard with things on top."""
    piece = Piece(materials, rng)
    width = rng.uniform(0.8, 2.2)
    height = rng.uniform(1.7, 2.15)
    depth = rng.uniform(0.4, 0.62)
    count = max(round(width / 0.5), 1)
    tint = woody(rng)
    door = piece.pick("door" if rng.random() < 0.4 else "cupboard")
    high = (width / 2, depth, height)
    piece.block((-width / 2, 0, 0), high, piece.pick("wood"), tint, front=door, fronts=count)
    if rng.random() < 0.4:
        edge = (width / 2, depth)
        clutter.scatter(piece, (-edge[0], 0.0), edge, height, 3.0)
    return piece


def chest(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a chest of drawers or a sideboard with things on it."""
    piece = Piece(materials, rng)
    width = rng.uniform(0.45, 1.6)
    depth = rng.uniform(0.36, 0.5)
    height = rng.uniform(0.5, 1.1)
    count = max(round(width / 0.55), 1)
    front = piece.pick("drawers" if rng.random() < 0.6 else "cupboard")
    high = (width / 2, depth, height)
    texture, tint = piece.pick("wood"), woody(rng)
    piece.block((-width / 2, 0, 0.05), high, texture, tint, front=front, fronts=count)
    piece.block((-width / 2 + 0.03, 0.02, 0), (width / 2 - 0.03, depth - 0.05, 0.05), texture, tint)
    edge = (width / 2 - 0.03, depth - 0.02)
    clutter.scatter(piece, (-edge[0], 0.02), edge, height, rng.uniform(2, 10))
    return piece


def sofa(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a sofa or an armchair with cushions."""
    piece = Piece(materials, rng)
    seats = int(rng.integers(1, 4))
    arm = rng.uniform(0.1, 0.22)
    width = seats * rng.uniform(0.6, 0.75) + 2 * arm
    half = width / 2
    cloth = (piece.pick("fabric" if rng.random() < 0.7 else "leather"), vivid(rng))
    seat = rng.uniform(0.38, 0.46)
    top = rng.uniform(0.72, 0.95)
    depth = rng.uniform(0.8, 0.95)
    # Base, back and arms.
    piece.block((-half, 0.0, 0.06), (half, depth - 0.02, seat - 0.13), *cloth)
    piece.block((-half + arm, 0.0, seat - 0.13), (half - arm, 0.24, top), *cloth)
    for x in (-half, half - arm):
        piece.block((x, 0.0, seat - 0.13), (x + arm, depth, rng.uniform(0.56, 0.62)), *cloth)
    _legs(piece, (-half + 0.05, 0.05), (half - 0.05, depth - 0.1), 0.06, 0.05, (0, (0.2,) * 3))
    # Seats and cushions.
    step = (width - 2 * arm) / seats
    for k in range(seats):
        x = -half + arm + k * step
        piece.block((x + 0.005, 0.24, seat - 0.13), (x + step - 0.005, depth + 0.01, seat), *cloth)
        if rng.random() < 0.6:
            size = rng.uniform(0.34, 0.46)
            middle = x + step / 2 + rng.uniform(-0.08, 0.08)
            low = (middle - size / 2, 0.25, seat + 0.005)
            high = (middle + size / 2, 0.38, seat + size * 0.9)
            spin = rng.uniform(-0.25, 0.25)
            piece.block(low, high, piece.pick("fabric"), vivid(rng), 0.5, spin_rad=spin)
    return piece


def bed(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a bed with blanket and pillows."""
    piece = Piece(materials, rng)
    width = float(rng.choice([0.9, 1.2, 1.4, 1.6]))
    half = width / 2
    height = rng.uniform(0.4, 0.55)
    look = (piece.pick("wood"), woody(rng))
    piece.block((-half - 0.03, 0, 0.12), (half + 0.03, 2.06, height - 0.18), *look)
    _legs(piece, (-half, 0.02), (half, 2.04), 0.12, 0.06, look)
    piece.block((-half - 0.03, 0, height - 0.18), (half + 0.03, 0.04, rng.uniform(0.7, 1.2)), *look)
    sheet = (piece.pick("fabric"), grey(rng, 0.7, 1.0))
    piece.block((-half, 0.04, height - 0.18), (half, 2.03, height), *sheet)
    blanket = (piece.pick("fabric"), vivid(rng))
    low = (-half - 0.02, rng.uniform(0.6, 0.9), height - 0.14)
    piece.block(low, (half + 0.02, 2.05, height + 0.05), *blanket, size_m=1.0)
    for x in (-half / 2, half / 2) if width > 1.2 else (0.0,):
        spin = rng.uniform(-0.1, 0.1)
        low = (x - 0.3, 0.1, height)
        piece.block(low, (x + 0.3, 0.5, height + 0.12), *sheet, spin_rad=spin)
    return piece


def tv_stand(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a low board with a television."""
    piece = Piece(materials, rng)
    width = rng.uniform(1.0, 1.8)
    height = rng.uniform(0.35, 0.55)
    front = piece.pick("drawers" if rng.random() < 0.5 else "cupboard")
    low, high = (-width / 2, 0.0, 0.03), (width / 2, 0.42, height)
    count = max(round(width / 0.6), 1)
    piece.block(low, high, piece.pick("wood"), woody(rng), front=front, fronts=count)
    half = rng.uniform(0.35, width / 2)
    dark = (0.1, 0.1, 0.1)
    piece.block((-0.15, 0.12, height), (0.15, 0.3, height + 0.02), 0, dark)
    piece.block((-0.03, 0.18, height), (0.03, 0.2, height + 0.12), 0, dark)
    low, high = (-half, 0.19, height + 0.08), (half, 0.24, height + 0.08 + half * 1.13)
    screen = piece.pick("screen" if rng.random() < 0.5 else "dark_screen")
    piece.panel(low, high, screen, edge=dark)
    piece.solid((0.0, 0.215, (low[2] + high[2]) / 2), (half, 0.025, half * 0.56))
    return piece


def plant(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a plant in a pot on the floor."""
    piece = Piece(materials, rng)
    radius = rng.uniform(0.12, 0.22)
    clutter.plant(piece, (0.0, radius + 0.05, 0.0), radius, rng.uniform(0.4, 1.3))
    return piece


def cartons(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a pile of boxes."""
    piece = Piece(materials, rng)
    for x in (-0.35, 0.35) if rng.random() < 0.5 else (0.0,):
        height = 0.0
        for _ in range(int(rng.integers(1, 4))):
            height += clutter.carton(piece, (x, 0.33, height)) + 0.002
    return piece


def floor_lamp(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a lamp on a stand."""
    piece = Piece(materials, rng)
    height = rng.uniform(1.2, 1.7)
    dark = grey(rng, 0.1, 0.8)
    piece.prism((0.0, 0.2, 0.0), 0.03, (0.15, 0.14), 0, dark)
    piece.prism((0.0, 0.2, 0.03), height - 0.03, (0.015, 0.012), piece.pick("metal"), dark)
    shade = (1.0, rng.uniform(0.8, 1.0), rng.uniform(0.55, 0.9))
    piece.prism((0.0, 0.2, height - 0.02), 0.28, (0.19, 0.12), piece.pick("glow"), shade)
    return piece


def bin_(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a waste-paper basket or a bucket."""
    piece = Piece(materials, rng)
    radius = rng.uniform(0.1, 0.19)
    height = rng.uniform(0.25, 0.6)
    texture = piece.pick("metal" if rng.random() < 0.4 else "leather")
    piece.prism((0.0, 0.22, 0.0), height, (radius * 0.85, radius), texture, vivid(rng), 12)
    return piece


def workbench(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a workbench with tools, boxes below it."""
    piece = Piece(materials, rng)
    width = rng.uniform(1.2, 2.2)
    size = (width, rng.uniform(0.55, 0.75), rng.uniform(0.8, 0.95))
    _table_top(piece, size, (piece.pick("wood"), woody(rng)), rng.uniform(8, 20))
    for x in np.arange(-width / 2 + 0.45, width / 2 - 0.4, 0.6).tolist():
        if rng.random() < 0.6:
            clutter.carton(piece, (x, 0.35, 0.0))
    return piece


def washbasin(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a washbasin on a cupboard with a mirror cabinet."""
    piece = Piece(materials, rng)
    front = piece.pick("cupboard")
    texture = piece.pick("plaster")
    piece.block((-0.3, 0, 0.25), (0.3, 0.4, 0.74), texture, woody(rng), front=front, fronts=2)
    piece.block((-0.35, 0, 0.74), (0.35, 0.48, 0.88), texture)
    dark = (0.6, 0.62, 0.64)
    basin = [(-0.27, 0.1), (0.27, 0.1), (0.27, 0.43), (-0.27, 0.43)]
    piece.sheet([(x, y, 0.883) for x, y in basin], texture, dark, two_sided=False)
    piece.prism((0.0, 0.06, 0.88), 0.16, (0.02, 0.015), piece.pick("metal"))
    low, high = (-0.35, 0.0, 1.2), (0.35, 0.15, 1.9)
    piece.block(low, high, texture, grey(rng, 0.6, 1.0), front=piece.pick("cupboard"), fronts=2)
    return piece


def bathtub(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a bathtub, of tiles outside and white inside."""
    piece = Piece(materials, rng)
    tiles = piece.pick("tiles")
    white = piece.pick("plaster")
    rims = (
        ((-0.85, 0.0), (0.85, 0.08)),
        ((-0.85, 0.67), (0.85, 0.75)),
        ((-0.85, 0.08), (-0.76, 0.67)),
        ((0.76, 0.08), (0.85, 0.67)),
    )
    for low, high in rims:
        piece.block((*low, 0.0), (*high, 0.54), tiles, size_m=1.0)
        piece.block((*low, 0.54), (*high, 0.58), white)
    piece.block((-0.76, 0.08, 0.0), (0.76, 0.67, 0.15), white)
    return piece


def toilet(materials: Materials, rng: np.random.Generator) -> Piece:
    """Builds a toilet."""
    piece = Piece(materials, rng)
    white = piece.pick("plaster")
    piece.block((-0.19, 0.0, 0.4), (0.19, 0.18, 0.82), white)
    piece.prism((0.0, 0.42, 0.0), 0.38, (0.13, 0.19), white, sides=12)
    piece.prism((0.0, 0.42, 0.38), 0.04, (0.21, 0.21), white, grey(rng, 0.2, 1.0), sides=12)
    piece.block((-0.12, 0.0, 0.0), (0.12, 0.35, 0.38), white)
    return piece
