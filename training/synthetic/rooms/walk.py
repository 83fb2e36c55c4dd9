"""Camera in the rooms: carried in a hand, on a low robot or on a drone.

A path is planned on the floor through free room, made smooth, and followed with changing speed; the
camera looks along it or at things nearby.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np

from training.synthetic.rooms.piece import Solids
from training.synthetic.rooms.plan import Plan

RIGS = ("hand", "robot", "drone")
GRID_M = 0.05  # side of a cell of the map of free floor
NODE_CELLS = 2  # cells between two nodes of the planner
SPACING_M = 0.04  # between two points of the path
MAX_PATH_M = 60.0  # longer walks go back and forth
CONTROL_S = 0.05  # time step of the camera's motion
LEAN_STEP_M = 0.05
LEAN_S = 2.0  # time in which an arm is held out
LEASH_M = 3.2  # furthest thing that the camera looks at
CAMERA_FROM_BODY = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class Rig:
    """How a camera is carried. Lengths in metres, angles in degrees, times in seconds."""

    name: str
    height: float
    clearance: float  # distance that the path keeps from everything
    band: tuple[float, float]  # heights that must be free, relative to the camera's
    speed: float
    max_turn_dps: float
    pitch: float  # mean, positive upwards
    pitch_range: tuple[float, float]
    looks_around: float  # share of time that it looks at things
    bob: float  # slow change of height
    shake: float  # amplitude of fast shifts
    shake_deg: float  # amplitude of fast turns
    sway_deg: float  # amplitude of slow rolling
    lean: float = 0.0  # furthest that an arm holds the camera out to where it looks


def draw_rig(rng: np.random.Generator, name: str | None) -> Rig:
    """Draws a rig, of a kind of RIGS if `name` is given."""
    name = name or str(rng.choice(RIGS, p=[0.5, 0.3, 0.2]))
    return {"hand": _hand, "robot": _robot, "drone": _drone}[name](rng)


def _hand(rng: np.random.Generator) -> Rig:
    """Draws the way in which a person carries a camera."""
    height = rng.uniform(1.25, 1.6)
    return Rig(
        "hand",
        height=height,
        clearance=0.28,
        band=(-height + 0.04, 0.15),
        speed=float(rng.choice([0.2, 0.35, 0.55, 0.8])) * rng.uniform(0.8, 1.25),
        max_turn_dps=rng.uniform(25, 70),
        pitch=rng.uniform(-32, -4),
        pitch_range=(-50, 18),
        looks_around=rng.uniform(0.4, 1.0),
        bob=0.05,
        shake=rng.uniform(0.004, 0.02),
        shake_deg=rng.uniform(0.2, 1.3),
        sway_deg=rng.uniform(1, 6),
        lean=rng.uniform(0.0, 0.5),
    )


def _robot(rng: np.random.Generator) -> Rig:
    """Draws a camera on a low robot."""
    height = rng.uniform(0.2, 0.6)
    return Rig(
        "robot",
        height=height,
        clearance=0.24,
        band=(-height + 0.03, 0.12),
        speed=rng.uniform(0.2, 0.7),
        max_turn_dps=rng.uniform(25, 60),
        pitch=rng.uniform(-8, 12),
        pitch_range=(-20, 20),
        looks_around=0.0,
        bob=0.0,
        shake=0.0015,
        shake_deg=rng.uniform(0.0, 0.15),
        sway_deg=0.0,
    )


def _drone(rng: np.random.Generator) -> Rig:
    """Draws a camera on a drone."""
    return Rig(
        "drone",
        height=rng.uniform(0.8, 1.55),
        clearance=0.33,
        band=(-0.45, 0.4),
        speed=rng.uniform(0.25, 1.0),
        max_turn_dps=rng.uniform(30, 70),
        pitch=rng.uniform(-25, 4),
        pitch_range=(-35, 20),
        looks_around=rng.uniform(0.0, 0.8),
        bob=0.2,
        shake=rng.uniform(0.004, 0.015),
        shake_deg=rng.uniform(0.2, 0.8),
        sway_deg=rng.uniform(2, 7),
    )


def camera_walk(
    rng: np.random.Generator,
    rig: Rig,
    plan: Plan,
    solids: Solids,
    targets: np.ndarray,
    frames: int,
    rate_hz: float,
) -> np.ndarray:
    """Returns world_from_camera (frames, 4, 4); `targets` (T, 3) are things to look at."""
    free = FreeFloor(plan, solids, rig)
    need = min(frames / rate_hz * rig.speed * 1.3 + 1.0, MAX_PATH_M)
    path = draw_path(rng, free, need)
    times = np.arange(frames) / rate_hz
    return _follow(rng, rig, path, targets, times, solids)


class FreeFloor:
    """Distances on the floor to the next obstacle in the heights that a rig needs."""

    def __init__(self, plan: Plan, solids: Solids, rig: Rig) -> None:
        # Map of the obstacles in the band of heights; everything outside the storey is one.
        self.clearance_m = rig.clearance
        bottom, top = (rig.height + edge for edge in rig.band)
        low, high = solids.center[:, 2] - solids.half[:, 2], solids.center[:, 2] + solids.half[:, 2]
        rows = np.flatnonzero((low < top) & (high > bottom))
        blocked = np.full(np.ceil(plan.size[::-1] / GRID_M).astype(int), 255, np.uint8)
        for room in plan.rooms:
            a, b = (np.round(each / GRID_M).astype(int) for each in (room.low, room.high))
            blocked[a[1] : b[1], a[0] : b[0]] = 0
        for door in plan.doors:
            a, b = (np.round(each / GRID_M).astype(int) for each in (door.low, door.high))
            blocked[a[1] : b[1], a[0] : b[0]] = 0
        for row in rows:
            corners = _corners(solids, int(row)) / GRID_M - 0.5
            fixed = np.round(corners * 16).astype(np.int32)
            cv2.fillPoly(blocked, [fixed], 255, shift=4)
        distance = cv2.distanceTransform(255 - blocked, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        self.distance = (distance - 1) * np.float32(GRID_M)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Returns distances (N,) in metres at points (N, 2)."""
        grid = (points / GRID_M - 0.5).astype(np.float32)
        return cv2.remap(self.distance, grid[:, :1], grid[:, 1:], cv2.INTER_LINEAR)[:, 0]

    def nodes(self) -> np.ndarray:
        """Returns the distances at the planner's nodes."""
        return self.distance[::NODE_CELLS, ::NODE_CELLS]


def _corners(solids: Solids, row: int) -> np.ndarray:
    """Returns the corners (4, 2) of a solid seen from above."""
    heading = solids.heading_rad[row]
    along = np.array([np.cos(heading), np.sin(heading)]) * solids.half[row, 0]
    across = np.array([-np.sin(heading), np.cos(heading)]) * solids.half[row, 1]
    middle = solids.center[row, :2]
    return np.array(
        [
            middle - along - across,
            middle + along - across,
            middle + along + across,
            middle - along + across,
        ]
    )


def draw_path(rng: np.random.Generator, free: FreeFloor, length_m: float) -> np.ndarray:
    """Returns a smooth path (P, 2) of at least a length through free floor, evenly spaced."""
    nodes = free.nodes()
    clearance = free.clearance_m
    while not (nodes > clearance).any():
        clearance *= 0.8
    count, label = cv2.connectedComponents((nodes > clearance).astype(np.uint8), connectivity=8)
    sizes = np.bincount(label.ravel(), minlength=count)
    sizes[0] = 0
    # Start in a large region, at random by its size.
    region = int(rng.choice(count, p=sizes / sizes.sum()))
    cells = np.argwhere(label == region)
    here = tuple(cells[int(rng.integers(len(cells)))].tolist())
    route = [here]
    total = 0.0
    while total < length_m * NODES_PER_M and len(cells) > 1:
        # Mostly near goals, sometimes one far away.
        goals = cells[rng.integers(len(cells), size=4)]
        away = np.abs(goals - np.array(here)).sum(axis=1)
        there = tuple(goals[int(away.argmin() if rng.random() < 0.6 else 0)].tolist())
        leg = _shortest(nodes, clearance, here, there)
        route += leg
        total += max(len(leg), 1)
        here = there
    points = (np.array(route)[:, ::-1] * NODE_CELLS + 0.5) * GRID_M
    return _smooth(free, clearance, _resampled(points))


NODES_PER_M = 1 / (GRID_M * NODE_CELLS)
Node = tuple[int, ...]


def _shortest(nodes: np.ndarray, clearance: float, start: Node, goal: Node) -> list[Node]:
    """Returns the nodes from `start` to `goal` of the cheapest way, wide ways being cheaper."""
    height, width = nodes.shape
    cost = 1 + 0.25 / np.maximum(nodes - clearance + 0.1, 0.05)
    best = {start: 0.0}
    came: dict[Node, Node] = {}
    queue: list[tuple[float, Node]] = [(0.0, start)]
    # Extend the most promising way by each free neighbour of its end.
    while queue:
        _, node = heapq.heappop(queue)
        if node == goal:
            break
        row, column = node
        for dr, dc in STEPS:
            r, c = row + dr, column + dc
            if not (0 <= r < height and 0 <= c < width) or nodes[r, c] <= clearance:
                continue
            value = best[node] + float(cost[r, c]) * (1.414 if dr and dc else 1.0)
            if value < best.get((r, c), np.inf):
                best[r, c] = value
                came[r, c] = node
                estimate = np.hypot(r - goal[0], c - goal[1])
                heapq.heappush(queue, (value + float(estimate), (r, c)))
    # Read the way back from the goal.
    way = [goal]
    while way[-1] in came and way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1] if way[-1] == start else []


STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


def _resampled(points: np.ndarray) -> np.ndarray:
    """Returns points (P, 2) spaced evenly along a polyline, at least two."""
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(step)])
    keep = np.concatenate([[True], step > 1e-9])
    count = max(int(along[-1] / SPACING_M) + 1, 2)
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along[keep], points[keep, axis]) for axis in (0, 1)], axis=1)


def _smooth(free: FreeFloor, clearance: float, points: np.ndarray) -> np.ndarray:
    """Returns the path (P, 2) with its corners rounded, nowhere closer to obstacles."""
    limit = np.minimum(free.at(points), clearance) - 1e-4
    for _ in range(150):
        moved = points.copy()
        moved[1:-1] += 0.5 * ((points[:-2] + points[2:]) / 2 - points[1:-1])
        fine = free.at(moved) >= limit
        points = np.where(fine[:, None], moved, points)
    return _resampled(points)


def _waves(
    rng: np.random.Generator, times: np.ndarray, low_hz: float, high_hz: float
) -> np.ndarray:
    """Returns smooth noise (N,) in -1..1 with frequencies of a band."""
    total = np.zeros(len(times))
    for _ in range(4):
        total += np.sin(2 * np.pi * rng.uniform(low_hz, high_hz) * times + rng.uniform(0, 6.28))
    return total / 4


def _follow(
    rng: np.random.Generator,
    rig: Rig,
    path: np.ndarray,
    targets: np.ndarray,
    times: np.ndarray,
    solids: Solids,
) -> np.ndarray:
    """Moves a camera along a path; returns world_from_camera (frames, 4, 4)."""
    steps = int(np.ceil(times[-1] / CONTROL_S)) + 2
    clock = np.arange(steps) * CONTROL_S
    points, yaw, pitch = _steer(rng, rig, path, targets, clock)
    if rig.lean > 0:
        points = _lean(rng, rig, points, yaw, clock, solids)
    # Slow and fast disturbances.
    x, y = (np.interp(times, clock, points[:, axis]) for axis in (0, 1))
    yaw, pitch = np.interp(times, clock, yaw), np.interp(times, clock, pitch)
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=1) / CONTROL_S
    stride = np.interp(times, clock, np.clip(speed / 0.5, 0.3, 1.0))
    shift = [rig.shake * stride * _waves(rng, times, 0.6, 3.0) for _ in range(3)]
    turn = [np.radians(rig.shake_deg) * stride * _waves(rng, times, 0.5, 3.5) for _ in range(3)]
    height = rig.height + rig.bob * _waves(rng, times, 0.02, 0.15) + shift[2]
    roll = np.radians(rig.sway_deg) * _waves(rng, times, 0.05, 0.4) + turn[2]
    if rig.name != "robot":
        roll = roll + np.radians(rng.normal(0, 1.5))
    poses = np.tile(np.eye(4), (len(times), 1, 1))
    poses[:, :3, :3] = rotations(yaw + turn[0], pitch + turn[1], roll) @ CAMERA_FROM_BODY.T
    poses[:, :3, 3] = np.stack([x + shift[0], y + shift[1], height], axis=1)
    return poses


def _lean(
    rng: np.random.Generator,
    rig: Rig,
    points: np.ndarray,
    yaw: np.ndarray,
    clock: np.ndarray,
    solids: Solids,
) -> np.ndarray:
    """Returns positions (N, 2) of a camera that an arm holds out, over tables but into nothing."""
    # The furthest reach in steps that comes near to nothing.
    forward = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    free: np.ndarray = np.ones(len(points), bool)
    reach: np.ndarray = np.zeros(len(points))
    swing = rig.bob + rig.shake
    for step in np.arange(LEAN_STEP_M, rig.lean + LEAN_STEP_M, LEAN_STEP_M):
        at = np.concatenate([points + forward * step, np.zeros((len(points), 1))], axis=1)
        for edge in (-swing, 0.0, swing):
            at[:, 2] = rig.height + edge
            free &= solids.distance(at) > rig.clearance
        reach = np.where(free, step, reach)
    # Slow changes: the least over a window, then the mean over it.
    half = round(LEAN_S / CONTROL_S / 2)
    window = np.lib.stride_tricks.sliding_window_view
    least = window(np.pad(reach, 2 * half, mode="edge"), 2 * half + 1).min(axis=1)
    steady = window(least, 2 * half + 1).mean(axis=1)
    share = 0.5 + 0.5 * _waves(rng, clock, 0.03, 0.2)
    return points + forward * (steady * share)[:, None]


def _steer(
    rng: np.random.Generator, rig: Rig, path: np.ndarray, targets: np.ndarray, clock: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns positions (N, 2), yaw and pitch (N,) in radians at the times of `clock`."""
    length = (len(path) - 1) * SPACING_M
    pace = np.clip(0.75 + 0.7 * _waves(rng, clock, 0.03, 0.25), 0.0, 1.4)
    along = 0.0
    gaze = _Gaze(rng, rig, targets)
    max_rate = np.radians(rig.max_turn_dps)
    yaw = pitch = yaw_rate = pitch_rate = 0.0
    rows = []
    for k in range(len(clock)):
        here = _on_path(path, along)
        tangent = _on_path(path, along + 0.3) - here
        wanted_yaw, wanted_pitch = gaze.wanted(k * CONTROL_S, here, tangent)
        if k == 0:
            yaw, pitch = wanted_yaw, wanted_pitch
        # Turn like a damped spring, no faster than the rig can.
        error = (wanted_yaw - yaw + np.pi) % (2 * np.pi) - np.pi
        yaw_rate += CONTROL_S * (4.0 * error - 4.0 * yaw_rate)
        pitch_rate += CONTROL_S * (4.0 * (wanted_pitch - pitch) - 4.0 * pitch_rate)
        yaw_rate = float(np.clip(yaw_rate, -max_rate, max_rate))
        yaw += CONTROL_S * yaw_rate
        pitch += CONTROL_S * float(np.clip(pitch_rate, -max_rate, max_rate))
        rows.append((*here, yaw, pitch))
        # A robot turns before it drives on.
        ahead = max(np.cos(error), 0.0) ** 4 if rig.name == "robot" else 1.0
        along = along + float(rig.speed * pace[k] * CONTROL_S * ahead)
        if along > 2 * length:
            along -= 2 * length
    table = np.array(rows)
    return table[:, :2], table[:, 2], table[:, 3]


def _on_path(path: np.ndarray, along_m: float) -> np.ndarray:
    """Returns the point (2,) at a distance along the path, which goes back from its end."""
    last = len(path) - 1
    at = along_m / SPACING_M % (2 * last)
    at = 2 * last - at if at > last else at
    index = min(int(at), last - 1)
    return path[index] + (path[index + 1] - path[index]) * (at - index)


class _Gaze:
    """Where a camera wants to look: along its path, to a side, or at things nearby."""

    def __init__(self, rng: np.random.Generator, rig: Rig, targets: np.ndarray) -> None:
        self._rng = rng
        self._rig = rig
        self._targets = targets
        self._until_s = 0.0
        self._target: np.ndarray | None = None
        self._aside = 0.0
        self._pitch = np.radians(rig.pitch)

    def wanted(self, time_s: float, here: np.ndarray, tangent: np.ndarray) -> tuple[float, float]:
        """Returns wanted yaw and pitch in radians at a position (2,)."""
        if time_s >= self._until_s:
            self._choose(here, time_s)
        low, high = np.radians(self._rig.pitch_range)
        if self._target is None:
            yaw = float(np.arctan2(tangent[1], tangent[0])) + self._aside
            return yaw, float(np.clip(self._pitch, low, high))
        offset = self._target - (*here, self._rig.height)
        distance = max(float(np.hypot(offset[0], offset[1])), 0.3)
        pitch = float(np.clip(np.arctan2(offset[2], distance), low, high))
        return float(np.arctan2(offset[1], offset[0])), pitch

    def _choose(self, here: np.ndarray, time_s: float) -> None:
        """Draws what to look at next, and for how long."""
        rng = self._rng
        self._until_s = time_s + rng.uniform(1.5, 7.0)
        self._target = None
        is_robot = self._rig.name == "robot"
        self._aside = 0.0 if is_robot else float(np.radians(rng.normal(0, 35)))
        if not is_robot:
            self._pitch = np.radians(self._rig.pitch + rng.normal(0, 6))
        if len(self._targets) and rng.random() < self._rig.looks_around:
            away = np.linalg.norm(self._targets[:, :2] - here, axis=1)
            near = np.flatnonzero((away < LEASH_M) & (away > 0.5))
            if len(near):
                self._target = self._targets[int(near[int(rng.integers(len(near)))])]


def rotations(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Returns world_from_body (N, 3, 3): x forward, y left, z up; angles (N,) in radians.

    Pitch is positive upwards.
    """
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)
    cos, sin = np.cos(yaw), np.sin(yaw)
    about_z = np.array([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])
    cos, sin = np.cos(pitch), np.sin(pitch)
    about_y = np.array([[cos, zero, -sin], [zero, one, zero], [sin, zero, cos]])
    cos, sin = np.cos(roll), np.sin(roll)
    about_x = np.array([[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]])
    z, y, x = (each.transpose(2, 0, 1) for each in (about_z, about_y, about_x))
    return z @ y @ x
