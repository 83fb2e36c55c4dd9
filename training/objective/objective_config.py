"""The switches and weights of an objective."""

from dataclasses import dataclass
from typing import Literal

from sfm_odometry.errors import InputError
from training.objective.view_pairs import PairKind


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the terms; zero leaves a term out. The defaults are SfMLearner's."""

    scales: int = 4
    pairs: PairKind = "star"
    """Which views are re-synthesised: the middle one from all others, or every one from its
    neighbours."""
    depth_frames: Literal["target", "all"] = "target"
    """Whose depth is predicted."""
    photometric: float = 1.0
    ssim_weight: float = 0.0
    """Share of SSIM in the photometric error; the rest is L1."""
    full_size: bool = False
    """Compare coarser predictions at full size too, enlarged, instead of with smaller images."""
    minimum_over_sources: bool = False
    """Each pixel counts with its best source alone, instead of with all."""
    auto_mask: bool = False
    """Leave out pixels that the source explains better without any motion."""
    explainability: float = 0.2
    """Weight of the masks' regulariser; zero trains without masks."""
    smoothness: float = 0.5
    """Divided by 2^scale."""
    smoothness_kind: Literal["second_order", "edge_aware"] = "second_order"
    normalised_smoothness: bool = False
    """Of inverse depth over its mean in the image, with either kind."""
    alignment_3d: float = 0.0
    """Point clouds of the two views, aligned by ICP; divided by 2^scale."""
    geometry_consistency: float = 0.0
    """The depths of the two views must be of one scene, and so of one scale."""
    forward_backward: float = 0.0
    """The motions of the snippet played backwards must be the same."""
    composed_motion: float = 0.0
    """A motion seen over two frames must be the two motions between, one after the other; for
    networks that match pairs of frames."""
    depth_supervision: float = 0.0
    """For snippets with true depth: a warm start on rendered drives."""
    motion_supervision: float = 0.0
    rotation_weight: float = 50.0
    """Radians against lengths, wherever motions are compared."""
    mask_supervision: float = 0.0

    def __post_init__(self) -> None:
        if self.scales < 1:
            raise InputError(f"setting 'objective.scales' must be at least 1, got {self.scales}")
        if not 0 <= self.ssim_weight <= 1:
            raise InputError(
                f"setting 'objective.ssim_weight' must be 0 to 1, got {self.ssim_weight}"
            )
        if self.depth_frames != "all":
            for name in ("alignment_3d", "geometry_consistency"):
                if getattr(self, name):
                    raise InputError(
                        f"setting 'objective.{name}' compares depths of both views: it needs 'objective.depth_frames: all'"
                    )
            if self.pairs == "adjacent":
                raise InputError(
                    "setting 'objective.pairs: adjacent' needs 'objective.depth_frames: all'"
                )
        if self.pairs == "adjacent" and self.explainability:
            raise InputError(
                "setting 'objective.explainability' needs 'objective.pairs: star': the masks are of the target's sources"
            )

    @property
    def needs_masks(self) -> bool:
        """Whether any term looks at the masks."""
        return bool(self.explainability or self.mask_supervision)

    @property
    def needs_views(self) -> bool:
        """Whether any term projects one view into another."""
        return bool(self.photometric or self.geometry_consistency)

    @property
    def needs_depth(self) -> bool:
        """Whether any term looks at the depth; a warm start of the pose network alone is many
        times faster without."""
        return bool(
            self.needs_views or self.smoothness or self.alignment_3d or self.depth_supervision
        )
