"""Draws the pictures of docs/theory.md into docs/images: `python docs/make_pictures.py [NAME ...]`.

Takes less than a minute on one core.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docs.theory_pictures.drawing import Sheet
    from docs.theory_pictures.street import Street

DOCS = Path(__file__).resolve().parent


def main() -> None:
    """Render the street, then draw all pictures, or those that are named."""
    sys.path[0] = str(DOCS.parent)  # the source tree, in place of this file's folder
    import torch

    from docs.theory_pictures.drawing import FONT_SIZE
    from docs.theory_pictures.street import render_street
    from training.figures import figure_style

    # Read the command line.
    pictures = drawing_functions()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        default=list(pictures),
        metavar="NAME",
        help=f"some of {', '.join(pictures)}; default: all",
    )
    names = parser.parse_args().names

    # Draw.
    torch.set_num_threads(1)
    street = render_street()
    for name in names:
        # Titles are long and hold formulas, which have no semibold.
        with figure_style(FONT_SIZE, {"axes.titleweight": "normal"}):
            pictures[name](street).save(DOCS / "images" / f"theory_{name}.png")


def drawing_functions() -> "dict[str, Callable[[Street], Sheet]]":
    """Returns the function that draws each picture, by its name."""
    from docs.theory_pictures import maps, masks, motion, start, synthesis

    return {
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


if __name__ == "__main__":
    main()
