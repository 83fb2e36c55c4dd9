"""The networks alone, without ROS: as the papers' code runs them, and as the node does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sfm_odometry.backends.choice import texture
from sfm_odometry.inference.checkpoint import load_model, save_model
from sfm_odometry.inference.estimator import Estimator, use_threads
from sfm_odometry.networks.model import Model, ModelConfig


@dataclass(frozen=True)
class NetworkTimes:
    """Milliseconds of the networks for one new frame, medians; `backend` is what auto chose.

    plain: both networks in full, all scales and masks, float32, as the papers' code runs them.
    eager: the same arithmetic on the node's way, which computes nothing twice and only what is
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
        """How many times as fast as plain."""
        return self.plain_ms / self.auto_ms


def write_papers_model(path: Path) -> None:
    """DispNet and PoseExpNet of Zhou et al. at the paper's size, with random weights: what they
    say does not change the time."""
    torch.manual_seed(0)
    save_model(
        path, Model(ModelConfig(resize_mode="stretch")), {"note": "random weights, to measure time"}
    )


def time_networks(path: Path | None, name: str, device: str, frames: int) -> NetworkTimes:
    """Time one model in turns, so that what disturbs the machine disturbs all of them."""
    use_threads(0)
    eager, auto = (
        Estimator.from_file(path, device, "eager"),
        Estimator.from_file(path, device, "auto"),
    )
    plain = plain_networks(load_model(path, eager.device), eager.device)
    ways = {"plain": plain, "eager": sliding(eager), "auto": sliding(auto)}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(frames + 3):
        for way, work in ways.items():
            started_s = time.perf_counter()
            work()
            if turn >= 3:  # the first ones allocate
                seconds[way].append(time.perf_counter() - started_s)
    medians = {f"{way}_ms": float(np.median(times) * 1e3) for way, times in seconds.items()}
    return NetworkTimes(name, auto.backend, **medians)


def plain_networks(model: Model, device: torch.device) -> Callable[[], None]:
    """Depth of the newest frame at all scales, motions and masks of the whole window."""
    window = torch.stack(texture(model.config), dim=1).to(device)

    @torch.inference_mode()
    def work() -> None:
        inverse_depth = model.inverse_depth(window[:, -1])
        motions, _ = model.motion_and_masks(window)
        inverse_depth[0].cpu(), motions.cpu()

    return work


def sliding(estimator: Estimator) -> Callable[[], None]:
    """Depth of the newest frame and motions of the window that it came into."""
    frames = [
        np.rint(frame[0].permute(1, 2, 0).numpy() * 255.0).astype(np.uint8)
        for frame in texture(estimator.model.config)
    ]
    window = [(frame, {}) for frame in frames]

    def work() -> None:
        window.append((window.pop(0)[0], {}))
        estimator.depth(window[-1][0])
        estimator.motion([frame for frame, _ in window], False, [memory for _, memory in window])

    return work
