"""Pictures of a synthetic snippet with known panels."""

import cv2
import numpy as np
import pytest
import torch

from training.data.batch import Batch
from training.engine.visualization import GREY, draw_snippets, encode_png, snippet_panels
from training.objective.predictions import Predictions

HEIGHT, WIDTH, SHIFT = 24, 40, 3


@pytest.fixture
def batch():
    """A plane at depth 2 and a camera that moves sideways by SHIFT pixels per frame.

    Depth is unknown in the upper half; the left edge is sky.
    """
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
    """The truth: a motion of SHIFT pixels, which is SHIFT * depth / focal length."""
    motions = torch.eye(4).repeat(1, 3, 1, 1)
    motions[0, 0, 0, 3] = SHIFT * 2 / 20
    motions[0, 2, 0, 3] = -SHIFT * 2 / 20
    logits = torch.zeros(1, 2, 2, HEIGHT, WIDTH)
    logits[:, 0, 1] = 50.0
    logits[:, 0, 1, :, : WIDTH // 2] = -50.0
    return Predictions([torch.full((1, 1, 1, HEIGHT, WIDTH), 0.5)], motions, [logits])


def test_the_true_motion_synthesises_the_target_and_invalid_pixels_are_grey(batch, predictions):
    panels = snippet_panels(batch, predictions, 0, ssim_weight=0.0)
    view = panels["frame before,\nre-synthesised"].picture
    target = panels["target"].picture
    inside = slice(0, WIDTH - SHIFT)
    assert np.abs(view[:, inside].astype(int) - target[:, inside]).max() <= 1
    assert (view[:, WIDTH - SHIFT + 1 :] == GREY).all()
    assert "x +0.300  y +0.000  z +0.000" in panels["frame before,\nre-synthesised"].note
    assert panels["photometric\nerror"].note.startswith("mean 0.000")


def test_known_depth_and_sky_have_colours_and_unknown_depth_is_grey(batch, predictions):
    truth = snippet_panels(batch, predictions, 0, 0.0)["true inverse\ndepth"]
    grey = (truth.picture == GREY).all(axis=2)
    assert grey[2 : HEIGHT // 2].all()
    assert not grey[:2].any() and not grey[HEIGHT // 2 :].any()
    near = truth.picture[-1, 0].sum()
    sky = truth.picture[0, 0].sum()
    assert near > sky, "near is bright"
    assert truth.note == "0 to 0.5"


def test_unexplained_pixels_are_red(batch, predictions):
    mask = snippet_panels(batch, predictions, 0, 0.0)["explained by\nrigid motion"].picture.astype(
        int
    )
    red = mask[..., 0] - mask[..., 1]
    assert (red[:, : WIDTH // 2 - 1] > 50).all()
    assert (red[:, WIDTH // 2 + 1 :] == 0).all()


def test_snippets_are_columns_and_missing_panels_stay_empty(batch, predictions):
    one = draw_snippets(batch, predictions, "run, step 1", 0.0)
    both = Batch(*(torch.cat([getattr(batch, name)] * 2) for name in batch.__dataclass_fields__))
    both.has_depth[1] = False
    doubled = Predictions(
        [predictions.inverse_depth[0].repeat(2, 1, 1, 1, 1)],
        predictions.frame_from_target.repeat(2, 1, 1, 1),
        [],
    )
    two = draw_snippets(both, doubled, "run, step 1", 0.0)
    assert one.dtype == two.dtype == np.uint8
    assert two.shape[1] > 1.5 * one.shape[1]
    assert two.shape[0] < one.shape[0], "without masks there is one row fewer"
    assert {"target"} == snippet_panels(
        batch, Predictions([], predictions.frame_from_target, []), 0, 0.0
    ).keys()


def test_an_encoded_png_decodes_to_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    read = cv2.imdecode(np.frombuffer(encode_png(picture), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], picture)


def test_a_run_draws_held_out_snippets_at_the_configured_interval(runs):
    assert runs.train("run", "pictures_every=4") == 0
    pictures = sorted((runs.folder / "run" / "pictures").iterdir())
    assert [path.name for path in pictures] == ["step_00000004.png", "step_00000006.png"]
    assert cv2.imread(str(pictures[0])).std() > 10
