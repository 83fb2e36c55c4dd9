"""The access control policy allows what a running node makes, in all of its modes, and nothing
else."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from rclpy.parameter import Parameter

from sfm_odometry.nodes.odometry_node import OdometryNode

MODEL = {"model.device": "cpu", "model.backend": "eager"}
POLICY = Path(__file__).resolve().parents[3] / "config" / "sros2_policy.xml"


def allowed(kind: str, way: str) -> set[str]:
    """Full names of what a way (subscribe, publish, reply) is allowed for."""
    (profile,) = ElementTree.parse(POLICY).iter("profile")
    namespace, node = profile.get("ns"), profile.get("node")
    found = [
        entry.text
        for group in profile.iter(f"{kind}s")
        if group.get(way) == "ALLOW"
        for entry in group.iter(kind)
    ]
    assert found == sorted(set(found)), "in order, each once"
    return {
        f"{namespace}{node}/{name[2:]}" if name.startswith("~/") else f"{namespace}{name}"
        for name in found
    }


def names(found: list) -> set[str]:
    return {name for name, _ in found}


MODES = (
    {},
    {"image_transport": "compressed"},
    {"scale.mode": "odometry"},
    {"scale.mode": "twist"},
    {"use_sim_time": True},
)


@pytest.fixture
def made(spinner, model_path: Path) -> dict[str, set[str]]:
    """Names of all that active nodes made, one in each mode; the camera's transform is still
    looked for."""
    found: dict[str, set[str]] = {
        "publish": set(),
        "subscribe": set(),
        "reply": set(),
        "request": set(),
    }
    for mode in MODES:
        # A given reliability subscribes without a camera.
        settings = {**MODEL, "model.path": str(model_path), "image_qos": "reliable", **mode}
        node = OdometryNode(
            parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()]
        )
        node.autostart()
        own = node.get_name(), node.get_namespace()
        spinner.until(
            lambda node=node, own=own: (
                "/camera_info" in names(node.get_subscriber_names_and_types_by_node(*own))
            )
        )
        found["publish"] |= names(node.get_publisher_names_and_types_by_node(*own))
        found["subscribe"] |= names(node.get_subscriber_names_and_types_by_node(*own))
        found["reply"] |= names(node.get_service_names_and_types_by_node(*own))
        found["request"] |= names(node.get_client_names_and_types_by_node(*own))
        node.destroy_node()
    return found


def test_the_policy_is_what_the_node_makes(made: dict[str, set[str]]) -> None:
    since_jazzy = {"/sfm_odometry/get_type_description"}
    assert made["publish"] == allowed("topic", "publish")
    assert made["subscribe"] == allowed("topic", "subscribe")
    assert made["reply"] | since_jazzy == allowed("service", "reply")
    assert made["request"] == set() == allowed("service", "request")
    assert not list(ElementTree.parse(POLICY).iter("action"))
