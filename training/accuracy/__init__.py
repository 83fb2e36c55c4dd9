"""Scores of variants of the odometry on drives, with tables and figures."""
