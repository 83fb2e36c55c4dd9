"""Export of a model to ONNX: `python -m sfm_odometry.export --out model.onnx [--check]`.

One graph: `frames` (N, C, H, W), float32 in [0, 1], in order of time, to `depth` (h, w) of the
newest frame, `previous_from_current` (N - 1, 4, 4) of neighbours, oldest first, and, where the
model has masks, `mask` (h, w) of the window's middle frame; h and w are those of the finest
prediction.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sfm_odometry.backends.choice import moving_texture
from sfm_odometry.backends.onnx_graph import to_onnx
from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.inference.checkpoint import load_model
from sfm_odometry.io.atomic import atomic_write
from sfm_odometry.networks.model import Model

MAX_DIFFERENCE = 1e-3
"""Limit of --check: relative difference of depth, absolute of motion and mask, above what float32
summed in another order gives."""


class Window(nn.Module):
    """Depth, motion and mask networks of a model over one window of frames."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Infer depth, motions and mask, as in the module's docstring, of frames (N, C, H, W)."""
        images = self.model.normalise(frames)
        net = self.model.pose_net
        stages = self.model.stages()
        depth = 1.0 / stages["depth"](images[-1:])[0, 0]
        windows = [images[index : index + 1] for index in range(net.config.frames)]
        vectors, mask = net.slide(stages, windows, [{} for _ in windows], with_mask=True)
        motions = net.previous_from_current(vectors)[0]
        return (depth, motions) if mask is None else (depth, motions, mask[0, 0])

    def output_names(self) -> list[str]:
        """Names of the tensors that `forward` returns."""
        return [
            "depth",
            "previous_from_current",
            *(["mask"] if self.model.pose_net.config.masks else []),
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Write the graph; with --check also compare its results with those of the networks."""
    window = Window(load_model(arguments.model)).eval()
    names = window.output_names()
    graph = to_onnx(window, (_noise(window.model),), ["frames"], names)
    _write(arguments.out, graph)
    print(f"{arguments.out}: {len(graph) / 2**20:.1f} MiB, frames -> {', '.join(names)}")
    if arguments.check:
        texture = torch.cat(moving_texture(window.model.config))
        for kind, frames in (("noise", _noise(window.model)), ("moving texture", texture)):
            print(f"  {kind}: " + _report(differences(window, graph, frames), arguments.out))


@torch.inference_mode()
def differences(window: Window, graph: bytes, frames: Tensor) -> dict[str, float]:
    """Largest difference of each output of the graph in ONNX Runtime from the networks'.

    The difference of depth is relative.
    """
    try:
        import onnxruntime  # optional
    except ImportError as error:
        raise InputError(
            f"--check needs the package onnxruntime: pip install onnxruntime ({error})"
        ) from error
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = session.run(None, {"frames": frames.numpy()})
    expected = [value.numpy() for value in window(frames)]
    ratio = found[0] / expected[0] - 1
    pairs = zip(window.output_names()[1:], found[1:], expected[1:], strict=True)
    return {
        "depth": float(np.abs(ratio).max()),
        **{name: float(np.abs(mine - other).max()) for name, mine, other in pairs},
    }


def _report(found: dict[str, float], out: Path) -> str:
    worst = max(found, key=found.__getitem__)
    if not found[worst] <= MAX_DIFFERENCE:
        raise OutputError(
            f"{out}: {worst} differs from the networks' by {found[worst]:.2g}, "
            f"expected at most {MAX_DIFFERENCE:g}"
        )
    return ", ".join(
        f"{name} differs by at most {value:.1e}{' of itself' if name == 'depth' else ''}"
        for name, value in found.items()
    )


def _noise(model: Model) -> Tensor:
    config = model.config
    shape = (config.pose.frames, config.image_channels, config.height, config.width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def _write(path: Path, graph: bytes) -> None:
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(graph)
    except OSError as error:
        raise OutputError(f"{path}: graph cannot be written: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sfm_odometry.export", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--model", type=Path, help="a .safetensors model; default: the packaged one"
    )
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file to write")
    parser.add_argument(
        "--check",
        action="store_true",
        help="compute with it in ONNX Runtime, print the differences, fail if large",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
