"""What computes the networks' parts at run time: one way a file, all behind
:class:`~sfm_odometry.backends.backend.Backend`."""
