"""What calls do to a droplet's record, as clients can see it: the object of the check. Pure.

Documents and reports are numbers here, each used once: an answer so tells which write it shows.
ETags are `REVISION` or `REVISION-STATUS`, as docs/rest.md has them. Which revision a write got is
known from whatever answer shows it; of a write that no answer shows it stays unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.linear.checker import ILLEGAL, Interval, Violation, violation


class Shown(NamedTuple):
    """A record as an answer shows it: its document, its status and the revisions of both."""

    document: int
    revision: int
    report: int | None = None
    event: bool = False
    status_revision: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """What was asked: `kind` is get, put, report, announce, call-off or delete.

    `value` is the document or the report. `match` is the revision that If-Match named, `new` stands
    for If-None-Match: *. `status` is what came back, None where that is not known, with the record
    that the answer has `shown` (None: none). `told` is the revision that the answer to a report
    told, or that a refusal named (None: there is no record). `certain`: a get that would rather be
    refused than be answered by what may be old. `by` is for people.
    """

    kind: str
    value: int | None = None
    match: int | None = None
    new: bool = False
    status: int | None = None
    shown: Shown | None = None
    told: int | None = None
    certain: bool = False
    by: str = ""


class Record(NamedTuple):
    """A record. `status_revision` is 0 where the document is newer, which is when ETags do not tell
    it; None where a write whose answer did not tell it has made it. `named` is the revision of a
    document that no answer shows, by which a refusal named it."""

    document: int
    report: int | None = None
    event: bool = False
    status_revision: int | None = 0
    named: int | None = None


class State(NamedTuple):
    """The record, None where there is none; no later write has a revision up to `newest`."""

    newest: int = 0
    record: Record | None = None


class Inconsistent(AssertionError):
    """Answers contradict each other, whatever the order was."""


def judged(history: Sequence[Interval], first: Shown | None = None) -> Violation | None:
    """Why this history of one droplet cannot be, which was registered so at `first` (None: it was
    not); None: it can.

    Raises Inconsistent.
    """
    droplet = Droplet(each.what for each in history)
    state = State()
    if first is not None:
        droplet.revisions[first.document] = first.revision
        record = Record(first.document, first.report, first.event, first.status_revision)
        state = State(max(first.revision, first.status_revision), record)
    return violation(history, droplet.step, state)


class Droplet:
    """The object: what each operation makes of a state."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        """Raises Inconsistent where one document was shown with two revisions."""
        self.revisions: dict[int, int] = {}
        for operation in operations:
            if (shown := operation.shown) is None:
                continue
            known = self.revisions.setdefault(shown.document, shown.revision)
            if known != shown.revision:
                raise Inconsistent(
                    f"document {shown.document} has the revisions {known} and {shown.revision}"
                )

    def step(self, state: State, operation: Operation) -> Any:
        """The state after it; ILLEGAL where it cannot have come out so."""
        if operation.status == 412:
            return self._refused(state, operation)
        if operation.status == 404:
            return state if state.record is None else ILLEGAL
        if operation.kind == "get":
            return self._shows(state, operation.shown)
        if operation.kind == "put":
            return self._put(state, operation)
        if state.record is None or not self._allowed(state.record, operation):
            # One that failed unheard changed nothing, which is as if it had not been.
            return ILLEGAL
        if operation.kind == "delete":
            return State(state.newest)
        return self._changed(state, state.record, operation)

    def _put(self, state: State, operation: Operation) -> Any:
        before = state.record
        if not self._allowed(before, operation):
            return ILLEGAL
        if operation.status is not None and (operation.status == 201) != (before is None):
            return ILLEGAL
        assert operation.value is not None
        after = Record(operation.value, *(before[1:3] if before else ()))
        revision = self.revisions.get(operation.value)
        if revision is not None and revision <= state.newest:
            return ILLEGAL
        written = State(revision or state.newest, after)
        return written if operation.shown is None else self._shows(written, operation.shown)

    def _changed(self, state: State, record: Record, operation: Operation) -> Any:
        """After a change of the status."""
        if operation.kind == "report":
            after = record._replace(report=operation.value)
        else:
            after = record._replace(event=operation.kind == "announce")
        if after == record:
            return state
        after = after._replace(status_revision=operation.told)
        if operation.told is None:
            return state._replace(record=after)
        return State(operation.told, after) if operation.told > state.newest else ILLEGAL

    def _shows(self, state: State, shown: Shown | None) -> Any:
        """After an answer that shows the record; it may tell what was not known."""
        record = state.record
        if record is None or shown is None:
            return state if record is shown else ILLEGAL
        if (record.document, record.report, record.event) != (
            shown.document,
            shown.report,
            shown.event,
        ):
            return ILLEGAL
        if record.status_revision is None and shown.status_revision > state.newest:
            known = record._replace(status_revision=shown.status_revision)
            return State(shown.status_revision, known)
        return state if record.status_revision == shown.status_revision else ILLEGAL

    def _refused(self, state: State, operation: Operation) -> Any:
        """After 412, whose text tells of the record why."""
        record = state.record
        if self._allowed(record, operation):
            return ILLEGAL
        if record is None or operation.told is None:
            return state if (record is None) == (operation.told is None) else ILLEGAL
        known = self._revision(record)
        if known is None and operation.told not in self.revisions.values():
            newest = max(state.newest, operation.told)
            return State(newest, record._replace(named=operation.told))
        return state if known == operation.told else ILLEGAL

    def _allowed(self, record: Record | None, operation: Operation) -> bool:
        """Whether the operation's condition holds of the record."""
        if operation.new:
            return record is None
        if operation.match is None:
            return True
        # A document whose revision no answer has shown is none that anybody could have named.
        return record is not None and self._revision(record) == operation.match

    def _revision(self, record: Record) -> int | None:
        return self.revisions.get(record.document, record.named)
