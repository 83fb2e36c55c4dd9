"""A rigid transform as translation and unit quaternion (x, y, z, w), and the few operations that
a tree of them needs."""

import math
from typing import NamedTuple

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Rigid(NamedTuple):
    """parent_from_child: x_parent = rotate(rotation, x_child) + translation."""

    translation: Vector
    rotation: Quaternion

    def __matmul__(self, other: "Rigid") -> "Rigid":
        """a_from_c = a_from_b @ b_from_c"""
        moved = rotate(self.rotation, other.translation)
        x, y, z = (a + b for a, b in zip(moved, self.translation, strict=True))
        return Rigid((x, y, z), multiply(self.rotation, other.rotation))

    def inverse(self) -> "Rigid":
        back = conjugate(self.rotation)
        x, y, z = rotate(back, self.translation)
        return Rigid((-x, -y, -z), back)


IDENTITY = Rigid((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def normalized(q: Quaternion) -> Quaternion:
    """The rotation that a quaternion of any length stands for; NaN for the quaternion 0."""
    length = math.hypot(*q) or math.nan
    return (q[0] / length, q[1] / length, q[2] / length, q[3] / length)


def conjugate(q: Quaternion) -> Quaternion:
    return (-q[0], -q[1], -q[2], q[3])


def rotate(q: Quaternion, v: Vector) -> Vector:
    x, y, z, _ = multiply(multiply(q, (*v, 0.0)), conjugate(q))
    return (x, y, z)


def interpolate(a: Rigid, b: Rigid, ratio: float) -> Rigid:
    """The transform `ratio` of the way from a to b: straight line, and the shorter great arc
    (Shoemake 1985)."""
    x, y, z = (p + (q - p) * ratio for p, q in zip(a.translation, b.translation, strict=True))
    return Rigid((x, y, z), slerp(a.rotation, b.rotation, ratio))


def slerp(a: Quaternion, b: Quaternion, ratio: float) -> Quaternion:
    cosine = sum(p * q for p, q in zip(a, b, strict=True))
    if cosine < 0.0:  # b and -b are one rotation: the nearer of the two
        b, cosine = (-b[0], -b[1], -b[2], -b[3]), -cosine
    angle_rad = math.acos(min(cosine, 1.0))
    if angle_rad == 0.0:
        return a
    of_a, of_b = (math.sin(part * angle_rad) / math.sin(angle_rad) for part in (1.0 - ratio, ratio))
    x, y, z, w = (of_a * p + of_b * q for p, q in zip(a, b, strict=True))
    return (x, y, z, w)
