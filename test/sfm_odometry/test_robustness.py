"""What happens to a camera on the road, with the packaged model on a rendered drive.

A truck in the way, night, lost frames, a stop, a turn on the spot. The model has a unit of length
of its own, so lengths are compared with those of the same drive undisturbed, or given in that unit.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.odometry import FrameMotion, MonocularOdometry
from sfm_odometry.tracking.trajectory import invert_rigid, rotation_from_vector, rotation_vector
from training.synthetic.drive import DriveSpec
from training.synthetic.render import Renderer

STEP_NS = 100_000_000
SPEC = DriveSpec(frames=90, seed=9457)
DRIVING, STANDING, RENDERED = 52, 55, 72
"""The car brakes from 12 m/s and stands from frame 52 to 60; after that it goes on."""
STOP_FRAMES, TURN_FRAMES = 50, 30
WIDEST_TURN_DEG = 24.0


@dataclass(frozen=True)
class Drive:
    """Frames (M, H, W, 3) with the true world_from_camera (M, 4, 4), and the same of a turn on
    the spot."""

    camera: Intrinsics
    images: np.ndarray
    poses: np.ndarray
    turn_images: np.ndarray
    turn_poses: np.ndarray


@dataclass(frozen=True)
class Travelled:
    """What the odometry made of some frames, against the truth; steps lead to the second frame
    and those after it."""

    motions: list[FrameMotion]
    poses: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        return np.array(
            [np.linalg.norm(motion.previous_from_current[:3, 3]) for motion in self.motions[1:]]
        )

    @property
    def step_errors_deg(self) -> np.ndarray:
        true = [
            invert_rigid(before) @ after
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
            invert_rigid(self.poses[0]) @ self.poses[-1], self.motions[-1].start_from_camera
        )

    @property
    def sigmas_deg(self) -> np.ndarray:
        steps = self.motions[1:]
        return np.degrees(
            [np.sqrt(np.trace(motion.twist_covariance[3:, 3:])) * motion.dt_s for motion in steps]
        )

    def between(self, first: int, last: int) -> np.ndarray:
        """The motion (4, 4) from one frame to another, as the odometry chained it."""
        return (
            invert_rigid(self.motions[first].start_from_camera)
            @ self.motions[last].start_from_camera
        )


def angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    """Between the rotations of two motions (4, 4)."""
    return float(np.degrees(np.linalg.norm(rotation_vector(first[:3, :3].T @ second[:3, :3]))))


def path_m(poses: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


def turn_rad(index: int) -> float:
    """To the right and back again."""
    return float(np.radians(WIDEST_TURN_DEG / 2) * (1 - np.cos(2 * np.pi * index / TURN_FRAMES)))


@pytest.fixture(scope="module")
def drive():
    renderer = Renderer(SPEC.seed, SPEC.frames, SPEC.intrinsics())
    poses = renderer.world_from_camera.copy()
    images = np.stack([renderer.render(frame).image for frame in range(RENDERED)])
    turned = np.tile(poses[STANDING], (TURN_FRAMES, 1, 1))
    for index in range(TURN_FRAMES):
        turned[index, :3, :3] = poses[STANDING, :3, :3] @ rotation_from_vector(
            np.array([0.0, turn_rad(index + 1), 0.0])
        )
    frames = range(STANDING + 1, STANDING + 1 + TURN_FRAMES)  # of the light and of the traffic
    renderer.world_from_camera[frames.start : frames.stop] = turned
    turn_images = np.stack([renderer.render(frame).image for frame in frames])
    return Drive(SPEC.intrinsics(), images, poses[:RENDERED], turn_images, turned)


@pytest.fixture(scope="module")
def estimator():
    return Estimator.from_file(None, "cpu", "eager")


@pytest.fixture(scope="module")
def travel(drive, estimator):
    """The odometry over images, whose numbers stand for their stamps."""

    def run(images, poses, numbers=None):
        numbers = range(len(images)) if numbers is None else numbers
        odometry, motions = MonocularOdometry(estimator), []
        for image, number in zip(images, numbers, strict=True):
            result = odometry.process(
                image, drive.camera, int(number) * STEP_NS, want_depth=False, want_mask=False
            )
            assert result.event == "" and result.refused == ""
            motions += result.motions
        assert [motion.stamp_ns for motion in motions] == [
            int(number) * STEP_NS for number in numbers
        ]
        return Travelled(motions, np.asarray(poses))

    return run


@pytest.fixture(scope="module")
def undisturbed(drive, travel):
    return travel(drive.images, drive.poses)


@pytest.fixture(scope="module")
def unit(drive, undisturbed):
    """Length that the odometry gives to one metre."""
    return undisturbed.lengths[: DRIVING - 1].sum() / path_m(drive.poses[:DRIVING])


def noisy(image, sigma, rng):
    """With new noise of the sensor, in grey values."""
    return np.clip(np.round(image + rng.normal(0.0, sigma, image.shape)), 0, 255).astype(np.uint8)


def side_of_truck(images, width, height):
    """A texture as real as the rest: a band of a frame that is seen much later, mirrored and
    enlarged."""
    band = images[-1][40:120, ::-1].astype(np.uint8)
    rows = np.arange(height) * len(band) // height
    columns = np.arange(width) * band.shape[1] // width
    return band[rows][:, columns]


def crossing(images, pixels_a_frame):
    """A truck that crosses the road from left to right, two thirds of the image wide and four
    fifths high, and its shares of the images."""
    width, height = 276, 104
    side, shares, result = side_of_truck(images, width, height), [], images.copy()
    for index, image in enumerate(result):
        left = pixels_a_frame * (index - 8) - width
        first, last = max(left, 0), min(left + width, image.shape[1])
        if first < last:
            image[:height, first:last] = side[:, first - left : last - left]
        shares.append(max(last - first, 0) * height / image[..., 0].size)
    return result, np.array(shares)


def alongside(images, pixels_a_frame):
    """A truck that the car passes: for 20 frames it covers the left half of the image and falls
    back; its shares of them."""
    width = images.shape[2] // 2
    side, shares, result = side_of_truck(images, 2 * width, images.shape[1]), [], images.copy()
    for index, image in enumerate(result):
        since = index - 12
        seen = int(np.clip(min(40 * (since + 1), 40 * (20 - since)), 0, width))
        start = 40 + pixels_a_frame * max(since, 0)
        image[:, :seen] = side[:, start : start + seen] if seen else image[:, :0]
        shares.append(seen / images.shape[2])
    return result, np.array(shares)


def test_the_drive_itself_is_followed(drive, undisturbed, unit):
    """What the bounds below stand on."""
    assert 0.7 < unit < 1.5
    assert undisturbed.step_errors_deg.max() < 0.1
    assert undisturbed.heading_error_deg < 1.0


@pytest.mark.parametrize(
    ("truck", "pixels_a_frame"), [(crossing, 20), (crossing, 12), (alongside, 4), (alongside, 6)]
)
def test_a_truck_over_half_of_the_image(drive, travel, undisturbed, truck, pixels_a_frame):
    """A camera that went with the truck would turn by up to 5 deg a frame, 50 in all, and lose
    half of its path."""
    images, shares = truck(drive.images[:DRIVING], pixels_a_frame)
    assert (shares >= 0.5).sum() >= 5
    behind = travel(images, drive.poses[:DRIVING])
    assert behind.step_errors_deg.max() < 0.5
    assert behind.heading_error_deg < 2.0
    ratios = behind.lengths / undisturbed.lengths[: DRIVING - 1]
    assert behind.lengths.sum() == pytest.approx(undisturbed.lengths[: DRIVING - 1].sum(), rel=0.12)
    assert ratios.min() > 0.7 and ratios.max() < 1.45
    covered = shares[1:] >= 0.4
    assert np.median(behind.sigmas_deg[covered]) > np.median(
        undisturbed.sigmas_deg[: DRIVING - 1][covered]
    )


def test_night(drive, travel, undisturbed):
    """At 8 % of the light, with noise of a grey value, the image has some 20 grey values: shape
    and length of the path stay."""
    rng = np.random.default_rng(0)
    dark = [noisy(0.08 * image, 1.0, rng) for image in drive.images[:DRIVING]]
    assert np.mean(dark) < 10
    night = travel(dark, drive.poses[:DRIVING])
    assert night.step_errors_deg.max() < 0.15
    assert night.heading_error_deg < 1.0
    assert night.lengths.sum() == pytest.approx(undisturbed.lengths[: DRIVING - 1].sum(), rel=0.15)
    ratios = (night.lengths / undisturbed.lengths[: DRIVING - 1])[:40]
    assert ratios.std() < 0.05 * ratios.mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fifth_of_the_frames_dropped(drive, travel, undisturbed, seed):
    """Stamps tell which: steps over a hole are longer, and the path has its shape; its unit is
    what the first steps found."""
    lost = np.random.default_rng(seed).choice(
        np.arange(1, DRIVING - 1), round(0.2 * DRIVING), replace=False
    )
    kept = np.setdiff1d(np.arange(DRIVING), lost)
    sparse = travel(drive.images[kept], drive.poses[kept], kept)
    assert [round(motion.dt_s / 0.1) for motion in sparse.motions[1:]] == np.diff(kept).tolist()
    assert sparse.step_errors_deg.max() < 0.1
    assert sparse.heading_error_deg < 0.5
    ratios = sparse.lengths / np.linalg.norm(np.diff(drive.poses[kept, :3, 3], axis=0), axis=1)
    assert ratios.std() < 0.03 * ratios.mean()
    assert ratios.mean() == pytest.approx(
        undisturbed.lengths[: DRIVING - 1].sum() / path_m(drive.poses[:DRIVING]), rel=0.25
    )


@pytest.mark.parametrize("noise", [1.0, 4.0])
def test_a_stop_of_50_frames(drive, travel, undisturbed, unit, noise):
    """Nothing but the sensor's noise changes: 0.5 % of 100 m are half a metre; the drift is
    less, and so is the sum of the steps."""
    rng = np.random.default_rng(1)
    stop = [noisy(drive.images[STANDING], noise, rng) for _ in range(STOP_FRAMES)]
    images = [*drive.images[:STANDING], *stop, *drive.images[STANDING + 1 :]]
    poses = [
        *drive.poses[:STANDING],
        *[drive.poses[STANDING]] * STOP_FRAMES,
        *drive.poses[STANDING + 1 :],
    ]
    stopped = travel(images, poses)
    drift = stopped.between(STANDING, STANDING + STOP_FRAMES - 1)
    assert np.linalg.norm(drift[:3, 3]) < 0.1 * unit
    assert angle_deg(drift, np.eye(4)) < 0.1
    assert stopped.lengths[STANDING : STANDING + STOP_FRAMES - 1].sum() < 0.5 * unit
    after, expected = stopped.lengths[-8:].sum(), undisturbed.lengths[-8:].sum()
    assert expected > 0.3 * unit and after == pytest.approx(expected, rel=0.3)
    assert stopped.heading_error_deg < 1.0


def test_a_turn_on_the_spot(drive, travel, unit):
    """24 deg to the right and back at up to 25 deg/s: it is seen as a turn, and not as a way."""
    images = np.concatenate([drive.images[: STANDING + 1], drive.turn_images])
    turned = travel(images, np.concatenate([drive.poses[: STANDING + 1], drive.turn_poses]))
    turn = slice(STANDING, STANDING + TURN_FRAMES)
    assert turned.step_errors_deg[turn].max() < 0.1
    halfway = turned.between(STANDING, STANDING + TURN_FRAMES // 2)
    assert angle_deg(halfway, np.eye(4)) == pytest.approx(WIDEST_TURN_DEG, abs=0.2)
    assert np.linalg.norm(halfway[:3, 3]) < 0.1 * unit
    assert angle_deg(turned.between(STANDING, STANDING + TURN_FRAMES), np.eye(4)) < 0.2
    assert turned.lengths[turn].sum() < 0.2 * unit
