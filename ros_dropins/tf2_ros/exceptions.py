"""Exceptions of look-ups; all of them are a TransformException."""


class TransformException(Exception):
    """Base class of the exceptions of tf2."""


class ConnectivityException(TransformException):
    """The two frames are in trees that are not connected."""


class LookupException(TransformException):
    """A frame does not exist, or the tree has a loop."""


class ExtrapolationException(TransformException):
    """The requested time lies outside the stored transforms."""


class InvalidArgumentException(TransformException):
    """A frame name is empty or begins with a slash."""


class TimeoutException(TransformException):
    """Never raised: look-ups report the reason of a timeout. It exists to be caught by name."""
