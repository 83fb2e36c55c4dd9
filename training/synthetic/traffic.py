"""Cars and people that move: each has a place at every frame of the drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synthetic import cars
from training.synthetic.polygons import Mesh, Polygons
from training.synthetic.scene import StreetScene

FRAME_S = 0.1
SEEN_M = 130.0
STANDING_M = 0.01  # less than this from frame to frame is no motion


@dataclass(frozen=True)
class Mover:
    """One moving object: polygons in its own frame, and where it stands at each frame (NaN where
    it is away)."""

    polygons: Polygons
    points: np.ndarray  # (frames, 2)
    heading_rad: np.ndarray  # (frames,)
    size_m: tuple[float, float]  # length, width: for its shadow

    def moves_at(self, frame: int) -> bool:
        """Whether it is under way between this frame and either neighbour; a car that waits
        counts as standing."""
        steps = np.diff(self.points[max(frame - 1, 0) : frame + 2], axis=0)
        return (
            bool(np.any(np.linalg.norm(steps, axis=1) > STANDING_M)) or not np.isfinite(steps).all()
        )


def draw_traffic(scene: StreetScene, distances: np.ndarray) -> list[Mover]:
    """Vehicles ahead, oncoming and crossing, and walkers, around a car that is at `distances`
    (frames,) along the route."""
    rng = np.random.default_rng([scene.seed, 12])
    movers: list[Mover] = []
    busy = rng.uniform(0.1, 1.0)
    movers += _leaders(rng, scene, distances, busy)
    movers += _oncoming(rng, scene, distances, busy)
    movers += _crossing(rng, scene, distances, busy)
    movers += _walkers(rng, scene, distances, busy)
    return movers


Shadow = tuple[np.ndarray, tuple[float, float]]


def moving_polygons(
    movers: list[Mover], scene: StreetScene, frame: int, center: np.ndarray
) -> tuple[list[Polygons], list[Shadow]]:
    """Polygons of what moves near `center` (2,) at a frame, and the (world_from_object, size) of
    each for its shadow."""
    parts, shadows = [], []
    for mover in movers:
        point = mover.points[frame]
        if np.isfinite(point[0]) and np.linalg.norm(point - center) < SEEN_M:
            pose = cars.standing(scene.terrain, point, float(mover.heading_rad[frame]))
            parts.append(mover.polygons.moved(pose, moving=mover.moves_at(frame)))
            shadows.append((pose, mover.size_m))
    return parts, shadows


def _along_route(
    scene: StreetScene,
    car: tuple[Polygons, cars.Shape],
    at: np.ndarray,
    sideways: float,
    reverse: bool,
) -> Mover:
    polygons, shape = car
    away = (at < 5) | (at > scene.route.length_m - 5)
    points, heading = scene.route.at(np.clip(at, 5, scene.route.length_m - 5), sideways)
    points = np.where(away[:, None], np.nan, points)
    return Mover(
        polygons, points, heading + (np.pi if reverse else 0.0), (shape.length, shape.width)
    )


def _leaders(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, busy: float
) -> list[Mover]:
    """Cars ahead in the same lane, for some seconds each: the gap swings, then they pull away."""
    movers, frame = [], int(rng.integers(0, 60))
    frames = len(distances)
    while frame < frames:
        stay = int(rng.uniform(40, 180))
        if rng.random() < 0.35 + 0.4 * busy:
            time = np.arange(frames) - frame
            gap = (
                rng.uniform(12, 30)
                + 5 * np.sin(time / rng.uniform(18, 40))
                + 0.006 * np.maximum(time - stay * 0.4, 0) ** 2
            )
            gap += 80 * np.maximum(1 - time / 50, 0) ** 2
            at = np.maximum.accumulate(
                np.where(time < 0, -np.inf, distances + np.maximum(gap, 9.0))
                + 0.02 * np.maximum(time, 0)
            )
            at = np.where((time < 0) | (time > stay) & (at - distances > 90), -1.0, at)
            movers.append(
                _along_route(
                    scene, cars.build(scene.palette, rng, (0, 1, 2, 2, 3, 4, 5)), at, 0.0, False
                )
            )
            frame += stay + 40
        frame += int(rng.uniform(20, 140))
    return movers


def _oncoming(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, busy: float
) -> list[Mover]:
    movers, frame = [], int(rng.integers(0, 30))
    time = np.arange(len(distances))
    while frame < len(distances):
        speed = rng.uniform(5, 14) * FRAME_S
        at = distances[frame] + 95 - speed * (time - frame)
        at = np.where((at - distances > 110) | (at - distances < -25) | (time < frame), -1.0, at)
        movers.append(
            _along_route(
                scene,
                cars.build(scene.palette, rng, (0, 1, 2, 2, 3, 4, 5)),
                at,
                2 * scene.network.lane_m,
                True,
            )
        )
        frame += int(rng.uniform(12, 90) / busy)
    return movers


def _crossing(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, busy: float
) -> list[Mover]:
    """Cars that come out of side roads or turn into them, passing behind the junction line of
    the car's own path."""
    movers = []
    time = np.arange(len(distances))
    for road in scene.network.roads[1:]:
        if rng.random() > 0.5 * busy:
            continue
        mouth = road.points[0]
        route_index = np.linalg.norm(scene.route.points - mouth, axis=1).argmin()
        seen = np.flatnonzero(distances > route_index * 0.25 - 55)
        if len(seen) == 0:
            continue
        along = np.arange(len(road.points)) * 2.0
        outward = rng.random() < 0.5
        at = rng.uniform(4, 6.5) * FRAME_S * (time - seen[0])
        at = 9.0 + at if outward else along[-1] - 3 - at
        away = (at < 9.0) | (at > along[-1] - 2) | (time < seen[0])
        points = np.stack([np.interp(at, along, road.points[:, axis]) for axis in (0, 1)], axis=1)
        heading = np.interp(at, along, road.heading_rad)
        right = (
            np.stack([np.sin(heading), -np.cos(heading)], axis=1)
            * road.half_width_m
            * (0.45 if outward else -0.45)
        )
        polygons, shape = cars.build(scene.palette, rng)
        points = np.where(away[:, None], np.nan, points + right)
        movers.append(
            Mover(
                polygons, points, heading + (0.0 if outward else np.pi), (shape.length, shape.width)
            )
        )
    return movers


def _walkers(
    rng: np.random.Generator, scene: StreetScene, distances: np.ndarray, busy: float
) -> list[Mover]:
    """People on the pavement."""
    road = scene.network.roads[0]
    movers: list[Mover] = []
    if not road.pavement_m:
        return movers
    along, time = float(distances[0]) + 10, np.arange(len(distances))
    while along < distances[-1] + 60:
        direction = float(rng.choice([-1.0, 1.0]))
        met = int(np.argmin(np.abs(distances + 30 - along)))
        at = along + direction * rng.uniform(0.8, 1.6) * FRAME_S * (time - met)
        at = np.where(np.abs(at - distances) < 90, at, -1.0)
        beside = float(rng.choice([-1.0, 1.0])) * (
            road.half_width_m + road.bay_m + road.pavement_m * rng.uniform(0.4, 0.8)
        )
        mesh, tall = Mesh(), rng.uniform(1.55, 1.95)
        for half in (np.array([0.4, 0, 0]), np.array([0, 0.4, 0])):
            top = np.array([0, 0, tall])
            mesh.quad(
                [-half, half, half + top, top - half],
                scene.palette.pick(rng, "pedestrian"),
                cutout=True,
                two_sided=True,
            )
        away = (at < 5) | (at > scene.route.length_m - 5)
        points, heading = scene.route.at(
            np.clip(at, 5, scene.route.length_m - 5), scene.network.lane_m + beside
        )
        movers.append(
            Mover(mesh.polygons(), np.where(away[:, None], np.nan, points), heading, (0.5, 0.5))
        )
        along += rng.uniform(15, 90) / busy
    return movers
