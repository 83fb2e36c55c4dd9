"""Access control policy: allows exactly the topics and services of a running node."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from rclpy.parameter import Parameter

from sfm_odometry.nodes.odometry_node import OdometryNode

MODEL = {"model.device": "cpu", "model.backend": "eager"}
POLICY = Path(__file__).resolve().parents[3] / "config" / "sros2_policy.xml"

OF_RCL = {"/rosout", "/sfm_odometry/transition_event"}
"""Topics that rcl itself publishes on for a node, which rclpy does not list."""


def allowed(kind: str, access: str) -> set[str]:
    """Full names of the topics or services with an access: subscribe, publish, reply, request."""
    (profile,) = ElementTree.parse(POLICY).iter("profile")
    namespace = profile.get("ns")
    node = profile.get("node")
    found = [
        entry.text
        for group in profile.iter(f"{kind}s")
        if group.get(access) == "ALLOW"
        for entry in group.iter(kind)
    ]
    assert found == sorted(set(found)), "in order, each once"
    return {
        f"{namespace}{node}/{name[2:]}" if name.startswith("~/") else f"{namespace}{name}"
        for name in found
    }


MODES = (
    {},
    {"image_transport": "compressed"},
    {"scale.mode": "odometry"},
    {"scale.mode": "twist"},
    {"use_sim_time": True},
)


@pytest.fixture
def node_interface(ros: None, model_path: Path) -> dict[str, set[str]]:
    """Names of the topics and services of active nodes, one in each mode.

    The nodes are still looking for the camera's transform, and listen to TF.
    """
    found: dict[str, set[str]] = {
        "publish": set(),
        "subscribe": set(),
        "reply": set(),
        "request": set(),
    }
    for mode in MODES:
        # With a fixed reliability the node subscribes without a camera.
        settings = {**MODEL, "model.path": str(model_path), "image_qos": "reliable", **mode}
        node = OdometryNode(
            parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()]
        )
        node.autostart()
        found["publish"] |= {item.topic_name for item in node.publishers} | OF_RCL
        found["subscribe"] |= {item.topic_name for item in node.subscriptions}
        found["reply"] |= {item.service_name for item in node.services}
        found["request"] |= {item.service_name for item in node.clients}
        node.destroy_node()
    return found


def test_the_policy_allows_exactly_the_nodes_topics_and_services(
    node_interface: dict[str, set[str]],
) -> None:
    since_jazzy = {"/sfm_odometry/get_type_description"}
    assert node_interface["publish"] == allowed("topic", "publish")
    assert node_interface["subscribe"] == allowed("topic", "subscribe")
    assert node_interface["reply"] | since_jazzy == allowed("service", "reply")
    assert node_interface["request"] == set() == allowed("service", "request")
    assert not list(ElementTree.parse(POLICY).iter("action"))
