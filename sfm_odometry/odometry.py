"""Monocular visual odometry: the pipeline that the node, the command line and evaluation run."""

import functools
import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from sfm_odometry.geometry import se3
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.focus import (
    describe_change,
    intrinsics_change,
    warp_to_intrinsics,
)
from sfm_odometry.geometry.preprocess import Preprocessor, apply_gain, to_grey
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.params import OdometryParams
from sfm_odometry.results import (
    DenseMap,
    EventKind,
    FrameMotion,
    OdometryEvent,
    OdometryResult,
    TrackingState,
)
from sfm_odometry.scale import FramePair, ScaleEstimate, scale_source
from sfm_odometry.steps import Step, network_step, refined_step, scaled_step
from sfm_odometry.tracking.feature_tracks import FeatureTracks
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.lazy import BackgroundThread, LazyFuture
from sfm_odometry.tracking.motion_refiner import MotionRefiner
from sfm_odometry.tracking.noise_model import BRIDGE_INFLATION, motion_covariance, scale_covariance
from sfm_odometry.tracking.speed_filter import SpeedFilter
from sfm_odometry.tracking.trajectory import Trajectory, twist_of
from sfm_odometry.tracking.window import AddedFrame, Arrival, FrameWindow

SECONDS_OF_A_DAY = 86400.0
MAX_FOCUS_CHANGES = 5.0
"""Greatest change of a camera's intrinsics from those of the window, in `max_intrinsics_change`."""


class _ImplausibleMotion(Exception):
    """The networks' motion cannot be a camera's; the message gives the reason."""


class MonocularOdometry:
    """Visual odometry and depth of a monocular camera over a sliding window of frames.

    Call :meth:`process` with every frame, oldest first.
    """

    def __init__(self, estimator: Estimator, params: OdometryParams | None = None) -> None:
        self.estimator = estimator
        self.params = params or OdometryParams()
        self._window: FrameWindow[Frame] = FrameWindow(
            estimator.window_length, round(self.params.max_gap_s * 1e9)
        )
        self._trajectory = Trajectory()
        self._refiner = MotionRefiner(
            tracks=FeatureTracks() if self.params.fuse else None,
            speed=SpeedFilter() if self.params.speed_prior else None,
        )
        self._scale_source = scale_source(
            self.params.scale_mode,
            self.params.scale_value,
            self.params.scale_camera_height,
            self.params.scale_hold if self.params.refine else "off",
        )
        self._preprocessor: Preprocessor | None = None
        self._newest_camera: Intrinsics | None = None
        """Intrinsics of the newest frame; those of the window are the preprocessor's."""
        self._background = BackgroundThread()
        self.reset()

    def reset(self) -> None:
        """Forget all frames; the next one starts a new trajectory at the origin."""
        self._window.reset()
        self._trajectory.reset()
        self._refiner.reset()
        self._scale_source.reset()
        self._scale = self._scale_source.estimate(0)
        self._newest_known_ns: int | None = None
        self._twist: np.ndarray | None = None

    def continue_from(self, start_from_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Set the pose (4, 4) of the newest frame; poses that were published stay as they are.

        covariance: (6, 6), translation then rotation, in the axes of this camera.
        """
        self._trajectory.continue_from(start_from_camera, covariance)

    @property
    def scale(self) -> ScaleEstimate:
        """Factor from the model's unit of length to the published one, at the newest frame."""
        return self._scale

    def observe_speed(self, stamp_ns: int, speed_mps: float) -> None:
        """Add a speed of the camera, m/s, measured by wheels or another sensor.

        Measurements come at any rate, on the clock of the images, before or after them. Not to be
        called while another thread is in `process`.
        """
        self._scale_source.add_speed(stamp_ns, speed_mps)

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Set the direction of gravity (3,) in the camera's optical frame; until then: level."""
        self._scale_source.set_gravity_direction(down)

    def process(
        self,
        image: np.ndarray,
        intrinsics: Intrinsics,
        stamp_ns: int,
        want_depth: bool = True,
        want_mask: bool = True,
        clock_jumped: bool = False,
        seen: np.ndarray | None = None,
    ) -> OdometryResult:
        """Track one rectified frame, uint8 (H, W) grey or (H, W, 3) RGB.

        A frame whose stamp is not newer than the last one's is refused in the result. Raises
        ImageError for an image that does not fit its type or its intrinsics.

        clock_jumped: whether a gap before this frame is a clock that was set forward. seen: pixels
        that the camera saw, bool (H, W), the only ones of known depth and mask; None for all.
        """
        started = time.perf_counter()
        # Preprocess: the networks' input and its intrinsics.
        events = self._set_camera(intrinsics)
        frame = self._preprocess(image, intrinsics, seen)
        # Window: frames in the order of their stamps, without a gap between them.
        added = self._window.add(frame, stamp_ns)
        if added.arrival is Arrival.REFUSED:
            return OdometryResult(self._state, self._scale, added.reason, tuple(events))
        events += self._handle_arrival(added, clock_jumped)
        self._scale = self._scale_source.estimate(stamp_ns)
        # Depth: on a background thread, as the motion only needs that of the frame before.
        self._prepare_depth(frame, want_depth)
        preprocess_ms = (time.perf_counter() - started) * 1e3
        # Motion of the frames that have no pose yet.
        tracked = self._track(want_mask)
        depth_future = self._depth_future(frame, stamp_ns) if want_depth else None
        result = replace(tracked, events=(*events, *tracked.events), depth_future=depth_future)
        # Feature tracks of the next step, on the background thread.
        self._prepare_tracks(result, frame)
        inference_ms = (time.perf_counter() - started) * 1e3 - preprocess_ms
        return replace(result, preprocess_ms=preprocess_ms, inference_ms=inference_ms)

    def _prepare_depth(self, frame: Frame, want_depth: bool) -> None:
        """Start to infer the frame's depth where it is wanted, or alignment or scale need it."""
        needs_alignment = self.params.refine and not self._refiner.steady
        if want_depth or needs_alignment or self._scale_source.needs_depth:
            frame.prepare(self._background, with_targets=needs_alignment)

    def _track(self, want_mask: bool) -> OdometryResult:
        """Estimate the motion of the window's frames that have no pose yet."""
        if not self._window.full:
            return OdometryResult(TrackingState.FILLING_WINDOW, self._scale)

        # Networks: the motion between neighbouring frames, inferred where tracking needs it, and
        # the explainability mask.
        networks = LazyFuture(lambda: self._infer_window(want_mask))

        # Feature tracks, or direct alignment and then feature tracks: steps in the model's unit.
        try:
            steps = self._refine(lambda: self._plausible(networks.get()[0]))
        except _ImplausibleMotion as implausible:
            self._window.flush()
            event = OdometryEvent(EventKind.LOST, str(implausible))
            return OdometryResult(TrackingState.LOST, self._scale, events=(event,))
        mask = networks.get()[1] if want_mask else None

        # Scale: measured with these steps, then applied to them.
        steps = self._rescale(steps)

        # Chain the steps into poses.
        motions = tuple(self._chain(steps))

        return OdometryResult(TrackingState.TRACKING, self._scale, motions=motions, mask=mask)

    def _prepare_tracks(self, result: OdometryResult, newest: Frame) -> None:
        """Detect features in the newest frame; this changes the unit of the tracks."""
        if result.motions and self.params.refine:
            self._refiner.prepare(newest, self._background)

    @property
    def _state(self) -> TrackingState:
        return TrackingState.TRACKING if self._window.full else TrackingState.FILLING_WINDOW

    def _set_camera(self, intrinsics: Intrinsics) -> list[OdometryEvent]:
        """Rebuild the preprocessing when the camera changes, and start the window anew.

        Frames of different cameras are never mixed in one window. A camera stays the same while
        its intrinsics change a little from frame to frame, up to MAX_FOCUS_CHANGES such changes
        from those of the window.
        """
        before = self._newest_camera
        self._newest_camera = intrinsics
        if self._preprocessor is not None and before is not None:
            limit = self.params.max_intrinsics_change
            window_change = intrinsics_change(self._preprocessor.camera, intrinsics)
            if (
                intrinsics_change(before, intrinsics) <= limit
                and window_change <= MAX_FOCUS_CHANGES * limit
            ):
                return []
        config = self.estimator.model.config
        size = (config.width, config.height)
        resize_mode = self.params.resize_mode or config.resize_mode_of(intrinsics)
        known = self._preprocessor
        self._preprocessor = Preprocessor(intrinsics, *size, config.image_channels, resize_mode)
        self._window.flush()
        self._refiner.reset()
        if known is None:
            return []
        self._scale_source.reset()
        detail = f"intrinsics changed: {describe_change(known.camera, intrinsics)}"
        return [OdometryEvent(EventKind.CAMERA_CHANGE, detail)]

    def _preprocess(
        self, image: np.ndarray, intrinsics: Intrinsics, seen: np.ndarray | None
    ) -> Frame:
        """Resize the image to the networks' input, with dark images made brighter.

        A frame whose intrinsics differ a little from the window's is resampled to those. An image
        that is bright enough is resized when the input is asked for: not every frame needs it.
        """
        preprocessor = self._preprocessor
        assert preprocessor is not None
        preprocessor.set_seen(seen)
        converted = preprocessor.convert(image)
        wanted = preprocessor.intrinsics
        gain = 1.0
        if intrinsics == preprocessor.camera and preprocessor.is_bright(converted):
            if np.may_share_memory(converted, image):
                converted = converted.copy()  # the caller may use the image's memory again
            pixels = LazyFuture(lambda: preprocessor.resize(converted))
        else:
            resized = preprocessor.resize(converted)
            if intrinsics != preprocessor.camera:
                own = intrinsics.cropped(*preprocessor.window).resized(wanted.width, wanted.height)
                resized = warp_to_intrinsics(resized, own, wanted)
            gain = preprocessor.gain(resized)
            pixels = LazyFuture(lambda: apply_gain(resized, gain))
        return Frame(
            image=pixels,
            intrinsics=wanted.matrix(),
            infer_depth=self.estimator.depth,
            config=self._refiner.alignment_config,
            tracking=self._tracking_image(converted, intrinsics, gain),
        )

    def _tracking_image(
        self, image: np.ndarray, intrinsics: Intrinsics, gain: float
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Grey image in which features are tracked, and its intrinsics (3, 3).

        It is the camera's image, reduced to `tracking_width`; None: that of the networks.
        """
        assert self._preprocessor is not None
        camera = self._preprocessor.camera
        networks = self._preprocessor.intrinsics
        width = min(self.params.tracking_width, camera.width)
        height = round(camera.height * width / camera.width)
        if width <= networks.width and height <= networks.height:
            return None
        grey = to_grey(image)
        if intrinsics != camera:
            grey = warp_to_intrinsics(grey, intrinsics, camera)
        if camera.width > width:
            camera = camera.resized(width, height)
            grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        return apply_gain(grey, gain), camera.matrix()

    def _handle_arrival(self, added: AddedFrame, clock_jumped: bool) -> list[OdometryEvent]:
        """Adapt the state after a gap or a clock jump."""
        since_newest_s = added.since_newest_ns / 1e9
        if added.arrival is Arrival.AFTER_GAP and clock_jumped:
            self._newest_known_ns = None
            self._scale_source.reset()
            detail = f"clock jumped forward {_duration(since_newest_s)}"
            return [OdometryEvent(EventKind.CLOCK_JUMP, detail)]
        if added.arrival is Arrival.AFTER_GAP:
            self._refiner.skip(since_newest_s)
            return [OdometryEvent(EventKind.GAP, f"gap of {since_newest_s:.2f} s")]
        if added.arrival is Arrival.AFTER_CLOCK_JUMP:
            self._newest_known_ns = None
            self._scale_source.reset()
            if self.params.reset_on_clock_jump:
                self._trajectory.reset()
                self._twist = None
            detail = f"clock jumped back {-since_newest_s:.2f} s"
            return [OdometryEvent(EventKind.CLOCK_JUMP, detail)]
        return []

    def _infer_window(self, want_mask: bool) -> tuple[np.ndarray, DenseMap | None]:
        """Infer the motions (N - 1, 4, 4) between the N frames of the window, and the mask."""
        assert self._preprocessor is not None
        frames = self._window.frames
        images = [frame.image for frame in frames]
        caches = [frame.motion_cache for frame in frames]
        chain, mask = self.estimator.motion(images, want_mask, caches)
        if mask is None:
            return chain, None
        visible = self._preprocessor.valid_mask
        known = mask if visible.all() else np.where(visible, mask, np.float32(0.0))
        stamp_ns = self._window.stamps_ns[self.estimator.target]
        return chain, DenseMap(stamp_ns, known, self._preprocessor.intrinsics)

    def _plausible(self, chain: np.ndarray) -> np.ndarray:
        """Motions (N - 1, 4, 4) of the window as they are; raises _ImplausibleMotion."""
        if not np.isfinite(chain).all():
            raise _ImplausibleMotion("the motion is not finite")
        for motion, dt_s in zip(chain, self._durations_s, strict=True):
            self._check_plausible(motion, dt_s)
        return chain

    def _check_plausible(self, motion: np.ndarray, dt_s: float) -> None:
        """Raise _ImplausibleMotion for a motion (4, 4) beyond the limits of speed and turn rate."""
        speed = np.linalg.norm(motion[:3, 3]) * self._scale.value / dt_s
        turn_rate_deg = np.degrees(np.linalg.norm(se3.so3_log(motion[:3, :3]))) / dt_s
        if speed > self.params.max_speed or turn_rate_deg > self.params.max_turn_rate_deg:
            raise _ImplausibleMotion(
                f"a motion of {speed:.1f} /s and {turn_rate_deg:.0f} deg/s is not plausible"
            )

    def _refine(self, network_chain: Callable[[], np.ndarray]) -> list[Step]:
        """Estimate the window's steps that lead to frames without a pose, oldest first.

        network_chain: infers the networks' motions (N - 1, 4, 4). The other steps were published
        with their frames and are never changed. Lengths are in the model's unit. Raises
        _ImplausibleMotion.
        """
        frames = self._window.frames
        durations_s = self._durations_s
        first = self._first_new_step()
        if not self.params.refine:
            return [network_step(motion) for motion in network_chain()[first:]]
        steps = []
        for index in range(first, len(frames) - 1):
            refined = self._refiner.refine(
                frames[index],
                frames[index + 1],
                functools.partial(_element, network_chain, index),
                durations_s[index],
            )
            if self._refiner.steady:  # the networks' motion was not asked for
                self._check_plausible(refined.previous_from_current, durations_s[index])
            step = refined_step(refined)
            steps.append(replace(step, start_has_depth=self._refiner.start_has_depth))
        return steps

    def _rescale(self, steps: list[Step]) -> list[Step]:
        """Measure the scale with the newest steps, and bring them to the published unit."""
        frames, stamps_ns = self._window.frames, self._window.stamps_ns
        for index, step in enumerate(steps, start=self._first_new_step()):
            pair = FramePair(
                previous=frames[index],
                current=frames[index + 1],
                previous_from_current=step.previous_from_current,
                start_ns=stamps_ns[index],
                end_ns=stamps_ns[index + 1],
                depth_unit=self._refiner.unit,
                start_has_depth=step.start_has_depth,
            )
            self._scale_source.observe(pair)
        self._scale = self._scale_source.estimate(stamps_ns[-1])
        return [scaled_step(step, self._scale) for step in steps]

    def _chain(self, steps: list[Step]) -> list[FrameMotion]:
        """Append the window's newest steps to the trajectory; published poses never change."""
        stamps_ns, durations_s = self._window.stamps_ns, self._durations_s
        first = self._first_new_step()
        twists = [
            twist_of(step.previous_from_current, dt_s)
            for step, dt_s in zip(steps, durations_s[first:], strict=True)
        ]
        motions = [] if self._has_pose(stamps_ns[first]) else [self._enter(stamps_ns[0], twists[0])]
        for index, (step, twist) in enumerate(zip(steps, twists, strict=True), start=first):
            motions.append(self._append(step, stamps_ns[index + 1], durations_s[index], twist))
        return motions

    @property
    def _durations_s(self) -> np.ndarray:
        """Seconds (N - 1,) between the N frames of the window."""
        return np.diff(self._window.stamps_ns) / 1e9

    def _has_pose(self, stamp_ns: int) -> bool:
        """Whether the pose of a frame in the window was published."""
        return self._newest_known_ns is not None and stamp_ns <= self._newest_known_ns

    def _first_new_step(self) -> int:
        """Index of the window's first step that leads to a frame without a pose."""
        posed = sum(self._has_pose(stamp_ns) for stamp_ns in self._window.stamps_ns)
        return max(posed - 1, 0)

    def _enter(self, stamp_ns: int, twist: np.ndarray) -> FrameMotion:
        """Motion of the oldest frame of a window in which no frame has a pose.

        It is the start of the trajectory, or the far side of a gap.
        """
        if self._newest_known_ns is None:
            return self._append(network_step(np.eye(4)), stamp_ns, 0.0, twist)
        dt_s = (stamp_ns - self._newest_known_ns) / 1e9
        return self._append(self._bridge(dt_s), stamp_ns, dt_s, twist)

    def _bridge(self, dt_s: float) -> Step:
        """Predict the unseen motion over a gap of dt_s, with an inflated covariance.

        Constant velocity up to `max_bridge_s`; the pose is held over a longer gap, and the
        covariance is that of the motion at constant velocity.
        """
        predicted = np.eye(4)
        if self._twist is not None:
            linear, angular = self._twist[:3], self._twist[3:]
            predicted[:3, :3] = se3.so3_exp(angular * dt_s)
            predicted[:3, 3] = se3.so3_exp(angular * dt_s / 2) @ linear * dt_s
        unseen = scale_covariance(predicted, self._scale.relative_sigma)
        covariance = (motion_covariance(predicted) + unseen) * BRIDGE_INFLATION
        return Step(predicted if dt_s <= self.params.max_bridge_s else np.eye(4), covariance)

    def _append(self, step: Step, stamp_ns: int, dt_s: float, twist: np.ndarray) -> FrameMotion:
        """Append a step to the trajectory; returns the motion of the frame that it leads to."""
        pose = self._trajectory.append(step.previous_from_current, step.covariance)
        self._newest_known_ns = stamp_ns
        self._twist = twist
        return FrameMotion(
            stamp_ns=stamp_ns,
            start_from_camera=pose.start_from_camera,
            pose_covariance=pose.covariance,
            previous_from_current=step.previous_from_current,
            dt_s=dt_s,
            twist=twist,
            # The first frame's step has no duration: its twist is its neighbour's, and a nominal
            # 0.1 s keeps the covariance finite.
            twist_covariance=step.covariance / (dt_s or 0.1) ** 2,
            unrefined=step.unrefined,
        )

    def _depth_future(self, frame: Frame, stamp_ns: int) -> LazyFuture[DenseMap]:
        """Depth of the frame in the published unit, computed when it is asked for."""
        assert self._preprocessor is not None
        intrinsics, visible = self._preprocessor.intrinsics, self._preprocessor.valid_mask
        min_depth, max_depth = self.params.min_depth, self.params.max_depth
        factor = np.float32(self._scale.value * self._refiner.unit)

        def dense_map() -> DenseMap:
            depth = frame.depth * factor
            known = (depth >= min_depth) & (depth <= max_depth) & visible
            return DenseMap(stamp_ns, np.where(known, depth, np.float32(np.nan)), intrinsics)

        return LazyFuture(dense_map)


def _element(chain: Callable[[], np.ndarray], index: int) -> np.ndarray:
    """One motion (4, 4) of a chain that is inferred first."""
    motion: np.ndarray = chain()[index]
    return motion


def _duration(seconds: float) -> str:
    """Text of a duration, with an exponent where it is beyond a day: 12.30 s, 1.8e9 s."""
    if seconds < SECONDS_OF_A_DAY:
        return f"{seconds:.2f} s"
    mantissa, exponent = f"{seconds:.1e}".split("e")
    return f"{mantissa}e{int(exponent)} s"
