"""Subscriptions that match their publishers' reliability."""

import pytest
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from sfm_odometry.nodes.qos import AdaptiveSubscription


@pytest.mark.parametrize("offer", ["reliable", "best_effort"])
def test_auto_subscribes_as_the_publisher_offers(spinner, offer: str) -> None:
    node = spinner.add(rclpy.create_node("adaptive"))
    received: list[str] = []
    subscription = AdaptiveSubscription(
        node, String, "topic", lambda message: received.append(message.data), "auto"
    )
    assert subscription.reliability == ""
    publisher = node.create_publisher(
        String, "topic", QoSProfile(depth=5, reliability=ReliabilityPolicy[offer.upper()])
    )

    def matched() -> bool:
        subscription.update()
        return subscription.reliability == offer and publisher.get_subscription_count() == 1

    spinner.until(matched)
    publisher.publish(String(data="a"))
    spinner.until(lambda: received == ["a"])


def test_auto_matches_a_publisher_that_returns_with_another_reliability(spinner) -> None:
    node = spinner.add(rclpy.create_node("adaptive"))
    subscription = AdaptiveSubscription(node, String, "topic", lambda message: None, "auto")
    for offer in ("reliable", "best_effort", "reliable"):
        publisher = node.create_publisher(
            String, "topic", QoSProfile(depth=5, reliability=ReliabilityPolicy[offer.upper()])
        )
        spinner.until(
            lambda wanted=offer: subscription.update() or subscription.reliability == wanted
        )
        node.destroy_publisher(publisher)
        spinner.until(lambda: node.count_publishers(subscription.topic) == 0)
        subscription.update()
        assert subscription.reliability == offer  # kept while no publisher is there


def test_a_fixed_reliability_subscribes_at_once(spinner) -> None:
    node = spinner.add(rclpy.create_node("adaptive"))
    subscription = AdaptiveSubscription(node, String, "topic", lambda message: None, "best_effort")
    assert subscription.reliability == "best_effort"
    subscription.close()
    assert node.count_subscribers(subscription.topic) == 0
