"""Robustness of the odometry on a rendered drive, with the packaged model.

Occlusion by a truck, night, dropped frames, a stop, a turn on the spot. The model has a unit of
length of its own, so lengths are compared with those of the undisturbed drive, or are in that unit.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from sfm_odometry.geometry import se3
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.results import FrameMotion
from training.synthetic.drive import DriveSpec
from training.synthetic.render import Renderer

STEP_NS = 100_000_000
SPEC = DriveSpec(frames=90, seed=9457)
DRIVING = 52
"""Number of frames at the start in which the car drives; it brakes from 12 m/s."""
STANDING = 55
"""Frame of the standstill, which lasts from frame 52 to 60; then the car drives on."""
RENDERED = 72
"""Number of frames that are rendered."""
STOP_FRAMES = 50
TURN_FRAMES = 30
MAX_TURN_DEG = 24.0


@dataclass(frozen=True)
class Drive:
    """Rendered drive, and a turn on the spot at its standstill."""

    camera: Intrinsics
    images: np.ndarray
    """(M, H, W, 3)."""
    poses: np.ndarray
    """True world_from_camera (M, 4, 4)."""
    turn_images: np.ndarray
    turn_poses: np.ndarray


@dataclass(frozen=True)
class Track:
    """Motions estimated from N frames, with the true poses; N - 1 steps lie between them."""

    motions: list[FrameMotion]
    poses: np.ndarray
    """True world_from_camera (N, 4, 4)."""

    @property
    def lengths(self) -> np.ndarray:
        return np.array(
            [np.linalg.norm(motion.previous_from_current[:3, 3]) for motion in self.motions[1:]]
        )

    @property
    def step_errors_deg(self) -> np.ndarray:
        true = [
            se3.inverse(before) @ after
            for before, after in zip(self.poses, self.poses[1:], strict=False)
        ]
        return np.array(
            [
                angle_deg(step, motion.previous_from_current)
                for step, motion in zip(true, self.motions[1:], strict=True)
            ]
        )

    @property
    def heading_error_deg(self) -> float:
        return angle_deg(
            se3.inverse(self.poses[0]) @ self.poses[-1], self.motions[-1].start_from_camera
        )

    @property
    def sigmas_deg(self) -> np.ndarray:
        steps = self.motions[1:]
        return np.degrees(
            [np.sqrt(np.trace(motion.twist_covariance[3:, 3:])) * motion.dt_s for motion in steps]
        )

    def between(self, first: int, last: int) -> np.ndarray:
        """Estimated motion first_from_last (4, 4) between two frames."""
        return (
            se3.inverse(self.motions[first].start_from_camera)
            @ self.motions[last].start_from_camera
        )


def angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    """Angle between the rotations of two motions (4, 4)."""
    return float(np.degrees(np.linalg.norm(se3.so3_log(first[:3, :3].T @ second[:3, :3]))))


def path_m(poses: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


def turn_rad(index: int) -> float:
    """Yaw of the turn on the spot at a frame: to the right and back again."""
    return float(np.radians(MAX_TURN_DEG / 2) * (1 - np.cos(2 * np.pi * index / TURN_FRAMES)))


@pytest.fixture(scope="module")
def drive():
    renderer = Renderer(SPEC.seed, SPEC.frames, SPEC.intrinsics())
    poses = renderer.world_from_camera.copy()
    images = np.stack([renderer.render(frame).image for frame in range(RENDERED)])
    turned = np.tile(poses[STANDING], (TURN_FRAMES, 1, 1))
    for index in range(TURN_FRAMES):
        turned[index, :3, :3] = poses[STANDING, :3, :3] @ se3.so3_exp(
            np.array([0.0, turn_rad(index + 1), 0.0])
        )
    # These frames determine the light and the traffic.
    frames = range(STANDING + 1, STANDING + 1 + TURN_FRAMES)
    renderer.world_from_camera[frames.start : frames.stop] = turned
    turn_images = np.stack([renderer.render(frame).image for frame in frames])
    return Drive(SPEC.intrinsics(), images, poses[:RENDERED], turn_images, turned)


@pytest.fixture(scope="module")
def estimator():
    return Estimator.from_file(None, "cpu", "eager")


@pytest.fixture(scope="module")
def track(drive, estimator):
    """Function that runs the odometry over images, stamped by their frame numbers."""

    def run(images, poses, numbers=None):
        numbers = range(len(images)) if numbers is None else numbers
        odometry = MonocularOdometry(estimator)
        motions = []
        for image, number in zip(images, numbers, strict=True):
            result = odometry.process(
                image, drive.camera, int(number) * STEP_NS, want_depth=False, want_mask=False
            )
            assert result.events == () and result.refused == ""
            motions += result.motions
        assert [motion.stamp_ns for motion in motions] == [
            int(number) * STEP_NS for number in numbers
        ]
        return Track(motions, np.asarray(poses))

    return run


@pytest.fixture(scope="module")
def undisturbed(drive, track):
    return track(drive.images, drive.poses)


@pytest.fixture(scope="module")
def unit(drive, undisturbed):
    """Estimated length of one metre."""
    return undisturbed.lengths[: DRIVING - 1].sum() / path_m(drive.poses[:DRIVING])


def noisy(image, sigma, rng):
    """Image with sensor noise of standard deviation sigma, in grey values."""
    return np.clip(np.round(image + rng.normal(0.0, sigma, image.shape)), 0, 255).astype(np.uint8)


def side_of_truck(images, width, height):
    """Realistic texture of a truck: a band of a much later frame, mirrored and enlarged."""
    band = images[-1][40:120, ::-1].astype(np.uint8)
    rows = np.arange(height) * len(band) // height
    columns = np.arange(width) * band.shape[1] // width
    return band[rows][:, columns]


def crossing(images, pixels_a_frame):
    """Images with a truck that crosses the road from left to right, and its shares of them.

    It is two thirds of the image wide and four fifths high.
    """
    width = 276
    height = 104
    side = side_of_truck(images, width, height)
    shares = []
    result = images.copy()
    for index, image in enumerate(result):
        left = pixels_a_frame * (index - 8) - width
        first = max(left, 0)
        last = min(left + width, image.shape[1])
        if first < last:
            image[:height, first:last] = side[:, first - left : last - left]
        shares.append(max(last - first, 0) * height / image[..., 0].size)
    return result, np.array(shares)


def alongside(images, pixels_a_frame):
    """Images with a truck that the car overtakes, and its shares of them.

    For 20 frames it covers up to the left half of the image, and falls back.
    """
    width = images.shape[2] // 2
    side = side_of_truck(images, 2 * width, images.shape[1])
    shares = []
    result = images.copy()
    for index, image in enumerate(result):
        since = index - 12
        visible = int(np.clip(min(40 * (since + 1), 40 * (20 - since)), 0, width))
        start = 40 + pixels_a_frame * max(since, 0)
        image[:, :visible] = side[:, start : start + visible] if visible else image[:, :0]
        shares.append(visible / images.shape[2])
    return result, np.array(shares)


def test_the_undisturbed_drive_is_tracked(undisturbed, unit):
    """Baseline of the bounds in the other tests."""
    assert 0.7 < unit < 1.5
    assert undisturbed.step_errors_deg.max() < 0.1
    assert undisturbed.heading_error_deg < 1.0


def test_steady_tracks_ask_no_networks_and_wanted_outputs_change_no_motion(
    drive, estimator, undisturbed, monkeypatch
):
    """The pose network runs in few frames, depth where corners are detected."""
    calls = {"motion": 0, "depth": 0}
    for name in calls:
        original = getattr(estimator, name)

        def counted(*arguments, name=name, original=original):
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(estimator, name, counted)
    for wanted in (False, True):
        calls.update(motion=0, depth=0)
        odometry = MonocularOdometry(estimator)
        motions = []
        for number, image in enumerate(drive.images[:30]):
            result = odometry.process(image, drive.camera, number * STEP_NS, wanted, wanted)
            motions += result.motions
        if not wanted:
            assert calls["motion"] < 15 and calls["depth"] < 30
        assert all(
            np.array_equal(motion.start_from_camera, expected.start_from_camera)
            for motion, expected in zip(motions, undisturbed.motions, strict=False)
        )


@pytest.mark.parametrize(
    ("truck", "pixels_a_frame"), [(crossing, 20), (crossing, 12), (alongside, 4), (alongside, 6)]
)
def test_a_truck_over_half_of_the_image(drive, track, undisturbed, truck, pixels_a_frame):
    """Odometry that tracked the truck would turn by up to 5 deg a frame, 50 deg in all.

    It would also lose half of its path.
    """
    images, shares = truck(drive.images[:DRIVING], pixels_a_frame)
    assert (shares >= 0.5).sum() >= 5
    occluded = track(images, drive.poses[:DRIVING])
    assert occluded.step_errors_deg.max() < 0.5
    assert occluded.heading_error_deg < 2.0
    ratios = occluded.lengths / undisturbed.lengths[: DRIVING - 1]
    assert occluded.lengths.sum() == pytest.approx(
        undisturbed.lengths[: DRIVING - 1].sum(), rel=0.12
    )
    assert ratios.min() > 0.7 and ratios.max() < 1.45
    large = shares[1:] >= 0.4
    assert np.median(occluded.sigmas_deg[large]) > np.median(
        undisturbed.sigmas_deg[: DRIVING - 1][large]
    )


def test_night(drive, track, undisturbed):
    """Shape and length of the path stay at 8 % of the light, with noise of a grey value.

    The image then has some 20 grey values.
    """
    rng = np.random.default_rng(0)
    dark = [noisy(0.08 * image, 1.0, rng) for image in drive.images[:DRIVING]]
    assert np.mean(dark) < 10
    night = track(dark, drive.poses[:DRIVING])
    assert night.step_errors_deg.max() < 0.15
    assert night.heading_error_deg < 1.0
    assert night.lengths.sum() == pytest.approx(undisturbed.lengths[: DRIVING - 1].sum(), rel=0.15)
    ratios = (night.lengths / undisturbed.lengths[: DRIVING - 1])[:40]
    assert ratios.std() < 0.05 * ratios.mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fifth_of_the_frames_dropped(drive, track, undisturbed, seed):
    """By their stamps, steps over dropped frames are longer, and the path keeps its shape.

    Its unit is that of the first steps.
    """
    dropped = np.random.default_rng(seed).choice(
        np.arange(1, DRIVING - 1), round(0.2 * DRIVING), replace=False
    )
    kept = np.setdiff1d(np.arange(DRIVING), dropped)
    sparse = track(drive.images[kept], drive.poses[kept], kept)
    assert [round(motion.dt_s / 0.1) for motion in sparse.motions[1:]] == np.diff(kept).tolist()
    assert sparse.step_errors_deg.max() < 0.1
    assert sparse.heading_error_deg < 0.5
    ratios = sparse.lengths / np.linalg.norm(np.diff(drive.poses[kept, :3, 3], axis=0), axis=1)
    assert ratios.std() < 0.03 * ratios.mean()
    assert ratios.mean() == pytest.approx(
        undisturbed.lengths[: DRIVING - 1].sum() / path_m(drive.poses[:DRIVING]), rel=0.25
    )


@pytest.mark.parametrize("noise", [1.0, 4.0])
def test_a_stop_of_50_frames(drive, track, undisturbed, unit, noise):
    """Drift, and the sum of the steps, stay below half a metre, 0.5 % of 100 m.

    Nothing but the sensor noise changes from frame to frame.
    """
    rng = np.random.default_rng(1)
    stop = [noisy(drive.images[STANDING], noise, rng) for _ in range(STOP_FRAMES)]
    images = [*drive.images[:STANDING], *stop, *drive.images[STANDING + 1 :]]
    poses = [
        *drive.poses[:STANDING],
        *[drive.poses[STANDING]] * STOP_FRAMES,
        *drive.poses[STANDING + 1 :],
    ]
    stopped = track(images, poses)
    drift = stopped.between(STANDING, STANDING + STOP_FRAMES - 1)
    assert np.linalg.norm(drift[:3, 3]) < 0.1 * unit
    assert angle_deg(drift, np.eye(4)) < 0.1
    assert stopped.lengths[STANDING : STANDING + STOP_FRAMES - 1].sum() < 0.5 * unit
    after = stopped.lengths[-8:].sum()
    expected = undisturbed.lengths[-8:].sum()
    assert expected > 0.3 * unit and after == pytest.approx(expected, rel=0.3)
    assert stopped.heading_error_deg < 1.0


def test_a_turn_on_the_spot(drive, track, unit):
    """24 deg to the right and back at up to 25 deg/s give a rotation and no translation."""
    images = np.concatenate([drive.images[: STANDING + 1], drive.turn_images])
    turned = track(images, np.concatenate([drive.poses[: STANDING + 1], drive.turn_poses]))
    turn = slice(STANDING, STANDING + TURN_FRAMES)
    assert turned.step_errors_deg[turn].max() < 0.1
    halfway = turned.between(STANDING, STANDING + TURN_FRAMES // 2)
    assert angle_deg(halfway, np.eye(4)) == pytest.approx(MAX_TURN_DEG, abs=0.2)
    assert np.linalg.norm(halfway[:3, 3]) < 0.1 * unit
    assert angle_deg(turned.between(STANDING, STANDING + TURN_FRAMES), np.eye(4)) < 0.2
    assert turned.lengths[turn].sum() < 0.2 * unit
