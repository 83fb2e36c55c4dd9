"""Scores of variants on small rendered drives: results, table, figures, cache, invalid input."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import read_poses, write_kitti
from sfm_odometry.params import OdometryParams
from training.accuracy.__main__ import main
from training.accuracy.depth import pooled_row_means, row_means, score_row_baseline
from training.accuracy.drives import open_drive, parse_choice
from training.accuracy.jobs import Job
from training.accuracy.odometry_run import OdometryRun, run_variant
from training.accuracy.report import markdown, mean_scores
from training.accuracy.scores import error_curves, trajectory_scores
from training.accuracy.variants import CLASSICAL, NAMES, VARIANTS
from training.synthetic.drive import DriveSpec, write_drive


@pytest.fixture(scope="module")
def drives(tmp_path_factory) -> list[Path]:
    """Two rendered drives of 8 frames of 160x64, in folders 1 and 2."""
    folder = tmp_path_factory.mktemp("drives")
    for seed in (1, 2):
        write_drive(folder / str(seed), DriveSpec(8, seed, 160, 64), workers=1, quiet=True)
    return [folder / "1", folder / "2"]


@pytest.fixture(scope="module")
def scored(drives, tmp_path_factory) -> Path:
    """Output folder of all variants on the two drives, with the packaged model."""
    out = tmp_path_factory.mktemp("scored") / "out"
    assert main(["--drives", *map(str, drives), "--out", str(out), "--depth-every", "3"]) == 0
    return out


def results(out: Path) -> dict:
    return json.loads(
        (out / "results.json").read_text(),
        parse_constant=lambda name: pytest.fail(f"{name} is no JSON"),
    )


def test_results_of_every_drive_and_variant(scored):
    found = results(scored)
    assert set(found) == {"model", "model_sha256", "variants", "drives", "mean"}
    assert (
        found["model"] == "default.safetensors" and found["variants"]["networks"]["refine"] is False
    )
    for drive in found["drives"].values():
        assert drive["frames"] == 8 and drive["length_m"] > 1
        assert set(drive["variants"]) == set(NAMES)
        assert (
            drive["depth"]["images"] == 3
            and 0 < drive["depth"]["abs_rel"] < 2
            and 0 < drive["depth"]["rows_abs_rel"] < 2
        )
    scores = found["drives"]["1"]["variants"]
    assert scores["fused"]["t_err_percent"] is None  # no segment of 100 m
    assert scores["fused"]["anees"] > 0 and scores["classical"]["anees"] is None
    assert all(math.isfinite(scores[name]["rotation_5_frames_deg"]) for name in NAMES)
    means = [drive["variants"]["fused"]["ate_5_frames_m"] for drive in found["drives"].values()]
    assert found["mean"]["fused"]["ate_5_frames_m"] == pytest.approx(np.mean(means))


def test_table_and_pictures(scored):
    table = (scored / "table.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows[:11]}) == 1
    assert (
        table.count("| classical |") == 3 and "| mean of 2 |" in table and "AbsRel of rows" in table
    )
    for name in ("1.png", "2.png", "calibration.png"):
        picture = cv2.imread(str(scored / name))
        assert picture is not None and len(np.unique(picture @ [1, 256, 65536])) > 20


def test_cached_results_are_reused_unchanged(scored, drives, capsys):
    before = results(scored)
    folders = ["--drives", str(drives[0]), "--out", str(scored)]
    assert main([*folders, "--depth-every", "3", "--variants", "fused", "classical"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "1/3 1, fused, kept",
        "2/3 1, classical, kept",
        "3/3 1, depth, kept",
    ]
    after = results(scored)
    assert after["drives"]["1"]["variants"]["fused"] == before["drives"]["1"]["variants"]["fused"]


def test_two_workers_give_the_same_results(drives, tmp_path, scored):
    folders = ["--drives", *map(str, drives), "--out", str(tmp_path)]
    settings = ["--variants", "classical", "--workers", "2", "--depth-every", "3"]
    assert main([*folders, *settings]) == 0
    one_process, two_workers = (
        json.loads(next((out / "kept" / "1").glob("classical-*")).read_text())
        for out in (scored, tmp_path)
    )
    assert two_workers["curves"] == one_process["curves"]


def test_cache_key_depends_on_all_inputs(drives, tmp_path):
    choice = parse_choice(str(drives[0]))
    model = tmp_path / "other.safetensors"
    model.write_bytes(b"another model")
    jobs = [
        Job(choice, "fused", None, 5),
        Job(choice, "networks", None, 5),
        Job(choice, "fused", model, 5),
        Job(parse_choice(f"{drives[0]}:1-6"), "fused", None, 5),
        Job(choice, "depth", None, 5),
        Job(choice, "depth", None, 4),
        Job(choice, "classical", None, 5),
    ]
    assert len({job.key() for job in jobs}) == len(jobs)
    assert Job(choice, "fused", None, 4).key() == jobs[0].key()
    assert Job(choice, "classical", model, 5).key() == jobs[-1].key()


def test_variants_override_existing_parameters():
    fields = {field.name for field in dataclasses.fields(OdometryParams)}
    assert all(set(overrides) <= fields for overrides in VARIANTS.values())
    assert CLASSICAL not in VARIANTS and "depth" not in VARIANTS  # `depth` names other results


def test_frame_range_selects_images_poses_and_depth(drives):
    drive = open_drive(parse_choice(f"{drives[0]}:2-7"))
    assert drive.name == "1_2-7" and [path.stem for path in drive.image_paths] == [
        f"{number:06d}" for number in range(2, 8)
    ]
    np.testing.assert_allclose(drive.true_poses, read_poses(drives[0] / "poses.txt").poses[2:8])
    assert len(drive.depth_paths) == 6


def test_poses_from_another_folder(drives, tmp_path):
    bare = tmp_path / "1"
    shutil.copytree(drives[0], bare, ignore=shutil.ignore_patterns("poses.txt", "depth"))
    poses = read_poses(drives[0] / "poses.txt").poses
    write_kitti(tmp_path / "1.txt", poses)
    drive = open_drive(parse_choice(str(bare), tmp_path))
    np.testing.assert_allclose(drive.true_poses, poses, atol=1e-8)
    assert drive.depth_paths is None


def test_poses_with_the_frame_first_are_taken_by_their_numbers(drives, tmp_path):
    rows = (drives[0] / "poses.txt").read_text().splitlines()
    (tmp_path / "1.txt").write_text("".join(f"{k} {row}\n" for k, row in enumerate(rows)))
    drive = open_drive(parse_choice(f"{drives[0]}:2-7", tmp_path))
    np.testing.assert_allclose(drive.true_poses, read_poses(drives[0] / "poses.txt").poses[2:8])
    (tmp_path / "1.txt").write_text("".join(f"{k} {row}\n" for k, row in enumerate(rows[:5])))
    with pytest.raises(InputError, match="no pose of frame 5"):
        open_drive(parse_choice(str(drives[0]), tmp_path))


def test_steps_of_a_run_are_those_of_its_poses(drives):
    drive = open_drive(parse_choice(str(drives[0])))
    run = run_variant(drive, "fused", None)
    assert run.steps.tolist() == list(range(1, 8)) and run.frame_ms.shape == (8,) and not run.metric
    chained = np.linalg.inv(run.start_from_camera[:-1]) @ run.start_from_camera[1:]
    np.testing.assert_allclose(run.previous_from_current, chained, atol=1e-9)
    assert (np.linalg.eigvalsh(run.covariances) > 0).all()


def test_truth_in_another_unit_and_frame_has_no_error(drives):
    truth = open_drive(parse_choice(str(drives[0]))).true_poses
    found = np.linalg.inv(truth[3]) @ truth
    found[:, :3, 3] *= 0.5
    scores = trajectory_scores(truth, OdometryRun(found, np.ones(8)))
    for name in ("ate_5_frames_m", "rotation_5_frames_deg", "rotation_1_frame_deg", "ate_7dof_m"):
        assert scores[name] == pytest.approx(0, abs=1e-6)
    assert scores["metres_per_unit"] == pytest.approx(2) and math.isnan(scores["t_err_percent"])
    curves = error_curves(truth, found)
    assert (
        np.max(curves["position_error_m"]) < 1e-6 and np.max(curves["orientation_error_deg"]) < 1e-5
    )
    np.testing.assert_allclose(
        curves["path_m"][-1], (np.linalg.inv(truth[0]) @ truth[-1])[[0, 2], 3], atol=1e-6
    )


def test_row_baseline_beats_constant_depth(drives):
    drive = open_drive(parse_choice(str(drives[0])))
    means, counts = row_means(drive, 2)
    rows = pooled_row_means([{"inverse_depth": means.tolist(), "pixels": counts.tolist()}], 64)
    np.testing.assert_allclose(rows[counts > 0], means[counts > 0])
    assert (
        score_row_baseline(drive, rows, 2)["rows_abs_rel"]
        < score_row_baseline(drive, np.full(64, 0.1), 2)["rows_abs_rel"]
    )


def test_pooled_row_means_are_weighted_by_pixels_and_resampled():
    others = [
        {"inverse_depth": [0.1, 0.3], "pixels": [30, 30]},
        {"inverse_depth": [0.5, 0.0], "pixels": [10, 0]},
    ]
    rows = pooled_row_means(others, 2)
    np.testing.assert_allclose(rows, [(30 * 0.1 + 10 * 0.5) / 40, 0.3])
    finer = pooled_row_means(others[:1], 4)
    assert (
        finer.shape == (4,)
        and (np.diff(finer) >= 0).all()
        and finer[0] == pytest.approx(0.1)
        and finer[-1] == pytest.approx(0.3)
    )


def test_means_skip_unknown_scores_and_the_best_is_bold():
    def drive(networks, fused):
        scores = {
            "networks": {"ate_7dof_m": networks, "anees": 1.0},
            "fused": {"ate_7dof_m": fused, "anees": 3.0},
        }
        return {"frames": 9, "length_m": 12.3, "variants": scores}

    drives = {"a": drive(2.0, 1.0), "b": drive(4.0, math.nan)}
    means = mean_scores(drives)
    assert means["networks"]["ate_7dof_m"] == 3.0 and means["fused"]["ate_7dof_m"] == 1.0
    # Lines: header, rule, then two rows for each drive.
    rows = markdown(drives).splitlines()
    assert (
        "**1.00**" in rows[3]
        and "**2.00**" not in rows[2]
        and "**4.00**" in rows[4]
        and "nan" not in markdown(drives)
    )
    assert (
        rows[2].startswith("| a, 9 frames, 12 m | networks |")
        and "3.00" in rows[3]
        and "**3.00**" not in rows[3]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--drives", "{drive}:3-4"], "frames 3 to 4, expected at least 5"),
        (["--drives", "{drive}:3-40"], "has frames 0 to 7, expected 3 to 40 among them"),
        (["--drives", "{drive}", "{drive}"], "two drives are called 1"),
        (["--drives", "nowhere"], "no such folder"),
        (["--poses", "nowhere"], "nowhere/1.txt: no such file"),
        (["--model", "nowhere.safetensors"], "nowhere.safetensors: cannot be read"),
        (["--depth-every", "0"], "--depth-every 0"),
        (["--workers", "0"], "--workers 0"),
    ],
)
def test_invalid_arguments_are_refused(drives, tmp_path, capsys, change, message):
    folders = ["--drives", str(drives[0]), "--out", str(tmp_path)]
    assert main([*folders, *(word.format(drive=drives[0]) for word in change)]) == 2
    assert message in capsys.readouterr().err


def test_a_drive_without_truth_is_refused_before_any_work(drives, tmp_path, capsys):
    bare = tmp_path / "bare"
    shutil.copytree(drives[0], bare, ignore=shutil.ignore_patterns("poses.txt"))
    assert main(["--drives", str(drives[1]), str(bare), "--out", str(tmp_path / "out")]) == 2
    assert "no true poses, expected poses.txt in it, or --poses" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unwritable_output_is_named(drives, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert main(["--drives", str(drives[0]), "--variants", "classical", "--out", str(file)]) == 2
    assert "results cannot be kept there" in capsys.readouterr().err
