"""The ratio between the networks' lengths is learned, only from steps that say something about
it, and lengths become steady."""

import numpy as np
import pytest

import sfm_odometry.tracking.motion_refiner as module
from sfm_odometry.tracking.direct_alignment import Refinement
from sfm_odometry.tracking.feature_tracks import TrackResult
from sfm_odometry.tracking.motion_refiner import MotionRefiner
from sfm_odometry.tracking.speed_filter import SpeedFilter

DT_S = 0.1


def step(length):
    matrix = np.eye(4)
    matrix[2, 3] = length
    return matrix


class Frame:
    """Nothing is looked at: the alignment is stood in for."""

    pyramid = targets = intrinsics = None


FRAME = Frame()


class Images:
    """Stands in for the alignment: images in which every step is `length` long, known to
    `sigma`, held by the prior by half."""

    def __init__(self, length=2.0, sigma=0.02, converged=True, noise=()):
        self.length, self.sigma, self.converged, self.noise = length, sigma, converged, iter(noise)
        self.given, self.configs = [], []

    def __call__(self, previous, current, given, config):
        self.given.append(float(given[2, 3]))
        self.configs.append(config)
        seen = self.length * np.exp(next(self.noise, 0.0))
        length = seen if config.prior_length == 0 else np.sqrt(seen * given[2, 3])
        motion = step(length) if self.converged else given
        covariance = np.eye(6) * self.sigma**2
        return Refinement(
            motion, covariance, self.converged, "" if self.converged else "no", 0.1, 0.05, 0.9, 5
        )


def run(monkeypatch, images, lengths, refiner=None):
    monkeypatch.setattr(module, "align_frames", images)
    refiner = refiner or MotionRefiner()
    return refiner, [refiner.refine(FRAME, FRAME, step(length), DT_S) for length in lengths]


def lengths_of(results):
    return np.array([result.length for result in results])


def test_lengths_end_up_in_the_depths_unit(monkeypatch):
    refiner, results = run(monkeypatch, Images(length=2.0), [1.0] * 12)
    assert refiner.length_ratio == pytest.approx(2.0)
    assert results[-1].length == pytest.approx(2.0)


def test_the_first_steps_are_not_held_by_a_length_in_another_unit(monkeypatch):
    images = Images()
    refiner, _ = run(monkeypatch, images, [1.0] * 8)
    settle = refiner.settle
    assert [config.prior_length == 0 for config in images.configs] == [True] * settle + [False] * (
        8 - settle
    )


def test_kept_motions_are_in_the_depths_unit_too(monkeypatch):
    refiner, _ = run(monkeypatch, Images(), [1.0] * 12)
    _, (kept,) = run(monkeypatch, Images(converged=False), [1.0], refiner)
    assert not kept.converged
    assert kept.length == pytest.approx(2.0)


def test_steps_that_are_not_sure_of_their_length_teach_nothing(monkeypatch):
    refiner, _ = run(monkeypatch, Images(length=2.0, sigma=1.0), [1.0] * 12)
    assert refiner.length_ratio == 1.0


def test_the_ratio_stays_within_limits(monkeypatch):
    refiner, _ = run(monkeypatch, Images(length=1000.0), [1.0] * 30)
    assert refiner.length_ratio == pytest.approx(4.0)


def test_reset_forgets(monkeypatch):
    refiner, _ = run(monkeypatch, Images(), [1.0] * 12, MotionRefiner(speed=SpeedFilter()))
    refiner.reset()
    assert refiner.length_ratio == 1.0 and not refiner.speed.knows


def test_lengths_that_jitter_become_steady(monkeypatch):
    noise = 0.05 * np.random.default_rng(0).normal(size=60)
    _, rough = run(monkeypatch, Images(sigma=0.1, noise=noise), [1.0] * 60)
    _, steady = run(
        monkeypatch, Images(sigma=0.1, noise=noise), [1.0] * 60, MotionRefiner(speed=SpeedFilter())
    )
    assert np.std(np.diff(lengths_of(steady)[20:])) < 0.3 * np.std(np.diff(lengths_of(rough)[20:]))
    assert lengths_of(steady)[20:].mean() == pytest.approx(2.0, rel=0.02)


def test_where_the_images_do_not_align_the_speed_goes_on_and_the_network_is_followed(monkeypatch):
    refiner, _ = run(monkeypatch, Images(), [1.0] * 20, MotionRefiner(speed=SpeedFilter()))
    _, braking = run(monkeypatch, Images(converged=False), np.linspace(1.0, 0.4, 30), refiner)
    assert braking[0].length == pytest.approx(2.0, rel=0.02)
    assert braking[-1].length == pytest.approx(0.8, rel=0.3)


class Tracks:
    """Stands in for the tracked points: notes what they are told of the motion."""

    unit = 1.0

    def __init__(self):
        self.sigmas_deg = []

    def reset(self):
        pass

    def begin(self, frame):
        pass

    def step(self, previous, current, intrinsics, given, information):
        self.sigmas_deg.append(float(np.degrees(information[4, 4] ** -0.5)))
        return TrackResult(given, np.linalg.inv(information), 100)


@pytest.mark.parametrize(
    ("sigma_deg", "converged", "told_deg"),
    [(0.001, True, 0.03), (0.04, True, 0.05), (0.4, True, 0.4), (0.001, False, 0.5)],
)
def test_points_are_held_to_an_alignment_as_far_as_that_is_sure(
    monkeypatch, sigma_deg, converged, told_deg
):
    tracks = Tracks()
    run(
        monkeypatch,
        Images(sigma=np.radians(sigma_deg), converged=converged),
        [1.0],
        MotionRefiner(tracks=tracks),
    )
    assert tracks.sigmas_deg == pytest.approx([told_deg], rel=0.01)
