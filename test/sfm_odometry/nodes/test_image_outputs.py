"""Depth and masks in every form over topics, against the core's depth and the camera's geometry."""

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, RegionOfInterest
from sensor_msgs_py import point_cloud2

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.nodes.conversions import encode_image, make_header, stamp_to_ns
from sfm_odometry.nodes.depth_registration import register_to_image
from sfm_odometry.params import OdometryParams

BRIDGE = CvBridge()
DEPTH = "depth/image_rect"
INFO = "depth/camera_info"
COLOUR = "depth/image_color"
POINTS = "depth/points"
MESSAGE_TYPES = {
    DEPTH: Image,
    INFO: CameraInfo,
    COLOUR: Image,
    POINTS: PointCloud2,
    "mask/image": Image,
}


def listen(rig, *topics: str) -> list[list]:
    """Subscribe to the topics; returns the list of messages of each."""
    return [rig.listen(MESSAGE_TYPES[topic], topic, topic) for topic in topics]


def wait_until_subscribed(rig, *topics: str) -> None:
    """Wait until the node sees the subscriptions of the topics."""
    outputs = rig.outputs
    rig.spinner.until(
        lambda: all(
            (outputs.mask if topic.startswith("mask") else outputs.depth).is_subscribed(topic)
            for topic in topics
        ),
        "the listener",
    )


def newest(rig, *topics: list, count: int = 1) -> tuple:
    """Wait for `count` messages on each topic; returns the newest of each."""
    rig.spinner.until(
        lambda: all(len(messages) >= count for messages in topics), "all forms of the depth"
    )
    return tuple(messages[-1] for messages in topics)


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_depth_at_input_size_is_registered_to_the_image(rig, mode: str) -> None:
    depths, infos = listen(rig, DEPTH, INFO)
    rig.start(**{"depth.output_size": "input", "camera.resize_mode": mode})
    wait_until_subscribed(rig, DEPTH, INFO)
    sent = rig.send(0)
    image, info = newest(rig, depths, infos)
    camera = rig.drive.sequence.intrinsics
    assert (image.width, image.height, image.encoding, stamp_to_ns(image.header.stamp)) == (
        camera.width,
        camera.height,
        "32FC1",
        sent,
    )
    assert (info.width, info.height, info.header) == (camera.width, camera.height, image.header)
    np.testing.assert_allclose(np.reshape(info.k, (3, 3)), camera.matrix())
    np.testing.assert_allclose(np.reshape(info.p, (3, 4))[:, :3], camera.matrix())
    depth = rig.expected(1, OdometryParams(resize_mode=mode))[0].depth
    values = BRIDGE.imgmsg_to_cv2(image, "passthrough")
    np.testing.assert_allclose(
        values, register_to_image(depth.values, depth.intrinsics, camera), rtol=1e-5
    )
    left, top, width, height = Preprocessor(camera, 416, 128, 3, mode).window
    inside = np.zeros(values.shape, bool)
    inside[max(top, 0) : top + height, max(left, 0) : left + width] = True
    assert np.isnan(values[~inside]).all()


@pytest.mark.parametrize("size", ["network", "input"])
def test_depth_in_millimetres_has_zero_for_unknown(rig, size: str) -> None:
    (depths,) = listen(rig, DEPTH)
    # Some depth is beyond 65.535 m.
    params = OdometryParams(min_depth=1e-3, max_depth=1e5, scale_mode="fixed", scale_value=40.0)
    settings = {
        "depth.output_size": size,
        "depth.encoding": "16UC1",
        "scale.mode": "fixed",
        "scale.value": 40.0,
        "min_depth": params.min_depth,
        "max_depth": params.max_depth,
    }
    rig.start(**settings)
    wait_until_subscribed(rig, DEPTH)
    rig.send(0)
    (image,) = newest(rig, depths)
    assert image.encoding == "16UC1"
    depth = rig.expected(1, params)[0].depth
    metres = (
        depth.values
        if size == "network"
        else register_to_image(depth.values, depth.intrinsics, rig.drive.sequence.intrinsics)
    )
    expected = np.where(np.isnan(metres), 0.0, np.clip(np.rint(metres * 1000.0), 0, 65535))
    assert np.abs(BRIDGE.imgmsg_to_cv2(image, "passthrough").astype(float) - expected).max() <= 1


def test_masks_as_floats(rig) -> None:
    (masks,) = listen(rig, "mask/image")
    rig.start(**{"mask.encoding": "32FC1"})
    wait_until_subscribed(rig, "mask/image")
    for index in range(5):
        rig.send(index)
    (image,) = newest(rig, masks)
    assert image.encoding == "32FC1"
    np.testing.assert_allclose(
        BRIDGE.imgmsg_to_cv2(image, "passthrough"), rig.expected(5)[-1].mask.values, atol=1e-5
    )


def test_points_have_the_pixels_depth_and_colour(rig) -> None:
    (clouds,) = listen(rig, POINTS)
    rig.start()
    wait_until_subscribed(rig, POINTS)
    sent = rig.send(0)
    (cloud,) = newest(rig, clouds)
    assert (stamp_to_ns(cloud.header.stamp), cloud.header.frame_id) == (
        sent,
        rig.frames[0].image.header.frame_id,
    )
    points = point_cloud2.read_points(cloud)
    depth = rig.expected(1)[0].depth
    known = np.isfinite(depth.values)
    assert len(points) == known.sum()
    k = depth.intrinsics
    # Projected back, each point is at its pixel with its depth.
    rows, columns = np.nonzero(known)
    np.testing.assert_allclose(points["z"], depth.values[known], rtol=1e-5)
    np.testing.assert_allclose(k.fx * points["x"] / points["z"] + k.cx, columns, atol=1e-3)
    np.testing.assert_allclose(k.fy * points["y"] / points["z"] + k.cy, rows, atol=1e-3)
    packed = points["rgb"].view(np.uint32)
    colours = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1)
    image = BRIDGE.imgmsg_to_cv2(rig.frames[0].image, "rgb8")
    camera = rig.drive.sequence.intrinsics
    u = np.rint((columns - k.cx) * camera.fx / k.fx + camera.cx).astype(int)
    v = np.rint((rows - k.cy) * camera.fy / k.fy + camera.cy).astype(int)
    np.testing.assert_array_equal(
        colours, image[np.clip(v, 0, camera.height - 1), np.clip(u, 0, camera.width - 1)]
    )


def test_points_of_a_grey_camera_have_intensities(rig) -> None:
    (clouds,) = listen(rig, POINTS)
    rig.start()
    wait_until_subscribed(rig, POINTS)
    grey = np.full((136, 424), 77, np.uint8)
    message = encode_image(grey, "mono8", make_header(1, "camera_optical_frame"))
    rig.send(0, **{name: getattr(message, name) for name in ("encoding", "step", "data")})
    (cloud,) = newest(rig, clouds)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity"]
    assert set(point_cloud2.read_points(cloud)["intensity"]) == {77.0}


def test_coloured_depth_goes_from_red_to_blue_with_black_for_unknown(rig) -> None:
    depths, pictures = listen(rig, DEPTH, COLOUR)
    rig.start(**{"depth.output_size": "input", "camera.resize_mode": "crop"})
    wait_until_subscribed(rig, DEPTH, COLOUR)
    rig.send(0)
    image, picture = newest(rig, depths, pictures)
    assert (picture.encoding, picture.width, picture.height, picture.header) == (
        "bgr8",
        image.width,
        image.height,
        image.header,
    )
    depth = BRIDGE.imgmsg_to_cv2(image, "passthrough")
    colours = BRIDGE.imgmsg_to_cv2(picture, "bgr8")
    assert (colours[np.isnan(depth)] == 0).all()
    assert (colours[np.isfinite(depth)].max(axis=-1) > 0).all()


@pytest.mark.parametrize("topic", [INFO, COLOUR, POINTS])
def test_only_subscribed_messages_are_made(
    rig, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    listen(rig, topic)
    rig.start()
    monkeypatch.setattr(
        type(rig.outputs.depth),
        "send",
        lambda self, name, message: made.append(name),
    )
    wait_until_subscribed(rig, topic)
    rig.send(0)
    rig.spinner.until(lambda: rig.count("frames_processed") == 1)
    assert made == [topic]


def test_unrectified_images_with_region_of_interest_and_binning(rig) -> None:
    """Distortion, a region of interest and binning; the images match cv2.undistort."""
    depths, infos = listen(rig, DEPTH, INFO)
    p = [600.0, 0, 459.5, 0, 0, 600, 175.5, 0, 0, 0, 1, 0]
    rig.other_info = CameraInfo(
        width=928,
        height=352,
        distortion_model="plumb_bob",
        d=[-0.2, 0.05, 0.001, -0.002, 0.0],
        k=[*p[:3], *p[4:7], *p[8:11]],
        p=p,
        r=np.eye(3).ravel().tolist(),
        binning_x=2,
        binning_y=2,
        roi=RegionOfInterest(x_offset=40, y_offset=40, width=848, height=272),
    )
    rig.start(**{"camera.input_is_rectified": False, "depth.output_size": "input"})
    wait_until_subscribed(rig, DEPTH, INFO)
    for index in range(6):
        rig.send(index)
    image, info = newest(rig, depths, infos, count=6)
    effective = Intrinsics(
        300.0, 300.0, (459.5 - 40 + 0.5) / 2 - 0.5, (175.5 - 40 + 0.5) / 2 - 0.5, 424, 136
    )
    np.testing.assert_allclose(np.reshape(info.k, (3, 3)), effective.matrix())
    rectify = Rectifier(
        Calibration.from_message(rig.other_info), 424, 136, input_is_rectified=False
    )
    first = BRIDGE.imgmsg_to_cv2(rig.frames[0].image, "rgb8")
    straight = cv2.undistort(first, effective.matrix(), np.array(rig.other_info.d))
    assert np.abs(rectify(first).astype(int) - straight)[10:-10, 10:-10].mean() < 1.0
    depth = rig.expected(6, rectify=rectify)[-1].depth
    np.testing.assert_allclose(
        BRIDGE.imgmsg_to_cv2(image, "passthrough"),
        register_to_image(depth.values, depth.intrinsics, rectify.intrinsics),
        rtol=1e-5,
    )


def test_pixels_that_no_camera_saw_have_no_depth_and_no_points(rig) -> None:
    """The margins that undistortion leaves black are unknown in every form."""
    depths, clouds, masks = listen(rig, DEPTH, POINTS, "mask/image")
    k = [300.0, 0, 211.5, 0, 300, 67.5, 0, 0, 1]
    rig.other_info = CameraInfo(
        width=424,
        height=136,
        distortion_model="plumb_bob",
        d=[0.4, 0.0, 0.0, 0.0, 0.0],
        k=k,
        p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
        r=np.eye(3).ravel().tolist(),
    )
    settings = {"camera.input_is_rectified": False, "camera.resize_mode": "stretch"}
    rig.start(**settings, **{"mask.encoding": "32FC1"})
    wait_until_subscribed(rig, DEPTH, POINTS, "mask/image")
    for index in range(5):
        rig.send(index)
    image, cloud = newest(rig, depths, clouds, count=5)
    (mask,) = newest(rig, masks)
    rectify = Rectifier(
        Calibration.from_message(rig.other_info), 424, 136, input_is_rectified=False
    )
    assert rectify.seen is not None and 0.02 < 1.0 - rectify.seen.mean() < 0.5
    unseen = cv2.resize(rectify.seen.astype(np.float32), (416, 128)) < 0.1
    depth = BRIDGE.imgmsg_to_cv2(image, "passthrough")
    assert unseen.any() and np.isnan(depth[unseen]).all() and np.isfinite(depth).any()
    assert cloud.width == np.isfinite(depth).sum()
    assert (BRIDGE.imgmsg_to_cv2(mask, "passthrough")[unseen] == 0.0).all()
