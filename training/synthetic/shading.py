"""Shading of visible surfaces: texture, painted ground, sunlight and shadow, haze, sky.

It works on colour planes (3, rows, columns) and long rows, where numpy is fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.light import Light, ShadowMaps, shadow_bias
from training.synthetic.paint import TEXEL_M, GroundClipmap
from training.synthetic.palette import Palette
from training.synthetic.polygons import Polygons
from training.synthetic.raster import ProjectedPolygons, Samples
from training.synthetic.texturing import texel_density, texture_colours, view_directions
from training.synthetic.traffic import Shadow

MAX_DEPTH_M = 2000.0
# Attributes of a polygon that shading looks up at each sample: u = (ua x + ub y + uc) depth + u0,
# v likewise; the distance of the plane from the camera is `offset`.
TEXTURE_COLUMNS = ("ua", "ub", "uc", "u0", "va", "vb", "vc", "v0", "texture", "density", "offset")
COLUMNS = (*TEXTURE_COLUMNS, "sunlit", "bias", "skylit", "red", "green", "blue", "ground")


@dataclass(frozen=True)
class VisibleSurfaces:
    """Input of shading: K drawn polygons and the index of the visible one at each sample."""

    drawn: Polygons  # (K)
    projected: ProjectedPolygons
    nearness: np.ndarray  # (rows, columns) float32 inverse depth
    index: np.ndarray  # (rows, columns) row of `drawn`, -1 for sky
    samples: Samples
    density: np.ndarray  # (K,) as of Shader.texel_density


class Shader:
    """Computes the radiance of visible surfaces for one drive."""

    def __init__(
        self,
        palette: Palette,
        light: Light,
        ground: GroundClipmap,
        shadows: ShadowMaps,
        intrinsics: Intrinsics,
    ) -> None:
        self._palette = palette
        self._light = light
        self._ground = ground
        self._shadows = shadows
        self._intrinsics = intrinsics

    def texel_density(self, polygons: Polygons, samples: Samples) -> np.ndarray:
        """Returns texels of the finest level per sample at nearness 1, (K,)."""
        return texel_density(polygons, self._palette.atlas, samples, self._intrinsics)

    def shade(
        self,
        visible: VisibleSurfaces,
        world_from_camera: np.ndarray,
        cell: tuple[int, int],
        mover_shadows: list[Shadow],
    ) -> np.ndarray:
        """Returns radiance (rows, columns, 3) float32; `cell` names the shadow map to use."""
        # Look up the attributes of the visible polygon at each sample.
        table = self._polygon_table(visible, world_from_camera[:3, 3])
        columns = (column.take(visible.index) for column in table)
        attributes = dict(zip(COLUMNS, columns, strict=True))
        depth = 1.0 / np.maximum(visible.nearness, np.float32(1 / MAX_DEPTH_M))
        # Texture.
        minification = depth / np.sqrt(
            np.clip(attributes["offset"] * np.maximum(visible.nearness, 1e-6), 0.02, 1.0)
        )
        atlas = self._palette.atlas
        colour = texture_colours(atlas, attributes, visible.samples, depth, minification)
        # Painted ground.
        directions = view_directions(visible.samples, self._intrinsics, world_from_camera[:3, :3])
        points = [directions[i] * depth + np.float32(world_from_camera[i, 3]) for i in range(3)]
        ground = attributes["ground"] > 0.5
        sample_m = minification * np.float32(visible.samples.step / self._intrinsics.fx)
        self._apply_ground(colour, ground, points, sample_m)
        # Light.
        share = self._shadows.sunlit_share(cell, points, attributes["bias"])
        sun = attributes["sunlit"] * share
        self._apply_mover_shadows(sun, points, ground, mover_shadows)
        return self._apply_light(colour, attributes, sun, depth, visible.index < 0, directions)

    def _polygon_table(self, visible: VisibleSurfaces, center: np.ndarray) -> np.ndarray:
        """Returns the attributes in COLUMNS of all drawn polygons, (COLUMNS, K + 1) float32.

        The last entry is the sky's. `center` (3,) is the camera's position in the world.
        """
        drawn = visible.drawn
        projected = visible.projected
        # Light on each polygon; leaves are lit from any direction.
        normals = drawn.normals()
        facing = normals @ self._light.to_sun
        leaves = drawn.cutout & drawn.two_sided
        sunlit = np.where(leaves, 0.55, np.maximum(facing, 0.0))
        offset = np.abs(np.einsum("mi,mi->m", normals, drawn.corners[:, 0] - center))
        # Columns of TEXTURE_COLUMNS, then the others.
        columns = [
            *projected.texture_u.T,
            *projected.texture_v.T,
            drawn.texture,
            visible.density,
            offset,
        ]
        columns += [
            sunlit,
            shadow_bias(facing, leaves, drawn.ground),
            0.75 + 0.25 * normals[:, 2],
            *(drawn.tint.T / 255),
            drawn.ground,
        ]
        return np.pad(np.stack(columns).astype(np.float32), ((0, 0), (0, 1)))

    def _apply_light(
        self,
        colour: np.ndarray,
        attributes: dict[str, np.ndarray],
        sun: np.ndarray,
        depth: np.ndarray,
        sky: np.ndarray,
        directions: np.ndarray,
    ) -> np.ndarray:
        """Returns radiance (rows, columns, 3) float32 of colours (3, rows, columns).

        It adds reflected sun and sky light, haze, and the sky itself where `sky` (rows, columns) is
        true. `sun` (rows, columns) is the share of sunlight that a surface receives, `directions`
        (3, rows, columns) are the samples' viewing directions.
        """
        # Reflected light, faded into the haze.
        light = self._light
        veil = 1 - np.exp(-depth / np.float32(light.haze_m))
        for channel, tint in enumerate(("red", "green", "blue")):
            plane = colour[channel]
            plane *= attributes[tint] * (
                sun * np.float32(light.sun[channel])
                + attributes["skylit"] * np.float32(light.ambient[channel])
            )
            plane += (np.float32(light.haze[channel] * 0.8) - plane) * veil
        # Sky.
        radiance = cv2.merge(list(colour))
        rows = np.flatnonzero(sky.any(axis=1))
        if len(rows):
            span = slice(rows[0], rows[-1] + 1)
            np.copyto(
                radiance[span], light.sky_towards(directions[:, span]), where=sky[span, :, None]
            )
        return radiance

    def _apply_ground(
        self,
        colour: np.ndarray,
        ground: np.ndarray,
        points: list[np.ndarray],
        sample_m: np.ndarray,
    ) -> None:
        """Multiplies the ground's grain in `colour` by the painted ground, in place.

        `sample_m` (rows, columns) is the size of a sample on the ground in metres.
        """
        # Restrict the work to the rows that show ground.
        rows = np.flatnonzero(ground.any(axis=1))
        if len(rows) == 0:
            return
        span = slice(rows[0], rows[-1] + 1)
        # 150 is the mean of the grain's texture.
        level = np.log2(np.maximum(sample_m[span] / TEXEL_M, 1e-3)) - 0.4
        painted = self._ground.sample(points[0][span], points[1][span], level)
        for channel in range(3):
            plane = colour[channel, span]
            np.multiply(
                plane, painted[channel] * np.float32(1 / 150), out=plane, where=ground[span]
            )

    def _apply_mover_shadows(
        self, sun: np.ndarray, points: list[np.ndarray], ground: np.ndarray, shadows: list[Shadow]
    ) -> None:
        """Darkens the ground under moving objects, in place.

        The shadows are soft rectangles, shifted away from the sun.
        """
        drift = self._light.to_sun[:2] / max(self._light.to_sun[2], 0.2) * 0.5
        for pose, (length, width) in shadows:
            dx = points[0] - np.float32(pose[0, 3] - drift[0])
            dy = points[1] - np.float32(pose[1, 3] - drift[1])
            forward = pose[:2, 0].astype(np.float32)
            along = np.abs(dx * forward[0] + dy * forward[1])
            side = np.abs(dy * forward[0] - dx * forward[1])
            cover = np.clip((length / 2 + 0.5 - along) * 2, 0, 1) * np.clip(
                (width / 2 + 0.4 - side) * 2.5, 0, 1
            )
            sun *= 1 - cover * ground
