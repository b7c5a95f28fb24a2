"""Token buckets: how often something may happen, by whom. Pure; times are arguments, in seconds."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from math import inf

_MOST_KEPT = 4096


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """One bucket a key: `burst` at once, then `rate` a second.

    Keys that have their whole burst again are forgotten; beyond 4096 that have not, all share
    the newcomer's refusal, so that no number of keys takes more memory.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[Hashable, _Bucket] = {}

    def take(self, key: Hashable, now: float, cost: float = 1.0) -> bool:
        """Take `cost` tokens of `key`'s, if it has so many."""
        bucket = self._bucket(key, now)
        if bucket is None or bucket.tokens < cost:
            return False
        bucket.tokens -= cost
        return True

    def charge(self, key: Hashable, now: float, cost: float) -> None:
        """Take `cost` tokens whether it has them or not; what is owed must come back first."""
        bucket = self._bucket(key, now)
        if bucket is not None:
            bucket.tokens = max(bucket.tokens - cost, -self._burst)

    def _bucket(self, key: Hashable, now: float) -> _Bucket | None:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _MOST_KEPT:
                self._forget(now)
            if len(self._buckets) >= _MOST_KEPT:
                return None
            bucket = self._buckets[key] = _Bucket(self._burst, now)
        bucket.tokens = self._refilled(bucket, now)
        bucket.at = max(bucket.at, now)
        return bucket

    def _refilled(self, bucket: _Bucket, now: float) -> float:
        return min(self._burst, bucket.tokens + max(0.0, now - bucket.at) * self._rate)

    def _forget(self, now: float) -> None:
        full = [k for k, b in self._buckets.items() if self._refilled(b, now) >= self._burst]
        for key in full:
            del self._buckets[key]


class Quotas:
    """A bucket a key, as one number, for what is asked with every request.

    The number is the time at which the bucket is full again (the generic cell rate algorithm of
    ITU-T I.371). Without a `rate` nothing is refused. Keys are kept until they are forgotten, so
    the caller must know how many there can be.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._each = 1 / rate if rate else 0.0
        # Half a token of room, so that rounding never costs a whole one.
        self._room = (burst - 0.5) * self._each if rate else inf
        self._full_at: dict[Hashable, float] = {}

    def take(self, key: Hashable, now: float) -> bool:
        """Take one of `key`'s tokens, if there is one."""
        full_at = self._full_at.get(key, now)
        if full_at < now:
            full_at = now
        if full_at - now > self._room:
            return False
        self._full_at[key] = full_at + self._each
        return True

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until `key` has a token again."""
        return max(0.0, self._full_at.get(key, now) - now - self._room)

    def forget(self, keys: Iterable[Hashable]) -> None:
        """Who comes next under these keys has all of its burst."""
        for key in keys:
            self._full_at.pop(key, None)
