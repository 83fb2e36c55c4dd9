"""Intrinsics that are learned with the networks, for video of cameras that nobody calibrated.

The same loss has gradients for K (Gordon et al. 2019, section 4): a wrong focal length bends what
should turn. Where a camera never turns, no view tells its focal length from the depth, and it stays
near where it began.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.text import write_text
from training.data.batch import Batch
from training.data.scenes import Camera


class LearnedCameras(nn.Module):
    """The run's K cameras, in the order of `Batch.camera`; the intrinsics of U <= K of them are
    parameters.

    f = f0 exp(a) stays positive, and c = c0 + b size: a and b are numbers without unit that begin
    at zero.
    """

    initial: Tensor
    unknown: Tensor
    is_unknown: Tensor
    extent: Tensor

    def __init__(self, cameras: Sequence[Camera], width: int, height: int) -> None:
        """width, height: the prepared size, which the cameras' matrices are of. Raises
        InputError where every camera is known."""
        super().__init__()
        self.cameras, self.size = tuple(cameras), (width, height)
        unknown = [index for index, camera in enumerate(cameras) if not camera.known]
        if not unknown:
            raise InputError(
                f"learn_intrinsics: all {len(cameras)} cameras are calibrated, expected data prepared with --fov, or false"
            )
        self.log_focal_ratio = nn.Parameter(torch.zeros(len(unknown), 2))
        self.centre_shift = nn.Parameter(torch.zeros(len(unknown), 2))
        initial = np.stack([camera.intrinsics for camera in cameras])
        self.register_buffer(
            "initial", torch.tensor(initial, dtype=torch.float32), persistent=False
        )
        self.register_buffer("unknown", torch.tensor(unknown), persistent=False)
        self.register_buffer(
            "is_unknown", torch.tensor([not camera.known for camera in cameras]), persistent=False
        )
        self.register_buffer(
            "extent", torch.tensor([float(width), float(height)]), persistent=False
        )

    def forward(self, batch: Batch) -> Batch:
        """The batch with the intrinsics (B, 3, 3) of unknown cameras replaced, which carry
        gradients; to be called before augmentation."""
        learned = self.matrices()[batch.camera]
        return replace(
            batch,
            intrinsics=torch.where(
                self.is_unknown[batch.camera][:, None, None], learned, batch.intrinsics
            ),
        )

    def matrices(self) -> Tensor:
        """(K, 3, 3) of all cameras at the prepared size, as they stand."""
        before = self.initial[self.unknown]
        focal = torch.diagonal(before, dim1=1, dim2=2)[:, :2] * self.log_focal_ratio.exp()
        centre = before[:, :2, 2] + self.centre_shift * self.extent
        top = torch.cat([torch.diag_embed(focal), centre[..., None]], dim=2)
        return self.initial.index_copy(0, self.unknown, torch.cat([top, before[:, 2:]], dim=1))

    def calibrations(self) -> list[tuple[str, Intrinsics]]:
        """Name and intrinsics of every camera at the prepared size, as they stand."""
        matrices = self.matrices().detach().double().cpu().numpy()
        return [
            (camera.name, Intrinsics.from_matrix(matrix, *self.size))
            for camera, matrix in zip(self.cameras, matrices, strict=True)
        ]


def write_calibrations(folder: Path, cameras: LearnedCameras) -> None:
    """cameras.json, and calib_<n>.txt for each camera n = 0, 1, ...; OutputError where they cannot
    be written.

    The JSON is a list of objects: name, known (false: learned), file, fx, fy, cx, cy, width,
    height. The text is one line as of KITTI's calib.txt, which every --calib reads, for images of
    the prepared size: P0: and the rows of [K 0].
    """
    entries = []
    for index, (name, intrinsics) in enumerate(cameras.calibrations()):
        file = f"calib_{index}.txt"
        projection = np.hstack([intrinsics.matrix(), np.zeros((3, 1))])
        write_text(
            folder / file,
            "P0: " + " ".join(f"{number:.12e}" for number in projection.ravel()) + "\n",
        )
        entries.append(
            {
                "name": name,
                "known": cameras.cameras[index].known,
                "file": file,
                **asdict(intrinsics),
            }
        )
    write_text(folder / "cameras.json", json.dumps(entries, indent=1) + "\n")
