"""Furnished storey of one walk, drawn from the seed before the first frame is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.synthetic.atlas import Atlas
from training.synthetic.polygons import Polygons, concatenate
from training.synthetic.rooms.furnish import Furnisher
from training.synthetic.rooms.light_volume import LightVolume, Sun
from training.synthetic.rooms.materials import Materials
from training.synthetic.rooms.piece import Solids, join_solids
from training.synthetic.rooms.plan import Plan, Room, draw_plan
from training.synthetic.rooms.shell import Lamp, build_door, build_outside, build_room

DAYLIGHT = 0.55  # irradiance of a window by the sky, relative to a lamp of power 1
NIGHT = 0.15  # share of storeys that are rendered at night


@dataclass(frozen=True, eq=False)
class Storey:
    """Static world of a walk."""

    plan: Plan
    materials: Materials
    polygons: Polygons
    solids: Solids
    targets: np.ndarray  # (T, 3) middles of the furniture
    lamps: list[tuple[Room, Lamp]]
    sun: Sun | None
    daylight: float  # factor on what is seen outside

    @cached_property
    def atlas(self) -> Atlas:
        """The textures, drawn when they are first needed."""
        return self.materials.draw_atlas(self.polygons.texture)

    @cached_property
    def light(self) -> LightVolume:
        """The light in the rooms, computed when it is first needed."""
        return LightVolume(self.plan, self.solids, self.lamps, self.sun)


def draw_storey(seed: int) -> Storey:
    """Draws a furnished storey with its light from its seed."""
    plan = draw_plan(seed)
    materials = Materials(seed)
    # Rooms, their lamps, and their furniture.
    parts = []
    lamps: list[tuple[Room, Lamp]] = []
    targets = [np.array([*room.middle, 0.6]) for room in plan.rooms]
    for number, room in enumerate(plan.rooms):
        rng = np.random.default_rng([seed, 103, number])
        shell, room_lamps = build_room(materials, rng, room, plan.height)
        parts += shell
        lamps += [(room, lamp) for lamp in room_lamps]
        furnisher = Furnisher(materials, rng, room, plan.doors, plan.height)
        furnisher.furnish()
        parts += furnisher.parts
        targets += furnisher.targets
    rng = np.random.default_rng([seed, 104])
    parts += [build_door(materials, rng, door) for door in plan.doors]
    solids = join_solids([part for _, part in parts])
    # Daylight, and what it shows outside.
    daylight = 0.06 if rng.random() < NIGHT else float(rng.uniform(0.5, 1.3))
    sources = _dimmed(lamps, daylight)
    sun = _draw_sun(rng, daylight)
    outside = build_outside(materials, rng, plan, daylight)
    polygons = concatenate([*(part for part, _ in parts), outside])
    return Storey(plan, materials, polygons, solids, np.array(targets), sources, sun, daylight)


def _dimmed(lamps: list[tuple[Room, Lamp]], daylight: float) -> list[tuple[Room, Lamp]]:
    """Returns the sources with windows as bright as the daylight; lamps are lit if it is dark."""
    result = []
    sky = np.array([0.92, 1.0, 1.1]) * daylight * DAYLIGHT
    for room, lamp in lamps:
        power = lamp.power if lamp.normal is None else lamp.power * sky
        if lamp.normal is None and daylight < NIGHT and power.max() == 0:
            power = np.array([0.8, 0.75, 0.6]) * room.size.prod() / 9
        result.append((room, Lamp(lamp.position, power, lamp.normal)))
    return result


def _draw_sun(rng: np.random.Generator, daylight: float) -> Sun | None:
    """Draws direct sunlight, or None in overcast weather and at night."""
    elevation = np.radians(rng.uniform(18, 50))
    azimuth = rng.uniform(0, 2 * np.pi)
    flat = np.cos(elevation)
    to_sun = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    power = rng.uniform(0.8, 2.2) * daylight * np.array([1.06, 1.0, 0.88])
    is_clear = rng.random() < 0.45 and daylight > NIGHT
    return Sun(to_sun, power) if is_clear else None
