import functools
import itertools

import cv2
import numpy as np
import pytest

from sfm_odometry.inference.checkpoint import load_model, read_provenance, save_model
from training.adapt import command
from training.adapt.__main__ import _parser, main
from training.adapt.learning import AdaptConfig
from training.adapt.rendered import RenderedDrive, draw_rendered, held_out_rendered


def drive(planes, turn_rad):
    """Drive past the plane, with its truth, at the size of the tiny model."""
    camera = planes.CAMERA.resized(96, 64)
    poses = planes.poses(8, turn_rad=turn_rad)
    depth = [planes.depth_map(pose, camera) for pose in poses]
    return RenderedDrive(
        planes.images(poses, camera)[..., None],
        np.stack(depth).astype(np.float16),
        np.zeros((8, 64, 96), np.uint8),
        poses,
        camera.matrix(),
    )


@pytest.fixture
def place(planes, tmp_path):
    """Folder of 48 images of a plane, and a tiny model with random weights."""
    for index, image in enumerate(planes.images(planes.poses(48, (0.03, 0.01, 0.02), 0.002))):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), image)
    save_model(tmp_path / "tiny.safetensors", planes.tiny_model(), {"made": "by a test"})
    return tmp_path


def arguments(place, *more):
    return [
        *("--images", str(place), "--fov", "56", "--from", str(place / "tiny.safetensors")),
        *("--out", str(place / "mine.safetensors"), *more),
    ]


@pytest.fixture
def adapt(planes, monkeypatch):
    """Adapts by a clock that each look at moves on a second: so many steps, on any machine."""
    drives = [drive(planes, turn) for turn in (0.0, 0.01, 0.02)]
    monkeypatch.setattr(command, "render_drives", lambda config: drives)
    # Random weights have farther to go than a trained model's.
    config = functools.partial(AdaptConfig, learning_rate=5e-3)
    monkeypatch.setattr(command, "AdaptConfig", config)

    def run(words):
        ticks = itertools.count()
        return command.adapt(_parser().parse_args(words), lambda: float(next(ticks)))

    return run


def test_a_model_learns_a_plane_and_is_written_with_table_and_picture(place, adapt, capsys):
    assert adapt(arguments(place, "--minutes", "2")) == 0
    printed = capsys.readouterr().out
    assert "before     after" in printed and "a rendered street, with truth" in printed
    assert cv2.imread(str(place / "mine.png")).shape[1] > 500
    provenance = read_provenance(place / "mine.safetensors")
    assert provenance["adapted_from"] == "tiny.safetensors"
    assert provenance["after"]["corner_error"] < 0.9 * provenance["before"]["corner_error"]
    assert (
        load_model(place / "mine.safetensors").config
        == load_model(place / "tiny.safetensors").config
    )


def test_a_model_that_did_not_become_better_stays(place, adapt, capsys):
    # The time is over before the first step.
    assert adapt(arguments(place, "--minutes", "0.001")) == command.EXIT_NOT_BETTER
    assert "not better than before" in capsys.readouterr().out
    before, after = (load_model(place / f"{name}.safetensors") for name in ("tiny", "mine"))
    for name, value in before.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), after.state_dict()[name].numpy())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--minutes", "0"], "--minutes 0: expected more than 0"),
        (["--first", "9", "--last", "3"], "--last 3: expected at least --first 9"),
        (["--first", "99"], "--first 99: expected less than 48"),
        (["--last", "9"], "10 frames; expected at least 20 to learn from"),
        (["--calib", "nowhere.txt"], "not allowed with argument --fov"),
    ],
)
def test_wrong_options_and_too_few_frames_are_refused(place, capsys, more, message):
    try:
        code = main(arguments(place, *more))
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_rendered_batches_have_the_motions_of_their_frames(planes):
    drives = [drive(planes, turn) for turn in (0.0, 0.01)]
    batch = draw_rendered(drives, 3, 3, np.random.default_rng(0))
    assert batch.has_depth.all() and not batch.taught_weight.any()
    step = batch.camera_from_frame[:, 2, :3, 3]
    np.testing.assert_allclose(step.numpy(), np.tile([0.05, 0.02, 0.03], (3, 1)), atol=1e-5)
    assert len(held_out_rendered(drives, 3)) == 3
