"""Index of a prepared data set: which scenes it has, in order, in one file or one a shard."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfm_odometry.errors import InputError

FORMAT = "sfm_odometry prepared data"
VERSION = 1
NAME = "index.json"
SHARD_NAME = re.compile(r"index\.(\d+)-of-(\d+)\.json")


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, counted from 1: every count-th recording."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Shard of a text as 3/8; raises InputError."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"--shard {text}: expected I/N with I from 1 to N, such as 3/8")
        return cls(int(match[1]), int(match[2]))

    def indices(self, total: int) -> range:
        """Indices of the shard's recordings among `total`."""
        return range(self.number - 1, total, self.count)

    @property
    def index_name(self) -> str:
        """Name of the shard's index."""
        return NAME if self.count == 1 else f"index.{self.number}-of-{self.count}.json"


def remove_other_indices(folder: Path, shard: Shard) -> None:
    """Remove the indices of earlier runs with another number of shards."""
    for path in folder.glob("index*.json"):
        match = SHARD_NAME.fullmatch(path.name)
        if (int(match[2]) if match else 1) != shard.count:
            path.unlink(missing_ok=True)


def index_content(scenes: Sequence[str], places: Sequence[int], total: int) -> dict[str, Any]:
    """Content of an index of scenes.

    places: of each scene the place of its recording among the `total` of all shards.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "scenes": list(scenes),
        "places": list(places),
        "recordings": total,
    }


def scene_names(folder: Path) -> list[str]:
    """Names of the scenes of a prepared data set, in the order of its recordings.

    Raises InputError with the file that is missing, not readable or of another format, and for
    shards that are missing or do not belong together.
    """
    paths = [folder / NAME]
    if not paths[0].exists():
        paths = _shard_paths(folder) or paths
    contents = [_read_index(path) for path in paths]
    if len(contents) == 1:
        return [str(name) for name in contents[0]["scenes"]]
    # The order does not depend on the number of shards.
    totals = {content.get("recordings") for content in contents}
    if len(totals) > 1:
        raise InputError(
            f"{folder}: its shards found {' and '.join(map(str, sorted(map(str, totals))))} "
            "recordings, expected the same; prepare all shards from the same files"
        )
    found = [
        (int(place), order, str(name))
        for content in contents
        for order, (place, name) in enumerate(
            zip(content["places"], content["scenes"], strict=True)
        )
    ]
    return [name for *_, name in sorted(found)]


def _shard_paths(folder: Path) -> list[Path]:
    """Indices of all shards, in order; none where there is none. Raises InputError for gaps."""
    matches = [SHARD_NAME.fullmatch(path.name) for path in folder.glob("index.*.json")]
    numbers = {int(match[1]): int(match[2]) for match in matches if match}
    if not numbers:
        return []
    count = max(numbers.values())
    missing = [number for number in range(1, count + 1) if numbers.get(number) != count]
    if missing:
        raise InputError(
            f"{folder}: {count - len(missing)} of {count} shards are there, expected all; missing: "
            + ", ".join(map(str, missing))
        )
    return [folder / Shard(number, count).index_name for number in range(1, count + 1)]


def _read_index(path: Path) -> Mapping[str, Any]:
    """Read an index; raises InputError."""
    content = read_json(path)
    if (
        content.get("format") != FORMAT
        or content.get("version") != VERSION
        or not isinstance(content.get("scenes"), list)
    ):
        raise InputError(f"{path}: not an index of version {VERSION} written by training.prepare")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that training.prepare wrote; raises InputError."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected data written by training.prepare"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}), expected data written by training.prepare"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: not an object of JSON, expected data written by training.prepare"
        )
    return content
