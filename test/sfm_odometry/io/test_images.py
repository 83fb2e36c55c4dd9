"""Images and depth maps on disk."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.images import (
    check_image_size,
    frame_number,
    is_truncated,
    list_images,
    read_depth,
    read_image,
)

GREY = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg"])
def test_grey_stays_grey_and_colour_is_rgb(tmp_path, suffix):
    blue = np.zeros((48, 64, 3), np.uint8)
    blue[..., 2] = 255
    cv2.imwrite(str(tmp_path / f"0{suffix}"), np.full((48, 64), 77, np.uint8))
    cv2.imwrite(str(tmp_path / f"1{suffix}"), blue[..., ::-1])
    grey = read_image(tmp_path / f"0{suffix}")
    colour = read_image(tmp_path / f"1{suffix}")
    assert grey.shape == (48, 64) and grey.dtype == np.uint8 and (grey == 77).all()
    assert colour.shape == (48, 64, 3) and np.abs(colour.astype(int) - blue).max() <= 2


def test_lossless_images_come_back_bit_for_bit(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), GREY)
    np.testing.assert_array_equal(read_image(tmp_path / "0.png"), GREY)


def test_images_are_ordered_by_number_not_by_text(tmp_path):
    for name in ("frame_10.png", "frame_9.png", "frame_0002.jpg", "._frame_1.png", "cam.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == [
        "frame_0002.jpg",
        "frame_9.png",
        "frame_10.png",
    ]


@pytest.mark.parametrize(
    ("name", "number"), [("000123.png", 123), ("img-7.jpg", 7), ("left2_0042.jpeg", 42)]
)
def test_the_frame_number_ends_the_name(name, number):
    assert frame_number(name) == number


@pytest.mark.parametrize("name", ["road.png", "7b.png", "1317384506.385165000.png"])
def test_a_name_without_frame_number_is_refused(name):
    with pytest.raises(InputError, match="no frame number in the name"):
        frame_number(name)


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, message in (
        ("absent", "no such folder"),
        ("empty", "no images in it"),
        ("file", "is a file, expected a folder"),
    ):
        with pytest.raises(InputError, match=f"{tmp_path / name}: {message}"):
            list_images(tmp_path / name)


def test_two_images_of_one_frame_are_refused(tmp_path):
    (tmp_path / "7.png").touch()
    (tmp_path / "007.jpg").touch()
    with pytest.raises(InputError, match="the same frame number as"):
        list_images(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_images_are_refused_by_name(tmp_path, suffix, capfd):
    path = tmp_path / f"000007{suffix}"
    whole = cv2.imencode(suffix, GREY)[1].tobytes()
    damaged = {
        "empty file": b"",
        "truncated after": whole[: len(whole) // 2],
        "cannot be decoded": b"no image at all",
    }
    for message, data in damaged.items():
        path.write_bytes(data)
        with pytest.raises(ImageError, match=f"{path}: {message}"):
            read_image(path)
    assert capfd.readouterr().err == ""
    path.unlink()
    with pytest.raises(ImageError, match="no such file"):
        read_image(path)


THUMBNAIL = b"\xff\xe1\x00\x0a" + b"Exif\xff\xd9\x00\x00"
"""A segment that holds an end mark, as that of a thumbnail."""


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    "tail",
    [b"\0" * 4096, b"\xff" * 5000, b"\0\0\0\x18ftypmp42" + b"\x11" * 999, b"\xff\xd8\xff" * 999],
    ids=["zeros", "ones", "motion photo", "second image"],
)  # fmt: skip
def test_what_follows_the_end_of_an_image_is_of_no_matter(tmp_path, suffix, tail):
    data = cv2.imencode(suffix, GREY)[1].tobytes()
    (tmp_path / f"whole{suffix}").write_bytes(data)
    (tmp_path / f"long{suffix}").write_bytes(data + tail)
    np.testing.assert_array_equal(
        read_image(tmp_path / f"long{suffix}"), read_image(tmp_path / f"whole{suffix}")
    )


@pytest.mark.parametrize("quality", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_a_jpeg_without_its_end_mark_is_truncated_wherever_it_was_cut(quality):
    data = cv2.imencode(".jpg", GREY, quality)[1].tobytes()
    data = data[:2] + THUMBNAIL + data[2:]
    assert not is_truncated(data)
    assert all(is_truncated(data[:end]) for end in range(2, len(data) - 1))
    restarts = cv2.imencode(".jpg", GREY, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
    assert not is_truncated(restarts) and is_truncated(restarts[:-2] + b"\0" * 2000)


def test_sixteen_bits_of_full_range_keep_their_high_byte(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), GREY.astype(np.uint16) * 256 + 77)
    np.testing.assert_array_equal(read_image(tmp_path / "0.png"), GREY)


def test_pixels_that_are_no_8_or_16_bits_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "0.tiff"), GREY.astype(np.float32))
    with pytest.raises(ImageError, match="pixels are float32, expected 8 or 16 bits"):
        read_image(tmp_path / "0.tiff")


def test_an_image_of_another_size_than_the_first_is_named():
    check_image_size("7.png", GREY, Intrinsics(50, 50, 32, 24, 64, 48))
    with pytest.raises(ImageError, match=r"7\.png: 64x48 pixels, expected 48x64"):
        check_image_size("7.png", GREY, Intrinsics(50, 50, 32, 24, 48, 64))


def test_depth_png_is_metres_times_256_with_zero_unknown(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.array([[0, 256, 640]], np.uint16))
    depth = read_depth(tmp_path / "0.png")
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, [[np.nan, 1.0, 2.5]])


def test_depth_arrays_come_as_they_are(tmp_path):
    values = np.array([[1.5, np.nan], [0.25, 80.0]])
    np.save(tmp_path / "0.npy", values)
    np.testing.assert_array_equal(read_depth(tmp_path / "0.npy"), values.astype(np.float32))


def test_files_without_depth_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "8bit.png"), GREY)
    np.save(tmp_path / "cube.npy", np.zeros((2, 3, 4)))
    np.save(tmp_path / "integers.npy", np.zeros((2, 3), int))
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "cut.npy", np.zeros((20, 30)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-100])
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "empty.npy").touch()
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ImageError, match=f"{path}.*expected"):
            read_depth(path)
