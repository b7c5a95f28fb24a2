"""All that follows one bridge in one process: controller, switch database, reports, snapshot file.

Shell. A bridge that was deleted and made again has another dpid and is another bridge: what
followed the old one is left for good, and from that moment nothing of it is published any more.
"""

import logging
import os
import re
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from metadata_http import events
from metadata_http.app import Application, clock
from metadata_http.bodies import AT_ONCE
from metadata_http.controller import Controller, Unavailable, tls_context
from metadata_http.counts import Counts
from metadata_http.identity import Sight
from metadata_http.journal import Journal, claim_slot
from metadata_http.lease import Lease
from metadata_http.ovsdb_watch import NOTHING, OvsdbWatch
from metadata_http.replica import Replica
from metadata_http.reports import Reports
from metadata_http.session_keys import HostSessions, SessionKeys
from metadata_http.settings import Settings
from metadata_http.tokens import token_for
from metadata_http.view import View
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

_REPORT_TIMEOUT = 3.0  # seconds a controller has to keep a droplet's report
_SLOT_PATIENCE = 1.0  # seconds a process that was just killed may take to be gone


class Followed:
    """The bridge `dpid`, followed for `application`. Raises OSError where the disk does.

    `moved(dpid)` is called, on a thread that must be let go, when the bridge has another dpid now.
    """

    def __init__(
        self, settings: Settings, dpid: str, application: Application, moved: Callable[[str], None]
    ) -> None:
        self.dpid = dpid
        self.slot, path, self._slot_lock = claim_slot(
            settings.snapshot_path(dpid), settings.workers, _SLOT_PATIENCE
        )
        self._application = application
        self._left = False
        self._publishing = threading.Lock()
        token, tls = partial(_token, settings, dpid), controllers_tls(settings)
        self.replica = Replica(
            dpid,
            f"{_host_name()}-{self.slot}",
            [Controller(url, token, tls) for url in settings.controller_urls],
            Journal(path),
            self._publish,
            clock,
        )
        # Where only the dpid is given, it need not be a bridge of the local database.
        name = settings.bridge if settings.dpid is None else None
        self._watch = OvsdbWatch(
            settings.ovsdb, dpid, name, self._see, self.replica.quiet, moved, clock
        )
        # Connections of their own: the stream's are used by one thread, in its own time.
        calls = [
            Controller(url, token, tls, _REPORT_TIMEOUT, AT_ONCE)
            for url in settings.controller_urls
        ]
        self._reports = Reports(dpid, calls, clock)
        self._counts = Counts(self.replica, calls, lambda: application.state, clock)
        keys = SessionKeys(settings.session_keys_path(dpid), clock)
        keys.newest()  # a folder it cannot be in is to be seen now, not at the first request
        self._sessions = HostSessions(dpid, keys, clock)

    def start(self) -> None:
        """Load the snapshot and begin to follow. Raises OSError."""
        self.replica.load()
        self._application.look = self._watch.look
        self._application.reports = self._reports
        self._application.sessions = self._sessions
        self.replica.start()
        self._watch.start()
        self._counts.start()

    def wait(self, seconds: float) -> None:
        """Wait for a view that may be served, a moment only."""
        self.replica.certain.wait(seconds)
        self._watch.settled.wait(seconds)

    def report(self, now: float) -> dict[str, Any]:
        """How it stands, for /readyz and as gauges."""
        replica = self.replica
        return {
            "dpid": self.dpid,
            "server": replica.server,
            "controller": replica.connected_to,
            "connected": replica.connected_to is not None,
            "controller_reason": replica.trouble,
            **self._watch.report(now),
        }

    def leave(self) -> None:
        """Stop following. Call when the last request is answered."""
        self._counts.leave()
        self._watch.leave()
        self.replica.leave()
        os.close(self._slot_lock)

    def forsake(self) -> None:
        """Stop following a bridge that is no more: from here on nobody is served by its view."""
        with self._publishing:
            self._left = True
            self._application.publish(None, Lease())
            self._application.see(NOTHING)
        self.leave()
        self.replica.discard()

    def _publish(self, view: View | None, lease: Lease) -> None:
        with self._publishing:
            if not self._left:
                self._application.publish(view, lease)

    def _see(self, sight: Sight) -> None:
        with self._publishing:
            if not self._left:
                self._application.see(sight)


def controllers_tls(settings: Settings) -> ssl.SSLContext:
    """What https controllers are talked to with. Raises BadFile."""
    return tls_context(
        settings.controller_ca, settings.controller_certificate, settings.controller_key
    )


def _token(settings: Settings, dpid: str) -> str:
    """The token, read anew each time: the controller may write the file after our start."""
    if settings.token:
        return settings.token
    try:
        token = token_for(settings.tokens_file.read_text("utf-8"), dpid)
        _warn_of_open(settings.tokens_file, stat.S_IMODE(settings.tokens_file.stat().st_mode))
    except (OSError, UnicodeDecodeError) as fault:
        raise Unavailable(f"no token for the controller: {fault}") from fault
    if token is None:
        raise Unavailable(f"no token for bridge {dpid} in {settings.tokens_file}")
    return token


@cache
def _warn_of_open(tokens_file: Path, mode: int) -> None:
    """Say once that others can read the tokens."""
    if mode & 0o007:
        say(log, events.TOKENS_OPEN, file=tokens_file, mode=mode)


def _host_name() -> str:
    """As the controller takes it in a server's name, with room for the slot."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:56] or "metadata-http"
