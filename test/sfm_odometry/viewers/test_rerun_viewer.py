"""Recordings for Rerun, read back by its own reader."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.viewers.rerun_viewer import (
    BASE,
    CAMERA,
    DEPTH,
    EVENTS,
    IMAGE,
    MASK,
    PATH,
    POINTS,
    SPEED,
    WORLD,
    RerunViewer,
)

from .conftest import MAP, SECOND_NS, START_NS  # isort: skip
from .conftest import IMAGE as INTRINSICS  # isort: skip

pytest.importorskip("rerun", reason="rerun-sdk is not installed")
reader = pytest.importorskip("rerun.chunk", reason="this rerun-sdk has no reader of recordings")

FRAMES = 4


@pytest.fixture
def rows(tmp_path, make_view):
    """Rows of a recording of four frames by entity: {column: value}, in order."""
    viewer = RerunViewer(str(tmp_path / "new" / "drive.rrd"))
    for number in range(FRAMES):
        viewer.show(make_view(number))
    viewer.close()
    found = {}
    for chunk in reader.RrdReader(tmp_path / "new" / "drive.rrd").stream().to_chunks():
        rows = found.setdefault(str(chunk.entity_path).lstrip("/"), [])
        rows.extend(plain(chunk.to_record_batch()).to_pylist())
    return found


def plain(batch):
    """The batch with times as nanoseconds: Python's have only microseconds."""
    for index, field in enumerate(batch.schema):
        if str(field.type).startswith("timestamp"):
            batch = batch.set_column(index, field.name, batch.column(index).cast("int64"))
    return batch


def test_the_recording_holds_every_entity_at_every_frame(rows):
    counts = {name: len(rows[name]) for name in (BASE, CAMERA, DEPTH, MASK, SPEED, EVENTS, POINTS)}
    assert set(counts.values()) == {FRAMES}
    assert WORLD in rows
    stamps_ns = [row["stamp"] for row in rows[BASE]]
    assert stamps_ns == [START_NS + number * SECOND_NS for number in range(FRAMES)]


def test_poses_speed_and_path_tell_the_drive(rows):
    translations = [row["Transform3D:translation"][0] for row in rows[BASE]]
    assert [list(each) for each in translations] == [[2.0 * n, 0.0, 0.0] for n in range(FRAMES)]
    assert [row["Scalars:scalars"] for row in rows[SPEED]] == [[2.0]] * FRAMES
    (mount,) = {tuple(row["Transform3D:translation"][0]) for row in rows[CAMERA]}
    assert mount == pytest.approx((0.5, 0.0, 1.2))
    (strip,) = rows[PATH][-1]["LineStrips3D:strips"]
    assert [list(point) for point in strip] == [[2.0 * n, 0.0, 0.0] for n in range(FRAMES)]
    assert rows[EVENTS][0]["TextLog:text"] == ["gap of 0.70 s"]


def test_images_depth_mask_and_points_are_those_of_the_result(rows):
    (blob,) = next(row for row in rows[IMAGE] if row.get("EncodedImage:blob"))["EncodedImage:blob"]
    image = cv2.imdecode(np.frombuffer(bytes(blob), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (INTRINSICS.height, INTRINSICS.width, 3)
    assert image.reshape(-1, 3).mean(axis=0) == pytest.approx((10, 120, 250), abs=4)
    pinhole = next(row for row in rows[IMAGE] if row.get("Pinhole:image_from_camera"))
    (matrix,) = pinhole["Pinhole:image_from_camera"]
    assert np.reshape(matrix, (3, 3)).T[:2, 2] == pytest.approx([48.0, 24.0])
    (blob,) = rows[DEPTH][0]["DepthImage:buffer"]
    depth = np.frombuffer(bytes(blob), np.float16).reshape(MAP.height, MAP.width)
    assert (depth[0] == 0.0).all() and (depth[1:] == 5.0).all()
    (blob,) = rows[MASK][0]["Image:buffer"]
    assert set(bytes(blob)) == {153}
    points = np.array(rows[POINTS][0]["Points3D:positions"])
    assert len(points) == (MAP.width // 2) * (MAP.height // 2 - 1)
    assert (points[:, 2] == 5.0).all()
    assert set(rows[POINTS][0]["Points3D:colors"]) == {250 << 24 | 120 << 16 | 10 << 8 | 255}


def test_targets_that_cannot_be_used_are_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"--rerun drive.txt: expected FILE.rrd, live, or"):
        RerunViewer("drive.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        RerunViewer(str(tmp_path / "file" / "drive.rrd"))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="--rerun live: there is no screen"):
        RerunViewer("live")
