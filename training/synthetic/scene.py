"""One drive's world: what stands where. Everything is drawn from the seed before the first frame
is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.synthetic import cars, street_props
from training.synthetic.paint import Paint
from training.synthetic.palette import Palette
from training.synthetic.polygons import Mesh, Polygons, concatenate
from training.synthetic.roads import Road, RoadNetwork, draw_network, paint_roads
from training.synthetic.route import Route, draw_route
from training.synthetic.terrain import Terrain

CELL_M = 24.0
# How likely each kind of roadside is, for each character of a drive.
CHARACTERS = {
    "town": {"terrace": 5, "houses": 2, "avenue": 1, "wall": 1, "park": 1},
    "suburb": {"houses": 5, "terrace": 1, "hedge": 2, "avenue": 1, "park": 1, "wall": 1},
    "green": {"avenue": 3, "hedge": 2, "houses": 2, "park": 3, "forest": 2, "field": 1},
    "country": {"field": 4, "forest": 3, "hedge": 1, "avenue": 2, "houses": 1},
}


@dataclass(frozen=True)
class StreetScene:
    """The static world in spatial cells, and what is needed to move through it."""

    seed: int
    route: Route
    terrain: Terrain
    network: RoadNetwork
    paint: Paint
    palette: Palette
    solid: Polygons
    cells: dict[tuple[int, int], np.ndarray]  # rows of `solid` by cell

    def near(self, center: np.ndarray, reach_m: float) -> Polygons:
        """Static polygons whose middle lies in a cell within `reach_m` of `center` (2,)."""
        first, last = (
            np.floor((center + step) / CELL_M).astype(int) for step in (-reach_m, reach_m)
        )
        found = []
        for i in range(first[0], last[0] + 1):
            for j in range(first[1], last[1] + 1):
                if (i, j) in self.cells and np.linalg.norm(
                    (np.array([i, j]) + 0.5) * CELL_M - center
                ) < reach_m + CELL_M:
                    found.append(self.cells[i, j])
        rows = np.concatenate(found) if found else np.zeros(0, np.int64)
        return self.solid.take(rows)


def draw_scene(seed: int, frames: int) -> StreetScene:
    route, terrain, palette = draw_route(seed, frames), Terrain(seed), Palette(seed)
    network = draw_network(seed, route)
    paint = paint_roads(seed, network)
    builder = _Builder(seed, terrain, palette, network, paint)
    for index, road in enumerate(network.roads):
        builder.furnish(road, index)
    solid = concatenate([builder.mesh.polygons(), *builder.parked])
    keys = np.floor(solid.corners.mean(axis=1)[:, :2] / CELL_M).astype(int)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    edges = np.flatnonzero(np.any(np.diff(keys[order], axis=0), axis=1)) + 1
    cells = {
        (int(keys[rows[0], 0]), int(keys[rows[0], 1])): rows for rows in np.split(order, edges)
    }
    return StreetScene(seed, route, terrain, network, paint, palette, solid, cells)


class _Builder:
    """Walks along the roads and sets things beside them, nothing on any carriageway."""

    def __init__(
        self, seed: int, terrain: Terrain, palette: Palette, network: RoadNetwork, paint: Paint
    ) -> None:
        self.seed, self.terrain, self.palette, self.network, self.paint = (
            seed,
            terrain,
            palette,
            network,
            paint,
        )
        self.mesh = Mesh()
        self.parked: list[Polygons] = []
        rng = np.random.default_rng([seed, 9])
        paved = network.roads[0].pavement_m > 0
        character = str(
            rng.choice(["town", "suburb", "green"] if paved else ["country", "country", "green"])
        )
        self.weights = CHARACTERS[character]
        self.parking = rng.uniform(0.1, 0.75) if paved else rng.uniform(0.0, 0.08)
        self.street_trees = rng.uniform(0.0, 0.6)

    def furnish(self, road: Road, index: int) -> None:
        for side in (-1, 1):
            rng = np.random.default_rng([self.seed, 10, index, side + 1])
            at, end = 0, len(road.points)
            while at < end:
                count = int(rng.uniform(12, 60))
                kind = str(
                    rng.choice(
                        list(self.weights),
                        p=np.array(list(self.weights.values())) / sum(self.weights.values()),
                    )
                )
                stretch = _Stretch(self, road, side, rng, at, min(at + count, end))
                getattr(stretch, kind)()
                stretch.kerbside()
                at += count

    def ground(self, point: np.ndarray) -> np.ndarray:
        return np.array([point[0], point[1], float(self.terrain.height(np.asarray(point)))])


class _Stretch:
    """One side of a road between two of its points, all of one kind."""

    def __init__(
        self,
        builder: _Builder,
        road: Road,
        side: int,
        rng: np.random.Generator,
        first: int,
        last: int,
    ) -> None:
        self.b, self.road, self.side, self.rng = builder, road, side, rng
        self.first, self.last = first, last
        self.length = (last - first) * 2.0

    def at(self, along_m: float, beyond_m: float) -> tuple[np.ndarray, float]:
        """A point `along_m` from the stretch's start and `beyond_m` outside the road's edge, and
        the road's heading there."""
        index = min(self.first + round(along_m / 2.0), len(self.road.points) - 1)
        heading = float(self.road.heading_rad[index])
        left = np.array([-np.sin(heading), np.cos(heading)])
        rest = along_m - (index - self.first) * 2.0
        forward = np.array([np.cos(heading), np.sin(heading)])
        return self.road.points[index] + forward * rest + left * self.side * (
            self.road.edge_m + beyond_m
        ), heading

    def free(self, point: np.ndarray, radius_m: float) -> bool:
        return self.b.network.clearance(point) > radius_m

    def spots(
        self, low: float, high: float, beyond: tuple[float, float], radius: float
    ) -> Iterator[tuple[np.ndarray, float]]:
        """Free places every `low`..`high` metres: (point on the ground, heading)."""
        along = self.rng.uniform(0, high)
        while along < self.length:
            point, heading = self.at(along, self.rng.uniform(*beyond))
            if self.free(point, radius):
                yield self.b.ground(point), heading
            along += self.rng.uniform(low, high)

    def run(self, kind: str, beyond: float, gap: float = 0.06) -> None:
        """A barrier along the whole stretch, with gaps."""
        step = 6.0
        for i in range(int(self.length / step)):
            ends = [self.at(i * step + part, beyond)[0] for part in (0.0, step)]
            if self.rng.random() < gap or not all(
                self.free(p, 0.8) for p in [*ends, (ends[0] + ends[1]) / 2]
            ):
                continue
            ends = ends if self.side < 0 else ends[::-1]
            rng = np.random.default_rng(
                [self.b.seed, 11, self.first, self.side + 1]
            )  # the same look all along
            street_props.barrier(
                self.b.mesh,
                self.b.palette,
                rng,
                self.b.ground(ends[0]),
                self.b.ground(ends[1]),
                kind,
            )

    def trees(
        self, low: float, high: float, beyond: tuple[float, float], heights: tuple[float, float]
    ) -> None:
        for point, _ in self.spots(low, high, beyond, 1.2):
            street_props.tree(
                self.b.mesh, self.b.palette, self.rng, point, self.rng.uniform(*heights)
            )

    def bushes(self, low: float, high: float, beyond: tuple[float, float]) -> None:
        for point, _ in self.spots(low, high, beyond, 1.0):
            street_props.bush(
                self.b.mesh, self.b.palette, self.rng, point, self.rng.uniform(0.8, 2.6)
            )

    def row_of_houses(
        self, gap: tuple[float, float], setback: tuple[float, float], storeys: tuple[int, int]
    ) -> None:
        along, base_setback = 0.0, self.rng.uniform(*setback)
        while along < self.length - 6:
            length, depth = self.rng.uniform(9, 20), self.rng.uniform(8, 12)
            point, heading = self.at(
                along + length / 2, base_setback + depth / 2 + self.rng.uniform(0, 1.0)
            )
            if self.free(point, max(length, depth) * 0.62):
                turned = heading + (0.0 if self.side < 0 else np.pi)
                size = (length, depth)
                street_props.house(
                    self.b.mesh,
                    self.b.palette,
                    self.rng,
                    self.b.ground(point),
                    turned,
                    size,
                    int(self.rng.integers(*storeys)),
                )
            elif self.free(point, 4.5):
                street_props.shed(
                    self.b.mesh, self.b.palette, self.rng, self.b.ground(point), heading
                )
            along += length + self.rng.uniform(*gap)

    def yard(self, width: float) -> None:
        """Paved or planted ground between the road and the houses."""
        if self.rng.random() < 0.5:
            tone = self.rng.uniform(80, 150)
            inner = [self.at(along, -0.2)[0] for along in np.arange(0, self.length, 4.0).tolist()]
            outer = [self.at(along, width)[0] for along in np.arange(0, self.length, 4.0).tolist()]
            if len(inner) > 1:
                self.b.paint.area(0, np.array(inner + outer[::-1]), (tone, tone, tone * 0.95))

    def terrace(self) -> None:
        setback = self.rng.uniform(0.0, 4.0)
        self.yard(setback + 2)
        self.row_of_houses(
            (0.0, 0.3) if self.rng.random() < 0.6 else (0.0, 5.0), (setback, setback + 0.1), (2, 5)
        )
        if setback > 2.5:
            self.run("fence" if self.rng.random() < 0.5 else "wall", 0.2, 0.3)

    def houses(self) -> None:
        setback = self.rng.uniform(4, 10)
        self.yard(setback)
        self.row_of_houses((3, 14), (setback, setback + 3), (2, 4))
        self.run(str(self.rng.choice(["hedge", "wall", "fence"])), 0.4, 0.25)
        self.trees(8, 24, (2, setback), (3, 9))
        self.trees(12, 30, (22, 34), (7, 13))
        self.bushes(4, 14, (1, setback))

    def avenue(self) -> None:
        self.trees(7, 12, (0.5, 1.0), (6, 11))
        if self.rng.random() < 0.6:
            self.row_of_houses((1, 10), (5, 12), (2, 5))
        else:
            self.trees(6, 14, (12, 30), (7, 14))
        self.bushes(5, 15, (1, 4))

    def hedge(self) -> None:
        self.run("hedge", 0.7, 0.03)
        self.row_of_houses((5, 22), (8, 16), (2, 4))
        self.trees(7, 18, (2, 8), (4, 11))

    def wall(self) -> None:
        self.run("wall", 0.3, 0.03)
        self.trees(6, 16, (2, 8), (5, 12))
        if self.rng.random() < 0.5:
            self.row_of_houses((6, 30), (9, 18), (2, 4))

    def park(self) -> None:
        self.trees(5, 14, (1.5, 12), (5, 12))
        self.trees(6, 12, (14, 35), (8, 15))
        self.bushes(3, 12, (1, 14))

    def forest(self) -> None:
        self.run("meadow", 1.0, 0.1)
        self.trees(3, 6, (3, 7), (7, 14))
        self.trees(3.5, 7, (8, 14), (9, 16))
        self.bushes(2, 5, (2, 5))

    def field(self) -> None:
        if self.rng.random() < 0.5:
            self.run("meadow", 0.8, 0.05)
        tone = np.array(
            [[150, 135, 85], [80, 92, 40], [120, 96, 70]][int(self.rng.integers(3))]
        ) * self.rng.uniform(0.8, 1.1)
        inner = [self.at(along, 3.5)[0] for along in np.arange(0, self.length, 6.0).tolist()]
        outer = [self.at(along, 60.0)[0] for along in np.arange(0, self.length, 6.0).tolist()]
        if len(inner) > 1:
            self.b.paint.area(-1, np.array(inner + outer[::-1]), tuple(tone), 20)
        self.trees(18, 60, (1.5, 4), (5, 10))
        self.trees(8, 22, (50, 75), (8, 15))
        for point, heading in self.spots(20, 60, (60, 80), 8.0):
            if self.rng.random() < 0.4:
                street_props.house(
                    self.b.mesh, self.b.palette, self.rng, point, heading, (14.0, 9.0), 2
                )

    def kerbside(self) -> None:
        """Parked cars, lamps, signs, street trees, marker posts."""
        self._park()
        road = self.road
        inward = -road.pavement_m
        for point, heading in self.spots(
            25, 55, (inward + 0.3, inward + 0.5) if road.pavement_m else (0.8, 1.2), 0.2
        ):
            street_props.lamp(
                self.b.mesh, self.b.palette, self.rng, point, heading - self.side * np.pi / 2
            )
        for point, heading in self.spots(
            18, 70, (inward + 0.3, inward + 0.6) if road.pavement_m else (0.8, 1.6), 0.2
        ):
            facing = heading + (np.pi if self.side < 0 else 0.0) + self.rng.normal(0, 0.15)
            street_props.sign(self.b.mesh, self.b.palette, self.rng, point, facing)
        if road.pavement_m and self.rng.random() < self.b.street_trees:
            self.trees(9, 16, (inward + 0.4, inward + 0.8), (5, 9))
        if not road.pavement_m:
            for point, _ in self.spots(24, 26, (0.6, 0.8), 0.3):
                texture = self.b.palette.pick(self.rng, "plain")
                street_props.prism(
                    self.b.mesh,
                    texture,
                    point,
                    point + street_props.UP,
                    0.08,
                    3,
                    (0.95, 0.95, 0.95),
                    (1, 1),
                )
        elif self.rng.random() < 0.3:
            for point, _ in self.spots(15, 40, (inward + 0.2, -0.3), 0.3):
                size = (
                    self.rng.uniform(0.4, 1.4),
                    self.rng.uniform(0.4, 0.7),
                    self.rng.uniform(0.7, 1.4),
                )
                street_props.upright_box(self.b.mesh, self.b.palette, self.rng, point, size)

    def _park(self) -> None:
        road = self.road
        if road.bay_m:
            middle = -road.pavement_m - road.bay_m / 2
        elif road.main and road.half_width_m > 3.4:
            middle = -road.pavement_m + (0.6 if road.pavement_m else 1.4)
        else:
            middle = -road.pavement_m + 0.9
        along = self.rng.uniform(0, 6)
        while along < self.length:
            point, heading = self.at(along, middle)
            room = 5.6 if road.main else 4.0
            clear = self.b.network.clearance_of_others(road, point)
            if (
                self.rng.random() < self.b.parking
                and clear > room
                and _distance_to(road, point) > -1.25
            ):
                self._set_car(
                    point, heading + (0.0 if self.side < 0 or self.rng.random() < 0.3 else np.pi)
                )
            along += self.rng.uniform(5.2, 6.8)

    def _set_car(self, point: np.ndarray, heading: float) -> None:
        car, _ = cars.build(self.b.palette, self.rng)
        self.parked.append(car.moved(cars.standing(self.b.terrain, point, heading), moving=False))

    @property
    def parked(self) -> list[Polygons]:
        return self.b.parked


def _distance_to(road: Road, point: np.ndarray) -> float:
    """Metres from a road's carriageway edge."""
    return float(np.linalg.norm(road.points - point, axis=1).min()) - road.half_width_m
