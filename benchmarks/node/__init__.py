"""Load test of the odometry node, run in a process of its own on images at rising rates."""
