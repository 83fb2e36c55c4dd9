"""Errors that a user can mend: one root class and its children.

Every command line catches the root once (see :mod:`sfm_odometry.cli`) and prints its one line;
everything else is a bug and keeps its traceback.
"""


class SfmOdometryError(Exception):
    """Root of all errors that the user can mend.

    The message is one line with what was found and what was expected.
    """


class InputError(SfmOdometryError):
    """A file, folder or value that the user gave cannot be used."""


class CalibrationError(InputError):
    """Intrinsics that are missing, malformed or impossible."""


class ImageError(InputError):
    """An image that cannot be read or has an unusable shape or type."""


class CheckpointError(InputError):
    """A model file that is missing, truncated, foreign or does not fit the network it names."""


class OutputError(SfmOdometryError):
    """A place that the user named for results cannot be written."""
