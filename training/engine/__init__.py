"""The training loop and what surrounds it: optimiser, checkpoints, logs, validation."""
