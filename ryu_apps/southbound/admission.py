"""How many switches are taken over at once; the others wait in the order in which they connected.

Whoever is taken over holds in memory all that its switch has, and everybody who is at it finishes
at the end of all of it where all of them go on in turn. After a power failure of a region, or when
another controller dies, thousands connect within a second: with a bound the first are in sync at
once, and the memory that it takes does not grow with how many there are. Open vSwitch's back-off
spreads nothing, for it has no chance in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from eventlet import hubs
from eventlet.semaphore import Semaphore

AT_ONCE = 64
"""Enough to keep the controller busy while each of them waits for its switch a few times."""

PATIENCE_S = 10.0
"""Seconds after which one that is not done makes room for the next: its switch may be dead."""


class Admission:
    """Places for `at_once` green threads of one hub, each for `patience_s` seconds at most."""

    def __init__(self, at_once: int = AT_ONCE, patience_s: float = PATIENCE_S) -> None:
        self._places = Semaphore(at_once)
        self._patience_s = patience_s

    @property
    def is_full(self) -> bool:
        """Whether who comes now has to wait."""
        return self._places.locked()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place and have it meanwhile. After `patience_s` it is somebody else's too."""
        self._places.acquire()
        has = [True]

        def leave() -> None:
            if has:
                has.clear()
                self._places.release()

        timer = hubs.get_hub().schedule_call_global(self._patience_s, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()


ADMISSION = Admission()
"""That of the controller's sessions."""
