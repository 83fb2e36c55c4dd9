"""What the pictures show: five frames of a rendered street with their truth, and what the
packaged model says of them."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from sfm_odometry.geometry.view_synthesis import SynthesisedView, synthesise_view
from sfm_odometry.inference.estimator import Estimator
from training.objective.losses import l1_error
from training.synthetic.drive import DriveSpec
from training.synthetic.render import Renderer

# A moment with a car that comes towards the camera and one that drives ahead of it, at about its
# speed.
DRIVE = DriveSpec(frames=160, seed=101)
MOMENT, FRAMES = 115, 5
FAR_M = 1e5
"""The sky."""


@dataclass(frozen=True)
class Street:
    """Five consecutive frames; the middle one is the target. Lengths in metres."""

    images: Tensor
    """(N, 3, H, W) in [0, 1]."""
    depth: Tensor
    """(N, 1, H, W), true, along z; the sky is at FAR_M."""
    moving: Tensor
    """(N, 1, H, W) bool: shows an object that moves by itself."""
    world_from_camera: np.ndarray
    """(frames of the whole drive, 4, 4)."""
    intrinsics: Tensor
    """(1, 3, 3)."""
    moment: int = MOMENT
    """Frame number of the target."""

    target = FRAMES // 2

    @property
    def image(self) -> Tensor:
        """(1, 3, H, W): the target."""
        return self.images[self.target][None]

    @property
    def target_depth(self) -> Tensor:
        """(1, 1, H, W)."""
        return self.depth[self.target][None]

    def source_from_target(self, source: int) -> Tensor:
        """(1, 4, 4): the true motion of the camera."""
        first = self.moment - self.target
        motion = (
            np.linalg.inv(self.world_from_camera[first + source])
            @ self.world_from_camera[self.moment]
        )
        return torch.from_numpy(motion)[None].float()

    def synthesised(self, source: int, depth: Tensor | None = None) -> SynthesisedView:
        """The target re-made from a source view with the true motion and a depth (1, 1, H, W),
        by default the true one."""
        depth = self.target_depth if depth is None else depth
        return synthesise_view(
            self.images[source][None], depth, self.source_from_target(source), self.intrinsics
        )

    def error(self, view: SynthesisedView) -> Tensor:
        """(H, W): L1 of a re-made view, NaN where nothing can be sampled."""
        return torch.where(view.valid, l1_error(self.image, view.image), torch.nan)[0, 0]

    @cached_property
    def inverse_depth(self) -> np.ndarray:
        """(H, W): of the target, as the packaged model sees it, in its own unit."""
        return 1 / self._estimator.depth(self._grey[self.target])

    @cached_property
    def explained(self) -> np.ndarray:
        """(H, W), 0 to 1: the packaged model's explainability of the target, averaged over its
        sources."""
        explained = self._estimator.motion(self._grey)[1]
        assert explained is not None
        return explained

    @cached_property
    def _estimator(self) -> Estimator:
        return Estimator.from_file(device="cpu")

    @cached_property
    def _grey(self) -> list[np.ndarray]:
        frames = (255 * self.images).round().byte().permute(0, 2, 3, 1).numpy()
        return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] for frame in frames]


def render_street(moment: int = MOMENT) -> Street:
    """Render five frames around a moment of the drive; some seconds."""
    intrinsics = DRIVE.intrinsics()
    renderer = Renderer(DRIVE.seed, DRIVE.frames, intrinsics)
    first = moment - FRAMES // 2
    frames = [renderer.render(number) for number in range(first, first + FRAMES)]
    depth = np.stack([np.where(frame.depth_m > 0, frame.depth_m, FAR_M) for frame in frames])
    return Street(
        images=torch.from_numpy(np.stack([frame.image for frame in frames]))
        .permute(0, 3, 1, 2)
        .float()
        / 255,
        depth=torch.from_numpy(depth)[:, None].float(),
        moving=torch.from_numpy(np.stack([frame.moving for frame in frames]))[:, None],
        world_from_camera=renderer.world_from_camera,
        intrinsics=torch.from_numpy(intrinsics.matrix())[None].float(),
        moment=moment,
    )
