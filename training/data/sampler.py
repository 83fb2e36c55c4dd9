"""Snippets drawn from prepared scenes into batches."""

from collections.abc import Iterator, Sequence

import numpy as np

from sfm_odometry.errors import InputError
from training.data.batch import Batch
from training.data.collate import collate
from training.data.scenes import FORMAT, VERSION, Camera, Scene, open_data, split_scenes

__all__ = [
    "FORMAT",
    "VERSION",
    "BatchesInOrder",
    "Camera",
    "Scene",
    "SnippetSampler",
    "cameras_of",
    "open_data",
    "split_scenes",
]


def cameras_of(scenes: Sequence[Scene]) -> list[Camera]:
    """The different cameras of some scenes, in order: those of one name with the same intrinsics
    are one."""
    return list({_camera_key(scene.camera): scene.camera for scene in reversed(scenes)}.values())[
        ::-1
    ]


def _camera_key(camera: Camera) -> tuple[str, bytes]:
    return camera.name, camera.intrinsics.tobytes()


class SnippetSampler:
    """Draws batches of snippets; which ones depends on the seed and the step alone, so a resumed
    run sees what it would have seen.

    groups: the scenes of each data set. batch_size: snippets of the global batch, that of all ranks
    together. weights: how often each data set is drawn, default by its number of snippets.
    with_truth: copy true depth and motion masks where scenes have them. cameras: the run's cameras,
    whose positions `Batch.camera` gives; default those of the groups (see `cameras_of`), and a
    sampler of validation scenes takes those of the whole run.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Scene]],
        length: int,
        channels: int,
        batch_size: int,
        seed: int,
        weights: tuple[float, ...] = (),
        with_truth: bool = True,
        cameras: Sequence[Camera] | None = None,
    ) -> None:
        self.length, self.channels, self.batch_size, self.seed, self.with_truth = (
            length,
            channels,
            batch_size,
            seed,
            with_truth,
        )
        self.scenes = [scene for scenes in groups for scene in scenes]
        _check_one_size(self.scenes)
        self.cameras = list(cameras if cameras is not None else cameras_of(self.scenes))
        self._camera_of_scene = _camera_indices(self.scenes, self.cameras)
        self._snippets = _list_snippets(groups, length)
        self._share = _shares(self._snippets, length, weights)

    def __len__(self) -> int:
        return sum(len(snippets) for snippets in self._snippets)

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The batch of training step `step`; of several ranks each gets its slice, and in their
        order these make up the whole batch."""
        return self.collate(self.choose(step, rank, ranks))

    def choose(self, step: int, rank: int = 0, ranks: int = 1) -> np.ndarray:
        """The snippets (B, 2) of `batch`, each the index of a scene and of a first frame."""
        if self.batch_size % ranks:
            raise InputError(
                f"batch_size {self.batch_size} cannot be shared by {ranks} processes, expected a multiple of them"
            )
        random = np.random.default_rng([self.seed, step])
        groups = random.choice(len(self._snippets), self.batch_size, p=self._share)
        indices = random.integers([len(self._snippets[group]) for group in groups])
        each = self.batch_size // ranks
        chosen = list(zip(groups, indices, strict=True))[rank * each : (rank + 1) * each]
        return np.stack([self._snippets[group][index] for group, index in chosen])

    def has_truth(self, scene: Scene) -> bool:
        """Whether batches show true depth and motion masks of a scene."""
        return self.with_truth and scene.has_truth

    def camera_of(self, snippets: np.ndarray) -> np.ndarray:
        """`Batch.camera` (B,) of snippets (B, 2)."""
        return self._camera_of_scene[snippets[:, 0]]

    def in_order(self, batch_size: int, at_most: int | None = None) -> "BatchesInOrder":
        """All snippets once, in order, for validation; or `at_most` that many, spread evenly.
        They are read when they are asked for."""
        snippets = np.concatenate(self._snippets)
        if at_most is not None and at_most < len(snippets):
            snippets = snippets[np.linspace(0, len(snippets) - 1, at_most).round().astype(int)]
        return BatchesInOrder(self, snippets, batch_size)

    def collate(self, snippets: np.ndarray) -> Batch:
        """Copy snippets (B, 2), each the index of a scene and of a first frame, into one batch."""
        chosen = [(self.scenes[scene], int(start)) for scene, start in snippets]
        return collate(
            chosen, self.camera_of(snippets), self.length, self.channels, self.with_truth
        )


class BatchesInOrder:
    """Given snippets (K, 2) of a sampler, batch by batch, as often as wanted; nothing is read
    before it is asked for."""

    def __init__(self, sampler: SnippetSampler, snippets: np.ndarray, batch_size: int) -> None:
        self._sampler, self._snippets, self._batch_size = sampler, snippets, batch_size

    def __len__(self) -> int:
        return -(-len(self._snippets) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for first in range(0, len(self._snippets), self._batch_size):
            yield self._sampler.collate(self._snippets[first : first + self._batch_size])


def _check_one_size(scenes: Sequence[Scene]) -> None:
    examples = {scene.frames.shape[2:0:-1]: scene.name for scene in scenes}
    if len(examples) > 1:
        found = ", ".join(
            f"{name} {width}x{height}" for (width, height), name in sorted(examples.items())
        )
        raise InputError(f"scenes of different sizes cannot be mixed in a batch: {found}")


def _camera_indices(scenes: Sequence[Scene], cameras: Sequence[Camera]) -> np.ndarray:
    """(S,) int64: of each scene's camera among the run's."""
    positions = {_camera_key(camera): index for index, camera in enumerate(cameras)}
    missing = [scene for scene in scenes if _camera_key(scene.camera) not in positions]
    if missing:
        raise InputError(
            f"scene {missing[0].name}: its camera {missing[0].camera.name} is none of the run's {len(cameras)}"
        )
    return np.array([positions[_camera_key(scene.camera)] for scene in scenes], np.int64)


def _list_snippets(groups: Sequence[Sequence[Scene]], length: int) -> list[np.ndarray]:
    """Of each data set (K, 2) int: index of the scene among all, index of the first frame."""
    lists, scene_index = [], 0
    for scenes in groups:
        parts = [np.empty((0, 2), np.int64)]
        for scene in scenes:
            starts = scene.snippet_starts(length)
            parts.append(np.stack([np.full(len(starts), scene_index), starts], axis=1))
            scene_index += 1
        lists.append(np.concatenate(parts))
    return lists


def _shares(snippets: Sequence[np.ndarray], length: int, weights: Sequence[float]) -> np.ndarray:
    """How likely a snippet is drawn from each data set."""
    counts = np.array([len(part) for part in snippets], float)
    if counts.sum() == 0:
        raise InputError(f"the data has no snippet of {length} consecutive frames")
    if weights and (len(weights) != len(counts) or min(weights) < 0):
        raise InputError(
            f"data_weights {list(weights)}: expected {len(counts)} numbers, none negative, for as many data sets"
        )
    share = (np.asarray(weights, float) if weights else counts) * (counts > 0)
    if share.sum() == 0:
        raise InputError(
            f"data_weights {list(weights)}: no data set with snippets has a weight above 0"
        )
    return share / share.sum()
