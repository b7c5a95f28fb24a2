"""One process's parts put together: application, replica and admin.

Shell, and the only place that knows them all; each of them knows only what it is given.
"""

import logging
import os
import re
import socket
from typing import Any

from prometheus_client import CollectorRegistry

from metadata_http.admin import Admin, AnswerCounter
from metadata_http.app import Application, clock
from metadata_http.controller import Controller, Unavailable
from metadata_http.journal import Journal, claim_slot
from metadata_http.replica import Replica
from metadata_http.settings import Settings
from metadata_http.tokens import token_for

log = logging.getLogger(__name__)

_FIRST_VIEW = 1.0  # seconds a starting server waits for a view before it answers without one


class Service:
    """Everything of one process but the HTTP server that calls `application`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.application = Application(AnswerCounter(self.registry))
        self._replica: Replica | None = None

    def start(self, settings: Settings, dpid: str) -> None:
        """Load the snapshot, follow the controller, open admin; wait a moment for a first view.

        Raises OSError.
        """
        slot, path, self._slot_lock = claim_slot(settings.snapshot_path(dpid))
        self.application.unknown_droplet_grace = settings.unknown_droplet_grace
        admin = self._admin(settings, slot)
        replica = Replica(
            dpid,
            f"{_host_name()}-{slot}",
            [Controller(url, lambda: _token(settings, dpid)) for url in settings.controller_urls],
            Journal(path),
            self.application.publish,
            clock,
        )
        replica.load()
        replica.start()
        self._replica = replica
        admin.start()
        log.info("server %s, admin on %s", replica.server, admin.address)
        # On a restart the requests that wait in the socket's queue get an answer, not a 503.
        replica.certain.wait(_FIRST_VIEW)

    def _admin(self, settings: Settings, slot: int) -> Admin:
        host, port = settings.admin_listen.host, settings.admin_listen.port
        own = port + slot if port else 0
        try:
            return Admin(host, own, self.registry, self.report)
        except OSError as fault:
            where = f"admin_listen {host}:{own}"
            raise OSError(fault.errno, f"{fault.strerror}: {where}") from fault

    def stop(self) -> None:
        """Call when the last request is answered."""
        if self._replica is not None:
            self._replica.leave()
            os.close(self._slot_lock)

    def report(self) -> dict[str, Any]:
        """What /readyz shows: ready means that a known droplet gets its data now."""
        view, lease = self.application.state
        now = clock()
        replica = self._replica
        return {
            "ready": view is not None and lease.holds(now),
            "dpid": None if replica is None else replica.dpid,
            "server": None if replica is None else replica.server,
            "controller": None if replica is None else replica.connected_to,
            "connected": replica is not None and replica.connected_to is not None,
            "revision": None if view is None else view.revision,
            "ports": 0 if view is None else len(view.ports),
            "droplets": 0
            if view is None
            else sum(port.droplet is not None for port in view.ports.values()),
            "lease_seconds": round(max(lease.until - now, 0.0), 3),
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
