"""What a droplet's record does: histories that can be, and planted ones that cannot."""

import pytest

from tests.linear.checker import Interval
from tests.linear.record import Inconsistent, Operation, Shown, judged


def put(value, revision=None, status=200, **more):
    shown = None if revision is None else Shown(value, revision, *more.pop("rest", ()))
    return Operation("put", value, status=status, shown=shown, **more)


def got(value, revision, report=None, event=False, status_revision=0):
    return Operation(
        "get", status=200, shown=Shown(value, revision, report, event, status_revision)
    )


ABSENT = Operation("get", status=404)
CREATED = put(1, 5, 201)
GONE = Operation("delete", status=204)
REPORTED = Operation("report", 7, status=200, told=6)


def one_by_one(*operations):
    return [Interval(each, 2 * n, 2 * n + 1) for n, each in enumerate(operations)]


SOUND = {
    "created, replaced, gone": (ABSENT, CREATED, got(1, 5), put(2, 6), got(2, 6), GONE, ABSENT),
    "created twice": (CREATED, GONE, put(2, 9, 201), got(2, 9)),
    "a condition that holds": (CREATED, put(2, 6, match=5)),
    "a condition that does not": (CREATED, put(2, status=412, match=4, told=5), got(1, 5)),
    "new, and it is not": (CREATED, put(2, status=412, new=True, told=5)),
    "a match where nothing is": (put(2, status=412, match=4),),
    "a report is no new document": (CREATED, REPORTED, got(1, 5, 7, False, 6), put(2, 8, match=5,
        rest=(7,)), got(2, 8, 7)),
    "an event": (CREATED, Operation("announce", status=204), got(1, 5, None, True, 8),
        Operation("announce", status=204), got(1, 5, None, True, 8),
        Operation("call-off", status=204), got(1, 5, None, False, 11)),
    "an end ends the status": (CREATED, REPORTED, GONE, put(2, 9, 201), got(2, 9)),
    "nothing to delete": (Operation("delete", status=404), Operation("announce", status=404)),
}  # fmt: skip

UNSOUND = {
    "a lost write": (CREATED, put(2, 6), got(1, 5)),
    "a lost delete": (CREATED, GONE, got(1, 5)),
    "a lost report": (CREATED, REPORTED, got(1, 5)),
    "a lost event": (CREATED, Operation("announce", status=204), got(1, 5)),
    "a condition that did not hold": (CREATED, put(2, 6), put(3, 7, match=5)),
    "a condition that held": (CREATED, put(2, status=412, match=5, told=5)),
    "a refusal that names another": (CREATED, put(2, 6), put(3, status=412, match=4, told=5)),
    "created where one was": (CREATED, put(2, 6, 201)),
    "replaced where none was": (put(1, 5, 200),),
    "new where one was": (CREATED, put(2, 6, 200, new=True)),
    "a revision that goes back": (CREATED, put(2, 4)),
    "a status of before": (CREATED, REPORTED, GONE, put(2, 9, 201), got(2, 9, 7)),
    "gone twice": (CREATED, GONE, GONE),
    "a status revision that changes": (CREATED, REPORTED, got(1, 5, 7, False, 8)),
}


@pytest.mark.parametrize("operations", SOUND.values(), ids=SOUND)
def test_what_can_have_been_is_accepted(operations):
    assert judged(one_by_one(*operations)) is None


@pytest.mark.parametrize("operations", UNSOUND.values(), ids=UNSOUND)
def test_what_cannot_have_been_is_not(operations):
    assert judged(one_by_one(*operations)) is not None


def test_two_writes_that_found_the_same_document_cannot_both_have():
    """What a store does that leaves the comparison out of its transaction."""
    both = [Interval(put(n, 6 + n, match=5), 2, 9) for n in (2, 3)]
    assert judged([Interval(CREATED, 0, 1), *both]) is not None
    refused = put(3, status=412, match=5, told=8)
    assert judged([Interval(CREATED, 0, 1), both[0], Interval(refused, 2, 9)]) is None


def test_what_nobody_heard_of_may_have_happened_or_not():
    unheard = Interval(Operation("put", 2), 2, None)
    for seen in (got(1, 5), got(2, 8)):
        assert judged([Interval(CREATED, 0, 1), unheard, Interval(seen, 4, 5)]) is None
    history = [Interval(CREATED, 0, 1), unheard, Interval(put(3, 7), 4, 5)]
    assert judged([*history, Interval(got(2, 8), 6, 7)]) is None
    # Its revision tells when it happened.
    assert judged([*history, Interval(got(2, 6), 6, 7)]) is not None


def test_one_document_has_one_revision():
    with pytest.raises(Inconsistent, match="document 1"):
        judged(one_by_one(CREATED, got(1, 6)))


def test_a_history_may_begin_with_what_is_registered():
    first = Shown(1, 5, 7, False, 6)
    assert judged(one_by_one(got(1, 5, 7, False, 6), put(2, 8, match=5, rest=(7,))), first) is None
    assert judged(one_by_one(put(2, status=412, new=True, told=5)), first) is None
    assert judged(one_by_one(ABSENT), first) is not None
    assert judged(one_by_one(put(2, 6)), first) is not None


def test_a_refusal_may_name_what_no_answer_shows():
    unheard = Interval(Operation("put", 2), 2, None)
    refused = [put(3, status=412, new=True, told=told) for told in (8, 8, 9)]
    history = [Interval(CREATED, 0, 1), unheard, *(
        Interval(each, 4 + 2 * n, 5 + 2 * n) for n, each in enumerate(refused)
    )]  # fmt: skip
    assert judged(history[:-1]) is None
    assert judged(history) is not None
    assert judged([*history[:-1], Interval(got(1, 5), 20, 21)]) is not None
