"""Images of depth and masks."""

import base64

import cv2
import numpy as np
import pytest

from demo.pictures import depth_colours, mask_over_image, read_depth, to_data_uri, write_png
from sfm_odometry.errors import ImageError, OutputError


def test_near_is_bright_and_far_is_dark_in_any_unit():
    depth = np.linspace(2.0, 60.0, 64).reshape(8, 8)
    brightness = depth_colours(depth).sum(axis=2).ravel().astype(int)
    assert (np.diff(brightness) <= 0).all()
    assert brightness[0] > brightness[-1] + 300
    np.testing.assert_array_equal(depth_colours(depth), depth_colours(depth / 32.0))


def test_unknown_depth_is_grey():
    depth = np.array([[1.0, 2.0], [np.nan, 0.0]])
    picture = depth_colours(depth)
    assert (picture[1] == picture[1, 0, 0]).all()
    assert (depth_colours(np.full((2, 2), np.nan)) == picture[1, 0, 0]).all()


def test_only_unexplained_pixels_turn_red():
    image = np.full((20, 40, 3), 120, np.uint8)
    mask = np.full((10, 20), 255, np.uint8)
    mask[:, 10:] = 0
    picture = mask_over_image(mask, image).astype(int)
    assert picture.shape == (10, 20, 3)
    assert (picture[:, :10] == 120).all()
    assert (picture[:, 10:, 0] > picture[:, 10:, 1] + 80).all()


def test_a_data_uri_has_the_picture_at_most_as_wide_as_asked():
    picture = np.zeros((100, 400, 3), np.uint8)
    picture[..., 0] = 200
    uri = to_data_uri(picture, max_width=200)
    assert uri.startswith("data:image/jpeg;base64,")
    decoded = cv2.imdecode(
        np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_COLOR
    )
    assert decoded.shape == (50, 200, 3)
    assert decoded[25, 100, 2] > 150  # OpenCV's order: red is last


def test_rendered_depth_is_read_in_metres_and_other_files_are_refused(tmp_path):
    path = tmp_path / "000000.png"
    cv2.imwrite(str(path), np.array([[256, 0], [640, 25600]], np.uint16))
    np.testing.assert_array_equal(
        read_depth(path), np.array([[1.0, np.nan], [2.5, 100.0]], np.float32)
    )
    with pytest.raises(ImageError, match=r"missing\.png: expected a 16-bit depth PNG"):
        read_depth(tmp_path / "missing.png")


def test_a_picture_that_cannot_be_written_is_an_error_with_its_path(tmp_path):
    with pytest.raises(OutputError, match=r"absent/a\.png: cannot be written"):
        write_png(tmp_path / "absent" / "a.png", np.zeros((4, 4), np.uint8))
