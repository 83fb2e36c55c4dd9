"""The facade over a small real network with random weights: its bookkeeping, not its accuracy."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.inference.estimator import Estimator, choose_device
from sfm_odometry.io.kitti import open_sequence, read_image
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams
from sfm_odometry.results import TrackingState
from sfm_odometry.scale.estimate import FIXED_SIGMA
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.noise_model import UNKNOWN_SCALE

CAMERA = Intrinsics(110.0, 110.0, 95.5, 47.5, 192, 96)
STEP_NS = 100_000_000


@pytest.fixture(scope="module")
def estimator():
    torch.manual_seed(1)
    depth = DepthNetConfig(1, (4, 8), (3, 3), (8, 4), scales=2)
    pose = PoseNetConfig(
        1,
        5,
        (4, 8, 8, 8, 8),
        pose_widths=(8,),
        mask_widths=(8, 8, 8, 4, 4),
        mask_kernels=(3, 3, 3, 3, 3),
    )
    return Estimator(Model(ModelConfig(64, 32, depth=depth, pose=pose)), "cpu")


def image(index):
    return np.random.default_rng(index).integers(0, 256, (96, 192), np.uint8)


def feed(odometry, indices, camera=CAMERA):
    return [odometry.process(image(index), camera, index * STEP_NS) for index in indices]


def test_the_window_fills_then_every_frame_brings_one_motion(estimator):
    results = feed(MonocularOdometry(estimator), range(8))
    assert [result.state for result in results[:4]] == [TrackingState.FILLING_WINDOW] * 4
    assert [len(result.motions) for result in results] == [0, 0, 0, 0, 5, 1, 1, 1]
    stamps = [motion.stamp_ns for result in results for motion in result.motions]
    assert stamps == [index * STEP_NS for index in range(8)]
    assert results[4].motions[0].start_from_camera == pytest.approx(np.eye(4))


def test_poses_are_the_chained_steps(estimator):
    motions = [
        motion
        for result in feed(MonocularOdometry(estimator), range(10))
        for motion in result.motions
    ]
    for before, after in pairwise(motions):
        assert after.start_from_camera == pytest.approx(
            before.start_from_camera @ after.previous_from_current, abs=1e-12
        )
        assert after.dt_s == pytest.approx(0.1)
        assert after.twist[:3] * 0.1 == pytest.approx(
            after.previous_from_current[:3, :3].T @ after.previous_from_current[:3, 3]
        )


def test_covariances_are_positive_and_the_pose_gets_less_sure(estimator):
    motions = [
        motion
        for result in feed(MonocularOdometry(estimator), range(12))
        for motion in result.motions
    ]
    for motion in motions:
        assert (np.linalg.eigvalsh(motion.pose_covariance) > 0).all()
        assert (np.linalg.eigvalsh(motion.twist_covariance) > 0).all()
    assert np.linalg.det(motions[-1].pose_covariance) > np.linalg.det(motions[1].pose_covariance)


def test_depth_belongs_to_the_newest_frame_and_the_mask_to_the_middle(estimator):
    results = feed(MonocularOdometry(estimator), range(6))
    assert [result.depth.stamp_ns for result in results] == [index * STEP_NS for index in range(6)]
    assert results[3].mask is None
    assert results[5].mask.stamp_ns == 3 * STEP_NS
    for panel in (results[5].depth, results[5].mask):
        assert panel.values.shape == (32, 64)
        assert panel.values.dtype == np.float32
        assert (panel.intrinsics.width, panel.intrinsics.height) == (64, 32)


def test_pads_margins_have_no_depth(estimator):
    camera = Intrinsics(110.0, 110.0, 47.5, 47.5, 96, 96)
    frame = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    params = {mode: OdometryParams(resize_mode=mode) for mode in ("pad", "crop")}
    values = {
        mode: MonocularOdometry(estimator, params[mode]).process(frame, camera, 0).depth.values
        for mode in params
    }
    assert np.isfinite(values["crop"]).all()
    assert np.isfinite(values["pad"][:, 16:48]).all()
    assert np.isnan(values["pad"][:, :16]).all() and np.isnan(values["pad"][:, 48:]).all()


@pytest.mark.parametrize(
    ("camera_size", "limit", "expected"),
    [
        ((128, 48), 1280, (128, 48)),
        ((128, 96), 64, (64, 48)),
        ((64, 48), 1280, (64, 48)),
        ((128, 64), 64, None),
        ((128, 48), 0, None),
        ((64, 32), 1280, None),
    ],
)
def test_features_are_tracked_in_the_cameras_image_where_it_is_larger(
    estimator, monkeypatch, camera_size, limit, expected
):
    """The networks' input is 64x32."""
    seen = []

    def recorded(**arguments):
        seen.append(arguments["tracking"])
        return Frame(**arguments)

    monkeypatch.setattr("sfm_odometry.odometry.Frame", recorded)
    width, height = camera_size
    camera = Intrinsics(80.0, 80.0, width / 2 - 0.5, height / 2 - 0.5, width, height)
    frame = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    MonocularOdometry(estimator, OdometryParams(tracking_width=limit)).process(frame, camera, 0)
    size = None if seen[0] is None else seen[0][0].shape[::-1]
    assert size == expected


def test_a_pose_known_from_elsewhere_is_gone_on_from(estimator):
    odometry = MonocularOdometry(estimator)
    feed(odometry, range(6))
    given = np.array([[0.0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
    odometry.continue_from(given, np.eye(6) * 0.04)
    (motion,) = feed(odometry, [6])[0].motions
    assert motion.start_from_camera == pytest.approx(
        given @ motion.previous_from_current, abs=1e-12
    )
    assert np.linalg.eigvalsh(motion.pose_covariance - np.eye(6) * 0.03).min() > 0


def test_outputs_that_nobody_wants_are_not_made(estimator):
    result = MonocularOdometry(estimator).process(
        image(0), CAMERA, 0, want_depth=False, want_mask=False
    )
    assert result.depth is None
    assert result.mask is None


def test_depth_out_of_range_is_unknown(estimator):
    result = MonocularOdometry(estimator, OdometryParams(min_depth=0.2, max_depth=0.20001)).process(
        image(0), CAMERA, 0
    )
    assert np.isnan(result.depth.values).mean() > 0.9


def test_a_fixed_scale_scales_depth_and_translation_together(estimator):
    plain = feed(
        MonocularOdometry(estimator, OdometryParams(max_depth=1e6, max_speed=1e6)), range(5)
    )[4]
    params = OdometryParams(scale_mode="fixed", scale_value=3.0, max_depth=1e6, max_speed=1e6)
    scaled = feed(MonocularOdometry(estimator, params), range(5))[4]
    assert scaled.depth.values == pytest.approx(plain.depth.values * 3, rel=1e-5)
    assert scaled.motions[4].start_from_camera[:3, 3] == pytest.approx(
        plain.motions[4].start_from_camera[:3, 3] * 3
    )
    assert scaled.motions[4].start_from_camera[:3, :3] == pytest.approx(
        plain.motions[4].start_from_camera[:3, :3]
    )


def test_a_frame_with_an_old_stamp_is_refused_and_tracking_goes_on(estimator):
    odometry = MonocularOdometry(estimator)
    feed(odometry, range(6))
    refused = odometry.process(image(9), CAMERA, 5 * STEP_NS)
    assert refused.refused == "equal stamp"
    assert refused.motions == ()
    assert len(feed(odometry, [6])[0].motions) == 1


def test_a_gap_is_bridged_and_nothing_published_is_moved(estimator):
    odometry = MonocularOdometry(estimator)
    before = feed(odometry, range(6))[-1].motions[-1]
    after = feed(odometry, range(16, 21))
    assert [str(event) for event in after[0].events] == ["gap of 1.10 s"]
    assert [len(result.motions) for result in after] == [0, 0, 0, 0, 5]
    bridge = after[4].motions[0]
    assert bridge.stamp_ns == 16 * STEP_NS
    assert bridge.start_from_camera == pytest.approx(
        before.start_from_camera @ bridge.previous_from_current
    )
    assert np.trace(bridge.pose_covariance) > 2 * np.trace(before.pose_covariance)
    assert bridge.previous_from_current[:3, 3] == pytest.approx(before.twist[:3] * 1.1, rel=0.5)


def test_a_long_gap_holds_the_pose(estimator):
    odometry = MonocularOdometry(estimator)
    before = feed(odometry, range(6))[-1].motions[-1]
    bridge = feed(odometry, range(100, 105))[4].motions[0]
    assert bridge.start_from_camera == pytest.approx(before.start_from_camera)


@pytest.mark.parametrize("reset", [False, True])
def test_a_clock_jump_keeps_or_resets_the_pose_by_choice(estimator, reset):
    odometry = MonocularOdometry(estimator, OdometryParams(reset_on_clock_jump=reset))
    before = feed(odometry, range(20, 40))[-1].motions[-1]
    results = feed(odometry, range(5))
    assert [str(event) for event in results[0].events] == ["clock jumped back 3.90 s"]
    expected = np.eye(4) if reset else before.start_from_camera
    assert results[4].motions[0].start_from_camera == pytest.approx(expected)


def test_other_intrinsics_flush_the_window(estimator):
    odometry = MonocularOdometry(estimator)
    feed(odometry, range(6))
    results = feed(odometry, range(6, 11), Intrinsics(120.0, 120.0, 95.5, 47.5, 192, 96))
    assert [str(event) for event in results[0].events] == ["intrinsics changed: fx 110 to 120"]
    assert [len(result.motions) for result in results] == [0, 0, 0, 0, 5]


def test_an_implausible_motion_is_lost_and_tracking_recovers(estimator):
    odometry = MonocularOdometry(estimator, OdometryParams(max_turn_rate_deg=1e-4))
    results = feed(odometry, range(10))
    assert results[4].state is TrackingState.LOST
    assert "not plausible" in str(results[4].events[0])
    assert all(result.motions == () for result in results)


def test_reset_starts_again_from_the_identity(estimator):
    odometry = MonocularOdometry(estimator)
    feed(odometry, range(8))
    odometry.reset()
    results = feed(odometry, range(5))
    assert results[4].motions[0].start_from_camera == pytest.approx(np.eye(4))


def test_an_image_that_does_not_fit_its_intrinsics_is_refused(estimator):
    with pytest.raises(ImageError, match="192x96"):
        MonocularOdometry(estimator).process(np.zeros((10, 10), np.uint8), CAMERA, 0)


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(InputError, match=name):
        choose_device(name)


@pytest.mark.parametrize(
    "values",
    [
        {"max_gap_s": 0.0},
        {"scale_mode": "guess"},
        {"scale_value": -1.0},
        {"min_depth": 90.0},
        {"resize_mode": "squash"},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(values):
    with pytest.raises(InputError, match=next(iter(values))):
        OdometryParams(**values)


def test_without_texture_the_networks_motion_stays_and_the_reason_is_said(estimator):
    odometry = MonocularOdometry(estimator)
    flat = np.full((96, 192), 128, np.uint8)
    motions = [
        motion
        for index in range(6)
        for motion in odometry.process(flat, CAMERA, index * STEP_NS).motions
    ]
    assert all("too few points" in motion.unrefined for motion in motions[1:])


def test_refinement_can_be_switched_off(estimator):
    chain, _ = estimator.motion(
        [Preprocessor(CAMERA, 64, 32, 1)(image(index)) for index in range(5)]
    )
    motions = feed(MonocularOdometry(estimator, OdometryParams(refine=False)), range(5))[4].motions
    for motion, step in zip(motions[1:], chain, strict=True):
        assert motion.previous_from_current == pytest.approx(step)
        assert motion.unrefined == ""


def test_an_unknown_scale_makes_the_length_unsure(estimator):
    unknown, known = (
        feed(MonocularOdometry(estimator, OdometryParams(refine=False, scale_mode=mode)), range(5))[
            4
        ].motions[3]
        for mode in ("none", "fixed")
    )
    along = unknown.previous_from_current[:3, :3].T @ unknown.previous_from_current[:3, 3]
    length = np.linalg.norm(along)
    variances = [
        along @ (motion.twist_covariance[:3, :3] * motion.dt_s**2) @ along / length**2
        for motion in (unknown, known)
    ]
    assert variances[0] - variances[1] == pytest.approx(
        (UNKNOWN_SCALE**2 - FIXED_SIGMA**2) * length**2
    )


def feed_with_speeds(odometry, lengths, factors):
    """The results of one frame for each step, and one more; the speed over each step is its own
    length times its factor."""
    results = []
    for index in range(len(lengths) + 1):
        if index:
            for part in (0.001, 0.5, 0.999):
                odometry.observe_speed(
                    round((index - 1 + part) * STEP_NS),
                    lengths[index - 1] * factors[index - 1] / 0.1,
                )
        results += feed(odometry, [index])
    return results


@pytest.fixture(scope="module")
def plain(estimator):
    """What comes of 70 frames without a scale."""
    return feed(
        MonocularOdometry(estimator, OdometryParams(max_depth=1e9, min_depth=1e-9)), range(70)
    )


def steps_of(results):
    return [motion.previous_from_current for result in results for motion in result.motions][1:]


def test_a_scale_that_changes_never_moves_a_pose_and_is_depths_and_translations_alike(
    estimator, plain
):
    lengths = [np.linalg.norm(step[:3, 3]) for step in steps_of(plain)]
    unit = 5.0 / np.median(lengths)
    factors = [unit * (1.0 if index < 30 else 1.3) for index in range(69)]
    params = OdometryParams(scale_mode="odometry", max_depth=1e9, min_depth=1e-9, max_speed=1e9)
    results = feed_with_speeds(MonocularOdometry(estimator, params), lengths, factors)
    handed_out = np.eye(4)
    for result, before in zip(results, plain, strict=True):
        assert result.depth.values == pytest.approx(
            before.depth.values * result.scale.value, rel=1e-5
        )
        for motion, unscaled in zip(result.motions, before.motions, strict=True):
            assert motion.start_from_camera == pytest.approx(
                handed_out @ motion.previous_from_current, rel=1e-9, abs=1e-12
            )
            assert motion.previous_from_current[:3, 3] == pytest.approx(
                unscaled.previous_from_current[:3, 3] * result.scale.value
            )
            assert motion.previous_from_current[:3, :3] == pytest.approx(
                unscaled.previous_from_current[:3, :3]
            )
            handed_out = motion.start_from_camera
    values = [result.scale.value / unit for result in results]
    assert not results[4].scale.is_metric and results[-1].scale.is_metric
    assert values[29] == pytest.approx(1.0, rel=0.02)
    assert values[-1] == pytest.approx(1.3, rel=0.02)
    assert np.abs(np.diff(np.log(values[29:]))).max() < 0.0201


def test_the_scales_own_sigma_is_in_the_covariance(estimator, plain):
    lengths = [np.linalg.norm(step[:3, 3]) for step in steps_of(plain)]
    params = OdometryParams(scale_mode="twist", max_speed=1e9)
    result = feed_with_speeds(
        MonocularOdometry(estimator, params), lengths, [2.0 / np.median(lengths)] * 69
    )[-1]
    assert result.scale.is_metric and 0.0 < result.scale.relative_sigma < 0.05
    spreads = []
    for motion, scale in (
        (plain[-1].motions[0], plain[-1].scale),
        (result.motions[0], result.scale),
    ):
        along = motion.previous_from_current[:3, :3].T @ motion.previous_from_current[:3, 3]
        share = (
            along
            @ (motion.twist_covariance[:3, :3] * motion.dt_s**2)
            @ along
            / (along @ along) ** 2
        )
        spreads.append(share - scale.relative_sigma**2)
    assert spreads[0] == pytest.approx(
        spreads[1], rel=1e-6
    )  # what is left of either is the step's own


def test_speeds_from_before_the_first_frame_count(estimator, plain):
    lengths = [np.linalg.norm(step[:3, 3]) for step in steps_of(plain)][:19]
    odometry = MonocularOdometry(estimator, OdometryParams(scale_mode="odometry", max_speed=1e9))
    unit = 2.0 / np.median(lengths)
    for index, length in enumerate(lengths):
        for part in (0.001, 0.5, 0.999):
            odometry.observe_speed(round((index + part) * STEP_NS), length * unit / 0.1)
    result = feed(odometry, range(20))[-1]
    assert result.scale.is_metric and result.scale.value == pytest.approx(unit, rel=0.03)


def test_a_reset_measures_the_scale_anew(estimator):
    odometry = MonocularOdometry(estimator, OdometryParams(scale_mode="odometry", max_speed=1e9))
    feed_with_speeds(odometry, [1.0] * 29, [1.0] * 29)
    odometry.reset()
    assert odometry.scale.value == 1.0 and not odometry.scale.is_metric


def test_the_height_of_the_camera_must_be_given(estimator):
    with pytest.raises(
        InputError, match="scale_camera_height must be given, in metres over the ground"
    ):
        OdometryParams(scale_mode="camera_height")


def test_the_cameras_height_scales_real_frames(kitti):
    """120 frames of sequence 03: 1.65 m over the road; the path after the 50th is as long as the
    true one."""
    sequence = open_sequence(kitti / "odometry" / "sequences" / "03")
    odometry = MonocularOdometry(
        Estimator.from_file(None, "cpu"),
        OdometryParams(scale_mode="camera_height", scale_camera_height=1.65),
    )
    images = sequence.image_paths[:120]
    results = [
        odometry.process(read_image(path), sequence.intrinsics, index * STEP_NS, False, False)
        for index, path in enumerate(images)
    ]
    assert np.mean([result.scale.is_metric for result in results[50:]]) > 0.8
    travelled = sum(
        np.linalg.norm(motion.previous_from_current[:3, 3])
        for result in results[50:]
        for motion in result.motions
    )
    true = np.linalg.norm(np.diff(sequence.poses[49:120, :3, 3], axis=0), axis=1).sum()
    assert travelled == pytest.approx(true, rel=0.1)


def test_depth_and_mask_are_unknown_where_the_camera_saw_nothing(estimator):
    odometry = MonocularOdometry(estimator)
    seen = np.ones((96, 192), bool)
    seen[:, :40] = False
    for index in range(5):
        result = odometry.process(image(index), CAMERA, index * STEP_NS, seen=seen)
    unseen = 40 * 64 // 192
    assert np.isnan(result.depth.values[:, :unseen]).all()
    assert np.isfinite(result.depth.values[:, unseen + 1 :]).any()
    assert (result.mask.values[:, :unseen] == 0.0).all()
    assert (result.mask.values[:, unseen + 1 :] > 0.0).all()


@pytest.mark.parametrize("shape", [(), (1,), (3,)], ids=["grey", "one channel", "colour"])
def test_features_are_tracked_in_images_larger_than_the_networks(estimator, shape) -> None:
    rng = np.random.default_rng(0)
    wall = rng.integers(0, 256, (96, 260), np.uint8)
    odometry = MonocularOdometry(estimator)
    assert CAMERA.width > estimator.input_size[0]
    motions = []
    for index in range(6):
        image = wall[:, 4 * index : 4 * index + 192].reshape(96, 192, *[1] * len(shape))
        image = np.ascontiguousarray(np.broadcast_to(image, (96, 192, *shape)))
        motions += odometry.process(image, CAMERA, index * 100_000_000).motions
    assert len(motions) == 6
