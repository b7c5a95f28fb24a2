"""Which lines are held back, and that every one of them is told of once."""

from hypothesis import given
from hypothesis import strategies as st

from ovs_metadata_logs.repeats import Held, Repeats


def passed(repeats, now, key="k", times=1, event="e", total=0):
    """What passes of so many lines at one time: how many each says were held back before it."""
    taken = [repeats.take(event, key, now, burst=3, every=10.0, total=total) for _ in range(times)]
    return [more for more in taken if more is not None]


def test_some_pass_at_once_then_one_in_a_while_that_tells_of_the_others():
    repeats = Repeats()
    assert passed(repeats, 0.0, times=100) == [0, 0, 0]
    assert passed(repeats, 9.0) == []
    assert passed(repeats, 10.0) == [98]
    assert passed(repeats, 20.0) == [0]


def test_when_it_is_over_they_are_told_of_by_themselves_and_once():
    repeats = Repeats()
    passed(repeats, 0.0, times=10)
    assert list(repeats.quiet(9.9)) == []
    assert list(repeats.quiet(10.0)) == [Held("e", "k", 7)]
    assert list(repeats.quiet(11.0)) == []
    assert passed(repeats, 12.0) == [0]


def test_one_key_or_event_takes_nothing_from_another():
    repeats = Repeats()
    passed(repeats, 0.0, times=100)
    assert passed(repeats, 0.0, key="other") == [0]
    assert passed(repeats, 0.0, event="f") == [0]


def test_an_event_as_a_whole_is_bounded_and_told_of_while_it_lasts():
    repeats = Repeats()
    lines = [more for n in range(100) for more in passed(repeats, 0.0, key=n, total=20)]
    assert len(lines) == 20
    assert list(repeats.quiet(9.0)) == []
    lines = [more for n in range(100) for more in passed(repeats, 10.0, key=n + 100, total=20)]
    assert len(lines) == 2
    assert list(repeats.quiet(10.0)) == [Held("e", None, 178)]


def test_a_clock_that_stands_still_or_goes_back_is_no_harm():
    repeats = Repeats()
    passed(repeats, 100.0, times=10)
    assert passed(repeats, 50.0) == []
    assert passed(repeats, 60.0) == [8]


@given(
    st.lists(
        st.tuples(st.floats(0.0, 30.0), st.integers(0, 12), st.booleans()), min_size=1, max_size=200
    )
)
def test_what_passed_and_what_was_told_of_is_all_there_was(steps):
    """Whatever the times, keys and looks are; also where keys are forgotten to make room."""
    repeats, now, told, lines = Repeats(max_keys=5), 0.0, 0, 0
    for pause, key, look in steps:
        now += pause
        lines += 1
        more = repeats.take("e", key, now, burst=2, every=10.0, total=4)
        told += 0 if more is None else 1 + more
        if look:
            told += sum(held.count for held in repeats.quiet(now))
        assert len(repeats) <= 5
    told += sum(held.count for held in repeats.quiet(float("inf")))
    assert told == lines
