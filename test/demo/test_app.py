"""Command line, result files and progress of the demo."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from demo import result_files
from demo.app import main
from demo.metrics import DriveMetrics
from demo.progress import Progress
from demo.recording import EstimatedTrajectory
from sfm_odometry.errors import OutputError
from sfm_odometry.io.trajectories import read_poses


def trajectory(frames: list[int], frames_in: int) -> EstimatedTrajectory:
    poses = np.tile(np.eye(4), (len(frames), 1, 1))
    poses[:, 2, 3] = frames
    stamps_ns = np.array(frames) * 10**8
    return EstimatedTrajectory(
        frames=np.array(frames),
        stamps_ns=stamps_ns,
        start_from_camera=poses,
        twists=np.zeros((len(frames), 6)),
        latencies_ms=np.ones(len(frames)),
        frames_in=frames_in,
    )


def test_an_unwritable_output_is_refused_in_one_line_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file" / "demo")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"error: {tmp_path}/file/demo: cannot be written" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--sequence", "nowhere/03"], "nowhere/03: no such folder"),
        (["--model", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, capsys, arguments, complaint):
    assert main(["--out", str(tmp_path / "out"), *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert complaint in err


@pytest.mark.parametrize(
    "arguments", [["--frames", "0"], ["--rate", "-1"], ["--rate", "nan"], ["--frames", "many"]]
)
def test_bad_options_are_refused(tmp_path, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--out", str(tmp_path), *arguments])
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_results_of_an_earlier_run_are_removed(tmp_path):
    folder = result_files.prepare_folder(tmp_path / "demo")
    (folder / result_files.REPORT_FILE).write_text("old")
    (folder / result_files.DEPTH_FOLDER / "000001.png").write_text("old")
    (folder / "mine.txt").write_text("kept")
    result_files.prepare_folder(folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["depth", "logs", "masks", "mine.txt"]


def test_a_file_in_place_of_the_output_folder_is_refused(tmp_path):
    (tmp_path / "demo").write_text("")
    with pytest.raises(OutputError, match="demo: cannot be written"):
        result_files.prepare_folder(tmp_path / "demo")


def test_a_whole_track_is_written_one_plain_row_a_frame(tmp_path):
    result_files.write_trajectory(tmp_path, trajectory([0, 1, 2], frames_in=3))
    kitti = read_poses(tmp_path / result_files.KITTI_FILE)
    assert kitti.frame_numbers is None
    np.testing.assert_allclose(kitti.poses[:, 2, 3], [0, 1, 2])
    tum = read_poses(tmp_path / result_files.TUM_FILE)
    np.testing.assert_allclose(tum.stamps_s, [0.0, 0.1, 0.2])
    np.testing.assert_allclose(tum.poses, kitti.poses)


def test_rows_have_frame_numbers_where_frames_were_lost(tmp_path):
    result_files.write_trajectory(tmp_path, trajectory([0, 1, 4], frames_in=5))
    kitti = read_poses(tmp_path / result_files.KITTI_FILE)
    assert kitti.frame_numbers.tolist() == [0, 1, 4]
    np.testing.assert_allclose(kitti.poses[:, 2, 3], [0, 1, 4])


def test_metrics_have_the_documented_names(tmp_path):
    result_files.write_metrics(
        tmp_path,
        DriveMetrics(frames_in=9, frames_processed=8, latency_ms_median=21.5),
        {"model": "small"},
    )
    metrics = json.loads((tmp_path / result_files.METRICS_FILE).read_text())
    names = {
        "ate_5frame",
        "ate_7dof_m",
        "t_err_percent",
        "r_err_deg_per_100m",
        "frames_in",
        "frames_processed",
        "latency_ms_median",
        "latency_ms_p99",
        "scale",
        "startup_frames",
        "startup_latency_ms_max",
        "model",
    }
    assert names <= metrics.keys()
    assert metrics["frames_processed"] == 8
    assert metrics["t_err_percent"] is None


def test_progress_is_one_line_on_a_terminal_and_few_lines_in_a_log(capsys):
    written: list[str] = []
    terminal = SimpleNamespace(isatty=lambda: True, write=written.append, flush=lambda: None)
    progress = Progress(terminal)
    for done in (1, 2, 3):
        progress.count("tracking", done, 3)
    progress.say("done")
    assert (
        "".join(written)
        == "\rtracking: 1 of 3 frames\rtracking: 2 of 3 frames\rtracking: 3 of 3 frames\ndone\n"
    )

    written.clear()
    log = Progress(SimpleNamespace(isatty=lambda: False, write=written.append, flush=lambda: None))
    for done in range(101):
        log.count("tracking", done, 100)
    lines = "".join(written).splitlines()
    assert lines[-1] == "tracking: 100 of 100 frames"
    assert len(lines) < 5
