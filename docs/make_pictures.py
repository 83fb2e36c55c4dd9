"""Draws the pictures of docs/theory.md into docs/images: `python docs/make_pictures.py [NAME
...]`, less than a minute on one core."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parent


def main() -> None:
    """Render the street, then draw every picture, or those that are named."""
    sys.path[0] = str(DOCS.parent)  # the source tree, in place of this file's folder
    import matplotlib
    import torch

    from docs.theory_pictures import maps, masks, motion, start, synthesis
    from docs.theory_pictures.drawing import STYLE, Sheet
    from docs.theory_pictures.street import Street, render_street

    pictures: dict[str, Callable[[Street], Sheet]] = {
        "synthesis": synthesis.draw_synthesis,
        "ray": synthesis.draw_ray,
        "assumptions": synthesis.draw_assumptions,
        "inverse": motion.draw_inverse,
        "masks": masks.draw_masks,
        "scales": maps.draw_scales,
        "smoothness": maps.draw_smoothness,
        "start": start.draw_start,
        "icp": motion.draw_icp,
        "consistency": motion.draw_consistency,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        default=list(pictures),
        metavar="NAME",
        help=f"some of {', '.join(pictures)}; default: all",
    )
    names = parser.parse_args().names
    torch.set_num_threads(1)
    street = render_street()
    for name in names:
        with matplotlib.rc_context(STYLE):
            pictures[name](street).save(DOCS / "images" / f"theory_{name}.png")


if __name__ == "__main__":
    main()
