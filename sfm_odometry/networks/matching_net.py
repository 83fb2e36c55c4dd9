"""The default motion network: neighbouring frames are matched against each other before the
motion is read off."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sfm_odometry.geometry.projection import transform_from_vector
from sfm_odometry.networks.blocks import conv, init_he, upconv
from sfm_odometry.networks.convolutions import Head
from sfm_odometry.networks.motion_network import Memory, MotionNetwork, Run
from sfm_odometry.networks.stage import Stage


@dataclass(frozen=True)
class MatchingNetConfig:
    """Widths of :class:`MatchingNet`."""

    image_channels: int = 1
    frames: int = 5
    feature_widths: tuple[int, ...] = (16, 32, 48)
    """Of the encoder that every frame passes alone; each layer halves the size. The last is what
    is matched."""
    motion_widths: tuple[int, ...] = (64, 96, 128)
    """Of the layers that read the motion off the matches; the first keeps the size, each further
    one halves it."""
    translation_gain: float = 1.0
    rotation_gain: float = 0.05
    masks: bool = True
    mask_widths: tuple[int, ...] = (32, 24, 16)
    """Of the mask branch; each layer doubles the size, and each has a head."""
    kind: Literal["matching"] = "matching"

    @property
    def motion(self) -> Literal["chain"]:
        """Every vector is previous_from_current of two neighbours."""
        return "chain"


class MatchingNet(MotionNetwork[Tensor]):
    """Global matching (the idea of GMFlow, Xu et al., CVPR 2022, without its transformer), then a
    small pose network.

    Each cell of a grid (1/16 size) on the later frame of a pair is compared with all cells (1/8
    size) of the earlier one; the softmax of the similarities, less a learned penalty on distance,
    gives where it came from. Convolutions turn that flow, how sure it is, and its place in the
    image into six numbers. A stack of frames, as the papers use it, has to discover matching by
    itself, which takes far more steps.
    """

    def __init__(self, config: MatchingNetConfig) -> None:
        super().__init__(config)
        self.config: MatchingNetConfig = config
        features = (config.image_channels, *config.feature_widths)
        self.encoder = nn.Sequential(
            *(
                conv(before, width, 5 if index == 0 else 3, stride=2)
                for index, (before, width) in enumerate(pairwise(features))
            ),
            nn.Conv2d(features[-1], features[-1], 3, padding=1),
        )
        # From these values on, the random features of an untrained network match well enough to
        # tell a left turn from a right one.
        self.log_sharpness = nn.Parameter(torch.tensor(3.0))
        self.locality = nn.Parameter(torch.tensor(-2.0))
        first, *further = config.motion_widths
        self.read = conv(5 + features[-1], first)
        self.pose = nn.Sequential(
            *(conv(before, width, stride=2) for before, width in pairwise((first, *further)))
        )
        self.last = nn.Conv2d(config.motion_widths[-1], 6, 1)
        if config.masks:
            self.mask_up = nn.ModuleList(
                upconv(before, width)
                for before, width in pairwise((self.sources * first, *config.mask_widths))
            )
            self.mask_heads = nn.ModuleList(
                Head(width, 2 * self.sources, 3, padding=1) for width in config.mask_widths
            )
        init_he(self)
        with torch.no_grad():  # the first motions are small, so that the first views still overlap
            self.last.weight.mul_(0.1)

    def encode(self, frames: Tensor) -> Tensor:
        """What is seen of each pair of neighbours (B, N - 1, F, h, w): its matches, read."""
        count, length = frames.shape[:2]
        features = self.encoder(frames.flatten(0, 1)).unflatten(0, (count, length))
        return self._see(features[:, :-1].flatten(0, 1), features[:, 1:].flatten(0, 1)).unflatten(
            0, (count, length - 1)
        )

    def parts(self) -> dict[str, Stage]:
        """A frame's features, what is seen of a pair with its vector, and the mask of a window."""
        masks = {"mask": _Mask(self)} if self.config.masks else {}
        return {"frame": _Frame(self), "pair": _Pair(self), **masks}

    def slide(
        self, run: Run, frames: list[Tensor], memories: list[Memory], with_mask: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Each frame is encoded once; each pair is matched, and its motion read, once."""
        for frame, memory in zip(frames, memories, strict=True):
            if "features" not in memory:
                memory["features"] = run["frame"](frame)
        for earlier, later in pairwise(memories):
            if "seen" not in later:
                later["seen"], later["vectors"] = run["pair"](
                    earlier["features"], later["features"]
                )
        mask = (
            run["mask"](torch.stack([memory["seen"] for memory in memories[1:]], dim=1))
            if with_mask and self.config.masks
            else None
        )
        return torch.cat([memory["vectors"] for memory in memories[1:]], dim=1), mask

    def two_steps(self, frames: Tensor) -> Tensor:
        """Motions (B, N - 2, 4, 4) of frames matched with the ones two before: entry i maps
        frame i + 2 into frame i."""
        count, length = frames.shape[:2]
        features = self.encoder(frames.flatten(0, 1)).unflatten(0, (count, length))
        seen = self._see(features[:, :-2].flatten(0, 1), features[:, 2:].flatten(0, 1)).unflatten(
            0, (count, length - 2)
        )
        return transform_from_vector(self.vectors(seen))

    def _see(self, earlier: Tensor, later: Tensor) -> Tensor:
        """What is seen of pairs of frames (M, F, h, w), from the features of both (M, C, 2h,
        2w)."""
        queries = later[..., ::2, ::2]
        flow, certainty = self._match(queries, earlier)
        place = _places(queries).expand(len(queries), -1, -1, -1)
        return self.read(torch.cat([flow, certainty, place, queries], dim=1))

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def _match(self, queries: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
        """Flow (M, 2, h, w), in cells, from the queries (M, C, h, w) to the earlier frames, and
        how sure it is (M, 1, h, w), 0 to 1."""
        size, finer = _size(queries), _size(earlier)
        origins = 2 * _cells(*size, queries.device)
        penalty = -F.softplus(self.locality) * _squared_distances(*size, *finer, earlier.device)
        # One fused product-and-add: the matrices of similarities are the network's largest tensors.
        sharp = _unit(queries).transpose(1, 2) * torch.exp(self.log_sharpness)
        soft_match = _SoftMatch.apply if torch.is_grad_enabled() else _soft_match
        places, certainty = soft_match(torch.baddbmm(penalty, sharp, _unit(earlier)), finer[1])[:2]
        maps = torch.cat([places - origins, certainty], dim=-1).transpose(1, 2).unflatten(-1, size)
        return maps[:, :2], maps[:, 2:]

    def raw_vectors(self, features: Tensor) -> Tensor:
        """The pose branch, averaged over the image."""
        pairs = self.last(self.pose(features.flatten(0, 1))).float().mean(dim=(2, 3))
        return pairs.unflatten(0, features.shape[:2])

    def mask_logits(self, features: Tensor, finest_only: bool = False) -> list[Tensor]:
        """The mask branch, from all pairs of the snippet together."""
        x, logits = features.flatten(1, 2), []
        for index, (up, head) in enumerate(
            zip(self.mask_up, self.mask_heads, strict=True), start=1
        ):
            x = up(x)
            if index == len(self.mask_up) or not finest_only:
                logits.append(head(x).float().unflatten(1, (self.sources, 2)))
        return logits[::-1]


class _Frame(Stage[MatchingNet]):
    """A frame (1, C, H, W) to its features."""

    def forward(self, frame: Tensor) -> Tensor:
        return self.network.encoder(frame)


class _Pair(Stage[MatchingNet]):
    """The features of two neighbours to what is seen of them (1, F, h, w) and their vector (1,
    1, 6)."""

    def forward(self, earlier: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.network._see(earlier, later)
        return seen, self.network.vectors(seen[:, None])


class _Mask(Stage[MatchingNet]):
    """What is seen of all pairs (1, N - 1, F, h, w) to how explainable the target is (1, 1, h,
    w)."""

    allows_half = True

    def forward(self, seen: Tensor) -> Tensor:
        return self.network.explainable(seen)


class _SoftMatch(torch.autograd.Function):
    """Expected cell (M, Q, 2) and largest weight (M, Q, 1) of w = softmax(logits) (M, Q, K) over
    the K cells of a grid, row by row.

    The gradient w_k (G_k - sum_j w_j G_j), with G_k what the results change by with w_k, fills one
    matrix, and needs no sum over j: the results are it. Autograd, operation by operation, would
    write four matrices.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, columns: int) -> tuple[Tensor, Tensor]:
        places, largest, weights, u, v = _soft_match(logits, columns)
        ctx.save_for_backward(weights, places, largest, u, v)
        return places, largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_places: Tensor, of_largest: Tensor) -> tuple[Tensor, None]:
        weights, places, largest, u, v = ctx.saved_tensors
        mean = (of_places * places).sum(-1, keepdim=True) + of_largest * largest
        of_u, of_v = of_places.split(1, dim=-1)
        change = ((of_u * u)[..., None, :] + (of_v * v - mean + of_largest)[..., None]).flatten(-2)
        all_but_largest = (
            weights - largest
        ).sign_()  # -1, and 0 at the largest: several times faster than looking for its index
        return change.addcmul_(of_largest, all_but_largest).mul_(weights), None


def _soft_match(logits: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Expected cell, largest weight, and what their gradient is made of: the weights, the
    numbers of the columns and of the rows."""
    weights = torch.softmax(logits, dim=-1)
    grid = weights.unflatten(-1, (-1, columns))
    u, v = (
        torch.arange(size, device=logits.device, dtype=logits.dtype)
        for size in (columns, grid.shape[-2])
    )
    places = torch.stack([grid.sum(-2) @ u, grid.sum(-1) @ v], dim=-1)
    return places, weights.amax(dim=-1, keepdim=True), weights, u, v


def _unit(features: Tensor) -> Tensor:
    """Features (M, C, h, w) as unit vectors (M, C, h w), float32; less their mean over the
    image, as else all cells would look alike."""
    features = features.float().flatten(2)
    features = features - features.mean(-1, keepdim=True)
    # F.normalize takes ten times as long over a dimension in the middle.
    return features * features.square().sum(dim=1, keepdim=True).clamp_min(1e-24).rsqrt()


def _size(features: Tensor) -> tuple[int, int]:
    """Rows and columns, as numbers also in a trace, so that what depends on nothing else is a
    constant of it."""
    return int(features.shape[-2]), int(features.shape[-1])


@cache  # kept for good: a recording of the network on a GPU reads them where they were
@torch.inference_mode(False)  # what inference computed could not be used in training afterwards
def _cells(height: int, width: int, device: torch.device) -> Tensor:
    """Column and row of each cell (h w, 2) of a grid, row by row."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return torch.stack([columns, rows], dim=-1).flatten(0, 1).float()


@cache
@torch.inference_mode(False)
def _squared_distances(
    height: int, width: int, finer_height: int, finer_width: int, device: torch.device
) -> Tensor:
    """Between the cells of a grid and those of one about twice as fine, in the finer one's cells
    (h w, h' w')."""
    return (
        torch.cdist(2 * _cells(height, width, device), _cells(finer_height, finer_width, device))
        ** 2
    )


def _places(features: Tensor) -> Tensor:
    """Where each cell of features (M, C, h, w) lies in the image (1, 2, h, w), -1 to 1."""
    height, width = _size(features)
    x = torch.linspace(-1, 1, width, device=features.device).expand(height, width)
    y = torch.linspace(-1, 1, height, device=features.device)[:, None].expand(height, width)
    return torch.stack([x, y])[None]
