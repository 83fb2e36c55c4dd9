"""Pinhole cameras, SE(3), view synthesis and the image preprocessing."""
