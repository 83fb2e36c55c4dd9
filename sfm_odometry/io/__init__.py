"""Files and messages: images, calibrations, trajectories, KITTI folders, ROS messages."""
