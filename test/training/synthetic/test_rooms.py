"""Rendered rooms: depth and poses explain the images, the camera meets nothing, options, layout."""

import json

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from training.prepare.__main__ import main as prepare
from training.synthetic.__main__ import main
from training.synthetic.drive import DriveSpec, make_renderer
from training.synthetic.frames import RenderedFrame
from training.synthetic.rooms.piece import Piece, Solids, join_solids
from training.synthetic.rooms.plan import draw_plan
from training.synthetic.rooms.room_renderer import RoomRenderer
from training.synthetic.rooms.storey import draw_storey
from training.synthetic.rooms.walk import RIGS, camera_walk, draw_rig

SPEC = DriveSpec(30, 27, 160, 120, world="rooms", rig="hand", fov_deg=70.0, rate_hz=4.0)
FIRST = 12


@pytest.fixture(scope="module")
def renderer() -> RoomRenderer:
    made = make_renderer(SPEC)
    assert isinstance(made, RoomRenderer)
    return made


@pytest.fixture(scope="module")
def pair(renderer: RoomRenderer) -> tuple[RenderedFrame, RenderedFrame]:
    return renderer.render(FIRST), renderer.render(FIRST + 1)


def warp(
    frame: RenderedFrame, other: RenderedFrame, other_from_frame: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The other frame's image warped to `frame`, the relative error of its depth, and what is seen.

    Seen are pixels with a depth that project into the other frame, (H, W).
    """
    matrix = SPEC.intrinsics().matrix()
    x, y = np.meshgrid(np.arange(SPEC.width), np.arange(SPEC.height))
    rays = np.linalg.inv(matrix) @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    points = other_from_frame[:3, :3] @ (rays * frame.depth_m.ravel()) + other_from_frame[:3, 3:]
    image = (matrix @ points).reshape(3, *x.shape)
    u, v = (image[:2] / np.maximum(image[2], 1e-6)).astype(np.float32)
    warped = cv2.remap(other.image.astype(np.float32), u, v, cv2.INTER_LINEAR)
    depth = cv2.remap(other.depth_m.astype(np.float32), u, v, cv2.INTER_NEAREST)
    seen = (u >= 0) & (v >= 0) & (u <= SPEC.width - 1) & (v <= SPEC.height - 1)
    seen &= frame.depth_m > 0
    return warped, np.abs(depth - image[2]) / np.maximum(image[2], 1e-6), seen


def test_true_depth_and_pose_synthesise_the_frame_from_the_next(renderer, pair):
    first, second = pair
    poses = renderer.camera0_from_camera
    motion = np.linalg.inv(poses[FIRST + 1]) @ poses[FIRST]
    warped, error, seen = warp(first, second, motion)
    visible = seen & (error < 0.05)
    assert np.median(error[seen]) < 0.005
    assert visible.sum() > 0.9 * seen.sum() > 0.5 * seen.size
    residual = np.abs(warped - first.image).mean(axis=2)
    unmoved = np.abs(second.image.astype(float) - first.image).mean(axis=2)
    backwards, _, _ = warp(first, second, np.linalg.inv(motion))
    opposite = np.abs(backwards - first.image).mean(axis=2)
    assert residual[visible].mean() < 0.4 * unmoved[visible].mean()
    assert residual[seen].mean() < 0.4 * opposite[seen].mean()


def test_rooms_are_closed_near_and_at_rest(pair):
    """Every pixel has a depth, most of them that of a room; nothing moves."""
    for frame in pair:
        assert (frame.depth_m > 0.05).mean() > 0.99
        assert 0.3 < np.median(frame.depth_m) < 8
        assert not frame.moving.any()
        assert 30 < frame.image.mean() < 200 and frame.image.std() > 15


def test_frames_do_not_depend_on_earlier_ones(renderer, pair):
    again = renderer.render(FIRST)
    np.testing.assert_array_equal(again.image, pair[0].image)
    np.testing.assert_array_equal(again.depth_m, pair[0].depth_m)


def test_pixels_of_the_floor_lie_on_it(renderer):
    """Points of pixels lie between floor and ceiling, and some exactly on the floor."""
    lowest = int(np.argmin(renderer.world_from_camera[:, 2, 2]))
    frame = renderer.render(lowest)
    matrix = SPEC.intrinsics().matrix()
    x, y = np.meshgrid(np.arange(SPEC.width), np.arange(SPEC.height))
    rays = np.linalg.inv(matrix) @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    pose = renderer.world_from_camera[lowest]
    points = pose[:3, :3] @ (rays * frame.depth_m.ravel()) + pose[:3, 3:]
    plan = renderer.storey.plan
    inside = (points[:2].T > 0).all(axis=1) & (plan.size > points[:2].T).all(axis=1)
    heights = points[2][inside]
    assert heights.min() > -1e-6 and heights.max() < plan.height + 1e-6
    assert (np.abs(heights) < 1e-6).mean() > 0.05


@pytest.mark.parametrize("seed", range(2))
def test_no_camera_comes_near_walls_or_furniture(seed):
    """Each rig keeps its distance, its heights and its speed; a robot stays level and planar."""
    storey = draw_storey(seed)
    for name in RIGS:
        rng = np.random.default_rng(seed)
        rig = draw_rig(rng, name)
        poses = camera_walk(rng, rig, storey.plan, storey.solids, storey.targets, 300, 10.0)
        centers = poses[:, :3, 3]
        assert storey.solids.distance(centers).min() > 0.15
        low, high = {"hand": (1.15, 1.75), "robot": (0.19, 0.61), "drone": (0.5, 1.85)}[name]
        assert low < centers[:, 2].min() and centers[:, 2].max() < high
        inside = [
            ((centers[:, :2] > room.low) & (centers[:, :2] < room.high)).all(axis=1)
            for room in storey.plan.rooms
        ]
        doors = [
            ((centers > door.low - 1e-6) & (centers < door.high)).all(axis=1)
            for door in storey.plan.doors
        ]
        assert np.any([*inside, *doors], axis=0).all()
        step = np.linalg.norm(np.diff(centers, axis=0), axis=1)
        assert step.max() < 0.25 and step.sum() > 0.3
        np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1.0)
        if name == "robot":
            assert np.ptp(centers[:, 2]) < 0.01
            assert np.abs(poses[:, 2, 0]).max() < np.sin(np.radians(1)), "no roll"


def test_rooms_are_joined_by_doors():
    for seed in range(20):
        plan = draw_plan(seed)
        reached = {0}
        for _ in plan.rooms:
            for door in plan.doors:
                ends = {
                    k
                    for k, room in enumerate(plan.rooms)
                    if (room.low < door.high[:2] + 0.01).all()
                    and (room.high > door.low[:2] - 0.01).all()
                }
                reached |= ends if ends & reached else set()
        assert reached == set(range(len(plan.rooms)))


def test_distance_to_solids():
    turned = Solids(
        np.array([[1.0, 0.0, 0.0]]),
        np.array([np.pi / 2]),
        np.array([[2.0, 0.5, 1.0]]),
        np.array([True]),
    )
    far = Solids(np.full((1, 3), 50.0), np.zeros(1), np.ones((1, 3)), np.array([True]))
    points = np.array([[1.0, 1.9, 0.0], [2.0, 0.0, 0.0], [1.0, 3.0, 2.0], [0.0, 3.0, 2.0]])
    expected = [0.0, 0.5, np.sqrt(2), np.sqrt(2.25)]
    np.testing.assert_allclose(join_solids([turned, far]).distance(points), expected, atol=1e-12)


def test_faces_of_boxes_and_prisms_look_outwards(renderer):
    """Normals point away from the middle; otherwise faces would be missing."""
    for add in ("block", "prism"):
        piece = Piece(renderer.storey.materials, np.random.default_rng(0))
        if add == "block":
            piece.block((-1.0, 0.0, 0.5), (2.0, 1.0, 1.0), 0, spin_rad=0.4)
        else:
            piece.prism((0.0, 0.0, 0.0), 1.0, (0.5, 0.3), 0)
        polygons = piece.mesh.polygons()
        middle = polygons.corners.reshape(-1, 3).mean(axis=0)
        outwards = polygons.corners.mean(axis=1) - middle
        assert (np.einsum("ni,ni->n", polygons.normals(), outwards) > 0).all()


def test_layout_options_and_preparation(tmp_path, monkeypatch):
    """A rendered walk has its rate and lens in its files, and training.prepare reads it."""
    out = tmp_path / "drives" / "5"
    arguments = ["--world", "rooms", "--frames", "3", "--seed", "5", "--size", "64x48", "--quiet"]
    arguments += ["--rig", "drone", "--fov", "90", "--rate", "4", "--workers", "1"]
    assert main(["--out", str(out), *arguments]) == 0
    np.testing.assert_allclose(np.loadtxt(out / "times.txt"), [0.0, 0.25, 0.5])
    projection = np.array((out / "calib.txt").read_text().split()[1:13], dtype=float)
    assert projection[0] == pytest.approx(32.0) and projection[5] == pytest.approx(32.0)
    marker = json.loads((out / "synthetic.json").read_text())
    assert (marker["world"], marker["rig"], marker["rate_hz"]) == ("rooms", "drone", 4.0)
    depth = cv2.imread(str(out / "depth" / "000001.png"), cv2.IMREAD_UNCHANGED) / 256
    assert depth.shape == (48, 64) and 0.3 < np.median(depth) < 8
    mask = cv2.imread(str(out / "motion_mask" / "000001.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (48, 64) and not mask.any()
    prepared = tmp_path / "prepared"
    root = ["--root", str(tmp_path / "drives"), "--out", str(prepared), "--size", "64x48"]
    root += ["--workers", "1"]
    assert prepare(["kitti-odometry", *root]) == 0
    assert len(np.load(next(prepared.rglob("depth.npy")), mmap_mode="r")) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"world": "moon"}, "--world moon"),
        ({"world": "rooms", "rig": "horse"}, "--rig horse"),
        ({"world": "rooms", "fov_deg": 170.0}, "--fov 170"),
        ({"world": "rooms", "rate_hz": 100.0}, "--rate 100"),
        ({"rig": "hand"}, "--rig hand"),
        ({"fov_deg": 70.0}, "--fov 70"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=f"{message}.*expected"):
        DriveSpec(3, 1, **options)


def test_field_of_view_and_rig_are_drawn_from_the_seed():
    views = []
    for seed in range(30):
        k = DriveSpec(3, seed, 640, 480, "rooms").intrinsics()
        views.append(np.degrees(2 * np.arctan(320 / k.fx)))
    assert 50 <= min(views) < 60 and 90 < max(views) <= 100
    rigs = {draw_rig(np.random.default_rng(seed), None).name for seed in range(20)}
    assert rigs == set(RIGS)
