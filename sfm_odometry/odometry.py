"""The odometry: frames in, depth, masks and a chained trajectory out. The node, the command line
and evaluation all run this."""

import time
from dataclasses import dataclass
from enum import Enum

import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.params import OdometryParams
from sfm_odometry.scale import FramePair, ScaleEstimate, scale_source
from sfm_odometry.steps import Step, network_step, refined_step, scaled_step
from sfm_odometry.tracking.feature_tracks import PointTracks
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.lazy import Background, LazyFuture
from sfm_odometry.tracking.motion_refiner import MotionRefiner
from sfm_odometry.tracking.noise_model import BRIDGE_INFLATION, motion_covariance, scale_covariance
from sfm_odometry.tracking.speed_filter import SpeedFilter
from sfm_odometry.tracking.trajectory import (
    Trajectory,
    rotation_from_vector,
    rotation_vector,
    twist_of,
)
from sfm_odometry.tracking.window import AddedFrame, Arrival, FrameWindow


class TrackingState(Enum):
    """What the odometry is doing."""

    FILLING_WINDOW = "filling_window"
    TRACKING = "tracking"
    LOST = "lost"


@dataclass(frozen=True)
class FrameMotion:
    """One frame whose pose became known; lengths are metres only where the scale is known."""

    stamp_ns: int
    start_from_camera: np.ndarray
    """(4, 4) float64: this camera in the optical frame of the first one."""
    pose_covariance: np.ndarray
    """(6, 6) of that pose, translation then rotation, in the axes of this camera."""
    previous_from_current: np.ndarray
    """(4, 4) float64: the step from the frame before; the identity for the first."""
    dt_s: float
    twist: np.ndarray
    """(6,): linear and angular velocity in the axes of this camera."""
    twist_covariance: np.ndarray
    """(6, 6) of the twist."""
    unrefined: str = ""
    """Why this step is the networks' own although refinement was asked for; empty otherwise."""


@dataclass(frozen=True)
class DenseMap:
    """An image-like result: values (H, W) float32 at the network's size, the intrinsics of these
    pixels, the stamp of their frame."""

    stamp_ns: int
    values: np.ndarray
    intrinsics: Intrinsics


@dataclass(frozen=True)
class OdometryResult:
    """What one frame brought."""

    state: TrackingState
    scale: ScaleEstimate
    """The factor that these motions and this depth share."""
    refused: str = ""
    """Why this frame was refused, if it was."""
    event: str = ""
    """What happened besides: a gap, a clock jump, other intrinsics, lost."""
    motions: tuple[FrameMotion, ...] = ()
    """Frames whose pose is new, oldest first: the whole window when it fills, one frame
    afterwards."""
    mask: DenseMap | None = None
    """Explainability, 0 to 1, of the window's target frame."""
    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    """Until the motions were known."""
    depth_future: LazyFuture[DenseMap] | None = None
    """Depth of the newest frame, as it may still be computed beside."""

    @property
    def depth(self) -> DenseMap | None:
        """Depth of the newest frame along z, NaN = unknown; waits for it. The motions are known
        before."""
        return None if self.depth_future is None else self.depth_future.get()


class MonocularOdometry:
    """Depth and odometry of a monocular camera from a sliding window of frames."""

    def __init__(self, estimator: Estimator, params: OdometryParams | None = None) -> None:
        self.estimator = estimator
        self.params = params or OdometryParams()
        self._window: FrameWindow[Frame] = FrameWindow(
            estimator.window_length, round(self.params.max_gap_s * 1e9)
        )
        self._trajectory = Trajectory()
        self._refiner = MotionRefiner(
            tracks=PointTracks() if self.params.fuse else None,
            speed=SpeedFilter() if self.params.speed_prior else None,
        )
        self._scale_source = scale_source(
            self.params.scale_mode, self.params.scale_value, self.params.scale_camera_height
        )
        self._preprocessor: Preprocessor | None = None
        self._background = Background()
        self.reset()

    def reset(self) -> None:
        """Start a new trajectory at the next frame."""
        self._window.reset()
        self._trajectory.reset()
        self._refiner.reset()
        self._scale_source.reset()
        self._scale = self._scale_source.estimate(0)
        self._newest_known_ns: int | None = None
        self._twist: np.ndarray | None = None

    def continue_from(self, start_from_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Go on from a pose (4, 4) of the newest frame that is known from elsewhere; poses that
        were handed out stay as they are.

        covariance: (6, 6), translation then rotation, in the axes of this camera.
        """
        self._trajectory.continue_from(start_from_camera, covariance)

    @property
    def scale(self) -> ScaleEstimate:
        """The factor from the model's unit of length to the published one, as the newest frame
        has it."""
        return self._scale

    def observe_speed(self, stamp_ns: int, speed_mps: float) -> None:
        """Take the camera's speed, as wheels or another sensor measure it: at any rate, on the
        clock of the images, before or after them.

        Not to be called while another thread is in `process`.
        """
        self._scale_source.add_speed(stamp_ns, speed_mps)

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Take where down is in the camera's optical frame, (3,), as its mount says; until then
        the camera is taken for level."""
        self._scale_source.set_gravity_direction(down)

    def process(
        self,
        image: np.ndarray,
        intrinsics: Intrinsics,
        stamp_ns: int,
        want_depth: bool = True,
        want_mask: bool = True,
    ) -> OdometryResult:
        """Take one rectified frame, uint8 (H, W) grey or (H, W, 3) RGB, of a camera with
        `intrinsics`.

        Raises ImageError for an image that does not fit its type or intrinsics; a frame whose stamp
        cannot be used is refused in the result. Depth is inferred beside the motion, which needs
        that of the frame before alone.
        """
        started = time.perf_counter()
        event = self._adapt_to(intrinsics)
        assert self._preprocessor is not None
        seen = self._preprocessor.brightened(self._preprocessor(image))
        frame = Frame(
            seen, self._preprocessor.intrinsics.matrix(), self.estimator, self._refiner.config
        )
        added = self._window.add(frame, stamp_ns)
        if added.arrival is Arrival.REFUSED:
            return OdometryResult(self._state(), self._scale, refused=added.reason)
        if want_depth or self.params.refine:
            frame.prepare(self._background, with_targets=self.params.refine)
        event = self._handle_arrival(added) or event
        preprocessed = time.perf_counter()
        self._scale = self._scale_source.estimate(stamp_ns)
        state, lost, motions, mask = self._track(want_mask)
        depth_future = self._later_depth(frame, stamp_ns) if want_depth else None
        if motions and self.params.refine:
            self._refiner.prepare(frame, self._background)
        return OdometryResult(
            state=state,
            scale=self._scale,
            event=lost or event,
            motions=motions,
            mask=mask,
            preprocess_ms=(preprocessed - started) * 1e3,
            inference_ms=(time.perf_counter() - preprocessed) * 1e3,
            depth_future=depth_future,
        )

    def _state(self) -> TrackingState:
        return TrackingState.TRACKING if self._window.full else TrackingState.FILLING_WINDOW

    def _adapt_to(self, intrinsics: Intrinsics) -> str:
        """Rebuild the preprocessing when the camera changes; frames of another camera do not mix
        in one window."""
        if self._preprocessor is not None and self._preprocessor.camera == intrinsics:
            return ""
        first = self._preprocessor is None
        config = self.estimator.model.config
        resize_mode = self.params.resize_mode or config.resize_mode
        self._preprocessor = Preprocessor(
            intrinsics, config.width, config.height, config.image_channels, resize_mode
        )
        self._window.flush()
        self._refiner.reset()
        if first:
            return ""
        self._scale_source.reset()
        return "intrinsics changed"

    def _handle_arrival(self, added: AddedFrame) -> str:
        if added.arrival is Arrival.AFTER_GAP:
            self._refiner.skip(added.since_newest_ns / 1e9)
            return f"gap of {added.since_newest_ns / 1e9:.2f} s"
        if added.arrival is Arrival.AFTER_CLOCK_JUMP:
            self._newest_known_ns = None
            self._scale_source.reset()
            if self.params.reset_on_clock_jump:
                self._trajectory.reset()
                self._twist = None
            return f"clock jumped back {-added.since_newest_ns / 1e9:.2f} s"
        return ""

    def _later_depth(self, frame: Frame, stamp_ns: int) -> LazyFuture[DenseMap]:
        """The depth panel in the unit that the frame's motion has."""
        preprocessor, factor = (
            self._preprocessor,
            np.float32(self._scale.value * self._refiner.unit),
        )
        assert preprocessor is not None

        def panel() -> DenseMap:
            depth = frame.depth * factor
            known = (
                (depth >= self.params.min_depth)
                & (depth <= self.params.max_depth)
                & preprocessor.seen
            )
            return DenseMap(
                stamp_ns, np.where(known, depth, np.float32(np.nan)), preprocessor.intrinsics
            )

        return LazyFuture(panel)

    def _track(
        self, want_mask: bool
    ) -> tuple[TrackingState, str, tuple[FrameMotion, ...], DenseMap | None]:
        if not self._window.full:
            return TrackingState.FILLING_WINDOW, "", (), None
        assert self._preprocessor is not None
        frames = self._window.frames
        chain, mask = self.estimator.motion(
            [frame.image for frame in frames], want_mask, [frame.memory for frame in frames]
        )
        stamps_ns = self._window.stamps_ns
        reason = self._implausible(chain, stamps_ns)
        if reason:
            self._window.flush()
            return TrackingState.LOST, reason, (), None
        panel = (
            None
            if mask is None
            else DenseMap(stamps_ns[self.estimator.target], mask, self._preprocessor.intrinsics)
        )
        return TrackingState.TRACKING, "", tuple(self._integrate(chain, stamps_ns)), panel

    def _implausible(self, chain: np.ndarray, stamps_ns: list[int]) -> str:
        """Why the window's motions are not believed, or nothing."""
        if not np.isfinite(chain).all():
            return "lost: the motion is not finite"
        for step, dt_s in zip(chain, np.diff(stamps_ns) / 1e9, strict=True):
            speed = np.linalg.norm(step[:3, 3]) * self._scale.value / dt_s
            turn_rate_deg = np.degrees(np.linalg.norm(rotation_vector(step[:3, :3]))) / dt_s
            if speed > self.params.max_speed or turn_rate_deg > self.params.max_turn_rate_deg:
                return f"lost: a motion of {speed:.1f} /s and {turn_rate_deg:.0f} deg/s is not plausible"
        return ""

    def _integrate(self, chain: np.ndarray, stamps_ns: list[int]) -> list[FrameMotion]:
        """Append the steps to the frames whose pose is not known yet; poses that were handed out
        are never moved."""
        durations_s = np.diff(stamps_ns) / 1e9
        known = [
            index
            for index, stamp_ns in enumerate(stamps_ns)
            if self._newest_known_ns is not None and stamp_ns <= self._newest_known_ns
        ]
        first_new = known[-1] if known else 0
        steps = [
            self._step(chain[index], index, durations_s[index])
            for index in range(first_new, len(chain))
        ]
        steps = self._scaled(steps, first_new, stamps_ns)
        motions = (
            []
            if known
            else [
                self._enter(stamps_ns[0], twist_of(steps[0].previous_from_current, durations_s[0]))
            ]
        )
        for index, step in enumerate(steps, start=first_new):
            dt_s = durations_s[index]
            motions.append(
                self._append(
                    step, stamps_ns[index + 1], dt_s, twist_of(step.previous_from_current, dt_s)
                )
            )
        return motions

    def _step(self, previous_from_current: np.ndarray, index: int, dt_s: float) -> Step:
        """The step from the window's frame `index` to the next in the model's unit of length,
        refined if that is asked for."""
        if not self.params.refine:
            return network_step(previous_from_current)
        previous, current = self._window.frames[index : index + 2]
        return refined_step(self._refiner, (previous, current), previous_from_current, dt_s)

    def _scaled(self, steps: list[Step], first: int, stamps_ns: list[int]) -> list[Step]:
        """The steps from the window's frame `first` on, in the published unit: the scale is
        measured with them before it is used."""
        assert self._preprocessor is not None
        frames, intrinsics = self._window.frames, self._preprocessor.intrinsics.matrix()
        for index, step in enumerate(steps, start=first):
            ends = frames[index], frames[index + 1]
            self._scale_source.observe(
                FramePair(
                    *ends,
                    step.previous_from_current,
                    stamps_ns[index],
                    stamps_ns[index + 1],
                    intrinsics,
                )
            )
        self._scale = self._scale_source.estimate(stamps_ns[-1])
        return [scaled_step(step, self._scale) for step in steps]

    def _enter(self, stamp_ns: int, twist: np.ndarray) -> FrameMotion:
        """The oldest frame of a window that shares none with the known poses: the start, or the
        far side of a gap."""
        if self._newest_known_ns is None:
            return self._append(network_step(np.eye(4)), stamp_ns, 0.0, twist)
        dt_s = (stamp_ns - self._newest_known_ns) / 1e9
        return self._append(self._bridge(dt_s), stamp_ns, dt_s, twist)

    def _bridge(self, dt_s: float) -> Step:
        """The unseen motion over a gap: constant velocity for a while, beyond that the pose is
        held; the covariance covers either."""
        travelled = np.eye(4)
        if self._twist is not None:
            travelled[:3, :3] = rotation_from_vector(self._twist[3:] * dt_s)
            travelled[:3, 3] = (
                rotation_from_vector(self._twist[3:] * dt_s / 2) @ self._twist[:3] * dt_s
            )
        covariance = (
            motion_covariance(travelled) + scale_covariance(travelled, self._scale.relative_sigma)
        ) * BRIDGE_INFLATION
        return Step(travelled if dt_s <= self.params.max_bridge_s else np.eye(4), covariance)

    def _append(self, step: Step, stamp_ns: int, dt_s: float, twist: np.ndarray) -> FrameMotion:
        pose = self._trajectory.append(step.previous_from_current, step.covariance)
        self._newest_known_ns, self._twist = stamp_ns, twist
        return FrameMotion(
            stamp_ns=stamp_ns,
            start_from_camera=pose.start_from_camera,
            pose_covariance=pose.covariance,
            previous_from_current=step.previous_from_current,
            dt_s=dt_s,
            twist=twist,
            # Over a step of no known duration (the first frame) the twist is its neighbour's; a
            # nominal 0.1 s keeps it finite.
            twist_covariance=step.covariance / (dt_s or 0.1) ** 2,
            unrefined=step.unrefined,
        )
