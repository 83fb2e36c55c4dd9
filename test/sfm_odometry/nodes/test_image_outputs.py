"""Depth and masks in every form that they are sent in, over topics, against the core's depth and
the camera's own geometry."""

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
from sfm_odometry.nodes.depth_registration import registered
from sfm_odometry.params import OdometryParams

BRIDGE = CvBridge()
DEPTH, INFO, COLOUR, POINTS = (
    "depth/image_rect",
    "depth/camera_info",
    "depth/image_color",
    "depth/points",
)
KINDS = {DEPTH: Image, INFO: CameraInfo, COLOUR: Image, POINTS: PointCloud2, "mask/image": Image}


def listen(rig, *topics: str) -> list[list]:
    return [rig.listen(KINDS[topic], topic, topic) for topic in topics]


def wait_until_wanted(rig, *topics: str) -> None:
    outputs = rig.node._pipeline._outputs
    depth, mask = outputs.depth, outputs.mask
    rig.spinner.until(
        lambda: all(
            (mask if topic.startswith("mask") else depth).listened_to(topic) for topic in topics
        ),
        "the listener",
    )


def received(rig, first: list, *others: list, count: int = 1) -> tuple:
    rig.spinner.until(
        lambda: all(len(got) >= count for got in (first, *others)), "all forms of the depth"
    )
    return tuple(got[-1] for got in (first, *others))


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_depth_at_input_size_is_registered_to_the_image(rig, mode: str) -> None:
    depths, infos = listen(rig, DEPTH, INFO)
    rig.start(**{"depth.output_size": "input", "camera.resize_mode": mode})
    wait_until_wanted(rig, DEPTH, INFO)
    sent = rig.send(0)
    image, info = received(rig, depths, infos)
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
    panel = rig.expected(1, OdometryParams(resize_mode=mode))[0].depth
    values = BRIDGE.imgmsg_to_cv2(image, "passthrough")
    np.testing.assert_allclose(
        values, registered(panel.values, panel.intrinsics, camera), rtol=1e-5
    )
    left, top, width, height = Preprocessor(camera, 416, 128, 3, mode).window
    inside = np.zeros(values.shape, bool)
    inside[max(top, 0) : top + height, max(left, 0) : left + width] = True
    assert np.isnan(values[~inside]).all()


@pytest.mark.parametrize("size", ["network", "input"])
def test_depth_in_millimetres_has_zero_for_unknown(rig, size: str) -> None:
    (depths,) = listen(rig, DEPTH)
    params = OdometryParams(
        min_depth=1e-3, max_depth=1e5, scale_mode="fixed", scale_value=40.0
    )  # some beyond 65.535 m
    rig.start(**{"depth.output_size": size, "depth.encoding": "16UC1", "scale.mode": "fixed", "scale.value": 40.0,
                 "min_depth": params.min_depth, "max_depth": params.max_depth})  # fmt: skip
    wait_until_wanted(rig, DEPTH)
    rig.send(0)
    (image,) = received(rig, depths)
    assert image.encoding == "16UC1"
    panel = rig.expected(1, params)[0].depth
    metres = (
        panel.values
        if size == "network"
        else registered(panel.values, panel.intrinsics, rig.drive.sequence.intrinsics)
    )
    expected = np.where(np.isnan(metres), 0.0, np.clip(np.rint(metres * 1000.0), 0, 65535))
    assert np.abs(BRIDGE.imgmsg_to_cv2(image, "passthrough").astype(float) - expected).max() <= 1


def test_masks_as_floats(rig) -> None:
    (masks,) = listen(rig, "mask/image")
    rig.start(**{"mask.encoding": "32FC1"})
    wait_until_wanted(rig, "mask/image")
    for index in range(5):
        rig.send(index)
    (image,) = received(rig, masks)
    assert image.encoding == "32FC1"
    np.testing.assert_allclose(
        BRIDGE.imgmsg_to_cv2(image, "passthrough"), rig.expected(5)[-1].mask.values, atol=1e-5
    )


def test_points_are_where_the_depth_says_in_the_colours_of_the_image(rig) -> None:
    (clouds,) = listen(rig, POINTS)
    rig.start()
    wait_until_wanted(rig, POINTS)
    sent = rig.send(0)
    (cloud,) = received(rig, clouds)
    assert (stamp_to_ns(cloud.header.stamp), cloud.header.frame_id) == (
        sent,
        rig.shots[0].image.header.frame_id,
    )
    points = point_cloud2.read_points(cloud)
    panel = rig.expected(1)[0].depth
    known = np.isfinite(panel.values)
    assert len(points) == known.sum()
    k = panel.intrinsics
    # Projected back, each point is at its pixel with its depth.
    rows, columns = np.nonzero(known)
    np.testing.assert_allclose(points["z"], panel.values[known], rtol=1e-5)
    np.testing.assert_allclose(k.fx * points["x"] / points["z"] + k.cx, columns, atol=1e-3)
    np.testing.assert_allclose(k.fy * points["y"] / points["z"] + k.cy, rows, atol=1e-3)
    packed = points["rgb"].view(np.uint32)
    colours = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1)
    image, camera = BRIDGE.imgmsg_to_cv2(rig.shots[0].image, "rgb8"), rig.drive.sequence.intrinsics
    u = np.rint((columns - k.cx) * camera.fx / k.fx + camera.cx).astype(int)
    v = np.rint((rows - k.cy) * camera.fy / k.fy + camera.cy).astype(int)
    np.testing.assert_array_equal(
        colours, image[np.clip(v, 0, camera.height - 1), np.clip(u, 0, camera.width - 1)]
    )


def test_points_of_a_grey_camera_have_intensities(rig) -> None:
    (clouds,) = listen(rig, POINTS)
    rig.start()
    wait_until_wanted(rig, POINTS)
    grey = np.full((136, 424), 77, np.uint8)
    message = encode_image(grey, "mono8", make_header(1, "camera_optical_frame"))
    rig.send(0, **{name: getattr(message, name) for name in ("encoding", "step", "data")})
    (cloud,) = received(rig, clouds)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity"]
    assert set(point_cloud2.read_points(cloud)["intensity"]) == {77.0}


def test_coloured_depth_goes_from_red_to_blue_with_black_for_unknown(rig) -> None:
    depths, pictures = listen(rig, DEPTH, COLOUR)
    rig.start(**{"depth.output_size": "input", "camera.resize_mode": "crop"})
    wait_until_wanted(rig, DEPTH, COLOUR)
    rig.send(0)
    image, picture = received(rig, depths, pictures)
    assert (picture.encoding, picture.width, picture.height, picture.header) == (
        "bgr8",
        image.width,
        image.height,
        image.header,
    )
    depth, colours = (
        BRIDGE.imgmsg_to_cv2(image, "passthrough"),
        BRIDGE.imgmsg_to_cv2(picture, "bgr8"),
    )
    assert (colours[np.isnan(depth)] == 0).all()
    assert (colours[np.isfinite(depth)].max(axis=-1) > 0).all()


@pytest.mark.parametrize("topic", [INFO, COLOUR, POINTS])
def test_only_what_is_listened_to_is_made(rig, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    listen(rig, topic)
    rig.start()
    monkeypatch.setattr(
        type(rig.node._pipeline._outputs.depth),
        "send",
        lambda self, name, message: made.append(name),
    )
    wait_until_wanted(rig, topic)
    rig.send(0)
    rig.spinner.until(lambda: rig.count("frames_processed") == 1)
    assert made == [topic]


def test_unrectified_images_of_a_part_of_a_binned_sensor(rig) -> None:
    """The message of a camera with everything: distortion, a region of interest and binning; the
    core gets what cv2 makes of it."""
    depths, infos = listen(rig, DEPTH, INFO)
    p = [600.0, 0, 459.5, 0, 0, 600, 175.5, 0, 0, 0, 1, 0]
    rig.other_info = CameraInfo(
        width=928, height=352, distortion_model="plumb_bob", d=[-0.2, 0.05, 0.001, -0.002, 0.0], k=[*p[:3], *p[4:7], *p[8:11]], p=p,
        r=np.eye(3).ravel().tolist(), binning_x=2, binning_y=2, roi=RegionOfInterest(x_offset=40, y_offset=40, width=848, height=272),
    )  # fmt: skip
    rig.start(**{"camera.input_is_rectified": False, "depth.output_size": "input"})
    wait_until_wanted(rig, DEPTH, INFO)
    for index in range(6):
        rig.send(index)
    image, info = received(rig, depths, infos, count=6)
    seen = Intrinsics(
        300.0, 300.0, (459.5 - 40 + 0.5) / 2 - 0.5, (175.5 - 40 + 0.5) / 2 - 0.5, 424, 136
    )
    np.testing.assert_allclose(np.reshape(info.k, (3, 3)), seen.matrix())
    rectify = Rectifier(
        Calibration.from_message(rig.other_info), 424, 136, input_is_rectified=False
    )
    first = BRIDGE.imgmsg_to_cv2(rig.shots[0].image, "rgb8")
    straight = cv2.undistort(first, seen.matrix(), np.array(rig.other_info.d))
    assert np.abs(rectify(first).astype(int) - straight)[10:-10, 10:-10].mean() < 1.0
    panel = rig.expected(6, rectify=rectify)[-1].depth
    np.testing.assert_allclose(
        BRIDGE.imgmsg_to_cv2(image, "passthrough"),
        registered(panel.values, panel.intrinsics, rectify.intrinsics),
        rtol=1e-5,
    )
