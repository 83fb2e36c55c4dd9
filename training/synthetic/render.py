"""Renderer of frames and their truth: visibility, texture, light and camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.atlas import Atlas
from training.synthetic.ego import camera_poses
from training.synthetic.frames import (
    ExposureMeter,
    RenderedFrame,
    camera0_from_camera,
    exact_depth,
    filter_to_pixels,
    metering_samples,
    pixel_samples,
)
from training.synthetic.light import SHADOW_REACH_M, SHADOW_STEP_M, ShadowMaps, draw_light
from training.synthetic.optics import draw_optics, meter
from training.synthetic.paint import GroundClipmap
from training.synthetic.polygons import Polygons, concatenate
from training.synthetic.raster import ProjectedPolygons, Samples, fill, project
from training.synthetic.scene import StreetScene, draw_scene
from training.synthetic.shading import Shader, VisibleSurfaces
from training.synthetic.traffic import Shadow, draw_traffic, moving_polygons

REACH_M = 150.0  # distance up to which objects are drawn
GROUND_REACH_M = 170.0
GROUND_TEXTURE_M = 1.5  # size of one repeat of the ground's grain
METERING_INTERVAL = 10  # frames between two measurements of the exposure


@dataclass(frozen=True)
class _RenderedView:
    """Radiance and index of the visible polygon at every sample."""

    radiance: np.ndarray  # (rows, columns, 3) float32
    index: np.ndarray  # (rows, columns) row of `projected`, -1 for sky
    projected: ProjectedPolygons
    moving: np.ndarray  # (K,) bool


class Renderer:
    """Renders any frame of a drive; a frame does not depend on those rendered before.

    `world_from_camera` (frames, 4, 4) are the camera's poses, `distances` (frames,) its positions
    along the route in metres, `movers` the moving objects.
    """

    def __init__(self, seed: int, frames: int, intrinsics: Intrinsics) -> None:
        # The world and everything that moves in it.
        self.scene: StreetScene = draw_scene(seed, frames)
        self.world_from_camera, self.distances = camera_poses(
            seed, self.scene.route, self.scene.terrain, frames
        )
        self.movers = draw_traffic(self.scene, self.distances)
        # Light, camera and shading.
        self._light = draw_light(seed)
        self._optics = draw_optics(seed, frames)
        self._ground = GroundClipmap(seed, self.scene.paint)
        self._shadows = ShadowMaps(self._light.to_sun)
        self._intrinsics = intrinsics
        self._shader = Shader(
            self.scene.palette, self._light, self._ground, self._shadows, intrinsics
        )
        # A sparse grid of samples for metering.
        self._exposure = ExposureMeter(frames, METERING_INTERVAL, self._mean_radiance)
        self._metering_samples = metering_samples(intrinsics)
        self._samples = pixel_samples(intrinsics)

    @property
    def camera0_from_camera(self) -> np.ndarray:
        """KITTI poses (frames, 4, 4); the first is exactly the identity."""
        return camera0_from_camera(self.world_from_camera)

    def render(self, frame: int) -> RenderedFrame:
        """Renders one frame of the drive."""
        view = self._render_view(frame, self._samples)
        radiance = filter_to_pixels(view.radiance)
        # Read the truth at the pixel centres.
        index = view.index[1::2, 1::2]
        moving = np.append(view.moving, values=False)[index]
        return RenderedFrame(
            self._optics.develop(radiance, frame, self._exposure.radiance(frame)),
            exact_depth(view.projected, index, self._intrinsics),
            moving,
        )

    def _mean_radiance(self, frame: int) -> float:
        """Returns the mean radiance of a frame, of a sparse image."""
        return meter(self._render_view(frame, self._metering_samples).radiance)

    def _render_view(self, frame: int, samples: Samples) -> _RenderedView:
        """Renders the radiance of a frame at samples of the image."""
        world_from_camera = self.world_from_camera[frame]
        center = world_from_camera[:2, 3]
        forward = world_from_camera[:2, 2] / np.linalg.norm(world_from_camera[:2, 2])
        # Resolve visibility.
        polygons, mover_shadows = self._polygons_in_reach(frame, center, forward)
        projected = project(
            polygons, np.linalg.inv(world_from_camera), self._intrinsics.matrix(), samples
        )
        drawn = polygons.take(projected.source)
        density = self._shader.texel_density(drawn, samples)
        nearness, index = fill(projected, polygons, self.scene.palette.atlas, samples, density)
        # Prepare ground and shadows around the camera.
        self._ground.move_to(center, forward)
        cell = self._shadows.cell_for(center, forward)
        if cell not in self._shadows:
            self._shadows.render(cell, *self._shadow_casters(cell))
        # Shade.
        radiance = self._shader.shade(
            VisibleSurfaces(drawn, projected, nearness, index, samples, density),
            world_from_camera,
            cell,
            mover_shadows,
        )
        return _RenderedView(radiance, index, projected, drawn.moving)

    def _polygons_in_reach(
        self, frame: int, center: np.ndarray, forward: np.ndarray
    ) -> tuple[Polygons, list[Shadow]]:
        """Returns the polygons ahead of the camera, and the shadows of moving objects."""
        static = self.scene.near(center + forward * REACH_M * 0.5, REACH_M * 0.62)
        movers, shadows = moving_polygons(self.movers, self.scene, frame, center)
        return concatenate([static, self._ground_polygons(center, forward), *movers]), shadows

    def _ground_polygons(self, center: np.ndarray, forward: np.ndarray) -> Polygons:
        """Returns the terrain's triangles ahead of the camera."""
        corners = self.scene.terrain.triangles(center, forward, GROUND_REACH_M)
        count = len(corners)
        # Texture coordinates along x and y.
        texture_u = np.zeros((count, 4))
        texture_v = np.zeros((count, 4))
        texture_u[:, 0] = texture_v[:, 1] = 1 / GROUND_TEXTURE_M
        # All of them are ground, seen from both sides, without holes, at rest.
        return Polygons(
            corners=corners,
            texture_u=texture_u,
            texture_v=texture_v,
            texture=np.full(count, self.scene.palette.variant("rough", 0)),
            tint=np.ones((count, 3), np.float32),
            cutout=np.zeros(count, bool),
            two_sided=np.ones(count, bool),
            ground=np.ones(count, bool),
            moving=np.zeros(count, bool),
        )

    def _shadow_casters(self, cell: tuple[int, int]) -> tuple[Polygons, Atlas, float]:
        """Returns polygons, textures and ground height for the shadow map of a cell."""
        middle = np.array(cell) * SHADOW_STEP_M
        return (
            self.scene.near(middle, SHADOW_REACH_M * 1.3),
            self.scene.palette.atlas,
            float(self.scene.terrain.smooth_height(middle)),
        )
