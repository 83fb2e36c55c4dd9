"""Report about one drive: one self-contained HTML page with metrics, path, depth and latency.

The page opens offline and loads nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from demo import plots
from demo.metrics import BodyMotion, DriveMetrics
from demo.pictures import as_rgb, css_gradient, depth_colours, mask_over_image, to_data_uri
from demo.recording import STARTUP_FRAMES, EstimatedTrajectory

CSS = Path(__file__).with_name("report.css")
UNKNOWN = "\N{EN DASH}"
ALIGNED_NOTE = (
    "One camera cannot know metres: the odometry is rotated, shifted and scaled onto the truth as "
    "a whole (7 degrees of freedom), and nothing else is done to it."
)
NO_TRUTH_NOTE = (
    "There is no truth for this drive: the path is in the model's own unit, the way the node "
    "published it."
)
DEPTH_NOTE = (
    "Depth: logarithmic, far {ramp} near, each picture stretched by itself; grey is unknown or "
    "too far. "
)
MASK_NOTE = (
    "Mask: red where the network does not expect the scene's rigid motion to explain the image, "
    "as with things that move or hide."
)
LATENCY_NOTE = (
    "The first {frames} frames are left out: their motion is published when the window of five "
    "frames first fills, so they wait for the frames after them ({latencies} ms here). Both "
    "processes read the same machine's clock."
)
TWIST_NOTE = "The twist of each Odometry message, in base_link."
SCALE_NOTE = " Speed is multiplied by the one scale of the path's alignment."


@dataclass(frozen=True)
class SampleImages:
    """Images of one frame of the drive."""

    frame: int
    seconds: float
    """Time since the first frame."""
    image: np.ndarray
    """Camera image (H, W[, 3]) uint8."""
    depth: np.ndarray
    """Depth (h, w) float in the odometry's unit."""
    mask: np.ndarray | None = None
    """Explainability mask (h, w) uint8, or None."""
    true_depth: np.ndarray | None = None
    """True depth (H, W) in metres, or None."""


@dataclass(frozen=True)
class Report:
    """Content of the page."""

    title: str
    lead: str
    """Sentence about the drive."""
    metrics: DriveMetrics
    trajectory: EstimatedTrajectory
    path: np.ndarray
    """Estimated positions (M, 3), aligned to the true ones where those are known."""
    true_path: np.ndarray | None
    """True positions (M, 3), or None."""
    motion: BodyMotion
    true_motion: BodyMotion | None
    samples: Sequence[SampleImages]
    facts: Sequence[tuple[str, str]]
    """Name and text of facts about model and machine."""
    files: Sequence[tuple[str, str]]
    """Name and description of the result files."""

    def html(self) -> str:
        """Returns the whole page."""
        parts = [
            self._head(),
            self._cards(),
            self._sample_section(),
            self._path_section(),
            self._latency_section(),
            self._motion_section(),
            self._facts_section(),
        ]
        style = CSS.read_text(encoding="utf-8")
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n"
            f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
            + "\n".join(parts)
            + "\n</main>\n</body>\n</html>\n"
        )

    def _head(self) -> str:
        """Title and lead."""
        return f'<h1>{escape(self.title)}</h1>\n<p class="lead">{escape(self.lead)}</p>'

    def _cards(self) -> str:
        """Metrics as cards."""
        metrics = self.metrics
        lost = metrics.frames_in - metrics.frames_processed
        processed = _card(
            name="frames processed",
            value=f"{metrics.frames_processed}",
            unit=f"of {metrics.frames_in}",
            hint=f"{lost or 'none'} lost",
            bad=lost > 0,
        )
        cards = [*_error_cards(metrics), processed, *_latency_cards(metrics), _scale_card(metrics)]
        return f'<div class="cards">\n{"".join(cards)}</div>'

    def _path_section(self) -> str:
        """Path from above."""
        aligned = self.true_path is not None
        svg = plots.path_plot(self.path, self.true_path, "m" if aligned else "model units")
        note = ALIGNED_NOTE if aligned else NO_TRUTH_NOTE
        return f"<h2>The path from above</h2>\n{_figure(svg, note)}"

    def _sample_section(self) -> str:
        """Images, depth and masks of sample frames."""
        if not self.samples:
            return ""
        # Leave out the columns without images.
        columns = {"image": "the camera's image", "depth": "depth <span>of this image</span>"}
        if any(sample.mask is not None for sample in self.samples):
            columns["mask"] = "mask <span>of this image</span>"
        if any(sample.true_depth is not None for sample in self.samples):
            columns["truth"] = "true depth <span>as rendered</span>"

        # Table of images, one row per frame.
        header = "".join(f"<th>{column}</th>" for column in columns.values())
        body = "".join(_sample_row(sample, list(columns)) for sample in self.samples)
        table = (
            f'<table class="panels"><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>'
        )
        gradient = f"linear-gradient(90deg, {css_gradient()})"
        ramp = f'<span class="ramp" style="background: {gradient}"></span>'
        note = DEPTH_NOTE.format(ramp=ramp) + (MASK_NOTE if "mask" in columns else "")
        return f"<h2>What the node sees</h2>\n{_figure(table, note)}"

    def _latency_section(self) -> str:
        """Latency of the steady frames."""
        metrics = self.metrics
        trajectory = self.trajectory
        if metrics.latency_ms_median is None or metrics.latency_ms_p99 is None:
            return ""
        svg = plots.latency_plot(
            trajectory.frames[STARTUP_FRAMES:],
            trajectory.steady_latencies_ms,
            metrics.latency_ms_median,
            metrics.latency_ms_p99,
        )
        startup = ", ".join(f"{value:.0f}" for value in trajectory.startup_latencies_ms)
        note = LATENCY_NOTE.format(frames=STARTUP_FRAMES, latencies=startup)
        return f"<h2>Latency</h2>\n{_figure(svg, note)}"

    def _motion_section(self) -> str:
        """Speed and yaw rate over time."""
        truth = None
        if self.true_motion is not None:
            truth = (self.true_motion.speed, self.true_motion.yaw_rate_deg_s)
        odometry = (self.motion.speed, self.motion.yaw_rate_deg_s)
        svg = plots.motion_plot(
            self.motion.seconds, odometry, truth, "m/s" if truth else "model units/s"
        )
        note = TWIST_NOTE + (SCALE_NOTE if truth else "")
        return f"<h2>Motion of each frame</h2>\n{_figure(svg, note)}"

    def _facts_section(self) -> str:
        """Facts about model and machine, and the list of files."""
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in self.facts
        )
        files = "".join(
            f"<li><code>{escape(name)}</code> {escape(description)}</li>"
            for name, description in self.files
        )
        return (
            f'<h2>What ran</h2>\n<figure><table class="facts">{rows}</table></figure>\n'
            f"<h2>Files beside this page</h2>\n<ul>{files}</ul>"
        )


def _error_cards(metrics: DriveMetrics) -> list[str]:
    """Returns the cards of the errors against the true poses."""
    return [
        _card(
            name="5-frame ATE",
            value=_number(metrics.ate_5frame, 4),
            unit="m",
            hint="each 5-frame snippet scaled to the truth, SfMLearner's protocol",
        ),
        _card(
            name="trajectory error (ATE)",
            value=_number(metrics.ate_7dof_m, 2),
            unit="m",
            hint="RMSE of the whole path after 7-DoF alignment",
        ),
        _card(
            name="drift in translation",
            value=_number(metrics.t_err_percent, 2),
            unit="%",
            hint="KITTI t_err over 100 to 800 m, same alignment",
        ),
        _card(
            name="drift in rotation",
            value=_number(metrics.r_err_deg_per_100m, 2),
            unit="° / 100 m",
            hint="KITTI r_err over 100 to 800 m",
        ),
    ]


def _latency_cards(metrics: DriveMetrics) -> list[str]:
    """Returns the cards of the steady frames' latency."""
    return [
        _card(
            name="latency, median",
            value=_number(metrics.latency_ms_median, 0),
            unit="ms",
            hint="from publishing the image to receiving its odometry",
        ),
        _card(
            name="latency, 99th percentile",
            value=_number(metrics.latency_ms_p99, 0),
            unit="ms",
            hint=f"without the first {STARTUP_FRAMES} frames, see below",
        ),
    ]


def _scale_card(metrics: DriveMetrics) -> str:
    """Returns the card of the alignment's scale."""
    return _card(
        name="scale found",
        value=_number(metrics.scale, 3),
        unit="m / unit",
        hint="metres of the truth for one unit of the odometry",
    )


def _card(name: str, value: str, unit: str, hint: str, bad: bool = False) -> str:
    """Returns one card as HTML; a bad value is red."""
    unit = f"<small>{escape(unit)}</small>" if value != UNKNOWN else ""
    kind = "card bad" if bad else "card"
    return (
        f'<div class="{kind}"><div class="name">{escape(name)}</div>'
        f'<div class="value">{escape(value)}{unit}</div>'
        f'<div class="hint">{escape(hint)}</div></div>\n'
    )


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def _sample_row(sample: SampleImages, columns: Sequence[str]) -> str:
    """Returns the table rows of one frame: its images, then its number and time."""
    pictures = {"image": as_rgb(sample.image), "depth": depth_colours(sample.depth)}
    if sample.mask is not None:
        pictures["mask"] = mask_over_image(sample.mask, sample.image)
    if sample.true_depth is not None:
        pictures["truth"] = depth_colours(sample.true_depth)
    cells = "".join(
        f'<td><img alt="" src="{to_data_uri(pictures[name])}"></td>'
        if name in pictures
        else "<td></td>"
        for name in columns
    )
    return (
        f'<tr>{cells}</tr>\n<tr><td class="when" colspan="{len(columns)}">'
        f"frame {sample.frame}, {sample.seconds:.1f} s</td></tr>\n"
    )
