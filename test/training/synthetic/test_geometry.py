"""Exactness of rendered drives: depth, poses and masks explain the images."""

import cv2
import numpy as np
import pytest

from training.synthetic.atlas import Atlas
from training.synthetic.drive import DriveSpec
from training.synthetic.polygons import Mesh, Polygons
from training.synthetic.raster import Samples, fill, project, project_parallel
from training.synthetic.render import RenderedFrame, Renderer

SPEC = DriveSpec(frames=60, seed=3, width=416, height=128)
FIRST = 20


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SPEC.seed, SPEC.frames, SPEC.intrinsics())


@pytest.fixture(scope="module")
def pair(renderer: Renderer) -> tuple[RenderedFrame, RenderedFrame]:
    return renderer.render(FIRST), renderer.render(FIRST + 1)


def warped_coordinates(
    frame: RenderedFrame, other_from_frame: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates u, v (H, W) of each pixel of `frame` in the other view, and its depth there."""
    matrix = SPEC.intrinsics().matrix()
    x, y = np.meshgrid(np.arange(SPEC.width), np.arange(SPEC.height))
    points = (
        np.linalg.inv(matrix)
        @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        * frame.depth_m.ravel()
    )
    points = other_from_frame[:3, :3] @ points + other_from_frame[:3, 3:]
    image = matrix @ points
    shape = frame.depth_m.shape
    depth = points[2].reshape(shape)
    return (
        (image[0].reshape(shape) / np.maximum(depth, 1e-6)),
        (image[1].reshape(shape) / np.maximum(depth, 1e-6)),
        depth,
    )


def static_and_visible(
    first: RenderedFrame, second: RenderedFrame, other_from_frame: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Warps the second frame to the first.

    Returns the warped image, the relative depth error, which pixels are static and inside the
    second frame, and which of these are not occluded, all (H, W).
    """
    u, v, depth = warped_coordinates(first, other_from_frame)
    u32 = u.astype(np.float32)
    v32 = v.astype(np.float32)
    warped = cv2.remap(second.image.astype(np.float32), u32, v32, cv2.INTER_LINEAR)
    second_depth = cv2.remap(second.depth_m.astype(np.float32), u32, v32, cv2.INTER_NEAREST)
    second_moving = cv2.remap(second.moving.astype(np.uint8), u32, v32, cv2.INTER_NEAREST) > 0
    inside = (u >= 0) & (v >= 0) & (u <= SPEC.width - 1) & (v <= SPEC.height - 1)
    static = (first.depth_m > 0) & ~first.moving & ~second_moving & inside
    error = np.abs(second_depth - depth) / np.maximum(depth, 1e-6)
    return warped, error, static, static & (error < 0.05)


def second_from_first(renderer: Renderer, first: int, second: int) -> np.ndarray:
    poses = renderer.camera0_from_camera
    return np.linalg.inv(poses[second]) @ poses[first]


def test_true_depth_and_pose_synthesise_the_frame_from_the_next(renderer, pair):
    first, second = pair
    warped, _, _, visible = static_and_visible(
        first, second, second_from_first(renderer, FIRST, FIRST + 1)
    )
    residual = np.abs(warped - first.image).mean(axis=2)[visible]
    without_motion = np.abs(second.image.astype(float) - first.image).mean(axis=2)[visible]
    assert residual.mean() < 0.4 * without_motion.mean()
    assert np.median(residual) < 5.0


def test_the_opposite_pose_explains_less(renderer, pair):
    first, second = pair
    right = second_from_first(renderer, FIRST, FIRST + 1)
    residuals = []
    for motion in (right, np.linalg.inv(right)):
        warped, _, static, _ = static_and_visible(first, second, motion)
        residuals.append(np.abs(warped - first.image).mean(axis=2)[static].mean())
    assert residuals[0] < 0.5 * residuals[1]


def test_depths_of_neighbouring_frames_agree(renderer, pair):
    _, error, static, visible = static_and_visible(
        *pair, second_from_first(renderer, FIRST, FIRST + 1)
    )
    assert np.median(error[static]) < 0.01
    assert visible.sum() > 0.85 * static.sum()


def test_road_pixels_lie_on_the_terrain(renderer, pair):
    first, _ = pair
    matrix = SPEC.intrinsics().matrix()
    below = [(SPEC.width // 2 + dx, SPEC.height - 3) for dx in (-40, -10, 10, 40)]
    heights = []
    for x, y in below:
        point = np.linalg.inv(matrix) @ [x, y, 1.0] * first.depth_m[y, x]
        world = renderer.world_from_camera[FIRST] @ [*point, 1.0]
        heights.append(world[2] - renderer.scene.terrain.height(world[:2]))
    assert np.abs(heights).max() < 1e-6


def moving_frame(renderer: Renderer) -> int:
    """Number of the frame in which an object moves closest ahead."""
    closest_m = 1e9
    found = -1
    for number in range(SPEC.frames):
        camera_from_world = np.linalg.inv(renderer.world_from_camera[number])
        for mover in renderer.movers:
            if np.isfinite(mover.points[number, 0]) and mover.moves_at(number):
                x, _, z, _ = camera_from_world @ [*mover.points[number], 0.0, 1.0]
                if z > 6 and abs(x) < 0.6 * z and z < closest_m:
                    closest_m = z
                    found = number
    assert found >= 0, "this seed has traffic"
    return found


def test_motion_mask_covers_exactly_the_moving_objects(renderer, monkeypatch):
    number = moving_frame(renderer)
    full = renderer.render(number)
    monkeypatch.setattr(renderer, "movers", [])
    empty = renderer.render(number)
    assert full.moving.sum() > 10
    assert not empty.moving.any()
    np.testing.assert_array_equal(full.depth_m != empty.depth_m, full.moving)


def ground_square(half_m: float) -> Polygons:
    """Horizontal square 1.65 m under the camera, in world axes that are the camera's."""
    mesh = Mesh()
    y = 1.65
    mesh.quad(
        [[-half_m, y, -half_m], [half_m, y, -half_m], [half_m, y, half_m], [-half_m, y, half_m]],
        0,
        two_sided=True,
    )
    return mesh.polygons()


@pytest.fixture(scope="module")
def blank_atlas() -> Atlas:
    return Atlas([np.full((8, 8, 4), 255, np.uint8)])


def test_depth_of_a_plane_that_reaches_behind_the_camera(blank_atlas):
    k = SPEC.intrinsics()
    samples = Samples(np.arange(float(k.width)), np.arange(float(k.height)))
    polygons = ground_square(90.0)
    projected = project(polygons, np.eye(4), k.matrix(), samples)
    nearness, index = fill(projected, polygons, blank_atlas, samples, np.ones(1))
    below = np.arange(k.height) > k.cy + k.fy * 1.65 / 90.0
    np.testing.assert_array_equal(index[below], 0)
    assert (index[: int(k.cy)] == -1).all()
    expected = k.fy * 1.65 / (samples.y[below] - k.cy)
    np.testing.assert_allclose(
        1 / nearness[below], np.repeat(expected[:, None], k.width, axis=1), rtol=2e-5
    )


def test_the_nearer_of_two_walls_is_visible(blank_atlas):
    k = SPEC.intrinsics()
    samples = Samples(np.arange(float(k.width)), np.arange(float(k.height)))
    mesh = Mesh()
    for z, half in ((20.0, 50.0), (5.0, 0.5)):
        mesh.quad([[-half, half, z], [half, half, z], [half, -half, z], [-half, -half, z]], 0)
    polygons = mesh.polygons()
    projected = project(polygons, np.eye(4), k.matrix(), samples)
    nearness, _ = fill(projected, polygons, blank_atlas, samples, np.ones(len(projected.source)))
    center = round(k.cy), round(k.cx)
    assert 1 / nearness[center] == pytest.approx(5.0, rel=1e-6)
    assert 1 / nearness[center[0], 3] == pytest.approx(20.0, rel=1e-6)
    edge = int(np.floor(k.cx + k.fx * 0.5 / 5.0))
    assert 1 / nearness[center[0], edge] == pytest.approx(5.0, rel=1e-6)
    assert 1 / nearness[center[0], edge + 1] == pytest.approx(20.0, rel=1e-6)


def test_back_faces_are_not_drawn():
    k = SPEC.intrinsics()
    mesh = Mesh()
    mesh.quad([[1, 1, 5], [-1, 1, 5], [-1, -1, 5], [1, -1, 5]], 0)
    samples = Samples(np.arange(float(k.width)), np.arange(float(k.height)))
    assert len(project(mesh.polygons(), np.eye(4), k.matrix(), samples).source) == 0


def test_the_highest_polygon_is_visible_along_parallel_light(blank_atlas):
    mesh = Mesh()
    for z in (1.0, 3.0):
        mesh.quad([[-1, -1, z], [1, -1, z], [1, 1, z], [-1, 1, z]], 0)
    samples = Samples(np.linspace(-2, 2, 41), np.linspace(-2, 2, 41))
    polygons = mesh.polygons()
    projected = project_parallel(polygons, np.eye(3), samples)
    height, index = fill(projected, polygons, blank_atlas, samples, np.ones(2))
    assert height[20, 20] == pytest.approx(3.0)
    assert (index >= 0).sum() == pytest.approx(21 * 21, abs=1)


def test_transformed_polygons_carry_their_texture():
    polygons = ground_square(2.0)
    angle = 0.3
    motion = np.eye(4)
    motion[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)],
        [0, 1, 0],
        [-np.sin(angle), 0, np.cos(angle)],
    ]
    motion[:3, 3] = 1.0, 2.0, 3.0
    transformed = polygons.transformed(motion, moving=True)
    for before, after in (
        (polygons.texture_u, transformed.texture_u),
        (polygons.texture_v, transformed.texture_v),
    ):
        before_values = np.einsum("mci,mi->mc", polygons.corners, before[:, :3]) + before[:, 3:]
        after_values = np.einsum("mci,mi->mc", transformed.corners, after[:, :3]) + after[:, 3:]
        np.testing.assert_allclose(after_values, before_values, atol=1e-12)
    assert transformed.moving.all()
