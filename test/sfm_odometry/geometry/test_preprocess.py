"""Preprocessing of images into the networks' input."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import (
    MAX_GAIN,
    MIN_MEAN_GREY,
    Preprocessor,
    apply_gain,
    fitting_mode,
)

CAMERA = Intrinsics(721.5, 721.5, 609.6, 172.9, 1242, 375)


def brighten(preprocessor: Preprocessor, frame: np.ndarray) -> np.ndarray:
    return apply_gain(frame, preprocessor.gain(frame))


def marked_image(camera, u, v):
    image = np.zeros((camera.height, camera.width), np.uint8)
    image[v - 2 : v + 3, u - 2 : u + 3] = 255
    return image


def centroid(image):
    v, u = np.nonzero(image > 0)
    weights = image[v, u].astype(float)
    return np.array([(u * weights).sum(), (v * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("camera", [CAMERA, Intrinsics(500.0, 500.0, 330.0, 235.0, 640, 480)])
def test_intrinsics_follow_the_pixels(mode, camera):
    """A ray keeps its direction: the new intrinsics project it to the mark in the input."""
    u = round(camera.cx) + 60
    v = round(camera.cy) + 20
    preprocessor = Preprocessor(camera, 416, 128, 1, mode)
    ray = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy])
    k = preprocessor.intrinsics
    expected = ray * [k.fx, k.fy] + [k.cx, k.cy]
    assert centroid(preprocessor(marked_image(camera, u, v))[..., 0]) == pytest.approx(
        expected, abs=0.15
    )


def test_crop_and_pad_keep_square_pixels():
    for mode in ("crop", "pad"):
        k = Preprocessor(CAMERA, 416, 128, 1, mode).intrinsics
        assert k.fx == pytest.approx(k.fy, rel=2e-3)


def test_crop_of_a_tall_image_keeps_the_principal_point_inside():
    k = Preprocessor(
        Intrinsics(300.0, 300.0, 320.0, 20.0, 640, 480), 416, 128, 1, "crop"
    ).intrinsics
    assert 0 < k.cy < 64


def test_colour_becomes_grey_and_grey_becomes_colour():
    grey = np.full((375, 1242), 90, np.uint8)
    assert Preprocessor(CAMERA, 416, 128, 3)(grey)[0, 0].tolist() == [90, 90, 90]
    red = np.zeros((375, 1242, 3), np.uint8)
    red[..., 0] = 255
    assert Preprocessor(CAMERA, 416, 128, 1)(red)[0, 0, 0] == round(0.299 * 255)


def test_depth_is_resampled_by_nearest_neighbour():
    depth = np.where(np.arange(1242) % 2 == 0, 5.0, 50.0).astype(np.float32) * np.ones(
        (375, 1), np.float32
    )
    assert set(np.unique(Preprocessor(CAMERA, 416, 128, 1).warp_nearest(depth))) <= {5.0, 50.0}


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((375, 1241), np.uint8),
        np.zeros((375, 1242), np.float32),
        np.zeros((375, 1242, 4), np.uint8),
    ],
)
def test_an_image_that_does_not_fit_is_refused(image):
    with pytest.raises(ImageError):
        Preprocessor(CAMERA, 416, 128, 1)(image)


def test_unknown_mode_is_refused():
    with pytest.raises(InputError, match="squash"):
        Preprocessor(CAMERA, 416, 128, 1, "squash")


@pytest.mark.parametrize(("mode", "channels"), [("crop", 1), ("pad", 1), ("stretch", 3)])
def test_dark_frames_are_brightened(mode, channels):
    """The margins of pad do not count; daylight is unchanged, and black does not become noise."""
    camera = Intrinsics(110.0, 110.0, 47.5, 47.5, 96, 96)
    preprocessor = Preprocessor(camera, 64, 32, channels, mode)
    day = preprocessor(np.random.default_rng(0).integers(60, 140, (96, 96), np.uint8))
    assert brighten(preprocessor, day) is day
    night = (day * 0.1).astype(np.uint8)
    brightened = brighten(preprocessor, night)
    assert brightened.shape == night.shape and brightened.dtype == np.uint8
    assert brightened[preprocessor.valid_mask].mean() == pytest.approx(MIN_MEAN_GREY, abs=1.0)
    assert brighten(preprocessor, np.ones_like(day)).max() == MAX_GAIN


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_pixels_that_the_camera_did_not_see_are_not_valid(mode):
    camera = Intrinsics(110.0, 110.0, 47.5, 47.5, 96, 96)
    preprocessor = Preprocessor(camera, 64, 32, 1, mode)
    before = preprocessor.valid_mask
    seen = np.ones((96, 96), bool)
    seen[:, :30] = False
    preprocessor.set_seen(seen)
    shown = preprocessor(np.where(seen, 200, 0).astype(np.uint8))[..., 0]
    np.testing.assert_array_equal(preprocessor.valid_mask, before & (shown == 200))
    assert not preprocessor.valid_mask.all() and preprocessor.valid_mask.any()
    preprocessor.set_seen(None)
    np.testing.assert_array_equal(preprocessor.valid_mask, before)


def test_a_mask_of_seen_pixels_of_another_size_is_refused():
    with pytest.raises(ImageError, match="mask of seen pixels is 5x4"):
        Preprocessor(CAMERA, 416, 128, 1).set_seen(np.ones((4, 5), bool))


@pytest.mark.parametrize(
    ("size", "trained", "uncropped", "expected"),
    [
        ((1242, 375), "crop", "pad", "crop"),  # KITTI
        ((1242, 375), "crop", "stretch", "crop"),
        ((1280, 720), "crop", "pad", "crop"),  # 16:9: a crop keeps 55 %
        ((1280, 720), "crop", "stretch", "stretch"),
        ((640, 480), "crop", "pad", "pad"),
        ((640, 480), "crop", "stretch", "stretch"),
        ((640, 480), "stretch", "pad", "stretch"),
        ((640, 480), "pad", "stretch", "pad"),
        ((416, 128), "crop", "stretch", "crop"),
    ],
)
def test_images_that_a_crop_would_cut_are_padded_or_stretched(
    size: tuple[int, int], trained: str, uncropped: str, expected: str
) -> None:
    camera = Intrinsics(400.0, 400.0, size[0] / 2, size[1] / 2, *size)
    assert fitting_mode(camera, 416, 128, trained, uncropped) == expected


def test_conversion_gives_the_networks_channels_at_the_size_of_the_image() -> None:
    camera = Intrinsics(100.0, 100.0, 50.0, 20.0, 104, 32)
    colour = np.random.default_rng(1).integers(0, 256, (32, 104, 3), np.uint8)
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    one = Preprocessor(camera, 52, 16, 1)
    for image in (colour, grey, grey[..., None]):
        assert np.array_equal(one.convert(image), grey)
        assert np.array_equal(one(image), one.resize(one.convert(image)))
    three = Preprocessor(camera, 52, 16, 3)
    assert three.convert(grey[..., None]).shape == three.convert(colour).shape == (32, 104, 3)


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(620, 188), (96, 64), (64, 40), (207, 64)])
def test_an_image_that_is_called_bright_has_the_gain_one(mode, channels, size):
    """Around the grey value at which brightening begins, with noise that rounding could shift."""
    camera = Intrinsics(300.0, 300.0, (size[0] - 1) / 2, (size[1] - 1) / 2, *size)
    preprocessor = Preprocessor(camera, 96, 64, channels, mode)
    noise = np.random.default_rng(0).integers(-30, 31, (size[1], size[0], channels))
    found = []
    for mean in np.arange(MIN_MEAN_GREY - 3, MIN_MEAN_GREY + 4, 0.25):
        image = np.clip(np.round(mean + noise), 0, 255).astype(np.uint8)
        converted = preprocessor.convert(image if channels == 3 else image[..., 0])
        bright = preprocessor.is_bright(converted)
        found.append(bright)
        assert not bright or preprocessor.gain(preprocessor.resize(converted)) == 1.0
    enlarged = size[0] < 96 or size[1] < 64
    padded = not preprocessor.valid_mask.all()
    assert any(found) == (not enlarged and not padded)
    assert not all(found)
