"""Turns on the one green thread for work that would hold everybody up.

`hub.sleep(0)` lets others run, but when a thousand sessions yield so, a request that comes in waits
for all of them. Here those that have work to do queue up, and as many go on as fit into `_ROUND`;
then the hub looks at its sockets again, and everything else that is ready runs.
"""

from collections import deque
from collections.abc import Callable
from time import monotonic

from eventlet import hubs
from greenlet import getcurrent

# Seconds of work between two looks at the sockets: what a request may have to wait for more.
_ROUND = 0.005


class Turns:
    """A queue of green threads of one hub, in the order in which they came."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._waiting: deque[Callable[[], object]] = deque()
        self._until = 0.0
        self._is_armed = False

    def wait(self) -> None:
        """Return when it is the caller's turn: at once, unless this round has had its time.

        To be called between two slices of work, each far shorter than a round, and before the
        first.
        """
        if not self._is_armed:
            self._arm()
            self._until = self._now() + _ROUND
        elif self._waiting or self._now() >= self._until:
            go_on = getcurrent().switch
            self._waiting.append(go_on)
            try:
                hubs.get_hub().switch()
            except BaseException:  # Killed: nobody must wake it where it waits next.
                if go_on in self._waiting:
                    self._waiting.remove(go_on)
                raise

    def _arm(self) -> None:
        self._is_armed = True
        hubs.get_hub().schedule_call_global(0, self._begin_round)

    def _begin_round(self) -> None:
        self._is_armed = False
        if not self._waiting:
            return
        self._arm()
        self._until = self._now() + _ROUND
        while self._waiting and self._now() < self._until:
            self._waiting.popleft()()


TURNS = Turns()
"""Those of the controller's sessions."""
