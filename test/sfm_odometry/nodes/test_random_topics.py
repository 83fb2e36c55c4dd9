"""Random images and camera_info over topics: the node goes on, and its output stays finite."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from cv_bridge import CvBridge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, PointCloud2, RegionOfInterest
from sensor_msgs_py import point_cloud2

from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.nodes.conversions import byte_array, ns_to_stamp

START_NS = 1_700_000_000_000_000_000
EXAMPLES = 160
"""Each change of an image comes several times, with one calibration or another."""
FINAL_COUNTERS = (
    "frames_processed",
    "frames_refused",
    "frames_dropped",
    "frames_stale",
    "inference_errors",
)
ODD_NUMBERS = st.sampled_from(
    [
        math.nan,
        math.inf,
        -math.inf,
        0.0,
        -1.0,
        0.5,
        1.0,
        30.0,
        212.0,
        300.0,
        3000000.0,
        1e18,
        1e300,
        -1e300,
        1e-300,
    ]
)
FOCAL_LENGTHS = st.one_of(st.sampled_from([0.5, 250.0, 300.0, 3e6]), ODD_NUMBERS)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model of 64 x 32 pixels that takes a millisecond."""
    torch.manual_seed(2)
    pose = PoseNetConfig(
        3,
        5,
        (4, 8, 8, 8, 8),
        pose_widths=(8,),
        mask_widths=(8, 8, 8, 4, 4),
        mask_kernels=(3, 3, 3, 3, 3),
    )
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(
        path,
        Model(
            ModelConfig(
                width=64,
                height=32,
                depth=DepthNetConfig(3, (4, 8), (3, 3), (8, 4), scales=2),
                pose=pose,
            )
        ),
        {},
    )
    return path


@st.composite
def calibrations(draw: st.DrawFn) -> CameraInfo | None:
    """The drive's own calibration (None), or random matrices, regions and binning."""
    if draw(st.booleans()):
        return None
    fx = draw(FOCAL_LENGTHS)
    fy = draw(FOCAL_LENGTHS)
    cx = draw(ODD_NUMBERS)
    cy = draw(ODD_NUMBERS)
    region = RegionOfInterest(
        x_offset=draw(st.sampled_from([0, 0, 10, 2**32 - 1])),
        width=draw(st.sampled_from([0, 0, 424, 848])),
        height=draw(st.sampled_from([0, 0, 136, 272])),
    )
    return CameraInfo(
        width=draw(st.sampled_from([0, 424, 848])),
        height=draw(st.sampled_from([0, 136, 272, 2**32 - 1])),
        roi=region,
        p=[fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0],
        binning_x=draw(st.sampled_from([0, 1, 2, 2**31])),
        binning_y=draw(st.sampled_from([0, 1, 2])),
    )


CHANGES = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(
        lambda value: {"encoding": value},
        st.sampled_from(
            [
                "mono8",
                "bgr8",
                "bayer_rggb8",
                "mono16",
                "64FC9",
                "",
                "ä" * 100,
                "RGB8",
                "16UC1",
                "bayer_rggb16",
                "nv12",
                "nv24",
                "32FC1",
            ]
        ),
    ),
    st.sampled_from(
        [
            {"encoding": "16UC1", "step": 848, "data": byte_array(b"\xb8\x0b\xc0\x0c" * 28832)},
            {"encoding": "mono16", "step": 848, "data": byte_array(b"\0\0" * 57664)},
            {"encoding": "nv12", "step": 424, "data": byte_array(b"\x80" * 86496)},
            {"encoding": "nv24", "step": 424, "data": byte_array(b"\x10\xff" * 86496)},
            {"encoding": "MONO8", "step": 424, "data": byte_array(b"\xff" * 57664)},
        ]
    ),
    st.builds(lambda value: {"step": value}, st.sampled_from([0, 1, 1271, 1273, 2**32 - 1])),
    st.builds(lambda value: {"width": value}, st.sampled_from([0, 1, 7, 423, 425, 2**32 - 1])),
    st.builds(lambda value: {"height": value}, st.sampled_from([0, 1, 135, 137, 2**32 - 1])),
    st.builds(lambda value: {"is_bigendian": value}, st.sampled_from([1, 255])),
    st.builds(
        lambda value: {"data": byte_array(bytes(value))}, st.sampled_from([0, 1, 172991, 172993])
    ),
)
OFFSETS_NS = st.sampled_from(
    [0] * 6
    + [1, -100_000_000, -50_000_000, 2_000_000_000, -20_000_000_000, 10**18, -(10**18), -(10**19)]
)
GOOD_FRAMES = st.sampled_from([0, 0, 0, 0, 0, 6])


class Feed:
    """Sends one case after the other to a running node, and waits until each is settled."""

    def __init__(self, rig) -> None:
        self.rig = rig
        self.sent = 0
        self.stamp_ns = START_NS
        self.clouds = rig.listen(PointCloud2, "depth/points", "clouds")
        rig.listen_to_images()

    def send(self, changes: dict, info: CameraInfo | None, offset_ns: int) -> None:
        """Send an image and its camera_info.

        A calibration that is refused is followed by the good one, for which the image waits.
        """
        self.stamp_ns += 100_000_000
        stamp_ns = max(-(2**31) * 10**9, min(self.stamp_ns + offset_ns, 2**31 * 10**9 - 1))
        rig = self.rig
        good_info = rig.frames[self.sent % len(rig.frames)].camera_info
        for message in (good_info, info) if info is not None else (good_info,):
            message.header.stamp = ns_to_stamp(stamp_ns)
            rig.info.publish(message)
        rig.send(self.sent, stamp_ns, info=False, **changes)
        self.sent += 1
        rig.spinner.until(lambda: rig.count("frames_received") == self.sent)
        rig.spinner.until(
            lambda: self.settled or rig.node.session.inputs.calibration is None,
            "the frame to be settled",
        )
        while not self.settled:
            rig.info.publish(good_info)
            rig.spinner.until(lambda: self.settled or rig.node.session.inputs.calibration is None)

    @property
    def settled(self) -> bool:
        """Whether every frame has been processed, refused or dropped."""
        return sum(map(self.rig.count, FINAL_COUNTERS)) == self.sent


def test_random_messages_do_not_stop_the_node_or_its_finite_output(rig, small_model: Path) -> None:
    feed = Feed(rig)
    rig.start(**{"model.path": str(small_model), "diagnostics.period": 0.5})
    rig.wait_for_image_subscriptions()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CHANGES, calibrations(), OFFSETS_NS, GOOD_FRAMES)
    def send(changes: dict, info: CameraInfo | None, offset_ns: int, good_frames: int) -> None:
        feed.send(changes, info, offset_ns)
        for _ in range(good_frames):
            feed.send({}, None, 0)

    send()
    assert feed.sent >= EXAMPLES and rig.count("inference_errors") == 0, (
        rig.node.pipeline._last_error
    )
    before = rig.count("frames_published")
    for _ in range(8):
        feed.send({}, None, 0)
    assert rig.node.state.name == "tracking" and rig.count("frames_published") >= before + 8
    rig.spinner.until(lambda: len(rig.received.odom) == rig.count("frames_published"))
    assert len(rig.received.depth) > 50 and len(rig.received.mask) > 5 and feed.clouds
    check_finite(rig, feed.clouds)


def check_finite(rig, clouds: list[PointCloud2]) -> None:
    """Check that all numbers in all outputs are finite."""
    for message in rig.received.odom:
        twist = message.twist.twist
        pose = message.pose.pose
        numbers = [
            getattr(vector, axis)
            for vector in (pose.position, twist.linear, twist.angular)
            for axis in "xyz"
        ]
        assert np.isfinite([*numbers, *message.pose.covariance, *message.twist.covariance]).all()
        assert (
            abs(np.linalg.norm([getattr(pose.orientation, axis) for axis in "xyzw"]) - 1.0) < 1e-9
        )
    for transform in (
        transform.transform for message in rig.received.tf for transform in message.transforms
    ):
        assert np.isfinite([getattr(transform.translation, axis) for axis in "xyz"]).all()
        assert (
            abs(np.linalg.norm([getattr(transform.rotation, axis) for axis in "xyzw"]) - 1.0) < 1e-9
        )
    for image in rig.received.depth:
        depth = CvBridge().imgmsg_to_cv2(image, "passthrough")
        assert not np.isinf(depth).any()  # NaN is unknown depth
    for info in (*rig.received.depth_info, *rig.received.mask_info):
        assert np.isfinite([*info.k, *info.p]).all() and info.k[0] > 0
    for cloud in clouds:
        assert np.isfinite(point_cloud2.read_points_numpy(cloud, field_names=("x", "y", "z"))).all()
    for status in rig.received.status:
        assert not {pair.value for pair in status.status[0].values} & {"nan", "inf", "-inf"}
