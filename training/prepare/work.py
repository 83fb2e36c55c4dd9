"""Parallel preparation of recordings, resumable after an interruption."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from sfm_odometry.errors import InputError
from sfm_odometry.io.images import read_depth, read_image
from training.prepare.damage import DAMAGED, tell_damage
from training.prepare.recording import Recording, SourceFrame
from training.prepare.scene import Options, PreparedScene, ScenePreparer

CHUNK_FRAMES = 8
"""Frames that a worker takes at a time. An interrupted run loses no more than one chunk for each
worker."""


def prepare(
    recordings: Sequence[Recording], out: Path, options: Options, workers: int
) -> list[PreparedScene]:
    """Prepares all recordings into `out` and returns summaries of their scenes.

    Complete scenes are left as they are. The workers are threads, since decoding, resizing and
    writing happen outside of Python's lock.

    Raises InputError and OutputError naming the file.
    """
    # One progress bar and one pool of workers for all recordings.
    total = sum(recording.count for recording in recordings)
    with (
        _single_threaded_opencv(),
        tqdm(total=total, unit="frame") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        return [
            scene
            for recording in recordings
            for scene in _prepare_recording(recording, out, options, pool, workers, bar)
        ]


@contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """Limits OpenCV to one thread, since each worker occupies a core already."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _prepare_recording(
    recording: Recording,
    out: Path,
    options: Options,
    pool: ThreadPoolExecutor,
    workers: int,
    bar: tqdm,
) -> list[PreparedScene]:
    """Prepares the views of one recording in a single pass over its frames."""
    scenes = [ScenePreparer(recording, view, out, options) for view in recording.views]
    # Skip recordings whose scenes are all complete.
    if all(scene.is_complete() for scene in scenes):
        bar.update(recording.count)
        return [scene.summary() for scene in scenes]
    # Write the frames of all views, then complete the scenes.
    with ExitStack() as stack:
        for scene in scenes:
            stack.enter_context(scene.writer.opened())
        numbers = _write_frames(recording, scenes, pool, workers, bar)
        damaged = scenes[0].writer.damaged()
        if damaged:
            recording.lost[DAMAGED] += len(damaged)
        for scene in scenes:
            scene.finish(numbers, damaged, pool)
    return [scene.summary() for scene in scenes]


def _write_frames(
    recording: Recording,
    scenes: Sequence[ScenePreparer],
    pool: ThreadPoolExecutor,
    workers: int,
    bar: tqdm,
) -> np.ndarray:
    """Submits chunks of frames to the workers and returns all frame numbers (N,).

    At most two chunks for each worker are pending, which bounds the memory of decoded frames.
    """

    def is_done(chunk: int) -> bool:
        return all(scene.writer.is_done(chunk) for scene in scenes)

    numbers: list[int] = []
    pending: deque[Future[int]] = deque()
    chunks = _chunks(recording.frames(lambda index: not is_done(index // CHUNK_FRAMES)))
    try:
        # Submit the chunks that an earlier run has not done, a few ahead of the workers.
        for chunk, frames in enumerate(chunks):
            numbers += [frame.number for frame in frames]
            if is_done(chunk):
                bar.update(len(frames))
                continue
            pending.append(pool.submit(_prepare_chunk, chunk, frames, recording, scenes))
            while len(pending) > 2 * workers:
                bar.update(pending.popleft().result())
        # Wait for the rest.
        for future in pending:
            bar.update(future.result())
    finally:
        # The writers' files are closed after this: no worker may still be writing to them.
        for future in pending:
            future.cancel()
        wait(pending)
    return np.array(numbers)


def _chunks(frames: Iterable[SourceFrame]) -> Iterator[list[SourceFrame]]:
    """Splits frames into lists of CHUNK_FRAMES; the last may be shorter."""
    frames = iter(frames)
    while chunk := list(itertools.islice(frames, CHUNK_FRAMES)):
        yield chunk


def _prepare_chunk(
    chunk: int,
    frames: Sequence[SourceFrame],
    recording: Recording,
    scenes: Sequence[ScenePreparer],
) -> int:
    """Prepares one chunk for all scenes and returns its number of frames.

    Damaged frames are told and left out; InputError where the options are strict.
    """
    # Decode each frame once and write it to every scene.
    damaged: list[int] = []
    for index, frame in enumerate(frames, start=chunk * CHUNK_FRAMES):
        if frame.image is None:
            raise ValueError(
                f"{recording.drive}: frame {frame.number} is wanted, but its source left it out"
            )
        try:
            image = frame.image()
            depth = None if frame.depth_path is None else _read_depth(frame.depth_path)
            mask = None if frame.mask_path is None else read_image(frame.mask_path)
        except InputError as error:
            if scenes[0].options.strict:
                raise
            tell_damage(f"{error}; left out")
            damaged.append(index)
            continue
        for scene in scenes:
            scene.write(index, image, depth, mask)
    # Enter the chunk into the journals only when all of it is written.
    for scene in scenes:
        scene.writer.mark_done(chunk, damaged)
    return len(frames)


def _read_depth(path: Path) -> np.ndarray:
    """Returns a rendered depth map (H, W) in metres; unknown depth is sky, infinitely far."""
    return np.nan_to_num(read_depth(path), nan=np.inf)
