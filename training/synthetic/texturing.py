"""Texture colours of visible surfaces, and the directions in which samples look.

It works on colour planes (3, rows, columns) and long rows, where numpy is fast.
"""

from __future__ import annotations

import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.atlas import Atlas
from training.synthetic.polygons import Polygons
from training.synthetic.raster import Samples


def texel_density(
    polygons: Polygons, atlas: Atlas, samples: Samples, intrinsics: Intrinsics
) -> np.ndarray:
    """Returns texels of the finest level per sample at nearness 1, (K,)."""
    sizes = atlas.sizes[polygons.texture]
    across = np.linalg.norm(polygons.texture_u[:, :3], axis=1) * sizes[:, 0]
    down = np.linalg.norm(polygons.texture_v[:, :3], axis=1) * sizes[:, 1]
    return np.sqrt(across * down) * samples.step / intrinsics.fx


def texture_colours(
    atlas: Atlas,
    attributes: dict[str, np.ndarray],
    samples: Samples,
    depth: np.ndarray,
    minification: np.ndarray,
) -> np.ndarray:
    """Returns the textures' colours (3, rows, columns) float32 at all samples.

    `attributes` hold for each sample u = (ua x + ub y + uc) depth + u0, v likewise, the texture and
    its density. A surface seen at a slant is minified in one direction only; `minification` (rows,
    columns) is the geometric mean of both directions.
    """
    # Texture coordinates.
    x = samples.x.astype(np.float32)
    y = samples.y.astype(np.float32)[:, None]
    u, v = (
        (attributes[f"{axis}a"] * x + attributes[f"{axis}b"] * y + attributes[f"{axis}c"]) * depth
        + attributes[f"{axis}0"]
        for axis in ("u", "v")
    )
    # Mipmap level, slightly on the sharp side.
    level = np.log2(np.maximum(attributes["density"] * minification, 1e-3)) - 0.3
    return atlas.sample(attributes["texture"].astype(np.int32), u, v, level)


def view_directions(samples: Samples, intrinsics: Intrinsics, rotation: np.ndarray) -> np.ndarray:
    """Returns world directions (3, rows, columns) float32 of the samples.

    Their length along the optical axis is 1. `rotation` (3, 3) is the camera's in the world.
    """
    k = intrinsics
    x = (samples.x - k.cx) / k.fx
    y = (samples.y - k.cy) / k.fy
    return np.stack(
        [
            (x * row[0] + row[2]).astype(np.float32) + (y * row[1]).astype(np.float32)[:, None]
            for row in rotation
        ]
    )
