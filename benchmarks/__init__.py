"""Benchmarks of the node, training and data preparation; soak test of the node."""
