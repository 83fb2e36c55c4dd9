"""Draws the README's picture, docs/images/demo.png: `python docs/make_demo_picture.py out/demo`.

Needs the results of `make demo` on a rendered drive.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent
INCHES = (16.0, 4.4)
DPI = 90  # more would make the page slow to load
ROWS = 3
FONT_SIZE = 12
INK = "#16191f"
MUTED = "#5c6470"
GRID = "#dde1e7"
ESTIMATE = "#d9480f"
TRUTH = "#8fa3b8"
MARK = "#1c7ed6"


def main() -> None:
    """Draw the picture from the demo's results."""
    sys.path[0] = str(DOCS.parent)  # the source tree, in place of this file's folder
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="what make demo wrote, of a rendered drive")
    results = parser.parse_args().demo
    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    draw_samples(figure, results)
    draw_path(figure, results)
    figure.savefig(DOCS / "images" / "demo.png")


def draw_samples(figure: "Figure", results: Path) -> None:
    """Draw camera image, depth and true depth of frames spread over the drive."""
    import numpy as np

    from demo import result_files
    from demo.pictures import depth_colours, read_depth
    from sfm_odometry.io.kitti import open_sequence, read_image

    # Choose the frames among those with depth.
    drive = open_sequence(results / result_files.DRIVE_FOLDER)
    depth_folder = results / result_files.DEPTH_FOLDER
    frames = sorted(int(path.stem) for path in depth_folder.glob("*.npy"))
    chosen = np.linspace(0, len(frames) - 1, ROWS).round().astype(int)

    # Draw a row of each.
    panels = figure.add_gridspec(
        ROWS, 3, left=0.01, right=0.715, top=0.93, bottom=0.02, wspace=0.02, hspace=0.03
    )
    for row, frame in enumerate(frames[index] for index in chosen):
        pictures = {
            "camera": read_image(drive.image_paths[frame]),
            "depth": depth_colours(np.load(depth_folder / f"{frame:06d}.npy")),
            "true depth": depth_colours(read_depth(drive.depth_paths[frame])),
        }
        for column, (title, picture) in enumerate(pictures.items()):
            axes = figure.add_subplot(panels[row, column])
            axes.imshow(picture, aspect="auto", interpolation="antialiased")
            axes.set_axis_off()
            if row == 0:
                set_title(axes, title)


def draw_path(figure: "Figure", results: Path) -> None:
    """Draw the aligned path of the odometry and the true one from above."""
    import numpy as np

    from demo import result_files
    from sfm_odometry.io.kitti import open_sequence
    from sfm_odometry.io.trajectories import read_poses
    from training.evaluate.alignment import umeyama

    # Align the odometry with the true positions of its frames.
    drive = open_sequence(results / result_files.DRIVE_FOLDER)
    odometry = read_poses(results / result_files.KITTI_FILE)
    frames = odometry.frame_numbers
    if frames is None:
        frames = np.arange(len(odometry.poses))
    truth = (np.linalg.inv(drive.poses[0]) @ drive.poses)[:, :3, 3]
    similarity = umeyama(truth[frames], odometry.poses[:, :3, 3])
    path = similarity.apply(odometry.poses)[:, :3, 3]

    # Draw both.
    axes = figure.add_axes((0.765, 0.105, 0.225, 0.825))
    set_title(axes, "path from above, metres")
    axes.plot(-truth[:, 0], truth[:, 2], color=TRUTH, linewidth=5, label="truth")
    axes.plot(-path[:, 0], path[:, 2], color=ESTIMATE, linewidth=2, label="odometry, aligned")
    axes.plot(0.0, 0.0, "o", color=MARK, markersize=8, label="start")
    axes.set_aspect("equal", adjustable="datalim")
    axes.invert_xaxis()  # left of the first camera is left
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(colors=MUTED, length=0)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, fontsize=11, labelcolor=INK, loc="lower left")


def set_title(axes: "Axes", title: str) -> None:
    """Set the title at the left, in the style of the picture."""
    axes.set_title(title, loc="left", fontsize=FONT_SIZE, color=INK, fontweight="semibold")


if __name__ == "__main__":
    main()
