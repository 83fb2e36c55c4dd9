"""How fast a training step is, against the same step written plainly: `python -m
benchmarks.training`."""
