"""Monocular depth, ego-motion and odometry, learned from plain video."""

__version__ = "0.1.0"
