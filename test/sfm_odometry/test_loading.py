"""The garbage collector while torch and a model are loaded."""

import gc

import pytest

from sfm_odometry.loading import collect_loaded, collector_paused


class Cycle:
    """An object that only the garbage collector frees."""

    alive = 0

    def __init__(self):
        Cycle.alive += 1
        self.itself = self

    def __del__(self):
        Cycle.alive -= 1


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_was_loaded_is_not_looked_at_until_it_is_released():
    with collector_paused():
        assert not gc.isenabled()
        Cycle()
    assert gc.isenabled()
    gc.collect()
    assert Cycle.alive == 1
    collect_loaded()
    gc.collect()
    assert Cycle.alive == 0


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()


def test_after_an_error_the_collector_goes_on_with_everything():
    with pytest.raises(ValueError, match="no model"), collector_paused():
        Cycle()
        raise ValueError("no model")
    assert gc.isenabled()
    gc.collect()
    assert Cycle.alive == 0
