"""The WebSocket server, seen by a client that speaks Foxglove's protocol."""

import socket

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.results import DenseMap
from sfm_odometry.viewers.foxglove_viewer import BACKLOG, CHANNELS, FoxgloveViewer

from .conftest import IMAGE, MAP, SECOND_NS, START_NS  # isort: skip

pytest.importorskip("foxglove.messages", reason="foxglove-sdk is not installed")


def stamp_ns(message):
    return message.timestamp.seconds * SECOND_NS + message.timestamp.nanos


@pytest.fixture
def viewer():
    opened = FoxgloveViewer(port=0)
    yield opened
    opened.close()


@pytest.fixture
def everything(viewer, make_view, foxglove_client):
    """All messages of frame 2, by topic."""
    with foxglove_client(viewer) as client:
        client.subscribe(*CHANNELS)
        viewer.show(make_view(1))
        client.receive(len(CHANNELS))
        viewer.show(make_view(2))
        received = client.receive(len(CHANNELS))
    assert {log_ns for _, log_ns, _ in received} == {START_NS + 2 * SECOND_NS}
    return {topic: message for topic, _, message in received}


def test_a_client_gets_every_topic_under_the_schema_that_apps_know(
    viewer, everything, foxglove_client
):
    with foxglove_client(viewer) as client:
        schemas = {each["topic"]: each["schemaName"] for each in client.channels.values()}
    assert schemas == {topic: f"foxglove.{schema}" for topic, schema in CHANNELS.items()}
    assert everything.keys() == CHANNELS.keys()
    assert everything["/events"].message == "gap of 0.70 s"


def test_odometry_transforms_and_path_tell_the_drive(everything):
    odometry = everything["/odom"]
    assert (odometry.frame_id, odometry.body_frame_id) == ("odom", "base_link")
    assert stamp_ns(odometry) == START_NS + 2 * SECOND_NS
    assert odometry.pose.position.x == pytest.approx(4.0)
    assert odometry.pose.orientation.w == pytest.approx(1.0)
    assert odometry.linear_velocity.x == pytest.approx(2.0)
    assert len(odometry.pose_covariance) == len(odometry.velocity_covariance) == 36
    assert odometry.pose_covariance[0] > 0
    edges = [
        (each.parent_frame_id, each.child_frame_id, each.translation.x, each.translation.z)
        for each in everything["/tf"].transforms
    ]
    assert edges == [("odom", "base_link", 4.0, 0.0), ("base_link", "camera_optical", 0.5, 1.2)]
    assert [pose.position.x for pose in everything["/path"].poses] == [2.0, 4.0]


def test_images_decode_to_what_was_shown(everything):
    pixels = np.frombuffer(everything["/image"].data, np.uint8)
    image = cv2.imdecode(pixels, cv2.IMREAD_COLOR)
    assert image.shape == (IMAGE.height, IMAGE.width, 3)
    assert image.reshape(-1, 3).mean(axis=0) == pytest.approx((10, 120, 250), abs=4)
    info = everything["/camera_info"]
    assert (info.width, info.height) == (IMAGE.width, IMAGE.height)
    assert list(info.K) == IMAGE.matrix().ravel().tolist()
    colours = cv2.imdecode(np.frombuffer(everything["/depth/image_color"].data, np.uint8), 1)
    assert colours.shape == (MAP.height, MAP.width, 3)


def test_depth_mask_and_points_are_those_of_the_result(everything):
    raw = everything["/depth/image_rect"]
    assert (raw.encoding, raw.width, raw.height, raw.step) == ("32FC1", MAP.width, MAP.height, 96)
    depth = np.frombuffer(raw.data, np.float32).reshape(MAP.height, MAP.width)
    assert np.isnan(depth[0]).all() and (depth[1:] == 5.0).all()
    mask = everything["/mask/image"]
    assert (mask.encoding, set(mask.data)) == ("mono8", {153})
    assert stamp_ns(mask) == START_NS + SECOND_NS
    cloud = everything["/depth/points"]
    assert (cloud.frame_id, cloud.point_stride) == ("camera_optical", 16)
    assert [(each.name, each.offset) for each in cloud.fields] == [
        ("x", 0),
        ("y", 4),
        ("z", 8),
        ("rgb", 12),
    ]
    points = np.frombuffer(cloud.data, [("xyz", "<f4", 3), ("rgb", "<u4")])
    assert len(points) == MAP.width * (MAP.height - 1)
    assert (points["xyz"][:, 2] == 5.0).all()
    assert set(points["rgb"].tolist()) == {250 << 16 | 120 << 8 | 10}


def test_nothing_is_computed_at_which_nobody_looks(viewer, make_view, foxglove_client):
    computed = []

    def depth():
        computed.append(1)
        return DenseMap(0, np.ones((MAP.height, MAP.width), np.float32), MAP)

    viewer.show(make_view(0, depth))
    assert not viewer.wants_depth and not viewer.wants_mask
    with foxglove_client(viewer) as client:
        client.subscribe("/odom", "/mask/image")
        assert viewer.wants_mask and not viewer.wants_depth
        viewer.show(make_view(1, depth))
        received = client.receive(2)
        assert [topic for topic, _, _ in received] == ["/odom", "/mask/image"]
        assert not computed
        client.subscribe("/depth/points")
        assert viewer.wants_depth
        viewer.show(make_view(2, depth))
        assert len(computed) == 1
        client.leave()
    viewer.show(make_view(3, depth))
    assert len(computed) == 1


def test_who_comes_late_gets_the_whole_path_and_a_new_trajectory_has_a_new_one(
    viewer, make_view, foxglove_client
):
    for number in range(5):
        viewer.show(make_view(number))
    with foxglove_client(viewer) as client:
        client.subscribe("/path")
        viewer.show(make_view(5))
        ((_, _, path),) = client.receive(1)
        assert [pose.position.x for pose in path.poses] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        viewer.clear()
        viewer.show(make_view(6))
        ((_, _, path),) = client.receive(1)
        assert [pose.position.x for pose in path.poses] == [12.0]


def test_a_client_that_does_not_read_holds_up_nothing(viewer, make_view, foxglove_client):
    with foxglove_client(viewer) as client:
        client.subscribe("/image", "/odom")
        for number in range(4 * BACKLOG):
            viewer.show(make_view(number))
        last = START_NS + (4 * BACKLOG - 1) * SECOND_NS
        while client.receive(1)[0][1] != last:
            pass


def test_a_port_in_use_is_one_line_that_names_it(viewer):
    port = int(viewer.address.rsplit(":", 1)[1])
    with pytest.raises(InputError, match=f"live view on 127.0.0.1:{port}: cannot be served"):
        FoxgloveViewer(port=port)


def test_the_port_is_free_after_the_end():
    opened = FoxgloveViewer(port=0)
    port = int(opened.address.rsplit(":", 1)[1])
    opened.close()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
