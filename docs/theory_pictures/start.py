"""Where inverse depth starts: what an objective says on the way from flat depth to the truth."""

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
"""Inverse depths that networks may begin with, and their colours."""
FARTHEST_M = 200.0
MOMENTS = (20, 45, 90)
"""Frames of the drive that are averaged over, as one moment may be far from typical."""
SHARES = np.linspace(0, 1, 11)


def draw_start(street: Street) -> Sheet:
    """Each paper's objective from flat depth to the truth, at several scales of inverse depth;
    the mean of several moments."""
    sheet = Sheet([3.4])
    streets = [street, *(render_street(moment) for moment in MOMENTS)]
    for column, (recipe, title) in enumerate(RECIPES.items()):
        config = load_config(CONFIGS / f"{recipe}.yaml", ["model.pose.frames=3"])
        axes = plot(sheet, 0, column, 2, title)
        axes.axhline(0, color=GREY, linewidth=1)
        for start, colour in STARTS.items():
            terms = _terms_on_the_way(config, streets, start)
            axes.plot(
                SHARES,
                _change(terms),
                color=colour,
                linewidth=2.2,
                label=f"inverse depth starts at {start:g}",
            )
        photometric = [
            {"photometric": found["photometric"]} for found in terms
        ]  # the same at every start
        axes.plot(
            SHARES,
            _change(photometric),
            color=GREY,
            linewidth=1.6,
            linestyle="--",
            label="view synthesis alone",
        )
        axes.set(
            xlabel="from flat depth (0) to the truth (1)",
            ylabel="objective, against flat depth",
            xlim=(0, 1),
        )
        axes.legend(loc="lower left")
    return sheet


def _terms_on_the_way(
    config: TrainConfig, streets: list[Street], start: float
) -> list[dict[str, float]]:
    """The objective's terms at each share of the way, with the true motion, averaged over the
    streets."""
    sums: list[dict[str, float]] = [{} for _ in SHARES]
    for snippets in map(_snippets, streets):
        flat = snippets.inverse_depth.median()
        for total, share in zip(sums, SHARES.tolist(), strict=True):
            rho = flat ** (1 - share) * snippets.inverse_depth**share
            for name, value in label_free_terms(
                config, snippets, rho, unit_m=start / float(flat)
            ).items():
                total[name] = total.get(name, 0.0) + value / len(streets)
    return sums


def _change(terms: list[dict[str, float]]) -> list[float]:
    """The sum of the terms, less its value at flat depth."""
    values = [sum(found.values()) for found in terms]
    return [value - values[0] for value in values]


def _snippets(street: Street) -> KnownSnippets:
    """The middle three frames of the street, as one snippet."""
    target_from_frame = [
        torch.linalg.inv(street.source_from_target(source)) for source in range(FRAMES)
    ]
    snippet = KnownSnippets(
        frames=street.images[None],
        inverse_depth=(1 / street.depth).clamp_min(1 / FARTHEST_M)[None],
        target_from_frame=torch.stack(target_from_frame, dim=1),
        intrinsics=street.intrinsics,
    )
    return snippet.middle(3)
