"""Text files of numbers: reading with errors that name the line, and atomic writing."""

import codecs
import math
import re
from pathlib import Path

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.io.atomic import atomic_write

NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
"""Control characters, which no text file holds."""


def read_text(path: Path) -> str:
    """Reads a text file; raises InputError if it is missing, not a file or not text.

    It is UTF-8, UTF-16 with its mark, as PowerShell writes, or Windows' and older systems' Latin-1.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    text = _decoded(data)
    if text is None:
        raise InputError(f"{path}: not a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes) -> str | None:
    """Text of the bytes of a file; None if they are none."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        is_text = not is_utf16 and NOT_TEXT.search(data) is None
        return data.decode("latin-1") if is_text else None


def parse_numbers(words: str, where: str) -> list[float]:
    """Parses the numbers in `words`, separated by blanks or commas.

    Raises InputError, starting with `where`, for any that is not a finite number.
    """
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
    """Reads the numbers of every line, with the line number from 1.

    Comments (#) and blank lines are skipped. Raises InputError naming file and line.
    """
    rows = []
    for line_number, line in enumerate(read_text(path).splitlines(), start=1):
        content = line.split("#", 1)[0].strip()
        if content:
            rows.append((line_number, parse_numbers(content, f"{path}, line {line_number}")))
    return rows


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` atomically; raises OutputError if that fails.

    Links are followed, devices are written to directly.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise OutputError(f"{path}: cannot be written: is a folder")
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
        else:
            with atomic_write(target) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
