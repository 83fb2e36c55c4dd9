"""Point clouds: each is correct, although their memory is used again."""

import numpy as np
import pytest
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.nodes.clouds import PointCloudBuilder

CAMERA = Intrinsics(300.0, 310.0, 200.0, 60.0, 424, 136)
MAP = Preprocessor(CAMERA, 104, 32, 1, "crop").intrinsics
RNG = np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(136, 424), (136, 424, 3)])
def test_clouds_of_changing_size(shape: tuple[int, ...]) -> None:
    clouds = PointCloudBuilder(MAP, CAMERA)
    for unknown_share in (0.0, 0.7, 0.2, 1.0, 0.0):
        image = RNG.integers(0, 256, shape, dtype=np.uint8)
        depth = RNG.uniform(1.0, 80.0, (32, 104)).astype(np.float32)
        depth[RNG.random(depth.shape) < unknown_share] = np.nan
        cloud = clouds.build(depth, image, Header())
        points = point_cloud2.read_points(cloud)
        known = np.isfinite(depth)
        rows, columns = np.nonzero(known)
        assert len(points) == known.sum() == cloud.width and cloud.is_dense
        np.testing.assert_array_equal(points["z"], depth[known])
        np.testing.assert_allclose(
            points["x"], depth[known] * (columns - MAP.cx) / MAP.fx, rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(
            points["y"], depth[known] * (rows - MAP.cy) / MAP.fy, rtol=1e-5, atol=1e-5
        )
        u = np.rint((columns - MAP.cx) * (CAMERA.fx / MAP.fx) + CAMERA.cx).astype(int)
        v = np.rint((rows - MAP.cy) * (CAMERA.fy / MAP.fy) + CAMERA.cy).astype(int)
        colours = image[v, u].astype(np.uint32)
        if image.ndim == 2:
            np.testing.assert_array_equal(points["intensity"], colours)
        else:
            np.testing.assert_array_equal(
                points["rgb"].view(np.uint32), colours @ np.array([1 << 16, 1 << 8, 1], np.uint32)
            )
