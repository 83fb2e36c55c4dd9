"""Classical monocular odometry without learning: the baseline for the networks."""
