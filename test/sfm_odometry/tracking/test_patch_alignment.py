"""Patches of anchor frames, aligned to views of a plane with known motion."""

import cv2
import numpy as np
import pytest

from sfm_odometry.geometry import se3
from sfm_odometry.tracking.patch_alignment import AnchorPatches, warp_patches
from sfm_odometry.tracking.track_table import TrackTable

K = np.array([[200.0, 0.0, 119.5], [0.0, 200.0, 79.5], [0.0, 0.0, 1.0]])
SIZE = (240, 160)
DEPTH = 5.0
KEYPOINTS = np.array([[80.0, 60.0], [120.0, 50.0], [160.0, 65.0], [85.0, 100.0], [150.0, 105.0]])


@pytest.fixture(scope="module")
def anchor():
    noise = np.random.default_rng(0).uniform(0, 255, SIZE[::-1]).astype(np.float32)
    return np.clip(128 + 4 * (cv2.GaussianBlur(noise, (0, 0), 2.5) - 128), 0, 255).astype(np.uint8)


def motion(forward=0.0, roll_deg=0.0):
    """current_from_anchor of a camera that moves forward and rolls."""
    result = np.eye(4)
    result[:3, :3] = se3.so3_exp(np.array([0.01, -0.02, np.radians(roll_deg)]))
    result[:3, 3] = (0.1, -0.05, -forward)
    return result


def view(anchor, current_from_anchor):
    """Image of the fronto-parallel plane at DEPTH that the anchor image shows."""
    normal = np.array([[0.0, 0.0, 1.0]])
    plane = current_from_anchor[:3, :3] + current_from_anchor[:3, 3:] @ normal / DEPTH
    homography = K @ plane @ np.linalg.inv(K)
    return cv2.warpPerspective(anchor, homography, SIZE, flags=cv2.INTER_CUBIC)


def projected(keypoints, current_from_anchor):
    points = DEPTH * np.column_stack(
        [(keypoints - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones(len(keypoints))]
    )
    moved = points @ current_from_anchor[:3, :3].T + current_from_anchor[:3, 3]
    return points, moved[:, :2] / moved[:, 2:] * K[[0, 1], [0, 1]] + K[:2, 2]


def aligned(anchor, image, current_from_anchor, offset, warp_motion=None):
    patches = AnchorPatches(9)
    patches.append(anchor, KEYPOINTS)
    points, truth = projected(KEYPOINTS, current_from_anchor)
    poses = np.tile(warp_motion if warp_motion is not None else current_from_anchor, (5, 1, 1))
    warp = warp_patches(points, poses, K[[0, 1], [0, 1]], patches.grid)
    return patches.align(np.arange(5), image, truth + offset, warp), truth


@pytest.mark.parametrize(("forward", "roll_deg"), [(0.0, 0.0), (1.0, 0.0), (2.0, 10.0)])
def test_keypoints_move_to_their_true_place(anchor, forward, roll_deg):
    current_from_anchor = motion(forward, roll_deg)
    image = view(anchor, current_from_anchor)
    result, truth = aligned(anchor, image, current_from_anchor, np.array([0.6, -0.4]))
    assert np.abs(result.keypoints - truth).max() < 0.08
    assert result.correlation.min() > 0.97


def test_gain_and_offset_of_the_image_change_nothing(anchor):
    current_from_anchor = motion(1.0)
    image = view(anchor, current_from_anchor)
    darker = np.clip(0.6 * image.astype(float) + 30, 0, 255).astype(np.uint8)
    result, truth = aligned(anchor, darker, current_from_anchor, np.array([0.5, 0.5]))
    assert np.abs(result.keypoints - truth).max() < 0.1


def test_another_image_does_not_correlate(anchor):
    result, _ = aligned(anchor, np.ascontiguousarray(anchor[::-1, ::-1]), motion(), np.zeros(2))
    assert np.median(result.correlation) < 0.7


def test_patches_of_a_plane_that_comes_nearer_are_not_found_too_far_outside(anchor):
    """An affine warp leaves out the perspective terms, which move the patch outwards."""
    current_from_anchor = motion(2.0)
    current_from_anchor[:3, :3] = se3.so3_exp(np.array([0.0, np.radians(25.0), 0.0]))
    points, _ = projected(KEYPOINTS, current_from_anchor)
    patches = AnchorPatches(15)
    poses = np.tile(current_from_anchor, (5, 1, 1))
    warp = warp_patches(points, poses, K[[0, 1], [0, 1]], patches.grid)
    affine = warp.jacobian @ patches.grid
    corners = projected(KEYPOINTS + np.array([7.0, 7.0]), current_from_anchor)[1]
    centres = projected(KEYPOINTS, current_from_anchor)[1]
    assert np.allclose(warp.offsets[:, :, -1], corners - centres, atol=1e-3)
    assert np.abs(affine - warp.offsets).max() > 0.3


def test_shrunk_and_enlarged_patches_are_not_usable():
    points, _ = projected(KEYPOINTS, np.eye(4))
    grid = AnchorPatches(9).grid
    poses = np.stack([motion(forward) for forward in (0.0, 1.0, 4.5, -8.0, 2.0)])
    usable = warp_patches(points, poses, K[[0, 1], [0, 1]], grid).usable
    assert usable.tolist() == [True, True, False, False, True]


def test_the_table_keeps_anchors_while_a_track_is_left_of_them(anchor):
    table = TrackTable(9)
    table.append(anchor, KEYPOINTS[:2], np.full(2, 1 / DEPTH), np.full(2, 0.05))
    table.advance(
        np.array([1]), motion(0.5), KEYPOINTS[1:2] + 1, np.full(1, 1 / 4.5), np.full(1, 0.01)
    )
    table.append(anchor, KEYPOINTS[3:], np.full(2, 1 / DEPTH), np.full(2, 0.05))
    assert table.anchor.tolist() == [0, 1, 1] and table.age.tolist() == [1, 0, 0]
    assert np.allclose(table.newest_from_anchor[0], motion(0.5))
    table.scale(2.0)
    assert np.allclose(table.newest_from_anchor[0][:3, 3], motion(0.5)[:3, 3] / 2.0)
    table.advance(np.array([1, 2]), motion(0.5), KEYPOINTS[3:], np.full(2, 0.4), np.full(2, 0.01))
    assert len(table.newest_from_anchor) == 1 and len(table.patches) == len(table) == 2
