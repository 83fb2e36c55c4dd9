"""The odometry's parameters; the node's ROS parameters of the same names take their defaults
from here."""

from dataclasses import dataclass

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import RESIZE_MODES
from sfm_odometry.scale import SCALE_MODES


@dataclass(frozen=True)
class OdometryParams:
    """How a stream of frames becomes odometry; raises InputError for a value out of its range."""

    max_gap_s: float = 0.5
    """A longer pause between two frames flushes the window."""
    max_bridge_s: float = 2.0
    """A gap up to this long is bridged at constant velocity with inflated covariance; over a
    longer one the pose is held."""
    refine: bool = True
    """Whether the networks' motion is made more precise by aligning the images."""
    fuse: bool = True
    """Whether refined motions are fused over frames: points that are tracked keep the scale and
    sharpen the rotation."""
    speed_prior: bool = True
    """Whether a filter of the speed says how long the next step will be."""
    scale_mode: str = "none"
    """none: lengths are in the model's own unit; fixed: multiplied by `scale_value`;
    camera_height: measured from the ground, with `scale_camera_height`; odometry, twist:
    measured from speeds, which `MonocularOdometry.observe_speed` takes."""
    scale_value: float = 1.0
    scale_camera_height: float = 0.0
    """Metres from the ground that the camera drives on to its optical centre; must be given in
    the mode camera_height."""
    min_depth: float = 0.1
    max_depth: float = 80.0
    """Depth outside these limits is published as unknown."""
    max_speed: float = 100.0
    max_turn_rate_deg: float = 180.0
    """A faster motion, a second, is not believed: the frame counts as lost."""
    resize_mode: str | None = None
    """How images become the networks' input; None: as the model was trained."""
    reset_on_clock_jump: bool = False
    """Whether stamps that jump back start a new trajectory, or the old one goes on."""

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
        if not 0.0 <= self.max_bridge_s < float("inf"):
            raise InputError(f"max_bridge_s must be zero or positive, got {self.max_bridge_s}")
        if self.min_depth >= self.max_depth:
            raise InputError(
                f"min_depth must be less than max_depth, got {self.min_depth} and {self.max_depth}"
            )
        if self.scale_mode not in SCALE_MODES:
            raise InputError(
                f"scale_mode must be one of {', '.join(SCALE_MODES)}, got '{self.scale_mode}'"
            )
        if not 0.0 <= self.scale_camera_height < float("inf"):
            raise InputError(
                f"scale_camera_height must be zero or positive, got {self.scale_camera_height}"
            )
        if self.scale_mode == "camera_height" and self.scale_camera_height == 0.0:
            raise InputError(
                "scale_camera_height must be given, in metres over the ground, where scale_mode is camera_height"
            )
        if self.resize_mode is not None and self.resize_mode not in RESIZE_MODES:
            raise InputError(
                f"resize_mode must be one of {', '.join(RESIZE_MODES)}, got '{self.resize_mode}'"
            )
