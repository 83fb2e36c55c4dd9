"""Renderer of walks through rooms: the same interface as the renderer of streets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.frames import (
    ExposureMeter,
    RenderedFrame,
    camera0_from_camera,
    exact_depth,
    filter_to_pixels,
    metering_samples,
    pixel_samples,
)
from training.synthetic.optics import draw_optics, meter
from training.synthetic.polygons import Polygons
from training.synthetic.raster import ProjectedPolygons, Samples, fill, project
from training.synthetic.rooms.light_volume import DIRECTIONS
from training.synthetic.rooms.storey import Storey, draw_storey
from training.synthetic.rooms.walk import camera_walk, draw_rig
from training.synthetic.texturing import texel_density, texture_colours, view_directions

NEAR_M = 0.05  # distance of the near plane
METERING_S = 1.0  # time between two measurements of the exposure
USUAL_RADIANCE = 0.4
ADAPTATION = 0.9  # exponent of the exposure control
MAX_DEPTH_M = 200.0
LIST_COLUMNS = 512
BLUR_STEPS = 5  # images that are averaged for motion blur
MIN_BLUR_RAD = 2e-3  # smaller turns in an exposure do not blur
HAZE = np.array([1.9, 2.0, 2.1])  # radiance of the sky
TEXTURE_COLUMNS = ("ua", "ub", "uc", "u0", "va", "vb", "vc", "v0", "texture", "density", "offset")
COLUMNS = (*TEXTURE_COLUMNS, "red", "green", "blue", "shine", "nx", "ny", "nz", "first", "second",
           "share")  # fmt: skip


@dataclass(frozen=True)
class _View:
    """Radiance and index of the visible polygon at every sample."""

    radiance: np.ndarray  # (rows, columns, 3) float32
    index: np.ndarray  # (rows, columns) row of `projected`, -1 for sky
    projected: ProjectedPolygons


class RoomRenderer:
    """Renders any frame of a walk; a frame does not depend on those rendered before.

    `world_from_camera` (frames, 4, 4) are the camera's poses, `rig` the way it is carried.
    """

    def __init__(
        self,
        seed: int,
        frames: int,
        intrinsics: Intrinsics,
        rig: str | None = None,
        rate_hz: float = 10.0,
    ) -> None:
        # The world, and the camera's way through it.
        self.storey: Storey = draw_storey(seed)
        rng = np.random.default_rng([seed, 105])
        self.rig = draw_rig(rng, rig)
        self.world_from_camera = camera_walk(
            rng,
            self.rig,
            self.storey.plan,
            self.storey.solids,
            self.storey.targets,
            frames,
            rate_hz,
        )
        # The camera.
        self._optics = draw_optics(seed, frames)
        self._exposure_s = float(rng.choice([0.0, 0.004, 0.01, 0.02]))
        self._rate_hz = rate_hz
        self._jpeg = int(rng.integers(60, 98)) if rng.random() < 0.5 else None
        self._intrinsics = intrinsics
        interval = max(round(METERING_S * rate_hz), 1)
        self._exposure = ExposureMeter(frames, interval, self._mean_radiance)
        self._metering_samples = metering_samples(intrinsics)
        self._samples = pixel_samples(intrinsics)

    @property
    def camera0_from_camera(self) -> np.ndarray:
        """KITTI poses (frames, 4, 4); the first is exactly the identity."""
        return camera0_from_camera(self.world_from_camera)

    def render(self, frame: int) -> RenderedFrame:
        """Renders one frame of the walk."""
        view = self._render_view(frame, self._samples)
        radiance = self._blur(filter_to_pixels(view.radiance), frame)
        # The camera follows the light of a room nearly down to the dark.
        radiance *= np.float32((USUAL_RADIANCE / self._exposure.radiance(frame)) ** ADAPTATION)
        image = self._optics.develop(radiance, frame, USUAL_RADIANCE)
        if self._jpeg is not None:
            image = _compressed(image, self._jpeg)
        index = view.index[1::2, 1::2]
        depth = exact_depth(view.projected, index, self._intrinsics)
        return RenderedFrame(image, depth, np.zeros(index.shape, bool))

    def _blur(self, radiance: np.ndarray, frame: int) -> np.ndarray:
        """Averages the image over the camera's turn while the shutter is open."""
        # The turn while the shutter is open.
        first, last = max(frame - 1, 0), min(frame + 1, len(self.world_from_camera) - 1)
        rotations = self.world_from_camera[:, :3, :3]
        duration_s = max(last - first, 1) / self._rate_hz
        turn, _ = cv2.Rodrigues(rotations[first].T @ rotations[last])
        turn = turn * self._exposure_s / duration_s
        if np.linalg.norm(turn) < MIN_BLUR_RAD:
            return radiance
        # Images seen under its parts.
        matrix = self._intrinsics.matrix()
        total = np.zeros_like(radiance)
        for share in np.linspace(-0.5, 0.5, BLUR_STEPS):
            homography = matrix @ cv2.Rodrigues(turn * share)[0] @ np.linalg.inv(matrix)
            total += cv2.warpPerspective(
                radiance,
                homography,
                radiance.shape[1::-1],
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return total / np.float32(BLUR_STEPS)

    def _mean_radiance(self, frame: int) -> float:
        """Returns the mean radiance of a frame, of a sparse image."""
        return max(meter(self._render_view(frame, self._metering_samples).radiance), 1e-3)

    def _render_view(self, frame: int, samples: Samples) -> _View:
        """Renders the radiance of a frame at samples of the image."""
        pose = self.world_from_camera[frame]
        storey = self.storey
        projected = project(
            storey.polygons, np.linalg.inv(pose), self._intrinsics.matrix(), samples, NEAR_M
        )
        drawn = storey.polygons.take(projected.source)
        atlas = storey.atlas
        density = texel_density(drawn, atlas, samples, self._intrinsics)
        nearness, index = fill(projected, storey.polygons, atlas, samples, density)
        # Attributes of the visible polygon at each sample.
        table = self._table(drawn, projected, density, pose[:3, 3])
        columns = (column.take(index) for column in table)
        attributes = dict(zip(COLUMNS, columns, strict=True))
        depth = 1.0 / np.maximum(nearness, np.float32(1 / MAX_DEPTH_M))
        slant = np.clip(attributes["offset"] * np.maximum(nearness, 1e-6), 0.02, 1.0)
        colour = texture_colours(atlas, attributes, samples, depth, depth / np.sqrt(slant))
        # Light.
        directions = view_directions(samples, self._intrinsics, pose[:3, :3])
        points = [directions[i] * depth + np.float32(pose[i, 3]) for i in range(3)]
        radiance = self._lit(colour, attributes, points)
        radiance[index < 0] = (HAZE * storey.daylight).astype(np.float32)
        return _View(radiance, index, projected)

    def _lit(
        self, colour: np.ndarray, attributes: dict[str, np.ndarray], points: list[np.ndarray]
    ) -> np.ndarray:
        """Returns radiance (rows, columns, 3) of colours (3, rows, columns) at points."""
        light = self.storey.light
        normal = [attributes[axis] for axis in ("nx", "ny", "nz")]
        irradiance = light.sample(points, normal, attributes["first"])
        share = attributes["share"]
        # Surfaces that do not face along an axis mix two directions.
        turned = np.flatnonzero(attributes["share"] > 0)
        if len(turned):
            second = self._second_light(attributes, points, turned)
            share = attributes["share"].take(turned)[:, None]
            flat = irradiance.reshape(-1, 3)
            flat[turned] += (second - flat[turned]) * share
        shine = attributes["shine"]
        planes = []
        for channel, tint in enumerate(("red", "green", "blue")):
            brightness = irradiance[..., channel] + shine
            planes.append(colour[channel] * attributes[tint] * brightness)
        return cv2.merge(planes)

    def _second_light(
        self, attributes: dict[str, np.ndarray], points: list[np.ndarray], rows: np.ndarray
    ) -> np.ndarray:
        """Returns the irradiance (N, 3) from their second direction of samples with flat `rows`."""
        # A rectangle of samples, because OpenCV takes no long lists.
        padded = np.pad(rows, (0, -len(rows) % LIST_COLUMNS), mode="edge")
        shape = (-1, LIST_COLUMNS)
        light = self.storey.light.sample(
            [each.take(padded).reshape(shape) for each in points],
            [attributes[axis].take(padded).reshape(shape) for axis in ("nx", "ny", "nz")],
            attributes["second"].take(padded).reshape(shape),
        )
        return light.reshape(-1, 3)[: len(rows)]

    def _table(
        self,
        drawn: Polygons,
        projected: ProjectedPolygons,
        density: np.ndarray,
        center: np.ndarray,
    ) -> np.ndarray:
        """Returns the attributes in COLUMNS of all drawn polygons, (COLUMNS, K + 1) float32.

        The last entry is the sky's. `center` (3,) is the camera's position in the world.
        """
        # Normals towards the camera.
        normals = drawn.normals()
        offset = np.einsum("mi,mi->m", normals, center - drawn.corners[:, 0])
        normals = np.where(offset[:, None] < 0, -normals, normals)
        # The two directions that are nearest to the normal, and the share of the second.
        towards = np.maximum(normals @ DIRECTIONS.T, 0)
        order = np.argsort(-towards, axis=1, kind="stable")
        rows = np.arange(len(drawn))
        first, second = (towards[rows, order[:, k]] ** 2 for k in (0, 1))
        share = second / np.maximum(first + second, 1e-12)
        shine = self.storey.materials.luminosity[drawn.texture]
        columns = [
            *projected.texture_u.T,
            *projected.texture_v.T,
            drawn.texture,
            density,
            np.abs(offset),
            *(drawn.tint.T / 255),
            shine,
            *normals.T,
            order[:, 0],
            order[:, 1],
            np.where(share > 1e-3, share, 0.0),
        ]
        return np.pad(np.stack(columns).astype(np.float32), ((0, 0), (0, 1)))


def _compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """Returns an image as it comes back from JPEG of a quality 0..100."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
