"""Choice of the precision by `precision: auto`."""

import pytest
import torch

from sfm_odometry.backends.processor import describe_device
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from training.config import TrainConfig
from training.engine import precision
from training.engine.precision import resolve_precision

CPU = torch.device("cpu")
TINY = ModelConfig(
    64,
    32,
    depth=DepthNetConfig(
        encoder_widths=(4, 8), encoder_kernels=(3, 3), decoder_widths=(8, 4), scales=2
    ),
    pose=PoseNetConfig(frames=3, encoder_widths=(4,) * 5, pose_widths=(4,), mask_widths=(4,) * 5),
)


@pytest.mark.parametrize(
    ("bfloat16_s", "expected"), [(0.5, "bfloat16"), (0.97, "float32"), (12.0, "float32")]
)
def test_bfloat16_is_chosen_where_it_is_clearly_faster(monkeypatch, capsys, bfloat16_s, expected):
    monkeypatch.setattr(
        precision,
        "measure_pass_seconds",
        lambda config, device: {"float32": 1.0, "bfloat16": bfloat16_s},
    )
    assert resolve_precision(TrainConfig(model=TINY), CPU).precision == expected
    said = capsys.readouterr().out
    assert said.startswith(
        f"precision: {expected}; bfloat16 takes {bfloat16_s:.2f} times as long as float32 on "
    )
    assert describe_device(CPU) in said


def test_a_real_measurement_leaves_the_random_numbers_unchanged():
    torch.manual_seed(3)
    resolved = resolve_precision(TrainConfig(model=TINY), CPU)
    assert resolved.precision in ("float32", "bfloat16")
    drawn = torch.rand(4)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(4))


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_a_configured_precision_is_not_measured(monkeypatch, asked):
    monkeypatch.setattr(
        precision, "measure_pass_seconds", lambda config, device: pytest.fail("measured")
    )
    assert resolve_precision(TrainConfig(model=TINY, precision=asked), CPU).precision == asked
