"""Stands in for ROS 2's sensor_msgs_py where that cannot be installed: the point clouds of
sensor_msgs_py.point_cloud2."""
