"""Interface of a running node against its documents.

Topics, services, status, quality of service, lifecycle and time.
"""

import re
import threading
from pathlib import Path

import numpy as np
import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.conversions import ns_to_stamp, stamp_to_ns
from sfm_odometry.nodes.odometry_node import OdometryNode

START_NS = 1_700_000_000_000_000_000
DOCS = Path(__file__).resolve().parents[3] / "docs"
ROS_OWN_TOPICS = {"/rosout", "/parameter_events", "/sfm_odometry/transition_event"}


def documented(page: str) -> set[str]:
    """Texts in code marks on a page."""
    return set(re.findall(r"`([^`\n]+)`", (DOCS / page).read_text()))


def drive(rig, indices: range, count: int) -> None:
    for index in indices:
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == count, f"{count} odometry messages")


def test_every_topic_is_documented_with_its_type(rig) -> None:
    node = rig.start()
    page = (DOCS / "topics.md").read_text()
    names = documented("topics.md")
    # Asked of the node, not of the graph: Jazzy's rmw_fastrtps at times never finds some of a
    # node's topics and services (ros2/rmw_fastrtps#792).
    expected = {"/image", "/camera_info", "/set_pose"}  # the first two once a camera is found
    rig.spinner.until(
        lambda: expected <= {item.topic_name for item in node.subscriptions}, "subscriptions"
    )
    published = {item.topic_name: item.msg_type for item in node.publishers}
    subscribed = {item.topic_name: item.msg_type for item in node.subscriptions}
    assert {"/odom", "/tf", "/path", "/depth/image_rect", "/mask/image"} <= published.keys()
    for topic, kind in {**published, **subscribed}.items():
        if topic in ROS_OWN_TOPICS:
            continue
        name = topic.replace("/sfm_odometry/", "~/")
        assert names & {name, name.removeprefix("/")}, topic
        assert kind.__name__ in page, (topic, kind)


def test_every_service_of_the_node_is_documented(rig) -> None:
    triggers = {
        service.service_name.replace("/sfm_odometry/", "~/")
        for service in rig.start().services
        if service.srv_type is Trigger
    }
    names = {"~/reset", "~/pause", "~/resume", "~/save_trajectory"}
    assert triggers == names <= documented("topics.md")


def test_every_value_of_the_status_is_documented(rig) -> None:
    rig.start(**{"diagnostics.period": 0.05})
    drive(rig, range(6), 6)
    rig.send(6, encoding="64FC9")
    rig.send(5)
    rig.spinner.until(lambda: rig.count("frames_refused") == 2)
    values = rig.status().keys() - {"state", "reason"}
    names = documented("diagnostics.md")
    stems = {name.rstrip("*") for name in names if name.endswith("_*")}
    assert {
        value for value in values if value not in names and not value.startswith(tuple(stems))
    } == set()
    expected = (
        "input_hz output_hz latency_ms_mean frames_received frames_dropped gaps clock_jumps resets "
        "device device_memory_mib resident_memory_mib model model_sha256 is_metric refused_encoding"
    )
    assert set(expected.split()) <= values


def test_a_publishers_qos_can_be_overridden(rig) -> None:
    rig.start(
        **{
            "qos_overrides./odom.publisher.reliability": "best_effort",
            "qos_overrides./odom.publisher.depth": 3,
        }
    )
    (info,) = rig.listener.get_publishers_info_by_topic("/odom")
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert rig.outputs._odometry.qos_profile.depth == 3
    # The override of one publisher does not change another.
    (other,) = rig.listener.get_publishers_info_by_topic("/path")
    assert other.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_the_depth_of_the_images_queue_can_be_overridden(rig) -> None:
    rig.start(**{"qos_overrides./image.subscription.depth": 33})
    assert rig.node.session.inputs.image.subscription.qos_profile.depth == 33


def test_images_have_priority_unless_time_is_simulated(rig) -> None:
    rig.start(**{"scale.mode": "twist"})
    rig.spinner.until(
        lambda: len(rig.node.priority_subscriptions) == 4, "images, camera_info, poses and speeds"
    )
    assert rig.node.priority_subscriptions[0].topic_name == "/image"
    assert {item.topic_name for item in rig.node.priority_subscriptions[1:]} == {
        "/camera_info",
        "/set_pose",
        "/twist",
    }
    rig.node.set_parameters([Parameter("use_sim_time", value=True)])
    assert rig.node.priority_subscriptions == []


@pytest.mark.parametrize(("name", "value"), [
    ("qos_overrides./image.subscription.depth", 0),
    ("qos_overrides./image.subscription.depth", "deep"),
    ("qos_overrides./odom.publisher.reliability", "perhaps"),
])  # fmt: skip
def test_a_bad_override_refuses_the_start(rig, name: str, value: object) -> None:
    with pytest.raises(InputError):
        rig.start(**{name: value})


def test_an_incompatible_listener_is_logged(rig) -> None:
    # The rig's listener requests reliable.
    rig.start(**{"qos_overrides./odom.publisher.reliability": "best_effort"})
    rig.spinner.until(lambda: rig.logged("requesting incompatible QoS"), "the warning")
    assert rig.logged("RELIABILITY")


def test_an_incompatible_camera_is_named_in_the_state(rig) -> None:
    rig.start(reliability="BEST_EFFORT", autostart=False, image_qos="reliable")
    assert change(rig, Transition.TRANSITION_CONFIGURE) and change(
        rig, Transition.TRANSITION_ACTIVATE
    )
    rig.spinner.until(
        lambda: "published best effort, but image_qos asks for reliable" in rig.node.state.reason
    )
    assert rig.node.state.name == "waiting_image"
    rig.spinner.until(lambda: rig.logged("offering incompatible QoS"), "the warning")


def change(rig, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return rig.spinner.call(
        rig.listener.create_client(ChangeState, "/sfm_odometry/change_state"), request
    ).success


def lifecycle_state(rig) -> int:
    return rig.spinner.call(
        rig.listener.create_client(GetState, "/sfm_odometry/get_state"), GetState.Request()
    ).current_state.id


def test_an_invalid_transition_changes_nothing(rig) -> None:
    rig.start()
    drive(rig, range(6), 6)
    for transition in (
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_CLEANUP,
    ):
        assert not change(rig, transition)
        assert lifecycle_state(rig) == State.PRIMARY_STATE_ACTIVE
    drive(rig, range(6, 8), 8)
    assert change(rig, Transition.TRANSITION_DEACTIVATE)
    assert not change(rig, Transition.TRANSITION_DEACTIVATE)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_INACTIVE
    assert rig.node.state.name == "inactive"


def test_an_active_node_can_be_shut_down(rig) -> None:
    rig.start()
    drive(rig, range(6), 6)
    assert change(rig, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_FINALIZED
    rig.spinner.until(lambda: rig.image.get_subscription_count() == 0)
    assert "inference" not in {thread.name for thread in threading.enumerate()}


def test_simulated_time_stamps_the_status_and_measures_the_latency(rig) -> None:
    rig.start(use_sim_time=True, **{"diagnostics.period": 0.05})
    clock = rig.camera.create_publisher(Clock, "/clock", 10)
    rig.spinner.until(lambda: clock.get_subscription_count() == 1)
    # The status is also published before simulated time starts.
    rig.spinner.until(lambda: rig.received.status, "a status")
    assert stamp_to_ns(rig.received.status[-1].header.stamp) == 0
    clock.publish(Clock(clock=ns_to_stamp(START_NS + 600_000_000)))
    rig.spinner.until(
        lambda: stamp_to_ns(rig.received.status[-1].header.stamp) == START_NS + 600_000_000
    )
    rig.send(0)
    rig.spinner.until(lambda: max(highest_latencies(rig)) > 0.0, "a latency")
    assert max(highest_latencies(rig)) == pytest.approx(600.0)


def highest_latencies(rig) -> list[float]:
    return [
        float(pair.value)
        for message in rig.received.status
        for pair in message.status[0].values
        if pair.key == "latency_ms_max"
    ]


class OtherCamera:
    """Camera that sends the drive's frames in a namespace of its own."""

    def __init__(self, rig, namespace: str) -> None:
        self._rig = rig
        self.image = rig.camera.create_publisher(Image, f"/{namespace}/image", QoSProfile(depth=50))
        self.info = rig.camera.create_publisher(
            CameraInfo, f"/{namespace}/camera_info", QoSProfile(depth=50)
        )
        self.odometry = rig.listen(Odometry, f"/{namespace}/odom", namespace)
        self._namespace = namespace

    def wait(self) -> None:
        count = self._rig.listener.count_publishers
        publishers = (self.image, self.info)
        self._rig.spinner.until(
            lambda: (
                all(publisher.get_subscription_count() for publisher in publishers)
                and count(f"/{self._namespace}/odom")
            ),
            self._namespace,
        )

    def send(self, index: int) -> None:
        frame = self._rig.frames[index]
        frame.stamp(START_NS + index * 100_000_000)
        self.info.publish(frame.camera_info)
        self.image.publish(frame.image)


def check_two(rig, front: OtherCamera, rear: OtherCamera) -> None:
    """Check that each node tracks its own camera; the rear one starts later, at another frame."""
    front.wait()
    rear.wait()
    for index in range(10):
        front.send(index)
        if index >= 4:
            rear.send(index)
    rig.spinner.until(
        lambda: len(front.odometry) == 10 and len(rear.odometry) == 6, "odometry of both cameras"
    )
    assert {message.child_frame_id for message in front.odometry} == {"base_link"}
    positions = [
        np.array([m.pose.pose.position.x, m.pose.pose.position.y])
        for m in (front.odometry[4], rear.odometry[0])
    ]
    assert np.linalg.norm(positions[0]) > 1e-6 and np.linalg.norm(positions[1]) < 1e-9


POSE = [0.0, 0.0, 1.2, -0.5, 0.5, -0.5, 0.5]


def test_two_cameras_with_nodes_in_one_process(rig) -> None:
    cameras = [OtherCamera(rig, name) for name in ("front", "rear")]
    for name in ("front", "rear"):
        values = {
            "model.path": str(rig.model_path),
            "model.device": "cpu",
            "model.backend": "eager",
            "camera.base_from_camera": POSE,
            "always_process_most_recent_frame": False,
            "publish_tf": name == "front",
        }
        node = OdometryNode(
            namespace=name,
            parameter_overrides=[Parameter(key, value=value) for key, value in values.items()],
        )
        node.autostart()
        rig.spinner.add(node)
    check_two(rig, *cameras)


def test_two_cameras_with_nodes_in_two_processes(rig, processes) -> None:
    cameras = [OtherCamera(rig, name) for name in ("front", "rear")]
    values = {
        "model.path": rig.model_path,
        "model.device": "cpu",
        "model.backend": "eager",
        "always_process_most_recent_frame": "false",
        "camera.base_from_camera": POSE,
        "publish_tf": "false",
    }
    arguments = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    for name in ("front", "rear"):
        processes.start(
            "sfm_odometry.nodes.odometry_node", "--ros-args", "-r", f"__ns:=/{name}", *arguments
        )
    check_two(rig, *cameras)
    assert rclpy.ok()
