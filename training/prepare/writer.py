"""Resumable writer of one scene, frame by frame and in any order."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from sfm_odometry.errors import OutputError
from sfm_odometry.io.atomic import atomic_write

HEADER_BYTES = 128
"""Size of the header of an .npy file of any of our shapes. The header is written last, when the
number of frames is known."""
JOURNAL = "progress.txt"
"""File of an incomplete scene that lists its fingerprint and the chunks that are done, each with
the indices of its damaged frames."""
COMPACTING = "compacting"
"""Line of the journal, after which the places of the frames are no longer those of the source."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError, such as of a full disk, into an OutputError naming `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file atomically: it exists as a whole or not at all."""
    with disk_errors(path), atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content))


class SceneWriter:
    """Writes a scene's arrays of N items each.

    The files lie in a temporary folder, which gets the scene's name when the scene is complete.

    A journal lists the chunks of frames that are done. A run that was killed leaves it behind, and
    the next one resumes from it, unless the fingerprint shows that the source or the options have
    changed.

    Files are written and not memory-mapped, because a full disk under a mapping kills the process;
    disk errors are raised as OutputError. Threads may write different frames at the same time.
    """

    def __init__(
        self, folder: Path, fingerprint: str, items: Mapping[str, tuple[DTypeLike, tuple[int, ...]]]
    ) -> None:
        """Prepares to write the scene `folder`.

        fingerprint: identifies source and options; stored in scene.json as `made_from`.
        items: for each array the type and the shape of one item.
        """
        self.folder = folder
        self.fingerprint = fingerprint
        self._items = {name: (np.dtype(dtype), shape) for name, (dtype, shape) in items.items()}
        self._part_folder = folder.with_name(f".{folder.name}.part")
        self._files: dict[str, int] = {}
        self._journal = -1
        self._done: dict[int, list[int]] = {}

    def complete_description(self) -> dict[str, Any] | None:
        """Returns the description of the scene if it is complete, otherwise None.

        Complete means that all files have their full size and were made with the same fingerprint.
        """
        try:
            description = json.loads((self.folder / "scene.json").read_text())
            count = len(description["frame_numbers"])
            is_whole = all(
                (self.folder / f"{name}.npy").stat().st_size == self._file_bytes(name, count)
                for name in self._items
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_same = description.get("made_from") == self.fingerprint
        return description if is_whole and is_same else None

    @contextmanager
    def opened(self) -> Iterator["SceneWriter"]:
        """Opens the files for writing and closes them when the context ends.

        Chunks that are done are kept, even if the context ends by an exception.
        """
        with disk_errors(self.folder):
            self._done = self._resume()
            self._files = {
                name: os.open(self._part_folder / f"{name}.npy", os.O_RDWR | os.O_CREAT, 0o666)
                for name in self._items
            }
            self._journal = os.open(self._part_folder / JOURNAL, os.O_WRONLY | os.O_APPEND)
        try:
            yield self
        finally:
            for file in (*self._files.values(), self._journal):
                os.close(file)

    def is_done(self, chunk: int) -> bool:
        """Returns whether a chunk is done, by this run or an earlier one."""
        return chunk in self._done

    def write(self, name: str, index: int, values: np.ndarray) -> None:
        """Writes one item of an array; raises ValueError if its shape is wrong."""
        dtype, shape = self._items[name]
        if values.shape != shape:
            raise ValueError(f"{name}: item of shape {values.shape}, expected {shape}")
        data = np.ascontiguousarray(values, dtype).data.cast("B")
        offset = self._file_bytes(name, index)
        with disk_errors(self.folder):
            while data:
                written = os.pwrite(self._files[name], data, offset)
                data = data[written:]
                offset += written

    def damaged(self) -> list[int]:
        """Returns the indices of the damaged frames of all chunks that are done."""
        return sorted(index for damaged in self._done.values() for index in damaged)

    def mark_done(self, chunk: int, damaged: Sequence[int] = ()) -> None:
        """Enters a chunk, whose frames are all written but for the damaged ones, in the journal."""
        line = " ".join(map(str, (chunk, *damaged)))
        with disk_errors(self.folder):
            os.write(self._journal, f"{line}\n".encode())
        self._done[chunk] = list(damaged)

    def compact(self, kept: Sequence[int]) -> None:
        """Moves the items at these indices, increasing, to the beginning of all arrays."""
        with disk_errors(self.folder):
            os.write(self._journal, f"{COMPACTING}\n".encode())
            for name, file in self._files.items():
                size = self._file_bytes(name, 1) - HEADER_BYTES
                for target, source in enumerate(kept):
                    if target != source:
                        data = os.pread(file, size, self._file_bytes(name, source))
                        os.pwrite(file, data, self._file_bytes(name, target))

    def add_file(self, name: str, content: bytes) -> None:
        """Writes a further file into the scene's folder."""
        with disk_errors(self.folder):
            (self._part_folder / name).write_bytes(content)

    def read_back(self, name: str, count: int) -> np.ndarray:
        """Returns the first `count` items of an array, (count, ...), as a read-only map."""
        dtype, shape = self._items[name]
        return np.memmap(
            self._part_folder / f"{name}.npy", dtype, "r", HEADER_BYTES, (count, *shape)
        )

    def finish(self, count: int, description: Mapping[str, Any]) -> None:
        """Completes the scene with `count` frames and moves it to its final folder."""
        with disk_errors(self.folder):
            for name in self._items:
                self._write_header(name, count)
            (self._part_folder / "scene.json").write_text(
                json.dumps({**description, "made_from": self.fingerprint})
            )
            shutil.rmtree(self.folder, ignore_errors=True)
            self._part_folder.rename(self.folder)
            (self.folder / JOURNAL).unlink()

    def _resume(self) -> dict[int, list[int]]:
        """Returns the chunks that an earlier run has done, and the damaged frames of each.

        Its folder is removed and started anew if it was made with another fingerprint.
        """
        journal = self._part_folder / JOURNAL
        # The last line is dropped: it may have been cut off.
        lines = journal.read_text().split("\n")[:-1] if journal.exists() else []
        if lines[:1] != [self.fingerprint] or COMPACTING in lines:
            shutil.rmtree(self._part_folder, ignore_errors=True)
            self._part_folder.mkdir(parents=True)
            lines = [self.fingerprint]
        journal.write_text("".join(f"{line}\n" for line in lines))
        chunks = [[int(word) for word in line.split()] for line in lines[1:]]
        return {chunk: damaged for chunk, *damaged in chunks}

    def _file_bytes(self, name: str, count: int) -> int:
        """Returns the size of an array's file with `count` items."""
        dtype, shape = self._items[name]
        return HEADER_BYTES + count * math.prod(shape) * dtype.itemsize

    def _write_header(self, name: str, count: int) -> None:
        """Cuts an array's file to `count` items and writes its .npy header."""
        dtype, shape = self._items[name]
        file = self._files[name]
        os.ftruncate(file, self._file_bytes(name, count))
        with os.fdopen(os.dup(file), "r+b") as stream:
            stream.seek(0)
            content = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (count, *shape),
            }
            np.lib.format.write_array_header_1_0(stream, content)
            if stream.tell() != HEADER_BYTES:
                raise ValueError(
                    f"header of {stream.tell()} bytes for shape {(count, *shape)}, "
                    f"expected {HEADER_BYTES}"
                )
        os.fsync(file)
