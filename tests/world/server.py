"""A metadata server as the controller sees one: it follows a bridge, lags, stalls, dies, returns.

What events mean and how long a view may be served is the server's own code (`metadata_http.view`,
`metadata_http.lease`); this file has the order of the steps of its replica thread, each a method,
so that a test can put anything between two of them. The stream's side is as in the northbound.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from metadata_http.lease import Lease
from metadata_http.view import Following, advance
from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.followers import LEASE
from ryu_apps.binding.views import PortView


class Stream:
    """The controller's end of one watch stream: it pulls from the feed when it is its turn."""

    def __init__(self, dpid: int, feed: PortFeed, since: int | None) -> None:
        self.lines: deque[dict[str, Any]] = deque()
        self._dpid = f"{dpid:016x}"
        self._feed = feed
        self._told = since
        self._caught_up = False

    def pull(self, droplets: Callable[[int], bool]) -> None:
        """Put into the socket what a woken, or heartbeating, stream would send now."""
        if not self._feed.in_sync:
            self.lines.append({"event": "waiting", "dpid": self._dpid})
            return
        changes = None if self._told is None else self._feed.changes_since(self._told)
        if changes is None:
            changes = [(self._feed.revision, view.ofport, view) for view in self._feed.ports()]
            self._begin_snapshot()
            self._caught_up = False
        elif self._caught_up and not changes:
            self.lines.append({"event": "heartbeat", "revision": self._told})
        self._told = self._feed.revision
        for revision, ofport, view in changes:
            self.lines.append(_change(revision, ofport, view, droplets))
        if not self._caught_up:
            self.lines.append({"event": "in-sync", "revision": self._told})
            self._caught_up = True

    def _begin_snapshot(self) -> None:
        self.lines.append(
            {
                "event": "snapshot",
                "dpid": self._dpid,
                "revision": self._feed.revision,
                "hv_local_subnet": self._feed.hv_local_subnet,
                "lease": LEASE,
            }
        )


def _change(
    revision: int, ofport: int, view: PortView | None, droplets: Callable[[int], bool]
) -> dict[str, Any]:
    if view is None:
        return {"event": "gone", "revision": revision, "ofport": ofport}
    told = view.droplet_id if view.droplet_id is not None and droplets(view.droplet_id) else None
    droplet = {"metadata": {"droplet_id": told}, "user_data_base64": None}
    return {
        "event": "port",
        "revision": revision,
        "port": {
            "ofport": view.ofport,
            "name": view.name,
            "hv_local_ip": view.hv_local_ip,
            "binding": view.binding,
            "droplet_id": told,
            "droplet": None if told is None else droplet,
        },
    }


@dataclass
class Acknowledgement:
    """A PUT under way: first to the controller, then its answer back."""

    revision: int
    sent_at: float
    accepted: bool | None = None


class SimulatedServer:
    """One metadata server of the bridge `dpid`."""

    def __init__(self, name: str, dpid: int) -> None:
        self.name = name
        self.dpid = dpid
        self.following = Following()
        self.lease = Lease()
        self.stream: Stream | None = None
        self.acknowledgement: Acknowledgement | None = None

    @property
    def since(self) -> int | None:
        """From which revision on it asks to be told."""
        return self.following.view.revision if self.following.view is not None else None

    def apply(self, count: int, now: float) -> None:
        """Take the next lines from the socket, publish, and acknowledge if there is reason to."""
        assert self.stream is not None
        lines = [self.stream.lines.popleft() for _ in range(min(count, len(self.stream.lines)))]
        self.following = advance(self.following, lines, now)
        view = self.following.view
        if view is None or self.following.incoming is not None:
            return
        if self.following.in_sync or "waiting" in {line["event"] for line in lines}:
            self.acknowledgement = Acknowledgement(view.revision, now)

    def answered(self, now: float) -> None:
        """The answer to the acknowledgement arrived.

        A controller that has yet to learn what its switch has can vouch for no view: it may only
        prolong a lease that still holds.
        """
        put = self.acknowledgement
        assert put is not None
        if put.accepted and (self.following.in_sync or self.lease.holds(now)):
            self.lease = self.lease.acknowledged(put.sent_at, LEASE)
        self.acknowledgement = None

    def refused(self, now: float) -> None:
        """Nobody listens where the controller should be."""
        if self.following.view is not None:
            self.lease = self.lease.refused(now, LEASE)

    def quiet(self, now: float, since: float) -> None:
        """Open vSwitch says that its bridge had no controller at some moment after `since`."""
        self.lease = self.lease.quiet(now, since, LEASE)

    def hang_up(self) -> None:
        """The connection is gone, by whatever fault; a PUT that was sent may still arrive."""
        self.stream = None
        self.acknowledgement = None
        self.following = self.following.disconnected()

    def answers(self, address: IPv4Address, now: float) -> int | None:
        """Whose data a request from `address` gets now; None where it is no one's (503)."""
        view = self.following.view
        if view is None or not self.lease.holds(now):
            return None
        port = view.by_address.get(str(address))
        if port is None or port.droplet is None:
            return None
        return port.droplet.droplet_id
