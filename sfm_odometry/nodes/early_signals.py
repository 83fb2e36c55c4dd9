"""Signals while a node's process is still importing, which takes it a second: they end it at once,
as there is nothing to clean up.

Imported before all else by the modules that are processes; it does nothing where such a module is
imported by another program.
"""

import os
import signal
import sys
from pathlib import Path

PROGRAMS = ("odometry_node", "kitti_player", "bag_player")

if Path(sys.argv[0]).stem in PROGRAMS:  # its script, or python -m
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, lambda *_: os._exit(0))  # until spinning.run_node sets its own
