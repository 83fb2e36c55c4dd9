"""Adaptation of a model to one camera, from its own images, without any truth."""
