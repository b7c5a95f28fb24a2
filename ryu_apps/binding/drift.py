"""When to look whether a switch still has our flows, and how often to mend what others broke.

Pure: time is an argument, in seconds of one monotonic clock, but for `at`, the time of day.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

# With a flow monitor the switch tells of every change, and looking is a net; without one it is all
# there is. A count is cheap for switch and controller, reading all flows back is not.
COUNT_EVERY = {True: 15.0, False: 2.0}
READ_EVERY = {True: 300.0, False: 60.0}

# A burst of changes is looked at once.
SETTLE = 0.1

# More bindings than these are cheaper to read all at once.
MANY = 64

# So many repairs within the window are a quarrel: somebody undoes them. From then on what others
# add is left alone for a while, and what they take away comes back, each time after a longer pause.
QUARREL = 5
WINDOW = 60.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 10.0
FIRST_YIELD = 60.0
LONGEST_YIELD = 300.0


class Look(Enum):
    """How to look: at the flows of some bindings, at how many there are, or at all of them."""

    SOME = auto()
    COUNT = auto()
    ALL = auto()


@dataclass(frozen=True, slots=True)
class Check:
    """What to look at now; `cookies` only for Look.SOME."""

    look: Look
    cookies: frozenset[int] = frozenset()


class Watch:
    """What is known to be worth a look on one connection, which began `now` with a look at all.

    `share`, in 0..1, is another for each switch: many that connect at once are not all looked at
    together ever after.
    """

    def __init__(self, now: float, share: float = 0.0) -> None:
        self.monitored = False
        self._share = share
        self._cookies: set[int] = set()
        self._suspect = False
        self._all = False
        self._not_before = now
        self._next_count = now + COUNT_EVERY[False]
        self._next_read = now + READ_EVERY[False]

    def monitor(self, now: float) -> None:
        """The switch is to tell of changes from now on: first it is looked at some time later."""
        self.monitored = True
        self._next_count = now + COUNT_EVERY[True] * (1 - self._share / 2)
        self._next_read = now + READ_EVERY[True] * (1 - self._share / 2)

    def unmonitor(self, now: float) -> None:
        """The switch cannot tell of changes."""
        self.monitored = False
        self._next_count = min(self._next_count, now + COUNT_EVERY[False])
        self._next_read = min(self._next_read, now + READ_EVERY[False])

    def changed(self, cookie: int, now: float) -> None:
        """Somebody changed a flow under this cookie of ours."""
        self._burst(now)
        self._cookies.add(cookie)

    def suspect(self, now: float) -> None:
        """Somebody changed something that may have been ours."""
        self._burst(now)
        self._suspect = True

    def miscounted(self) -> None:
        """There are more or fewer flows of ours than there should be."""
        self._all = True

    def read_at(self, when: float) -> None:
        """Look at everything then, at the latest."""
        self._next_read = min(self._next_read, when)

    def put_off(self, until: float) -> None:
        """Nothing is to be mended before `until`: look again then, at everything."""
        self._all = True
        self._not_before = max(self._not_before, until)

    def wait(self, now: float) -> float:
        """Seconds until there is something to look at."""
        if self._cookies or self._suspect or self._all:
            return max(0.0, self._not_before - now)
        return max(0.0, min(self._next_count, self._next_read) - now, self._not_before - now)

    def due(self, now: float) -> Check | None:
        """What to look at now, once; None if it is not time yet."""
        if self.wait(now) > 0:
            return None
        if self._all or len(self._cookies) > MANY or now >= self._next_read:
            self._cookies.clear()
            self._suspect = self._all = False
            self._next_read = now + READ_EVERY[self.monitored]
            self._next_count = now + COUNT_EVERY[self.monitored]
            return Check(Look.ALL)
        if self._cookies:
            cookies = frozenset(self._cookies)
            self._cookies.clear()
            return Check(Look.SOME, cookies)
        self._suspect = False
        self._next_count = now + COUNT_EVERY[self.monitored]
        return Check(Look.COUNT)

    def _burst(self, now: float) -> None:
        if not self._cookies and not self._suspect:
            self._not_before = max(self._not_before, now + SETTLE)


@dataclass(frozen=True, slots=True)
class DriftView:
    """What `GET /v1/switches` tells: flows mended so far, and of the last time when and why.

    `last_at` is in seconds since 1970.
    """

    repaired: int = 0
    last_reason: str | None = None
    last_at: float | None = None


class Mend(Enum):
    """What may be mended now: nothing, what is missing of ours, or all that is wrong."""

    NOTHING = auto()
    MISSING = auto()
    ALL = auto()


class Repairs:
    """The repairs of one switch, over all its connections, and whether they are a quarrel.

    Two controllers that both took away what the other has would leave the droplets of both
    without flows half the time. One that yields takes nothing away: where it and the other want
    different flows both have them. When it has yielded long enough it tries again; if that is
    undone, too, it yields for longer.
    """

    def __init__(self) -> None:
        self.repaired = 0
        self._rounds: deque[float] = deque(maxlen=QUARREL)
        self._pause = FIRST_PAUSE
        self._yield = FIRST_YIELD
        self._yields_until = float("-inf")
        self._tried_again = 0
        self._last_reason: str | None = None
        self._last_at: float | None = None

    def may(self, now: float) -> Mend:
        """What to mend now of what is found wrong."""
        if not self.yields(now):
            return Mend.ALL
        return Mend.MISSING if now >= self.next(now) else Mend.NOTHING

    def yields(self, now: float) -> bool:
        """Whether what others added is left alone."""
        return now < self._yields_until

    def next(self, now: float) -> float:
        """When the next repair may be."""
        return self._rounds[-1] + self._pause if self.yields(now) else now

    @property
    def all_at(self) -> float:
        """When all may be mended again."""
        return self._yields_until

    def note(self, count: int, reason: str, now: float, at: float) -> None:
        """So many flows are being mended."""
        self._rounds.append(now)
        self.repaired += count
        self._last_reason, self._last_at = reason, at
        if self.yields(now):
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        elif self._is_wary(now):
            self._tried_again += 1
            if self._tried_again > 1:
                self._begin_to_yield(now, min(2 * self._yield, LONGEST_YIELD))
        elif len(self._rounds) == QUARREL and now - self._rounds[0] <= WINDOW:
            self._begin_to_yield(now, FIRST_YIELD)

    def rival_left(self, now: float) -> None:
        """Whoever undid the repairs is known to be gone: all may be mended at once."""
        if self.contested(now):
            self._rounds.clear()
            self._yields_until = float("-inf")

    def contested(self, now: float) -> bool:
        """Whether somebody undoes what is mended, or did so not long ago."""
        return self.yields(now) or self._is_wary(now)

    def complaint(self, now: float) -> str | None:
        """What to say of a quarrel."""
        if not self.contested(now):
            return None
        said = (
            "another controller or tool changes our flows: mended "
            f"{len(self._rounds)} times in {self._rounds[-1] - self._rounds[0]:.0f} s "
            f"(last: {self._last_reason})"
        )
        left = max(0.0, self._yields_until - now)
        return f"{said}; what it adds is left alone for {left:.0f} s" if left else said

    def view(self) -> DriftView:
        """What readers see of it."""
        return DriftView(self.repaired, self._last_reason, self._last_at)

    def _is_wary(self, now: float) -> bool:
        """Whether it yielded until not long ago: then one repair that is undone is enough."""
        return self._yields_until <= now < self._yields_until + WINDOW

    def _begin_to_yield(self, now: float, seconds: float) -> None:
        self._yield, self._yields_until = seconds, now + seconds
        self._pause, self._tried_again = FIRST_PAUSE, 0
