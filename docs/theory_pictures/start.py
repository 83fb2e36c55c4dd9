"""Picture of the objective between flat depth and the truth, by the initial inverse depth."""

from pathlib import Path

import numpy as np
import torch

from docs.theory_pictures.drawing import BLUE, GREEN, GREY, ORANGE, Sheet, plot
from docs.theory_pictures.street import FRAMES, Street, render_street
from training.config import TrainConfig, load_config
from training.objective.landscape import KnownSnippets, label_free_terms

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "training"
RECIPES = {
    "sfmlearner": "SfMLearner: smoothness 0.5, second order",
    "vid2depth": "vid2depth: smoothness 0.05, edge-aware",
}
STARTS = {5.0: ORANGE, 0.5: BLUE, 0.1: GREEN}
"""Initial inverse depths of networks, and their colours."""
MAX_DEPTH_M = 200.0
MOMENTS = (20, 45, 90)
"""Frames of the drive that are averaged over, as a single one may be far from typical."""
SHARES = np.linspace(0, 1, 11)
"""Positions between flat depth (0) and the truth (1)."""


def draw_start(street: Street) -> Sheet:
    """Draw each paper's objective from flat depth to the truth, by the initial inverse depth.

    Means of several frames of the drive.
    """
    sheet = Sheet([3.4])
    streets = [street, *(render_street(moment) for moment in MOMENTS)]
    for column, (recipe, title) in enumerate(RECIPES.items()):
        # The whole objective for each initial inverse depth.
        config = load_config(CONFIGS / f"{recipe}.yaml", ["model.pose.frames=3"])
        axes = plot(sheet, 0, column, 2, title)
        axes.axhline(0, color=GREY, linewidth=1)
        for start, colour in STARTS.items():
            terms = _interpolated_terms(config, streets, start)
            label = f"inverse depth starts at {start:g}"
            axes.plot(SHARES, _change(terms), color=colour, linewidth=2.2, label=label)

        # View synthesis alone, which is the same for each of them.
        photometric = [{"photometric": values["photometric"]} for values in terms]
        label = "view synthesis alone"
        axes.plot(
            SHARES, _change(photometric), color=GREY, linewidth=1.6, linestyle="--", label=label
        )
        axes.set(
            xlabel="from flat depth (0) to the truth (1)",
            ylabel="objective, against flat depth",
            xlim=(0, 1),
        )
        axes.legend(loc="lower left")
    return sheet


def _interpolated_terms(
    config: TrainConfig, streets: list[Street], start: float
) -> list[dict[str, float]]:
    """Returns the objective's terms at each of SHARES, averaged over the streets.

    With the true motion, and inverse depth interpolated geometrically between its median and the
    truth. start: the initial inverse depth that corresponds to the median.
    """
    sums: list[dict[str, float]] = [{} for _ in SHARES]
    for snippets in map(_snippets, streets):
        flat = snippets.inverse_depth.median()
        for total, share in zip(sums, SHARES.tolist(), strict=True):
            rho = flat ** (1 - share) * snippets.inverse_depth**share
            terms = label_free_terms(config, snippets, rho, unit_m=start / float(flat))
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + value / len(streets)
    return sums


def _change(terms: list[dict[str, float]]) -> list[float]:
    """Returns the sum of the terms minus its value at flat depth."""
    values = [sum(values_of_terms.values()) for values_of_terms in terms]
    return [value - values[0] for value in values]


def _snippets(street: Street) -> KnownSnippets:
    """Returns the middle three frames of the street as one snippet."""
    target_from_frame = [
        torch.linalg.inv(street.source_from_target(source)) for source in range(FRAMES)
    ]
    snippet = KnownSnippets(
        frames=street.images[None],
        inverse_depth=(1 / street.depth).clamp_min(1 / MAX_DEPTH_M)[None],
        target_from_frame=torch.stack(target_from_frame, dim=1),
        intrinsics=street.intrinsics,
    )
    return snippet.middle(3)
