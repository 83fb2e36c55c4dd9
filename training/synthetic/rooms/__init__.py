"""Rendered rooms: furnished rooms and corridors seen from a hand, a low robot or a drone.

World frame: x and y along the walls, z up from the floor, metres. The origin is a corner of the
storey.
"""
