"""Intrinsics learned together with the networks, for video of uncalibrated cameras.

The photometric loss has gradients for K (Gordon et al. 2019, section 4): with a wrong focal length
a rotation of the camera distorts the synthesised view. If a camera never rotates, its focal length
cannot be distinguished from the depth and stays near the initial guess.
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
    """K cameras of a run, of which U are uncalibrated and have learned intrinsics.

    f = f0 exp(a) stays positive, and c = c0 + b size; the parameters a and b are dimensionless and
    start at zero.
    """

    initial: Tensor
    """Initial camera matrices (K, 3, 3) of all cameras."""
    unknown: Tensor
    """Indices (U,) of the uncalibrated cameras."""
    is_unknown: Tensor
    """(K,) bool: whether the camera is uncalibrated."""
    image_size: Tensor
    """Width and height (2,) in pixels."""

    def __init__(self, cameras: Sequence[Camera], width: int, height: int) -> None:
        """cameras: in the order of `Batch.camera`. width, height: of the prepared images.

        Raises InputError where every camera is calibrated.
        """
        super().__init__()
        self.cameras = tuple(cameras)
        self.size = (width, height)
        unknown = [index for index, camera in enumerate(cameras) if not camera.known]
        if not unknown:
            raise InputError(
                f"learn_intrinsics: all {len(cameras)} cameras are calibrated, "
                "expected data prepared with --fov, or false"
            )
        # Parameters of the uncalibrated cameras.
        self.log_focal_ratio = nn.Parameter(torch.zeros(len(unknown), 2))
        self.centre_shift = nn.Parameter(torch.zeros(len(unknown), 2))
        # Constants, which move to the device with the module and are not saved.
        initial = np.stack([camera.intrinsics for camera in cameras])
        self.register_buffer(
            "initial", torch.tensor(initial, dtype=torch.float32), persistent=False
        )
        self.register_buffer("unknown", torch.tensor(unknown), persistent=False)
        self.register_buffer(
            "is_unknown", torch.tensor([not camera.known for camera in cameras]), persistent=False
        )
        self.register_buffer(
            "image_size", torch.tensor([float(width), float(height)]), persistent=False
        )

    def forward(self, batch: Batch) -> Batch:
        """Replaces the intrinsics (B, 3, 3) of uncalibrated cameras, with gradients.

        Call it before augmentation, which changes intrinsics together with the images.
        """
        learned = self.matrices()[batch.camera]
        return replace(
            batch,
            intrinsics=torch.where(
                self.is_unknown[batch.camera][:, None, None], learned, batch.intrinsics
            ),
        )

    def matrices(self) -> Tensor:
        """Returns the current camera matrices (K, 3, 3) of all cameras, for the prepared size."""
        initial = self.initial[self.unknown]
        focal = torch.diagonal(initial, dim1=1, dim2=2)[:, :2] * self.log_focal_ratio.exp()
        centre = initial[:, :2, 2] + self.centre_shift * self.image_size
        top_rows = torch.cat([torch.diag_embed(focal), centre[..., None]], dim=2)
        learned = torch.cat([top_rows, initial[:, 2:]], dim=1)
        return self.initial.index_copy(0, self.unknown, learned)

    def calibrations(self) -> list[tuple[str, Intrinsics]]:
        """Returns name and current intrinsics of every camera, for the prepared size."""
        matrices = self.matrices().detach().double().cpu().numpy()
        return [
            (camera.name, Intrinsics.from_matrix(matrix, *self.size))
            for camera, matrix in zip(self.cameras, matrices, strict=True)
        ]


def write_calibrations(folder: Path, cameras: LearnedCameras) -> None:
    """Writes cameras.json, and calib_<n>.txt for each camera n = 0, 1, ...

    The JSON is a list of objects: name, known (false: learned), file, fx, fy, cx, cy, width,
    height. The text is one line as in KITTI's calib.txt, for images of the prepared size: P0: and
    the rows of [K 0]; every --calib option reads it. Raises OutputError.
    """
    entries = []
    for index, (name, intrinsics) in enumerate(cameras.calibrations()):
        # Write the camera's own file.
        file = f"calib_{index}.txt"
        projection = np.hstack([intrinsics.matrix(), np.zeros((3, 1))])
        numbers = " ".join(f"{number:.12e}" for number in projection.ravel())
        write_text(folder / file, f"P0: {numbers}\n")
        # Describe it in the list.
        entries.append(
            {
                "name": name,
                "known": cameras.cameras[index].known,
                "file": file,
                **asdict(intrinsics),
            }
        )
    write_text(folder / "cameras.json", json.dumps(entries, indent=1) + "\n")
