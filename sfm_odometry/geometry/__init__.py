"""Pinhole cameras, SE(3), view synthesis and image preprocessing."""
