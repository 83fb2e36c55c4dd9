"""Rendered drives: a procedural street seen from a car, in KITTI odometry layout, with true poses,
depth and motion masks.

World frame: x along the first heading, y left, z up, metres. Cameras are optical: x right, y down,
z forward. Everything is drawn from one seed; numpy and OpenCV are the only dependencies.
"""
