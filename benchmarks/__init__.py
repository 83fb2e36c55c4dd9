"""Benchmarks of the node, of training and of data; a soak test."""
