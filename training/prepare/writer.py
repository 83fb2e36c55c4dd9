"""One scene written frame by frame, in any order, so that an interrupted run can go on."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from sfm_odometry.errors import OutputError

HEADER_BYTES = 128
"""Of an .npy file of any of our shapes; it is written last, when the number of frames is known."""
JOURNAL = "progress.txt"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Where `path` cannot be written, a full disk among the reasons, that is an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file so that it is there as a whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        temporary.write_text(json.dumps(content))
        os.replace(temporary, path)


class SceneWriter:
    """Writes arrays of N items each into a folder beside the scene's, which gets the scene's name
    when all is there.

    Chunks of frames that are done stand in a journal; a run that was killed leaves it behind, and
    the next one goes on from it, unless `made_from` tells that the source or the options are others
    by now. Files are written and not mapped, for a full disk under a map kills the process; what
    the disk refuses is an OutputError. Threads may write different frames at the same time.
    """

    def __init__(
        self, folder: Path, made_from: str, items: Mapping[str, tuple[DTypeLike, tuple[int, ...]]]
    ) -> None:
        """items: of each array the type and the shape of one item; made_from: identifies source
        and options."""
        self.folder, self.made_from = folder, made_from
        self._items = {name: (np.dtype(dtype), shape) for name, (dtype, shape) in items.items()}
        self._part = folder.with_name(f".{folder.name}.part")
        self._files: dict[str, int] = {}
        self._journal = -1
        self._done: set[int] = set()

    def complete_description(self) -> dict[str, Any] | None:
        """The description of the scene where it is there already, whole and made from the same;
        otherwise None."""
        try:
            description = json.loads((self.folder / "scene.json").read_text())
            count = len(description["frame_numbers"])
            whole = all(
                (self.folder / f"{name}.npy").stat().st_size == self._file_bytes(name, count)
                for name in self._items
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return description if whole and description.get("made_from") == self.made_from else None

    @contextmanager
    def opened(self) -> Iterator["SceneWriter"]:
        """The writer ready to write; what it has done is kept when the context ends, in whatever
        way."""
        with disk_errors(self.folder):
            self._done = self._take_over()
            self._files = {
                name: os.open(self._part / f"{name}.npy", os.O_RDWR | os.O_CREAT, 0o666)
                for name in self._items
            }
            self._journal = os.open(self._part / JOURNAL, os.O_WRONLY | os.O_APPEND)
        try:
            yield self
        finally:
            for file in (*self._files.values(), self._journal):
                os.close(file)

    def is_done(self, chunk: int) -> bool:
        """Whether a chunk was done by a run before this one."""
        return chunk in self._done

    def write(self, name: str, index: int, values: np.ndarray) -> None:
        """Write one item of an array."""
        dtype, shape = self._items[name]
        if values.shape != shape:
            raise ValueError(f"{name}: item of shape {values.shape}, expected {shape}")
        data = np.ascontiguousarray(values, dtype).data.cast("B")
        offset = self._file_bytes(name, index)
        with disk_errors(self.folder):
            while data:
                written = os.pwrite(self._files[name], data, offset)
                data, offset = data[written:], offset + written

    def mark_done(self, chunk: int) -> None:
        """Note that all frames of a chunk are written."""
        with disk_errors(self.folder):
            os.write(self._journal, f"{chunk}\n".encode())

    def map(self, name: str, count: int) -> np.ndarray:
        """What was written, (count, ...), to be read only."""
        dtype, shape = self._items[name]
        return np.memmap(self._part / f"{name}.npy", dtype, "r", HEADER_BYTES, (count, *shape))

    def finish(self, count: int, description: Mapping[str, Any]) -> None:
        """The scene is complete with `count` frames: from here on it is there under its name."""
        with disk_errors(self.folder):
            for name in self._items:
                self._write_header(name, count)
            (self._part / "scene.json").write_text(
                json.dumps({**description, "made_from": self.made_from})
            )
            shutil.rmtree(self.folder, ignore_errors=True)
            self._part.rename(self.folder)
            (self.folder / JOURNAL).unlink()

    def _take_over(self) -> set[int]:
        """The chunks that an earlier run has left done; everything else of it is removed."""
        journal = self._part / JOURNAL
        lines = (
            journal.read_text().split("\n")[:-1] if journal.exists() else []
        )  # the last may be cut off
        if lines[:1] != [self.made_from]:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
            lines = [self.made_from]
        journal.write_text("".join(f"{line}\n" for line in lines))
        return {int(line) for line in lines[1:]}

    def _file_bytes(self, name: str, count: int) -> int:
        dtype, shape = self._items[name]
        return HEADER_BYTES + count * math.prod(shape) * dtype.itemsize

    def _write_header(self, name: str, count: int) -> None:
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
                    f"header of {stream.tell()} bytes for shape {(count, *shape)}, expected {HEADER_BYTES}"
                )
        os.fsync(file)
