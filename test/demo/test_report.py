"""HTML page of the demo."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from demo.metrics import BodyMotion, DriveMetrics
from demo.recording import EstimatedTrajectory
from demo.report import Report, SampleImages

VOID = {"meta", "img", "br", "path", "use", "rect", "circle", "line"}


class Page(HTMLParser):
    """References, text and open elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.references += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href", "srcset", "data", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def make_report(count: int = 40, truth: bool = True) -> Report:
    """Returns the report of a drive of `count` frames with one lost frame."""
    ahead = np.linspace(0.0, 30.0, count)
    path = np.stack([0.01 * ahead**2, np.zeros(count), ahead], axis=1)
    motion = BodyMotion(ahead[1:], np.ones(count - 1), np.zeros(count - 1))
    return Report(
        title="a <drive>",
        lead="40 frames",
        metrics=make_metrics(count, truth),
        trajectory=make_trajectory(path),
        path=path,
        true_path=path if truth else None,
        motion=motion,
        true_motion=motion if truth else None,
        samples=[make_sample()],
        facts=[("model", "small & fast")],
        files=[("metrics.json", "the numbers")],
    )


def make_trajectory(path: np.ndarray) -> EstimatedTrajectory:
    count = len(path)
    latencies_ms = np.full(count, 25.0)
    latencies_ms[:4] = [431.0, 331.0, 231.0, 131.0][:count]
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 3] = path
    return EstimatedTrajectory(
        frames=np.arange(count),
        stamps_ns=np.arange(count) * 10**8,
        start_from_camera=poses,
        twists=np.zeros((count, 6)),
        latencies_ms=latencies_ms,
        frames_in=count + 1,
    )


def make_sample() -> SampleImages:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (40, 120, 3), dtype=np.uint8)
    return SampleImages(
        frame=7,
        seconds=0.7,
        image=image,
        depth=rng.uniform(1.0, 50.0, (16, 48)).astype(np.float32),
        mask=np.full((16, 48), 255, np.uint8),
        true_depth=None,
    )


def make_metrics(count: int, truth: bool) -> DriveMetrics:
    metrics = DriveMetrics(
        frames_in=count + 1, frames_processed=count, latency_ms_median=25.0, latency_ms_p99=26.4
    )
    if not truth:
        return metrics
    return replace(
        metrics,
        ate_5frame=0.0123,
        ate_7dof_m=4.56,
        t_err_percent=7.89,
        r_err_deg_per_100m=2.34,
        scale=31.415,
    )


def test_the_page_is_complete_and_loads_nothing():
    html = make_report().html()
    page = Page(html)
    assert page.open == []
    images = [reference for reference in page.references if reference.startswith("data:image/")]
    assert len(images) == 3
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    without_pictures = re.sub(r"base64,[\w+/=]+", "", html)
    assert re.findall(r"https?:|//\w|@import|url\((?!#)", without_pictures) == []
    assert "<script" not in html


def test_the_page_has_the_metrics():
    text = Page(make_report().html()).text
    for number in (
        "0.0123",
        "4.56",
        "7.89",
        "2.34",
        "31.415",
        "40of 41",
        "1 lost",
        "25ms",
        "26ms",
        "431, 331, 231, 131 ms",
    ):
        assert number in text, number


def test_names_and_facts_are_escaped():
    html = make_report().html()
    assert "a &lt;drive&gt;" in html
    assert "small &amp; fast" in html


def test_without_truth_the_page_has_no_errors():
    page = Page(make_report(truth=False).html())
    assert "no truth for this drive" in page.text
    assert "aligned" not in page.text.split("The path from above")[1]
    assert page.text.count("\N{EN DASH}") == 5


def test_a_drive_that_ends_while_the_window_fills_still_has_a_page():
    short = make_report(count=3)
    metrics = replace(short.metrics, latency_ms_median=None, latency_ms_p99=None)
    page = Page(replace(short, samples=[], metrics=metrics).html())
    assert page.open == []
    assert "What the node sees" not in page.text


def test_plots_have_the_colours_and_font_of_the_page():
    plots = re.findall(r"<svg.*?</svg>", make_report().html(), re.DOTALL)
    assert len(plots) == 3
    for plot in plots:
        assert "var(--ink)" in plot
        assert "var(--font)" in plot
        assert not re.search(r"#0[1-6]0[1-6]0[1-6]|font-family: '", plot)
        assert "viewBox" in plot
        assert not re.match(r"<svg[^>]* (width|height)=", plot)


def test_the_same_report_is_the_same_file():
    assert make_report().html() == make_report().html()


def test_a_model_without_masks_leaves_their_column_out():
    whole = make_report()
    text = Page(replace(whole, samples=[replace(whole.samples[0], mask=None)]).html()).text
    assert "mask of this image" in Page(whole.html()).text
    assert "mask of this image" not in text
    assert "Mask:" not in text
