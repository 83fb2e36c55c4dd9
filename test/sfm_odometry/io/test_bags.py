"""Reading of bags that are whole, odd or damaged; the tests write them with rosbags."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sfm_odometry.errors import InputError
from sfm_odometry.io.bags import IMAGE_TYPES, is_bag, open_bag

ROS2 = get_typestore(Stores.ROS2_HUMBLE)
ROS1 = get_typestore(Stores.ROS1_NOETIC)
IMAGE = "sensor_msgs/msg/Image"
COUNT = 12
START_NS = 1_700_000_000_000_000_000
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 300, 400), np.uint8)


def image(index, types=ROS2, stamp_ns=None):
    """Grey image; 120 kB, so that some lie in each chunk of a bag."""
    stamp_ns = START_NS + index * 10**8 if stamp_ns is None else stamp_ns
    time = types.types["builtin_interfaces/msg/Time"](
        sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
    )
    seq = {"seq": 0} if types is ROS1 else {}
    header = types.types["std_msgs/msg/Header"](stamp=time, frame_id="camera", **seq)
    return types.types[IMAGE](
        header=header,
        height=300,
        width=400,
        encoding="mono8",
        is_bigendian=0,
        step=400,
        data=PIXELS[index].ravel(),
    )


def write_bag(path, storage=StoragePlugin.MCAP, compression=None, odd=False, stamp_ns=None):
    """Writes COUNT images to a folder of rosbag2.

    odd: adds a topic whose definition nobody can parse.
    """
    unopened = Writer(path, version=8, storage_plugin=storage)
    if compression is not None:
        unopened.set_compression(compression, CompressionFormat.ZSTD)
    with unopened as writer:
        images = writer.add_connection("/camera/image", IMAGE, typestore=ROS2)
        event = odd and writer.add_connection(
            "/add/_service_event",
            "example_interfaces/srv/AddTwoInts_Event",
            msgdef="int64 a\n---\nint64 sum\n",
            rihs01="RIHS01_" + "0" * 64,
        )
        for index in range(COUNT):
            data = ROS2.serialize_cdr(image(index, stamp_ns=stamp_ns), IMAGE)
            writer.write(images, START_NS + index * 10**8 + 7, data)
            if event:
                writer.write(event, START_NS + index * 10**8, b"\0\1\0\0" + b"\0" * 16)
    return path


def write_ros1(path):
    with Writer1(path) as writer:
        images = writer.add_connection("/camera/image", IMAGE, typestore=ROS1)
        for index in range(COUNT):
            data = ROS1.serialize_ros1(image(index, ROS1), IMAGE)
            writer.write(images, START_NS + index * 10**8 + 7, data)
    return path


def read(path):
    """Pixels of the images that can be read, their stamps, and the warnings."""
    warnings = []
    with open_bag(path, warnings.append) as bag:
        found = list(bag.messages({"/camera/image"}, IMAGE_TYPES))
    return [np.asarray(m.data) for _, _, m in found], [ns for _, ns, _ in found], warnings


def assert_images(path, numbers=range(COUNT), warned=None):
    """Asserts that exactly some of the images are read, with the stamps of their headers."""
    images, stamps, warnings = read(path)
    assert stamps == [START_NS + number * 10**8 for number in numbers]
    for number, pixels in zip(numbers, images, strict=True):
        assert np.array_equal(pixels, PIXELS[number].ravel())
    assert bool(warnings) == bool(warned)
    assert not warned or warned in " ".join(warnings)


def storage_file(folder):
    return next(each for each in folder.iterdir() if each.suffix in (".mcap", ".db3"))


def cut(file, share):
    """Cuts a file to a share of its length."""
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    return file


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("compression", [None, *CompressionMode])
def test_whole_bags(tmp_path, storage, compression):
    if storage is StoragePlugin.MCAP and compression is CompressionMode.MESSAGE:
        compression = CompressionMode.STORAGE
    if storage is StoragePlugin.SQLITE3 and compression is CompressionMode.STORAGE:
        pytest.skip("sqlite3 has no compression of its own")
    bag = write_bag(tmp_path / "bag", storage, compression)
    assert_images(bag)
    with open_bag(bag) as opened:
        (topic,) = opened.topics
        assert (topic.name, topic.type, topic.count) == ("/camera/image", IMAGE, COUNT)


def test_a_bag_of_ros_1(tmp_path):
    assert_images(write_ros1(tmp_path / "drive.bag"))


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_type_that_nobody_can_parse_is_left_alone(tmp_path, storage):
    bag = write_bag(tmp_path / "bag", storage, odd=True)
    assert_images(bag)
    with (
        open_bag(bag) as opened,
        pytest.raises(InputError, match=r"_service_event.*cannot be parsed"),
    ):
        assert len(opened.topics) == 2
        next(opened.messages({"/add/_service_event"}))


def test_a_type_of_the_user_is_parsed_by_the_definition_in_the_bag(tmp_path):
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg("float64 speed\nstd_msgs/Header header\n", "own/msg/Wheel"))
    wheel = store.types["own/msg/Wheel"]
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        wheels = writer.add_connection("/wheel", "own/msg/Wheel", typestore=store)
        message = wheel(speed=3.5, header=image(2).header)
        writer.write(wheels, 1, store.serialize_cdr(message, "own/msg/Wheel"))
    with open_bag(tmp_path / "bag") as opened:
        ((topic, stamp_ns, message),) = opened.messages({"/wheel"})
    assert (topic, stamp_ns, message.speed) == ("/wheel", START_NS + 2 * 10**8, 3.5)


def test_an_empty_header_has_the_time_of_reception(tmp_path):
    _, stamps, _ = read(write_bag(tmp_path / "bag", stamp_ns=0))
    assert stamps == [START_NS + number * 10**8 + 7 for number in range(COUNT)]


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_without_metadata(tmp_path, storage):
    bag = write_bag(tmp_path / "bag", storage)
    (bag / "metadata.yaml").unlink()
    assert_images(bag, warned="no metadata.yaml")
    assert_images(storage_file(bag))


def test_compressed_messages_without_metadata(tmp_path):
    bag = write_bag(tmp_path / "bag", StoragePlugin.SQLITE3, CompressionMode.MESSAGE)
    (bag / "metadata.yaml").unlink()
    assert_images(bag, warned="no metadata.yaml")


def test_a_compressed_file_without_metadata(tmp_path):
    bag = write_bag(tmp_path / "bag", StoragePlugin.SQLITE3, CompressionMode.FILE)
    (bag / "metadata.yaml").unlink()
    assert_images(bag, warned="no metadata.yaml")


@pytest.mark.parametrize("text", ["", "rosbag2_bagfile_information: {version: 99}", "{", "a: [1"])
def test_useless_metadata(tmp_path, text):
    bag = write_bag(tmp_path / "bag")
    (bag / "metadata.yaml").write_text(text)
    assert_images(bag, warned="metadata.yaml cannot be used")


@pytest.mark.parametrize("compression", [None, CompressionMode.STORAGE])
def test_a_cut_mcap_is_read_as_far_as_it_is_whole(tmp_path, compression):
    file = storage_file(write_bag(tmp_path / "bag", compression=compression))
    shutil.move(cut(file, 0.6), tmp_path / "cut.mcap")
    assert_images(tmp_path / "cut.mcap", range(7), warned="cut off")


def test_a_recording_of_several_files_whose_last_is_cut(tmp_path):
    file = storage_file(write_bag(tmp_path / "bag"))
    shutil.copy(file, tmp_path / "bag" / "bag_1.mcap")
    cut(tmp_path / "bag" / "bag_1.mcap", 0.3)
    (tmp_path / "bag" / "metadata.yaml").unlink()
    assert_images(tmp_path / "bag", [*range(COUNT), *range(3)], warned="bag_1.mcap: cut off")


def test_a_damaged_chunk_costs_its_own_messages_only(tmp_path):
    file = storage_file(write_bag(tmp_path / "bag", compression=CompressionMode.STORAGE))
    data = bytearray(file.read_bytes())
    start = data.index(b"\x28\xb5\x2f\xfd")
    data[start : start + 16] = b"\xff" * 16
    file.write_bytes(data)
    assert_images(tmp_path / "bag", range(9, COUNT), warned="is damaged")


def test_a_cut_database(tmp_path):
    file = cut(storage_file(write_bag(tmp_path / "bag", StoragePlugin.SQLITE3)), 0.5)
    images, _, warnings = read(file)
    assert 3 <= len(images) < COUNT
    assert "damaged or cut off" in " ".join(warnings)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_cut_bag_of_ros_1(tmp_path, share):
    file = cut(write_ros1(tmp_path / "drive.bag"), share)
    _, stamps, warnings = read(file)
    count = len(stamps)
    assert COUNT * share - 2 < count <= COUNT
    assert stamps == [START_NS + number * 10**8 for number in range(count)]
    assert "cut off" in " ".join(warnings)


def test_no_cut_of_a_bag_is_a_crash(tmp_path):
    whole = storage_file(write_bag(tmp_path / "bag")).read_bytes()
    for size in (0, 3, 8, 9, 30, 60, 200, 1000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.mcap").write_bytes(whole[:size])
        try:
            read(tmp_path / "cut.mcap")
        except InputError as error:
            assert "cut.mcap" in str(error)
            assert "\n" not in str(error)


def test_what_is_no_bag(tmp_path):
    for name, content in (("text.mcap", "hello"), ("empty.db3", ""), ("some.bag", "#ROSBAG V1.1")):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=r"cannot be read, expected a whole bag of ROS"):
            read(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none")


def test_names_of_bags(tmp_path):
    (tmp_path / "a.mcap.zstd").touch()
    assert is_bag(tmp_path / "a.mcap.zstd")
    assert is_bag(Path("a.bag"))
    assert not is_bag(Path("a.mp4"))
    assert is_bag(tmp_path)
