"""What the node costs: the real node in a process of its own, images at rising rates from
another, and what came of them."""
