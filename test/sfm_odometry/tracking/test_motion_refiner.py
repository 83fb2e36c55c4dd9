"""Motion refiner: ratio of the networks' lengths, speed filter, and prior of the tracks."""

import numpy as np
import pytest

import sfm_odometry.tracking.motion_refiner as module
from sfm_odometry.tracking.direct_alignment import RefinedMotion
from sfm_odometry.tracking.feature_tracks import MotionEstimate
from sfm_odometry.tracking.motion_refiner import MotionRefiner
from sfm_odometry.tracking.speed_filter import SpeedFilter

DT_S = 0.1


def step(length):
    matrix = np.eye(4)
    matrix[2, 3] = length
    return matrix


class Frame:
    """Frame without content: the alignment is replaced by a fake."""

    pyramid = targets = intrinsics = None

    @property
    def tracking_view(self):
        return self


FRAME = Frame()


class FakeAlignment:
    """Fake of `align_frames` for images in which every step has the same length.

    The length is measured with standard deviation `sigma`; a prior pulls it halfway.
    """

    def __init__(self, length=2.0, sigma=0.02, converged=True, noise=()):
        self.length = length
        self.sigma = sigma
        self.converged = converged
        self.noise = iter(noise)
        self.configs = []

    def __call__(self, previous, current, initial, config):
        self.configs.append(config)
        measured = self.length * np.exp(next(self.noise, 0.0))
        length = measured if config.prior_length == 0 else np.sqrt(measured * initial[2, 3])
        return RefinedMotion(
            previous_from_current=step(length) if self.converged else initial,
            covariance=np.eye(6) * self.sigma**2,
            converged=self.converged,
            reason="" if self.converged else "no",
            residual_before=0.1,
            residual_after=0.05,
            inliers=0.9,
            iterations=5,
        )


def run(monkeypatch, alignment, lengths, refiner=None):
    """Refine steps of these network lengths; returns the refiner and the refined motions."""
    monkeypatch.setattr(module, "align_frames", alignment)
    refiner = refiner or MotionRefiner()
    return refiner, [
        refiner.refine(FRAME, FRAME, lambda length=length: step(length), DT_S) for length in lengths
    ]


def lengths_of(results):
    return np.array([result.length for result in results])


def test_lengths_converge_to_the_unit_of_the_depth(monkeypatch):
    refiner, results = run(monkeypatch, FakeAlignment(length=2.0), [1.0] * 12)
    assert refiner.length_ratio == pytest.approx(2.0)
    assert results[-1].length == pytest.approx(2.0)


def test_the_first_steps_have_no_prior_on_their_length(monkeypatch):
    alignment = FakeAlignment()
    refiner, _ = run(monkeypatch, alignment, [1.0] * 8)
    settling = refiner.config.settling_steps
    without_prior = [config.prior_length == 0 for config in alignment.configs]
    assert without_prior == [True] * settling + [False] * (8 - settling)


def test_kept_motions_are_in_the_unit_of_the_depth_too(monkeypatch):
    refiner, _ = run(monkeypatch, FakeAlignment(), [1.0] * 12)
    _, (kept,) = run(monkeypatch, FakeAlignment(converged=False), [1.0], refiner)
    assert not kept.converged
    assert kept.length == pytest.approx(2.0)


def test_steps_of_uncertain_length_do_not_update_the_ratio(monkeypatch):
    refiner, _ = run(monkeypatch, FakeAlignment(length=2.0, sigma=1.0), [1.0] * 12)
    assert refiner.length_ratio == 1.0


def test_the_ratio_is_limited(monkeypatch):
    refiner, _ = run(monkeypatch, FakeAlignment(length=1000.0), [1.0] * 30)
    assert refiner.length_ratio == pytest.approx(4.0)


def test_reset_forgets_ratio_and_speed(monkeypatch):
    refiner, _ = run(monkeypatch, FakeAlignment(), [1.0] * 12, MotionRefiner(speed=SpeedFilter()))
    refiner.reset()
    assert refiner.length_ratio == 1.0 and not refiner.speed.initialised


def test_speed_filter_smooths_the_lengths(monkeypatch):
    noise = 0.05 * np.random.default_rng(0).normal(size=60)
    lengths = [1.0] * 60
    _, rough = run(monkeypatch, FakeAlignment(sigma=0.1, noise=noise), lengths)
    refiner = MotionRefiner(speed=SpeedFilter())
    _, smooth = run(monkeypatch, FakeAlignment(sigma=0.1, noise=noise), lengths, refiner)
    assert np.std(np.diff(lengths_of(smooth)[20:])) < 0.3 * np.std(np.diff(lengths_of(rough)[20:]))
    assert lengths_of(smooth)[20:].mean() == pytest.approx(2.0, rel=0.02)


def test_without_alignment_the_speed_continues_and_follows_the_network(monkeypatch):
    refiner, _ = run(monkeypatch, FakeAlignment(), [1.0] * 20, MotionRefiner(speed=SpeedFilter()))
    braking_lengths = np.linspace(1.0, 0.4, 30)
    _, braking = run(monkeypatch, FakeAlignment(converged=False), braking_lengths, refiner)
    assert braking[0].length == pytest.approx(2.0, rel=0.02)
    assert braking[-1].length == pytest.approx(0.8, rel=0.3)


class FakeTracks:
    """Fake feature tracks that record the sigmas of the prior's angles."""

    unit = 1.0

    def __init__(self):
        self.sigmas_deg = []

    def reset(self):
        pass

    def prepare(self, frame):
        pass

    def track(self, previous, current, intrinsics, prior):
        self.sigmas_deg.append(float(np.degrees(prior.information[4, 4] ** -0.5)))
        return MotionEstimate(prior.previous_from_current, np.linalg.inv(prior.information), 100)


@pytest.mark.parametrize(
    ("sigma_deg", "converged", "prior_deg"),
    [(0.001, True, 0.03), (0.04, True, 0.05), (0.4, True, 0.4), (0.001, False, 0.5)],
)
def test_prior_of_the_tracks_includes_the_covariance_of_the_alignment(
    monkeypatch, sigma_deg, converged, prior_deg
):
    tracks = FakeTracks()
    alignment = FakeAlignment(sigma=np.radians(sigma_deg), converged=converged)
    run(monkeypatch, alignment, [1.0], MotionRefiner(tracks=tracks))
    assert tracks.sigmas_deg == pytest.approx([prior_deg], rel=0.01)
