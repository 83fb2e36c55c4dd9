"""From a recording to the files, and the last words on the terminal."""

from pathlib import Path
from typing import Any

import numpy as np

from demo import outputs
from demo.drive import DemoDrive
from demo.measure import Measures, aligned_path, measure, published_motion, true_motion
from demo.pictures import read_depth
from demo.recording import STARTUP_FRAMES, Recording, Track
from demo.report import PanelRow, Report
from sfm_odometry.io.kitti import read_image
from sfm_odometry.io.text import write_text

PANELS = 6
FILES = (
    (outputs.METRICS, "the numbers above, and what they were measured on"),
    (outputs.KITTI, "the camera's poses in its first frame, KITTI rows, in the model's own unit"),
    (outputs.TUM, "the same as TUM rows: stamp, position, quaternion"),
    (f"{outputs.DEPTH}/", "sample depth images: float32 arrays in the model's unit, and pictures"),
    (f"{outputs.MASKS}/", "sample explainability masks, 8 bit"),
    (f"{outputs.LOGS}/", "what the processes said, and when each image was published"),
)


def write_results(
    out: Path, drive: DemoDrive, track: Track, recording: Recording, facts: dict[str, Any]
) -> Measures:
    """Measure a drive and write everything into `out`; `facts` say what ran and go into
    metrics.json and the report."""
    truth = None if drive.truth is None else drive.truth[track.frames]
    measures = measure(track, truth)
    stamps_ns = dict(zip(track.frames.tolist(), track.stamps_ns.tolist(), strict=True))
    frames = panel_frames(recording, stamps_ns)
    outputs.write_trajectory(out, track)
    panels = [panel_row(drive, recording, frame, stamps_ns[frame]) for frame in frames]
    for panel in panels:
        outputs.write_panel(out, panel.frame, panel.depth, panel.mask)
    outputs.write_metrics(
        out,
        measures,
        facts | stream_facts(recording) | NOTES | {"node_status": recording.tracking_status},
    )
    write_text(
        out / outputs.REPORT,
        build_report(drive, track, truth, measures, panels, facts | stream_facts(recording)).html(),
    )
    return measures


NOTES = {
    "startup_note": f"the motion of the first {STARTUP_FRAMES} frames is published when the window of five first fills; "
    "they wait for later frames and are left out of latency_ms_*"
}


def stream_facts(recording: Recording) -> dict[str, Any]:
    """What else was heard of the node."""
    return {
        "depth_images": recording.depths_received,
        "masks": recording.masks_received,
        "transforms_checked": recording.transforms_checked,
        "transform_error": recording.transform_error,
    }


def panel_frames(recording: Recording, stamps_ns: dict[int, int]) -> list[int]:
    """Up to PANELS frames spread over the drive of which depth was kept, and the mask too where
    the model has masks."""
    kept = recording.depths.keys() & (recording.masks.keys() or recording.depths.keys())
    frames = [frame for frame, stamp_ns in stamps_ns.items() if stamp_ns in kept]
    chosen = (
        np.unique(np.linspace(0, len(frames) - 1, PANELS).round().astype(int)) if frames else []
    )
    return [frames[index] for index in chosen]


def panel_row(drive: DemoDrive, recording: Recording, frame: int, stamp_ns: int) -> PanelRow:
    """The pictures of one frame."""
    sequence = drive.sequence
    return PanelRow(
        frame=frame,
        seconds=float(sequence.stamps_s[frame] - sequence.stamps_s[0]),
        image=read_image(sequence.image_paths[frame]),
        depth=recording.depths[stamp_ns],
        mask=recording.masks.get(stamp_ns),
        true_depth=None
        if sequence.depth_paths is None
        else read_depth(sequence.depth_paths[frame]),
    )


def build_report(
    drive: DemoDrive,
    track: Track,
    truth: np.ndarray | None,
    measures: Measures,
    panels: list[PanelRow],
    facts: dict[str, Any],
) -> Report:
    """The page about a drive."""
    path, true_path = (
        (track.start_from_camera[:, :3, 3], None) if truth is None else aligned_path(track, truth)
    )
    return Report(
        title=f"sfm_odometry on {'a rendered drive' if drive.rendered else f'sequence {drive.sequence.name}'}",
        lead=lead(drive, track, measures),
        measures=measures,
        track=track,
        path=path,
        true_path=true_path,
        motion=published_motion(track, measures.scale or 1.0),
        true_motion=None if truth is None else true_motion(track, truth),
        panels=panels,
        facts=fact_lines(facts),
        files=FILES,
    )


def fact_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What ran, as lines of the report."""
    return [
        ("model", f"{facts['model']}, sha256 {facts['model_sha256']}"),
        (
            "device",
            f"{facts['device']}; {facts['cores']} cores of {facts['processor']}, load {facts['load_before']:.1f} before the start",
        ),
        (
            "software",
            f"sfm_odometry {facts['sfm_odometry']}, Python {facts['python']}, {facts['packages']}",
        ),
        ("ROS", facts["ros"]),
        ("system", facts["system"]),
        (
            "besides odometry",
            f"{facts['depth_images']} depth images and {facts['masks']} masks received",
        ),
        (
            "TF",
            f"{facts['transforms_checked']} transforms compared with the odometry, largest difference {facts['transform_error']:.1g}",
        ),
    ]


def lead(drive: DemoDrive, track: Track, measures: Measures) -> str:
    """What was driven, in one sentence."""
    camera = drive.sequence.intrinsics
    length = "" if measures.path_length_m is None else f" over {measures.path_length_m:.0f} m"
    duration_s = track.stamps_s[-1] - track.stamps_s[0]
    rate_hz = (track.frames[-1] - track.frames[0]) / duration_s if duration_s > 0 else 0.0
    return (
        f"{measures.frames_in} frames of {camera.width} x {camera.height} at {rate_hz:.1f} Hz{length}, played by one process into the "
        "odometry node in another over DDS, and recorded by a third as a SLAM would listen: odometry, transforms, depth and masks."
    )


def summary_lines(measures: Measures, out: Path) -> list[str]:
    """The table that ends the demo."""
    rows = [
        ("5-frame ATE (SfMLearner)", measures.ate_5frame, "{:.4f} m"),
        ("ATE, 7-DoF aligned", measures.ate_7dof_m, "{:.2f} m"),
        ("t_err", measures.t_err_percent, "{:.2f} %"),
        ("r_err", measures.r_err_deg_per_100m, "{:.2f} deg / 100 m"),
        ("latency, median", measures.latency_ms_median, "{:.1f} ms"),
        ("latency, 99th percentile", measures.latency_ms_p99, "{:.1f} ms"),
    ]
    lines = [
        f"  {name:<26}{'unknown' if value is None else text.format(value)}"
        for name, value, text in rows
    ]
    lines.insert(
        4, f"  {'frames processed':<26}{measures.frames_processed} of {measures.frames_in}"
    )
    return [*lines, f"look at {out / outputs.REPORT}"]
