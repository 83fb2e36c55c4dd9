"""Text files of numbers: read with errors that name the line, written so that a reader never
sees half a file."""

import math
import os
from pathlib import Path

from sfm_odometry.errors import InputError, OutputError


def read_text(path: Path) -> str:
    """The text of `path`; raises InputError when it is missing, not a file or not text."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def parse_numbers(words: str, where: str) -> list[float]:
    """The numbers in `words`, parted by blanks or commas; raises InputError, starting with
    `where`, on any that is not finite."""
    numbers = []
    for word in words.replace(",", " ").split():
        try:
            number = float(word)
        except ValueError:
            raise InputError(f"{where}: {word[:40]!r} is not a number") from None
        if not math.isfinite(number):
            raise InputError(f"{where}: {word[:40]!r} is not a finite number")
        numbers.append(number)
    return numbers


def read_number_rows(path: Path) -> list[tuple[int, list[float]]]:
    """(line number from 1, its numbers) of every line; comments (#) and blank lines are left
    out."""
    rows = []
    for line_number, line in enumerate(read_text(path).splitlines(), start=1):
        content = line.split("#", 1)[0].strip()
        if content:
            rows.append((line_number, parse_numbers(content, f"{path}, line {line_number}")))
    return rows


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` whole or not at all; raises OutputError when that cannot be.

    The text goes to a neighbouring file first and takes the name by a rename. Links are followed,
    devices are written to directly.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise OutputError(f"{path}: cannot be written: is a folder")
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
        else:
            _write_and_rename(target, text)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _write_and_rename(target: Path, text: str) -> None:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
