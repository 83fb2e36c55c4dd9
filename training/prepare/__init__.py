"""Preparation of training data: scenes of uint8 frames with exact intrinsics from any source.

The layout of a scene is described in training/data/scenes.py.
"""

from training.prepare.command import main

__all__ = ["main"]
