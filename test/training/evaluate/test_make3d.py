"""Depth scores on Make3D."""

import json
import math
import sys

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.images import read_image
from training.evaluate.__main__ import main
from training.evaluate.make3d import (
    METRICS,
    band_of_image,
    central_band,
    make3d_metrics,
    read_laser_grid,
    score_make3d,
    truth_files,
)
from training.evaluate.predictions import DepthPrediction

NAMES = ("10.21op2-p-139t000", "math7-p-282t0")  # with a dot inside, as many of Make3D's names


def laser(seed):
    """Depth (55, 305) of a laser grid as in Make3D: up to 81 m, 0 where nothing came back."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 81, (55, 305))
    depth[rng.random(depth.shape) < 0.1] = 0
    return depth


def guess(seed):
    return np.random.default_rng(seed).uniform(1, 10, (32, 64)).astype(np.float32)


def second_computation(depth, pred, cap=70):
    """Scores of one image, cell by cell in plain Python; shares no line with the product."""
    # Cells of the central band with true depth.
    cells = []
    for row in range(17, 38):
        for column in range(305):
            nearest = pred[(row - 17) * pred.shape[0] // 21, column * pred.shape[1] // 305]
            if 0 < depth[row][column] < cap:
                cells.append((float(depth[row][column]), float(nearest)))

    def median(values):
        values = sorted(values)
        half = len(values) // 2
        return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2

    # Scale by the medians, clip, average.
    ratio = median([true for true, _ in cells]) / median([guess for _, guess in cells])
    cells = [(true, min(guess * ratio, cap)) for true, guess in cells]
    n = len(cells)
    return (
        sum(abs(t - p) / t for t, p in cells) / n,
        sum((t - p) ** 2 / t for t, p in cells) / n,
        math.sqrt(sum((t - p) ** 2 for t, p in cells) / n),
        sum(abs(math.log10(t) - math.log10(p)) for t, p in cells) / n,
        math.sqrt(sum((math.log10(t) - math.log10(p)) ** 2 for t, p in cells) / n),
    )


@pytest.mark.parametrize("cap", [70.0, 50.0])
def test_agrees_with_a_second_computation_to_six_digits(cap):
    scores, notes = score_make3d(
        [(str(k), laser(k), DepthPrediction("p", guess(k))) for k in range(3)], cap
    )
    expected = np.mean([second_computation(laser(k), guess(k), cap) for k in range(3)], axis=0)
    np.testing.assert_allclose([scores[name] for name in METRICS], expected, rtol=1e-6)
    assert scores["images"] == 3 and notes == []


def test_two_cells_by_hand():
    scores = dict(
        zip(METRICS, make3d_metrics(np.array([1.0, 10.0]), np.array([10.0, 10.0])), strict=True)
    )
    assert scores == pytest.approx(
        {
            "abs_rel": 4.5,
            "sq_rel": 81 / 2,
            "rmse": math.sqrt(81 / 2),
            "log10": 0.5,
            "rmse_log10": math.sqrt(0.5),
        }
    )


def test_photograph_and_laser_are_cropped_to_the_same_band():
    image = band_of_image(np.tile(np.arange(2272)[:, None], (1, 1704)))
    assert image.shape == (852, 1704) and (image[0, 0], image[-1, 0]) == (710, 1561)
    grid = central_band(np.tile(np.arange(55)[:, None], (1, 305)))
    assert grid.shape == (21, 305) and (grid[0, 0], grid[-1, 0]) == (17, 37)
    with pytest.raises(
        ImageError, match="image of 300x100 pixels, expected one at least half as high as wide"
    ):
        band_of_image(np.zeros((100, 300, 3), np.uint8))


def test_images_without_pixels_are_noted():
    far = np.full((55, 305), 75.0)
    scores, notes = score_make3d(
        [
            ("a.mat", far, DepthPrediction("a", guess(0))),
            ("b.mat", laser(1), DepthPrediction("b", guess(1))),
        ]
    )
    assert scores["images"] == 1 and notes == [
        "a.mat: no pixel to compare (true depth within 0 to 70 m), left out"
    ]
    with pytest.raises(InputError, match="no pixel to compare in any image"):
        score_make3d([("a.mat", far, DepthPrediction("a", guess(0)))])


@pytest.fixture
def scipy_io():
    return pytest.importorskip(
        "scipy.io", reason="scipy writes and reads the .mat files of Make3D: pip install scipy"
    )


@pytest.fixture
def make3d(tmp_path, scipy_io):
    """Two laser grids, saved with and without compression, and their photographs.

    The photographs have an eighth of Make3D's size.
    """
    for folder in ("gt", "images"):
        (tmp_path / folder).mkdir()
    for index, name in enumerate(NAMES):
        grid = np.zeros((55, 305, 4))
        grid[..., 3] = laser(index)
        grid[..., :3] = -1
        path = tmp_path / "gt" / f"depth_sph_corr-{name}.mat"
        scipy_io.savemat(path, {"Position3DGrid": grid}, format="5", do_compression=bool(index))
        image = np.random.default_rng(index).integers(0, 255, (284, 213, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"img-{name}.jpg"), image)
    (tmp_path / "gt" / "readme.txt").touch()
    return tmp_path


def scores_of(capsys, *arguments):
    assert main(["make3d", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_mat_files_give_their_fourth_channel(make3d):
    files = truth_files(make3d / "gt")
    assert list(files) == list(NAMES)
    for index, path in enumerate(files.values()):
        np.testing.assert_array_equal(read_laser_grid(path), laser(index))


def test_the_command_scores_predictions_of_the_bands(make3d, capsys):
    np.save(make3d / "pred.npy", np.stack([guess(0), guess(1)]))
    np.save(make3d / "inverse.npy", 1 / np.stack([guess(0), guess(1)]).astype(np.float64))
    expected = np.mean([second_computation(laser(k), guess(k)) for k in range(2)], axis=0)
    scores = scores_of(capsys, "--gt", make3d / "gt", "--pred", make3d / "pred.npy")
    assert list(scores) == [*METRICS, "images", "cap_m", "ground_truth"] and scores["images"] == 2
    np.testing.assert_allclose([scores[name] for name in METRICS], expected, rtol=1e-6)
    files = ("--gt", make3d / "gt", "--pred", make3d / "inverse.npy")
    scores = scores_of(capsys, *files, "--pred-is", "inverse_depth")
    np.testing.assert_allclose([scores[name] for name in METRICS], expected, rtol=1e-5)


def test_a_model_is_run_over_the_photographs_bands(make3d, capsys, tiny_model):
    # Reference: 106 of 284 rows at 213 columns.
    estimator = Estimator.from_file(tiny_model, "cpu")
    expected = []
    for index, name in enumerate(NAMES):
        band = read_image(make3d / "images" / f"img-{name}.jpg")[89:195]
        pred = estimator.depth(cv2.resize(band, (64, 32), interpolation=cv2.INTER_AREA))
        expected.append(second_computation(laser(index), pred))
    # Command.
    folders = ("--gt", make3d / "gt", "--images", make3d / "images")
    scores = scores_of(capsys, *folders, "--model", tiny_model, "--device", "cpu")
    np.testing.assert_allclose(
        [scores[name] for name in METRICS], np.mean(expected, axis=0), rtol=1e-5
    )


def refused(capsys, *arguments):
    assert main(["make3d", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert (
        captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    )
    return captured.err


def test_bad_files_are_one_line_and_exit_code_2(make3d, scipy_io, capsys, tiny_model):
    # Predictions and images.
    gt = make3d / "gt"
    np.save(make3d / "pred.npy", np.stack([guess(0)]))
    assert "1 predictions, expected 2" in refused(capsys, "--gt", gt, "--pred", make3d / "pred.npy")
    assert "--model wants --images" in refused(capsys, "--gt", gt, "--model", tiny_model)
    (make3d / f"images/img-{NAMES[1]}.jpg").unlink()
    assert "img-math7-p-282t0.png: no such file" in refused(
        capsys, "--gt", gt, "--images", make3d / "images", "--model", tiny_model
    )
    np.save(make3d / "pred.npy", np.stack([guess(0), guess(1)]))
    # Laser grids.
    path = gt / f"depth_sph_corr-{NAMES[1]}.mat"
    whole = path.read_bytes()
    for broken in (b"", b"junk" * 100, whole[: len(whole) // 2]):
        path.write_bytes(broken)
        assert f"{path.name}: cannot be read as a MATLAB 5 file" in refused(
            capsys, "--gt", gt, "--pred", make3d / "pred.npy"
        )
    scipy_io.savemat(path, {"Position3DGrid": np.zeros((55, 305))})
    assert "Position3DGrid is float64 of shape (55, 305)" in refused(
        capsys, "--gt", gt, "--pred", make3d / "pred.npy"
    )
    scipy_io.savemat(path, {"depth": np.zeros((55, 305))})
    assert "Position3DGrid is none" in refused(capsys, "--gt", gt, "--pred", make3d / "pred.npy")
    assert "no depth_sph_corr-*.mat in it" in refused(
        capsys, "--gt", make3d / "images", "--pred", make3d / "pred.npy"
    )


def test_without_scipy_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(
        InputError,
        match=r"depth_sph_corr-a\.mat: reading \.mat files wants scipy: pip install scipy",
    ):
        read_laser_grid(tmp_path / "depth_sph_corr-a.mat")
