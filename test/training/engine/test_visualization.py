"""Pictures of a hand-built snippet, of which every panel is known."""

import cv2
import numpy as np
import pytest
import torch

from training.data.batch import Batch
from training.engine.visualization import GREY, draw_pictures, encode_png, panels_of
from training.objective.predictions import Predictions

HEIGHT, WIDTH, SHIFT = 24, 40, 3


@pytest.fixture
def batch():
    """A plane at depth 2 before a camera that moves sideways by SHIFT pixels a frame; its upper
    half has no known depth, but a sky."""
    texture = torch.rand(1, HEIGHT, WIDTH + 2 * SHIFT, generator=torch.Generator().manual_seed(0))
    frames = torch.stack(
        [texture[..., SHIFT * index : SHIFT * index + WIDTH] for index in range(3)]
    )
    depth = torch.full((1, HEIGHT, WIDTH), 2.0)
    depth[:, : HEIGHT // 2] = 0.0
    depth[:, :2] = torch.inf
    return Batch(
        frames=frames[None],
        intrinsics=torch.tensor([[[20.0, 0.0, 19.5], [0.0, 20.0, 11.5], [0.0, 0.0, 1.0]]]),
        camera=torch.zeros(1, dtype=torch.int64),
        depth=depth[None],
        moving=torch.zeros(1, 1, HEIGHT, WIDTH),
        camera_from_frame=torch.eye(4).expand(1, 3, 4, 4),
        has_depth=torch.tensor([True]),
        has_motion=torch.tensor([False]),
    )


@pytest.fixture
def predictions():
    """The truth: SHIFT pixels to the right in the frame before, which is SHIFT * depth / focal
    length."""
    motions = torch.eye(4).repeat(1, 3, 1, 1)
    motions[0, 0, 0, 3], motions[0, 2, 0, 3] = SHIFT * 2 / 20, -SHIFT * 2 / 20
    logits = torch.zeros(1, 2, 2, HEIGHT, WIDTH)
    logits[:, 0, 1], logits[:, 0, 1, :, : WIDTH // 2] = 50.0, -50.0
    return Predictions([torch.full((1, 1, 1, HEIGHT, WIDTH), 0.5)], motions, [logits])


def test_the_view_of_the_right_motion_is_the_target_and_what_left_the_image_is_grey(
    batch, predictions
):
    panels = panels_of(batch, predictions, 0, ssim_weight=0.0)
    view, target = panels["frame before,\nre-synthesised"].picture, panels["target"].picture
    inside = slice(0, WIDTH - SHIFT)
    assert np.abs(view[:, inside].astype(int) - target[:, inside]).max() <= 1
    assert (view[:, WIDTH - SHIFT + 1 :] == GREY).all()
    assert "x +0.300  y +0.000  z +0.000" in panels["frame before,\nre-synthesised"].note
    assert panels["photometric\nerror"].note.startswith("mean 0.000")


def test_known_truth_and_sky_have_colours_and_the_unknown_is_grey(batch, predictions):
    truth = panels_of(batch, predictions, 0, 0.0)["true inverse\ndepth"]
    grey = (truth.picture == GREY).all(axis=2)
    assert grey[2 : HEIGHT // 2].all()
    assert not grey[:2].any() and not grey[HEIGHT // 2 :].any()
    near, sky = truth.picture[-1, 0].sum(), truth.picture[0, 0].sum()
    assert near > sky, "near is bright"
    assert truth.note == "0 to 0.5"


def test_what_the_mask_leaves_out_is_red(batch, predictions):
    mask = panels_of(batch, predictions, 0, 0.0)["explained by\nrigid motion"].picture.astype(int)
    red = mask[..., 0] - mask[..., 1]
    assert (red[:, : WIDTH // 2 - 1] > 50).all()
    assert (red[:, WIDTH // 2 + 1 :] == 0).all()


def test_snippets_stand_side_by_side_and_rows_that_one_lacks_stay_free(batch, predictions):
    one = draw_pictures(batch, predictions, "run, step 1", 0.0)
    both = Batch(*(torch.cat([getattr(batch, name)] * 2) for name in batch.__dataclass_fields__))
    both.has_depth[1] = False
    doubled = Predictions(
        [predictions.inverse_depth[0].repeat(2, 1, 1, 1, 1)],
        predictions.frame_from_target.repeat(2, 1, 1, 1),
        [],
    )
    two = draw_pictures(both, doubled, "run, step 1", 0.0)
    assert one.dtype == two.dtype == np.uint8
    assert two.shape[1] > 1.5 * one.shape[1]
    assert two.shape[0] < one.shape[0], "without masks there is a row less"
    assert {"target"} == panels_of(
        batch, Predictions([], predictions.frame_from_target, []), 0, 0.0
    ).keys()


def test_a_png_holds_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    read = cv2.imdecode(np.frombuffer(encode_png(picture), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], picture)


def test_a_run_draws_its_held_out_snippets_every_so_often(runs):
    assert runs.train("run", "pictures_every=4") == 0
    pictures = sorted((runs.folder / "run" / "pictures").iterdir())
    assert [path.name for path in pictures] == ["step_00000004.png", "step_00000006.png"]
    assert cv2.imread(str(pictures[0])).std() > 10
