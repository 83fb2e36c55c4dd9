"""Depth scores of folders of depth maps."""

import math

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from training.evaluate.depth import METRICS, depth_metrics, evaluate_depth, valid_pixels
from training.evaluate.files import Coverage, pairs_by_stem


def scene(seed=0, shape=(40, 120)):
    """Sparse true depth (H, W) in metres, NaN unknown, some of it beyond 80 m."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(2, 95, shape).astype(np.float32)
    depth[rng.random(shape) < 0.6] = np.nan
    return depth


def save(folder, *maps):
    folder.mkdir(exist_ok=True)
    for index, depth in enumerate(maps):
        np.save(folder / f"{index:06d}.npy", depth)
    return folder


@pytest.mark.parametrize("crop", ["garg", "eigen", "none"])
@pytest.mark.parametrize("cap", [80.0, 50.0])
def test_agrees_with_a_second_computation_to_six_digits(tmp_path, second_computation, cap, crop):
    truths = [scene(seed) for seed in range(3)]
    rng = np.random.default_rng(9)
    guesses = [
        (0.03 * np.nan_to_num(gt, nan=20.0) * np.exp(rng.normal(size=gt.shape) * 0.3)).astype(
            np.float32
        )
        for gt in truths
    ]
    scores, notes = evaluate_depth(
        pairs_by_stem(save(tmp_path / "gt", *truths), save(tmp_path / "pred", *guesses)), cap, crop
    )
    expected = np.mean(
        [second_computation(gt, pred, cap, crop) for gt, pred in zip(truths, guesses, strict=True)],
        axis=0,
    )
    np.testing.assert_allclose([scores[name] for name in METRICS], expected, rtol=1e-6)
    assert scores["images"] == 3 and notes == []


def test_the_truth_in_any_unit_is_perfect(tmp_path):
    gt = save(tmp_path / "gt", scene())
    for unit in (1.0, 0.01, 1000.0):
        pred = save(tmp_path / "pred", np.nan_to_num(scene(), nan=5.0) * np.float32(unit))
        scores, _ = evaluate_depth(pairs_by_stem(gt, pred))
        assert [scores[name] for name in METRICS] == pytest.approx([0, 0, 0, 0, 1, 1, 1], abs=1e-5)


def test_two_pixels_by_hand():
    # d* = 2, 8; d = 3, 4: |d - d*| / d* = 0.5, 0.5; squares 1, 16; ratios 1.5 and 2, against 1.25,
    # 1.5625 and 1.953.
    scores = dict(
        zip(METRICS, depth_metrics(np.array([2.0, 8.0]), np.array([3.0, 4.0])), strict=True)
    )
    assert scores["abs_rel"] == 0.5
    assert scores["sq_rel"] == pytest.approx((1 / 2 + 16 / 8) / 2)
    assert scores["rmse"] == pytest.approx(math.sqrt(17 / 2))
    assert scores["rmse_log"] == pytest.approx(
        math.sqrt((math.log(1.5) ** 2 + math.log(2) ** 2) / 2)
    )
    assert (scores["a1"], scores["a2"], scores["a3"]) == (0.0, 0.5, 0.5)


def test_scaling_comes_before_clipping(tmp_path):
    # The medians are 1 and 10: 20 becomes 200, which is then clipped to 80. Clipping first would
    # leave it at 200.
    gt = save(tmp_path / "gt", np.array([[10.0, 10.0, 79.0]]))
    pred = save(tmp_path / "pred", np.array([[1.0, 1.0, 20.0]]))
    scores, _ = evaluate_depth(pairs_by_stem(gt, pred), crop="none")
    assert scores["abs_rel"] == pytest.approx(1 / 79 / 3)


def test_crops_are_the_published_pixels():
    everywhere = np.full((375, 1242), 10.0)
    rows, columns = (
        np.flatnonzero(valid_pixels(everywhere, 80, "garg").any(axis=axis)) for axis in (1, 0)
    )
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (153, 371, 44, 1197)
    rows, columns = (
        np.flatnonzero(valid_pixels(everywhere, 80, "eigen").any(axis=axis)) for axis in (1, 0)
    )
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (124, 342, 44, 1197)
    assert valid_pixels(everywhere, 80, "none").all()


def test_only_true_depth_strictly_within_the_limits_counts():
    gt = np.array([[np.nan, 0.0, 1e-3, 0.5, 49.9, 50.0, np.inf]])
    assert valid_pixels(gt, 50, "none").tolist() == [
        [False, False, False, True, True, False, False]
    ]


def test_a_smaller_prediction_is_resized_to_the_truth(tmp_path):
    ramp = np.tile(np.linspace(5, 45, 64, dtype=np.float32), (16, 1))
    gt = save(tmp_path / "gt", cv2.resize(ramp, (256, 64), interpolation=cv2.INTER_LINEAR))
    scores, _ = evaluate_depth(pairs_by_stem(gt, save(tmp_path / "pred", ramp)))
    assert scores["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_cropped_prediction_is_compared_inside_its_window(tmp_path):
    camera = Intrinsics(70, 70, 50, 21, 124, 40)
    (tmp_path / "calib.txt").write_text("70 0 50\n0 70 21\n0 0 1\n")
    ramp = np.tile(np.linspace(5, 45, 124, dtype=np.float32), (40, 1))
    preprocess = Preprocessor(camera, 62, 40, 1)
    left, top, width, height = preprocess.window
    shown = cv2.resize(ramp[top : top + height, left : left + width], (62, 40))
    pairs = pairs_by_stem(save(tmp_path / "gt", ramp), save(tmp_path / "pred", shown))
    scores, notes = evaluate_depth(pairs, crop="none", coverage=Coverage(tmp_path / "calib.txt"))
    assert (
        scores["abs_rel"] < 1e-3
        and f"no prediction at {40 * (124 - width)} of {40 * 124} true pixels" in notes[0]
    )
    assert evaluate_depth(pairs, crop="none")[0]["abs_rel"] > 0.05


def test_inverse_depth_is_inverted(tmp_path):
    gt = save(tmp_path / "gt", np.array([[2.0, 4.0, 8.0, 5.0]]))
    pred = save(tmp_path / "pred", np.array([[0.5, 0.25, 0.125, 0.0]]))
    scores, notes = evaluate_depth(pairs_by_stem(gt, pred), crop="none", pred_is="inverse_depth")
    assert scores["abs_rel"] == 0
    assert "no prediction at 1 of 4" in notes[0]  # inverse depth 0: at no finite depth


def test_png_is_metres_times_256(tmp_path):
    for name in ("gt", "pred"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "gt" / "7.png"), np.array([[256, 512, 0, 1024]], np.uint16))
    np.save(tmp_path / "pred" / "7.npy", np.array([[1.0, 2.0, 3.0, 4.0]]))
    scores, notes = evaluate_depth(pairs_by_stem(tmp_path / "gt", tmp_path / "pred"), crop="none")
    assert scores["abs_rel"] == 0 and notes == []


def test_unknown_predictions_are_left_out_and_noted(tmp_path):
    gt = save(tmp_path / "gt", np.array([[1.0, 2.0, 4.0]]))
    pred = save(tmp_path / "pred", np.array([[1.0, 2.0, np.nan]]))
    scores, notes = evaluate_depth(pairs_by_stem(gt, pred), crop="none")
    assert scores["abs_rel"] == 0
    assert len(notes) == 1 and "000000.npy: no prediction at 1 of 3 true pixels" in notes[0]


def test_image_without_truth_is_left_out_and_noted(tmp_path):
    gt = save(tmp_path / "gt", np.array([[1.0, 2.0]]), np.array([[np.nan, 200.0]]))
    pred = save(tmp_path / "pred", np.ones((1, 2)), np.ones((1, 2)))
    scores, notes = evaluate_depth(pairs_by_stem(gt, pred), crop="none")
    assert scores["images"] == 1 and "000001.npy: no pixel to compare" in notes[0]
    with pytest.raises(InputError, match="no pixel to compare in any image"):
        evaluate_depth(pairs_by_stem(gt, pred)[1:], crop="none")


def test_unmatched_files_are_named(tmp_path):
    gt = save(tmp_path / "gt", scene(), scene(), scene())
    pred = save(tmp_path / "pred", scene())
    with pytest.raises(
        InputError,
        match=r"pred: no prediction of 000001\.npy and of 1 more, expected one for each of 3",
    ):
        pairs_by_stem(gt, pred)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: no depth maps in it"):
        pairs_by_stem(gt, tmp_path / "none")
    with pytest.raises(InputError, match="absent: no such folder"):
        pairs_by_stem(tmp_path / "absent", pred)
    (gt / "000000.png").touch()
    with pytest.raises(InputError, match="one depth map for each name"):
        pairs_by_stem(gt, gt)


def test_invalid_values_are_refused(tmp_path):
    gt = save(tmp_path / "gt", np.ones((2, 2)))
    pred = save(tmp_path / "pred", np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"pred/000000\.npy: median depth 0, expected positive"):
        evaluate_depth(pairs_by_stem(gt, pred), crop="none")
    for cap in (0.0, -5.0, float("nan")):
        with pytest.raises(InputError, match="cap of"):
            evaluate_depth(pairs_by_stem(gt, gt), cap_m=cap)
    with pytest.raises(InputError, match="crop 'half', expected one of garg, eigen, none"):
        evaluate_depth(pairs_by_stem(gt, gt), crop="half")
