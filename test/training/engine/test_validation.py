from dataclasses import replace

import pytest
import torch

from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from training.data.batch import Batch
from training.engine.validation import validate
from training.objective.predictions import Predictions

CPU = torch.device("cpu")


@pytest.fixture
def batch():
    """Two snippets of three frames that drive forwards and turn.

    The depth is a ramp; the left half of the image moves.
    """
    vectors = torch.zeros(2, 3, 6)
    vectors[:, :, 2] = torch.tensor([-1.0, 0.0, 1.0])
    vectors[:, :, 4] = torch.tensor([-0.05, 0.0, 0.05])
    moving = torch.zeros(2, 1, 8, 16)
    moving[..., :8] = 1.0
    return Batch(
        frames=torch.rand(2, 3, 1, 8, 16),
        intrinsics=torch.eye(3).expand(2, 3, 3),
        camera=torch.zeros(2, dtype=torch.int64),
        depth=torch.linspace(2, 40, 16).expand(2, 1, 8, 16).clone(),
        moving=moving,
        camera_from_frame=transform_from_vector(vectors),
        has_depth=torch.tensor([True, True]),
        has_motion=torch.tensor([True, True]),
    )


def truth(batch):
    logits = torch.stack([torch.zeros_like(batch.moving[:, 0]), 4 - 8 * batch.moving[:, 0]], dim=1)
    motions = invert_transform(batch.camera_from_frame) @ batch.camera_from_frame[:, 1:2]
    return Predictions(
        [1 / batch.depth[:, None]], motions, [logits[:, None].expand(-1, 2, -1, -1, -1)]
    )


def scores(batch, predictions, **terms):
    return validate(
        [batch],
        lambda batch: (
            batch,
            predictions,
            {name: torch.tensor(value) for name, value in terms.items()},
        ),
        CPU,
    )


def test_the_truth_scores_perfectly_at_any_scale(batch):
    predictions = truth(batch)
    motions = predictions.frame_from_target.clone()
    motions[..., :3, 3] *= 7.0
    scaled = replace(
        predictions, inverse_depth=[predictions.inverse_depth[0] * 3], frame_from_target=motions
    )
    found = scores(batch, scaled, photometric=0.25, depth=9.0)
    assert found["ate_sfmlearner"] == pytest.approx(0.0, abs=1e-6)
    assert found["rotation_deg"] == pytest.approx(0.0, abs=1e-4)
    assert found["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    assert found["a1"] == 1.0
    assert found["mask_auc"] == 1.0
    assert found["loss"] == 0.25, "supervised terms are excluded from the loss"


def test_wrong_predictions_have_worse_scores(batch):
    predictions = truth(batch)
    straight = predictions.frame_from_target.clone()
    straight[..., :3, :3] = torch.eye(3)
    inverted = [logits.flip(2) for logits in predictions.mask_logits]
    flat = [torch.full_like(predictions.inverse_depth[0], 0.1)]
    found = scores(
        batch,
        replace(predictions, inverse_depth=flat, frame_from_target=straight, mask_logits=inverted),
        photometric=1.0,
    )
    assert found["rotation_deg"] == pytest.approx(torch.rad2deg(torch.tensor(0.1)).item(), rel=1e-3)
    assert found["abs_rel"] > 0.3
    assert found["mask_auc"] == 0.0
    assert found["ate_sfmlearner"] > 0.001


def test_only_known_truth_is_scored(batch):
    unknown = replace(
        batch,
        has_depth=torch.tensor([False, False]),
        camera_from_frame=torch.eye(4).expand(2, 3, 4, 4),
        depth=torch.zeros(2, 1, 8, 16),
    )
    assert set(scores(unknown, truth(batch), photometric=1.0)) == {"loss"}
    assert validate([], lambda batch: (batch, truth(batch), {}), CPU) == {}
