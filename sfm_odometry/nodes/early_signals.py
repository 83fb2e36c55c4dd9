"""Signal handlers for the time in which a node's process is still importing.

Importing takes about a second. A signal during that time ends the process at once, as nothing needs
to be cleaned up yet. The modules that are processes import this one first; in any other program it
does nothing.
"""

import os
import signal
import sys
from pathlib import Path

PROGRAMS = ("odometry_node", "kitti_player", "bag_player", "image_player", "wait_for_node")

if Path(sys.argv[0]).stem in PROGRAMS:  # started by its script, or by python -m
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, lambda *_: os._exit(0))  # until spinning.run_node sets its own
