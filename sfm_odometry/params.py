"""Parameters of the odometry; the node's ROS parameters take their defaults from here."""

from dataclasses import dataclass

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import RESIZE_MODES
from sfm_odometry.scale import SCALE_HOLDS, SCALE_MODES


@dataclass(frozen=True)
class OdometryParams:
    """Parameters of the odometry; raises InputError for a value out of its range."""

    max_gap_s: float = 0.5
    """Maximum time between two frames, seconds; a longer gap starts the window anew."""
    max_bridge_s: float = 2.0
    """Maximum gap, seconds, that is bridged at constant velocity; over a longer one the pose is
    held. Both have an inflated covariance."""
    refine: bool = True
    """Whether direct alignment refines the networks' motion."""
    fuse: bool = True
    """Whether feature tracks over several frames refine the motion further."""
    tracking_width: int = 1280
    """Maximum width in pixels of the images in which features are tracked.

    With less than the networks' width, or 0, features are tracked in the networks' input.
    """
    speed_prior: bool = True
    """Whether a Kalman filter of the speed predicts the length of the next step."""
    scale_mode: str = "none"
    """Source of the scale.

    none: lengths are in the model's unit. fixed: multiplied by `scale_value`. camera_height:
    measured from the ground, with `scale_camera_height`. odometry, twist: measured from speeds
    given to `MonocularOdometry.observe_speed`.
    """
    scale_value: float = 1.0
    scale_camera_height: float = 0.0
    """Height of the optical centre over the ground, metres; required in the mode camera_height."""
    scale_hold: str = "auto"
    """Hold of the scale in the modes none and fixed.

    auto: the camera's height over the ground is kept constant while a ground plane is seen, which
    takes out the drift of the scale. off: the scale is the model's.
    """
    min_depth: float = 0.1
    max_depth: float = 80.0
    """Limits of depth; values outside are published as unknown."""
    max_speed: float = 100.0
    max_turn_rate_deg: float = 180.0
    """Limits of plausible motion, per second; beyond them tracking is lost."""
    resize_mode: str | None = None
    """Fit of images to the networks' input: crop, stretch or pad.

    None: as in training, but pad where cropping would cut off more than half of the image.
    """
    max_intrinsics_change: float = 0.02
    """Greatest change of focal length or principal point from frame to frame, as a share of the
    image width, that is autofocus and no other camera; 0: any change is another camera."""
    reset_on_clock_jump: bool = False
    """Whether a jump of the stamps into the past starts a new trajectory."""

    def __post_init__(self) -> None:
        for name in (
            "max_gap_s",
            "scale_value",
            "min_depth",
            "max_depth",
            "max_speed",
            "max_turn_rate_deg",
        ):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be a positive number, got {getattr(self, name)}")
        if not 0.0 <= self.max_intrinsics_change <= 1.0:
            raise InputError(
                "max_intrinsics_change must be a share of the image width, 0 to 1, "
                f"got {self.max_intrinsics_change}"
            )
        if not 0.0 <= self.max_bridge_s < float("inf"):
            raise InputError(f"max_bridge_s must be zero or positive, got {self.max_bridge_s}")
        if self.min_depth >= self.max_depth:
            raise InputError(
                f"min_depth must be less than max_depth, got {self.min_depth} and {self.max_depth}"
            )
        if self.resize_mode is not None and self.resize_mode not in RESIZE_MODES:
            raise InputError(
                f"resize_mode must be one of {', '.join(RESIZE_MODES)}, got '{self.resize_mode}'"
            )
        self._check_scale()

    def _check_scale(self) -> None:
        """Check the source of the scale and what it needs."""
        if self.scale_mode not in SCALE_MODES:
            raise InputError(
                f"scale_mode must be one of {', '.join(SCALE_MODES)}, got '{self.scale_mode}'"
            )
        if self.scale_hold not in SCALE_HOLDS:
            raise InputError(
                f"scale_hold must be one of {', '.join(SCALE_HOLDS)}, got '{self.scale_hold}'"
            )
        if not 0.0 <= self.scale_camera_height < float("inf"):
            raise InputError(
                f"scale_camera_height must be zero or positive, got {self.scale_camera_height}"
            )
        if self.scale_mode == "camera_height" and self.scale_camera_height == 0.0:
            raise InputError(
                "scale_camera_height must be given, in metres over the ground, "
                "where scale_mode is camera_height"
            )
