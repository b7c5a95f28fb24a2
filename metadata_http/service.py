"""One process's parts put together: application, replica and admin.

Shell, and the only place that knows them all; each of them knows only what it is given.
"""

import logging
import os
import re
import socket
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from metadata_http.admin import Admin, AnswerCounter
from metadata_http.app import Application, clock
from metadata_http.bodies import AT_ONCE
from metadata_http.controller import Controller, Unavailable
from metadata_http.journal import Journal, claim_slot
from metadata_http.ovsdb_watch import OvsdbWatch
from metadata_http.replica import Replica
from metadata_http.reports import Reports
from metadata_http.settings import Settings
from metadata_http.tokens import token_for

log = logging.getLogger(__name__)

_REPORT_TIMEOUT = 3.0  # seconds a controller has to keep a droplet's report
_SLOT_PATIENCE = 1.0  # seconds a process that was just killed may take to be gone
_FIRST_VIEW = 1.0  # seconds a starting server waits for a view before it answers without one


class Service:
    """Everything of one process but the HTTP server that calls `application`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.application = Application(AnswerCounter(self.registry))
        self._replica: Replica | None = None
        self._watch: OvsdbWatch | None = None

    def start(self, settings: Settings, dpid: str) -> None:
        """Load the snapshot, follow the controller, open admin; wait a moment for a first view.

        Raises OSError.
        """
        base = settings.snapshot_path(dpid)
        slot, path, self._slot_lock = claim_slot(base, settings.workers, _SLOT_PATIENCE)
        self._prepare(settings, dpid)
        admin = self._admin(settings, slot)
        replica = Replica(
            dpid,
            f"{_host_name()}-{slot}",
            [Controller(u, partial(_token, settings, dpid)) for u in settings.controller_urls],
            Journal(path),
            self.application.publish,
            clock,
        )
        replica.load()
        replica.start()
        self._replica = replica
        # Where only the dpid is given, it need not be a bridge of the local database.
        required = settings.dpid is None
        see, quiet = self.application.see, replica.quiet
        watch = self._watch = OvsdbWatch(settings.ovsdb, dpid, required, see, quiet, clock)
        self.application.look = watch.look
        watch.start()
        admin.start()
        log.info("server %s, admin on %s", replica.server, admin.address)
        # On a restart the requests that wait in the socket's queue get an answer, not a 503.
        replica.certain.wait(_FIRST_VIEW)
        watch.settled.wait(_FIRST_VIEW)

    def _prepare(self, settings: Settings, dpid: str) -> None:
        application = self.application
        application.unknown_droplet_grace = settings.unknown_droplet_grace
        application.formats = settings.formats
        application.longest_wait = settings.longest_wait
        application.waits.limit = settings.max_waits
        application.waits.per_droplet = settings.max_waits_per_droplet
        # Connections of their own: the stream's are used by one thread, in its own time.
        urls, token = settings.controller_urls, partial(_token, settings, dpid)
        controllers = [Controller(u, token, _REPORT_TIMEOUT, AT_ONCE) for u in urls]
        application.reports = Reports(dpid, controllers, clock)

    def _admin(self, settings: Settings, slot: int) -> Admin:
        host, port = settings.admin_listen.host, settings.admin_listen.port
        own = port + slot if port else 0
        try:
            return Admin(host, own, self.registry, self.report, self.application.whose)
        except OSError as fault:
            where = f"admin_listen {host}:{own}"
            raise OSError(fault.errno, f"{fault.strerror}: {where}") from fault

    def stopping(self) -> None:
        """Answer what waits: from here on the server takes no connection and finishes the rest."""
        self.application.waits.stop()

    def stop(self) -> None:
        """Call when the last request is answered."""
        if self._watch is not None:
            self._watch.leave()
        if self._replica is not None:
            self._replica.leave()
            os.close(self._slot_lock)

    def report(self) -> dict[str, Any]:
        """What /readyz shows: ready means that a known droplet gets its data now."""
        view, lease = self.application.state
        sight = self.application.sight
        now = clock()
        replica = self._replica
        droplets = [] if view is None else [p for p in view.ports.values() if p.droplet is not None]
        return {
            "ready": view is not None
            and lease.holds(now)
            and (sight.ports is None or sight.until > now),
            "dpid": None if replica is None else replica.dpid,
            "server": None if replica is None else replica.server,
            "controller": None if replica is None else replica.connected_to,
            "connected": replica is not None and replica.connected_to is not None,
            "revision": None if view is None else view.revision,
            "ports": 0 if view is None else len(view.ports),
            "droplets": len(droplets),
            "in_doubt": sum(not sight.confirms(port, now) for port in droplets),
            "waits": len(self.application.waits),
            "lease_seconds": round(max(lease.until - now, 0.0), 3),
            **({} if self._watch is None else self._watch.report(now)),
        }


def _token(settings: Settings, dpid: str) -> str:
    """The token, read anew each time: the controller may write the file after our start."""
    if settings.token:
        return settings.token
    try:
        token = token_for(settings.tokens_file.read_text("utf-8"), dpid)
    except (OSError, UnicodeDecodeError) as fault:
        raise Unavailable(f"no token for the controller: {fault}") from fault
    if token is None:
        raise Unavailable(f"no token for bridge {dpid} in {settings.tokens_file}")
    return token


def _host_name() -> str:
    """As the controller takes it in a server's name, with room for the slot."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:56] or "metadata-http"
