"""Checkpoints, and inference with a model on a device."""
