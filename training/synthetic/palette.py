"""The textures of one drive, by name: several variants of each, drawn from the seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from training.synthetic import cars, cutouts, surfaces
from training.synthetic.atlas import Atlas

GREENS = [(62, 78, 30), (48, 66, 28), (78, 88, 34), (54, 62, 34), (88, 92, 44)]
AUTUMN = [(150, 88, 30), (140, 110, 36), (110, 60, 32)]


class Palette:
    """Texture indices by name, and the atlas that holds the textures."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._textures: list[np.ndarray] = []
        self._variants: dict[str, list[int]] = {}
        self._greens = GREENS + (AUTUMN if self._rng.random() < 0.4 else [])
        self._draw_walls()
        self._draw_plants()
        self._draw_street()
        self.atlas = Atlas(self._textures)

    def pick(self, rng: np.random.Generator, name: str) -> int:
        """Returns the index of a random variant of a texture."""
        variants = self._variants[name]
        return variants[int(rng.integers(len(variants)))]

    def variant(self, name: str, index: int) -> int:
        """Returns the index of one variant of a texture."""
        return self._variants[name][index]

    def texel_sizes(self) -> np.ndarray:
        """Returns width and height of all textures in texels, (textures, 2)."""
        return self.atlas.sizes

    def _add(
        self, name: str, count: int, draw: Callable[[np.random.Generator], np.ndarray]
    ) -> None:
        """Draws `count` variants of a texture and keeps them under a name."""
        for _ in range(count):
            self._variants.setdefault(name, []).append(len(self._textures))
            self._textures.append(draw(self._rng))

    def _random_green(self) -> surfaces.Colour:
        """Returns a random colour of leaves."""
        colour = np.array(
            self._greens[int(self._rng.integers(len(self._greens)))]
        ) * self._rng.uniform(0.7, 1.2)
        return surfaces.as_colour(colour)

    def _draw_walls(self) -> None:
        """Draws the textures of buildings and walls."""
        self._add("rough", 1, surfaces.rough)
        self._add("plain", 3, surfaces.plain)
        for storeys in (2, 3, 4):
            facade = partial(surfaces.facade, storeys=storeys)
            self._add(f"facade{storeys}", 5, partial(facade, shop=False))
            self._add(f"facade{storeys}", 1, partial(facade, shop=True))
        for colour in ((120, 60, 45), (75, 50, 45), (70, 70, 75), (140, 85, 60)):
            self._add("roof", 1, partial(surfaces.roof, colour=colour))
        for colour, courses in (
            ((130, 75, 60), 16),
            ((140, 130, 115), 8),
            ((100, 90, 80), 8),
            ((165, 160, 150), 4),
        ):
            self._add("masonry", 1, partial(surfaces.masonry, colour=colour, courses=courses))
        self._add("garage", 3, surfaces.garage)
        self._add("bark", 2, surfaces.bark)

    def _draw_plants(self) -> None:
        """Draws the textures of trees, bushes and grass."""
        self._add("foliage", 5, lambda rng: surfaces.foliage(rng, self._random_green()))
        self._add(
            "crown",
            8,
            lambda rng: cutouts.crown(rng, self._random_green(), 0.0, rng.uniform(0.1, 0.9)),
        )
        self._add(
            "conifer",
            3,
            lambda rng: cutouts.crown(rng, (38.0, 52.0, 28.0), 0.9, rng.uniform(0.1, 0.5)),
        )
        self._add("branches", 2, cutouts.branches)
        self._add("meadow", 3, lambda rng: cutouts.meadow(rng, self._random_green()))

    def _draw_street(self) -> None:
        """Draws the textures of fences, signs, pedestrians and cars."""
        for colour, gap in (((110, 80, 55), 0.35), ((60, 62, 60), 0.7), ((190, 190, 185), 0.45)):
            self._add("fence", 1, partial(cutouts.fence, colour=colour, gap=gap))
        for kind in range(4):
            self._add("sign", 1, partial(cutouts.sign, kind=kind))
        self._add("pedestrian", 4, cutouts.pedestrian)
        for shape in cars.SHAPES:
            self._add("car_side", 1, lambda _, shape=shape: cars.draw_side(shape))  # type: ignore[misc]
            self._add("car_rear", 1, partial(cars.draw_end, shape=shape, rear=True))
            self._add("car_front", 1, partial(cars.draw_end, shape=shape, rear=False))
        self._add("glass", 1, cars.draw_glass)
