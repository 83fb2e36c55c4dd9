"""Offset of the clocks of two trajectories: found by the motion, offered and taken."""

import json

import numpy as np
import pytest

from sfm_odometry.io.trajectories import PoseFile, read_poses, write_kitti, write_tum
from training.evaluate.__main__ import main
from training.evaluate.clock_offset import agrees_better, find_clock_offset

GT_S = 1317384506.0 + 0.1 * np.arange(400)


@pytest.fixture
def drive(winding):
    """True poses whose speed and turning change along the way: the camera stops twice."""
    speeds = 1.2 + np.sin(np.arange(399) / 23) + 0.3 * np.sin(np.arange(399) / 7)
    poses = [np.eye(4)]
    for step, speed in zip(np.linalg.inv(winding[:-1]) @ winding[1:], speeds, strict=True):
        step[:3, 3] *= max(speed, 0.0)
        poses.append(poses[-1] @ step)
    return np.stack(poses)


def scaled(poses, scale=0.1):
    """Poses in another unit and another frame of reference."""
    turn = np.array([[0, -1, 0, 3], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    moved = turn @ poses
    moved[:, :3, 3] *= scale
    return moved


@pytest.mark.parametrize("offset_s", [3600.0, -7200.0, 1317384500.35, 2.0, -1.5, 0.03])
def test_the_offset_is_found_by_the_motion(drive, offset_s):
    gt = PoseFile(GT_S, None, drive)
    part = slice(60, 300)
    pred = PoseFile(GT_S[part] - offset_s, None, scaled(drive[part]))
    found = find_clock_offset(gt, pred)
    assert found.offset_s == pytest.approx(offset_s, abs=1e-4)
    assert found.matches == 240 and found.by_motion
    assert agrees_better(found, matches=0 if abs(offset_s) > 50 else 200) == (abs(offset_s) > 0.03)


def test_a_faster_sensor_and_missing_frames_do_not_hide_the_offset(drive):
    fine_s = np.arange(0, 39.9, 0.01)
    fine = np.tile(np.eye(4), (len(fine_s), 1, 1))
    for axis in range(3):
        fine[:, axis, 3] = np.interp(fine_s, GT_S - GT_S[0], drive[:, axis, 3])
    kept = np.sort(np.random.default_rng(2).choice(np.arange(50, 350), 180, replace=False))
    pred = PoseFile(GT_S[kept] - GT_S[0] - 17.0, None, scaled(drive[kept]))
    found = find_clock_offset(PoseFile(fine_s, None, fine), pred)
    assert found.offset_s == pytest.approx(17.0, abs=0.01) and found.matches == 180


def test_motion_without_a_shape_leaves_the_usual_offsets_of_clocks():
    poses = np.tile(np.eye(4), (50, 1, 1))
    poses[:, 2, 3] = np.arange(50)
    gt = PoseFile(GT_S[:50], None, poses)
    zone = find_clock_offset(gt, PoseFile(GT_S[5:45] + 19800, None, poses[5:45]))
    assert zone.offset_s == -19800 and not zone.by_motion
    boot = find_clock_offset(gt, PoseFile(0.1 * np.arange(40) + 7.123, None, poses[:40]))
    assert boot.offset_s == pytest.approx(GT_S[0] - 7.123) and boot.matches == 40
    assert find_clock_offset(gt, PoseFile(np.array([1.0]), None, poses[:1])) is None


@pytest.fixture
def files(tmp_path, drive):
    """gt.tum and its prediction by a clock that is an hour behind, in seconds and nanoseconds."""
    write_tum(tmp_path / "gt.tum", GT_S, drive)
    pred = scaled(drive[10:390])
    write_tum(tmp_path / "late.tum", GT_S[10:390] - 3600, pred)
    write_tum(tmp_path / "pred.tum", GT_S[10:390], pred)
    lines = (tmp_path / "pred.tum").read_text().splitlines()
    in_ns = [line.replace(".", "", 1).replace(" ", ",") for line in lines]
    head = "#timestamp [ns],p_x,p_y,p_z,q_x,q_y,q_z,q_w\n"
    (tmp_path / "ns.csv").write_text(head + "\n".join(in_ns) + "\n")
    return tmp_path


def run(capsys, files, *arguments):
    code = main(["odometry", "--gt", str(files / "gt.tum"), *map(str, arguments), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else {}, captured.err


def test_nanoseconds_beside_seconds_are_brought_together(files, capsys):
    code, scores, notes = run(capsys, files, "--pred", files / "ns.csv")
    assert code == 0 and scores["frames"] == 380 and scores["ate_m"] < 1e-3
    assert notes.count("\n") == 1


def test_an_hour_is_offered_and_taken(files, capsys):
    code, _, error = run(capsys, files, "--pred", files / "late.tum")
    assert code == 2 and error.count("\n") == 1
    assert "0 of 380 poses have a partner" in error and "the stamps do not overlap" in error
    assert "with --time-offset 3600.0 (seconds) 380 of 380 would match" in error
    for offset in ("3600", "3600.0s", "auto"):
        code, scores, notes = run(
            capsys, files, "--pred", files / "late.tum", "--time-offset", offset
        )
        assert code == 0 and scores["frames"] == 380 and scores["ate_m"] < 1e-3
        assert ("time offset 3600.0 s" in notes) == (offset == "auto")


def test_clocks_that_differ_by_less_than_the_drive_are_told(files, drive, capsys):
    write_tum(files / "shifted.tum", GT_S[100:300] - 2, scaled(drive[100:300]))
    code, scores, notes = run(capsys, files, "--pred", files / "shifted.tum")
    assert code == 0 and scores["ate_m"] > 0.1
    assert "its clock seems to be another: with --time-offset 2.0" in notes
    code, scores, notes = run(capsys, files, "--pred", files / "shifted.tum", "--time-offset", "2")
    assert scores["ate_m"] < 1e-3 and "its clock" not in notes


@pytest.mark.parametrize("offset", ["soon", "nan", "inf"])
def test_an_offset_is_a_number_or_auto(files, capsys, offset):
    with pytest.raises(SystemExit):
        run(capsys, files, "--pred", files / "late.tum", "--time-offset", offset)
    assert "--time-offset" in capsys.readouterr().err


def test_an_offset_needs_stamps(files, drive, capsys):
    write_kitti(files / "rows.txt", drive)
    code, _, error = run(capsys, files, "--pred", files / "rows.txt", "--time-offset", "1")
    assert code == 2 and "--time-offset needs stamps in both" in error


@pytest.mark.parametrize("peer", ["dso", "orbslam3", "viso2"])
def test_a_published_trajectory_by_another_clock(kitti, peer):
    gt = read_poses(kitti / "odometry/poses/03.txt").poses
    pred = read_poses(kitti / f"peers/{peer}/03.txt")
    stamps_s = 0.1 * (np.arange(len(gt)) if pred.frame_numbers is None else pred.frame_numbers)
    found = find_clock_offset(
        PoseFile(1e9 + 0.1 * np.arange(len(gt)), None, gt),
        PoseFile(1e9 - 3600 + stamps_s, None, pred.poses),
    )
    assert found.offset_s == 3600.0 and found.by_motion
