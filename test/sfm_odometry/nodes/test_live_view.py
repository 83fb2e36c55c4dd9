"""The node's live view: a real client of `live.port`, beside the topics."""

import socket

import numpy as np
import pytest

from sfm_odometry.errors import InputError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_app_sees_what_the_topics_say(rig, foxglove_client):
    port = free_port()
    rig.start(**{"live.port": port})
    (viewer,) = rig.node.pipeline._live_view._viewers
    assert viewer.address == f"ws://127.0.0.1:{port}"
    with foxglove_client(viewer) as client:
        client.subscribe("/odom", "/tf", "/depth/image_rect", "/mask/image", "/image")
        for index in range(5):
            rig.send(index)
        found = {}
        while len(found) < 5 or len(rig.received.odom) < 5:
            ((topic, _, message),) = client.receive(1)
            found.setdefault(topic, []).append(message)
            if topic == "/odom" and len(found[topic]) == 5:
                rig.spinner.until(lambda: len(rig.received.odom) == 5)
    ours, theirs = found["/odom"][-1], rig.received.odom[4]
    assert ours.frame_id == theirs.header.frame_id
    assert ours.pose.position.x == theirs.pose.pose.position.x
    assert list(ours.pose_covariance) == pytest.approx(list(theirs.pose.covariance))
    assert ours.linear_velocity.x == theirs.twist.twist.linear.x
    assert {each.frame_id for each in found["/image"]} == {rig.frames[0].image.header.frame_id}
    depth = np.frombuffer(found["/depth/image_rect"][-1].data, np.float32)
    assert np.isfinite(depth).any()


def test_without_a_port_there_is_no_server_and_nothing_is_computed_for_it(rig):
    rig.start()
    view = rig.node.pipeline._live_view
    assert view._viewers == [] and not view.wants_depth and not view.wants_mask


def test_a_port_in_use_keeps_the_node_from_being_configured_with_one_line(rig):
    pytest.importorskip("foxglove.messages", reason="foxglove-sdk is not installed")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"live view on 127.0.0.1:{port}: cannot be served"):
            rig.start(**{"live.port": port})
