"""Subscriptions that follow their publishers' reliability."""

import pytest
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from sfm_odometry.nodes.qos import FollowingSubscription


@pytest.mark.parametrize("offer", ["reliable", "best_effort"])
def test_auto_subscribes_as_the_publisher_offers(spinner, offer: str) -> None:
    node = spinner.add(rclpy.create_node("following"))
    received: list[str] = []
    subscription = FollowingSubscription(
        node, String, "topic", lambda message: received.append(message.data), "auto"
    )
    assert subscription.reliability == ""
    publisher = node.create_publisher(
        String, "topic", QoSProfile(depth=5, reliability=ReliabilityPolicy[offer.upper()])
    )

    def followed() -> bool:
        subscription.update()
        return subscription.reliability == offer and publisher.get_subscription_count() == 1

    spinner.until(followed)
    publisher.publish(String(data="a"))
    spinner.until(lambda: received == ["a"])


def test_auto_follows_a_publisher_that_comes_back_otherwise(spinner) -> None:
    node = spinner.add(rclpy.create_node("following"))
    subscription = FollowingSubscription(node, String, "topic", lambda message: None, "auto")
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
        assert subscription.reliability == offer  # nobody there: nothing to change for


def test_a_given_reliability_is_taken_at_once(spinner) -> None:
    node = spinner.add(rclpy.create_node("following"))
    subscription = FollowingSubscription(node, String, "topic", lambda message: None, "best_effort")
    assert subscription.reliability == "best_effort"
    subscription.close()
    assert node.count_subscribers(subscription.topic) == 0
