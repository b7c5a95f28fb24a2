"""The search for an order: what it accepts and what not, and that it agrees with trying all."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.linear.checker import ILLEGAL, Interval, violation


def register(state, operation):
    """A register: ("w", v) writes, ("r", v) read v, ("c", a, b) found a and wrote b."""
    kind, *values = operation
    if kind == "w":
        return values[0]
    if state != values[0]:
        return ILLEGAL
    return state if kind == "r" else values[1]


def at(*intervals):
    return [Interval(*each) for each in intervals]


SOUND = {
    "nothing": at(),
    "one after the other": at((("w", 1), 0, 1), (("r", 1), 2, 3)),
    "a read of what is being written": at((("w", 1), 0, 9), (("r", 1), 1, 2), (("r", 1), 3, 4)),
    "a read of what was before": at((("w", 1), 0, 9), (("r", 0), 1, 2), (("r", 1), 3, 4)),
    "what nobody heard of happened": at((("w", 1), 0, None), (("r", 1), 5, 6)),
    "what nobody heard of did not happen": at((("w", 1), 0, None), (("r", 0), 5, 6)),
    "what nobody heard of happened late": at(
        (("w", 1), 0, None), (("r", 0), 1, 2), (("w", 2), 3, 4), (("r", 1), 5, 6)
    ),
    "calls and returns at one time": at((("w", 1), 0, 1), (("r", 0), 1, 2)),
    "a chain that was called in another order": at(
        (("c", 2, 3), 0, 9), (("c", 1, 2), 0, 9), (("c", 0, 1), 0, 9), (("r", 3), 10, 11)
    ),
}

UNSOUND = {
    "a read of what was before a write": at((("w", 1), 0, 1), (("r", 0), 2, 3)),
    "a read of what nobody wrote": at((("w", 1), 0, 1), (("r", 2), 2, 3)),
    "a lost write": at((("w", 1), 0, 1), (("w", 2), 2, 3), (("r", 1), 4, 5)),
    "a read that goes back": at((("w", 1), 0, 9), (("r", 1), 1, 2), (("r", 0), 3, 4)),
    "two who found the same": at((("c", 0, 1), 0, 9), (("c", 0, 2), 0, 9)),
    "what nobody heard of happens once": at(
        (("w", 1), 0, None), (("r", 1), 1, 2), (("w", 2), 3, 4), (("r", 2), 5, 6), (("r", 1), 7, 8)
    ),
    "what nobody heard of cannot have been before": at((("r", 1), 0, 1), (("w", 1), 2, None)),
}


@pytest.mark.parametrize("history", SOUND.values(), ids=SOUND)
def test_what_can_have_been_is_accepted(history):
    assert violation(history, register, 0) is None


@pytest.mark.parametrize("history", UNSOUND.values(), ids=UNSOUND)
def test_what_cannot_have_been_is_not(history):
    assert violation(history, register, 0) is not None


def test_it_says_what_did_not_fit():
    history = at((("w", 1), 0, 1), (("w", 2), 2, 3), (("r", 1), 4, 5))
    found = violation(history, register, 0)
    assert found.explained == (("w", 1), ("w", 2))
    assert found.stuck == (("r", 1),)
    assert "('r', 1)" in str(found)


VALUES = st.integers(0, 2)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from("wr"), VALUES), st.tuples(st.just("c"), VALUES, VALUES)
)


@st.composite
def histories(draw):
    made = []
    for what in draw(st.lists(OPERATIONS, max_size=5)):
        since = draw(st.integers(0, 9))
        until = draw(st.none() | st.integers(since, 10))
        made.append(Interval(what, since, until))
    return made


@given(histories())
def test_it_says_what_trying_every_order_says(history):
    assert (violation(history, register, 0) is None) == by_trying(history)


def by_trying(history):
    """Whether some order of all known operations and some of the others explains all."""
    unheard = [each for each in history if each.until is None]
    known = [each for each in history if each.until is not None]
    for number in range(1 << len(unheard)):
        chosen = [each for bit, each in enumerate(unheard) if number >> bit & 1]
        if any(map(explains, permutations(known + chosen))):
            return True
    return False


def explains(order):
    state = 0
    for place, each in enumerate(order):
        if any(
            other.until is not None and other.until < each.since for other in order[place + 1 :]
        ):
            return False
        state = register(state, each.what)
        if state is ILLEGAL:
            return False
    return True


def test_a_long_history_with_what_nobody_heard_of_is_judged_soon():
    """Each of twelve unheard writes could be anywhere; none was read."""
    history = at(*((("w", -n), n, None) for n in range(1, 13)))
    for n in range(600):
        start = 20 + 3 * n
        history += at((("w", 2 * n), start, start + 4), (("w", 2 * n + 1), start, start + 4))
        history += at((("r", 2 * n + n % 2), start + 4.5, start + 4.7))
    steps = 0

    def counted(state, operation):
        nonlocal steps
        steps += 1
        return register(state, operation)

    verdict = violation(history, counted, 0)
    assert verdict is None
    assert steps < 200_000
