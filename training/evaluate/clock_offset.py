"""Constant offset between the clocks of two trajectories, found by the shape of their motion."""

from dataclasses import dataclass

import numpy as np

from sfm_odometry.io.trajectories import PoseFile
from training.evaluate.stamps import STAMP_TOLERANCE_S, match_stamps

MAX_SAMPLES = 1 << 16
"""Maximum number of samples of a motion's profile."""
MIN_SAMPLES = 8
"""Minimum number of samples that two profiles share."""
MIN_SHARED = 0.5
"""Minimum part of the shorter profile that lies in the longer one."""
SHARED_BONUS = 0.1
"""Correlation that a profile that lies wholly in the other one is worth."""
MIN_CORRELATION = 0.8
"""Minimum correlation of two profiles of the same motion."""
MIN_VARIATION = 0.02
"""Minimum standard deviation of a profile, as part of its mean; less is no shape."""
CLOCK_STEP_S = 900.0
"""Time zones differ by multiples of it."""
MIN_ROUNDING = 1.5
MAX_ROUNDING = 10.0
"""Number of samples by which an offset is moved to one of a whole time zone."""
ROUNDING_LOSS = 0.02
"""Maximum correlation that this may cost: the motion of a poor prediction lags or leads."""
REFINEMENTS = 10


@dataclass(frozen=True)
class ClockOffset:
    """Offset to add to the stamps of a prediction, in seconds."""

    offset_s: float
    matches: int
    """Number of predicted poses that then have a partner."""
    correlation: float
    """Of the motions' profiles, up to 1; NaN where the offset is known by the stamps alone."""
    unshifted: float
    """Correlation without an offset; -1 where the profiles do not overlap."""

    @property
    def by_motion(self) -> bool:
        """Whether the motions show the offset."""
        return bool(self.correlation >= MIN_CORRELATION)


def find_clock_offset(gt: PoseFile, pred: PoseFile) -> ClockOffset | None:
    """Offset that brings the motion of a prediction to that of the truth, both with stamps.

    The profiles of speed and of the rate of turning are compared at all shifts; neither depends on
    the frame of reference, and the correlation of the speeds not on the scale. Where the motions
    have no shape, offsets are tried that clocks usually have: whole quarters of an hour, and the
    same first stamp. None where nothing brings at least two poses together.
    """
    assert gt.stamps_s is not None and pred.stamps_s is not None
    if len(gt.stamps_s) < 2 or len(pred.stamps_s) < 2:
        return None
    return _by_motion(gt, pred) or _by_stamps(gt.stamps_s, pred.stamps_s)


def _by_motion(gt: PoseFile, pred: PoseFile) -> ClockOffset | None:
    """Offset at which the profiles agree best; None where they do not."""
    assert gt.stamps_s is not None and pred.stamps_s is not None
    # Profiles of both motions at the same rate.
    stamps = (gt.stamps_s, pred.stamps_s)
    spans_s = [float(np.ptp(stamps_s)) for stamps_s in stamps]
    steps_s = [float(np.median(np.diff(stamps_s))) for stamps_s in stamps]
    period_s = max(*steps_s, max(spans_s) / MAX_SAMPLES)
    profiles = [_profiles(file, period_s) for file in (gt, pred)]
    # Correlation at all shifts, by the profile that shows the offset best.
    best: ClockOffset | None = None
    for of_gt, of_pred in zip(*profiles, strict=True):
        if min(len(of_gt), len(of_pred)) < MIN_SAMPLES or not (
            _has_shape(of_gt) and _has_shape(of_pred)
        ):
            continue
        correlation, shared = _correlations(of_gt, of_pred)
        score = np.where(shared >= MIN_SHARED, correlation + SHARED_BONUS * shared, -np.inf)
        top = int(np.argmax(score))
        if best is not None and correlation[top] <= best.correlation:
            continue
        between_s = gt.stamps_s[0] - pred.stamps_s[0]
        zero = len(of_pred) - 1 - between_s / period_s
        best = ClockOffset(
            *_refined(
                gt.stamps_s,
                pred.stamps_s,
                _round_offset(correlation, top, zero, period_s),
                period_s,
            ),
            float(correlation[top]),
            _at(np.where(shared >= MIN_SHARED, correlation, -1.0), zero),
        )
    return best if best is not None and best.by_motion and best.matches >= 2 else None


def _round_offset(correlation: np.ndarray, top: int, zero: float, period_s: float) -> float:
    """Offset of the best shift, or one of a whole time zone close by that is nearly as good.

    correlation: (S,) by shift; top: index of the best; zero: index of the clocks as they are.
    """
    offset_s = (_peak(correlation, top) - zero) * period_s
    zone_s = CLOCK_STEP_S * round(offset_s / CLOCK_STEP_S)
    is_near = MIN_ROUNDING < abs(zone_s - offset_s) / period_s <= MAX_ROUNDING
    as_good = _at(correlation, zero + zone_s / period_s) > correlation[top] - ROUNDING_LOSS
    return zone_s if is_near and as_good else offset_s


def _at(values: np.ndarray, index: float) -> float:
    """Value at the nearest index, -1 outside."""
    place = round(index)
    return float(values[place]) if 0 <= place < len(values) else -1.0


def _peak(values: np.ndarray, top: int) -> float:
    """Place of the maximum of a parabola through the values (S,) at `top` and beside it."""
    if not 0 < top < len(values) - 1:
        return float(top)
    before, at, after = values[top - 1 : top + 2]
    bend = before - 2 * at + after
    return top + (float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0)


def _profiles(file: PoseFile, period_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Speed and rate of turning (S,) of a trajectory, sampled every `period_s`."""
    stamps_s, poses = file.stamps_s, file.poses
    assert stamps_s is not None
    times_s = np.arange(stamps_s[0], stamps_s[-1] + period_s / 2, period_s)
    # Interpolated positions.
    positions = np.stack([np.interp(times_s, stamps_s, poses[:, axis, 3]) for axis in range(3)])
    speed = np.linalg.norm(np.diff(positions, axis=1), axis=0)
    # Interpolated rotations: their columns, whose change is the angle for small angles.
    columns = poses[:, :3, :3].reshape(-1, 9)
    rotations = np.stack([np.interp(times_s, stamps_s, column) for column in columns.T])
    turning = np.linalg.norm(np.diff(rotations, axis=1), axis=0)
    return speed, turning


def _has_shape(profile: np.ndarray) -> bool:
    """Whether a profile (S,) is not constant."""
    return bool(profile.std() > MIN_VARIATION * profile.mean() > 0)


def _correlations(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's correlation of profiles (S,) and (T,) at all S + T - 1 shifts.

    At index i sample 0 of b lies at sample i - (T - 1) of a. Also returns the part of the shorter
    profile that both share there.
    """
    a = (a - a.mean()) / a.std()
    b = (b - b.mean()) / b.std()
    size = 1 << (len(a) + len(b) - 1).bit_length()

    def correlate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        product = np.fft.rfft(x, size) * np.fft.rfft(y[::-1], size)
        return np.asarray(np.fft.irfft(product, size)[: len(a) + len(b) - 1])

    # Sums over the samples that both share.
    ones_a, ones_b = np.ones_like(a), np.ones_like(b)
    count = np.round(correlate(ones_a, ones_b))
    sum_a, sum_b = correlate(a, ones_b), correlate(ones_a, b)
    variance_a = correlate(a**2, ones_b) - sum_a**2 / count
    variance_b = correlate(ones_a, b**2) - sum_b**2 / count
    covariance = correlate(a, b) - sum_a * sum_b / count
    # Stretches without shape correlate with nothing.
    floor = MIN_VARIATION * count
    flat = (variance_a < floor) | (variance_b < floor) | (count < MIN_SAMPLES)
    product = np.sqrt(np.maximum(variance_a, floor) * np.maximum(variance_b, floor))
    return np.where(flat, -1.0, covariance / product), count / min(len(a), len(b))


def _refined(
    gt_s: np.ndarray, pred_s: np.ndarray, offset_s: float, period_s: float
) -> tuple[float, int]:
    """Offset near `offset_s` at which stamps meet, and the number of those that do."""
    start_s = offset_s
    for _ in range(REFINEMENTS):
        in_gt, in_pred = match_stamps(gt_s, pred_s + offset_s, period_s)
        if len(in_gt) == 0:
            break
        offset_s = float(np.median(gt_s[in_gt] - pred_s[in_pred]))
    if abs(offset_s - start_s) > period_s:
        offset_s = start_s
    offset_s = round(offset_s, 6)
    return offset_s, len(match_stamps(gt_s, pred_s + offset_s)[0])


def _by_stamps(gt_s: np.ndarray, pred_s: np.ndarray) -> ClockOffset | None:
    """Offset of clocks of other time zones, or of ones that begin with the trajectory."""
    start_s = float(gt_s[0] - pred_s[0])
    zone_s = CLOCK_STEP_S * round(start_s / CLOCK_STEP_S)
    for offset_s in (zone_s, round(start_s, 6)):
        matches = len(match_stamps(gt_s, pred_s + offset_s)[0])
        if offset_s and 2 * matches >= min(len(gt_s), len(pred_s)) and matches >= 2:
            return ClockOffset(offset_s, matches, float("nan"), -1.0)
    return None


def offset_words(offset: ClockOffset) -> str:
    """Value of --time-offset for an offset."""
    digits = f"{offset.offset_s:.6f}".rstrip("0")
    return digits + "0" if digits.endswith(".") else digits


def agrees_better(offset: ClockOffset, matches: int) -> bool:
    """Whether the motions agree clearly better with an offset than with the clocks as they are.

    matches: number of poses that have a partner without it.
    """
    if not offset.by_motion or abs(offset.offset_s) <= 3 * STAMP_TOLERANCE_S:
        return False
    return offset.matches > 2 * matches or offset.unshifted < offset.correlation - 0.2
