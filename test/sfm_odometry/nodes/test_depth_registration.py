"""Registration of maps to images, the inverse of preprocessing."""

import cv2
import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.nodes.depth_registration import (
    covered_window,
    nearest_pixel_map,
    register_to_image,
    remap_nearest,
)

CAMERAS = [
    Intrinsics(721.5, 718.2, 609.6, 172.9, 1241, 376),
    Intrinsics(500.0, 500.0, 330.0, 235.0, 640, 480),
    Intrinsics(90, 90, 50, 31, 104, 60),
]


@pytest.mark.parametrize("camera", CAMERAS, ids=str)
@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_the_covered_window_is_the_preprocessors(camera: Intrinsics, mode: str) -> None:
    preprocessor = Preprocessor(camera, 416, 128, 1, mode)
    assert covered_window(preprocessor.intrinsics, camera) == preprocessor.window


@pytest.mark.parametrize("camera", CAMERAS[:2], ids=str)
@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_registration_inverts_preprocessing(camera: Intrinsics, mode: str) -> None:
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    image = np.rint(40 + 60 * np.sin(columns / 90) + 60 * np.cos(rows / 70) + 60).astype(np.uint8)
    preprocessor = Preprocessor(camera, 416, 128, 1, mode)
    values = np.where(
        preprocessor.valid_mask, preprocessor(image)[..., 0].astype(np.float32), np.float32(np.nan)
    )
    back = register_to_image(values, preprocessor.intrinsics, camera)
    assert back.shape == (camera.height, camera.width) and back.dtype == np.float32
    left, top, width, height = preprocessor.window
    inside = np.zeros(back.shape, bool)
    inside[max(top, 0) : top + height, max(left, 0) : left + width] = True
    assert np.isnan(back[~inside]).all()
    known = np.isfinite(back)
    assert known[inside].mean() > 0.97
    assert np.abs(back[known] - image[known]).mean() < 1.0


def test_unknown_neighbours_make_unknown_pixels() -> None:
    camera = CAMERAS[1]
    map_intrinsics = Preprocessor(camera, 416, 128, 1).intrinsics
    values = np.full((128, 416), 7.0, np.float32)
    values[60, 200] = np.nan
    back = register_to_image(values, map_intrinsics, camera)
    assert set(back[np.isfinite(back)]) == {np.float32(7.0)}


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 3)])
def test_remapped_image_is_the_networks_input(shape: tuple[int, ...]) -> None:
    camera = CAMERAS[1]
    smooth = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, shape, np.uint8), (0, 0), 8)
    for mode in ("crop", "stretch"):
        preprocessor = Preprocessor(camera, 416, 128, 1 if len(shape) == 2 else 3, mode)
        expected = preprocessor(smooth).reshape(128, 416, *shape[2:])
        pixel_map = nearest_pixel_map(camera, preprocessor.intrinsics)
        difference = remap_nearest(smooth, pixel_map).astype(int) - expected
        assert np.abs(difference).mean() < 2.0


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_a_given_output_array_is_overwritten_completely(mode: str) -> None:
    camera = CAMERAS[0]
    values = np.random.default_rng(2).uniform(1.0, 80.0, (128, 416)).astype(np.float32)
    values[:9, 30:60] = np.nan
    map_intrinsics = Preprocessor(camera, 416, 128, 1, mode).intrinsics
    output = np.full((camera.height, camera.width), 7.0, np.float32)
    result = register_to_image(values, map_intrinsics, camera, output)
    assert result is output
    np.testing.assert_array_equal(result, register_to_image(values, map_intrinsics, camera))
