"""Soak test: a long run of the node with faulty camera input."""
