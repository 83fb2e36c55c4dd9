"""Inference backends: ways to compute the networks, one a module.

All implement :class:`~sfm_odometry.backends.backend.Backend`.
"""
