"""Route of the car: a path of straights, bends and turns at junctions, and the speed along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEP_M = 0.25  # distance of the route's samples
FRAME_S = 0.1  # time between frames
MAX_LATERAL_MPS2 = 2.4
MAX_ACCELERATION_MPS2 = 1.6
MAX_BRAKING_MPS2 = 2.2
MARGIN_BEHIND_M = 60.0  # length of the route before the first frame
MARGIN_AHEAD_M = 260.0
START_M = 75.0  # length of the straight start, up to a little after the first frame


@dataclass(frozen=True)
class Turn:
    """Turn at a junction: its range along the route in metres, and its sign (+1 left)."""

    start_m: float
    end_m: float
    sign: int


@dataclass(frozen=True)
class Route:
    """Path of the rear axle, sampled every STEP_M."""

    points: np.ndarray  # (S, 2)
    heading_rad: np.ndarray  # (S,)
    curvature: np.ndarray  # (S,) 1/m, positive to the left
    speed_limit_mps: np.ndarray  # (S,)
    turns: tuple[Turn, ...]

    @property
    def length_m(self) -> float:
        """Length of the path in metres."""
        return (len(self.points) - 1) * STEP_M

    def at(
        self, distance_m: np.ndarray | float, sideways_m: np.ndarray | float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns points (..., 2) and headings (...,) in radians at distances along the route.

        The points are shifted to the left by `sideways_m`.
        """
        grid = np.arange(len(self.points)) * STEP_M
        heading = np.interp(distance_m, grid, self.heading_rad)
        point = np.stack(
            [np.interp(distance_m, grid, self.points[:, axis]) for axis in (0, 1)], axis=-1
        )
        left = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
        return point + left * np.asarray(sideways_m)[..., None], heading


def draw_route(seed: int, frames: int) -> Route:
    """Draws a route from the seed, long enough for `frames` frames at any speed that it allows.

    It has margins before the first frame and after the last.
    """
    rng = np.random.default_rng([seed, 3])
    needed = MARGIN_BEHIND_M + MARGIN_AHEAD_M + frames * 1.7
    # A straight start.
    curvature = [np.zeros(int(START_M / STEP_M))]
    limits = [np.full(int(START_M / STEP_M), 11.0)]
    turns: list[Turn] = []
    length = START_M
    heading = 0.0
    twisty = rng.uniform(0.15, 0.75)
    # Straights and bends in turn, until the route is long enough.
    while length < needed:
        cruise = float(rng.choice([7.5, 9.0, 11.0, 12.5, 14.5]))
        straight = rng.uniform(25, 130) * (1.3 - twisty)
        kind = rng.choice(["turn", "bend", "wiggle"], p=[0.42, 0.4, 0.18])
        bend, sign = _draw_bend(rng, kind, heading)
        pieces = [np.zeros(int(straight / STEP_M)), bend]
        if kind == "turn":
            turns.append(Turn(length + straight, length + straight + len(bend) * STEP_M, sign))
        curvature += pieces
        limits += [np.full(len(piece), cruise) for piece in pieces]
        heading += float(bend.sum()) * STEP_M
        length += sum(map(len, pieces)) * STEP_M
    # Smooth the curvature and integrate it twice.
    smooth = np.convolve(
        np.concatenate(curvature), np.hanning(27)[1:-1] / np.hanning(27).sum(), mode="same"
    )
    heading_rad = np.concatenate([[0.0], np.cumsum(smooth)[:-1] * STEP_M])
    steps = np.stack([np.cos(heading_rad), np.sin(heading_rad)], axis=1) * STEP_M
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)[:-1]])
    return Route(points, heading_rad, smooth, np.concatenate(limits), tuple(turns))


def _draw_bend(rng: np.random.Generator, kind: str, heading: float) -> tuple[np.ndarray, int]:
    """Returns the curvature samples of one bend, in 1/m, and its sign (+1 left).

    It turns back towards the route's general direction, so the route never meets itself. `heading`
    is the route's direction before the bend in radians.
    """
    sign = int(rng.choice([-1, 1]))
    if abs(heading) > 0.7:
        sign = -int(np.sign(heading))
    if kind == "turn":
        radius = rng.uniform(7.5, 13.0)
        angle = np.radians(rng.uniform(80, 95))
    elif kind == "bend":
        radius = rng.uniform(35, 160)
        angle = np.radians(rng.uniform(10, 60))
    else:
        radius = rng.uniform(50, 160)
        angle = np.radians(rng.uniform(8, 20))
    arc = np.full(int(radius * angle / STEP_M), sign / radius)
    return (np.concatenate([arc, -arc, -arc, arc]) if kind == "wiggle" else arc), sign


def drive_distances(seed: int, route: Route, frames: int) -> np.ndarray:
    """Returns the distance along the route at each frame, (frames,) in metres.

    The speed respects limits and comfortable accelerations; now and then the car stops.
    """
    # Speed limits, also for the lateral acceleration in bends, and stops.
    rng = np.random.default_rng([seed, 4])
    limit = np.minimum(
        route.speed_limit_mps, np.sqrt(MAX_LATERAL_MPS2 / np.maximum(np.abs(route.curvature), 1e-4))
    )
    stops = [turn.start_m - 4.0 for turn in route.turns if rng.random() < 0.2]
    for stop in stops:
        limit[int(stop / STEP_M)] = 0.0
    # A driver's speed: bounded and smooth accelerations, and some variation.
    limit = _bound_accelerations(limit)
    smooth = np.convolve(np.pad(limit, 20, mode="edge"), np.ones(41) / 41, mode="valid")
    limit = np.where(limit < 2.0, limit, np.minimum(limit, smooth))
    variation = 1.0 + 0.08 * np.sin(
        np.arange(len(limit)) * STEP_M / rng.uniform(25, 60) + rng.uniform(0, 6)
    )
    return _integrate(
        limit * variation, frames, {int(stop / STEP_M): int(rng.integers(8, 30)) for stop in stops}
    )


def _bound_accelerations(limit: np.ndarray) -> np.ndarray:
    """Returns the highest speeds (S,) below `limit` (S,) with bounded acceleration and braking."""
    speed = limit.copy()
    for i in range(1, len(speed)):
        speed[i] = min(speed[i], np.sqrt(speed[i - 1] ** 2 + 2 * MAX_ACCELERATION_MPS2 * STEP_M))
    for i in range(len(speed) - 2, -1, -1):
        speed[i] = min(speed[i], np.sqrt(speed[i + 1] ** 2 + 2 * MAX_BRAKING_MPS2 * STEP_M))
    return speed


def _integrate(limit: np.ndarray, frames: int, dwell_frames: dict[int, int]) -> np.ndarray:
    """Returns the distances (frames,) of a car that follows the speeds `limit` (S,).

    `dwell_frames` holds the frames to wait by the route's sample of a stop; afterwards the car
    creeps off.
    """
    distance = MARGIN_BEHIND_M
    waiting = 0
    distances = []
    speed = float(limit[int(distance / STEP_M)])
    pending = dict(dwell_frames)
    for _ in range(frames):
        distances.append(distance)
        if waiting > 0:
            waiting -= 1
            speed = 0.0
            continue
        # Stop where a stop is just ahead.
        index = min(int(distance / STEP_M), len(limit) - 2)
        ahead = next((stop for stop in pending if 0 <= stop - index <= 4), None)
        if ahead is not None and speed < 1.5:
            waiting = pending.pop(ahead)
        # Approach the speed at this place.
        target = max(float(limit[index]), 0.6)
        speed += float(np.clip(target - speed, -3.0 * FRAME_S, MAX_ACCELERATION_MPS2 * FRAME_S))
        distance += speed * FRAME_S
    return np.array(distances)
