"""Static world of one drive, drawn from the seed before the first frame is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.synthetic import cars, street_props
from training.synthetic.paint import HARD, Paint
from training.synthetic.palette import Palette
from training.synthetic.polygons import Mesh, Polygons, concatenate
from training.synthetic.roads import SPACING_M, Road, RoadNetwork, draw_network, paint_roads
from training.synthetic.route import Route, draw_route
from training.synthetic.surfaces import Colour, as_colour
from training.synthetic.terrain import Terrain

CELL_M = 24.0  # side of a cell of the spatial index
# Weights of the kinds of roadside, for each character of a drive.
CHARACTERS = {
    "town": {"terrace": 5, "houses": 2, "avenue": 1, "wall": 1, "park": 1},
    "suburb": {"houses": 5, "terrace": 1, "hedge": 2, "avenue": 1, "park": 1, "wall": 1},
    "green": {"avenue": 3, "hedge": 2, "houses": 2, "park": 3, "forest": 2, "field": 1},
    "country": {"field": 4, "forest": 3, "hedge": 1, "avenue": 2, "houses": 1},
}


@dataclass(frozen=True)
class StreetScene:
    """Static world of a drive in spatial cells, with its route, roads and textures."""

    seed: int
    route: Route
    terrain: Terrain
    network: RoadNetwork
    paint: Paint
    palette: Palette
    static_polygons: Polygons
    cells: dict[tuple[int, int], np.ndarray]  # rows of `static_polygons` by cell

    def near(self, center: np.ndarray, reach_m: float) -> Polygons:
        """Returns static polygons whose middle is in a cell within `reach_m` of `center` (2,)."""
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
        return self.static_polygons.take(rows)


def draw_scene(seed: int, frames: int) -> StreetScene:
    """Draws the static world of a drive from its seed."""
    # Route, ground, textures and roads.
    route = draw_route(seed, frames)
    terrain = Terrain(seed)
    palette = Palette(seed)
    network = draw_network(seed, route)
    paint = paint_roads(seed, network)
    # Objects along the roads.
    builder = _SceneBuilder(seed, terrain, palette, network, paint)
    for index, road in enumerate(network.roads):
        builder.furnish(road, index)
    polygons = concatenate([builder.mesh.polygons(), *builder.parked_cars])
    return StreetScene(
        seed=seed,
        route=route,
        terrain=terrain,
        network=network,
        paint=paint,
        palette=palette,
        static_polygons=polygons,
        cells=_rows_by_cell(polygons),
    )


def _rows_by_cell(polygons: Polygons) -> dict[tuple[int, int], np.ndarray]:
    """Returns the rows of the polygons whose middle is in each cell."""
    keys = np.floor(polygons.corners.mean(axis=1)[:, :2] / CELL_M).astype(int)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    edges = np.flatnonzero(np.any(np.diff(keys[order], axis=0), axis=1)) + 1
    return {(int(keys[rows[0], 0]), int(keys[rows[0], 1])): rows for rows in np.split(order, edges)}


class _SceneBuilder:
    """Places objects along the roads, none of them on a carriageway."""

    def __init__(
        self, seed: int, terrain: Terrain, palette: Palette, network: RoadNetwork, paint: Paint
    ) -> None:
        self.seed = seed
        self.terrain = terrain
        self.palette = palette
        self.network = network
        self.paint = paint
        self.mesh = Mesh()
        self.parked_cars: list[Polygons] = []
        # Character of the drive.
        rng = np.random.default_rng([seed, 9])
        is_paved = network.roads[0].pavement_m > 0
        characters = ["town", "suburb", "green"] if is_paved else ["country", "country", "green"]
        self.weights = CHARACTERS[str(rng.choice(characters))]
        self.parking_density = rng.uniform(0.1, 0.75) if is_paved else rng.uniform(0.0, 0.08)
        self.street_tree_density = rng.uniform(0.0, 0.6)

    def furnish(self, road: Road, index: int) -> None:
        """Places objects on both sides of a road, in stretches of random kinds."""
        kinds = list(self.weights)
        weights = np.array(list(self.weights.values())) / sum(self.weights.values())
        for side in (-1, 1):
            rng = np.random.default_rng([self.seed, 10, index, side + 1])
            first = 0
            end = len(road.points)
            while first < end:
                count = int(rng.uniform(12, 60))
                kind = str(rng.choice(kinds, p=weights))
                stretch = _Stretch(self, road, side, rng, first, min(first + count, end))
                getattr(stretch, kind)()
                stretch.kerbside()
                first += count

    def on_ground(self, point: np.ndarray) -> np.ndarray:
        """Returns `point` (2,) with the height of the ground, (3,)."""
        return np.array([point[0], point[1], float(self.terrain.height(np.asarray(point)))])


class _Stretch:
    """One side of a road between two of its points, all of one kind.

    Each kind of roadside in CHARACTERS has a method of its name. `beyond` is a distance in metres
    outside the road's edge, or a range of it.
    """

    def __init__(
        self,
        builder: _SceneBuilder,
        road: Road,
        side: int,
        rng: np.random.Generator,
        first: int,
        last: int,
    ) -> None:
        self.builder = builder
        self.mesh = builder.mesh
        self.palette = builder.palette
        self.road = road
        self.side = side
        self.rng = rng
        self.first = first
        self.length = (last - first) * SPACING_M

    def point_at(self, along_m: float, beyond_m: float) -> tuple[np.ndarray, float]:
        """Returns a point (2,) along the stretch and the road's heading there in radians.

        The point is `along_m` from the stretch's start and `beyond_m` outside the road's edge.
        """
        index = min(self.first + round(along_m / SPACING_M), len(self.road.points) - 1)
        heading = float(self.road.heading_rad[index])
        left = np.array([-np.sin(heading), np.cos(heading)])
        rest = along_m - (index - self.first) * SPACING_M
        forward = np.array([np.cos(heading), np.sin(heading)])
        outward = left * self.side * (self.road.edge_m + beyond_m)
        return self.road.points[index] + forward * rest + outward, heading

    def is_free(self, point: np.ndarray, radius_m: float) -> bool:
        """Returns whether no carriageway is within `radius_m` of `point` (2,)."""
        return self.builder.network.clearance(point) > radius_m

    def free_spots(
        self, low: float, high: float, beyond: tuple[float, float], radius: float
    ) -> Iterator[tuple[np.ndarray, float]]:
        """Yields free spots every `low`..`high` metres: point (3,) on the ground and heading."""
        along = self.rng.uniform(0, high)
        while along < self.length:
            point, heading = self.point_at(along, self.rng.uniform(*beyond))
            if self.is_free(point, radius):
                yield self.builder.on_ground(point), heading
            along += self.rng.uniform(low, high)

    def add_barrier(self, kind: str, beyond: float, gap: float = 0.06) -> None:
        """Adds a barrier along the whole stretch; each piece is left out with probability `gap`."""
        step = 6.0
        for i in range(int(self.length / step)):
            # Leave out a piece for a gap or a carriageway.
            ends = [self.point_at(i * step + part, beyond)[0] for part in (0.0, step)]
            if self.rng.random() < gap or not all(
                self.is_free(p, 0.8) for p in [*ends, (ends[0] + ends[1]) / 2]
            ):
                continue
            # The same seed for all pieces gives them the same look.
            ends = ends if self.side < 0 else ends[::-1]
            street_props.barrier(
                self.mesh,
                self.palette,
                rng=np.random.default_rng([self.builder.seed, 11, self.first, self.side + 1]),
                start=self.builder.on_ground(ends[0]),
                end=self.builder.on_ground(ends[1]),
                kind=kind,
            )

    def add_trees(
        self, low: float, high: float, beyond: tuple[float, float], heights: tuple[float, float]
    ) -> None:
        """Adds trees every `low`..`high` metres, of heights in a range in metres."""
        for point, _ in self.free_spots(low, high, beyond, 1.2):
            height = self.rng.uniform(*heights)
            street_props.tree(self.mesh, self.palette, self.rng, point, height)

    def add_bushes(self, low: float, high: float, beyond: tuple[float, float]) -> None:
        """Adds bushes every `low`..`high` metres."""
        for point, _ in self.free_spots(low, high, beyond, 1.0):
            size = self.rng.uniform(0.8, 2.6)
            street_props.bush(self.mesh, self.palette, self.rng, point, size)

    def add_houses(
        self, gap: tuple[float, float], setback: tuple[float, float], storeys: tuple[int, int]
    ) -> None:
        """Adds a row of houses, and sheds where a house has no room.

        `gap` is the range of distances between houses and `setback` of those to the road's edge, in
        metres; `storeys` is a range without its end.
        """
        along = 0.0
        base_setback = self.rng.uniform(*setback)
        while along < self.length - 6:
            # Choose size and place.
            length = self.rng.uniform(9, 20)
            depth = self.rng.uniform(8, 12)
            point, heading = self.point_at(
                along + length / 2, base_setback + depth / 2 + self.rng.uniform(0, 1.0)
            )
            # Build a house, or a shed where only that has room.
            if self.is_free(point, max(length, depth) * 0.62):
                street_props.house(
                    self.mesh,
                    self.palette,
                    self.rng,
                    center=self.builder.on_ground(point),
                    heading_rad=heading + (0.0 if self.side < 0 else np.pi),
                    size=(length, depth),
                    storeys=int(self.rng.integers(*storeys)),
                )
            elif self.is_free(point, 4.5):
                ground_point = self.builder.on_ground(point)
                street_props.shed(self.mesh, self.palette, self.rng, ground_point, heading)
            along += length + self.rng.uniform(*gap)

    def paint_strip(
        self,
        layer: int,
        beyond: tuple[float, float],
        step: float,
        colour: Colour,
        hardness: int = HARD,
    ) -> None:
        """Paints the ground along the stretch, between two distances outside the road's edge.

        `step` is the distance of the area's corners in metres.
        """
        alongs = np.arange(0, self.length, step).tolist()
        inner, outer = ([self.point_at(along, each)[0] for along in alongs] for each in beyond)
        if len(inner) > 1:
            self.builder.paint.area(layer, np.array(inner + outer[::-1]), colour, hardness)

    def paint_yard(self, width: float) -> None:
        """Sometimes paints paved ground between the road and the houses."""
        if self.rng.random() < 0.5:
            tone = self.rng.uniform(80, 150)
            self.paint_strip(0, (-0.2, width), 4.0, (tone, tone, tone * 0.95))

    def terrace(self) -> None:
        """Adds a terrace of houses close to the road."""
        setback = self.rng.uniform(0.0, 4.0)
        self.paint_yard(setback + 2)
        self.add_houses(
            (0.0, 0.3) if self.rng.random() < 0.6 else (0.0, 5.0), (setback, setback + 0.1), (2, 5)
        )
        if setback > 2.5:
            self.add_barrier("fence" if self.rng.random() < 0.5 else "wall", 0.2, 0.3)

    def houses(self) -> None:
        """Adds detached houses with gardens."""
        setback = self.rng.uniform(4, 10)
        self.paint_yard(setback)
        self.add_houses((3, 14), (setback, setback + 3), (2, 4))
        self.add_barrier(str(self.rng.choice(["hedge", "wall", "fence"])), 0.4, 0.25)
        self.add_trees(8, 24, (2, setback), (3, 9))
        self.add_trees(12, 30, (22, 34), (7, 13))
        self.add_bushes(4, 14, (1, setback))

    def avenue(self) -> None:
        """Adds a row of trees, and houses or more trees behind it."""
        self.add_trees(7, 12, (0.5, 1.0), (6, 11))
        if self.rng.random() < 0.6:
            self.add_houses((1, 10), (5, 12), (2, 5))
        else:
            self.add_trees(6, 14, (12, 30), (7, 14))
        self.add_bushes(5, 15, (1, 4))

    def hedge(self) -> None:
        """Adds a hedge, and houses and trees behind it."""
        self.add_barrier("hedge", 0.7, 0.03)
        self.add_houses((5, 22), (8, 16), (2, 4))
        self.add_trees(7, 18, (2, 8), (4, 11))

    def wall(self) -> None:
        """Adds a wall, and trees and sometimes houses behind it."""
        self.add_barrier("wall", 0.3, 0.03)
        self.add_trees(6, 16, (2, 8), (5, 12))
        if self.rng.random() < 0.5:
            self.add_houses((6, 30), (9, 18), (2, 4))

    def park(self) -> None:
        """Adds scattered trees and bushes."""
        self.add_trees(5, 14, (1.5, 12), (5, 12))
        self.add_trees(6, 12, (14, 35), (8, 15))
        self.add_bushes(3, 12, (1, 14))

    def forest(self) -> None:
        """Adds dense trees and undergrowth."""
        self.add_barrier("meadow", 1.0, 0.1)
        self.add_trees(3, 6, (3, 7), (7, 14))
        self.add_trees(3.5, 7, (8, 14), (9, 16))
        self.add_bushes(2, 5, (2, 5))

    def field(self) -> None:
        """Adds a field with single trees, and distant trees and farms."""
        if self.rng.random() < 0.5:
            self.add_barrier("meadow", 0.8, 0.05)
        tones = [[150, 135, 85], [80, 92, 40], [120, 96, 70]]
        tone = np.array(tones[int(self.rng.integers(3))]) * self.rng.uniform(0.8, 1.1)
        self.paint_strip(-1, (3.5, 60.0), 6.0, as_colour(tone), hardness=20)
        self.add_trees(18, 60, (1.5, 4), (5, 10))
        self.add_trees(8, 22, (50, 75), (8, 15))
        for point, heading in self.free_spots(20, 60, (60, 80), 8.0):
            if self.rng.random() < 0.4:
                street_props.house(
                    self.mesh,
                    self.palette,
                    self.rng,
                    center=point,
                    heading_rad=heading,
                    size=(14.0, 9.0),
                    storeys=2,
                )

    def kerbside(self) -> None:
        """Adds parked cars, lamps, signs, and street trees, marker posts or street furniture."""
        self._park_cars()
        has_pavement = bool(self.road.pavement_m)
        inner = -self.road.pavement_m
        # Lamps and signs.
        beyond = (inner + 0.3, inner + 0.5) if has_pavement else (0.8, 1.2)
        for point, heading in self.free_spots(25, 55, beyond, 0.2):
            towards_road_rad = heading - self.side * np.pi / 2
            street_props.lamp(self.mesh, self.palette, self.rng, point, towards_road_rad)
        beyond = (inner + 0.3, inner + 0.6) if has_pavement else (0.8, 1.6)
        for point, heading in self.free_spots(18, 70, beyond, 0.2):
            facing_rad = heading + (np.pi if self.side < 0 else 0.0) + self.rng.normal(0, 0.15)
            street_props.sign(self.mesh, self.palette, self.rng, point, facing_rad)
        # Street trees and furniture on pavements, marker posts on open roads.
        if has_pavement and self.rng.random() < self.builder.street_tree_density:
            self.add_trees(9, 16, (inner + 0.4, inner + 0.8), (5, 9))
        if not has_pavement:
            self._add_marker_posts()
        elif self.rng.random() < 0.3:
            for point, _ in self.free_spots(15, 40, (inner + 0.2, -0.3), 0.3):
                size = (
                    self.rng.uniform(0.4, 1.4),
                    self.rng.uniform(0.4, 0.7),
                    self.rng.uniform(0.7, 1.4),
                )
                street_props.upright_box(self.mesh, self.palette, self.rng, point, size)

    def _add_marker_posts(self) -> None:
        """Adds white posts at the border of the road."""
        for point, _ in self.free_spots(24, 26, (0.6, 0.8), 0.3):
            street_props.prism(
                self.mesh,
                texture=self.palette.pick(self.rng, "plain"),
                bottom=point,
                top=point + street_props.UP,
                radius=0.08,
                sides=3,
                tint=(0.95, 0.95, 0.95),
                texture_size_m=(1, 1),
            )

    def _park_cars(self) -> None:
        """Parks cars in the bays, or beside the carriageway where the road has none."""
        # Distance of the row of cars from the road's edge.
        road = self.road
        if road.bay_m:
            middle = -road.pavement_m - road.bay_m / 2
        elif road.main and road.half_width_m > 3.4:
            middle = -road.pavement_m + (0.6 if road.pavement_m else 1.4)
        else:
            middle = -road.pavement_m + 0.9
        # Cars, but not near other roads nor on this one's carriageway.
        along = self.rng.uniform(0, 6)
        while along < self.length:
            point, heading = self.point_at(along, middle)
            min_clearance = 5.6 if road.main else 4.0
            clearance = self.builder.network.clearance_of_others(road, point)
            if (
                self.rng.random() < self.builder.parking_density
                and clearance > min_clearance
                and _distance_to(road, point) > -1.25
            ):
                faces_forward = self.side < 0 or self.rng.random() < 0.3
                self._park_car(point, heading + (0.0 if faces_forward else np.pi))
            along += self.rng.uniform(5.2, 6.8)

    def _park_car(self, point: np.ndarray, heading_rad: float) -> None:
        """Parks a random car at `point` (2,)."""
        car, _ = cars.build(self.palette, self.rng)
        pose = cars.ground_pose(self.builder.terrain, point, heading_rad)
        self.builder.parked_cars.append(car.transformed(pose, moving=False))


def _distance_to(road: Road, point: np.ndarray) -> float:
    """Returns the distance in metres from `point` (2,) to the carriageway's edge of a road."""
    return float(np.linalg.norm(road.points - point, axis=1).min()) - road.half_width_m
