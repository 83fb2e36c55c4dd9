"""Data sets made ready for training: every source becomes scenes of uint8 frames with exact
intrinsics; see training/data/scenes.py."""

from training.prepare.command import main

__all__ = ["main"]
