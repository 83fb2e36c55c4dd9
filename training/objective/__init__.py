"""Losses and the objective of a training step."""
