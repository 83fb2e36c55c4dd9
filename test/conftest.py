"""Keeps the tests' ROS traffic to themselves: a domain of their own, on this machine only, and no log files in the home folder."""

import os
import tempfile

# Before any test imports rclpy: the middleware reads these once. The domain differs from one test run to the next; above 101 its ports
# could meet those that Linux gives out.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_LOG_DIR"] = tempfile.mkdtemp(prefix="sfm_odometry_test_logs_")
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ["ROS_LOCALHOST_ONLY"] = "1"
else:
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_STATIC_PEERS"):
    os.environ.pop(name, None)
