"""When the whole heap is looked at, and that it is, with what nobody uses let go."""

import gc
import weakref

import pytest
from eventlet import sleep, spawn

from ryu_apps.southbound import heap
from ryu_apps.southbound.heap import GROWN, LEAST, OVERGROWN, worth_a_look

MIB = 1 << 20
SIZE = 400 * MIB


class Circle:
    """What only the collector can let go."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def thresholds():
    """The collector's, as they were."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_a_quarter_more_is_worth_a_look_when_nobody_connects():
    assert worth_a_look(int(GROWN * SIZE), SIZE, is_busy=False)
    assert not worth_a_look(int(GROWN * SIZE), SIZE, is_busy=True)
    assert not worth_a_look(int(GROWN * SIZE) - MIB, SIZE, is_busy=False)


def test_twice_as_much_is_worth_a_look_whoever_connects():
    assert worth_a_look(int(OVERGROWN * SIZE), SIZE, is_busy=True)


def test_a_small_process_may_grow():
    assert not worth_a_look(MIB + LEAST - 1, MIB, is_busy=True)
    assert worth_a_look(MIB + LEAST, MIB, is_busy=False)


@pytest.mark.usefixtures("thresholds")
@pytest.mark.parametrize("grown", (True, False))
def test_what_nobody_uses_goes_when_the_process_has_grown(
    grown: bool, monkeypatch: pytest.MonkeyPatch
):
    sizes = iter([SIZE, 2 * SIZE if grown else SIZE, SIZE])
    monkeypatch.setattr(heap, "_size", lambda: next(sizes, SIZE))
    monkeypatch.setattr(heap, "_EVERY", 0)
    heap.look_seldom()
    circle = Circle()
    gc.collect(1)  # It outlives this, so that the young are not its generation any more.
    alive = weakref.ref(circle)
    del circle
    looking = spawn(heap.look_at_all, lambda: False)
    for _ in range(4):
        sleep(0)
    looking.kill()
    assert (alive() is None) is grown


@pytest.mark.usefixtures("thresholds")
def test_the_whole_heap_is_never_looked_at_by_itself():
    heap.look_seldom()
    before = gc.get_stats()[2]["collections"]
    kept = [[n] for n in range(400_000)]
    assert gc.get_stats()[2]["collections"] == before
    assert len(kept) == 400_000
