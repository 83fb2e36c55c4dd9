"""Resumption of a preparation that was killed, ran out of disk, or left an incomplete scene."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import OutputError
from training.data.sampler import open_data
from training.prepare import main
from training.prepare.work import CHUNK_FRAMES
from training.prepare.writer import HEADER_BYTES, SceneWriter

REPOSITORY = Path(__file__).resolve().parents[3]
COUNT = 16 * CHUNK_FRAMES


@pytest.fixture
def port(tmp_path):
    """Folder with a long scene in SfMLearner's port layout, each image a link to one of two."""
    folder = tmp_path / "port" / "scene"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in ("even", "odd"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), random.integers(0, 256, (188, 621, 3), np.uint8))
    for index in range(COUNT):
        (folder / f"{index:010d}.png").symlink_to(
            tmp_path / f"{'odd' if index % 2 else 'even'}.png"
        )
    (folder / "cam.txt").write_text("360 0 304.5\n0 360 86\n0 0 1\n")
    return tmp_path / "port"


def arguments(port, out):
    return ["kitti-odometry", "--root", str(port), "--out", str(out), "--workers", "2"]


def start(command, **options):
    """Starts a preparation in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "training.prepare", *command],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def kill_after(process, journal, lines):
    """Kills the process without warning once its journal has `lines` lines; returns its lines."""
    while process.poll() is None and (
        not journal.exists() or len(journal.read_text().splitlines()) < lines
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return journal.read_text().splitlines()


def test_a_killed_run_is_resumed_without_repeating_complete_chunks(port, tmp_path):
    # Kill a run after a few chunks.
    part = tmp_path / "out" / ".scene.part"
    process = start(arguments(port, tmp_path / "out"))
    done = [int(line) for line in kill_after(process, part / "progress.txt", 4)[1:]]
    assert 3 <= len(done) < COUNT // CHUNK_FRAMES
    assert not (tmp_path / "out" / "scene").exists()
    assert not (tmp_path / "out" / "index.json").exists()
    # Mark a frame of a complete chunk, then resume.
    item = 128 * 416 * 3
    with (part / "frames.npy").open("r+b") as file:
        file.seek(HEADER_BYTES + done[0] * CHUNK_FRAMES * item)
        file.write(bytes([7]) * item)
    assert main(arguments(port, tmp_path / "out")) == 0
    # The mark is still there; everything else equals an uninterrupted run.
    (scene,) = open_data(tmp_path / "out")
    assert len(scene.frames) == COUNT
    assert (scene.frames[done[0] * CHUNK_FRAMES] == 7).all(), "a complete chunk was prepared again"
    assert main(arguments(port, tmp_path / "whole")) == 0
    kept = np.arange(COUNT) != done[0] * CHUNK_FRAMES
    assert np.array_equal(scene.frames[kept], open_data(tmp_path / "whole")[0].frames[kept])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["index.json", "scene"]
    assert sorted(path.name for path in (tmp_path / "out" / "scene").iterdir()) == [
        "frames.npy",
        "scene.json",
    ]


def test_a_run_with_other_options_starts_anew(port, tmp_path):
    part = tmp_path / "out" / ".scene.part"
    kill_after(start(arguments(port, tmp_path / "out")), part / "progress.txt", 3)
    assert main([*arguments(port, tmp_path / "out"), "--grey"]) == 0
    assert open_data(tmp_path / "out")[0].frames.shape == (COUNT, 128, 416, 1)


def run_with_file_limit(frames, command):
    """Errors on stderr of a run that may not write files longer than `frames` frames."""
    limit = HEADER_BYTES + frames * 128 * 416 * 3
    process = start(
        command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    _, error = process.communicate(timeout=300)
    assert process.returncode == 2
    return [
        line
        for line in error.replace("\r", "\n").splitlines()
        if line.startswith(("error:", "Traceback"))
    ]


def test_a_full_disk_is_an_error_of_one_line_and_the_run_can_be_resumed(port, tmp_path):
    (error,) = run_with_file_limit(3 * CHUNK_FRAMES, arguments(port, tmp_path / "out"))
    assert "scene: cannot be written" in error
    assert main(arguments(port, tmp_path / "out")) == 0
    assert len(open_data(tmp_path / "out")[0].frames) == COUNT


def test_an_interrupted_video_is_resumed(tmp_path):
    writer = cv2.VideoWriter(
        str(tmp_path / "ride.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (416, 128)
    )
    for index in range(6 * CHUNK_FRAMES):
        writer.write(np.full((128, 416, 3), 5 * index, np.uint8))
    writer.release()
    options = ["--fov", "60", "--every", "1", "--workers", "1"]
    command = ["video", "--root", str(tmp_path / "ride.avi"), *options]
    # Interrupt a run after three chunks.
    run_with_file_limit(3 * CHUNK_FRAMES, [*command, "--out", str(tmp_path / "out")])
    done = (tmp_path / "out" / ".ride.part" / "progress.txt").read_text().splitlines()[1:]
    assert done == ["0", "1", "2"]
    # Resumed, it gives the same as an uninterrupted run.
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    (resumed,) = open_data(tmp_path / "out")
    (whole,) = open_data(tmp_path / "whole")
    assert len(whole.frames) == 6 * CHUNK_FRAMES
    assert np.array_equal(resumed.frames, whole.frames)
    assert np.array_equal(resumed.frame_numbers, whole.frame_numbers)


def test_changed_images_of_the_same_names_are_prepared_anew(port, tmp_path):
    assert main(arguments(port, tmp_path / "out")) == 0
    before = open_data(tmp_path / "out")[0].frames[0].copy()
    cv2.imwrite(str(tmp_path / "even.png"), np.full((188, 621, 3), 200, np.uint8))
    assert main(arguments(port, tmp_path / "out")) == 0
    after = open_data(tmp_path / "out")[0].frames
    assert (after[0] == 200).all()
    assert not np.array_equal(before, after[0])


def test_a_truncated_scene_is_prepared_anew(tmp_path, port):
    assert main(arguments(port, tmp_path / "out")) == 0
    os.truncate(tmp_path / "out" / "scene" / "frames.npy", 1000)
    assert main(arguments(port, tmp_path / "out")) == 0
    assert len(open_data(tmp_path / "out")[0].frames) == COUNT


def new_writer(folder, fingerprint="one"):
    return SceneWriter(folder / "scene", fingerprint, {"values": (np.float32, (2, 3))})


def test_items_are_written_in_any_order_and_read_by_numpy(tmp_path):
    items = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    writer = new_writer(tmp_path)
    with writer.opened():
        for index in (3, 0, 4, 1, 2):
            writer.write("values", index, items[index])
        assert writer.complete_description() is None
        writer.finish(5, {"frame_numbers": list(range(5))})
    assert np.array_equal(np.load(tmp_path / "scene" / "values.npy", mmap_mode="r"), items)
    assert new_writer(tmp_path).complete_description()["frame_numbers"] == list(range(5))
    assert new_writer(tmp_path, "two").complete_description() is None


def test_a_truncated_line_of_the_journal_is_ignored(tmp_path):
    with new_writer(tmp_path).opened() as writer:
        writer.mark_done(1)
        writer.mark_done(12)
    journal = tmp_path / ".scene.part" / "progress.txt"
    journal.write_text(journal.read_text()[:-2])
    with new_writer(tmp_path).opened() as writer:
        assert [writer.is_done(chunk) for chunk in (1, 12)] == [True, False]
        writer.mark_done(3)
    assert journal.read_text().splitlines() == ["one", "1", "3"]


def test_an_unwritable_folder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/scene"), new_writer(tmp_path / "file").opened():
        pass


def test_damaged_frames_are_known_after_an_interruption(tmp_path):
    items = {"frames": (np.uint8, (2,))}

    def opened():
        return SceneWriter(tmp_path / "scene", "one", items).opened()

    with opened() as writer:
        for index in (0, 1, 3, 4):
            writer.write("frames", index, np.full(2, index, np.uint8))
        writer.mark_done(0, [2])
    with opened() as writer:
        assert writer.is_done(0)
        assert writer.damaged() == [2]
        writer.compact([0, 1, 3, 4])
    # Once frames have been moved, an interrupted scene starts anew.
    with opened() as writer:
        assert not writer.is_done(0)
        for index in (0, 1, 3, 4):
            writer.write("frames", index, np.full(2, index, np.uint8))
        writer.compact([0, 1, 3, 4])
        assert writer.read_back("frames", 4)[:, 0].tolist() == [0, 1, 3, 4]
