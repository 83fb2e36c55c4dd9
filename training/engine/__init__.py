"""Training loop: steps, optimiser, checkpoints, logs and validation."""
