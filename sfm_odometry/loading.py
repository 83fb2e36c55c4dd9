"""Start of a program: torch and a model are loaded without the garbage collector."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector within, and spare it what was loaded from then on.

    Loading makes a million objects, nearly all of them for good, and the collector would look at
    all of them again and again: a tenth of the time that loading takes. It looks at them again
    after :func:`collect_loaded`.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def collect_loaded() -> None:
    """Let the garbage collector look at everything again, as a model was released."""
    gc.unfreeze()
