"""Motion between frames: direct alignment, feature tracks, filters and the chained trajectory."""
