"""Teacher: motions and sparse depth of unlabelled frames, by the odometry and bundle adjustment."""
