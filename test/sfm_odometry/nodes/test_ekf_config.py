"""The filter's settings, as rcl reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.context import Context

ROOT = Path(__file__).resolve().parents[3]
STATES = 15
"""Position, angles, velocities, turning and acceleration, three of each."""


@pytest.fixture(scope="module")
def settings() -> Iterator[dict[str, Any]]:
    """Values by name that a node called ekf_filter_node gets from config/ekf.yaml."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node(
        "ekf_filter_node",
        context=context,
        cli_args=["--ros-args", "--params-file", str(ROOT / "config" / "ekf.yaml")],
        automatically_declare_parameters_from_overrides=True,
    )
    yield {name: value.value for name, value in node.get_parameters_by_prefix("").items()}
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_the_process_noise_is_a_covariance_of_all_states(settings: dict[str, Any]) -> None:
    values = settings["process_noise_covariance"]
    assert len(values) == STATES * STATES
    assert {type(value) for value in values} == {float}
    noise = np.reshape(values, (STATES, STATES))
    np.testing.assert_array_equal(noise, noise.T)
    assert np.linalg.eigvalsh(noise).min() > 0.0


def test_poses_drift_with_the_speed_and_velocities_follow_the_camera(
    settings: dict[str, Any],
) -> None:
    """With dynamic noise the block of the pose is multiplied by the square of the speed at both
    sides, so nothing may tie it to the rest: that would be no covariance while the robot stands."""
    assert settings["dynamic_process_noise_covariance"] is True
    noise = np.reshape(settings["process_noise_covariance"], (STATES, STATES))
    assert not noise[:6, 6:].any()
    assert noise[:3, :3].max() < 0.01 < noise[6:9, 6:9].diagonal().min()


def test_only_velocities_of_the_odometry_are_fused(settings: dict[str, Any]) -> None:
    fused = np.reshape(settings["odom0_config"], (5, 3))
    np.testing.assert_array_equal(fused.all(axis=1), [False, False, True, True, False])
    assert not fused[[0, 1, 4]].any()
