"""One frame: visibility, texture, light, camera, and the truth that goes with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.camera import Intrinsics
from training.synthetic.atlas import Atlas
from training.synthetic.ego import camera_poses
from training.synthetic.light import SHADOW_REACH_M, SHADOW_STEP_M, ShadowMap, draw_light
from training.synthetic.optics import draw_optics
from training.synthetic.paint import TEXEL_M, GroundPicture
from training.synthetic.polygons import Polygons, concatenate
from training.synthetic.raster import Projected, Samples, fill, project
from training.synthetic.scene import Scene, draw_scene
from training.synthetic.traffic import Shadow, draw_traffic, moving_polygons

REACH_M = 150.0
GROUND_REACH_M = 170.0
GROUND_TEXTURE_M = 1.5
TEXTURE_COLUMNS = ("ua", "ub", "uc", "u0", "va", "vb", "vc", "v0", "texture", "density", "offset")
COLUMNS = (*TEXTURE_COLUMNS, "sunlit", "skylit", "red", "green", "blue", "ground")


@dataclass(frozen=True)
class Frame:
    """A rendered frame and its truth at the pixel centres."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    depth_m: np.ndarray  # (H, W) float64 along the optical axis, 0 where unknown
    moving: np.ndarray  # (H, W) bool


class Renderer:
    """Renders any frame of a drive; frames are independent of the order in which they are asked for."""

    def __init__(self, seed: int, frames: int, intrinsics: Intrinsics) -> None:
        self.scene: Scene = draw_scene(seed, frames)
        self.world_from_camera, self.distances = camera_poses(seed, self.scene.route, self.scene.terrain, frames)
        self._movers = draw_traffic(self.scene, self.distances)
        self._light, self._optics = draw_light(seed), draw_optics(seed, frames)
        self._ground = GroundPicture(seed, self.scene.paint)
        self._shadows = ShadowMap(self._light.to_sun)
        self._intrinsics = intrinsics
        # Two samples a pixel each way, every other one on a pixel centre: there the truth is read; a tent over nine samples is the pixel.
        self._samples = Samples((np.arange(2 * intrinsics.width + 1) - 1) / 2, (np.arange(2 * intrinsics.height + 1) - 1) / 2)

    @property
    def camera0_from_camera(self) -> np.ndarray:
        """(frames, 4, 4) KITTI poses; the first is exactly the identity."""
        poses = np.linalg.inv(self.world_from_camera[0]) @ self.world_from_camera
        poses[0] = np.eye(4)
        return poses

    def render(self, frame: int) -> Frame:
        world_from_camera = self.world_from_camera[frame]
        center, forward = world_from_camera[:2, 3], world_from_camera[:2, 2] / np.linalg.norm(world_from_camera[:2, 2])
        polygons, movers = self._visible(frame, center, forward)
        projected = project(polygons, np.linalg.inv(world_from_camera), self._intrinsics.matrix(), self._samples)
        nearness, seen = fill(projected, polygons, self.scene.palette.atlas, self._samples, self._density(polygons.take(projected.source)))
        self._ground.look_from(center, forward)
        place = self._shadows.place_for(center, forward)
        self._shadows.update(place, *self._casters(place))
        radiance = self._shade(polygons, projected, nearness, seen, world_from_camera, movers)
        pixel = np.array([0.25, 0.5, 0.25], np.float32)
        radiance = np.ascontiguousarray(cv2.sepFilter2D(radiance, -1, pixel, pixel)[1::2, 1::2])
        at_centers = seen[1::2, 1::2]
        depth = self._exact_depth(projected, at_centers)
        moving = np.append(polygons.moving[projected.source], False)[at_centers]
        return Frame(self._optics.develop(radiance, frame), depth, moving)

    def _visible(self, frame: int, center: np.ndarray, forward: np.ndarray) -> tuple[Polygons, list[Shadow]]:
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
        return Polygons(corners, texture_u, texture_v, texture, np.ones((count, 3), np.float32), nowhere, everywhere, everywhere, nowhere)

    def _casters(self, place: tuple[int, int]) -> tuple[Polygons, Atlas, float]:
        middle = np.array(place) * SHADOW_STEP_M
        return self.scene.near(middle, SHADOW_REACH_M * 1.3), self.scene.palette.atlas, float(self.scene.terrain.smooth_height(middle))

    def _density(self, polygons: Polygons) -> np.ndarray:
        """Texels of the finest level per sample at nearness 1."""
        sizes = self.scene.palette.texel_sizes()[polygons.texture]
        across = np.linalg.norm(polygons.texture_u[:, :3], axis=1) * sizes[:, 0]
        down = np.linalg.norm(polygons.texture_v[:, :3], axis=1) * sizes[:, 1]
        return np.sqrt(across * down) * 0.5 / self._intrinsics.fx

    def _exact_depth(self, projected: Projected, seen: np.ndarray) -> np.ndarray:
        planes = np.concatenate([projected.nearness, [[0.0, 0.0, 0.0]]])[seen]
        x, y = np.arange(self._intrinsics.width), np.arange(self._intrinsics.height)[:, None]
        inverse = planes[..., 0] * x + planes[..., 1] * y + planes[..., 2]
        return np.where(seen >= 0, 1.0 / np.where(seen >= 0, inverse, 1.0), 0.0)

    def _shade(
        self,
        polygons: Polygons,
        projected: Projected,
        nearness: np.ndarray,
        seen: np.ndarray,
        world_from_camera: np.ndarray,
        movers: list[Shadow],
    ) -> np.ndarray:
        table = self._table(polygons.take(projected.source), projected, world_from_camera[:3, 3])
        look = dict(zip(COLUMNS, (column.take(seen) for column in table), strict=True))
        depth = 1.0 / np.maximum(nearness, np.float32(1 / 2000))
        x, y = self._samples.x.astype(np.float32), self._samples.y.astype(np.float32)[:, None]
        u = (look["ua"] * x + look["ub"] * y + look["uc"]) * depth + look["u0"]
        v = (look["va"] * x + look["vb"] * y + look["vc"]) * depth + look["v0"]
        slant = np.clip(look["offset"] * np.maximum(nearness, 1e-6), 0.02, 1.0)
        level = np.log2(np.maximum(look["density"] * depth / np.sqrt(slant), 1e-3)) - 0.3
        colour = self.scene.palette.atlas.sample(look["texture"].astype(np.int32), u, v, level)
        directions = self._directions(world_from_camera[:3, :3])
        place = [directions[i] * depth + np.float32(world_from_camera[i, 3]) for i in range(3)]
        ground = look["ground"] > 0.5
        self._apply_ground(colour, ground, place, depth, slant)
        sun = look["sunlit"] * self._shadows.lit((place[0], place[1], place[2]))
        self._apply_mover_shadows(sun, place, ground, movers)
        return self._lit(colour, look, sun, depth, seen < 0, directions)

    def _table(self, drawn: Polygons, projected: Projected, center: np.ndarray) -> np.ndarray:
        """(COLUMNS, K + 1) float32: what shading needs to know of each drawn polygon; the last entry is the sky's."""
        normals = drawn.normals()
        sunlit = np.where(drawn.cutout & drawn.two_sided, 0.55, np.maximum(normals @ self._light.to_sun, 0.0))
        offset = np.abs(np.einsum("mi,mi->m", normals, drawn.corners[:, 0] - center))
        columns = [*projected.texture_u.T, *projected.texture_v.T, drawn.texture, self._density(drawn), offset]
        columns += [sunlit, 0.75 + 0.25 * normals[:, 2], *(drawn.tint.T / 255), drawn.ground]
        return np.pad(np.stack(columns).astype(np.float32), ((0, 0), (0, 1)))

    def _lit(
        self, colour: np.ndarray, look: dict[str, np.ndarray], sun: np.ndarray, depth: np.ndarray, sky: np.ndarray, directions: np.ndarray
    ) -> np.ndarray:
        """(rows, columns, 3) float32 radiance: reflected sun and sky light, haze, and the sky itself."""
        light = self._light
        veil = 1 - np.exp(-depth / np.float32(light.haze_m))
        for channel, tint in enumerate(("red", "green", "blue")):
            plane = colour[channel]
            plane *= look[tint] * (sun * np.float32(light.sun[channel]) + look["skylit"] * np.float32(light.ambient[channel]))
            plane += (np.float32(light.haze[channel] * 0.8) - plane) * veil
        radiance = cv2.merge(list(colour))
        rows = np.flatnonzero(sky.any(axis=1))
        if len(rows):
            span = slice(rows[0], rows[-1] + 1)
            np.copyto(radiance[span], light.sky_towards(directions[:, span]), where=sky[span, :, None])
        return radiance

    def _directions(self, rotation: np.ndarray) -> np.ndarray:
        """(3, rows, columns) float32 world directions of the samples, of length 1 along the optical axis."""
        k = self._intrinsics
        x, y = (self._samples.x - k.cx) / k.fx, (self._samples.y - k.cy) / k.fy
        return np.stack([(x * row[0] + row[2]).astype(np.float32) + (y * row[1]).astype(np.float32)[:, None] for row in rotation])

    def _apply_ground(self, colour: np.ndarray, ground: np.ndarray, place: list, depth: np.ndarray, slant: np.ndarray) -> None:
        rows = np.flatnonzero(ground.any(axis=1))
        if len(rows) == 0:
            return
        span = slice(rows[0], rows[-1] + 1)
        footprint = depth[span] * np.float32(0.5 / self._intrinsics.fx) / np.sqrt(slant[span])
        level = np.log2(np.maximum(footprint / TEXEL_M, 1e-3)) - 0.4
        painted = self._ground.sample(place[0][span], place[1][span], level)
        for channel in range(3):
            plane = colour[channel, span]
            np.multiply(plane, painted[channel] * np.float32(1 / 150), out=plane, where=ground[span])

    def _apply_mover_shadows(self, sun: np.ndarray, place: list, ground: np.ndarray, movers: list[Shadow]) -> None:
        """Soft dark rectangles under moving cars, shifted away from the sun."""
        drift = self._light.to_sun[:2] / max(self._light.to_sun[2], 0.2) * 0.5
        for pose, (length, width) in movers:
            dx, dy = place[0] - np.float32(pose[0, 3] - drift[0]), place[1] - np.float32(pose[1, 3] - drift[1])
            forward = pose[:2, 0].astype(np.float32)
            along, side = np.abs(dx * forward[0] + dy * forward[1]), np.abs(dy * forward[0] - dx * forward[1])
            cover = np.clip((length / 2 + 0.5 - along) * 2, 0, 1) * np.clip((width / 2 + 0.4 - side) * 2.5, 0, 1)
            sun *= 1 - cover * ground
