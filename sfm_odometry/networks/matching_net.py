"""Default motion network: neighbouring frames are matched before their motion is estimated."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sfm_odometry.geometry.projection import transform_from_vector
from sfm_odometry.networks.blocks import conv, init_he, upconv
from sfm_odometry.networks.convolutions import Head
from sfm_odometry.networks.motion_network import FrameCache, MotionNetwork, Stages
from sfm_odometry.networks.stage import Stage


@dataclass(frozen=True)
class MatchingNetConfig:
    """Widths of :class:`MatchingNet`."""

    image_channels: int = 1
    frames: int = 5
    feature_widths: tuple[int, ...] = (16, 32, 48)
    """Widths of the encoder of single frames; each layer halves the size. The last layer's
    features are matched."""
    motion_widths: tuple[int, ...] = (64, 96, 128)
    """Widths of the layers that estimate motion from the matches; the first keeps the size, each
    further one halves it."""
    translation_gain: float = 1.0
    rotation_gain: float = 0.05
    masks: bool = True
    mask_widths: tuple[int, ...] = (32, 24, 16)
    """Widths of the mask branch; each layer doubles the size and has a head."""
    kind: Literal["matching"] = "matching"

    @property
    def motion(self) -> Literal["chain"]:
        """Motion of every vector: previous_from_current of two neighbours."""
        return "chain"


class MatchingNet(MotionNetwork[Tensor]):
    """Global matching, then a small pose network.

    The matching is the idea of GMFlow (Xu et al., CVPR 2022), without its transformer. Each cell of
    a grid (1/16 size) on the later frame of a pair is compared with all cells (1/8 size) of the
    earlier one; the softmax of the similarities, less a learned penalty on distance, gives the cell
    that it came from. Convolutions turn that flow, its confidence and its position in the image
    into six numbers. A network on stacked frames, as in the papers, has to discover matching by
    itself, which takes far more steps.
    """

    def __init__(self, config: MatchingNetConfig) -> None:
        super().__init__(config)
        self.config: MatchingNetConfig = config
        # Encoder of single frames.
        features = (config.image_channels, *config.feature_widths)
        self.encoder = nn.Sequential(
            *(
                conv(before, width, 5 if index == 0 else 3, stride=2)
                for index, (before, width) in enumerate(pairwise(features))
            ),
            nn.Conv2d(features[-1], features[-1], 3, padding=1),
        )
        # Matching. From these values on, the random features of an untrained network match well
        # enough to tell a left turn from a right one.
        self.log_sharpness = nn.Parameter(torch.tensor(3.0))
        self.locality = nn.Parameter(torch.tensor(-2.0))
        # Motion of each pair, from its matches.
        first, *further = config.motion_widths
        self.read = conv(5 + features[-1], first)
        self.pose = nn.Sequential(
            *(conv(before, width, stride=2) for before, width in pairwise((first, *further)))
        )
        self.last = nn.Conv2d(config.motion_widths[-1], 6, 1)
        # Masks, from all pairs together.
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

    def forward(self, frames: Tensor, with_masks: bool = True) -> tuple[Tensor, list[Tensor]]:
        """See :meth:`MotionNetwork.forward`; the masks of any size lie on the frames."""
        motions, logits = super().forward(frames, with_masks)
        size = frames.shape[-2:]
        layers = range(len(logits), 0, -1)
        return motions, [
            self._without_excess(each, size, layer)
            for each, layer in zip(logits, layers, strict=True)
        ]

    def _without_excess(self, mask: Tensor, size: Sequence[int], layer: int) -> Tensor:
        """Crops a mask (..., h, w) of the mask branch's layer, from 1, to the frames' `size`.

        Sizes that cannot be halved are rounded up by each layer of the encoder, so that doubling
        them gives rows and columns beyond the frame. Other sizes are left as they are.
        """
        halvings = len(self.config.feature_widths) + 1 - layer
        rows, columns = (-(-side // 2**halvings) for side in size)
        return mask[..., :rows, :columns]

    def encode(self, frames: Tensor) -> Tensor:
        """Pair features (B, N - 1, F, h, w) of all neighbours in snippets (B, N, C, H, W)."""
        return self._encode_pairs(frames, interval=1)

    def two_steps(self, frames: Tensor) -> Tensor:
        """Motions (B, N - 2, 4, 4) of frames matched with the ones two before.

        Entry i maps frame i + 2 into frame i.
        """
        return transform_from_vector(self.vectors(self._encode_pairs(frames, interval=2)))

    def _encode_pairs(self, frames: Tensor, interval: int) -> Tensor:
        """Pair features (B, N - interval, F, h, w) of frames `interval` apart."""
        count, length = frames.shape[:2]
        features = self.encoder(frames.flatten(0, 1)).unflatten(0, (count, length))
        earlier = features[:, :-interval].flatten(0, 1)
        later = features[:, interval:].flatten(0, 1)
        return self.pair_features(earlier, later).unflatten(0, (count, length - interval))

    def stages(self) -> dict[str, Stage]:
        """Stages of a frame's features, a pair's features and vector, and a window's mask."""
        masks = {"mask": _Mask(self)} if self.config.masks else {}
        return {"frame": _Frame(self), "pair": _Pair(self), **masks}

    def slide(
        self, stages: Stages, frames: list[Tensor], caches: list[FrameCache], with_mask: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Vectors and mask of a window.

        Each frame is encoded once; each pair is matched, and its motion estimated, once.
        """
        # Encode the new frames.
        for frame, cache in zip(frames, caches, strict=True):
            if "features" not in cache:
                cache["features"] = stages["frame"](frame)
        # Match the new pairs.
        for earlier, later in pairwise(caches):
            if "pair_features" not in later:
                later["pair_features"], later["vectors"] = stages["pair"](
                    earlier["features"], later["features"]
                )
        # Combine all pairs of the window.
        vectors = torch.cat([cache["vectors"] for cache in caches[1:]], dim=1)
        if not (with_mask and self.config.masks):
            return vectors, None
        mask = stages["mask"](torch.stack([cache["pair_features"] for cache in caches[1:]], dim=1))
        return vectors, self._without_excess(mask, frames[0].shape[-2:], len(self.mask_up))

    def pair_features(self, earlier: Tensor, later: Tensor) -> Tensor:
        """Features (M, F, h, w) of pairs of frames, from those of each frame (M, C, 2h, 2w)."""
        queries = later[..., ::2, ::2]
        flow, confidence = self.match(queries, earlier)
        position = _image_coordinates(queries).expand(len(queries), -1, -1, -1)
        return self.read(torch.cat([flow, confidence, position, queries], dim=1))

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def match(self, queries: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
        """Flow (M, 2, h, w) and its confidence (M, 1, h, w), 0 to 1.

        The flow leads from the queries (M, C, h, w) to the features of the earlier frames (M, C,
        h', w'), in cells of those. It is computed in float32.
        """
        # Penalty on the distance between cells.
        size = _grid_size(queries)
        earlier_size = _grid_size(earlier)
        origins = 2 * _cell_coordinates(*size, queries.device)
        squared_distances = _squared_distances(*size, *earlier_size, earlier.device)
        penalty = -F.softplus(self.locality) * squared_distances
        # Similarities, less the penalty. One fused product-and-add: these matrices are the
        # network's largest tensors.
        sharpened = _normalised(queries).transpose(1, 2) * torch.exp(self.log_sharpness)
        logits = torch.baddbmm(penalty, sharpened, _normalised(earlier))
        # Expected cell of each query.
        soft_match = SoftMatch.apply if torch.is_grad_enabled() else _soft_match
        cells, confidence = soft_match(logits, earlier_size[1])[:2]
        maps = torch.cat([cells - origins, confidence], dim=-1).transpose(1, 2).unflatten(-1, size)
        return maps[:, :2], maps[:, 2:]

    def raw_vectors(self, features: Tensor) -> Tensor:
        """Outputs of the pose branch (B, N - 1, 6), averaged over the image."""
        pairs = self.last(self.pose(features.flatten(0, 1))).float().mean(dim=(2, 3))
        return pairs.unflatten(0, features.shape[:2])

    def mask_logits(self, features: Tensor, finest_only: bool = False) -> list[Tensor]:
        """Outputs of the mask branch, from all pairs of the snippet, finest scale first."""
        x = features.flatten(1, 2)
        logits = []
        for index, (up, head) in enumerate(
            zip(self.mask_up, self.mask_heads, strict=True), start=1
        ):
            x = up(x)
            if index == len(self.mask_up) or not finest_only:
                logits.append(head(x).float().unflatten(1, (self.sources, 2)))
        return logits[::-1]


class _Frame(Stage[MatchingNet]):
    """Maps a frame (1, C, H, W) to its features."""

    def forward(self, frame: Tensor) -> Tensor:
        return self.network.encoder(frame)


class _Pair(Stage[MatchingNet]):
    """Maps the features of two neighbours to pair features (1, F, h, w) and a vector (1, 1, 6)."""

    def forward(self, earlier: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.pair_features(earlier, later)
        return features, self.network.vectors(features[:, None])


class _Mask(Stage[MatchingNet]):
    """Maps all pair features (1, N - 1, F, h, w) to the target's explainability (1, 1, h, w)."""

    allows_half = True

    def forward(self, pair_features: Tensor) -> Tensor:
        return self.network.explainability(pair_features)


class SoftMatch(torch.autograd.Function):
    """Expected cell (M, Q, 2) and largest weight (M, Q, 1) of w = softmax(logits) (M, Q, K).

    K are the cells of a grid, row by row. The gradient w_k (G_k - sum_j w_j G_j), with G_k the
    change of the results by w_k, fills one matrix, and needs no sum over j: the results are it.
    Autograd, operation by operation, would write four matrices.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, columns: int) -> tuple[Tensor, Tensor]:
        cells, largest, weights, u, v = _soft_match(logits, columns)
        ctx.save_for_backward(weights, cells, largest, u, v)
        return cells, largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_cells: Tensor, grad_largest: Tensor) -> tuple[Tensor, None]:
        weights, cells, largest, u, v = ctx.saved_tensors
        mean = (grad_cells * cells).sum(-1, keepdim=True) + grad_largest * largest
        grad_u, grad_v = grad_cells.split(1, dim=-1)
        change = (
            (grad_u * u)[..., None, :] + (grad_v * v - mean + grad_largest)[..., None]
        ).flatten(-2)
        # -1, and 0 at the largest weight: several times faster than looking for its index.
        all_but_largest = (weights - largest).sign_()
        return change.addcmul_(grad_largest, all_but_largest).mul_(weights), None


def _soft_match(logits: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Expected cell, largest weight, and the weights, column and row numbers for the gradient."""
    weights = torch.softmax(logits, dim=-1)
    grid = weights.unflatten(-1, (-1, columns))
    u, v = (
        torch.arange(size, device=logits.device, dtype=logits.dtype)
        for size in (columns, grid.shape[-2])
    )
    cells = torch.stack([grid.sum(-2) @ u, grid.sum(-1) @ v], dim=-1)
    return cells, weights.amax(dim=-1, keepdim=True), weights, u, v


def _normalised(features: Tensor) -> Tensor:
    """Features (M, C, h, w) as unit vectors (M, C, h w), float32.

    Their mean over the image is subtracted first, as otherwise all cells would look alike.
    """
    features = features.float().flatten(2)
    features = features - features.mean(-1, keepdim=True)
    # F.normalize takes ten times as long over a dimension in the middle.
    return features * features.square().sum(dim=1, keepdim=True).clamp_min(1e-24).rsqrt()


def _grid_size(features: Tensor) -> tuple[int, int]:
    """Rows and columns, as Python numbers in a trace, too.

    Tensors that depend on nothing else become constants of the trace.
    """
    return int(features.shape[-2]), int(features.shape[-1])


# Cached for good: a recording of the network on a GPU reads them at the same address.
@functools.cache
@torch.inference_mode(False)  # tensors made in inference mode could not be used in training later
def _cell_coordinates(height: int, width: int, device: torch.device) -> Tensor:
    """Column and row of each cell (h w, 2) of a grid, row by row."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return torch.stack([columns, rows], dim=-1).flatten(0, 1).float()


@functools.cache
@torch.inference_mode(False)
def _squared_distances(
    height: int, width: int, finer_height: int, finer_width: int, device: torch.device
) -> Tensor:
    """Squared distances (h w, h' w') between the cells of a grid and of one twice as fine.

    They are in cells of the finer grid.
    """
    cells = 2 * _cell_coordinates(height, width, device)
    finer_cells = _cell_coordinates(finer_height, finer_width, device)
    return torch.cdist(cells, finer_cells) ** 2


def _image_coordinates(features: Tensor) -> Tensor:
    """Position of each cell of features (M, C, h, w) in the image (1, 2, h, w), -1 to 1."""
    height, width = _grid_size(features)
    x = torch.linspace(-1, 1, width, device=features.device).expand(height, width)
    y = torch.linspace(-1, 1, height, device=features.device)[:, None].expand(height, width)
    return torch.stack([x, y])[None]
