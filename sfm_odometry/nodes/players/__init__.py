"""Recorded drives as ROS messages: reading, pacing and bags."""
