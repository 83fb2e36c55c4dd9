"""Inference of depth, motion and masks, as numpy arrays, by a model on a device."""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfm_odometry.backends.choice import prepare
from sfm_odometry.backends.packed import Traced
from sfm_odometry.errors import InputError
from sfm_odometry.inference.backend_memory import memory_of
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL, load_model
from sfm_odometry.networks.model import Model, channels_last
from sfm_odometry.networks.motion_network import target_of

MAX_THREADS = 4
"""Threads of each network at most, where the number is chosen automatically."""


def choose_device(name: str) -> torch.device:
    """Returns the torch device of `auto`, `cpu` or `cuda[:N]`; auto prefers a GPU.

    Raises InputError for other names and for an absent GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu" and not name.startswith("cuda"):
        raise InputError(f"device must be auto, cpu or cuda:N, got '{name}'")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device must be auto, cpu or cuda:N, got '{name}'") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device '{name}' is not there: torch sees {torch.cuda.device_count()} CUDA devices"
        )
    return device


def use_threads(count: int) -> None:
    """Sets the number of threads of each network.

    0: half of the cores, at most MAX_THREADS, as depth is inferred at the same time as the motion.
    Threads that share their core wait for each other: on two busy cores one thread is faster than
    two.
    """
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(count or min(max(cores // 2, 1), MAX_THREADS))


class Estimator:
    """Infers depth, motion and masks with a model.

    Frames are uint8 (H, W, C) of the model's own size and channels, as the preprocessor makes them.
    """

    def __init__(
        self,
        model: Model,
        device: str = "auto",
        model_name: str = "",
        model_sha256: str = "",
        backend: str = "eager",
    ) -> None:
        self.device = choose_device(device)
        self.model = channels_last(model, self.device).eval()
        self.model_name = model_name
        self.model_sha256 = model_sha256
        memory = memory_of(self.model, model_sha256) if backend == "auto" else None
        prepared = prepare(self.model, self.device, backend, memory)
        self.backend = prepared.backend
        """Name of the backend; with `auto` the one that was chosen."""
        self.backend_reason = prepared.reason
        """Why `auto` chose it, in words; empty for a backend that was named."""
        self._stages = prepared.stages

    @classmethod
    def from_file(
        cls, path: Path | None = None, device: str = "auto", backend: str = "eager"
    ) -> "Estimator":
        """Loads the model of the file, or the packaged default.

        backend: a name of :mod:`sfm_odometry.backends.names`; eager gives the same numbers each
        time, auto takes the fastest, measured on the threads that torch has now, at this or an
        earlier start. Raises CheckpointError or InputError.
        """
        path = Path(path) if path is not None else DEFAULT_MODEL
        model = load_model(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        estimator = cls(model, device, path.name, sha256, backend)
        estimator._release_weights()
        return estimator

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the networks' input."""
        return self.model.config.width, self.model.config.height

    @property
    def window_length(self) -> int:
        """Number of frames in a window."""
        return self.model.config.pose.frames

    @property
    def target(self) -> int:
        """Index of the target frame, which the masks belong to, in the window."""
        return target_of(self.window_length)

    @torch.inference_mode()
    def depth(self, frame: np.ndarray) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length."""
        inverse_depth = self._enlarge(self._stages["depth"](self._normalise(frame)))
        return (1.0 / inverse_depth[0, 0]).cpu().numpy()

    @torch.inference_mode()
    def motion(
        self,
        frames: list[np.ndarray],
        want_mask: bool = True,
        caches: list[dict[str, Tensor]] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Motions between the neighbours of a window and the mask of its target frame.

        previous_from_current: (N - 1, 4, 4) float64, oldest first; mask: (H, W) float32, the
        explainability averaged over the sources, or None where the model has no masks or they are
        not wanted. caches: one dictionary for each frame, kept with it while the window slides;
        results in it are reused, so the frame's neighbours must stay the same.
        """
        net = self.model.pose_net
        caches = caches or [{} for _ in frames]
        inputs = [
            self._cached_input(frame, cache) for frame, cache in zip(frames, caches, strict=True)
        ]
        vectors, mask = net.slide(self._stages, inputs, caches, want_mask)
        # float64 before the angles become a matrix, so that each step is a rotation to the last
        # digit.
        motions = net.previous_from_current(vectors.cpu().double())[0].numpy()
        return motions, None if mask is None else self._enlarge(mask)[0, 0].cpu().numpy()

    def warm_up(self) -> None:
        """Runs both networks once: the first frame then needs no allocation or kernel choice.

        Other backends than eager ran while they were prepared.
        """
        if self.backend != "eager":
            return
        width, height = self.input_size
        frame = np.zeros((height, width, self.model.config.image_channels), np.uint8)
        self.depth(frame)
        self.motion([frame] * self.window_length)

    def _release_weights(self) -> None:
        """Frees the model's weights where the backend has copies of its own in another layout."""
        if not all(isinstance(compute, Traced) for compute in self._stages.values()):
            return
        for module in self.model.modules():
            for name, weight in module.named_parameters(recurse=False):
                absent = torch.empty_like(weight, device="meta")
                module.register_parameter(name, nn.Parameter(absent, requires_grad=False))

    def _enlarge(self, values: Tensor) -> Tensor:
        """Resizes predictions (1, 1, h, w) of a coarser scale to the size of the input."""
        width, height = self.input_size
        if values.shape[-2:] == (height, width):
            return values
        return F.interpolate(values, size=(height, width), mode="bilinear", align_corners=False)

    def _cached_input(self, frame: np.ndarray, cache: dict[str, Tensor]) -> Tensor:
        """Returns the networks' input (1, C, H, W) of a frame, computed once."""
        if "input" not in cache:
            cache["input"] = self._normalise(frame)
        return cache["input"]

    def _normalise(self, frame: np.ndarray) -> Tensor:
        """Returns the networks' input (1, C, H, W) of a frame."""
        return self.model.normalise(
            torch.from_numpy(frame).to(self.device).permute(2, 0, 1)[None].float() / 255.0
        )
