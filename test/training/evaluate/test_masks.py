"""Area under the ROC curve of explainability masks."""

import json

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from training.evaluate.__main__ import main
from training.evaluate.masks import evaluate_masks, mask_auc, read_explainability, read_motion_mask


def area_by_all_pairs(explainability, moving):
    """Area by its definition, pair by pair."""
    wins = [
        (m < s) + 0.5 * (m == s) for m in explainability[moving] for s in explainability[~moving]
    ]
    return sum(wins) / len(wins)


def area_under_the_curve(explainability, moving):
    """Area by the trapezoids of the ROC curve, one threshold at a time."""
    thresholds = [-np.inf, *np.unique(explainability)]
    true_rate = np.array([np.mean(explainability[moving] <= t) for t in thresholds])
    false_rate = np.array([np.mean(explainability[~moving] <= t) for t in thresholds])
    return np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2)


def test_areas_by_hand():
    moving = np.array([True, True, False, False])
    assert mask_auc(np.array([0.1, 0.2, 0.8, 0.9]), moving) == 1.0
    assert mask_auc(np.array([0.8, 0.9, 0.1, 0.2]), moving) == 0.0
    assert mask_auc(np.full(4, 0.5), moving) == 0.5
    # Pairs: .3 < .3 (tie), .3 < .9, .6 > .3, .6 < .9.
    assert mask_auc(np.array([0.3, 0.6, 0.3, 0.9]), moving) == 2.5 / 4


@pytest.mark.parametrize("levels", [3, 20, 10**6])
def test_agrees_with_two_other_computations(levels):
    rng = np.random.default_rng(levels)
    moving = rng.random((12, 40)) < 0.1
    explainability = (np.round((rng.random((12, 40)) - 0.3 * moving) * levels) / levels).astype(
        np.float32
    )
    assert mask_auc(explainability, moving) == pytest.approx(
        area_by_all_pairs(explainability, moving), rel=1e-12
    )
    assert mask_auc(explainability, moving) == pytest.approx(
        area_under_the_curve(explainability, moving), rel=1e-9
    )


def test_only_the_order_counts_and_reversing_it_complements_the_area():
    rng = np.random.default_rng(1)
    explainability = rng.random(500)
    moving = rng.random(500) < 0.3
    area = mask_auc(explainability, moving)
    assert mask_auc(np.exp(5 * explainability), moving) == area
    assert mask_auc(-explainability, moving) == pytest.approx(1 - area)
    assert mask_auc(explainability, ~moving) == pytest.approx(1 - area)


def test_pairs_beyond_32_bits_do_not_overflow():
    moving = np.arange(200_000) % 2 == 0
    assert mask_auc(np.where(moving, 0, 1).astype(np.float32), moving) == 1.0


def test_unknown_pixels_are_left_out_and_one_class_alone_gives_nan():
    assert (
        mask_auc(np.array([0.1, np.nan, 0.9, np.nan]), np.array([True, True, False, False])) == 1.0
    )
    assert np.isnan(mask_auc(np.array([0.1, 0.2]), np.array([False, False])))
    with pytest.raises(InputError, match=r"shape \(2,\) and moving of shape \(3,\)"):
        mask_auc(np.zeros(2), np.zeros(3, bool))


def write_pair(folder, name, moving, explainability):
    for kind in ("gt", "pred"):
        (folder / kind).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "gt" / f"{name}.png"), np.where(moving, 255, 0).astype(np.uint8))
    np.save(folder / "pred" / f"{name}.npy", explainability.astype(np.float32))
    return folder / "gt" / f"{name}.png", folder / "pred" / f"{name}.npy"


def test_pixels_of_all_images_are_pooled(tmp_path):
    rng = np.random.default_rng(2)
    moving = rng.random((3, 20, 30)) < 0.2
    explainability = rng.random((3, 20, 30))
    explainability[0] += 1  # an offset between images matters only to the pooled area
    moving[1] = False
    scores = evaluate_masks(
        [write_pair(tmp_path, f"{k:06d}", moving[k], explainability[k]) for k in range(3)]
    )
    assert scores == {
        "auc": mask_auc(explainability.astype(np.float32), moving),
        "images": 3,
        "moving_share": pytest.approx(moving.mean()),
    }
    still = write_pair(tmp_path, "7", moving[1], explainability[1])
    with pytest.raises(InputError, match="0 of 600 pixels move"):
        evaluate_masks([still])


def test_truth_is_resized_to_the_prediction(tmp_path):
    moving = np.zeros((20, 40), bool)
    moving[:, 10:20] = True
    explainability = np.ones((10, 20))
    explainability[:, 5:10] = 0
    assert evaluate_masks([write_pair(tmp_path, "0", moving, explainability)])["auc"] == 1.0


def test_grey_predictions_and_invalid_files(tmp_path):
    cv2.imwrite(str(tmp_path / "pred.png"), np.array([[0, 51, 255]], np.uint8))
    np.testing.assert_allclose(read_explainability(tmp_path / "pred.png"), [[0, 0.2, 1]], rtol=1e-6)
    with pytest.raises(ImageError, match=r"pred\.png: not a mask of true motion"):
        read_motion_mask(tmp_path / "pred.png")
    cv2.imwrite(str(tmp_path / "colour.png"), np.full((2, 2, 3), (1, 2, 3), np.uint8))
    with pytest.raises(ImageError, match=r"colour\.png: coloured image"):
        read_explainability(tmp_path / "colour.png")


def command(capsys, folder, *options):
    code = main(
        ["masks", "--gt", str(folder / "gt"), "--pred", str(folder / "pred"), *map(str, options)]
    )
    return code, *capsys.readouterr()


def test_command_scores_images_with_truth(tmp_path, capsys):
    rng = np.random.default_rng(5)
    moving = rng.random((4, 10, 20)) < 0.3
    explainability = rng.random((4, 10, 20)).astype(np.float32)
    for index in range(4):
        write_pair(tmp_path, f"{index:06d}", moving[index], explainability[index])
    (tmp_path / "pred/000003.npy").unlink()
    code, out, notes = command(capsys, tmp_path, "--json")
    expected = {
        "auc": mask_auc(explainability[:3], moving[:3]),
        "images": 3,
        "moving_share": pytest.approx(moving[:3].mean()),
    }
    assert code == 0 and json.loads(out) == expected
    assert "no prediction of 1 of 4 true masks" in notes
    assert command(capsys, tmp_path)[1].splitlines()[0].split()[0] == "auc"


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_cropped_prediction_is_compared_with_its_part_of_the_truth(tmp_path, capsys, mode):
    (tmp_path / "calib.txt").write_text("70 0 50\n0 70 21\n0 0 1\n")
    moving = np.zeros((40, 124), bool)
    moving[10:30, 48:76] = True
    preprocess = Preprocessor(Intrinsics(70, 70, 50, 21, 124, 40), 62, 40, 1, mode)
    explainability = 1 - preprocess.warp_nearest(moving.astype(np.float32))
    write_pair(tmp_path, "0", moving, explainability)
    coverage = ("--calib", tmp_path / "calib.txt", "--resize-mode", mode)
    code, out, _ = command(capsys, tmp_path, *coverage, "--json")
    scores = json.loads(out)
    # Only the part of the truth inside the window counts.
    left, top, width, height = preprocess.window
    visible = moving[max(top, 0) : top + height, max(left, 0) : left + width]
    assert code == 0 and scores["auc"] == 1.0
    assert scores["moving_share"] == pytest.approx(visible.mean(), abs=0.02)
    if mode == "crop":
        # Without the calibration it counts as a prediction of the whole image.
        assert json.loads(command(capsys, tmp_path, "--json")[1])["auc"] < 0.98


def test_folders_without_a_name_in_common(tmp_path, capsys):
    write_pair(tmp_path, "0", np.zeros((2, 2), bool), np.ones((2, 2)))
    (tmp_path / "pred/0.npy").rename(tmp_path / "pred/1.npy")
    code, out, message = command(capsys, tmp_path)
    assert (
        (code, out) == (2, "")
        and "no file is named as one in" in message
        and message.count("\n") == 1
    )
