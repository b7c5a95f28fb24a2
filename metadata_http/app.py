"""The WSGI application: environ -> `Request` -> `respond` -> start_response.

Thin: it decides nothing. What it adds is memory of answers already given (one dict lookup for a
request seen before on the same binding), the count of answers, the log line of an odd request,
and the hand-over of requests that take longer: reports and waiting.

Where the server offers `environ[LATER]`, no request blocks the thread that calls: see `Later`.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Protocol

from metadata_http import conditional, events, formats
from metadata_http.access import TOKEN_HEADERS, Sessions
from metadata_http.conditional import BadWish, Wish
from metadata_http.document import Node
from metadata_http.identity import UNCHECKED, Caller, Sight, Verdict, identify
from metadata_http.lease import Lease
from metadata_http.metrics import path_kind
from metadata_http.oddities import note, who
from metadata_http.rates import Quotas
from metadata_http.reports import Reply, Reports
from metadata_http.respond import (
    FAULT,
    FORWARDING_HEADERS,
    NO_SESSIONS,
    RETRY_AFTER,
    Request,
    Response,
    Trees,
    is_host,
    is_report,
    lacks_token,
    over_quota,
    plain,
    respond,
    unavailable,
)
from metadata_http.view import Droplet, Port, View, taken_away
from metadata_http.waits import TooMany, Wait, Waits
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]

# A droplet that asks its whole tree needs it some sixty times within a second, then for days not.
_TREES_KEPT = 128

LATER = "metadata_http.later"
"""The environ's key for a `Later`, from a server that can answer after the call has returned."""

ANSWERED_LATER: list[bytes] = []
"""Returned instead of a body when the `Later` is going to be called, or was already."""


class Later(Protocol):
    """Gives the answer of one request, at any time and on any thread, once."""

    def __call__(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send this answer."""


def clock() -> float:
    """Seconds on a clock that runs on while the machine sleeps and is one for all processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Counter(Protocol):
    """Counts answers, and what was odd about those that no known droplet got."""

    def count(self, status: int, path_kind: str, seconds: float | None) -> None:
        """One more answer; `seconds` is what it took, None where it came later."""

    def without_token(self) -> None:
        """One more request that would be refused were a token required."""

    def odd(self, caller: Caller, port: Port | None, status: int) -> None:
        """An answer to nobody who is known for certain; `port` is whose the address is."""


class Application:
    """Answers from `state`, which a replica replaces as a whole on each change.

    `sight` is replaced likewise by whoever watches the switch's database, if anyone does, and by
    `look()` on the calling thread when it is no longer fresh.
    `unknown_droplet_grace` and `longest_wait` are in seconds; `formats` are those of droplets
    that have none of their own; `sessions` makes and knows session tokens.
    A fault of ours costs one droplet a 500, never the rest.
    """

    def __init__(self, counter: Counter, unknown_droplet_grace: float = 60.0) -> None:
        self.state: tuple[View | None, Lease] = (None, Lease())
        self.sight: Sight = UNCHECKED
        self.look: Callable[[], None] = lambda: None
        self.unknown_droplet_grace = unknown_droplet_grace
        self.formats: tuple[str, ...] = (formats.DIGITALOCEAN,)
        self.longest_wait = 60.0
        self.quotas = Quotas(0, 0)
        self.count_over_quota: Callable[[], None] = lambda: None
        self.end_connections: Callable[[frozenset[str]], None] = lambda addresses: None
        self.waits = Waits(clock, limit=4096, per_droplet=32)
        self.reports: Reports | None = None
        self.sessions: Sessions = NO_SESSIONS
        self._counter = counter
        self._tree = lru_cache(_TREES_KEPT)(_tree)

    def publish(self, view: View | None, lease: Lease) -> None:
        """From the next request on, answer from `view` as long as `lease` holds.

        What those have open who lost their port with it is ended when this returns. The controller
        hears of it afterwards and only then opens the port for the next, whose packets so never
        meet a connection of the last.
        """
        before, _ = self.state
        self.state = (view, lease)
        self.waits.changed(view)
        addresses = taken_away(before, view)
        if addresses:
            self.quotas.forget(addresses)
            self.end_connections(addresses)

    def see(self, sight: Sight) -> None:
        """From the next request on, serve only ports that `sight` confirms."""
        self.sight = sight

    def whose(self, peer: str) -> dict[str, Any]:
        """Who would be answered at the address `peer` now, for the operator; none of its data."""
        _, caller = self._caller(peer)
        port, droplet = caller.port, caller.droplet
        return {
            "verdict": caller.verdict.value,
            "reason": caller.reason,
            "ofport": None if port is None else port.ofport,
            "droplet_id": None if droplet is None else droplet.droplet_id,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333."""
        if clock() >= self.sight.fresh:
            self.look()
        view, lease = self.state
        now = clock()
        peer = environ["REMOTE_ADDR"]
        # Whoever is not on a known port of ours is answered no more than 403 or 503.
        port = None if view is None else view.by_address.get(peer)
        if port is None:
            return self._answer(environ, start_response)
        if not self.quotas.take(peer, now):
            return self._over_quota(environ, start_response, port, now)
        droplet = port.droplet
        if (
            droplet is not None
            and lease.until > now
            and _is_plain(environ)
            and self.sight.confirms(port, now)
        ):
            prepared = droplet.prepared.get(environ["PATH_INFO"])
            if prepared is not None:
                tally = droplet.tally
                tally.without_token += 1
                tally.count(prepared[2], now)
                start_response(prepared[0], list(prepared[1]))
                self._counter.without_token()
                self._counter.count(prepared[2], prepared[4], clock() - now)
                return prepared[3]
        return self._answer(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        peer, request = environ["REMOTE_ADDR"], _request(environ)
        began = clock()
        view, caller = self._caller(peer)
        finish, trees = partial(self._finish, peer, caller, request, None), self._trees(caller)
        if caller.droplet is not None and lacks_token(caller, request, trees):
            caller.droplet.tally.without_token += 1
            self._counter.without_token()
        if is_report(caller, request, trees, self.sessions):
            return _deliver(environ, start_response, partial(self._report, environ, caller), finish)
        response = self._respond(peer, caller, request)
        if request.query and response.etag is not None:
            wish = _wish(request)
            if isinstance(wish, Response):
                response = wish
            elif wish is not None and wish.last_etag in (None, response.etag):
                begin = partial(self._wait, peer, view, caller, request, wish, response)
                return _deliver(environ, start_response, begin, finish)
        droplet = caller.droplet
        if response.status < 400 and droplet is not None and _is_plain(environ):
            # Only paths that exist are remembered, so a droplet cannot make this grow. A droplet
            # that must show a token gets nothing for a plain request, so nothing of it is here.
            prepared = (response.status_line, response.headers, response.status.value)
            kind = path_kind(request.path)
            droplet.prepared[request.path] = (*prepared, [response.body], kind)
        return _start(self._finish(peer, caller, request, began, response), start_response)

    def _over_quota(
        self, environ: Environ, start_response: StartResponse, port: Port, now: float
    ) -> Iterable[bytes]:
        peer, request = environ["REMOTE_ADDR"], _request(environ)
        # Whose request it is decides nothing here but who waits; it is told to the log alone.
        caller = Caller(Verdict.WAIT, f"port {port.name} has asked too often", port)
        response = over_quota(self.quotas.wait(peer, now))
        self.count_over_quota()
        return _start(self._finish(peer, caller, request, now, response), start_response)

    def _caller(self, peer: str) -> tuple[View | None, Caller]:
        if clock() >= self.sight.fresh:
            self.look()
        view, lease = self.state
        now = clock()
        grace = self.unknown_droplet_grace
        certain = lease.holds(now)
        sight = self.sight
        return view, identify(view, peer, certain=certain, now=now, grace=grace, sight=sight)

    def _respond(self, peer: str, caller: Caller, request: Request) -> Response:
        try:
            return respond(caller, request, self._trees(caller), self.sessions)
        except Exception:  # noqa: BLE001 - logged, with its trace
            say(log, events.REQUEST_FAULT, trace=True, peer=peer, who=who(caller))
            return FAULT

    def _trees(self, caller: Caller) -> Trees:
        droplet = caller.droplet
        if droplet is None:
            return {}
        served = self.formats if droplet.formats is None else droplet.formats
        return {name: partial(self._tree, droplet, name) for name in served}

    def _finish(
        self,
        peer: str,
        caller: Caller,
        request: Request,
        began: float | None,
        response: Response,
    ) -> Response:
        """What is done with every answer on its way out; `began` is None for one that came late."""
        if request.method == "HEAD":
            response = replace(response, body=b"")
        now = clock()
        if response.status >= 400:
            note(peer, caller, request, response)
        seconds = None if began is None else now - began
        self._counter.count(response.status.value, path_kind(request.path), seconds)
        self._count(peer, caller, response.status.value, now)
        return response

    def _count(self, peer: str, caller: Caller, status: int, now: float) -> None:
        """Count for the droplet concerned, also where it was not certain enough to be served."""
        view, _ = self.state
        port = caller.port
        if port is None and view is not None:
            port = view.by_address.get(peer)
        if port is not None and port.droplet is not None:
            port.droplet.tally.count(status, now)
        if caller.verdict is not Verdict.KNOWN and view is not None:
            self._counter.odd(caller, port, status)

    def _report(self, environ: Environ, caller: Caller, reply: Reply) -> Response | None:
        if self.reports is None:
            return unavailable()
        return self.reports.take(environ, caller, reply)

    def _wait(
        self,
        peer: str,
        view: View | None,
        caller: Caller,
        request: Request,
        wish: Wish,
        seen: Response,
        reply: Reply,
    ) -> Response | None:
        """Have `reply` called once there is something else to say than `seen`, or time is up."""
        assert caller.droplet is not None, "only a known caller sees a node"
        seconds = self.longest_wait if wish.timeout is None else wish.timeout
        again = partial(self._again, caller.binding, request, seen, reply)
        deadline = clock() + min(seconds, self.longest_wait)
        try:
            self.waits.add(Wait(peer, caller.droplet, deadline, again), view)
        except TooMany as fault:
            if not fault.of_droplet:
                return unavailable()
            return plain(HTTPStatus.TOO_MANY_REQUESTS, ("Retry-After", str(RETRY_AFTER)))
        return None

    def _again(
        self,
        binding: Hashable,
        request: Request,
        seen: Response,
        reply: Reply,
        wait: Wait,
        over: bool,
    ) -> bool:
        """Answer a request that waits, if there is a reason to; whether there was."""
        _, caller = self._caller(wait.peer)
        if caller.droplet is None or caller.binding != binding:
            # Whoever has this address now, if anyone, is not the one who asked.
            reply(unavailable())
            return True
        wait.droplet = caller.droplet
        response = self._respond(wait.peer, caller, request)
        if not over and response.etag == seen.etag:
            return False
        reply(response)
        return True


def _tree(droplet: Droplet, name: str) -> Mapping[str, Node]:
    return formats.tree(
        name,
        json.loads(droplet.document),
        droplet.droplet_id,
        droplet.user_data,
        droplet.maintenance_event,
    )


def _wish(request: Request) -> Wish | Response | None:
    try:
        return conditional.wish(request.query)
    except BadWish as fault:
        say(log, events.WISH_UNREADABLE, reason=fault)
        return plain(HTTPStatus.BAD_REQUEST)


def _start(response: Response, start_response: StartResponse) -> Iterable[bytes]:
    start_response(response.status_line, list(response.headers))
    return [response.body]


def _deliver(
    environ: Environ,
    start_response: StartResponse,
    begin: Callable[[Reply], Response | None],
    finish: Callable[[Response], Response],
) -> Iterable[bytes]:
    """Let `begin` answer now, or later through the function it is given."""
    later: Later | None = environ.get(LATER)
    if later is not None:

        def send(response: Response) -> None:
            response = finish(response)
            later(response.status.value, response.headers, response.body)

        response = begin(send)
        return ANSWERED_LATER if response is None else _start(finish(response), start_response)
    # A server that knows only PEP 3333 spends a thread on it.
    came, answers = threading.Event(), []

    def keep(response: Response) -> None:
        answers.append(response)
        came.set()

    response = begin(keep)
    if response is None:
        came.wait()
        response = answers[0]
    return _start(finish(response), start_response)


_UNPLAIN = frozenset(
    f"HTTP_{name.upper().replace('-', '_')}"
    for name in (*FORWARDING_HEADERS, *TOKEN_HEADERS, "transfer-encoding", "if-none-match")
)


def _is_plain(environ: Environ) -> bool:
    """A GET with nothing that could change the answer: its answer hangs on the path alone.

    A token that is shown must be looked at, where none is asked for too.
    """
    return (
        environ["REQUEST_METHOD"] == "GET"
        and not environ.get("QUERY_STRING")
        and is_host(environ.get("HTTP_HOST") or "")
        and _UNPLAIN.isdisjoint(environ)
    )


def _request(environ: Environ) -> Request:
    headers = {
        key[5:].replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    query, version = environ.get("QUERY_STRING", ""), environ.get("SERVER_PROTOCOL", "")
    return Request(method, path, headers, query, version)
