"""From visibility to radiance: texture, painted ground, sunlight and shadow, haze, sky.

Works on colour planes (3, rows, columns) and long rows, where numpy is quick.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.light import Light, ShadowMap, shadow_bias
from training.synthetic.paint import TEXEL_M, GroundPicture
from training.synthetic.palette import Palette
from training.synthetic.polygons import Polygons
from training.synthetic.raster import Projected, Samples
from training.synthetic.traffic import Shadow

FARTHEST_M = 2000.0
TEXTURE_COLUMNS = ("ua", "ub", "uc", "u0", "va", "vb", "vc", "v0", "texture", "density", "offset")
COLUMNS = (*TEXTURE_COLUMNS, "sunlit", "bias", "skylit", "red", "green", "blue", "ground")


@dataclass(frozen=True)
class Visible:
    """What shading starts from: K drawn polygons, and which of them is seen at each sample."""

    drawn: Polygons  # (K)
    projected: Projected
    nearness: np.ndarray  # (rows, columns) float32 inverse depth
    seen: np.ndarray  # (rows, columns) row of `drawn`, -1 for sky
    samples: Samples
    density: np.ndarray  # (K,) see Shader.texel_density


class Shader:
    def __init__(
        self,
        palette: Palette,
        light: Light,
        ground: GroundPicture,
        shadows: ShadowMap,
        intrinsics: Intrinsics,
    ) -> None:
        self._palette, self._light, self._ground, self._shadows, self._intrinsics = (
            palette,
            light,
            ground,
            shadows,
            intrinsics,
        )

    def texel_density(self, polygons: Polygons, samples: Samples) -> np.ndarray:
        """Texels of the finest level per sample at nearness 1."""
        sizes = self._palette.texel_sizes()[polygons.texture]
        across = np.linalg.norm(polygons.texture_u[:, :3], axis=1) * sizes[:, 0]
        down = np.linalg.norm(polygons.texture_v[:, :3], axis=1) * sizes[:, 1]
        return np.sqrt(across * down) * samples.step / self._intrinsics.fx

    def shade(
        self,
        visible: Visible,
        world_from_camera: np.ndarray,
        place: tuple[int, int],
        movers: list[Shadow],
    ) -> np.ndarray:
        """(rows, columns, 3) float32 radiance; `place` names the shadow map to use."""
        table = self._table(visible, world_from_camera[:3, 3])
        look = dict(zip(COLUMNS, (column.take(visible.seen) for column in table), strict=True))
        depth = 1.0 / np.maximum(visible.nearness, np.float32(1 / FARTHEST_M))
        x, y = visible.samples.x.astype(np.float32), visible.samples.y.astype(np.float32)[:, None]
        u = (look["ua"] * x + look["ub"] * y + look["uc"]) * depth + look["u0"]
        v = (look["va"] * x + look["vb"] * y + look["vc"]) * depth + look["v0"]
        # A surface seen at a slant is minified one way only: the level is the geometric mean's.
        stretched = depth / np.sqrt(
            np.clip(look["offset"] * np.maximum(visible.nearness, 1e-6), 0.02, 1.0)
        )
        level = np.log2(np.maximum(look["density"] * stretched, 1e-3)) - 0.3
        colour = self._palette.atlas.sample(look["texture"].astype(np.int32), u, v, level)
        directions = self._directions(visible.samples, world_from_camera[:3, :3])
        points = [directions[i] * depth + np.float32(world_from_camera[i, 3]) for i in range(3)]
        ground = look["ground"] > 0.5
        self._apply_ground(
            colour,
            ground,
            points,
            stretched * np.float32(visible.samples.step / self._intrinsics.fx),
        )
        sun = look["sunlit"] * self._shadows.lit(place, points, look["bias"])
        self._apply_mover_shadows(sun, points, ground, movers)
        return self._lit(colour, look, sun, depth, visible.seen < 0, directions)

    def _table(self, visible: Visible, center: np.ndarray) -> np.ndarray:
        """(COLUMNS, K + 1) float32: what shading needs to know of each drawn polygon; the last
        entry is the sky's."""
        drawn, projected = visible.drawn, visible.projected
        normals = drawn.normals()
        facing = normals @ self._light.to_sun
        leaves = drawn.cutout & drawn.two_sided
        sunlit = np.where(leaves, 0.55, np.maximum(facing, 0.0))
        offset = np.abs(np.einsum("mi,mi->m", normals, drawn.corners[:, 0] - center))
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

    def _lit(
        self,
        colour: np.ndarray,
        look: dict[str, np.ndarray],
        sun: np.ndarray,
        depth: np.ndarray,
        sky: np.ndarray,
        directions: np.ndarray,
    ) -> np.ndarray:
        """(rows, columns, 3) float32 radiance: reflected sun and sky light, haze, and the sky
        itself."""
        light = self._light
        veil = 1 - np.exp(-depth / np.float32(light.haze_m))
        for channel, tint in enumerate(("red", "green", "blue")):
            plane = colour[channel]
            plane *= look[tint] * (
                sun * np.float32(light.sun[channel])
                + look["skylit"] * np.float32(light.ambient[channel])
            )
            plane += (np.float32(light.haze[channel] * 0.8) - plane) * veil
        radiance = cv2.merge(list(colour))
        rows = np.flatnonzero(sky.any(axis=1))
        if len(rows):
            span = slice(rows[0], rows[-1] + 1)
            np.copyto(
                radiance[span], light.sky_towards(directions[:, span]), where=sky[span, :, None]
            )
        return radiance

    def _directions(self, samples: Samples, rotation: np.ndarray) -> np.ndarray:
        """(3, rows, columns) float32 world directions of the samples, of length 1 along the
        optical axis."""
        k = self._intrinsics
        x, y = (samples.x - k.cx) / k.fx, (samples.y - k.cy) / k.fy
        return np.stack(
            [
                (x * row[0] + row[2]).astype(np.float32) + (y * row[1]).astype(np.float32)[:, None]
                for row in rotation
            ]
        )

    def _apply_ground(
        self,
        colour: np.ndarray,
        ground: np.ndarray,
        points: list[np.ndarray],
        footprint: np.ndarray,
    ) -> None:
        """Colours the ground's grain by the painted picture."""
        rows = np.flatnonzero(ground.any(axis=1))
        if len(rows) == 0:
            return
        span = slice(rows[0], rows[-1] + 1)
        level = np.log2(np.maximum(footprint[span] / TEXEL_M, 1e-3)) - 0.4
        painted = self._ground.sample(points[0][span], points[1][span], level)
        for channel in range(3):
            plane = colour[channel, span]
            np.multiply(
                plane, painted[channel] * np.float32(1 / 150), out=plane, where=ground[span]
            )

    def _apply_mover_shadows(
        self, sun: np.ndarray, points: list[np.ndarray], ground: np.ndarray, movers: list[Shadow]
    ) -> None:
        """Soft dark rectangles under moving cars, shifted away from the sun."""
        drift = self._light.to_sun[:2] / max(self._light.to_sun[2], 0.2) * 0.5
        for pose, (length, width) in movers:
            dx, dy = (
                points[0] - np.float32(pose[0, 3] - drift[0]),
                points[1] - np.float32(pose[1, 3] - drift[1]),
            )
            forward = pose[:2, 0].astype(np.float32)
            along, side = (
                np.abs(dx * forward[0] + dy * forward[1]),
                np.abs(dy * forward[0] - dx * forward[1]),
            )
            cover = np.clip((length / 2 + 0.5 - along) * 2, 0, 1) * np.clip(
                (width / 2 + 0.4 - side) * 2.5, 0, 1
            )
            sun *= 1 - cover * ground
