"""Images from each form that people have, in small files of the exact layout."""

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from sfm_odometry.errors import CalibrationError, ImageError, InputError
from sfm_odometry.io.camera_options import add_camera_options, source_camera
from sfm_odometry.io.image_source import first_readable
from sfm_odometry.io.kitti_calibration import read_calibration
from sfm_odometry.io.sources import FORMS, open_images
from sfm_odometry.io.trajectories import read_poses
from sfm_odometry.run import main

ROS = get_typestore(Stores.ROS2_HUMBLE)
WIDTH, HEIGHT, COUNT = 64, 48, 6
FRAMES = np.random.default_rng(0).integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), np.uint8)
KITTI = "P0: 60 0 31.5 0 0 60 23.5 0 0 0 1 0\nP2: 61 0 31.5 0 0 61 23.5 0 0 0 1 0\n"
SENSOR = """sensor_type: camera
camera_model: pinhole
intrinsics: [60.0, 60.0, 31.5, 23.5]
resolution: [64, 48]
distortion_model: radial-tangential
distortion_coefficients: [-0.2, 0.05, 0.0, 0.0]
"""
START_NS = 1403636579763555584
STEP_NS = 50_000_000


def write_frames(folder, names, frames=FRAMES):
    """Writes RGB frames as files of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, frames, strict=True):
        assert cv2.imwrite(str(folder / name), frame[..., ::-1])


def numbered(suffix=".png"):
    return [f"{index:06d}{suffix}" for index in range(COUNT)]


def write_video(path, codec="FFV1", rate=20.0, frames=FRAMES):
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size)
    if not writer.isOpened():
        pytest.skip(f"OpenCV has no encoder of {codec}")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def message(name, **fields):
    return ROS.types[name](**fields)


def header(stamp_ns):
    sec, nanosec = divmod(stamp_ns, 10**9)
    stamp = message("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return message("std_msgs/msg/Header", stamp=stamp, frame_id="camera")


def image_message(frame, stamp_ns):
    frame = np.ascontiguousarray(frame)
    height, width = frame.shape[:2]
    return message(
        "sensor_msgs/msg/Image",
        header=header(stamp_ns),
        height=height,
        width=width,
        encoding="rgb8" if frame.dtype == np.uint8 else "mono16",
        is_bigendian=0,
        step=frame.strides[0],
        data=frame.ravel().view(np.uint8),
    )


def info_message(stamp_ns, focal=60.0, d=(0.0,) * 5):
    k = np.array([focal, 0, 31.5, 0, focal, 23.5, 0, 0, 1.0])
    p = np.array([focal, 0, 31.5, 0, 0, focal, 23.5, 0, 0, 0, 1.0, 0])
    region = message(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False,
    )  # fmt: skip
    return message(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp_ns),
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=np.array(d),
        k=k,
        r=np.eye(3).ravel(),
        p=p,
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def write_bag(path, topics, frames=FRAMES, storage=StoragePlugin.SQLITE3, d=(0.0,) * 5):
    """Writes a bag with the frames on each topic, and a camera_info beside each."""
    with Writer(path, version=8, storage_plugin=storage) as writer:
        for topic in topics:
            info = topic.rpartition("/")[0] + "/camera_info"
            stamps_ns = [START_NS + STEP_NS * index for index in range(len(frames))]
            messages = [image_message(*each) for each in zip(frames, stamps_ns, strict=True)]
            infos = [info_message(stamp_ns, d=d) for stamp_ns in stamps_ns]
            for name, contents in ((topic, messages), (info, infos)):
                connection = writer.add_connection(name, contents[0].__msgtype__, typestore=ROS)
                for stamp_ns, content in zip(stamps_ns, contents, strict=True):
                    data = ROS.serialize_cdr(content, content.__msgtype__)
                    writer.write(connection, stamp_ns, data)


def pixels(source):
    return np.stack([image.read() for image in source])


def stamps(source):
    return [image.stamp_ns for image in source]


def camera(source, *words):
    parser = argparse.ArgumentParser()
    add_camera_options(parser)
    parser.add_argument("--camera", type=int)
    first, _ = first_readable(source)
    return source_camera(source, first, parser.parse_args([str(word) for word in words]))


def euroc(tmp_path):
    names = [f"{START_NS + STEP_NS * index}.png" for index in range(COUNT)]
    folder = tmp_path / "mav0" / "cam0"
    write_frames(folder / "data", names)
    rows = "".join(f"{name[:-4]},{name}\r\n" for name in names)
    (folder / "data.csv").write_text(f"#timestamp [ns],filename\r\n{rows}")
    (folder / "sensor.yaml").write_text(SENSOR)
    return folder


def tum(tmp_path):
    names = [f"1305031102.{175304 + 50000 * index:06d}.png" for index in range(COUNT)]
    write_frames(tmp_path / "rgb", names)
    write_frames(tmp_path / "depth", names)
    rows = "".join(f"{name[:-4]} rgb/{name}\n" for name in names)
    (tmp_path / "rgb.txt").write_text(f"# color images\n# timestamp filename\n{rows}")


def kitti_odometry(tmp_path):
    write_frames(tmp_path / "image_0", numbered(), FRAMES // 2)
    write_frames(tmp_path / "image_2", numbered())
    (tmp_path / "calib.txt").write_text(KITTI)
    times = "".join(f"{0.05 * index:e}\n" for index in range(COUNT))
    (tmp_path / "times.txt").write_text(times)


def kitti_raw(tmp_path):
    folder = tmp_path / "2011_09_26" / "drive_0001" / "image_02"
    write_frames(folder / "data", [f"{index:010d}.png" for index in range(COUNT)])
    date = "2011-09-26 13:02:25.{:09d}\n"
    times = "".join(date.format(50_000_000 * index) for index in range(COUNT))
    (folder / "timestamps.txt").write_text(times)
    calibration = "S_rect_02: 64 48\nP_rect_02: 61 0 31.5 0 0 61 23.5 0 0 0 1 0\n"
    (tmp_path / "2011_09_26" / "calib_cam_to_cam.txt").write_text(calibration)
    return folder


def test_euroc_folders_bring_nanoseconds_and_their_calibration(tmp_path):
    folder = euroc(tmp_path)
    for path in (tmp_path, tmp_path / "mav0", folder, folder / "data"):
        source = open_images(path)
        assert (source.form, source.count) == ("EuRoC folder", COUNT)
        assert stamps(source) == [START_NS + STEP_NS * index for index in range(COUNT)]
    np.testing.assert_array_equal(pixels(source), FRAMES)
    found = camera(source)
    assert found.intrinsics.fx == 60.0
    assert any("undistorted by" in note for note in found.notes)
    assert not np.array_equal(found.rectify(FRAMES[0]), FRAMES[0])
    assert np.array_equal(camera(source, "--rectified").rectify(FRAMES[0]), FRAMES[0])
    with pytest.raises(InputError, match="no cam1 in it"):
        open_images(tmp_path, camera=1)


def test_tum_folders_bring_the_stamps_of_their_list(tmp_path):
    tum(tmp_path)
    for path in (tmp_path, tmp_path / "rgb"):
        source = open_images(path)
        assert stamps(source)[:2] == [1305031102175304000, 1305031102225304000]
        np.testing.assert_array_equal(pixels(source), FRAMES)
    with pytest.raises(CalibrationError, match="without a calibration, expected --calib FILE"):
        camera(source)


def test_seven_scenes_folders_hold_colour_beside_depth_and_poses(tmp_path):
    names = [f"frame-{index:06d}" for index in range(COUNT)]
    write_frames(tmp_path, [f"{name}.color.png" for name in names])
    write_frames(tmp_path, [f"{name}.depth.png" for name in names], FRAMES // 2)
    for name in names:
        (tmp_path / f"{name}.pose.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    source = open_images(tmp_path)
    assert source.form == "7-Scenes folder" and "6 maps of depth" in source.notes[0]
    np.testing.assert_array_equal(pixels(source), FRAMES)
    assert stamps(source) == [10**8 * index for index in range(COUNT)]


def test_scannet_folders_hold_their_images_in_color(tmp_path):
    write_frames(tmp_path / "color", [f"{index}.png" for index in range(COUNT)])
    write_frames(tmp_path / "depth", [f"{index}.png" for index in range(COUNT)])
    (tmp_path / "intrinsic").mkdir()
    matrix = "60 0 31.5 0\n0 60 23.5 0\n0 0 1 0\n0 0 0 1\n"
    (tmp_path / "intrinsic" / "intrinsic_color.txt").write_text(matrix)
    source = open_images(tmp_path)
    np.testing.assert_array_equal(pixels(source), FRAMES)
    assert camera(source).intrinsics.fx == 60.0


def test_kitti_odometry_folders_bring_times_and_calibration(tmp_path):
    kitti_odometry(tmp_path)
    source = open_images(tmp_path)
    assert stamps(source) == [STEP_NS * index for index in range(COUNT)]
    assert camera(source).intrinsics == read_calibration(tmp_path / "calib.txt", 2, WIDTH, HEIGHT)
    assert camera(open_images(tmp_path, camera=0)).intrinsics.fx == 60.0
    np.testing.assert_array_equal(pixels(source), FRAMES)
    with pytest.raises(InputError, match="no image_1 in it, only image_0, image_2"):
        open_images(tmp_path, camera=1)


def test_a_folder_of_one_camera_of_kitti_is_timed_by_its_numbers_as_ever(tmp_path):
    kitti_odometry(tmp_path)
    source = open_images(tmp_path / "image_2")
    assert stamps(source) == [10**8 * index for index in range(COUNT)]
    assert camera(source).intrinsics.fx == 61.0
    assert camera(source, "--calib", tmp_path / "calib.txt").intrinsics.fx == 61.0


def test_kitti_raw_folders_bring_times_and_calibration(tmp_path):
    folder = kitti_raw(tmp_path)
    for path in (folder.parent, folder, folder / "data"):
        source = open_images(path)
        assert stamps(source) == [STEP_NS * index for index in range(COUNT)]
        assert camera(source).intrinsics.fx == 61.0
    with pytest.raises(InputError, match="but in its folders drive_0001: give one of them"):
        open_images(folder.parents[1])
    # A frame that is missing has a row of times all the same.
    (folder / "data" / f"{1:010d}.png").unlink()
    source = open_images(folder)
    assert stamps(source) == [STEP_NS * index for index in range(COUNT) if index != 1]
    assert "taken by frame number" in source.notes[-1]


def test_the_number_of_kittis_camera_is_not_that_of_other_calibrations(tmp_path):
    write_frames(tmp_path / "image_2", numbered())
    (tmp_path / "camchain.yaml").write_text(
        "cam0:\n  intrinsics: [70.0, 70.0, 30.0, 15.0]\n  distortion_coeffs: [0, 0, 0, 0]\n"
    )
    source = open_images(tmp_path / "image_2")
    found = camera(source, "--calib", tmp_path / "camchain.yaml")
    assert found.intrinsics.fx == 70.0
    with pytest.raises(CalibrationError, match="no cam1"):
        camera(source, "--calib", tmp_path / "camchain.yaml", "--camera", 1)


def test_files_of_another_kind_are_named(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no images in it, only \.heic files"):
        open_images(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "bag"])
def test_the_bits_of_images_can_be_given(tmp_path, kind):
    grey = FRAMES[..., 0].astype(np.uint16) * 16
    if kind == "folder":
        for index, frame in enumerate(grey):
            cv2.imwrite(str(tmp_path / f"{index:06d}.png"), frame)
        path = tmp_path
    else:
        path = tmp_path / "bag"
        write_bag(path, ["/camera/image"], grey)
    found = pixels(open_images(path, bits="12"))
    np.testing.assert_allclose(found, grey / 4095 * 255, atol=0.51)


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".ppm"])
def test_folders_of_other_image_files(tmp_path, suffix):
    write_frames(tmp_path, numbered(suffix))
    np.testing.assert_array_equal(pixels(open_images(tmp_path)), FRAMES)


@pytest.mark.parametrize(("bits", "suffix"), [(10, ".png"), (12, ".tif"), (14, ".png")])
def test_images_of_few_bits_in_sixteen_keep_their_contrast(tmp_path, bits, suffix):
    """One range for all frames: equal values stay equal."""
    grey = FRAMES[..., 0].astype(np.uint16) << (bits - 8)
    grey[1:, 0, 0] = grey[0, 0, 0]
    for index, frame in enumerate(grey):
        cv2.imwrite(str(tmp_path / f"{index}{suffix}"), frame)
    found = pixels(open_images(tmp_path))
    assert found.dtype == np.uint8 and np.ptp(found) > 150
    assert np.ptp(found[:, 0, 0].astype(int)) <= 2


def test_a_video_brings_its_own_stamps(tmp_path):
    write_video(tmp_path / "drive.avi")
    for path in (tmp_path / "drive.avi", tmp_path):
        source = open_images(path)
        assert (source.form, source.count) == ("video", COUNT)
        assert stamps(source) == [STEP_NS * index for index in range(COUNT)]
    np.testing.assert_array_equal(pixels(source), FRAMES)
    assert source.damage == []


def test_a_video_may_have_any_ending_and_a_list_of_times(tmp_path):
    write_video(tmp_path / "drive.avi")
    (tmp_path / "drive.avi").rename(tmp_path / "drive.bin")
    (tmp_path / "times.txt").write_text("".join(f"{index * 33}\n" for index in range(COUNT)))
    source = open_images(tmp_path / "drive.bin", times=tmp_path / "times.txt")
    assert stamps(source) == [33_000_000 * index for index in range(COUNT)]
    (tmp_path / "times.txt").write_text("0\n0.1\n")
    with pytest.raises(InputError, match="2 times for more frames"):
        stamps(open_images(tmp_path / "drive.bin", times=tmp_path / "times.txt"))


def test_a_video_that_is_cut_off_gives_what_it_has_and_tells(tmp_path):
    write_video(tmp_path / "drive.avi", frames=np.concatenate([FRAMES] * 4))
    data = (tmp_path / "drive.avi").read_bytes()
    (tmp_path / "drive.avi").write_bytes(data[: len(data) // 2])
    source = open_images(tmp_path / "drive.avi")
    count = len(stamps(source))
    assert 4 < count < 24
    (damage,) = source.damage
    assert f"ends after {count} frames, 24 were announced: cut off" in damage


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_bag_brings_stamps_and_calibration(tmp_path, storage):
    write_bag(tmp_path / "bag", ["/camera/image_raw"], storage=storage, d=(-0.2, 0.05, 0, 0, 0))
    (file,) = [path for path in (tmp_path / "bag").iterdir() if path.suffix != ".yaml"]
    for path in (tmp_path / "bag", file):
        source = open_images(path)
        assert (source.form, source.count) == ("bag", COUNT)
        assert stamps(source) == [START_NS + STEP_NS * index for index in range(COUNT)]
    np.testing.assert_array_equal(pixels(source), FRAMES)
    found = camera(source)
    assert found.intrinsics.fx == 60.0
    assert any("/camera/camera_info" in note for note in found.notes)
    assert not np.array_equal(found.rectify(FRAMES[0]), FRAMES[0])


def test_images_beside_their_bag_or_video_are_the_folder(tmp_path):
    write_frames(tmp_path, numbered())
    write_video(tmp_path / "drive.avi")
    (tmp_path / "drive.bag").write_bytes(b"#ROSBAG V2.0\n")
    assert open_images(tmp_path).form == "folder of images"


def test_a_damaged_image_in_a_bag_is_named_by_its_stamp(tmp_path):
    jpegs = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in FRAMES]
    jpegs[2] = jpegs[2][:200]
    jpegs[3] += b"\0" * 4096
    with Writer(tmp_path / "bag", version=8) as writer:
        kind = "sensor_msgs/msg/CompressedImage"
        connection = writer.add_connection("/camera/image/compressed", kind, typestore=ROS)
        for index, jpeg in enumerate(jpegs):
            stamp_ns = START_NS + index * STEP_NS
            data = np.frombuffer(jpeg, np.uint8)
            content = message(kind, header=header(stamp_ns), format="jpeg", data=data)
            writer.write(connection, stamp_ns, ROS.serialize_cdr(content, kind))
    images = list(open_images(tmp_path / "bag", topic="/camera/image"))
    assert len(images) == COUNT
    for index, image in enumerate(images):
        if index == 2:
            with pytest.raises(ImageError, match=r"image stamped 1403636579\.863555584"):
                image.read()
        else:
            assert image.read().shape == (HEIGHT, WIDTH, 3)


def test_the_topic_of_a_bag_is_chosen(tmp_path):
    write_bag(tmp_path / "bag", ["/left/image_rect", "/right/image_raw"])
    with pytest.raises(InputError, match="images on /left/image_rect, /right/image_raw, expected"):
        open_images(tmp_path / "bag")
    with pytest.raises(InputError, match="no images on /up, its topics of images: /left"):
        open_images(tmp_path / "bag", topic="/up")
    left = open_images(tmp_path / "bag", topic="left/image_rect")
    right = open_images(tmp_path / "bag", topic="/right/image_raw")
    assert left.rectified and not right.rectified


def test_a_video_a_bag_and_a_folder_of_one_drive_give_the_same_path(tmp_path):
    """A wall that passes at 4 pixels a frame, at 20 frames a second."""
    wall = np.random.default_rng(0).integers(0, 256, (12, 60, 3), np.uint8)
    wall = cv2.resize(wall, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    frames = [wall[:, 4 * index : 4 * index + WIDTH] for index in range(7)]
    write_frames(tmp_path / "images", [f"{START_NS + i * STEP_NS}.png" for i in range(7)], frames)
    write_video(tmp_path / "drive.mkv", frames=frames)
    write_bag(tmp_path / "bag", ["/camera/image_raw"], frames)
    (tmp_path / "cam.txt").write_text("60 0 31.5\n0 60 23.5\n0 0 1\n")
    paths = []
    for name, more in (
        ("images", ["--calib", tmp_path / "cam.txt"]),
        ("drive.mkv", ["--calib", tmp_path / "cam.txt"]),
        ("bag", []),
    ):
        words = ["--images", tmp_path / name, *more, "--out", tmp_path / "poses.txt"]
        assert main([*map(str, words), "--backend", "eager"]) == 0
        paths.append(read_poses(tmp_path / "poses.txt").poses)
    assert np.linalg.norm(paths[0][-1, :3, 3]) > 1e-3
    assert np.abs(paths[1] - paths[0]).max() < 1e-9
    assert np.abs(paths[2] - paths[0]).max() < 1e-9


def test_options_that_do_not_fit_are_refused(tmp_path):
    write_frames(tmp_path / "images", numbered())
    write_bag(tmp_path / "bag", ["/camera/image_raw"])
    with pytest.raises(InputError, match="has no topics: --topic /a is of no use"):
        open_images(tmp_path / "images", topic="/a")
    with pytest.raises(InputError, match="has its own times: --times is of no use"):
        open_images(tmp_path / "bag", times=tmp_path / "times.txt")
    with pytest.raises(InputError, match="--rate 0: expected more than 0"):
        open_images(tmp_path / "images", rate_hz=0.0)


def test_unknown_forms_are_refused_with_the_names_of_the_known_ones(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("a drive\n")
    write_frames(tmp_path / "scenes" / "seq-01", numbered())
    write_frames(tmp_path / "one", ["1.png"], FRAMES[:1])
    cases = {
        "empty": "no images in it",
        "notes.txt": "is of no known form",
        "nowhere": "no such file or folder",
        "scenes": "no images in it, but in its folders seq-01: give one of them",
        "one/1.png": "is one image",
    }
    for name, said in cases.items():
        with pytest.raises(InputError) as error:
            open_images(tmp_path / name)
        assert str(tmp_path / name) in str(error.value) and said in str(error.value)
        assert all(form in str(error.value) for form in FORMS)


@pytest.mark.parametrize("name", ["97", "/dev/video97", "rtsp://127.0.0.1:1/stream"])
def test_a_camera_that_is_not_there_is_one_line(name):
    with pytest.raises(InputError, match=f"camera {name}: cannot be opened"):
        open_images(name)


def test_exif_rotation_is_applied_only_where_the_camera_is_upright(tmp_path):
    """A stored 64x48 image that is to be shown as 48x64."""
    jpeg = cv2.imencode(".jpg", FRAMES[0])[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    for index in range(2):
        (tmp_path / f"{index}.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    source = open_images(tmp_path)
    assert pixels(source).shape[1:3] == (48, 64)
    (tmp_path / "stored.yaml").write_text(SENSOR)
    assert camera(source, "--calib", tmp_path / "stored.yaml").intrinsics.width == 64
    upright = SENSOR.replace("[64, 48]", "[48, 64]").replace("31.5, 23.5", "23.5, 31.5")
    (tmp_path / "upright.yaml").write_text(upright)
    assert camera(source, "--calib", tmp_path / "upright.yaml").intrinsics.width == 48
    assert pixels(source).shape[1:3] == (64, 48)
    assert camera(source, "--fov", 60).intrinsics.height == 64


def test_a_field_of_view_is_a_guess_and_says_so(tmp_path):
    write_frames(tmp_path, numbered())
    found = camera(open_images(tmp_path), "--fov", 90)
    assert found.intrinsics.fx == pytest.approx(32.0)
    assert "a guess by --fov 90: focal length 32.0 pixels" in found.notes[0]
    with pytest.raises(CalibrationError, match=r"--fov 200: expected 1.* to 1.* degrees"):
        camera(open_images(tmp_path), "--fov", 200)


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("cam.txt", "0.58 0 0.5\n0 1.92 0.5\n0 0 1\n", "shares of the image"),
        ("calib.txt", "P0: 0.58 0 0.5 0 0 1.92 0.5 0 0 0 1 0\n", "shares of the image"),
        ("cameras.txt", "1 PINHOLE 64 48 0.58 1.92 0.5 0.5\n", "are not those of a camera"),
        ("sensor.yaml", SENSOR.replace("60.0, 60.0, 31.5, 23.5", "0.58, 1.92, 0.5, 0.5"), "shares"),
        ("cam.txt", "4000 0 31.5\n0 4000 23.5\n0 0 1\n", "are not those of a camera"),
        ("cam.txt", "60 0 310\n0 60 23.5\n0 0 1\n", "are not those of a camera"),
    ],
)
def test_numbers_that_cannot_be_a_camera_are_refused_with_the_cause(tmp_path, name, text, cause):
    write_frames(tmp_path / "images", numbered())
    (tmp_path / name).write_text(text)
    with pytest.raises(CalibrationError, match=cause) as error:
        camera(open_images(tmp_path / "images"), "--calib", tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_the_first_image_that_can_be_read_is_found(tmp_path):
    write_frames(tmp_path, numbered())
    for name in ("000000.png", "000001.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:50])
    source = open_images(tmp_path)
    first, images = first_readable(source)
    assert first.name == "000002.png"
    names = []
    for image in images:
        names.append(image.name)
        if image.name < first.name:
            with pytest.raises(ImageError, match=f"{image.name}: truncated"):
                image.read()
    assert names == numbered()
    with pytest.raises(ImageError, match=r"000000\.png: truncated"):
        first_readable(source, strict=True)


def test_a_source_in_which_nothing_can_be_read_is_refused(tmp_path):
    write_frames(tmp_path, numbered())
    for path in Path(tmp_path).iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"no image in it can be read; the first: .*empty file"):
        first_readable(open_images(tmp_path))
    shutil.rmtree(tmp_path)


def test_a_bag_of_another_name_is_no_video(tmp_path):
    """A recording that was cut off keeps the ending .active."""
    write_bag(tmp_path / "bag", ["/camera/image_raw"], storage=StoragePlugin.MCAP)
    for name in ("drive.mcap.active", "drive"):
        shutil.copy(tmp_path / "bag" / "bag.mcap", tmp_path / name)
        source = open_images(tmp_path / name)
        assert source.form == "bag"
        assert stamps(source) == [START_NS + STEP_NS * index for index in range(COUNT)]
    (tmp_path / "empty.bag").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.bag: is empty"):
        open_images(tmp_path / "empty.bag")
