"""One frame: visibility, texture, light, camera, and the truth that goes with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.atlas import Atlas
from training.synthetic.ego import camera_poses
from training.synthetic.light import SHADOW_REACH_M, SHADOW_STEP_M, ShadowMap, draw_light
from training.synthetic.optics import draw_optics, meter
from training.synthetic.paint import GroundPicture
from training.synthetic.polygons import Polygons, concatenate
from training.synthetic.raster import Projected, Samples, fill, project
from training.synthetic.scene import StreetScene, draw_scene
from training.synthetic.shading import Shader, Visible
from training.synthetic.traffic import Shadow, draw_traffic, moving_polygons

REACH_M = 150.0
GROUND_REACH_M = 170.0
GROUND_TEXTURE_M = 1.5
METER_EVERY = 10


@dataclass(frozen=True)
class RenderedFrame:
    """A rendered frame and its truth at the pixel centres."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    depth_m: np.ndarray  # (H, W) float64 along the optical axis, 0 where unknown
    moving: np.ndarray  # (H, W) bool


@dataclass(frozen=True)
class _View:
    """Radiance at every sample, and which polygon is seen there."""

    radiance: np.ndarray  # (rows, columns, 3) float32
    seen: np.ndarray  # (rows, columns) row of `projected`, -1 for sky
    projected: Projected
    moving: np.ndarray  # (K,) bool


class Renderer:
    """Renders any frame of a drive; frames are independent of the order in which they are asked
    for."""

    def __init__(self, seed: int, frames: int, intrinsics: Intrinsics) -> None:
        self.scene: StreetScene = draw_scene(seed, frames)
        self.world_from_camera, self.distances = camera_poses(
            seed, self.scene.route, self.scene.terrain, frames
        )
        self._movers = draw_traffic(self.scene, self.distances)
        self._light, self._optics = draw_light(seed), draw_optics(seed, frames)
        self._ground = GroundPicture(seed, self.scene.paint)
        self._shadows = ShadowMap(self._light.to_sun)
        self._intrinsics = intrinsics
        self._shader = Shader(
            self.scene.palette, self._light, self._ground, self._shadows, intrinsics
        )
        self._meterings: dict[int, float] = {}
        self._sparse = Samples(
            *(
                np.arange(0.0, side, max(intrinsics.width / 52, 1.0))
                for side in (intrinsics.width, intrinsics.height)
            )
        )
        # Two samples a pixel each way, every other one on a pixel centre: there the truth is read;
        # a tent over nine samples is the pixel.
        self._samples = Samples(
            (np.arange(2 * intrinsics.width + 1) - 1) / 2,
            (np.arange(2 * intrinsics.height + 1) - 1) / 2,
        )

    @property
    def camera0_from_camera(self) -> np.ndarray:
        """(frames, 4, 4) KITTI poses; the first is exactly the identity."""
        poses = np.linalg.inv(self.world_from_camera[0]) @ self.world_from_camera
        poses[0] = np.eye(4)
        return poses

    def render(self, frame: int) -> RenderedFrame:
        view = self._view(frame, self._samples)
        pixel = np.array([0.25, 0.5, 0.25], np.float32)
        radiance = np.ascontiguousarray(
            cv2.sepFilter2D(view.radiance, -1, pixel, pixel)[1::2, 1::2]
        )
        seen = view.seen[1::2, 1::2]
        moving = np.append(view.moving, False)[seen]
        return RenderedFrame(
            self._optics.develop(radiance, frame, self._metered(frame)),
            self._exact_depth(view.projected, seen),
            moving,
        )

    def _metered(self, frame: int) -> float:
        """The scene's brightness as a slow exposure control sees it: sparse pictures once a
        second, and straight lines between them."""
        first, share = frame // METER_EVERY, frame % METER_EVERY / METER_EVERY
        for number in (first, first + 1):
            if number not in self._meterings:
                at = min(number * METER_EVERY, len(self.world_from_camera) - 1)
                self._meterings[number] = meter(self._view(at, self._sparse).radiance)
        return self._meterings[first] ** (1 - share) * self._meterings[first + 1] ** share

    def _view(self, frame: int, samples: Samples) -> _View:
        world_from_camera = self.world_from_camera[frame]
        center, forward = (
            world_from_camera[:2, 3],
            world_from_camera[:2, 2] / np.linalg.norm(world_from_camera[:2, 2]),
        )
        polygons, shadows = self._visible(frame, center, forward)
        projected = project(
            polygons, np.linalg.inv(world_from_camera), self._intrinsics.matrix(), samples
        )
        drawn = polygons.take(projected.source)
        density = self._shader.texel_density(drawn, samples)
        nearness, seen = fill(projected, polygons, self.scene.palette.atlas, samples, density)
        self._ground.look_from(center, forward)
        place = self._shadows.place_for(center, forward)
        if not self._shadows.has(place):
            self._shadows.add(place, *self._casters(place))
        radiance = self._shader.shade(
            Visible(drawn, projected, nearness, seen, samples, density),
            world_from_camera,
            place,
            shadows,
        )
        return _View(radiance, seen, projected, drawn.moving)

    def _visible(
        self, frame: int, center: np.ndarray, forward: np.ndarray
    ) -> tuple[Polygons, list[Shadow]]:
        static = self.scene.near(center + forward * REACH_M * 0.5, REACH_M * 0.62)
        movers, shadows = moving_polygons(self._movers, self.scene, frame, center)
        return concatenate([static, self._ground_polygons(center, forward), *movers]), shadows

    def _ground_polygons(self, center: np.ndarray, forward: np.ndarray) -> Polygons:
        corners = self.scene.terrain.triangles(center, forward, GROUND_REACH_M)
        count = len(corners)
        texture_u, texture_v = np.zeros((count, 4)), np.zeros((count, 4))
        texture_u[:, 0] = texture_v[:, 1] = 1 / GROUND_TEXTURE_M
        everywhere, nowhere = np.ones(count, bool), np.zeros(count, bool)
        texture = np.full(count, self.scene.palette.variant("rough", 0))
        return Polygons(
            corners,
            texture_u,
            texture_v,
            texture,
            np.ones((count, 3), np.float32),
            nowhere,
            everywhere,
            everywhere,
            nowhere,
        )

    def _casters(self, place: tuple[int, int]) -> tuple[Polygons, Atlas, float]:
        middle = np.array(place) * SHADOW_STEP_M
        return (
            self.scene.near(middle, SHADOW_REACH_M * 1.3),
            self.scene.palette.atlas,
            float(self.scene.terrain.smooth_height(middle)),
        )

    def _exact_depth(self, projected: Projected, seen: np.ndarray) -> np.ndarray:
        planes = np.concatenate([projected.nearness, [[0.0, 0.0, 0.0]]])[seen]
        x, y = np.arange(self._intrinsics.width), np.arange(self._intrinsics.height)[:, None]
        inverse = planes[..., 0] * x + planes[..., 1] * y + planes[..., 2]
        return np.where(seen >= 0, 1.0 / np.where(seen >= 0, inverse, 1.0), 0.0)
