"""The roads of a drive: the one that the car follows, those that cross it, and how they are
painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synthetic.paint import Paint
from training.synthetic.route import Route

SPACING_M = 2.0


@dataclass(frozen=True, eq=False)
class Road:
    """A road's middle line every SPACING_M, and its cross-section to either side."""

    points: np.ndarray  # (P, 2)
    heading_rad: np.ndarray  # (P,)
    half_width_m: float  # of the carriageway
    bay_m: float  # parking bay beside it, 0 for none
    pavement_m: float  # 0 for none
    main: bool

    @property
    def edge_m(self) -> float:
        """Distance from the middle to where gardens and fields begin."""
        return self.half_width_m + self.bay_m + self.pavement_m

    def left(self) -> np.ndarray:
        return np.stack([-np.sin(self.heading_rad), np.cos(self.heading_rad)], axis=1)

    def offset(self, sideways_m: float) -> np.ndarray:
        return self.points + self.left() * sideways_m


@dataclass(frozen=True)
class RoadNetwork:
    roads: tuple[Road, ...]
    lane_m: float  # the car's path lies this far to the right of the main road's middle

    def __post_init__(self) -> None:
        object.__setattr__(self, "_samples", np.concatenate([road.points for road in self.roads]))
        object.__setattr__(
            self,
            "_half_m",
            np.concatenate([np.full(len(r.points), r.half_width_m) for r in self.roads]),
        )
        object.__setattr__(
            self, "_bay_m", np.concatenate([np.full(len(r.points), r.bay_m) for r in self.roads])
        )
        object.__setattr__(
            self,
            "_owner",
            np.concatenate([np.full(len(r.points), i) for i, r in enumerate(self.roads)]),
        )

    _samples = np.zeros((0, 2))
    _half_m = np.zeros(0)
    _bay_m = np.zeros(0)
    _owner = np.zeros(0, np.int64)

    def clearance(self, point: np.ndarray) -> float:
        """Metres from `point` (2,) to where the nearest carriageway, with its bays, ends;
        negative on it."""
        return float((np.hypot(*(self._samples - point).T) - self._half_m - self._bay_m).min())

    def clearance_of_others(self, road: Road, point: np.ndarray) -> float:
        """Metres from `point` to the nearest carriageway that is not `road`'s."""
        others = self._owner != self.roads.index(road)
        return float(
            (np.hypot(*(self._samples - point).T) - self._half_m)[others].min(initial=99.0)
        )


def draw_network(seed: int, route: Route) -> RoadNetwork:
    rng = np.random.default_rng([seed, 7])
    half = rng.uniform(2.9, 4.2)
    urban = rng.random() < 0.78
    bay = float(rng.choice([0.0, 2.1])) if urban else 0.0
    pavement = rng.uniform(1.5, 3.2) if urban else float(rng.choice([0.0, 0.0, 1.5]))
    lane = half * rng.uniform(0.36, 0.5)
    distance = np.arange(0, route.length_m, SPACING_M)
    points, heading = route.at(distance, lane)
    main = Road(points, heading, half, bay, pavement, True)
    sides = [_branch(rng, route, turn.start_m, 0.0, main) for turn in route.turns]
    sides += [
        _branch(rng, route, turn.end_m, np.pi, main) for turn in route.turns if rng.random() < 0.8
    ]
    at, gap = 30.0, (45, 160) if urban else (90, 300)
    while at < route.length_m - 80:
        straight = np.abs(route.curvature[int((at - 15) * 4) : int((at + 15) * 4)]).max() < 0.01
        if straight:
            for angle in (np.pi / 2, -np.pi / 2):
                if rng.random() < 0.6:
                    sides.append(_branch(rng, route, at, angle + rng.normal(0, 0.12), main))
        at += rng.uniform(*gap)
    return RoadNetwork((main, *sides), lane)


def _branch(
    rng: np.random.Generator, route: Route, at_m: float, angle_rad: float, main: Road
) -> Road:
    """A side road that leaves the main one at `at_m`, slightly curved."""
    lane = main.half_width_m * 0.47
    start, heading = route.at(at_m, lane)
    count = int(rng.uniform(60, 110) / SPACING_M)
    headings = heading + angle_rad + rng.normal(0, 0.004) * np.arange(count) * SPACING_M
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * SPACING_M
    points = np.concatenate([start[None], start + np.cumsum(steps, axis=0)[:-1]])
    return Road(
        points,
        headings,
        rng.uniform(2.2, main.half_width_m),
        0.0,
        main.pavement_m * rng.uniform(0.6, 1.0),
        False,
    )


def paint_roads(seed: int, network: RoadNetwork) -> Paint:
    rng = np.random.default_rng([seed, 8])
    paint = Paint()
    slab, asphalt = rng.uniform(95, 165), rng.uniform(78, 135)
    warm = np.array([1.02, 1.0, 0.97])
    kerb = rng.uniform(140, 200)
    lines = rng.random() < 0.6 or network.roads[0].pavement_m == 0
    for road in network.roads:
        grey = asphalt * rng.uniform(0.85, 1.1)
        if road.pavement_m:
            paint.line(1, road.points, 2 * road.edge_m, tuple(slab * warm))
        else:
            paint.line(1, road.points, 2 * road.half_width_m + 1.6, tuple(grey * 0.9 * warm), 90)
        if road.pavement_m:
            paint.line(
                2,
                road.points,
                2 * (road.half_width_m + road.bay_m) + 0.36,
                (kerb, kerb, kerb * 0.97),
            )
        if road.bay_m:
            paint.line(
                3, road.points, 2 * (road.half_width_m + road.bay_m), tuple(grey * 0.85 * warm)
            )
            paint.line(
                4, road.points, 2 * road.half_width_m + 0.5, (kerb * 0.9, kerb * 0.9, kerb * 0.88)
            )
        paint.line(5, road.points, 2 * road.half_width_m, tuple(grey * warm))
        _wear(rng, paint, road, grey)
        if lines:
            _markings(rng, paint, road)
    return paint


def _wear(rng: np.random.Generator, paint: Paint, road: Road, grey: float) -> None:
    """Wheel tracks, repaired strips, patches, sealed cracks, manholes."""
    left = road.left()
    if rng.random() < 0.5:
        for side in (-0.5, 0.5):
            paint.line(6, road.offset(side * road.half_width_m), 1.5, (grey * 0.93,) * 3)
    for i in range(4, len(road.points) - 8):
        forward = np.array([np.cos(road.heading_rad[i]), np.sin(road.heading_rad[i])])
        if rng.random() < 0.09:
            tone, length, width = (
                grey * rng.uniform(0.6, 1.3),
                rng.uniform(1, 14),
                rng.uniform(0.5, road.half_width_m),
            )
            middle = road.points[i] + left[i] * rng.uniform(-0.8, 0.8) * (
                road.half_width_m - width / 2
            )
            a, b = forward * length / 2, left[i] * width / 2
            paint.area(
                7,
                np.array([middle - a - b, middle + a - b, middle + a + b, middle - a + b]),
                (tone,) * 3,
            )
        if rng.random() < 0.12:
            along = rng.choice([-1, 1]) * (forward if rng.random() < 0.6 else left[i])
            steps = rng.normal(0, 0.35, (int(rng.integers(5, 16)), 2)) + along * 0.55
            crack = (
                road.points[i]
                + left[i] * rng.uniform(-0.9, 0.9) * road.half_width_m
                + np.cumsum(steps, axis=0)
            )
            inside = np.abs((crack - road.points[i]) @ left[i]) < road.half_width_m
            if inside.sum() > 2:
                paint.line(
                    8, crack[inside], rng.uniform(0.05, 0.12), (grey * rng.uniform(0.35, 0.6),) * 3
                )
        if rng.random() < 0.025:
            middle = road.points[i] + left[i] * rng.uniform(-0.7, 0.7) * road.half_width_m
            for radius, tone in ((0.38, 0.5), (0.3, 0.75)):
                angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
                paint.area(
                    8,
                    middle + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1),
                    (grey * tone,) * 3,
                )


def _markings(rng: np.random.Generator, paint: Paint, road: Road) -> None:
    """A dashed middle line, edge lines on open roads, now and then a stop line or an arrow."""
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
        across = road.left()[3] * road.half_width_m * 0.92
        paint.line(9, np.array([road.points[3], road.points[3] + across]), 0.4, colour)
