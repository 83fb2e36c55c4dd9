"""Entry point of `python -m training.prepare`.

Usage: python -m training.prepare kitti-odometry|kitti-raw|cityscapes|video|bag --root R --out D
[--size 416x128] [--sequences ...]
"""

from training.prepare.command import main

if __name__ == "__main__":
    raise SystemExit(main())
