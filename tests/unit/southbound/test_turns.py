"""Green threads with much to do, and one that has something to do now and then."""

from itertools import pairwise

import eventlet
import pytest

from ryu_apps.southbound.turns import Turns


class Clock:
    """Time passes by what is done, a millisecond a slice."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def worker(turns: Turns, clock: Clock, slices: int, done: list[float]) -> None:
    """So many slices of work, each noted by when it was over."""
    for _ in range(slices):
        turns.wait()
        clock.now += 0.001
        done.append(clock.now)


def test_others_run_after_every_round_however_many_work(clock: Clock):
    """A round is 5 slices: with `sleep(0)` between slices it would be 50."""
    turns, done, seen = Turns(clock), [], []

    def visitor() -> None:
        while len(done) < 500:
            seen.append(clock.now)
            eventlet.sleep(0)

    threads = [eventlet.spawn(worker, turns, clock, 10, done) for _ in range(50)]
    visits = eventlet.spawn(visitor)
    for thread in (*threads, visits):
        thread.wait()
    gaps = [later - earlier for earlier, later in pairwise(seen)]
    assert max(gaps) < 0.007
    assert len(done) == 500


def test_everybody_has_a_turn_before_anybody_has_two_more(clock: Clock):
    turns = Turns(clock)
    done: list[list[float]] = [[] for _ in range(20)]
    threads = [eventlet.spawn(worker, turns, clock, 10, each) for each in done]
    for thread in threads:
        thread.wait()
    halfway = [each[4] for each in done[1:]]
    assert max(halfway) - min(halfway) < 0.025


def test_who_works_alone_is_not_held_up(clock: Clock):
    turns, done = Turns(clock), []
    worker(turns, clock, 3, done)
    assert done == [0.001, 0.002, 0.003]


def test_one_that_is_killed_is_not_woken_where_it_waits_next(clock: Clock):
    turns, done, told = Turns(clock), [], []

    def mortal() -> None:
        try:
            worker(turns, clock, 1000, done)
        except eventlet.Timeout:
            told.append("ended")
            eventlet.sleep(0.02)
            told.append("slept")

    threads = [eventlet.spawn(worker, turns, clock, 50, []) for _ in range(3)]
    victim = eventlet.spawn(mortal)
    eventlet.sleep(0)
    victim.kill(eventlet.Timeout())
    assert told == ["ended"]
    for thread in threads:
        thread.wait()
    assert told == ["ended"]
    eventlet.sleep(0.05)
    assert told == ["ended", "slept"]
