"""Scores as published: odometry over segments, 5-frame snippets, and depth. `python -m training.evaluate odometry|snippets|depth ...`."""
