"""Which lines are held back because there were many like them, and what is said of those. Pure.

Of the likes of a line `burst` pass at once and then one in `every` seconds (a token bucket). The
next that passes tells how many did not; where none comes, `quiet` does. Of one event as a whole
there is a second such bound, for where the senders are many. What is remembered is bounded: the
one of whom nothing was heard for longest is forgotten, and what it held back is told first.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

MAX_KEYS = 4096


@dataclass(slots=True)
class _Bucket:
    room: float
    at: float
    every: float
    full_after: float
    told_at: float
    held_back: int = 0

    @classmethod
    def full(cls, most: int, every: float, now: float) -> "_Bucket":
        return cls(float(most), now, every, most * every, now)

    def take(self, now: float, most: int, per_second: float) -> bool:
        self.room = min(float(most), self.room + max(now - self.at, 0.0) * per_second)
        self.at = now
        if self.room < 1:
            return False
        self.room -= 1
        return True


@dataclass(frozen=True, slots=True)
class Held:
    """So many lines of an event were held back, those with this key, or of all keys (None)."""

    event: str
    key: Hashable
    count: int


class Repeats:
    """What was let through, by event and key. Not for several threads at once."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._own: OrderedDict[tuple[str, Hashable], _Bucket] = OrderedDict()
        self._total: dict[str, _Bucket] = {}
        self._evicted: list[Held] = []

    def take(
        self, event: str, key: Hashable, now: float, *, burst: int, every: float, total: int = 0
    ) -> int | None:
        """How many were held back before this line; None: it is held back too."""
        own = self._own.get((event, key))
        if own is None:
            own = self._own[event, key] = _Bucket.full(burst, every, now)
            self._make_room()
        self._own.move_to_end((event, key))
        if not own.take(now, burst, 1 / every):
            own.held_back += 1
            return None
        if total:
            of_all = self._total.setdefault(event, _Bucket.full(total, every, now))
            if not of_all.take(now, total, total / (10 * every)):
                of_all.held_back += 1
                return None
        before, own.held_back = own.held_back, 0
        return before

    def quiet(self, now: float) -> Iterator[Held]:
        """What was held back and is over: nothing like it came for as long as one has to wait."""
        told, self._evicted = self._evicted, []
        yield from told
        for (event, key), bucket in list(self._own.items()):
            idle = now - bucket.at
            if bucket.held_back and idle >= bucket.every:
                yield Held(event, key, bucket.held_back)
                bucket.held_back = 0
            if idle >= bucket.full_after:
                del self._own[event, key]
        # Where the senders are many the event as a whole is never quiet.
        for event, bucket in self._total.items():
            if bucket.held_back and now - bucket.told_at >= bucket.every:
                yield Held(event, None, bucket.held_back)
                bucket.held_back, bucket.told_at = 0, now

    def __len__(self) -> int:
        """How many likes are remembered."""
        return len(self._own)

    def _make_room(self) -> None:
        if len(self._own) > self._max_keys:
            (event, key), bucket = self._own.popitem(last=False)
            if bucket.held_back:
                self._evicted.append(Held(event, key, bucket.held_back))
