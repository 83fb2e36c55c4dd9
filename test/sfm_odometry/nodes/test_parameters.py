"""Parameters of the node: refusals, and the dataclass as their only definition."""

from dataclasses import fields

import numpy as np
import pytest
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.parameter_table import parameter_table
from sfm_odometry.nodes.parameters import (
    NodeParameters,
    apply_changes,
    declare_parameters,
    ros_name,
)
from sfm_odometry.params import OdometryParams


def test_defaults_are_those_of_the_core() -> None:
    assert NodeParameters().odometry_params() == OdometryParams()


def test_ros_names_are_field_names_with_dots_for_groups() -> None:
    for item in fields(NodeParameters):
        assert ros_name(item).replace(".", "_") == item.name
        assert item.metadata["description"]


@pytest.mark.parametrize(("values", "words"), [
    ({"odom_frame": ""}, "odom_frame must be a frame's name"),
    (
        {"base_frame": "/base_link"},
        "base_frame must be a frame's name without a leading slash, got '/base_link'",
    ),
    ({"base_frame": "odom"}, "odom_frame and base_frame must differ, both are 'odom'"),
    ({"model_device": "gpu"}, "model.device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
    (
        {"min_depth": 5.0, "max_depth": 5.0},
        "min_depth must be less than max_depth, got 5.0 and 5.0",
    ),
    ({"window_max_gap": 0.0}, "window.max_gap must be from 0.01 to 60, got 0.0"),
    ({"window_max_gap": float("nan")}, "window.max_gap must be from 0.01 to 60, got nan"),
    ({"max_update_rate": -1.0}, "max_update_rate must be from 0 to 1000, got -1.0"),
    ({"max_update_rate": 2.0}, "max_update_rate 2 leaves every frame beyond window.max_gap 0.5 s"),
    ({"depth_output_size": "full"}, "depth.output_size must be one of network, input, got 'full'"),
    ({"depth_encoding": "mono16"}, "depth.encoding must be one of 32FC1, 16UC1, got 'mono16'"),
    ({"mask_encoding": "rgb8"}, "mask.encoding must be one of mono8, 32FC1, got 'rgb8'"),
    ({"path_max_length": 1}, "path.max_length must be from 2 to 100000, got 1"),
    ({"covariance_factor": 0.0}, r"covariance.factor must be from 0.001 to 1e\+06, got 0.0"),
    ({"image_qos": "fast"}, "image_qos must be one of auto, best_effort, reliable, got 'fast'"),
    (
        {"camera_resize_mode": "zoom"},
        r"camera.resize_mode must be one of \(empty\), crop, stretch, pad, got 'zoom'",
    ),
    (
        {"camera_base_from_camera": (1.0, 2.0, 3.0)},
        r"camera.base_from_camera must be \[x, y, z, qx, qy, qz, qw\] with a unit quaternion",
    ),
    ({"camera_base_from_camera": (0.0, 0, 0, 0, 0, 0, 0)}, "camera.base_from_camera must be"),
    (
        {"camera_base_from_camera": (float("nan"), 0, 0, 0, 0, 0, 1)},
        "camera.base_from_camera must be",
    ),
    ({"camera_base_from_camera": ("a",) * 7}, "camera.base_from_camera must be"),
])  # fmt: skip
def test_bad_values_are_refused_with_name_value_and_expectation(values: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        NodeParameters(**values)


def test_base_from_camera_as_numbers() -> None:
    assert NodeParameters().fixed_base_from_camera() is None
    pose = NodeParameters(
        camera_base_from_camera=(1, 2, 3, -0.5, 0.5, -0.5, 0.5)
    ).fixed_base_from_camera()
    np.testing.assert_allclose(
        pose, [[0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 3], [0, 0, 0, 1]], atol=1e-12
    )


def test_only_live_parameters_change_while_configured() -> None:
    current = NodeParameters()
    assert (
        apply_changes(current, [Parameter("publish_tf", value=False)], configured=True).publish_tf
        is False
    )
    assert (
        apply_changes(
            current, [Parameter("odom_frame", value="world")], configured=False
        ).odom_frame
        == "world"
    )
    with pytest.raises(
        InputError, match="odom_frame can be changed only while the node is unconfigured"
    ):
        apply_changes(current, [Parameter("odom_frame", value="world")], configured=True)
    with pytest.raises(InputError, match=r"diagnostics.period must be from 0.05 to 60, got -1"):
        apply_changes(current, [Parameter("diagnostics.period", value=-1.0)], configured=True)
    assert (
        apply_changes(current, [Parameter("use_sim_time", value=True)], configured=True) == current
    )


def test_parameter_file_names_every_parameter_with_its_default(
    request: pytest.FixtureRequest,
) -> None:
    file = request.config.rootpath / "config" / "sfm_odometry.yaml"
    parameters = yaml.safe_load(file.read_text())["/**"]["ros__parameters"]
    flat = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner_name}": inner for inner_name, inner in value.items()}
        else:
            flat[name] = value
    defaults = {
        ros_name(item): list(item.default) if isinstance(item.default, tuple) else item.default
        for item in fields(NodeParameters)
    }
    assert flat == defaults


def test_the_page_of_parameters_is_up_to_date(request: pytest.FixtureRequest) -> None:
    assert (request.config.rootpath / "docs" / "parameters.md").read_text() == parameter_table()


def test_ros_descriptors_have_the_limits(ros: None) -> None:
    node = Node("described")
    declare_parameters(node)
    for item in fields(NodeParameters):
        descriptor = node.describe_parameter(ros_name(item))
        assert descriptor.description == item.metadata["description"]
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert [(limits.from_value, limits.to_value) for limits in ranges] == (
            [item.metadata["limits"]] if item.metadata["limits"] else []
        )
    node.destroy_node()


def test_null_of_ros2_param_dump_is_no_pose(ros: None) -> None:
    node = Node("dumped", parameter_overrides=[Parameter("camera.base_from_camera", value="null")])
    parameters = declare_parameters(node)
    assert parameters.fixed_base_from_camera() is None
    loaded = [Parameter("camera.base_from_camera", value="null")]
    assert apply_changes(parameters, loaded, configured=False).fixed_base_from_camera() is None
    node.destroy_node()


def test_unknown_parameters_are_named_in_a_warning(
    ros: None, capfd: pytest.CaptureFixture[str]
) -> None:
    known = {"use_sim_time": False, "min_depth": 0.5, "qos_overrides./odom.publisher.depth": 3}
    for overrides, words in (
        (known, []),
        ({**known, "min_dept": 1.0, "scale": 2.0}, ["does not have are ignored: min_dept, scale"]),
    ):
        node = Node(
            "given",
            parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
        )
        assert declare_parameters(node).min_depth == 0.5
        node.destroy_node()
        lines = [line for line in capfd.readouterr().err.splitlines() if "ignored" in line]
        assert [line.partition("this node ")[2] for line in lines] == words
