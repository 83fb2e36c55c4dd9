"""Rendered drives in KITTI odometry layout with their truth: a street from a car, and rooms.

The truth is poses, depth and motion masks. Everything is drawn from one seed; numpy and OpenCV are
the only dependencies.

World frame: x along the first heading, y left, z up, metres. Cameras are optical: x right, y down,
z forward.
"""
