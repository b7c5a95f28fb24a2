"""Requests that wait for a change: who waits, how many, until when, and who wakes them.

Shell: one thread and a lock; what a waiting request is answered is the caller's to decide
(`Wait.again`). A waiting request costs memory and its connection, never a thread of the server.
"""

import heapq
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metadata_http import events
from metadata_http.view import Droplet, Port, View
from ovs_metadata_logs import say

log = logging.getLogger(__name__)


class TooMany(Exception):
    """No room for another wait: `of_droplet` tells whether its own droplet takes all it may."""

    def __init__(self, *, of_droplet: bool) -> None:
        super().__init__("of this droplet" if of_droplet else "in all")
        self.of_droplet = of_droplet


@dataclass(slots=True, eq=False)
class Wait:
    """A request of `peer` that saw `droplet` and waits for another value until `deadline`.

    `again(over)` is called, on the waits' own thread, when the value may have changed, and with
    `over` when there is no more waiting. It answers if it should and tells whether it did; it
    sets `droplet` to what it saw.
    """

    peer: str
    droplet: Droplet
    deadline: float
    again: Callable[["Wait", bool], bool]


class Waits:
    """All waiting requests of a process: at most `limit`, and `per_droplet` of one droplet."""

    def __init__(self, clock: Callable[[], float], limit: int, per_droplet: int) -> None:
        self.limit = limit
        self.per_droplet = per_droplet
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[int, Wait] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._by_droplet: Counter[int] = Counter()
        self._numbers = itertools.count()
        self._view: View | None = None
        self._unseen: set[int] = set()  # added beside a change: to be asked once
        self._look = False  # the view was replaced since they were all looked at
        self._stopping = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, wait: Wait, view: View | None) -> None:
        """Let `wait` wait; it has looked at `view`. Raises TooMany."""
        droplet_id = wait.droplet.droplet_id
        with self._changed:
            if self._by_droplet[droplet_id] >= self.per_droplet:
                raise TooMany(of_droplet=True)
            if len(self._waiting) >= self.limit:
                raise TooMany(of_droplet=False)
            number = next(self._numbers)
            self._waiting[number] = wait
            self._by_droplet[droplet_id] += 1
            heapq.heappush(self._deadlines, (wait.deadline, number))
            if self._view is not view or self._stopping:
                self._unseen.add(number)
            if self._unseen or self._deadlines[0][1] == number:
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="waits", daemon=True)
                self._thread.start()

    def changed(self, view: View | None) -> None:
        """`view` is what requests are answered from now. Costs the caller next to nothing."""
        with self._changed:
            if view is not self._view:
                self._view = view
                self._look = True
                if self._waiting:
                    self._changed.notify()

    def stop(self) -> None:
        """Answer all that wait, and from now on each that comes, with what there is."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            for number, wait, over in self._due():
                try:
                    answered = wait.again(wait, over)
                except Exception:  # noqa: BLE001 - logged, with its trace
                    say(log, events.REQUEST_FAULT, trace=True, peer=wait.peer, who="it waited")
                    answered = True
                if answered or over:
                    self._remove(number, wait)

    def _due(self) -> list[tuple[int, Wait, bool]]:
        """Those to be asked now; waits until there are some."""
        with self._changed:
            while True:
                now = self._clock()
                over = self._take_over(now)
                touched = self._take_touched() - over
                if over or touched:
                    numbers = [*((n, True) for n in over), *((n, False) for n in touched)]
                    return [(n, self._waiting[n], end) for n, end in numbers]
                self._changed.wait(self._deadlines[0][0] - now if self._deadlines else None)

    def _take_over(self, now: float) -> set[int]:
        """Those whose time is up; of those answered earlier only the deadline is left."""
        over = set(self._waiting) if self._stopping else set()
        while self._deadlines and self._deadlines[0][0] <= now:
            over.add(heapq.heappop(self._deadlines)[1])
        return over & self._waiting.keys()

    def _take_touched(self) -> set[int]:
        touched, self._unseen = self._unseen & self._waiting.keys(), set()
        if self._look:
            self._look = False
            ports: Mapping[str, Port] = {} if self._view is None else self._view.by_address
            for number, wait in self._waiting.items():
                port = ports.get(wait.peer)
                if port is None or port.droplet is not wait.droplet:
                    touched.add(number)
        return touched

    def _remove(self, number: int, wait: Wait) -> None:
        with self._changed:
            del self._waiting[number]
            droplet_id = wait.droplet.droplet_id
            self._by_droplet[droplet_id] -= 1
            if not self._by_droplet[droplet_id]:
                del self._by_droplet[droplet_id]
            if len(self._deadlines) > 2 * len(self._waiting) + 64:
                self._deadlines = [each for each in self._deadlines if each[1] in self._waiting]
                heapq.heapify(self._deadlines)
