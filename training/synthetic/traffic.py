"""Traffic: cars and people that move, with a position at every frame of the drive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.synthetic import cars
from training.synthetic.palette import Palette
from training.synthetic.polygons import Mesh, Polygons
from training.synthetic.roads import SPACING_M
from training.synthetic.route import FRAME_S, STEP_M

if TYPE_CHECKING:
    from training.synthetic.scene import StreetScene

MAX_DISTANCE_M = 130.0  # moving objects further away are not drawn
MIN_STEP_M = 0.01  # less than this from frame to frame is no motion
MARGIN_M = 5.0  # objects this close to the ends of the route are absent
CARS = (0, 1, 2, 2, 3, 4, 5)  # indices into cars.SHAPES, for traffic on the main road


@dataclass(frozen=True)
class Mover:
    """Moving object: polygons in its own frame and its position at each frame, NaN if absent."""

    polygons: Polygons
    points: np.ndarray  # (frames, 2)
    heading_rad: np.ndarray  # (frames,)
    size_m: tuple[float, float]  # length, width: for its shadow

    def moves_at(self, frame: int) -> bool:
        """Returns whether it moves between this frame and either neighbour.

        A car that waits does not move.
        """
        steps = np.diff(self.points[max(frame - 1, 0) : frame + 2], axis=0)
        return (
            bool(np.any(np.linalg.norm(steps, axis=1) > MIN_STEP_M)) or not np.isfinite(steps).all()
        )


def draw_traffic(scene: StreetScene, distances: np.ndarray) -> list[Mover]:
    """Draws all moving objects from the seed: vehicles ahead, oncoming and crossing, and walkers.

    `distances` (frames,) are the camera car's positions along the route in metres.
    """
    rng = np.random.default_rng([scene.seed, 12])
    movers: list[Mover] = []
    density = rng.uniform(0.1, 1.0)
    movers += _leading_cars(rng, scene, distances, density)
    movers += _oncoming_cars(rng, scene, distances, density)
    movers += _crossing_cars(rng, scene, distances, density)
    movers += _walkers(rng, scene, distances, density)
    return movers


Shadow = tuple[np.ndarray, tuple[float, float]]
"""world_from_object (4, 4) and (length, width) in metres of an object that casts a shadow."""


def moving_polygons(
    movers: list[Mover], scene: StreetScene, frame: int, center: np.ndarray
) -> tuple[list[Polygons], list[Shadow]]:
    """Returns polygons and shadows of the objects near `center` (2,) at a frame."""
    parts = []
    shadows = []
    for mover in movers:
        point = mover.points[frame]
        if np.isfinite(point[0]) and np.linalg.norm(point - center) < MAX_DISTANCE_M:
            pose = cars.ground_pose(scene.terrain, point, float(mover.heading_rad[frame]))
            parts.append(mover.polygons.transformed(pose, moving=mover.moves_at(frame)))
            shadows.append((pose, mover.size_m))
    return parts, shadows


def _along_route(
    scene: StreetScene,
    car: tuple[Polygons, cars.CarShape],
    at: np.ndarray,
    sideways: float,
    reverse: bool,
) -> Mover:
    """Returns a car at distances `at` (frames,) along the route, `sideways` metres to its left.

    It is absent where the distances are beyond the route. `reverse` turns it around.
    """
    polygons, shape = car
    points, heading = _route_points(scene, at, sideways)
    return Mover(
        polygons, points, heading + (np.pi if reverse else 0.0), (shape.length, shape.width)
    )


def _route_points(
    scene: StreetScene, at: np.ndarray, sideways: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns points (frames, 2), NaN beyond the route, and headings at distances along it."""
    low = MARGIN_M
    high = scene.route.length_m - MARGIN_M
    is_absent = (at < low) | (at > high)
    points, heading = scene.route.at(np.clip(at, low, high), sideways)
    return np.where(is_absent[:, None], np.nan, points), heading


def _leading_cars(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, density: float
) -> list[Mover]:
    """Draws cars ahead in the same lane, for some seconds each.

    The gap to such a car varies, then the car pulls away.
    """
    movers = []
    frame = int(rng.integers(0, 60))
    frames = len(distances)
    while frame < frames:
        stay = int(rng.uniform(40, 180))
        if rng.random() < 0.35 + 0.4 * density:
            at = _leading_distances(rng, distances, frame, stay)
            car = cars.build(scene.palette, rng, CARS)
            movers.append(_along_route(scene, car, at, sideways=0.0, reverse=False))
            frame += stay + 40
        frame += int(rng.uniform(20, 140))
    return movers


def _leading_distances(
    rng: np.random.Generator, distances: np.ndarray, first: int, stay: int
) -> np.ndarray:
    """Returns the distances (frames,) along the route of a car ahead; -1 where it is absent.

    It appears in frame `first` and starts to pull away within `stay` frames.
    """
    # Gap: it falls at first, varies in a wave, and grows at the end.
    time = np.arange(len(distances)) - first
    gap = (
        rng.uniform(12, 30)
        + 5 * np.sin(time / rng.uniform(18, 40))
        + 0.006 * np.maximum(time - stay * 0.4, 0) ** 2
    )
    gap += 80 * np.maximum(1 - time / 50, 0) ** 2
    # The car never drives backwards.
    at = np.maximum.accumulate(
        np.where(time < 0, -np.inf, distances + np.maximum(gap, 9.0)) + 0.02 * np.maximum(time, 0)
    )
    return np.where((time < 0) | (time > stay) & (at - distances > 90), -1.0, at)


def _oncoming_cars(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, density: float
) -> list[Mover]:
    """Draws cars in the other lane at constant speeds, each from its appearance far ahead."""
    movers = []
    frame = int(rng.integers(0, 30))
    time = np.arange(len(distances))
    while frame < len(distances):
        speed = rng.uniform(5, 14) * FRAME_S
        at = distances[frame] + 95 - speed * (time - frame)
        at = np.where((at - distances > 110) | (at - distances < -25) | (time < frame), -1.0, at)
        car = cars.build(scene.palette, rng, CARS)
        sideways = 2 * scene.network.lane_m
        movers.append(_along_route(scene, car, at, sideways, reverse=True))
        frame += int(rng.uniform(12, 90) / density)
    return movers


def _crossing_cars(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, density: float
) -> list[Mover]:
    """Draws cars that come out of side roads or turn into them.

    They stay behind the junction line of the camera car's path.
    """
    movers = []
    time = np.arange(len(distances))
    for road in scene.network.roads[1:]:
        if rng.random() > 0.5 * density:
            continue
        # The car starts when the camera car comes near.
        mouth = road.points[0]
        route_index = np.linalg.norm(scene.route.points - mouth, axis=1).argmin()
        near_frames = np.flatnonzero(distances > route_index * STEP_M - 55)
        if len(near_frames) == 0:
            continue
        start = near_frames[0]
        # Distances along the side road.
        along = np.arange(len(road.points)) * SPACING_M
        is_outward = rng.random() < 0.5
        at = rng.uniform(4, 6.5) * FRAME_S * (time - start)
        at = 9.0 + at if is_outward else along[-1] - 3 - at
        is_absent = (at < 9.0) | (at > along[-1] - 2) | (time < start)
        # Points in the right lane.
        points = np.stack([np.interp(at, along, road.points[:, axis]) for axis in (0, 1)], axis=1)
        heading = np.interp(at, along, road.heading_rad)
        right = (
            np.stack([np.sin(heading), -np.cos(heading)], axis=1)
            * road.half_width_m
            * (0.45 if is_outward else -0.45)
        )
        points = np.where(is_absent[:, None], np.nan, points + right)
        heading = heading + (0.0 if is_outward else np.pi)
        polygons, shape = cars.build(scene.palette, rng)
        movers.append(Mover(polygons, points, heading, (shape.length, shape.width)))
    return movers


def _walkers(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, density: float
) -> list[Mover]:
    """Draws people on the pavement, if there is one."""
    road = scene.network.roads[0]
    movers: list[Mover] = []
    if not road.pavement_m:
        return movers
    along = float(distances[0]) + 10
    time = np.arange(len(distances))
    while along < distances[-1] + 60:
        # Position along the route: at `along` when the camera car is 30 m away.
        direction = float(rng.choice([-1.0, 1.0]))
        meeting_frame = int(np.argmin(np.abs(distances + 30 - along)))
        at = along + direction * rng.uniform(0.8, 1.6) * FRAME_S * (time - meeting_frame)
        at = np.where(np.abs(at - distances) < 90, at, -1.0)
        # Position across the pavement, on either side of the road.
        sideways = float(rng.choice([-1.0, 1.0])) * (
            road.half_width_m + road.bay_m + road.pavement_m * rng.uniform(0.4, 0.8)
        )
        polygons = _walker_polygons(rng, scene.palette)
        points, heading = _route_points(scene, at, scene.network.lane_m + sideways)
        movers.append(Mover(polygons, points, heading, (0.5, 0.5)))
        along += rng.uniform(15, 90) / density
    return movers


def _walker_polygons(rng: np.random.Generator, palette: Palette) -> Polygons:
    """Returns a person as two crossed upright cut-outs, standing on the origin."""
    mesh = Mesh()
    top = np.array([0, 0, rng.uniform(1.55, 1.95)])
    for half in (np.array([0.4, 0, 0]), np.array([0, 0.4, 0])):
        mesh.quad(
            [-half, half, half + top, top - half],
            palette.pick(rng, "pedestrian"),
            cutout=True,
            two_sided=True,
        )
    return mesh.polygons()
