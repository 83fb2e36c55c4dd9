"""Plots of the report as inline SVG in the colours of the page: light, dark or print."""

import io
import re

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Matplotlib needs colours: these are placeholders, replaced in the SVG by the page's CSS variables.
INK = "#010101"
MUTED = "#020202"
GRID = "#030303"
ESTIMATE = "#040404"
TRUTH = "#050505"
MARK = "#060606"
CSS_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    ESTIMATE: "estimate",
    TRUTH: "truth",
    MARK: "mark",
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sfm_odometry",
    "font.family": "sans-serif",
    "font.size": 11.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 12.0,
    "axes.titleweight": "semibold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
}


def to_svg(figure: Figure) -> str:
    """Returns the figure as an <svg> element for HTML, with the page's colours and font.

    XML prologue, metadata, namespaces and the fixed size are removed.
    """
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    for attribute in ("height", "width"):
        svg = re.sub(rf'(<svg[^>]*?) {attribute}="[^"]*"', r"\1", svg, count=1)
    # Matplotlib writes either `font-family: ...` or `font: 11px ...`, by its version.
    svg = re.sub(r"(font-family:|font: [\d.\w ]*?px) [^;\"]*", r"\1 var(--font)", svg)
    for colour, name in CSS_VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg


@matplotlib.rc_context(STYLE)
def path_plot(estimate: np.ndarray, truth: np.ndarray | None, unit: str) -> str:
    """Returns a plot of the path from above, with equal axes.

    estimate, truth: positions (N, 3) in optical axes of the first camera (x right, z ahead). Drawn
    with base_link's axes, as usual for robots: ahead to the right, left upwards.
    """
    paths = [estimate] if truth is None else [estimate, truth]
    figure = Figure(figsize=_path_size(np.concatenate(paths)), layout="constrained")
    axes = figure.subplots()
    if truth is not None:
        axes.plot(truth[:, 2], -truth[:, 0], color=TRUTH, linewidth=3.2, label="truth")
    axes.plot(
        estimate[:, 2],
        -estimate[:, 0],
        color=ESTIMATE,
        label="odometry" if truth is None else "odometry, aligned",
    )
    start = paths[-1][0]
    axes.plot(start[2], -start[0], "o", color=MARK, markersize=8, zorder=5, label="start")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.06)
    axes.set_xlabel(f"ahead of the first camera ({unit})")
    axes.set_ylabel(f"to its left ({unit})")
    axes.legend(loc="best", ncols=3)
    return to_svg(figure)


@matplotlib.rc_context(STYLE)
def latency_plot(
    frames: np.ndarray, latencies_ms: np.ndarray, median_ms: float, p99_ms: float
) -> str:
    """Returns a plot of the latency of each frame, and its histogram.

    frames, latencies_ms: (N,), without the start-up frames.
    """
    figure = Figure(figsize=(10.4, 3.3), layout="constrained")
    series, histogram = figure.subplots(1, 2, sharey=True, width_ratios=(3.4, 1.0))
    series.plot(frames, latencies_ms, ".", markersize=4, color=ESTIMATE)
    for value, name, dash in (
        (median_ms, "median", (0, (1, 0))),
        (p99_ms, "99th percentile", (0, (4, 3))),
    ):
        series.axhline(
            value, color=MARK, linewidth=1.2, linestyle=dash, label=f"{name} {value:.0f} ms"
        )
    series.set_ylim(0.0, max(1.15 * float(latencies_ms.max()), 1.3 * p99_ms, 10.0))
    series.set_xlabel("frame")
    series.set_ylabel("image to odometry (ms)")
    series.legend(loc="upper right", ncols=2)
    histogram.hist(latencies_ms, bins=30, orientation="horizontal", color=ESTIMATE, alpha=0.8)
    histogram.set_xlabel("frames")
    return to_svg(figure)


@matplotlib.rc_context(STYLE)
def motion_plot(
    seconds: np.ndarray,
    odometry: tuple[np.ndarray, np.ndarray],
    truth: tuple[np.ndarray, np.ndarray] | None,
    speed_unit: str,
) -> str:
    """Returns plots of forward speed and yaw rate (deg/s) over time.

    seconds: (N,); odometry, truth: speed (N,) and yaw rate (N,).
    """
    figure = Figure(figsize=(10.4, 5.0), layout="constrained")
    speed_and_yaw_rate = figure.subplots(2, 1, sharex=True)
    labels = (f"forward speed ({speed_unit})", "yaw rate, left positive (deg/s)")
    for index, (axes, label) in enumerate(zip(speed_and_yaw_rate, labels, strict=True)):
        if truth is not None:
            axes.plot(seconds, truth[index], color=TRUTH, linewidth=2.2, label="truth")
        axes.plot(
            seconds, odometry[index], color=ESTIMATE, linewidth=1.2, label="odometry, as published"
        )
        axes.set_ylabel(label)
    speed_axes, yaw_rate_axes = speed_and_yaw_rate
    speed_axes.set_ylim(bottom=min(0.0, float(np.nanmin(odometry[0]))))
    speed_axes.legend(loc="best", ncols=2)
    yaw_rate_axes.set_xlabel("time (s)")
    return to_svg(figure)


def _path_size(points: np.ndarray) -> tuple[float, float]:
    """Returns the figure's width and height in inches.

    As wide as the page; as high as the path (N, 3) needs, within limits.
    """
    sideways, _, ahead = np.ptp(points, axis=0) + 1e-9
    return 10.4, float(np.clip(9.4 * sideways / ahead, 3.4, 6.4))
