"""Behaviour of sensor_msgs_py.point_cloud2; with a ROS 2 sourced, that of the original."""

import struct

import numpy as np
import pytest
from sensor_msgs.msg import PointField
from sensor_msgs_py.point_cloud2 import (
    create_cloud,
    create_cloud_xyz32,
    read_points,
    read_points_numpy,
)
from std_msgs.msg import Header

XYZ = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]], np.float32)
FIELDS = [
    PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
    for index, name in enumerate("xyz")
]
COLORED = [*FIELDS, PointField(name="rgb", offset=16, datatype=PointField.UINT32, count=1)]


def test_cloud_of_positions() -> None:
    cloud = create_cloud_xyz32(Header(frame_id="camera"), XYZ)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.row_step) == (2, 1, 12, 24)
    assert [field.name for field in cloud.fields] == ["x", "y", "z"]
    assert cloud.header.frame_id == "camera"
    assert struct.unpack("<3f", bytes(cloud.data[:12])) == (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(read_points_numpy(cloud), XYZ)


def test_fields_of_several_types_with_gaps() -> None:
    cloud = create_cloud(Header(), COLORED, [(1.0, 2.0, 3.0, 0xFF8040)], point_step=32)
    assert (cloud.point_step, len(cloud.data)) == (32, 32)
    assert struct.unpack_from("<I", bytes(cloud.data), 16) == (0xFF8040,)
    point = read_points(cloud)[0]
    assert (point["x"], point["rgb"]) == (1.0, 0xFF8040)
    with pytest.raises(AssertionError):
        read_points_numpy(cloud)


def test_points_without_a_position_can_be_left_out() -> None:
    cloud = create_cloud_xyz32(Header(), XYZ)
    np.testing.assert_array_equal(read_points_numpy(cloud, skip_nans=True), XYZ[:1])
    assert len(read_points(cloud, field_names=["x", "z"], skip_nans=True)) == 2


def test_organized_cloud_keeps_its_two_sizes() -> None:
    cloud = create_cloud(Header(), FIELDS, np.zeros((5, 4, 3), np.float32))
    assert (cloud.width, cloud.height, cloud.row_step) == (5, 4, 60)
    assert read_points(cloud, reshape_organized_cloud=True).shape == (5, 4)


def test_a_structured_array_must_have_the_fields_type() -> None:
    with pytest.raises(AssertionError):
        create_cloud(Header(), FIELDS, np.zeros(3, np.dtype([("x", "f8")])))
