"""The textures of one storey, by name: several variants of each, drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.synthetic.atlas import Atlas
from training.synthetic.rooms import coverings, fittings

TEXTURES: dict[str, tuple[int, Callable[[np.random.Generator], np.ndarray]]] = {
    "plaster": (3, coverings.plaster),
    "wallpaper": (3, coverings.wallpaper),
    "tiles": (4, coverings.tiles),
    "planks": (3, coverings.planks),
    "carpet": (2, coverings.carpet),
    "rug": (3, coverings.rug),
    "wood": (3, coverings.wood),
    "fabric": (4, coverings.fabric),
    "leather": (2, coverings.leather),
    "metal": (2, coverings.metal),
    "stone": (2, coverings.stone),
    "card": (1, coverings.cork),
    "cupboard": (3, fittings.cupboard),
    "drawers": (2, fittings.drawers),
    "appliance": (3, fittings.appliance),
    "door": (3, fittings.room_door),
    "books": (4, fittings.books),
    "cover": (3, fittings.spine),
    "label": (14, fittings.label),
    "paper": (5, fittings.paper),
    "picture": (6, fittings.picture),
    "view": (3, fittings.view),
    "lawn": (1, fittings.lawn),
    "screen": (3, fittings.screen),
    "dark_screen": (1, fittings.dark_screen),
    "keyboard": (2, fittings.keyboard),
    "radiator": (1, fittings.radiator),
    "curtain": (2, fittings.curtain),
    "blind": (1, fittings.blind),
    "board": (2, fittings.board),
    "socket": (2, fittings.socket),
    "clock": (1, fittings.clock),
    "leafy": (3, fittings.leafy),
    "glow": (1, fittings.glow),
}
"""Number of variants and drawing function of each texture."""
LUMINOUS = {"view": 2.2, "lawn": 1.5, "screen": 0.9, "glow": 2.5}
"""Radiance of a white texel of the textures that shine by themselves."""


class Materials:
    """Texture indices by name, and the drawing of the textures.

    `luminosity` (textures,) is the radiance of a white texel, 0 for textures that need light.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._names = [name for name, (count, _) in TEXTURES.items() for _ in range(count)]
        self._variants: dict[str, list[int]] = {name: [] for name in TEXTURES}
        for index, name in enumerate(self._names):
            self._variants[name].append(index)
        self.luminosity = np.array([LUMINOUS.get(name, 0.0) for name in self._names])

    def draw_atlas(self, used: np.ndarray) -> Atlas:
        """Draws the textures with the indices `used`, and stands a blank one for each other."""
        textures = [np.full((4, 4, 4), 255, np.uint8)] * len(self._names)
        for index in np.unique(used).tolist():
            rng = np.random.default_rng([self._seed, 101, index])
            textures[index] = TEXTURES[self._names[index]][1](rng)
        return Atlas(textures)

    def pick(self, rng: np.random.Generator, name: str) -> int:
        """Returns the index of a random variant of a texture."""
        variants = self._variants[name]
        return variants[int(rng.integers(len(variants)))]
