"""Rigid transforms as translation and unit quaternion (x, y, z, w), and operations on them."""

import math
from typing import NamedTuple

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class RigidTransform(NamedTuple):
    """Transform parent_from_child: x_parent = rotate(rotation, x_child) + translation."""

    translation: Vector
    rotation: Quaternion

    def __matmul__(self, other: "RigidTransform") -> "RigidTransform":
        """Chain transforms: a_from_c = a_from_b @ b_from_c."""
        rotated = rotate(self.rotation, other.translation)
        x, y, z = (a + b for a, b in zip(rotated, self.translation, strict=True))
        return RigidTransform((x, y, z), multiply(self.rotation, other.rotation))

    def inverse(self) -> "RigidTransform":
        """Transform child_from_parent."""
        rotation = conjugate(self.rotation)
        x, y, z = rotate(rotation, self.translation)
        return RigidTransform((-x, -y, -z), rotation)


IDENTITY = RigidTransform((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Product a * b: rotation by b, then by a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def normalized(q: Quaternion) -> Quaternion:
    """Unit quaternion of the same direction; NaN for the quaternion 0."""
    length = math.hypot(*q) or math.nan
    return (q[0] / length, q[1] / length, q[2] / length, q[3] / length)


def conjugate(q: Quaternion) -> Quaternion:
    """Conjugate, the inverse rotation of a unit quaternion."""
    return (-q[0], -q[1], -q[2], q[3])


def rotate(q: Quaternion, v: Vector) -> Vector:
    """Vector rotated by a unit quaternion."""
    x, y, z, _ = multiply(multiply(q, (*v, 0.0)), conjugate(q))
    return (x, y, z)


def interpolate(a: RigidTransform, b: RigidTransform, ratio: float) -> RigidTransform:
    """Transform at `ratio` between a (0) and b (1): straight line and slerp."""
    x, y, z = (p + (q - p) * ratio for p, q in zip(a.translation, b.translation, strict=True))
    return RigidTransform((x, y, z), slerp(a.rotation, b.rotation, ratio))


def slerp(a: Quaternion, b: Quaternion, ratio: float) -> Quaternion:
    """Spherical linear interpolation along the shorter great arc (Shoemake 1985)."""
    cosine = sum(p * q for p, q in zip(a, b, strict=True))
    if cosine < 0.0:  # b and -b are the same rotation: take the nearer one
        b = (-b[0], -b[1], -b[2], -b[3])
        cosine = -cosine
    angle_rad = math.acos(min(cosine, 1.0))
    if angle_rad == 0.0:
        return a
    weight_a, weight_b = (
        math.sin(part * angle_rad) / math.sin(angle_rad) for part in (1.0 - ratio, ratio)
    )
    x, y, z, w = (weight_a * p + weight_b * q for p, q in zip(a, b, strict=True))
    return (x, y, z, w)
