"""Live views of the odometry without ROS tools: Foxglove's and Rerun's viewers."""
