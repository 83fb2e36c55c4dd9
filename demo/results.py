"""Results of a recorded drive: metrics, files, report, and the summary on the terminal."""

from pathlib import Path
from typing import Any

import numpy as np

from demo import result_files
from demo.drive import DemoDrive
from demo.metrics import DriveMetrics, align_path, compute_metrics, published_motion, true_motion
from demo.pictures import read_depth
from demo.recording import STARTUP_FRAMES, EstimatedTrajectory, NodeRecording
from demo.report import Report, SampleImages
from sfm_odometry.io.kitti import read_image
from sfm_odometry.io.text import write_text

MAX_SAMPLES = 6
"""Frames whose images are shown in the report."""
FILES = (
    (result_files.METRICS_FILE, "the numbers above, and what they were measured on"),
    (
        result_files.KITTI_FILE,
        "the camera's poses in its first frame, KITTI rows, in the model's own unit",
    ),
    (result_files.TUM_FILE, "the same as TUM rows: stamp, position, quaternion"),
    (
        f"{result_files.DEPTH_FOLDER}/",
        "sample depth images: float32 arrays in the model's unit, and pictures",
    ),
    (f"{result_files.MASKS_FOLDER}/", "sample explainability masks, 8 bit"),
    (
        f"{result_files.LOGS_FOLDER}/",
        "what the processes said, and when each image was published",
    ),
)
NOTES = {
    "startup_note": f"the motion of the first {STARTUP_FRAMES} frames is published when the window "
    "of five first fills; they wait for later frames and are left out of latency_ms_*"
}


def write_results(
    out: Path,
    drive: DemoDrive,
    trajectory: EstimatedTrajectory,
    recording: NodeRecording,
    facts: dict[str, Any],
) -> DriveMetrics:
    """Compute the metrics of a drive and write all results into `out`.

    facts: about model and machine, for metrics.json and the report.
    """
    # Compute the metrics.
    truth = None if drive.truth is None else drive.truth[trajectory.frames]
    metrics = compute_metrics(trajectory, truth)

    # Write trajectory and sample images.
    result_files.write_trajectory(out, trajectory)
    samples = collect_samples(drive, trajectory, recording)
    for sample in samples:
        result_files.write_sample(out, sample.frame, sample.depth, sample.mask)

    # Write metrics and report.
    facts = facts | recording_facts(recording)
    status = {"node_status": recording.tracking_status}
    result_files.write_metrics(out, metrics, facts | NOTES | status)
    report = build_report(drive, trajectory, truth, metrics, samples, facts)
    write_text(out / result_files.REPORT_FILE, report.html())
    return metrics


def recording_facts(recording: NodeRecording) -> dict[str, Any]:
    """Returns the counts of depth images, masks and transforms."""
    return {
        "depth_images": recording.depths_received,
        "masks": recording.masks_received,
        "transforms_checked": recording.transforms_checked,
        "transform_error": recording.transform_error,
    }


def collect_samples(
    drive: DemoDrive, trajectory: EstimatedTrajectory, recording: NodeRecording
) -> list[SampleImages]:
    """Returns the images of up to MAX_SAMPLES frames spread over the drive."""
    stamps_ns = dict(zip(trajectory.frames.tolist(), trajectory.stamps_ns.tolist(), strict=True))
    frames = select_frames(recording, stamps_ns)
    return [read_sample(drive, recording, frame, stamps_ns[frame]) for frame in frames]


def select_frames(recording: NodeRecording, stamps_ns: dict[int, int]) -> list[int]:
    """Returns up to MAX_SAMPLES frames spread over the drive whose images were kept.

    Both depth and mask where the model has masks, else depth. stamps_ns: stamp of each frame.
    """
    kept = recording.depths.keys() & (recording.masks.keys() or recording.depths.keys())
    frames = [frame for frame, stamp_ns in stamps_ns.items() if stamp_ns in kept]
    if not frames:
        return []
    chosen = np.unique(np.linspace(0, len(frames) - 1, MAX_SAMPLES).round().astype(int))
    return [frames[index] for index in chosen]


def read_sample(
    drive: DemoDrive, recording: NodeRecording, frame: int, stamp_ns: int
) -> SampleImages:
    """Returns the images of one frame."""
    sequence = drive.sequence
    paths = sequence.depth_paths
    return SampleImages(
        frame=frame,
        seconds=float(sequence.stamps_s[frame] - sequence.stamps_s[0]),
        image=read_image(sequence.image_paths[frame]),
        depth=recording.depths[stamp_ns],
        mask=recording.masks.get(stamp_ns),
        true_depth=None if paths is None else read_depth(paths[frame]),
    )


def build_report(
    drive: DemoDrive,
    trajectory: EstimatedTrajectory,
    truth: np.ndarray | None,
    metrics: DriveMetrics,
    samples: list[SampleImages],
    facts: dict[str, Any],
) -> Report:
    """Returns the page about a drive; truth: true poses (M, 4, 4) of the trajectory's rows."""
    path = trajectory.start_from_camera[:, :3, 3]
    true_path = None
    if truth is not None:
        path, true_path = align_path(trajectory, truth)
    name = "a rendered drive" if drive.rendered else f"sequence {drive.sequence.name}"
    return Report(
        title=f"sfm_odometry on {name}",
        lead=lead_sentence(drive, trajectory, metrics),
        metrics=metrics,
        trajectory=trajectory,
        path=path,
        true_path=true_path,
        motion=published_motion(trajectory, metrics.scale or 1.0),
        true_motion=None if truth is None else true_motion(trajectory, truth),
        samples=samples,
        facts=fact_lines(facts),
        files=FILES,
    )


def fact_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns name and text of the facts that the report shows."""
    return [
        ("model", f"{facts['model']}, sha256 {facts['model_sha256']}"),
        (
            "device",
            f"{facts['device']}; {facts['cores']} cores of {facts['processor']}, "
            f"load {facts['load_before']:.1f} before the start",
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
            f"{facts['transforms_checked']} transforms compared with the odometry, "
            f"largest difference {facts['transform_error']:.1g}",
        ),
    ]


def lead_sentence(drive: DemoDrive, trajectory: EstimatedTrajectory, metrics: DriveMetrics) -> str:
    """Returns a sentence about the drive: frames, size, rate, length, and the way it was played."""
    camera = drive.sequence.intrinsics
    length = "" if metrics.path_length_m is None else f" over {metrics.path_length_m:.0f} m"
    duration_s = trajectory.stamps_s[-1] - trajectory.stamps_s[0]
    frame_span = trajectory.frames[-1] - trajectory.frames[0]
    rate_hz = frame_span / duration_s if duration_s > 0 else 0.0
    return (
        f"{metrics.frames_in} frames of {camera.width} x {camera.height} at {rate_hz:.1f} Hz"
        f"{length}, played by one process into the odometry node in another over DDS, and recorded "
        "by a third as a SLAM would listen: odometry, transforms, depth and masks."
    )


def summary_lines(metrics: DriveMetrics, out: Path) -> list[str]:
    """Returns the lines that the demo prints at its end."""
    rows = [
        ("5-frame ATE (SfMLearner)", metrics.ate_5frame, "{:.4f} m"),
        ("ATE, 7-DoF aligned", metrics.ate_7dof_m, "{:.2f} m"),
        ("t_err", metrics.t_err_percent, "{:.2f} %"),
        ("r_err", metrics.r_err_deg_per_100m, "{:.2f} deg / 100 m"),
        ("latency, median", metrics.latency_ms_median, "{:.1f} ms"),
        ("latency, 99th percentile", metrics.latency_ms_p99, "{:.1f} ms"),
    ]
    lines = [
        f"  {name:<26}{'unknown' if value is None else text.format(value)}"
        for name, value, text in rows
    ]
    processed = f"{metrics.frames_processed} of {metrics.frames_in}"
    lines.insert(4, f"  {'frames processed':<26}{processed}")
    return [*lines, f"look at {out / result_files.REPORT_FILE}"]
