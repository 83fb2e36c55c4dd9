"""Scores of variants of the odometry over drives, with tables and pictures."""
