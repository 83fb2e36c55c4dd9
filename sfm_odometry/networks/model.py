"""Model: a depth network and a motion network learned together, with the input they expect."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import fitting_mode
from sfm_odometry.networks.depth_net import DepthNet, DepthNetConfig, FinestDepth
from sfm_odometry.networks.matching_net import MatchingNet, MatchingNetConfig
from sfm_odometry.networks.motion_network import MotionNetwork
from sfm_odometry.networks.pose_net import PoseNet, PoseNetConfig
from sfm_odometry.networks.stage import Stage

ResizeMode = Literal["crop", "stretch", "pad"]
UncroppedMode = Literal["stretch", "pad"]


@dataclass(frozen=True)
class ModelConfig:
    """Configuration of both networks and of their input."""

    width: int = 416
    height: int = 128
    resize_mode: ResizeMode = "crop"
    """Treatment of images of another aspect ratio: cropped to it, stretched as the papers do, or
    padded."""
    uncropped_mode: UncroppedMode = "pad"
    """Treatment in place of crop of images that a crop would cut by much, as those of 4:3."""
    image_mean: float = 0.5
    image_std: float = 0.5
    """The networks' input is (image - mean) / std of an image in [0, 1]; 0.5 and 0.5 give
    [-1, 1]."""
    depth: DepthNetConfig = field(default_factory=DepthNetConfig)
    pose: PoseNetConfig | MatchingNetConfig = field(default_factory=PoseNetConfig)

    def __post_init__(self) -> None:
        if self.depth.image_channels != self.pose.image_channels:
            raise InputError(
                "both networks must take the same image channels, "
                f"got {self.depth.image_channels} and {self.pose.image_channels}"
            )
        if self.depth.image_channels not in (1, 3):
            raise InputError(
                f"image_channels must be 1 (grey) or 3 (RGB), got {self.depth.image_channels}"
            )

    def resize_mode_of(self, camera: Intrinsics) -> str:
        """Resize mode of a camera's images."""
        return fitting_mode(camera, self.width, self.height, self.resize_mode, self.uncropped_mode)

    @property
    def image_channels(self) -> int:
        """Channels of the input: 1 for grey, 3 for RGB."""
        return self.depth.image_channels


class Model(nn.Module):
    """The two networks behind one interface; images are float32 in [0, 1]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.depth_net = DepthNet(config.depth)
        self.pose_net: MotionNetwork = (
            PoseNet(config.pose)
            if isinstance(config.pose, PoseNetConfig)
            else MatchingNet(config.pose)
        )

    def normalise(self, images: Tensor) -> Tensor:
        """Returns the networks' input of images in [0, 1]."""
        return (images - self.config.image_mean) / self.config.image_std

    def inverse_depth(self, images: Tensor) -> list[Tensor]:
        """Inverse depth of images (B, C, H, W) in [0, 1], finest scale first."""
        return self.depth_net(self.normalise(images))

    def motion_and_masks(
        self, frames: Tensor, with_masks: bool = True
    ) -> tuple[Tensor, list[Tensor]]:
        """source_from_target (B, N - 1, 4, 4) and mask logits of snippets (B, N, C, H, W).

        The frames are in [0, 1].
        """
        return self.pose_net(self.normalise(frames), with_masks)

    def stages(self) -> dict[str, Stage]:
        """Stages computed at run time by name; their images are normalised."""
        return {"depth": FinestDepth(self.depth_net), **self.pose_net.stages()}

    def motion_over_two_steps(self, frames: Tensor) -> Tensor:
        """Motions (B, N - 2, 4, 4) over two frames of snippets (B, N, C, H, W) in [0, 1].

        Raises InputError where the motion network does not work on pairs.
        """
        return self.pose_net.two_steps(self.normalise(frames))


def channels_last(model: Model, device: torch.device) -> Model:
    """Returns the model on `device`, its weights in channels-last layout.

    Convolutions are fastest with it.
    """
    return model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
