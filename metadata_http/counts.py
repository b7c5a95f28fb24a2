"""Tells the controller how often each droplet asked, beside the watch stream and its lease.

Shell (a thread), with what is decided apart in `Untold`. Nothing depends on it: what cannot be told
now is told later or never, and costs no droplet its answer.
"""

import logging
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from metadata_http import events
from metadata_http.controller import Controller, Unavailable
from metadata_http.lease import Lease
from metadata_http.replica import Replica
from metadata_http.view import Port, View
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

AT_ONCE = 1000
"""Ports told of in one call; the controller takes no more."""
_PAUSE = 3.0  # seconds between two calls, as the stream's heartbeats
_SILENCE = 3  # after so many pauses without anything new the age of the view is told alone


class Untold:
    """Which ports have something that the controller was not told yet. Pure.

    A droplet asks rarely and there are many, so only what changed is told; where that is more than
    fits, the ports after it have their turn at the next time.
    """

    def __init__(self) -> None:
        self._told: dict[int, tuple[Hashable, int]] = {}
        self._last_ofport = 0

    def some(self, ports: Iterable[Port], limit: int) -> list[Port]:
        """At most `limit` of these ports, those after the last that was told first."""
        new = [port for port in ports if port.droplet is not None and self._is_new(port)]
        new.sort(key=lambda port: (port.ofport <= self._last_ofport, port.ofport))
        return new[:limit]

    def _is_new(self, port: Port) -> bool:
        requests = 0 if port.droplet is None else port.droplet.tally.requests
        return requests > 0 and self._told.get(port.ofport) != (port.holder, requests)

    def told(self, ports: Iterable[tuple[Port, int]]) -> None:
        """The controller has these now, each with so many requests."""
        for port, requests in ports:
            self._told[port.ofport] = (port.holder, requests)
            self._last_ofport = port.ofport

    def keep(self, ofports: Iterable[int]) -> None:
        """These ports alone are there still."""
        there = set(ofports)
        self._told = {ofport: told for ofport, told in self._told.items() if ofport in there}


def entries(ports: Iterable[Port], now: float) -> list[dict[str, Any]]:
    """What is told of these ports; of those without a droplet nothing."""
    return [
        {"ofport": port.ofport, "droplet_id": droplet.droplet_id, **droplet.tally.told(now)}
        for port in ports
        if (droplet := port.droplet) is not None
    ]


class Counts(threading.Thread):
    """The thread that tells the controller which `replica` follows what `state()` has counted."""

    def __init__(
        self,
        replica: Replica,
        controllers: Sequence[Controller],
        state: Callable[[], tuple[View | None, Lease]],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name="counts", daemon=True)
        self._replica = replica
        self._controllers: Mapping[str, Controller] = {each.url: each for each in controllers}
        self._state = state
        self._clock = clock
        self._stopping = threading.Event()
        self._untold = Untold()
        self._connection: int | None = None
        self._quiet = 0
        self._said = ""

    def run(self) -> None:
        """Tell again and again until told to stop."""
        while not self._stopping.wait(_PAUSE):
            try:
                self._tell()
            except Exception:  # noqa: BLE001 - logged, with its trace
                say(log, events.COUNTS_FAULT, trace=True)

    def leave(self) -> None:
        """Tell nothing any more."""
        self._stopping.set()

    def _tell(self) -> None:
        connection, url = self._replica.connection
        view, lease = self._state()
        if url is None or view is None or view.dpid != self._replica.dpid:
            return
        if connection != self._connection:
            # Another controller, or one that dropped what it had when we came back.
            self._untold, self._connection, self._quiet = Untold(), connection, _SILENCE
        now = self._clock()
        ports = self._untold.some(view.ports.values(), AT_ONCE)
        self._quiet += 1
        if not ports and self._quiet < _SILENCE:
            return
        told = entries(ports, now)
        try:
            age = max(now - lease.confirmed, 0.0)
            self._controllers[url].count(self._replica.dpid, self._replica.server, told, age)
        except Unavailable as fault:
            # The stream's own troubles are told by it; once is enough here.
            if str(fault) != self._said:
                say(log, events.COUNTS_NOT_TOLD, reason=fault)
                self._said = str(fault)
            return
        self._quiet = 0
        self._untold.told(zip(ports, (each["requests"] for each in told), strict=True))
        self._untold.keep(view.ports)
