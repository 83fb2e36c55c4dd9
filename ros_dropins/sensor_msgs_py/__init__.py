"""Substitute for ROS 2's sensor_msgs_py, where that cannot be installed: its point_cloud2."""
