"""Times of the networks alone, without ROS: as in the papers' code, and as the node runs them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.backends.choice import moving_texture
from sfm_odometry.inference.checkpoint import load_model, save_model
from sfm_odometry.inference.estimator import Estimator, use_threads
from sfm_odometry.networks.model import Model, ModelConfig

WARM_UPS = 3
"""Untimed first runs, which allocate memory."""


@dataclass(frozen=True)
class NetworkTimes:
    """Median milliseconds of the networks for one new frame; `backend` is the choice of auto.

    plain: both networks in full, all scales and masks, float32, as in the papers' code.
    eager: the same arithmetic as the node runs it, which computes nothing twice and only what is
    asked for. auto: that with the backend that auto chose. Depth of every frame; masks in plain
    only.
    """

    model: str
    backend: str
    plain_ms: float
    eager_ms: float
    auto_ms: float

    @property
    def speed_up(self) -> float:
        """Ratio of the plain time to that of auto."""
        return self.plain_ms / self.auto_ms


def write_papers_model(path: Path, narrowing: int = 1) -> None:
    """Write DispNet and PoseExpNet of Zhou et al. at the paper's size, with random weights.

    The values of the weights do not change the time. narrowing: divides the widths of all layers,
    for a quick trial.
    """
    torch.manual_seed(0)
    config = ModelConfig(resize_mode="stretch")
    depth = _narrowed(config.depth, narrowing, "encoder_widths", "decoder_widths")
    pose = _narrowed(config.pose, narrowing, "encoder_widths", "pose_widths", "mask_widths")
    model = Model(replace(config, depth=depth, pose=pose))
    save_model(path, model, {"note": "random weights, to measure time"})


def _narrowed(config: Any, narrowing: int, *names: str) -> Any:
    """Returns a network's configuration with these of its widths divided."""
    widths = {name: tuple(width // narrowing for width in getattr(config, name)) for name in names}
    return replace(config, **widths)


def time_networks(
    path: Path | None, name: str, device: str, frames: int, warm_ups: int = WARM_UPS
) -> NetworkTimes:
    """Time one model `frames` times, after `warm_ups`; plain, eager and auto in turns.

    Taking turns, all three are disturbed alike by other work of the machine.
    """
    # Prepare the three variants.
    use_threads(0)
    eager = Estimator.from_file(path, device, "eager")
    auto = Estimator.from_file(path, device, "auto")
    variants = {
        "plain": plain_networks(load_model(path, eager.device), eager.device),
        "eager": sliding_window(eager),
        "auto": sliding_window(auto),
    }

    # Time them in turns.
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for turn in range(frames + warm_ups):
        for variant, work in variants.items():
            started_s = time.perf_counter()
            work()
            if turn >= warm_ups:
                seconds[variant].append(time.perf_counter() - started_s)
    medians = {f"{variant}_ms": float(np.median(times) * 1e3) for variant, times in seconds.items()}
    return NetworkTimes(name, auto.backend, **medians)


def plain_networks(model: Model, device: torch.device) -> Callable[[], None]:
    """Returns a call for the depth of the newest frame and all motions and masks of the window.

    Depth and masks at all scales.
    """
    window = torch.stack(moving_texture(model.config), dim=1).to(device)

    @torch.inference_mode()
    def work() -> None:
        inverse_depth = model.inverse_depth(window[:, -1])
        motions, _ = model.motion_and_masks(window)
        inverse_depth[0].cpu()
        motions.cpu()

    return work


def sliding_window(estimator: Estimator) -> Callable[[], None]:
    """Returns a call for the depth of a new frame and the motions of the window that it enters."""
    frames = [
        np.rint(frame[0].permute(1, 2, 0).numpy() * 255.0).astype(np.uint8)
        for frame in moving_texture(estimator.model.config)
    ]
    # Each frame with the cache of its features.
    window: list[tuple[np.ndarray, dict[str, Tensor]]] = [(frame, {}) for frame in frames]

    def work() -> None:
        window.append((window.pop(0)[0], {}))
        estimator.depth(window[-1][0])
        window_frames = [frame for frame, _ in window]
        caches = [cache for _, cache in window]
        estimator.motion(window_frames, want_mask=False, caches=caches)

    return work
