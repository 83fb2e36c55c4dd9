"""The ROS 2 side: the only part that imports rclpy, messages and tf2."""
