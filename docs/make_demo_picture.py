"""Draws docs/images/demo.png, the picture of the README, from what `make demo` left: `python
docs/make_demo_picture.py out/demo`."""

import argparse
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
INCHES = (16.0, 4.4)
DPI = 90  # more would make the page slow to load
ROWS = 3
INK, MUTED, GRID, ESTIMATE, TRUTH, MARK = (
    "#16191f",
    "#5c6470",
    "#dde1e7",
    "#d9480f",
    "#8fa3b8",
    "#1c7ed6",
)


def main() -> None:
    """Draw it."""
    sys.path[0] = str(DOCS.parent)  # the source tree, in place of this file's folder
    import numpy as np
    from matplotlib.figure import Figure

    from demo import outputs
    from demo.pictures import depth_colours, read_depth
    from sfm_odometry.io.kitti import open_sequence, read_image
    from sfm_odometry.io.trajectories import read_poses
    from training.evaluate.alignment import umeyama

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="what make demo wrote, of a rendered drive")
    folder = parser.parse_args().demo
    drive, odometry = open_sequence(folder / outputs.DRIVE), read_poses(folder / outputs.KITTI)
    frames = (
        np.arange(len(odometry.poses)) if odometry.frame_numbers is None else odometry.frame_numbers
    )

    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    panels = figure.add_gridspec(
        ROWS, 3, left=0.01, right=0.715, top=0.93, bottom=0.02, wspace=0.02, hspace=0.03
    )
    shown = sorted(int(path.stem) for path in (folder / outputs.DEPTH).glob("*.npy"))
    for row, frame in enumerate(
        [shown[index] for index in np.linspace(0, len(shown) - 1, ROWS).round().astype(int)]
    ):
        image = read_image(drive.image_paths[frame])
        depth = depth_colours(np.load(folder / outputs.DEPTH / f"{frame:06d}.npy"))
        true_depth = depth_colours(read_depth(drive.depth_paths[frame]))
        for column, (picture, title) in enumerate(
            ((image, "camera"), (depth, "depth"), (true_depth, "true depth"))
        ):
            axes = figure.add_subplot(panels[row, column])
            axes.imshow(picture, aspect="auto", interpolation="antialiased")
            axes.set_axis_off()
            if row == 0:
                axes.set_title(title, loc="left", fontsize=12, color=INK, fontweight="semibold")

    truth = (np.linalg.inv(drive.poses[0]) @ drive.poses)[:, :3, 3]
    path = umeyama(truth[frames], odometry.poses[:, :3, 3]).apply(odometry.poses)[:, :3, 3]
    axes = figure.add_axes((0.765, 0.105, 0.225, 0.825))
    axes.set_title(
        "path from above, metres", loc="left", fontsize=12, color=INK, fontweight="semibold"
    )
    axes.plot(-truth[:, 0], truth[:, 2], color=TRUTH, linewidth=5, label="truth")
    axes.plot(-path[:, 0], path[:, 2], color=ESTIMATE, linewidth=2, label="odometry, aligned")
    axes.plot(0.0, 0.0, "o", color=MARK, markersize=8, label="start")
    axes.set_aspect("equal", adjustable="datalim")
    axes.invert_xaxis()  # left of the first camera is left
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(colors=MUTED, length=0)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, fontsize=11, labelcolor=INK, loc="lower left")

    figure.savefig(DOCS / "images" / "demo.png")


if __name__ == "__main__":
    main()
