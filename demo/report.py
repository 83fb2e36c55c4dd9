"""One self-contained page about one drive: numbers, path, depth, masks, latency and motion; it
opens offline and loads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from demo import plots
from demo.measure import Measures, Motion
from demo.pictures import as_rgb, css_gradient, depth_colours, mask_over_image, to_data_uri
from demo.recording import STARTUP_FRAMES, Track

CSS = Path(__file__).with_name("report.css")
MASK_NOTE = "Mask: red where the network does not expect the scene's rigid motion to explain the image, as with things that move or hide."
UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True)
class PanelRow:
    """Pictures of one frame: `image` (H, W[, 3]) uint8, `depth` (h, w) float, `mask` (h, w)
    uint8 or None, `true_depth` (H, W) or None."""

    frame: int
    seconds: float
    image: np.ndarray
    depth: np.ndarray
    mask: np.ndarray | None = None
    true_depth: np.ndarray | None = None


@dataclass(frozen=True)
class Report:
    """What the page shows. `facts` are (name, text) lines about the model and the machine;
    `files` (name, what it is)."""

    title: str
    lead: str
    measures: Measures
    track: Track
    path: np.ndarray  # (M, 3) of the odometry, aligned to the truth where there is one
    true_path: np.ndarray | None  # (M, 3)
    motion: Motion
    true_motion: Motion | None
    panels: Sequence[PanelRow]
    facts: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, str]]

    def html(self) -> str:
        """The whole page."""
        parts = [
            self._head(),
            self._cards(),
            self._panels(),
            self._path(),
            self._latency(),
            self._motion(),
            self._facts(),
        ]
        style = CSS.read_text(encoding="utf-8")
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(self.title)}</title>\n'
            f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
            + "\n".join(parts)
            + "\n</main>\n</body>\n</html>\n"
        )

    def _head(self) -> str:
        return f'<h1>{escape(self.title)}</h1>\n<p class="lead">{escape(self.lead)}</p>'

    def _cards(self) -> str:
        m = self.measures
        lost = m.frames_in - m.frames_processed
        cards = [
            _card(
                "5-frame ATE",
                _number(m.ate_5frame, 4),
                "m",
                "each 5-frame snippet scaled to the truth, SfMLearner's protocol",
            ),
            _card(
                "trajectory error (ATE)",
                _number(m.ate_7dof_m, 2),
                "m",
                "RMSE of the whole path after 7-DoF alignment",
            ),
            _card(
                "drift in translation",
                _number(m.t_err_percent, 2),
                "%",
                "KITTI t_err over 100 to 800 m, same alignment",
            ),
            _card(
                "drift in rotation",
                _number(m.r_err_deg_per_100m, 2),
                "° / 100 m",
                "KITTI r_err over 100 to 800 m",
            ),
            _card(
                "frames processed",
                f"{m.frames_processed}",
                f"of {m.frames_in}",
                f"{lost or 'none'} lost",
                lost > 0,
            ),
            _card(
                "latency, median",
                _number(m.latency_ms_median, 0),
                "ms",
                "from publishing the image to receiving its odometry",
            ),
            _card(
                "latency, 99th percentile",
                _number(m.latency_ms_p99, 0),
                "ms",
                f"without the first {STARTUP_FRAMES} frames, see below",
            ),
            _card(
                "scale found",
                _number(m.scale, 3),
                "m / unit",
                "metres of the truth for one unit of the odometry",
            ),
        ]
        return f'<div class="cards">\n{"".join(cards)}</div>'

    def _path(self) -> str:
        aligned = self.true_path is not None
        note = (
            "One camera cannot know metres: the odometry is rotated, shifted and scaled onto the truth as a whole "
            "(7 degrees of freedom), and nothing else is done to it."
            if aligned
            else "There is no truth for this drive: the path is in the model's own unit, the way the node published it."
        )
        svg = plots.path_plot(self.path, self.true_path, "m" if aligned else "model units")
        return f"<h2>The path from above</h2>\n{_figure(svg, note)}"

    def _panels(self) -> str:
        if not self.panels:
            return ""
        columns = {"image": "the camera's image", "depth": "depth <span>of this image</span>"}
        columns |= (
            {"mask": "mask <span>of this image</span>"}
            if any(row.mask is not None for row in self.panels)
            else {}
        )
        columns |= (
            {"truth": "true depth <span>as rendered</span>"}
            if any(row.true_depth is not None for row in self.panels)
            else {}
        )
        header = "".join(f"<th>{column}</th>" for column in columns.values())
        body = "".join(_panel_row(row, list(columns)) for row in self.panels)
        ramp = f'<span class="ramp" style="background: linear-gradient(90deg, {css_gradient()})"></span>'
        note = (
            f"Depth: logarithmic, far {ramp} near, each picture stretched by itself; grey is unknown or too far. "
            + MASK_NOTE * ("mask" in columns)
        )
        table = (
            f'<table class="panels"><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>'
        )
        return f"<h2>What the node sees</h2>\n{_figure(table, note)}"

    def _latency(self) -> str:
        m, track = self.measures, self.track
        if track.steady_latencies_ms.size == 0:
            return ""
        svg = plots.latency_plot(
            track.frames[STARTUP_FRAMES:],
            track.steady_latencies_ms,
            m.latency_ms_median,
            m.latency_ms_p99,
        )
        startup = ", ".join(f"{value:.0f}" for value in track.startup_latencies_ms)
        note = (
            f"The first {STARTUP_FRAMES} frames are left out: their motion is published when the window of five frames first fills, "
            f"so they wait for the frames after them ({startup} ms here). Both processes read the same machine's clock."
        )
        return f"<h2>Latency</h2>\n{_figure(svg, note)}"

    def _motion(self) -> str:
        truth = (
            None
            if self.true_motion is None
            else (self.true_motion.speed, self.true_motion.yaw_rate_deg_s)
        )
        odometry = (self.motion.speed, self.motion.yaw_rate_deg_s)
        svg = plots.motion_plot(
            self.motion.seconds, odometry, truth, "m/s" if truth else "model units/s"
        )
        note = "The twist of each Odometry message, in base_link."
        note += " Speed is multiplied by the one scale of the path's alignment." if truth else ""
        return f"<h2>Motion of each frame</h2>\n{_figure(svg, note)}"

    def _facts(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in self.facts
        )
        files = "".join(
            f"<li><code>{escape(name)}</code> {escape(what)}</li>" for name, what in self.files
        )
        return f'<h2>What ran</h2>\n<figure><table class="facts">{rows}</table></figure>\n<h2>Files beside this page</h2>\n<ul>{files}</ul>'


def _card(name: str, value: str, unit: str, hint: str, bad: bool = False) -> str:
    unit = f"<small>{escape(unit)}</small>" if value != UNKNOWN else ""
    kind = "card bad" if bad else "card"
    return (
        f'<div class="{kind}"><div class="name">{escape(name)}</div><div class="value">{escape(value)}{unit}</div>'
        f'<div class="hint">{escape(hint)}</div></div>\n'
    )


def _figure(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def _panel_row(row: PanelRow, columns: Sequence[str]) -> str:
    pictures = {"image": as_rgb(row.image), "depth": depth_colours(row.depth)}
    if row.mask is not None:
        pictures["mask"] = mask_over_image(row.mask, row.image)
    if row.true_depth is not None:
        pictures["truth"] = depth_colours(row.true_depth)
    cells = "".join(
        f'<td><img alt="" src="{to_data_uri(pictures[name])}"></td>'
        if name in pictures
        else "<td></td>"
        for name in columns
    )
    return f'<tr>{cells}</tr>\n<tr><td class="when" colspan="{len(columns)}">frame {row.frame}, {row.seconds:.1f} s</td></tr>\n'
