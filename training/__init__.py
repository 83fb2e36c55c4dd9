"""Learning offline: prepare data, train, evaluate; run from source, not installed on the robot."""
