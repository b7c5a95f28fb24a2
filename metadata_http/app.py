"""The WSGI application: environ -> `Request` -> `respond` -> start_response.

Thin: it decides nothing. What it adds is memory of answers already given (one dict lookup for a
request seen before on the same binding), the count of answers and one log line an odd request.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Protocol

from metadata_http.document import Node, tree
from metadata_http.identity import Caller, Verdict, identify
from metadata_http.lease import Lease
from metadata_http.respond import FAULT, FORWARDING_HEADERS, Request, Response, respond
from metadata_http.view import Droplet, View

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]

# A droplet that asks its whole tree needs it some sixty times within a second, then for days not.
_TREES_KEPT = 128


def clock() -> float:
    """Seconds on a clock that runs on while the machine sleeps and is one for all processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Counter(Protocol):
    """Counts answers by their status."""

    def count(self, status: int) -> None:
        """One more answer with `status`."""


class Application:
    """Answers from `state`, which a replica replaces as a whole on each change.

    `unknown_droplet_grace` is in seconds. A fault of ours costs one droplet a 500, never the rest.
    """

    def __init__(self, counter: Counter, unknown_droplet_grace: float = 60.0) -> None:
        self.state: tuple[View | None, Lease] = (None, Lease())
        self.unknown_droplet_grace = unknown_droplet_grace
        self._counter = counter
        self._tree = lru_cache(_TREES_KEPT)(_tree)

    def publish(self, view: View | None, lease: Lease) -> None:
        """From the next request on, answer from `view` as long as `lease` holds."""
        self.state = (view, lease)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333."""
        view, lease = self.state
        now = clock()
        if view is not None and lease.until > now and _is_plain(environ):
            port = view.by_address.get(environ["REMOTE_ADDR"])
            if port is not None and port.droplet is not None:
                prepared = port.droplet.prepared.get(environ["PATH_INFO"])
                if prepared is not None:
                    self._counter.count(prepared[2])
                    start_response(prepared[0], list(prepared[1]))
                    return prepared[3]
        return self._answer(environ, start_response, view, lease.holds(now), now)

    def _answer(
        self,
        environ: Environ,
        start_response: StartResponse,
        view: View | None,
        certain: bool,
        now: float,
    ) -> Iterable[bytes]:
        peer = environ["REMOTE_ADDR"]
        caller = identify(view, peer, certain=certain, now=now, grace=self.unknown_droplet_grace)
        request = _request(environ)
        try:
            response = respond(caller, request, lambda: self._tree_of(caller))
        except Exception:
            log.exception("fault of ours while answering %s (%s)", peer, _who(caller))
            response = FAULT
        prepared = (response.status_line, response.headers, response.status.value, [response.body])
        if response.status < 400 and caller.droplet is not None and _is_plain(environ):
            # Only paths that exist are remembered, so a droplet cannot make this grow.
            caller.droplet.prepared[request.path] = prepared
        if response.status >= 400:
            _log_odd(peer, caller, request, response)
        self._counter.count(response.status.value)
        start_response(prepared[0], list(prepared[1]))
        return prepared[3]

    def _tree_of(self, caller: Caller) -> dict[str, Node]:
        assert caller.droplet is not None, "only a known caller has a tree"
        return self._tree(caller.droplet)


def _tree(droplet: Droplet) -> dict[str, Node]:
    return tree(json.loads(droplet.document), droplet.droplet_id, droplet.user_data)


_UNPLAIN = tuple(
    f"HTTP_{name.upper().replace('-', '_')}" for name in (*FORWARDING_HEADERS, "transfer-encoding")
)


def _is_plain(environ: Environ) -> bool:
    """A GET with no header that could change the answer: its answer hangs on the path alone."""
    return environ["REQUEST_METHOD"] == "GET" and not any(map(environ.__contains__, _UNPLAIN))


def _request(environ: Environ) -> Request:
    headers = {
        key[5:].replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    return Request(environ["REQUEST_METHOD"], environ["PATH_INFO"], headers)


def _log_odd(peer: str, caller: Caller, request: Request, response: Response) -> None:
    """One line; the guest wrote method and path, so both are shown quoted and cut."""
    level = logging.WARNING if caller.verdict is Verdict.REFUSED else logging.INFO
    status, method, path = response.status.value, request.method[:16], request.path[:200]
    log.log(level, "%d to %s (%s): %r %r", status, peer, _who(caller), method, path)


def _who(caller: Caller) -> str:
    if caller.droplet is None:
        return caller.reason
    return f"droplet {caller.droplet.droplet_id}, {caller.reason}"
