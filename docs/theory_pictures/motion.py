"""Pictures of motions: inverse of a motion, ICP, and drift of an inconsistent scale."""

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from docs.theory_pictures.drawing import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    Sheet,
    coloured,
    note,
    panel_height,
    plot,
    show,
)
from docs.theory_pictures.street import Street
from sfm_odometry.geometry.projection import (
    backproject,
    invert_transform,
    transform_from_vector,
    transform_points,
)
from sfm_odometry.geometry.view_synthesis import sample_at
from training.objective.icp import align_clouds
from training.objective.losses import depth_inconsistency
from training.synthetic.drive import DriveSpec, camera0_from_camera

STEP_M = 1.5
"""Distance between two frames at 15 m/s and 10 frames per second."""
MOTION_ERROR = (-0.35, 0.0, 0.5, 0.0, 0.035, 0.0)
"""Error of the motion that ICP corrects: metres and radians."""
NEIGHBOUR = 1
"""Frame before the target."""
MAX_CLOUD_DEPTH_M = 60.0
"""Points nearer than this are aligned and drawn."""
WINDING_DRIVE = DriveSpec(frames=600, seed=24)
"""A drive with bends; only its path is used."""


def draw_inverse(street: Street) -> Sheet:
    """Draw the error of T(-v) as the inverse of T(v)."""
    # Compose forward motions of rising yaw with both inverses.
    sheet = Sheet([3.3])
    yaw_deg = torch.linspace(0, 5, 51)
    vector = torch.zeros(51, 6)
    vector[:, 2] = STEP_M
    vector[:, 4] = torch.deg2rad(yaw_deg)
    negated = transform_from_vector(-vector) @ transform_from_vector(vector)
    inverted = invert_transform(transform_from_vector(vector)) @ transform_from_vector(vector)

    # Draw the error of a point's position.
    axes = plot(sheet, 0, 0, 2, "How far a point ends from where it began, there and back")
    for motion, name, colour in (
        (negated, "back by $T(-v)$", ORANGE),
        (inverted, "back by $T(v)^{-1}$", BLUE),
    ):
        axes.plot(
            yaw_deg, 100 * motion[:, :3, 3].norm(dim=1), color=colour, linewidth=2.4, label=name
        )
    axes.set(xlabel="yaw between the two frames, degrees", ylabel="centimetres", xlim=(0, 5))
    axes.legend()

    # Draw the error in the image.
    axes = plot(sheet, 0, 1, 2, "The same in the image, 416 pixels wide, by the point's depth")
    focal = float(street.intrinsics[0, 0, 0])
    for depth, colour in ((5.0, ORANGE), (10.0, PURPLE), (20.0, GREEN)):
        point = torch.tensor([0.0, 0.0, depth, 1.0])
        moved = negated @ point
        axes.plot(
            yaw_deg,
            focal * (moved[:, 0] / moved[:, 2]).abs(),
            color=colour,
            linewidth=2.4,
            label=f"{depth:g} m",
        )
    axes.set(xlabel="yaw between the two frames, degrees", ylabel="pixels", xlim=(0, 5))
    axes.legend()
    return sheet


def draw_icp(street: Street) -> Sheet:
    """Draw two point clouds from above, before and after ICP has corrected a wrong motion."""
    # Align the target's points, moved wrongly, with the source's.
    sheet = Sheet([4.6])
    error = transform_from_vector(torch.tensor([MOTION_ERROR]))
    points = transform_points(
        error @ street.source_from_target(NEIGHBOUR),
        backproject(street.target_depth, street.intrinsics),
    )
    reference = backproject(street.depth[NEIGHBOUR][None], street.intrinsics)
    alignment = align_clouds(
        points,
        points[:, 2:] < MAX_CLOUD_DEPTH_M,
        reference,
        reference[:, 2:] < MAX_CLOUD_DEPTH_M,
        street.intrinsics,
    )

    # Draw both states.
    states = (("$P$ and $Q$", torch.eye(4)[None]), ("$T'P$ and $Q$, after ICP", alignment.motion))
    for column, (title, motion) in enumerate(states):
        axes = plot(sheet, 0, column, 2, f"{title}: {_error_text((motion @ error)[0])}")
        _draw_cloud(axes, reference, BLUE, "$Q$: the source's own points")
        _draw_cloud(
            axes, transform_points(motion, points), ORANGE, "$P$: the target's points, moved"
        )
        axes.set(
            xlim=(6, 32),
            ylim=(-16, 9.5),
            xlabel="forward, m",
            ylabel="right, m",
            yticks=range(-15, 10, 5),
        )
        for handle in axes.legend(loc="lower left", markerscale=8).legend_handles:
            handle.set_alpha(1)
    return sheet


def _draw_cloud(axes: Axes, points: Tensor, colour: str, label: str) -> None:
    """Draw points (1, 3, H, W) from above, without the road and the crowns of trees."""
    x, y, z = points[0].flatten(1)
    shown = (y > -1.6) & (y < 0.7) & (z < MAX_CLOUD_DEPTH_M)
    axes.plot(z[shown], x[shown], ".", color=colour, markersize=1.6, alpha=0.6, label=label)


def _error_text(error: Tensor) -> str:
    """Returns the error (4, 4) of a motion as a distance and an angle."""
    yaw = float(torch.rad2deg(torch.asin(error[0, 2].clamp(-1, 1))))
    return f"off by {float(error[:3, 3].norm()):.2f} m, {abs(yaw):.2f} degrees"


def draw_consistency(street: Street) -> Sheet:
    """Draw the inconsistency of two views' depths, and paths whose scale is inconsistent."""
    # Inconsistency of the true depths, and of depths in different units.
    height = panel_height(2)
    sheet = Sheet([height, height])
    view = street.synthesised(NEIGHBOUR)
    cases = (
        (1.0, "Inconsistency of two true depth maps"),
        (1.25, "The same, the source's depths 25 % larger"),
    )
    for row, (factor, title) in enumerate(cases):
        sampled = sample_at(factor * street.depth[NEIGHBOUR][None], view.pixels)
        inconsistency = torch.where(
            view.valid & (street.target_depth < 1e4),
            depth_inconsistency(view.depth, sampled),
            torch.nan,
        )
        picture = coloured(inconsistency[0, 0].numpy(), 0.3, "inferno")
        axes = show(sheet, row, 0, 2, picture, title)
        note(axes, f"mean {float(inconsistency.nanmean()):.3f}")

    # Paths with and without one unit of length.
    title = "A path chained from motions that are right but for their unit"
    axes = plot(sheet, 0, 1, 2, title, span=2)
    positions = camera0_from_camera(WINDING_DRIVE)[:, (0, 2), 3]
    for spread, name, colour in (
        (0.0, "one unit throughout", BLUE),
        (0.02, "the unit wanders by 2 % a frame", ORANGE),
    ):
        path = _with_scale_drift(positions, spread)
        axes.plot(*path.T, color=colour, linewidth=2.4, label=name)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel="m", ylabel="m")
    axes.legend(loc="lower right")
    return sheet


def _with_scale_drift(positions: np.ndarray, spread: float) -> np.ndarray:
    """Returns positions (N, 2) with steps multiplied by a drifting scale.

    The logarithm of the scale is a random walk, with standard deviation `spread` per step.
    """
    steps = np.diff(positions, axis=0)
    factors = np.exp(np.cumsum(np.random.default_rng(3).normal(0, 1, len(steps))) * spread)
    return np.vstack([np.zeros(2), np.cumsum(steps * factors[:, None], axis=0)])
