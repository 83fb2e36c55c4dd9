"""Classical monocular odometry, without anything learned: what the networks have to beat."""
