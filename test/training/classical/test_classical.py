"""Classical odometry on rendered drives: motions, lengths, standstill, warnings, invalid input."""

import cv2
import numpy as np
import pytest

from sfm_odometry.geometry import se3
from sfm_odometry.io.trajectories import read_poses
from training.classical.__main__ import main
from training.classical.config import ClassicalConfig
from training.classical.epipolar import (
    epipolar_motion,
    inverse_depths,
    pixels_to_rays,
    rotation_fit,
    sampson_errors,
)
from training.classical.odometry import ClassicalOdometry, weighted_median
from training.evaluate.odometry import rotation_angles_rad
from training.synthetic.drive import DriveSpec, camera0_from_camera, write_drive

K = np.array([[240.0, 0.0, 160.0], [0.0, 240.0, 60.0], [0.0, 0.0, 1.0]])
CONFIG = ClassicalConfig()


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """Twelve rendered frames of 320x96 with their true poses."""
    folder = tmp_path_factory.mktemp("classical") / "drive"
    write_drive(folder, DriveSpec(frames=12, seed=3, width=320, height=96), workers=1, quiet=True)
    return folder


@pytest.fixture(scope="module")
def greys(drive):
    """Grey images of the drive."""
    return [
        cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for path in sorted((drive / "image_2").iterdir())
    ]


@pytest.fixture
def scene():
    """Pixels (300, 2) in views a and b of the same points, true b_from_a, points (300, 3) in a."""
    rng = np.random.default_rng(4)
    points = np.column_stack(
        [rng.uniform(-8, 8, 300), rng.uniform(-2, 2, 300), rng.uniform(6, 30, 300)]
    )
    b_from_a = np.eye(4)
    b_from_a[:3, :3] = se3.so3_exp(np.array([0.01, -0.03, 0.005]))
    b_from_a[:3, 3] = [0.1, 0.02, -0.9]
    return project(points), project(points @ b_from_a[:3, :3].T + b_from_a[:3, 3]), b_from_a, points


def project(points):
    return (points[:, :2] / points[:, 2:] * 240 + K[:2, 2]).astype(np.float32)


def steps_of(poses):
    return np.linalg.inv(poses[:-1]) @ poses[1:]


def angle_deg(a, b):
    return np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def test_motion_of_exact_points(scene):
    in_a, in_b, b_from_a, _ = scene
    motion = epipolar_motion(in_a, in_b, K, CONFIG)
    np.testing.assert_allclose(motion.b_from_a[:3, :3], b_from_a[:3, :3], atol=1e-5)
    assert np.linalg.norm(motion.b_from_a[:3, 3]) == pytest.approx(1)
    assert angle_deg(motion.b_from_a[:3, 3], b_from_a[:3, 3]) < 0.02
    assert motion.inliers.all()


def test_independently_moving_points_are_outliers(scene):
    in_a, in_b, b_from_a, _ = scene
    in_b[:60] += np.float32([0.0, 4.0])
    motion = epipolar_motion(in_a, in_b, K, CONFIG)
    assert angle_deg(motion.b_from_a[:3, 3], b_from_a[:3, 3]) < 0.3
    assert motion.inliers[60:].all() and motion.inliers[:60].mean() < 0.2


def test_refinement_averages_noise(scene):
    in_a, in_b, b_from_a, _ = scene
    noisy = in_b + np.random.default_rng(0).normal(0, 0.1, in_b.shape).astype(np.float32)
    motion = epipolar_motion(in_a, noisy, K, CONFIG)
    error = motion.b_from_a[:3, :3].T @ b_from_a[:3, :3]
    assert np.degrees(rotation_angles_rad(error[None])[0]) < 0.02


def test_sampson_errors_of_the_truth_are_zero_and_measured_in_rays(scene):
    in_a, in_b, b_from_a, _ = scene
    direction = b_from_a[:3, 3] / np.linalg.norm(b_from_a[:3, 3])
    rays_a = pixels_to_rays(in_a, K)
    rays_b = pixels_to_rays(in_b, K)
    error, _ = sampson_errors(b_from_a[:3, :3], direction, rays_a, rays_b)
    assert np.abs(error).max() < 1e-6
    moved, _ = sampson_errors(
        b_from_a[:3, :3], direction, rays_a, rays_b + np.array([0.0, 0.01, 0.0])
    )
    assert 0 < np.abs(moved).max() < 0.01  # the distance is shared by the two images


def test_inverse_depths_of_exact_points(scene):
    in_a, in_b, b_from_a, points = scene
    inverse, parallax = inverse_depths(pixels_to_rays(in_a, K), pixels_to_rays(in_b, K), b_from_a)
    far_apart = parallax * 240 > 1
    assert far_apart.sum() > 100
    np.testing.assert_allclose(inverse[far_apart] * points[far_apart, 2], 1, atol=1e-3)


def test_weighted_median():
    assert weighted_median(np.array([5.0, 1.0, 3.0]), np.ones(3)) == 3
    assert weighted_median(np.array([5.0, 1.0, 3.0]), np.array([9.0, 1.0, 1.0])) == 5


def arguments(images, calib, out, *others):
    return ["--images", str(images), "--calib", str(calib), "--out", str(out), *others]


def test_rotation_direction_and_relative_length_of_a_rendered_drive(drive, tmp_path):
    out = tmp_path / "new" / "poses.txt"
    assert main(arguments(drive / "image_2", drive / "calib.txt", out)) == 0
    found = steps_of(read_poses(out).poses)
    true = steps_of(camera0_from_camera(DriveSpec(frames=12, seed=3, width=320, height=96)))
    errors = np.linalg.inv(found) @ true
    assert np.degrees(rotation_angles_rad(errors[:, :3, :3])).mean() < 0.06
    assert np.mean([angle_deg(a[:3, 3], b[:3, 3]) for a, b in zip(found, true, strict=True)]) < 2
    ratios = np.linalg.norm(found[:, :3, 3], axis=1) / np.linalg.norm(true[:, :3, 3], axis=1)
    assert np.ptp(ratios) / ratios.mean() < 0.15


def test_smaller_images_give_nearly_the_same(drive, tmp_path):
    out = tmp_path / "poses.txt"
    assert main(arguments(drive / "image_2", drive / "calib.txt", out, "--width", "240")) == 0
    errors = np.linalg.inv(steps_of(read_poses(out).poses)) @ steps_of(
        read_poses(drive / "poses.txt").poses
    )
    assert np.degrees(rotation_angles_rad(errors[:, :3, :3])).mean() < 0.15


def test_noise_at_standstill_is_no_motion(greys):
    rng = np.random.default_rng(1)
    odometry = ClassicalOdometry(K)
    for _ in range(4):
        noisy = np.clip(greys[0] + rng.normal(0, 1.5, greys[0].shape), 0, 255).astype(np.uint8)
        step = odometry.process(noisy)
        np.testing.assert_array_equal(step.previous_from_current, np.eye(4))
        assert step.warning == ""


def turned(grey, rotation_vector_rad):
    """The image of a camera that turned in place."""
    rotation = se3.so3_exp(np.array(rotation_vector_rad))
    homography = K @ rotation @ np.linalg.inv(K)
    size = grey.shape[::-1]
    return cv2.warpPerspective(grey, homography, size, borderMode=cv2.BORDER_REFLECT), rotation


@pytest.mark.parametrize("axis", range(3))
def test_a_camera_that_turns_in_place_does_not_move(greys, axis):
    vector = np.eye(3)[axis] * 0.02
    odometry = ClassicalOdometry(K)
    odometry.process(greys[0])
    image, rotation = turned(greys[0], vector)
    step = odometry.process(image)
    np.testing.assert_array_equal(step.previous_from_current[:3, 3], 0)
    error = step.previous_from_current[:3, :3] @ rotation
    assert np.degrees(rotation_angles_rad(error[None])[0]) < 0.03


def test_the_rotation_fit_ignores_points_of_large_parallax():
    rng = np.random.default_rng(3)
    rays = np.column_stack([rng.uniform(-0.6, 0.6, 200), rng.uniform(-0.2, 0.2, 200), np.ones(200)])
    rotation = se3.so3_exp(np.array([0.01, 0.04, -0.02]))
    in_a, in_b = project(rays), project(rays @ rotation.T)
    in_b[:50] += rng.uniform(-9, 9, (50, 2)).astype(np.float32)
    fit = rotation_fit(in_a, in_b, K, CONFIG)
    error = fit.b_from_a[:3, :3].T @ rotation
    assert np.degrees(rotation_angles_rad(error[None])[0]) < 0.01
    assert fit.residual_pixels < 0.02


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("step", [0.02, 0.05, -0.05])
def test_slow_motion_never_turns_the_camera_around(scene, seed, step):
    in_a, _, _, points = scene
    rng = np.random.default_rng(seed)
    moved = points + np.array([0.2 * step, 0.0, -step])
    in_b = project(moved) + rng.normal(0, 0.1, (300, 2)).astype(np.float32)
    turn = rotation_fit(in_a, in_b, K, CONFIG).b_from_a[:3, :3]
    motion = epipolar_motion(in_a, in_b, K, CONFIG, turn)
    if motion is not None:
        angle = rotation_angles_rad(motion.b_from_a[None, :3, :3])[0]
        assert np.degrees(angle) < 1.0


def test_step_length_is_recovered_after_a_stop(drive, greys):
    true = steps_of(read_poses(drive / "poses.txt").poses)
    k = DriveSpec(frames=12, seed=3, width=320, height=96).intrinsics().matrix()
    odometry = ClassicalOdometry(k)
    steps = [
        odometry.process(grey).previous_from_current
        for grey in [*greys[:6], *[greys[5]] * 6, *greys[6:]]
    ]
    found = np.stack([*steps[1:6], *steps[12:]])
    ratios = np.linalg.norm(found[:, :3, 3], axis=1) / np.linalg.norm(true[:, :3, 3], axis=1)
    assert ratios[6:].mean() / ratios[:5].mean() == pytest.approx(1, abs=0.25)


def test_images_without_texture_repeat_the_step_before(greys):
    odometry = ClassicalOdometry(K)
    steps = [odometry.process(grey) for grey in greys[:3]]
    assert [step.warning for step in steps] == ["", "", ""]
    moved = steps[-1]
    blind = odometry.process(np.full_like(greys[0], 90))
    np.testing.assert_array_equal(blind.previous_from_current, moved.previous_from_current)
    assert blind.warning == "0 tracks: goes on as before"
    nothing = ClassicalOdometry(K)
    assert [nothing.process(np.zeros((96, 320), np.uint8)).warning for _ in range(2)] == [
        "",
        "0 tracks: goes on as before",
    ]


def test_too_few_tracks_determine_no_motion(scene):
    in_a, in_b, _, _ = scene
    assert epipolar_motion(in_a[:19], in_b[:19], K, CONFIG) is None
    rng = np.random.default_rng(2)
    scattered = [rng.uniform((0, 0), (320, 120), (40, 2)).astype(np.float32) for _ in range(2)]
    assert epipolar_motion(*scattered, K, CONFIG) is None


def test_the_same_images_give_the_same_path(greys):
    first, second = (
        np.stack([odometry.process(grey).previous_from_current for grey in greys[:5]])
        for odometry in (ClassicalOdometry(K), ClassicalOdometry(K))
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--width", "4000"), "width 4000, expected 64 to the images' own 320 pixels"),
        (("--calib", "nowhere.txt"), "nowhere.txt: no such file"),
        (("--images", "nowhere"), "nowhere: no such file or folder"),
        (("--camera", "7"), "no P7 for camera 7"),
    ],
)
def test_invalid_arguments_are_refused(drive, tmp_path, capsys, change, message):
    options = {
        "--images": drive / "image_2",
        "--calib": drive / "calib.txt",
        "--out": tmp_path / "poses.txt",
        change[0]: change[1],
    }
    assert main([str(word) for option in options.items() for word in option]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "poses.txt").exists()


def test_one_image_is_refused(drive, tmp_path, capsys):
    (tmp_path / "image_2").mkdir()
    (tmp_path / "image_2" / "000000.png").write_bytes(
        (drive / "image_2" / "000000.png").read_bytes()
    )
    out = tmp_path / "poses.txt"
    assert main(arguments(tmp_path / "image_2", drive / "calib.txt", out)) == 2
    assert "1 images, expected at least 2" in capsys.readouterr().err


def test_an_image_of_another_size_is_named(drive, tmp_path, capsys):
    folder = tmp_path / "image_2"
    folder.mkdir()
    for number, size in enumerate([(320, 96), (320, 96), (160, 48)]):
        cv2.imwrite(
            str(folder / f"{number:06d}.png"),
            np.random.default_rng(number).integers(0, 255, size[::-1], np.uint8),
        )
    words = arguments(folder, drive / "calib.txt", tmp_path / "poses.txt")
    assert main([*words, "--strict"]) == 2
    assert "000002.png: 160x48 pixels" in capsys.readouterr().err
    assert main(words) == 0
    assert "000002.png: 160x48 pixels" in capsys.readouterr().err
    assert len(read_poses(tmp_path / "poses.txt").poses) == 3


def test_a_video_gives_the_path_of_its_folder(drive, greys, tmp_path):
    """Without loss; grey frames, so that their conversion cannot matter."""
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 10, (320, 96))
    if not writer.isOpened():
        pytest.skip("OpenCV has no encoder of FFV1")
    (tmp_path / "images").mkdir()
    for index, grey in enumerate(greys[:5]):
        writer.write(cv2.merge([grey] * 3))
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), grey)
    writer.release()
    paths = []
    for images in (tmp_path / "images", path):
        out = tmp_path / "poses.txt"
        assert main(arguments(images, drive / "calib.txt", out)) == 0
        paths.append(read_poses(out).poses)
    np.testing.assert_array_equal(*paths)
