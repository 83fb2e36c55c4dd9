"""Rendered drives: a procedural street seen from a car, in KITTI odometry layout with its truth.

The truth is poses, depth and motion masks. Everything is drawn from one seed; numpy and OpenCV are
the only dependencies.

World frame: x along the first heading, y left, z up, metres. Cameras are optical: x right, y down,
z forward.
"""
