"""Files and messages read and written: images, calibrations, trajectories, KITTI folders, ROS
messages."""
