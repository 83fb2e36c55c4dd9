"""Scene of the pictures: five frames of a rendered street with ground truth and predictions."""

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

DRIVE = DriveSpec(frames=160, seed=101)
MOMENT = 115
"""Frame of the drive with an oncoming car, and a car ahead at about the camera's speed."""
FRAMES = 5
SKY_DEPTH_M = 1e5


@dataclass(frozen=True)
class Street:
    """Five consecutive frames, of which the middle one is the target; lengths in metres."""

    images: Tensor
    """Images (N, 3, H, W) in [0, 1]."""
    depth: Tensor
    """True depth (N, 1, H, W) along z; the sky is at SKY_DEPTH_M."""
    moving: Tensor
    """Pixels of moving objects (N, 1, H, W) bool."""
    world_from_camera: np.ndarray
    """True poses (F, 4, 4) of all frames of the drive."""
    intrinsics: Tensor
    """Camera matrix (1, 3, 3)."""
    moment: int = MOMENT
    """Frame number of the target."""

    target = FRAMES // 2

    @property
    def image(self) -> Tensor:
        """Target view (1, 3, H, W)."""
        return self.images[self.target][None]

    @property
    def target_depth(self) -> Tensor:
        """True depth (1, 1, H, W) of the target view."""
        return self.depth[self.target][None]

    def source_from_target(self, source: int) -> Tensor:
        """Returns the true motion (1, 4, 4) of the camera."""
        first = self.moment - self.target
        motion = (
            np.linalg.inv(self.world_from_camera[first + source])
            @ self.world_from_camera[self.moment]
        )
        return torch.from_numpy(motion)[None].float()

    def synthesised(self, source: int, depth: Tensor | None = None) -> SynthesisedView:
        """Returns the target view synthesised from a source view with the true motion.

        depth: (1, 1, H, W) of the target view; the true one by default.
        """
        depth = self.target_depth if depth is None else depth
        return synthesise_view(
            self.images[source][None], depth, self.source_from_target(source), self.intrinsics
        )

    def error(self, view: SynthesisedView) -> Tensor:
        """Returns the L1 error (H, W) of a synthesised view; NaN where it is not valid."""
        return torch.where(view.valid, l1_error(self.image, view.image), torch.nan)[0, 0]

    @cached_property
    def inverse_depth(self) -> np.ndarray:
        """Inverse depth (H, W) of the target view by the packaged model, in its own unit."""
        return 1 / self._estimator.depth(self._grey[self.target])

    @cached_property
    def explained(self) -> np.ndarray:
        """Explainability (H, W), 0 to 1, of the target view by the packaged model.

        Averaged over the source views.
        """
        _, explained = self._estimator.motion(self._grey)
        assert explained is not None
        return explained

    @cached_property
    def _estimator(self) -> Estimator:
        """Packaged model."""
        return Estimator.from_file(device="cpu")

    @cached_property
    def _grey(self) -> list[np.ndarray]:
        """Grey images (H, W, 1) uint8 of all frames."""
        frames = (255 * self.images).round().byte().permute(0, 2, 3, 1).numpy()
        return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] for frame in frames]


def render_street(moment: int = MOMENT) -> Street:
    """Render five frames around a frame of the drive; takes some seconds."""
    # Render.
    intrinsics = DRIVE.intrinsics()
    renderer = Renderer(DRIVE.seed, DRIVE.frames, intrinsics)
    first = moment - FRAMES // 2
    frames = [renderer.render(number) for number in range(first, first + FRAMES)]

    # As tensors.
    images = torch.from_numpy(np.stack([frame.image for frame in frames]))
    depth = np.stack([np.where(frame.depth_m > 0, frame.depth_m, SKY_DEPTH_M) for frame in frames])
    return Street(
        images=images.permute(0, 3, 1, 2).float() / 255,
        depth=torch.from_numpy(depth)[:, None].float(),
        moving=torch.from_numpy(np.stack([frame.moving for frame in frames]))[:, None],
        world_from_camera=renderer.world_from_camera,
        intrinsics=torch.from_numpy(intrinsics.matrix())[None].float(),
        moment=moment,
    )
