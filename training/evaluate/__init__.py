"""Scores as published: trajectories, 5-frame snippets, depth (Eigen's split, Make3D), masks.
`python -m training.evaluate COMMAND ...`."""
