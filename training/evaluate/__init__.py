"""Scores as published: trajectories, 5-frame snippets, depth (Eigen split, Make3D), masks.

Command line: `python -m training.evaluate COMMAND ...`.
"""
