"""The demo: a drive played from one process into the odometry node in another, recorded here as
a SLAM would, and reported in one page."""
