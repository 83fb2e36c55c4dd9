"""Checkpoints, and the estimator that runs a model on a device."""
