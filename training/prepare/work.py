"""The work of preparation: recordings become scenes, their frames in parallel, and what an
interrupted run has done is kept."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from sfm_odometry.io.images import read_depth, read_image
from training.prepare.recording import Recording, SourceFrame
from training.prepare.scene import Options, PreparedScene, SceneInWork

CHUNK = 8
"""Frames that a worker takes at a time; an interrupted run loses no more than these for each
worker."""


def prepare(
    recordings: Sequence[Recording], out: Path, options: Options, workers: int
) -> list[PreparedScene]:
    """Prepare all recordings into `out`; complete scenes are left as they are. Raises InputError
    and OutputError naming the file.

    The workers are threads: decoding, resizing and writing happen outside of Python's lock.
    """
    total = sum(recording.count for recording in recordings)
    with (
        _one_opencv_thread(),
        tqdm(total=total, unit="frame") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        return [
            scene
            for recording in recordings
            for scene in _prepare_recording(recording, out, options, pool, workers, bar)
        ]


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Each worker has a core of its own already."""
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
    views = [SceneInWork(recording, view, out, options) for view in recording.views]
    if all(view.is_complete() for view in views):
        bar.update(recording.count)
        return [view.summary() for view in views]
    with ExitStack() as stack:
        for view in views:
            stack.enter_context(view.writer.opened())
        numbers = _write_frames(recording, views, pool, workers, bar)
        for view in views:
            view.finish(numbers, pool)
    return [view.summary() for view in views]


def _write_frames(
    recording: Recording,
    views: Sequence[SceneInWork],
    pool: ThreadPoolExecutor,
    workers: int,
    bar: tqdm,
) -> np.ndarray:
    """Give out chunks of frames, a few ahead of the workers, and return all frame numbers."""

    def is_done(chunk: int) -> bool:
        return all(view.writer.is_done(chunk) for view in views)

    numbers: list[int] = []
    waiting: deque[Future[int]] = deque()
    try:
        for chunk, frames in enumerate(
            _chunks(recording.frames(lambda index: not is_done(index // CHUNK)))
        ):
            numbers += [frame.number for frame in frames]
            if is_done(chunk):
                bar.update(len(frames))
                continue
            waiting.append(pool.submit(_prepare_chunk, chunk, frames, recording, views))
            while len(waiting) > 2 * workers:
                bar.update(waiting.popleft().result())
        for future in waiting:
            bar.update(future.result())
    finally:  # the writers' files are closed after this, so nobody may be at work any more
        for future in waiting:
            future.cancel()
        wait(waiting)
    return np.array(numbers)


def _chunks(frames: Iterable[SourceFrame]) -> Iterator[list[SourceFrame]]:
    frames = iter(frames)
    while chunk := list(itertools.islice(frames, CHUNK)):
        yield chunk


def _prepare_chunk(
    chunk: int, frames: Sequence[SourceFrame], recording: Recording, views: Sequence[SceneInWork]
) -> int:
    """Prepare one chunk for all views and return its number of frames."""
    for index, frame in enumerate(frames, start=chunk * CHUNK):
        if frame.image is None:
            raise ValueError(
                f"{recording.drive}: frame {frame.number} is wanted, but its source left it out"
            )
        image = frame.image()
        depth = None if frame.depth_path is None else _sky_depth(frame.depth_path)
        mask = None if frame.mask_path is None else read_image(frame.mask_path)
        for view in views:
            view.write(index, image, depth, mask)
    for view in views:
        view.writer.mark_done(chunk)
    return len(frames)


def _sky_depth(path: Path) -> np.ndarray:
    """A rendered depth map in metres; where it is unknown there is sky, which is infinitely far."""
    return np.nan_to_num(read_depth(path), nan=np.inf)
