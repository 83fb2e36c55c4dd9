"""Demo of the odometry node: plays a drive into it and reports accuracy and latency in one page.

The drive is played by one process into the odometry node in another, and recorded by this one as
by a SLAM.
"""
