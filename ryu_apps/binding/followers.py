"""The metadata servers that follow one bridge, and what they are known to have taken over.

A new binding may open only when no server can still answer from an older view: each follower has
acknowledged the revision that published the binding, or has been silent for a whole lease, after
which it answers nobody. Time is an argument, in seconds of any monotonic clock.

A server also takes it for certain that nobody opens anything while the switch has no controller,
and may serve its view for a lease from any moment of that time (its rule, not ours, but ours must
fit): so a lease begins anew for every server we know of when a switch connects, and no server is
forgotten before the same connection has outlived its lease.
"""

from collections.abc import Iterable
from dataclasses import dataclass

LEASE = 20.0
"""Seconds: enough for a server to hear from its switch that it has given up a controller which
stands still (`metadata_http/lease.py` has the arithmetic). It is what a silent server costs: a new
binding on its bridge waits as long for it, which mostly is the one server that would answer it.
"""

MAX_FOLLOWERS = 64
"""Metadata servers of one bridge: one for each process that serves it, and room for renamed ones.

Each is waited for when a port opens and kept over restarts, so whoever may follow must not be
able to make up any number of names.
"""


class TooMany(Exception):
    """There are as many of these as are kept; the text says of which, and how many."""


class NotLeading(Exception):
    """Another controller leads the switch, or nobody does; the text says which."""


@dataclass(slots=True)
class _Follower:
    acknowledged: int
    deadline: float


class Followers:
    """The followers of one bridge, by server name.

    `expected` are servers known from before this controller started: they may still serve an
    older view until they follow again or their lease, counted from `now`, is over.
    """

    def __init__(self, expected: Iterable[str] = (), now: float = 0.0) -> None:
        self._followers = {name: _Follower(0, now + LEASE) for name in expected}
        self._opened = 0

    def admit(self, server: str) -> None:
        """Raise TooMany where there is no room for `server`."""
        if server not in self._followers and len(self._followers) >= MAX_FOLLOWERS:
            raise TooMany(
                f"{MAX_FOLLOWERS} metadata servers follow this switch, the most there may"
            )

    def follow(self, server: str, now: float) -> None:
        """`server` opened its stream; whatever it acknowledged in an earlier life is void.

        Raises TooMany.
        """
        self.admit(server)
        self._followers[server] = _Follower(0, now + LEASE)

    def opened(self, revision: int) -> None:
        """A port opened that `revision` told of: from now on no older view may be served."""
        self._opened = max(self._opened, revision)

    def acknowledge(self, server: str, revision: int, now: float) -> bool:
        """`server` answers from a view that has all changes up to `revision`.

        False: that view is too old to be served, since a port was opened without waiting for this
        server; it gets no lease for it. Raises TooMany.
        """
        self.admit(server)
        if revision < self._opened:
            return False
        follower = self._followers.setdefault(server, _Follower(0, now))
        follower.acknowledged = max(follower.acknowledged, revision)
        follower.deadline = now + LEASE
        return True

    def unfollow(self, server: str) -> None:
        """`server` has stopped answering requests."""
        self._followers.pop(server, None)

    def acknowledged(self, now: float) -> int | None:
        """The revision that every live follower has acknowledged; None where there is none."""
        live = (f.acknowledged for f in self._followers.values() if f.deadline > now)
        return min(live, default=None)

    def expect(self, servers: Iterable[str], now: float) -> None:
        """The switch connected: these and all followers have a lease from `now` on at least."""
        for name in {*servers, *self._followers}:
            follower = self._followers.setdefault(name, _Follower(0, now))
            follower.deadline = max(follower.deadline, now + LEASE)

    def lapsed(self, now: float) -> list[str]:
        """The followers whose lease is over."""
        return [name for name, f in self._followers.items() if f.deadline <= now]

    def forget(self, now: float) -> list[str]:
        """Drop the followers whose lease is over, and return their names.

        Only for a `now` at which the switch is known to have been connected ever since the lease
        last began: else an `expect` is still to come that has to find them.
        """
        lapsed = self.lapsed(now)
        for name in lapsed:
            del self._followers[name]
        return lapsed

    def __len__(self) -> int:
        return len(self._followers)

    def __contains__(self, server: str) -> bool:
        return server in self._followers
