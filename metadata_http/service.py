"""One process's parts put together: application, what follows the bridge, and admin.

Shell, and the only place that knows them all; each of them knows only what it is given.
"""

import logging
import threading
from ipaddress import IPv4Network
from math import isfinite
from typing import Any

from prometheus_client import CollectorRegistry

from metadata_http import connections, events
from metadata_http.admin import Admin
from metadata_http.app import Application, clock
from metadata_http.counts import entries
from metadata_http.followed import Followed
from metadata_http.metrics import Metrics
from metadata_http.rates import Quotas
from metadata_http.settings import Settings
from metadata_http.view import Droplet
from metadata_http.way import Way
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

_FIRST_VIEW = 1.0  # seconds a starting server waits for a view before it answers without one
_TRY_AGAIN = 1.0  # seconds between tries to follow a bridge that was made again


# What /readyz says of the bridge between two that are followed; its keys are there always.
_NO_BRIDGE = {
    **{"dpid": None, "server": None, "controller": None, "connected": False},
    "controller_reason": "",
}


class Service:
    """Everything of one process but the HTTP server that calls `application`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._metrics = Metrics()
        self.application = Application(self._metrics)
        self._followed: Followed | None = None
        self._changing = threading.Lock()  # one after the other: moves, and the end
        self._stopped = threading.Event()

    def start(self, settings: Settings, dpid: str) -> None:
        """Load the snapshot, follow the controller, open admin; wait a moment for a first view.

        Raises OSError.
        """
        self._settings = settings
        self._prepare(settings)
        followed = Followed(settings, dpid, self.application, self._moved)
        admin = self._admin(settings, followed.slot)
        self._way = Way(settings.listen.host, self._droplets_network)
        followed.start()
        self._followed = followed
        self._way.start()
        self._guard.start()
        admin.start()
        say(log, events.WORKER_STARTED, server=followed.replica.server, address=admin.address)
        # On a restart the requests that wait in the socket's queue get an answer, not a 503.
        followed.wait(_FIRST_VIEW)

    def _droplets_network(self) -> IPv4Network | None:
        view, _ = self.application.state
        return None if view is None else view.hv_local_subnet

    def _prepare(self, settings: Settings) -> None:
        application = self.application
        application.unknown_droplet_grace = settings.unknown_droplet_grace
        application.formats = settings.formats
        application.longest_wait = settings.longest_wait
        application.waits.limit = settings.max_waits
        application.waits.per_droplet = settings.max_waits_per_droplet
        application.quotas = Quotas(settings.rate_limit, settings.rate_burst)
        application.count_over_quota = self._metrics.over_rate
        application.end_connections = self._end_connections
        most, ended = settings.max_connections_per_droplet, self._metrics.crowding
        self._guard = connections.Guard(most, self._droplets_network, ended)

    def _end_connections(self, addresses: frozenset[str]) -> None:
        self._metrics.rebound(connections.end(addresses))

    def _admin(self, settings: Settings, slot: int) -> Admin:
        host, port = settings.admin_listen.host, settings.admin_listen.port
        own = port + slot if port else 0
        self._metrics.report = self.report
        self.registry.register(self._metrics)
        try:
            return Admin(
                *(host, own, self.registry, self.report), self.requests, self.application.whose
            )
        except OSError as fault:
            where = f"admin_listen {host}:{own}"
            raise OSError(fault.errno, f"{fault.strerror}: {where}") from fault

    def _moved(self, dpid: str) -> None:
        threading.Thread(target=self._move, args=(dpid,), name="move", daemon=True).start()

    def _move(self, dpid: str) -> None:
        """Follow the bridge by its new dpid; nobody is served from the old one's view any more."""
        with self._changing:
            followed = self._followed
            if followed is None or self._stopped.is_set():
                return
            bridge = self._settings.bridge
            former = followed.dpid
            say(log, events.BRIDGE_MADE_AGAIN, bridge=bridge, dpid=dpid, former_dpid=former)
            self._followed = None
            followed.forsake()
            while not self._stopped.is_set():
                try:
                    followed = Followed(self._settings, dpid, self.application, self._moved)
                    followed.start()
                except OSError as fault:
                    say(log, events.CANNOT_FOLLOW, dpid=dpid, reason=fault)
                    self._stopped.wait(_TRY_AGAIN)
                else:
                    self._followed = followed
                    return

    def stopping(self) -> None:
        """Answer what waits: from here on the server takes no connection and finishes the rest."""
        self.application.waits.stop()

    def stop(self) -> None:
        """Call when the last request is answered."""
        self._stopped.set()
        with self._changing:
            if self._followed is not None:
                self._followed.leave()

    def is_sure(self) -> bool:
        """Whether there is a view that may be served, found out as for an answer to a droplet."""
        self.application.whose(self._settings.listen.host)
        return self._is_sure(clock())

    def _is_sure(self, now: float) -> bool:
        view, lease = self.application.state
        sight = self.application.sight
        return view is not None and lease.holds(now) and (sight.ports is None or sight.until > now)

    def report(self) -> dict[str, Any]:
        """What /readyz shows: ready means that a known droplet gets its data now."""
        view, lease = self.application.state
        sight = self.application.sight
        now = clock()
        followed, way = self._followed, self._way.report()
        ports = [] if view is None else [p for p in view.ports.values() if p.droplet is not None]
        options = [droplet.options for droplet in self._droplets()]
        age = now - lease.confirmed
        return {
            "ready": self._is_sure(now) and not way["unreachable"],
            "revision": None if view is None else view.revision,
            "ports": 0 if view is None else len(view.ports),
            "droplets": len(ports),
            "droplets_token_required": sum(each.token_required for each in options),
            "droplets_endpoint_disabled": sum(not each.endpoint_enabled for each in options),
            "in_doubt": sum(not sight.confirms(port, now) for port in ports),
            "waits": len(self.application.waits),
            "lease_seconds": round(max(lease.until - now, 0.0), 3),
            "view_age_seconds": round(age, 3) if isfinite(age) else None,
            **self._guard.report(),
            **way,
            **(_NO_BRIDGE if followed is None else followed.report(now)),
        }

    def requests(self) -> dict[str, Any]:
        """What droplets asked of this process, in the form of `GET /v1/switches/DPID/requests`."""
        view, lease = self.application.state
        followed, now = self._followed, clock()
        age = now - lease.confirmed
        ports = () if view is None else sorted(view.ports.values(), key=lambda port: port.ofport)
        counted = [each for each in entries(ports, now) if each["requests"]]
        counted.sort(key=lambda entry: entry["droplet_id"])
        return {
            "dpid": None if view is None else view.dpid,
            "servers": [
                {
                    "server": None if followed is None else followed.replica.server,
                    "age_s": 0.0,
                    "view_age_s": round(age, 1) if isfinite(age) else None,
                }
            ],
            "droplets": counted,
        }

    def _droplets(self) -> list[Droplet]:
        """Those that are served now, or would be were they not disabled."""
        view, _ = self.application.state
        ports = [] if view is None else view.ports.values()
        return [port.droplet for port in ports if port.droplet is not None]
