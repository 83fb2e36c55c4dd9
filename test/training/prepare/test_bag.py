"""Preparation of ROS 1 and ROS 2 bags, which the tests write with rosbags."""

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from sfm_odometry.io.ros_image import decode_image
from training.data.sampler import open_data
from training.prepare import main

ROS2 = get_typestore(Stores.ROS2_HUMBLE)
ROS1 = get_typestore(Stores.ROS1_NOETIC)
WIDTH = 104
HEIGHT = 32
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
FRAMES = np.random.default_rng(0).integers(0, 256, (12, HEIGHT, WIDTH, 3), np.uint8)
FRAMES[..., 1] //= 2  # halved, so no channel can be mistaken for another


def header(types, stamp_ns):
    """Header of the ROS version that the type store `types` is of."""
    time = types.types["builtin_interfaces/msg/Time"](
        sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
    )
    ros1_fields = {"seq": 0} if types is ROS1 else {}
    return types.types["std_msgs/msg/Header"](stamp=time, frame_id="camera", **ros1_fields)


def image_message(image, encoding="rgb8", stamp_ns=10**9, padding=0, types=ROS2, big_endian=0):
    """Image message whose rows end in `padding` bytes of arbitrary content."""
    rows = np.ascontiguousarray(image).reshape(image.shape[0], -1).view(np.uint8)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    fields = {
        "height": image.shape[0],
        "width": image.shape[1],
        "encoding": encoding,
        "is_bigendian": big_endian,
    }
    return types.types[IMAGE](
        header=header(types, stamp_ns), **fields, step=data.shape[1], data=data.ravel()
    )


def compressed_message(image, stamp_ns):
    data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].ravel()
    return ROS2.types[COMPRESSED](header=header(ROS2, stamp_ns), format="png", data=data)


def info_message(
    types=ROS2,
    d=(),
    binning=0,
    roi=(0, 0, 0, 0),
    size=(WIDTH, HEIGHT),
    focal=60.0,
    model="plumb_bob",
):
    """CameraInfo message; ROS 1 has matrices in capitals."""
    # Matrices.
    k = np.array([focal, 0, 51.5, 0, focal, 15.5, 0, 0, 1])
    p = np.array([focal, 0, 51.5, 0, 0, focal, 15.5, 0, 0, 0, 1, 0])
    names = ("D", "K", "R", "P") if types is ROS1 else ("d", "k", "r", "p")
    matrices = dict(zip(names, (np.array(d, float), k, np.eye(3).ravel(), p), strict=True))
    # Region of interest, and the other fields.
    x, y, width, height = roi
    region = types.types["sensor_msgs/msg/RegionOfInterest"](
        x_offset=x, y_offset=y, height=height, width=width, do_rectify=False
    )
    fields = {
        "width": size[0],
        "height": size[1],
        "distortion_model": model,
        "binning_x": binning,
        "binning_y": binning,
    }
    return types.types[INFO](header=header(types, 10**9), **fields, **matrices, roi=region)


def write_bag(path, topics, storage=StoragePlugin.SQLITE3):
    """Writes a bag of ROS 2; `topics` maps names to lists of (stamp in ns, message)."""
    with Writer(path, version=8, storage_plugin=storage) as writer:
        for name, messages in topics.items():
            connection = writer.add_connection(name, messages[0][1].__msgtype__, typestore=ROS2)
            for stamp_ns, message in messages:
                writer.write(connection, stamp_ns, ROS2.serialize_cdr(message, message.__msgtype__))


def stamps_of(count=12, rate=10.0):
    """Stamps in nanoseconds at a rate in Hz."""
    return [10**9 + round(index * 1e9 / rate) for index in range(count)]


def raw_topic(encoding="rgb8", padding=0, stamps_ns=None):
    """Messages of FRAMES for `write_bag`."""
    order = [2, 1, 0] if encoding.startswith("bgr") else [0, 1, 2]
    stamps_ns = stamps_of() if stamps_ns is None else stamps_ns
    return [
        (t, image_message(FRAMES[i][..., order], encoding, t, padding))
        for i, t in enumerate(stamps_ns)
    ]


def prepare(root, out, *more):
    """Exit code of a preparation."""
    return main(
        ["bag", "--root", str(root), "--out", str(out), "--size", f"{WIDTH}x{HEIGHT}", *more]
    )


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize("kind", ["rgb8", "bgr8", "compressed"])
def test_images_of_a_bag_become_a_scene_unchanged(tmp_path, storage, kind):
    if kind == "compressed":
        topic = "/front/image_raw/compressed"
        messages = [(t, compressed_message(FRAMES[i], t)) for i, t in enumerate(stamps_of())]
    else:
        topic = "/front/image_raw"
        messages = raw_topic(kind, padding=8)
    write_bag(
        tmp_path / "ride",
        {topic: messages, "/front/camera_info": [(10**9, info_message())]},
        storage,
    )
    assert prepare(tmp_path / "ride", tmp_path / "out") == 0
    (scene,) = open_data(tmp_path / "out")
    assert (scene.name, scene.drive) == (f"ride_{topic[1:].replace('/', '_')}", "ride")
    assert np.array_equal(scene.frames, FRAMES)
    assert scene.frame_numbers.tolist() == list(range(12))
    assert scene.intrinsics == pytest.approx(np.array([[60, 0, 51.5], [0, 60, 15.5], [0, 0, 1]]))
    assert scene.camera.known


def test_a_single_file_is_accepted_as_a_bag(tmp_path):
    write_bag(tmp_path / "ride", {"/image": raw_topic()}, StoragePlugin.MCAP)
    (file,) = (tmp_path / "ride").glob("*.mcap")
    assert prepare(file, tmp_path / "out", "--fov", "80") == 0
    (scene,) = open_data(tmp_path / "out")
    assert np.array_equal(scene.frames, FRAMES)
    assert not scene.camera.known


def test_a_ros_1_bag(tmp_path):
    with Writer1(tmp_path / "ride.bag") as writer:
        images = writer.add_connection("/cam/image_raw", IMAGE, typestore=ROS1)
        infos = writer.add_connection("/cam/camera_info", INFO, typestore=ROS1)
        writer.write(infos, 10**9, ROS1.serialize_ros1(info_message(ROS1), INFO))
        for index, stamp in enumerate(stamps_of()):
            writer.write(
                images,
                stamp,
                ROS1.serialize_ros1(image_message(FRAMES[index], "rgb8", stamp, types=ROS1), IMAGE),
            )
    assert prepare(tmp_path, tmp_path / "out") == 0
    (scene,) = open_data(tmp_path / "out")
    assert np.array_equal(scene.frames, FRAMES)
    assert scene.intrinsics[0, 0] == pytest.approx(60)


def test_missing_messages_leave_gaps_and_fast_cameras_are_thinned_out(tmp_path):
    stamps_ns = np.delete(stamps_of(13), 6).tolist()
    write_bag(tmp_path / "gap", {"/image": raw_topic(stamps_ns=stamps_ns)})
    write_bag(tmp_path / "fast", {"/image": raw_topic(stamps_ns=stamps_of(rate=30.0))})
    assert prepare(tmp_path, tmp_path / "out", "--fov", "80") == 0
    fast, gap = open_data(tmp_path / "out")
    assert gap.frame_numbers.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]
    assert np.array_equal(fast.frames, FRAMES[::3])
    assert prepare(tmp_path, tmp_path / "one", "--fov", "80", "--sequences", "gap") == 0
    assert [scene.drive for scene in open_data(tmp_path / "one")] == ["gap"]
    assert prepare(tmp_path, tmp_path / "one", "--fov", "80", "--sequences", "slow") == 2


def test_messages_without_a_stamp_are_numbered_by_their_reception(tmp_path):
    messages = [(t, image_message(FRAMES[i], "rgb8", 0)) for i, t in enumerate(stamps_of())]
    write_bag(tmp_path / "ride", {"/image": messages})
    assert prepare(tmp_path / "ride", tmp_path / "out", "--fov", "80") == 0
    assert open_data(tmp_path / "out")[0].frame_numbers.tolist() == list(range(12))


def test_only_unrectified_images_are_undistorted(tmp_path):
    d = (-0.3, 0.1, 0.0, 0.0, 0.0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ramp = np.dstack([2 * columns, 7 * rows, 0 * rows]).astype(np.uint8)
    k = np.array([[60, 0, 51.5], [0, 60, 15.5], [0, 0, 1.0]])
    # Distort the ramp: each pixel of the camera looks up the point where its undistorted ray meets
    # the ramp.
    pixels = (
        np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1)
        .reshape(-1, 1, 2)
        .astype(np.float64)
    )
    ideal = (
        cv2.undistortPoints(pixels, k, np.array(d), P=k)
        .reshape(HEIGHT, WIDTH, 2)
        .astype(np.float32)
    )
    distorted = cv2.remap(ramp, ideal[..., 0], ideal[..., 1], cv2.INTER_LINEAR)
    # Prepare it as a raw and as a rectified image.
    for topic in ("/cam/image_raw", "/cam/image_rect"):
        images = [(t, image_message(distorted, "rgb8", t)) for t in stamps_of(4)]
        write_bag(
            tmp_path / topic[-4:], {topic: images, "/cam/camera_info": [(10**9, info_message(d=d))]}
        )
        assert prepare(tmp_path / topic[-4:], tmp_path / f"out{topic[-4:]}") == 0
    # The first is undistorted, the second unchanged, also if an option declares it rectified.
    inside = np.s_[4:-4, 12:-12]
    undistorted = open_data(tmp_path / "out_raw")[0].frames[0][inside]
    assert np.abs(distorted[inside].astype(int) - ramp[inside]).max() > 10
    assert np.abs(undistorted.astype(int) - ramp[inside]).max() <= 2
    assert np.array_equal(open_data(tmp_path / "outrect")[0].frames[0], distorted)
    assert prepare(tmp_path / "_raw", tmp_path / "flag", "--rectified") == 0
    assert np.array_equal(open_data(tmp_path / "flag")[0].frames[0], distorted)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"roi": (4, 0, 64, 32)}, "camera_info is of 64x32"),
        ({"size": (640, 480)}, "camera_info is of 640x480"),
        ({"d": (0.1,) * 4, "model": "omni"}, "distortion model 'omni'"),
        ({"focal": 0.0}, "not calibrated"),
    ],
)
def test_an_unusable_camera_info_is_an_error_that_names_it(tmp_path, capsys, info, message):
    write_bag(
        tmp_path / "ride",
        {"/cam/image_raw": raw_topic(), "/cam/camera_info": [(10**9, info_message(**info))]},
    )
    assert prepare(tmp_path / "ride", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "/cam/camera_info" in error
    assert prepare(tmp_path / "ride", tmp_path / "out", "--fov", "80") == 0


def test_topics_can_be_selected_and_missing_ones_are_named(tmp_path, capsys):
    write_bag(
        tmp_path / "ride",
        {
            "/left/image": raw_topic(),
            "/right/image": raw_topic("bgr8"),
            "/info": [(10**9, info_message())],
        },
    )
    # Unclear or missing topics are errors.
    assert prepare(tmp_path / "ride", tmp_path / "out") == 2
    assert "--topics" in capsys.readouterr().err
    assert prepare(tmp_path / "ride", tmp_path / "out", "--topics", "/middle/image") == 2
    assert "/middle/image" in capsys.readouterr().err
    assert prepare(tmp_path / "ride", tmp_path / "out", "--topics", "/left/image") == 2
    assert "no CameraInfo on /left/camera_info" in capsys.readouterr().err
    # Two topics become two scenes.
    both = ("--topics", "/left/image", "/right/image", "--camera-info", "/info")
    assert prepare(tmp_path / "ride", tmp_path / "out", *both) == 0
    assert [scene.name for scene in open_data(tmp_path / "out")] == [
        "ride_left_image",
        "ride_right_image",
    ]


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_truncated_or_foreign_bag_is_named(tmp_path, capsys, storage):
    write_bag(tmp_path / "ride", {"/image": raw_topic()}, storage)
    (file,) = (path for path in (tmp_path / "ride").iterdir() if path.suffix != ".yaml")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    assert prepare(tmp_path / "ride", tmp_path / "half", "--fov", "80") == 0
    assert "cut off" in capsys.readouterr().err
    assert 3 <= len(open_data(tmp_path / "half")[0].frames) < 12
    for content, options in ((data[: len(data) // 2], ["--strict"]), (b"no bag at all", [])):
        file.write_bytes(content)
        assert prepare(tmp_path / "ride", tmp_path / "out", "--fov", "80", *options) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert len(error) == 1
        assert "ride" in error[0]
    assert prepare(tmp_path / "nowhere", tmp_path / "out") == 2
    assert prepare(tmp_path, tmp_path / "out", "--topics", "/x") == 2


def test_encodings_are_decoded_to_grey_or_rgb():
    # One image in different encodings.
    rgb = FRAMES[0]
    grey = rgb[..., 0]
    wide = (grey.astype(np.uint16) << 8) + grey
    alpha = np.dstack([rgb, np.full(grey.shape, 7, np.uint8)])
    flat = np.full((HEIGHT, WIDTH), 90, np.uint8)
    # Each decodes to the same image, with and without padding.
    for image, encoding, expected in (
        (grey[..., None], "mono8", grey),
        (wide[..., None], "mono16", grey),
        (rgb[..., ::-1], "bgr8", rgb),
        (alpha, "rgba8", rgb),
        (alpha[..., [2, 1, 0, 3]], "bgra8", rgb),
        (flat[..., None], "bayer_rggb8", np.dstack([flat] * 3)),
    ):
        for padding in (0, 6):
            assert np.array_equal(
                decode_image(image_message(image, encoding, padding=padding)), expected
            ), encoding
    # 16 bit images may be big-endian.
    assert np.array_equal(
        decode_image(image_message(wide.byteswap()[..., None], "mono16", big_endian=1)), grey
    )


def test_a_malformed_image_is_an_error_that_names_it(tmp_path, capsys):
    for number, changes in enumerate(
        ({"encoding": "32FC1"}, {"step": 10}, {"data": np.zeros(100, np.uint8)}, {"width": 0})
    ):
        messages = raw_topic()
        for name, value in changes.items():
            object.__setattr__(messages[5][1], name, value)
        bag = tmp_path / f"ride{number}"
        write_bag(bag, {"/image": messages})
        assert prepare(bag, tmp_path / "out", "--fov", "80", "--strict") == 2
        assert f"{bag}, /image, image stamped {messages[5][0]}: " in capsys.readouterr().err
        # Without --strict it is left out, told and counted; its number stays a gap.
        assert prepare(bag, tmp_path / f"some{number}", "--fov", "80") == 0
        printed = capsys.readouterr()
        assert f"image stamped {messages[5][0]}: " in printed.err
        assert "lost: 1 frame whose image is damaged" in printed.out
        (scene,) = open_data(tmp_path / f"some{number}")
        assert scene.frame_numbers.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
        assert np.array_equal(scene.frames, np.delete(FRAMES, 5, axis=0))


def test_a_region_of_interest_shifts_the_principal_point(tmp_path):
    info = info_message(roi=(8, 4, WIDTH, HEIGHT), size=(WIDTH + 16, HEIGHT + 8))
    write_bag(
        tmp_path / "ride", {"/cam/image_raw": raw_topic(), "/cam/camera_info": [(10**9, info)]}
    )
    assert prepare(tmp_path / "ride", tmp_path / "out") == 0
    np.testing.assert_allclose(
        open_data(tmp_path / "out")[0].intrinsics, [[60, 0, 43.5], [0, 60, 11.5], [0, 0, 1]]
    )


def test_topics_of_types_that_nobody_can_parse_do_not_matter(tmp_path):
    """Service events and actions of `ros2 bag record -a`, and types of later distributions."""
    definitions = {
        "example_interfaces/srv/AddTwoInts_Event": "int64 a\n---\nint64 sum\n",
        "nav2_msgs/action/Spin_FeedbackMessage": "float32 x\n---\n---\nwstring<=3 y\n",
        "own_msgs/msg/Broken": "this is no definition at all !\n",
    }
    with Writer(tmp_path / "ride", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection("/image", IMAGE, typestore=ROS2)
        others = [
            writer.add_connection(
                f"/other{index}", name, msgdef=text, rihs01=f"RIHS01_{index:064d}"
            )
            for index, (name, text) in enumerate(definitions.items())
        ]
        for stamp_ns, message in raw_topic():
            writer.write(images, stamp_ns, ROS2.serialize_cdr(message, IMAGE))
            for other in others:
                writer.write(other, stamp_ns, b"\0\1\0\0" + b"\0" * 16)
    assert prepare(tmp_path / "ride", tmp_path / "out", "--fov", "80") == 0
    assert np.array_equal(open_data(tmp_path / "out")[0].frames, FRAMES)


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_recording_without_its_metadata_is_one_drive(tmp_path, storage):
    for part in (0, 1):
        messages = raw_topic()[6 * part : 6 * part + 6]
        write_bag(tmp_path / f"ride_{part}", {"/image": messages}, storage)
    (tmp_path / "ride").mkdir()
    for file in tmp_path.glob("ride_?/ride_?.*"):
        file.rename(tmp_path / "ride" / file.name)
    assert prepare(tmp_path / "ride", tmp_path / "out", "--fov", "80") == 0
    (scene,) = open_data(tmp_path / "out")
    assert (scene.name, scene.drive) == ("ride_image", "ride")
    assert np.array_equal(scene.frames, FRAMES)


def test_a_message_that_cannot_be_parsed_is_left_out(tmp_path, capsys):
    with Writer(tmp_path / "ride", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection("/image", IMAGE, typestore=ROS2)
        for index, (stamp_ns, message) in enumerate(raw_topic()):
            data = bytes(ROS2.serialize_cdr(message, IMAGE))
            writer.write(images, stamp_ns, data[:40] if index in (0, 4) else data)
    assert prepare(tmp_path / "ride", tmp_path / "out", "--fov", "80") == 0
    printed = capsys.readouterr()
    assert printed.err.count("cannot be parsed as sensor_msgs/msg/Image") == 2
    assert "2 frames whose image is damaged" in printed.out
    (scene,) = open_data(tmp_path / "out")
    assert scene.frame_numbers.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert prepare(tmp_path / "ride", tmp_path / "strict", "--fov", "80", "--strict") == 2
