"""What of a source is damaged: left out and told, or an error where --strict is given."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from sfm_odometry.errors import ImageError, InputError

DAMAGED = "whose image is damaged"
"""Reason for which frames are lost: their images cannot be used."""
REPEATED = "with the stamp of the one before"
"""Reason for which frames are lost: they are not of another moment."""
MISSING = "behind the place where their file is cut off"
"""Reason for which frames are lost: a file ends before the number of frames that it announces."""


def tell_damage(text: str) -> None:
    """Prints a warning to stderr, above the progress bar."""
    tqdm.write(f"warning: {text}", file=sys.stderr)


def tell_note(text: str) -> None:
    """Prints a note to stderr, above the progress bar."""
    tqdm.write(f"note: {text}", file=sys.stderr)


def damage_teller(arguments: argparse.Namespace, lost: Counter[str]) -> Callable[[str], None]:
    """Returns a function that tells one damaged frame and counts it in `lost`.

    It raises InputError with the text where the options are strict.
    """

    def tell(text: str) -> None:
        if arguments.strict:
            raise InputError(text)
        lost[DAMAGED] += 1
        tell_damage(text)

    return tell


def warning_teller(arguments: argparse.Namespace) -> Callable[[str], None]:
    """Returns a function that tells a fault once; InputError where the options are strict."""
    told: set[str] = set()

    def tell(text: str) -> None:
        if arguments.strict:
            raise InputError(text)
        if text not in told:
            tell_damage(text)
        told.add(text)

    return tell


class Outcome:
    """Image that was read, or the error that reading it raised, for a worker that asks for it."""

    def __init__(self, read: Callable[[], np.ndarray]) -> None:
        self._image: np.ndarray | None = None
        self._error = ""
        try:
            self._image = read()
        except ImageError as error:
            self._error = str(error)

    def __call__(self) -> np.ndarray:
        """Returns the image (H, W) or (H, W, 3), or raises ImageError."""
        if self._image is None:
            raise ImageError(self._error)
        return self._image
