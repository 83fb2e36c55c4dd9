"""Switches and weights of an objective."""

from dataclasses import dataclass
from typing import Literal

from sfm_odometry.errors import InputError
from training.objective.view_pairs import PairKind


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights and variants of the terms; a weight of zero leaves a term out.

    The defaults are SfMLearner's.
    """

    scales: int = 4
    """Number of scales of the image pyramid."""
    pairs: PairKind = "star"
    """Views to synthesise: the middle one from all others, or each one from its neighbours."""
    depth_frames: Literal["target", "all"] = "target"
    """Frames whose depth is predicted."""
    photometric: float = 1.0
    """Weight of the photometric error of synthesised views."""
    ssim_weight: float = 0.0
    """Share of SSIM in the photometric error; the rest is L1."""
    full_size: bool = False
    """Whether coarser predictions are upsampled to full size, instead of images downsampled."""
    minimum_over_sources: bool = False
    """Whether only the best source of each pixel enters the loss, instead of all sources."""
    auto_mask: bool = False
    """Whether pixels are left out where the source fits better without any motion."""
    explainability: float = 0.2
    """Weight of the masks' regulariser; zero trains without masks."""
    smoothness: float = 0.5
    """Weight of the depth maps' smoothness, divided by 2^scale."""
    smoothness_kind: Literal["second_order", "edge_aware"] = "second_order"
    """Second derivatives (SfMLearner), or first derivatives weighted by the image's (vid2depth)."""
    normalised_smoothness: bool = False
    """Whether smoothness, of either kind, is of inverse depth over its mean in the image."""
    alignment_3d: float = 0.0
    """Weight of the ICP alignment of the point clouds of the two views, divided by 2^scale."""
    geometry_consistency: float = 0.0
    """Weight of the consistency of the two views' depths, which must agree in scale too."""
    forward_backward: float = 0.0
    """Weight of the difference to the motions of the snippet played backwards."""
    composed_motion: float = 0.0
    """Weight of the difference between motions over two frames and the products of two motions.

    For networks that match pairs of frames.
    """
    depth_supervision: float = 0.0
    """Weight of the depth's error where it is known: a warm start on rendered drives."""
    depth_scale_weight: float = 1.0
    """Weight of the error that a whole depth map has in common, in `depth_supervision`: less than 1
    where an image does not show its scale, as in rooms."""
    motion_supervision: float = 0.0
    """Weight of the motions' error, for snippets whose true motion may supervise."""
    rotation_weight: float = 50.0
    """Weight of radians against lengths, wherever motions are compared."""
    given_motion: bool = False
    """Whether views are synthesised with a teacher's motions, weighted by how sure they are, where
    there are any (see docs/adapt.md)."""
    point_supervision: float = 0.0
    """Weight of the error of depth against a teacher's sparse points, up to one scale an image."""
    taught_motion: float = 0.0
    """Weight of the predicted motions' error against a teacher's, in shifts in the image."""
    mask_supervision: float = 0.0
    """Weight of the masks' error, for snippets with true moving objects."""

    def __post_init__(self) -> None:
        if self.scales < 1:
            raise InputError(f"setting 'objective.scales' must be at least 1, got {self.scales}")
        if not 0 <= self.ssim_weight <= 1:
            raise InputError(
                f"setting 'objective.ssim_weight' must be 0 to 1, got {self.ssim_weight}"
            )
        # Terms and pairs that need the depth of all frames.
        if self.depth_frames != "all":
            for name in ("alignment_3d", "geometry_consistency"):
                if getattr(self, name):
                    raise InputError(
                        f"setting 'objective.{name}' compares depths of both views: "
                        "it needs 'objective.depth_frames: all'"
                    )
            if self.pairs == "adjacent":
                raise InputError(
                    "setting 'objective.pairs: adjacent' needs 'objective.depth_frames: all'"
                )
        # The masks belong to the sources of the middle frame.
        if self.pairs == "adjacent" and self.explainability:
            raise InputError(
                "setting 'objective.explainability' needs 'objective.pairs: star': "
                "the masks are of the target's sources"
            )

    @property
    def needs_masks(self) -> bool:
        """Whether any term needs the masks."""
        return bool(self.explainability or self.mask_supervision)

    @property
    def needs_views(self) -> bool:
        """Whether any term projects one view into another."""
        return bool(self.photometric or self.geometry_consistency)

    @property
    def needs_depth(self) -> bool:
        """Whether any term needs depth.

        A warm start of the pose network alone is many times faster without depth.
        """
        return bool(
            self.needs_views
            or self.smoothness
            or self.alignment_3d
            or self.depth_supervision
            or self.point_supervision
        )
