"""Roads of a drive and their paint: the main road, which the car follows, and side roads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.synthetic.paint import Paint
from training.synthetic.route import Route

SPACING_M = 2.0  # distance of the points of a road


@dataclass(frozen=True, eq=False)
class Road:
    """Middle line of a road, a point every SPACING_M, and its cross-section to either side."""

    points: np.ndarray  # (P, 2)
    heading_rad: np.ndarray  # (P,)
    half_width_m: float  # of the carriageway
    bay_m: float  # parking bay beside it, 0 for none
    pavement_m: float  # 0 for none
    main: bool

    @property
    def edge_m(self) -> float:
        """Distance in metres from the middle line to where gardens and fields begin."""
        return self.half_width_m + self.bay_m + self.pavement_m

    def left_normals(self) -> np.ndarray:
        """Returns unit vectors (P, 2) to the left of the road."""
        return np.stack([-np.sin(self.heading_rad), np.cos(self.heading_rad)], axis=1)

    def offset(self, sideways_m: float) -> np.ndarray:
        """Returns the points (P, 2) of a line parallel to the road, `sideways_m` to its left."""
        return self.points + self.left_normals() * sideways_m


@dataclass(frozen=True)
class RoadNetwork:
    """All roads of a drive; the first is the main road."""

    roads: tuple[Road, ...]
    lane_m: float  # the car's path lies this far to the right of the main road's middle

    def clearance(self, point: np.ndarray) -> float:
        """Returns the distance in metres from `point` (2,) to the nearest carriageway's border.

        Carriageways include parking bays. The distance is negative on a carriageway.
        """
        return float((np.hypot(*(self._points - point).T) - self._half_m - self._bay_m).min())

    def clearance_of_others(self, road: Road, point: np.ndarray) -> float:
        """Returns the distance in metres from `point` (2,) to carriageways of roads but `road`.

        Parking bays are not included. The distance is 99 m without other roads.
        """
        others = self._road_index != self.roads.index(road)
        return float((np.hypot(*(self._points - point).T) - self._half_m)[others].min(initial=99.0))

    @cached_property
    def _points(self) -> np.ndarray:
        """Points (S, 2) of all roads."""
        return np.concatenate([road.points for road in self.roads])

    @cached_property
    def _half_m(self) -> np.ndarray:
        """Half the width of the carriageway at each point, (S,)."""
        return np.concatenate([np.full(len(r.points), r.half_width_m) for r in self.roads])

    @cached_property
    def _bay_m(self) -> np.ndarray:
        """Width of the parking bay at each point, (S,)."""
        return np.concatenate([np.full(len(r.points), r.bay_m) for r in self.roads])

    @cached_property
    def _road_index(self) -> np.ndarray:
        """Index of the road that each point belongs to, (S,)."""
        return np.concatenate([np.full(len(r.points), i) for i, r in enumerate(self.roads)])


def draw_network(seed: int, route: Route) -> RoadNetwork:
    """Draws the roads of a drive from its seed, around the route of the car."""
    # Cross-section of the main road.
    rng = np.random.default_rng([seed, 7])
    half = rng.uniform(2.9, 4.2)
    is_urban = rng.random() < 0.78
    bay = float(rng.choice([0.0, 2.1])) if is_urban else 0.0
    pavement = rng.uniform(1.5, 3.2) if is_urban else float(rng.choice([0.0, 0.0, 1.5]))
    lane = half * rng.uniform(0.36, 0.5)
    # Main road: it lies to the left of the car's path.
    distance = np.arange(0, route.length_m, SPACING_M)
    points, heading = route.at(distance, lane)
    main = Road(points, heading, half, bay, pavement, main=True)
    # Side roads that go straight on where the car turns, before the turn and behind it.
    sides = [_draw_side_road(rng, route, turn.start_m, 0.0, main) for turn in route.turns]
    sides += [
        _draw_side_road(rng, route, turn.end_m, np.pi, main)
        for turn in route.turns
        if rng.random() < 0.8
    ]
    # Crossings on straight parts of the route.
    at = 30.0
    gap = (45, 160) if is_urban else (90, 300)
    while at < route.length_m - 80:
        is_straight = np.abs(route.curvature[int((at - 15) * 4) : int((at + 15) * 4)]).max() < 0.01
        if is_straight:
            for angle in (np.pi / 2, -np.pi / 2):
                if rng.random() < 0.6:
                    angle_rad = angle + rng.normal(0, 0.12)
                    sides.append(_draw_side_road(rng, route, at, angle_rad, main))
        at += rng.uniform(*gap)
    return RoadNetwork((main, *sides), lane)


def _draw_side_road(
    rng: np.random.Generator, route: Route, at_m: float, angle_rad: float, main: Road
) -> Road:
    """Draws a slightly curved side road that leaves the main one at `at_m` along the route.

    `angle_rad` is its direction relative to the route's.
    """
    # Middle line, from the main road outwards.
    lane = main.half_width_m * 0.47
    start, heading = route.at(at_m, lane)
    count = int(rng.uniform(60, 110) / SPACING_M)
    headings = heading + angle_rad + rng.normal(0, 0.004) * np.arange(count) * SPACING_M
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * SPACING_M
    points = np.concatenate([start[None], start + np.cumsum(steps, axis=0)[:-1]])
    # A narrower cross-section than the main road's.
    return Road(
        points=points,
        heading_rad=headings,
        half_width_m=rng.uniform(2.2, main.half_width_m),
        bay_m=0.0,
        pavement_m=main.pavement_m * rng.uniform(0.6, 1.0),
        main=False,
    )


def paint_roads(seed: int, network: RoadNetwork) -> Paint:
    """Paints the surfaces and markings of all roads."""
    # Tones and colours that all roads share.
    rng = np.random.default_rng([seed, 8])
    paint = Paint()
    slab = rng.uniform(95, 165)
    asphalt = rng.uniform(78, 135)
    warm = np.array([1.02, 1.0, 0.97])
    kerb = rng.uniform(140, 200)
    has_markings = rng.random() < 0.6 or network.roads[0].pavement_m == 0
    for road in network.roads:
        grey = asphalt * rng.uniform(0.85, 1.1)
        carriageway_m = 2 * road.half_width_m
        with_bays_m = 2 * (road.half_width_m + road.bay_m)
        # Pavement and kerb, or a soft shoulder.
        if road.pavement_m:
            paint.line(1, road.points, 2 * road.edge_m, tuple(slab * warm))
            paint.line(2, road.points, with_bays_m + 0.36, (kerb, kerb, kerb * 0.97))
        else:
            paint.line(1, road.points, carriageway_m + 1.6, tuple(grey * 0.9 * warm), hardness=90)
        # Parking bays and their border.
        if road.bay_m:
            paint.line(3, road.points, with_bays_m, tuple(grey * 0.85 * warm))
            paint.line(4, road.points, carriageway_m + 0.5, (kerb * 0.9, kerb * 0.9, kerb * 0.88))
        # Carriageway.
        paint.line(5, road.points, carriageway_m, tuple(grey * warm))
        _paint_wear(rng, paint, road, grey)
        if has_markings:
            _paint_markings(rng, paint, road)
    return paint


def _paint_wear(rng: np.random.Generator, paint: Paint, road: Road, grey: float) -> None:
    """Paints wheel tracks, repaired strips and patches, sealed cracks and manholes."""
    # Wheel tracks.
    if rng.random() < 0.5:
        for side in (-0.5, 0.5):
            paint.line(6, road.offset(side * road.half_width_m), 1.5, (grey * 0.93,) * 3)
    # Single features at random points.
    for i in range(4, len(road.points) - 8):
        if rng.random() < 0.09:
            _paint_repair(rng, paint, road, i, grey)
        if rng.random() < 0.12:
            _paint_crack(rng, paint, road, i, grey)
        if rng.random() < 0.025:
            _paint_manhole(rng, paint, road, i, grey)


def _axes(road: Road, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns unit vectors (2,) forward and to the left at a point of a road."""
    forward = np.array([np.cos(road.heading_rad[i]), np.sin(road.heading_rad[i])])
    return forward, road.left_normals()[i]


def _paint_repair(rng: np.random.Generator, paint: Paint, road: Road, i: int, grey: float) -> None:
    """Paints a rectangular patch or a long strip of other asphalt near a point of a road."""
    forward, left = _axes(road, i)
    tone = grey * rng.uniform(0.6, 1.3)
    length = rng.uniform(1, 14)
    width = rng.uniform(0.5, road.half_width_m)
    middle = road.points[i] + left * rng.uniform(-0.8, 0.8) * (road.half_width_m - width / 2)
    along = forward * length / 2
    across = left * width / 2
    corners = np.array(
        [
            middle - along - across,
            middle + along - across,
            middle + along + across,
            middle - along + across,
        ]
    )
    paint.area(7, corners, (tone,) * 3)


def _paint_crack(rng: np.random.Generator, paint: Paint, road: Road, i: int, grey: float) -> None:
    """Paints a sealed crack, a dark random walk along or across the road."""
    forward, left = _axes(road, i)
    along = rng.choice([-1, 1]) * (forward if rng.random() < 0.6 else left)
    steps = rng.normal(0, 0.35, (int(rng.integers(5, 16)), 2)) + along * 0.55
    crack = (
        road.points[i]
        + left * rng.uniform(-0.9, 0.9) * road.half_width_m
        + np.cumsum(steps, axis=0)
    )
    inside = np.abs((crack - road.points[i]) @ left) < road.half_width_m
    if inside.sum() > 2:
        paint.line(8, crack[inside], rng.uniform(0.05, 0.12), (grey * rng.uniform(0.35, 0.6),) * 3)


def _paint_manhole(rng: np.random.Generator, paint: Paint, road: Road, i: int, grey: float) -> None:
    """Paints a manhole cover in its dark frame."""
    _, left = _axes(road, i)
    middle = road.points[i] + left * rng.uniform(-0.7, 0.7) * road.half_width_m
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for radius, tone in ((0.38, 0.5), (0.3, 0.75)):
        paint.area(8, middle + radius * circle, (grey * tone,) * 3)


def _paint_markings(rng: np.random.Generator, paint: Paint, road: Road) -> None:
    """Paints a dashed middle line and, on open roads, edge lines; a stop line on side roads."""
    white = rng.uniform(190, 235)
    colour = (white, white, white * 0.98)
    if road.main:
        dash, period = (2, 6) if rng.random() < 0.5 else (3, 5)
        for i in range(0, len(road.points) - dash, period):
            paint.line(9, road.points[i : i + dash + 1], 0.13, colour)
        if not road.pavement_m:
            for side in (-1, 1):
                paint.line(9, road.offset(side * (road.half_width_m - 0.2)), 0.14, colour)
    else:
        across = road.left_normals()[3] * road.half_width_m * 0.92
        paint.line(9, np.array([road.points[3], road.points[3] + across]), 0.4, colour)
