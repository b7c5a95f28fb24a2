"""Is a history linearizable? The search of Wing and Gong with Lowe's memory of where it was.

Wing, Gong: Testing and verifying concurrent objects (1993); Lowe: Testing for linearizability
(2017). Pure. The object is a function: from a state and an operation to the state after it, or to
`ILLEGAL` where the operation cannot have come out in that state as it did.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

ILLEGAL: Final = object()
"""What an operation's outcome makes of a state that it cannot have had."""

Step = Callable[[Any, Any], Hashable]


@dataclass(frozen=True, slots=True)
class Interval:
    """An operation with its outcome in `what`, and when it was called and came back.

    `until` None: nobody knows what became of it. It may have happened at any time since, or not.
    """

    what: Any
    since: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Violation:
    """No order explains the history: the longest that explains a part, and what does not fit then.

    `stuck` are the operations of which one would have had to come next.
    """

    explained: tuple[Any, ...]
    stuck: tuple[Any, ...]

    def __str__(self) -> str:
        lines = [
            f"no order explains all; {len(self.explained)} operations can be, the last of them"
        ]
        lines += [f"    {what}" for what in self.explained[-5:]]
        return "\n".join([*lines, "then none of these fits:", *(f"    {w}" for w in self.stuck)])


class _Entry:
    """A call or a return in the list of all that is not yet in the order."""

    __slots__ = ("after", "before", "number", "returned")

    def __init__(self, number: int) -> None:
        self.number = number
        self.before: _Entry = self
        self.after: _Entry = self
        self.returned: _Entry | None = None  # of a call
        """The return of this call; None: it is a return, or a call that never came back."""


def violation(history: Sequence[Interval], step: Step, initial: Hashable) -> Violation | None:
    """None where some order of the operations, each within its time, explains all outcomes."""
    return _Search(history, step, initial).run()


class _Search:
    def __init__(self, history: Sequence[Interval], step: Step, initial: Hashable) -> None:
        self._history = history
        self._step = step
        self._state = initial
        self._calls: set[_Entry] = set()
        self._head = self._listed()
        self._done = 0  # A bit for each operation that is in the order.
        self._been = {(0, initial)}
        self._order: list[tuple[_Entry, Hashable]] = []
        self._longest: list[int] = []
        self._stuck: list[int] = []

    def run(self) -> Violation | None:
        """Go forward where an operation can come next, and back where none can."""
        entry = self._head.after
        while self._open:
            if entry in self._calls:
                if self._take(entry):
                    entry = self._head.after
                else:
                    entry = entry.after
                continue
            # At a return whose operation is not in the order, or past the last entry: it would have
            # had to come before now.
            self._remember_stuck()
            if not self._order:
                return self._violation()
            entry = self._give_back().after
        return None

    def _listed(self) -> _Entry:
        """All calls and returns as a ring around its head. What comes at one time overlaps."""
        events: list[tuple[float, int, _Entry]] = []
        self._open = 0
        for number, interval in enumerate(self._history):
            call = _Entry(number)
            self._calls.add(call)
            events.append((interval.since, 0, call))
            if interval.until is not None:
                call.returned = _Entry(number)
                events.append((interval.until, 1, call.returned))
                self._open += 1
        head = last = _Entry(-1)
        for _, _, entry in sorted(events, key=lambda event: event[:2]):
            last.after, entry.before = entry, last
            last = entry
        last.after, head.before = head, last
        return head

    def _take(self, call: _Entry) -> bool:
        """Put the operation next into the order, unless it does not fit or leads where we were."""
        after = self._step(self._state, self._history[call.number].what)
        if after is ILLEGAL:
            return False
        there = (self._done | 1 << call.number, after)
        if there in self._been:
            return False
        self._been.add(there)
        self._order.append((call, self._state))
        self._done, self._state = there
        for entry in (call, call.returned):
            if entry is not None:
                entry.before.after, entry.after.before = entry.after, entry.before
        self._open -= call.returned is not None
        return True

    def _give_back(self) -> _Entry:
        """Take the last operation out of the order again."""
        call, self._state = self._order.pop()
        self._done &= ~(1 << call.number)
        for entry in (call.returned, call):
            if entry is not None:
                entry.before.after = entry.after.before = entry
        self._open += call.returned is not None
        return call

    def _remember_stuck(self) -> None:
        if self._stuck and len(self._order) <= len(self._longest):
            return
        self._longest = [call.number for call, _ in self._order]
        self._stuck = []
        entry = self._head.after
        while entry in self._calls:
            self._stuck.append(entry.number)
            entry = entry.after

    def _violation(self) -> Violation:
        explained, stuck = (
            tuple(self._history[number].what for number in numbers)
            for numbers in (self._longest, self._stuck)
        )
        return Violation(explained, stuck)
