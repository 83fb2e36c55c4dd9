"""Conversion of point clouds between NumPy and sensor_msgs/PointCloud2.

Left out of the original: read_points_list, selection by `uvs`.
"""

import array
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

DTYPES = {
    PointField.INT8: "i1",
    PointField.UINT8: "u1",
    PointField.INT16: "i2",
    PointField.UINT16: "u2",
    PointField.INT32: "i4",
    PointField.UINT32: "u4",
    PointField.FLOAT32: "f4",
    PointField.FLOAT64: "f8",
}


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """Structured type of one point; a field of count n becomes n fields name_0 .. name_(n-1)."""
    names: list[str] = []
    formats: list[np.dtype] = []
    offsets: list[int] = []
    for number, field in enumerate(fields):
        name = field.name or f"unnamed_field_{number}"
        dtype = np.dtype(DTYPES[field.datatype])
        assert field.count > 0, "Can't process fields with count = 0."
        for part in range(field.count):
            names.append(f"{name}_{part}" if field.count > 1 else name)
            formats.append(dtype)
            offsets.append(field.offset + part * dtype.itemsize)
    assert len(set(names)) == len(names), "Duplicate field names are not allowed!"
    itemsize = {} if point_step is None else {"itemsize": point_step}
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, **itemsize})


def create_cloud(
    header: Header, fields: Sequence[PointField], points: Iterable, point_step: int | None = None
) -> PointCloud2:
    """Create a cloud from a structured array, a plain array (..., fields) of one type, or tuples.

    A structured array has the type of the fields. Two dimensions of points make an organized cloud:
    as in the original, the first is the width, the second the height.
    """
    dtype = dtype_from_fields(fields, point_step)
    points = _structured(points, fields, dtype)
    width = points.shape[0]
    height = points.shape[1] if points.ndim == 2 else 1
    cloud = PointCloud2(
        header=header,
        height=height,
        width=width,
        is_dense=False,
        is_bigendian=sys.byteorder != "little",
    )
    cloud.fields = list(fields)
    cloud.point_step = dtype.itemsize
    cloud.row_step = dtype.itemsize * width
    # The only type that a message's `data` takes without a check of every element.
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(points)).cast("B"))
    cloud.data = data
    return cloud


def _structured(points: Iterable, fields: Sequence[PointField], dtype: np.dtype) -> np.ndarray:
    """Structured array of the points, in one or two dimensions."""
    if not isinstance(points, np.ndarray):
        points = np.array([tuple(point) for point in points], dtype)
    elif points.dtype.names is None:
        assert len({field.datatype for field in fields}) == 1, (
            "All fields need to have the same datatype, or come as a structured array."
        )
        points = unstructured_to_structured(points, dtype=dtype)
    assert points.dtype == dtype, (
        "PointFields and structured NumPy array dtype do not match for all fields!"
    )
    assert points.ndim <= 2, "Too many dimensions for organized cloud!"
    return points


def create_cloud_xyz32(header: Header, points: Iterable) -> PointCloud2:
    """Create a cloud of (x, y, z) in float32."""
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(("x", "y", "z"))
    ]
    return create_cloud(header, fields, points)


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    *,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Points as a structured array, of all fields or of the named ones."""
    # Interpret the bytes.
    assert isinstance(cloud, PointCloud2), "Cloud is not a sensor_msgs.msg.PointCloud2"
    points = np.frombuffer(
        cloud.data, dtype_from_fields(cloud.fields, cloud.point_step), cloud.width * cloud.height
    )
    # Select fields and convert the byte order.
    if field_names is not None:
        assert set(field_names) <= set(points.dtype.names or ()), (
            "Requests field is not in the fields of the PointCloud!"
        )
        points = points[list(field_names)]
    if cloud.is_bigendian != (sys.byteorder != "little"):
        points = points.byteswap()
    # Select points.
    if skip_nans and not cloud.is_dense:
        points = points[
            ~np.any([np.isnan(points[name]) for name in points.dtype.names or ()], axis=0)
        ]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    *,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Points as a plain array (points, fields); the fields must be of one type."""
    datatypes = {
        field.datatype for field in cloud.fields if field_names is None or field.name in field_names
    }
    assert len(datatypes) <= 1, (
        "All fields need to have the same datatype. Use `read_points()` otherwise."
    )
    return structured_to_unstructured(
        read_points(cloud, field_names, skip_nans, reshape_organized_cloud=reshape_organized_cloud)
    )
