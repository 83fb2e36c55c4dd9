"""Flushing of subnormal numbers, in training only."""

import torch

from training.engine.subnormals import flush_subnormals


def test_subnormals_are_flushed_inside_and_computed_outside():
    small = torch.full((4,), 1e-38)
    assert (small * 0.1 > 0).all()
    with flush_subnormals():
        assert (small * 0.1 == 0).all()
    assert (small * 0.1 > 0).all()
