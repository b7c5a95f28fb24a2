"""Token buckets: how often something may happen, by whom. Pure; times are arguments, in seconds."""

from collections.abc import Hashable
from dataclasses import dataclass

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
