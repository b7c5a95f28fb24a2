"""Which of the server's threads answer: as few as are of use, while the others rest.

Shell: locks. granian hands requests to every thread it has, and makes one more whenever a request
has to wait, up to its limit. Of those one alone can have the interpreter, so all that the others
do is to take it from each other, at the price of a change of threads for each answer. Its number
cannot be small either: a body is read on the thread that was called, for as long as it takes to
come. So there are many, and all but a few rest at the end of the call that they have answered,
until one of those few is about to read.
"""

import threading
from collections.abc import Callable
from typing import Any


class Turns:
    """Lets `at_once` threads answer at a time. A thread is one by its `threading.get_ident`."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._answering: set[int] = set()
        self._resting: list[tuple[int, threading.Lock]] = []
        self._own = threading.local()
        self._changing = threading.Lock()
        self._over = False

    def rest(self) -> None:
        """Call when an answer is out: returns when this thread is wanted for the next.

        At once for one of those that answer, which so cost themselves one look into a set.
        """
        me = threading.get_ident()
        if me in self._answering or self._over:
            return
        with self._changing:
            if self._over:
                return
            if not hasattr(self._own, "end"):
                self._own.end = _End(self._leave, me)
            if len(self._answering) < self._at_once:
                self._answering.add(me)
                return
            bell = threading.Lock()
            bell.acquire()
            self._resting.append((me, bell))
        bell.acquire()

    def leave(self) -> None:
        """Call before this thread is held up: one that rests takes its place, if it has one.

        Its next `rest` finds whether it is wanted again. A thread that ends leaves by itself.
        """
        self._leave(threading.get_ident())

    def _leave(self, thread: int) -> None:
        with self._changing:
            if thread not in self._answering:
                return
            self._answering.discard(thread)
            if self._resting:
                # The one that began to rest last: of what it used most is in the caches still.
                other, bell = self._resting.pop()
                self._answering.add(other)
                bell.release()

    def end(self) -> None:
        """Nobody rests any more: the server waits for its threads."""
        with self._changing:
            self._over = True
            while self._resting:
                self._resting.pop()[1].release()

    @property
    def resting(self) -> int:
        """How many rest."""
        return len(self._resting)


class _End:
    """Kept by a thread, and so gone when that is: granian ends threads that had nothing to do."""

    __slots__ = ("_leave", "_thread")

    def __init__(self, leave: Callable[[int], None], thread: int) -> None:
        self._leave = leave
        self._thread = thread

    def __del__(self) -> None:
        self._leave(self._thread)


class Body:
    """A request's body (`wsgi.input`), which is read without keeping others from being answered."""

    __slots__ = ("_read", "_turns")

    def __init__(self, read: Callable[[int], Any], turns: Turns) -> None:
        self._read = read
        self._turns = turns

    def read(self, size: int) -> bytes:
        """At most so many bytes; waits for them."""
        self._turns.leave()
        return self._read(size)
