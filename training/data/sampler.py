"""Sampling of snippets from prepared scenes into batches."""

from collections.abc import Iterator, Sequence

import numpy as np

from sfm_odometry.errors import InputError
from training.data.batch import Batch
from training.data.collate import collate
from training.data.index import FORMAT, VERSION
from training.data.scenes import Camera, Scene, open_data, split_scenes

__all__ = [
    "FORMAT",
    "VERSION",
    "Camera",
    "Scene",
    "SequentialBatches",
    "SnippetSampler",
    "cameras_of",
    "open_data",
    "split_scenes",
]


def cameras_of(scenes: Sequence[Scene]) -> list[Camera]:
    """Returns the distinct cameras of scenes, in order.

    Cameras of the same name with the same intrinsics are one.
    """
    cameras = {_camera_key(scene.camera): scene.camera for scene in reversed(scenes)}
    return list(cameras.values())[::-1]


def _camera_key(camera: Camera) -> tuple[str, bytes]:
    """Returns the identity of a camera, as a key of dictionaries."""
    return camera.name, camera.intrinsics.tobytes()


class SnippetSampler:
    """Random sampler of batches of snippets, determined by the seed and the step alone.

    A resumed run thus gets the same batches as an uninterrupted one.
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
        """groups: scenes of each data set. length: frames of a snippet.

        channels: 1 (grey) or 3 (RGB). batch_size: snippets of a batch of all processes together.
        weights: relative frequency of each data set; default: its number of snippets. with_truth:
        whether to copy true depth and motion masks where scenes have them. cameras: the run's
        cameras, which `Batch.camera` indexes; default: those of the groups (see `cameras_of`). A
        sampler of validation scenes takes those of the whole run.
        """
        self.length = length
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.with_truth = with_truth
        self.scenes = [scene for scenes in groups for scene in scenes]
        _check_one_size(self.scenes)
        self.cameras = list(cameras if cameras is not None else cameras_of(self.scenes))
        self.with_lessons = any(scene.lesson is not None for scene in self.scenes)
        """Whether batches say what a teacher found out."""
        self._camera_of_scene = _camera_indices(self.scenes, self.cameras)
        self._snippets = _list_snippets(groups, length)
        self._probabilities = _group_probabilities(self._snippets, length, weights)

    def __len__(self) -> int:
        """Returns the number of snippets."""
        return sum(len(snippets) for snippets in self._snippets)

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Samples the batch of a training step, or the slice of one of several processes.

        Concatenated by rank, the slices of all processes are the whole batch.
        """
        return self.collate(self.draw(step, rank, ranks))

    def draw(self, step: int, rank: int = 0, ranks: int = 1) -> np.ndarray:
        """Draws the snippets (B, 2) of `batch`: index of the scene, index of the first frame."""
        if self.batch_size % ranks:
            raise InputError(
                f"batch_size {self.batch_size} cannot be shared by {ranks} processes, "
                "expected a multiple of them"
            )
        random = np.random.default_rng([self.seed, step])
        # Draw a data set for each snippet of the whole batch, then a snippet of the data set.
        groups = random.choice(len(self._snippets), self.batch_size, p=self._probabilities)
        indices = random.integers([len(self._snippets[group]) for group in groups])
        # Take the slice of this process.
        size = self.batch_size // ranks
        drawn = list(zip(groups, indices, strict=True))[rank * size : (rank + 1) * size]
        return np.stack([self._snippets[group][index] for group, index in drawn])

    def has_truth(self, scene: Scene) -> bool:
        """Returns whether batches include true depth and motion masks of a scene."""
        return self.with_truth and scene.has_truth

    def camera_of(self, snippets: np.ndarray) -> np.ndarray:
        """Returns the camera indices (B,) of snippets (B, 2), for `Batch.camera`."""
        return self._camera_of_scene[snippets[:, 0]]

    def sequential_batches(
        self, batch_size: int, max_snippets: int | None = None
    ) -> "SequentialBatches":
        """Returns batches of all snippets in order, for validation.

        max_snippets: maximum number of snippets, spread evenly over all; None: no maximum.
        """
        snippets = np.concatenate(self._snippets)
        if max_snippets is not None and max_snippets < len(snippets):
            indices = np.linspace(0, len(snippets) - 1, max_snippets).round().astype(int)
            snippets = snippets[indices]
        return SequentialBatches(self, snippets, batch_size)

    def collate(self, snippets: np.ndarray) -> Batch:
        """Copies snippets (B, 2), index of the scene and of the first frame, into one batch."""
        parts = [(self.scenes[scene], int(start)) for scene, start in snippets]
        return collate(
            parts,
            self.camera_of(snippets),
            length=self.length,
            channels=self.channels,
            with_truth=self.with_truth,
            with_lessons=self.with_lessons,
        )


class SequentialBatches:
    """Iterable of the batches of some snippets, each read when it is reached; can be repeated."""

    def __init__(self, sampler: SnippetSampler, snippets: np.ndarray, batch_size: int) -> None:
        """snippets: (K, 2), index of the scene and of the first frame, in the sampler."""
        self._sampler = sampler
        self._snippets = snippets
        self._batch_size = batch_size

    def __len__(self) -> int:
        """Returns the number of batches."""
        return -(-len(self._snippets) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for first in range(0, len(self._snippets), self._batch_size):
            yield self._sampler.collate(self._snippets[first : first + self._batch_size])


def _check_one_size(scenes: Sequence[Scene]) -> None:
    """Raises InputError unless all scenes have images of one size."""
    examples = {scene.frames.shape[2:0:-1]: scene.name for scene in scenes}
    if len(examples) > 1:
        found = ", ".join(
            f"{name} {width}x{height}" for (width, height), name in sorted(examples.items())
        )
        raise InputError(f"scenes of different sizes cannot be mixed in a batch: {found}")


def _camera_indices(scenes: Sequence[Scene], cameras: Sequence[Camera]) -> np.ndarray:
    """Returns the index (S,), int64, of each scene's camera among the run's."""
    positions = {_camera_key(camera): index for index, camera in enumerate(cameras)}
    missing = [scene for scene in scenes if _camera_key(scene.camera) not in positions]
    if missing:
        raise InputError(
            f"scene {missing[0].name}: its camera {missing[0].camera.name} "
            f"is none of the run's {len(cameras)}"
        )
    return np.array([positions[_camera_key(scene.camera)] for scene in scenes], np.int64)


def _list_snippets(groups: Sequence[Sequence[Scene]], length: int) -> list[np.ndarray]:
    """Returns the snippets (K, 2), int, of each data set.

    Index of the scene among the scenes of all data sets, and index of the first frame.
    """
    lists = []
    scene_index = 0
    for scenes in groups:
        parts = [np.empty((0, 2), np.int64)]
        for scene in scenes:
            starts = scene.snippet_starts(length)
            parts.append(np.stack([np.full(len(starts), scene_index), starts], axis=1))
            scene_index += 1
        lists.append(np.concatenate(parts))
    return lists


def _group_probabilities(
    snippets: Sequence[np.ndarray], length: int, weights: Sequence[float]
) -> np.ndarray:
    """Returns the probability of each data set, by its weight or number of snippets."""
    counts = np.array([len(part) for part in snippets], float)
    if counts.sum() == 0:
        raise InputError(f"the data has no snippet of {length} consecutive frames")
    if weights and (len(weights) != len(counts) or min(weights) < 0):
        raise InputError(
            f"data_weights {list(weights)}: expected {len(counts)} numbers, none negative, "
            "for as many data sets"
        )
    products = (np.asarray(weights, float) if weights else counts) * (counts > 0)
    if products.sum() == 0:
        raise InputError(
            f"data_weights {list(weights)}: no data set with snippets has a weight above 0"
        )
    return products / products.sum()
