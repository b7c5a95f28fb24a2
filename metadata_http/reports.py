"""What droplets report about themselves (PATCH /metadata/v1.json), read and handed on.

Shell: calls the controller on threads of its own, so that a slow one holds up nobody. How bodies
are read is `bodies`', what they may say `agent`'s to decide.

A droplet is not trusted: one report of it at a time, a bounded body in a bounded time, and calls
to the controller at a bounded rate, its own and all droplets' together.
"""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any

from metadata_http import agent, events
from metadata_http.bodies import AT_ONCE, Bodies, Busy, Late
from metadata_http.controller import Answered, Controller, Unavailable
from metadata_http.identity import Caller
from metadata_http.rates import Rates
from metadata_http.respond import FAULT, Response, plain, unavailable
from metadata_http.view import Droplet
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

BODY_LIMIT = 8192  # bytes; the agent's are under 100
# A droplet's calls: five at once, then one in two seconds (the agent repeats every five). A body
# that does not come in time holds a thread for two seconds, and so costs as much as four calls.
_OWN_RATE, _OWN_BURST = 0.5, 5.0
_SLOW_BODY_COST = 4.0
_ALL_RATE, _ALL_BURST = 25.0, 50.0
_RETRY_AFTER = 5  # seconds, as the agent does
_KEPT = 4096
_OUR_FAULTS = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 422)

Environ = Mapping[str, Any]
Reply = Callable[[Response], None]


class Reports:
    """Takes reports for bridge `dpid` to the first of `controllers` that keeps them."""

    def __init__(
        self, dpid: str, controllers: Sequence[Controller], clock: Callable[[], float]
    ) -> None:
        self._dpid = dpid
        self._controllers = controllers
        self._clock = clock
        self._lock = threading.Lock()
        self._busy: set[int] = set()
        self._own = Rates(_OWN_RATE, _OWN_BURST)
        self._all = Rates(_ALL_RATE, _ALL_BURST)
        # What was kept last of each binding, and what was served then.
        self._kept: OrderedDict[Hashable, tuple[Droplet, dict[str, Any]]] = OrderedDict()
        self._bodies = Bodies()
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="report")

    def take(self, environ: Environ, caller: Caller, reply: Reply) -> Response | None:
        """Refuse the report, or return None and have `reply` called, on another thread.

        Reads the body first, which may take the calling thread a few seconds.
        """
        droplet = caller.droplet
        assert droplet is not None, "only a known caller may report"
        if not agent.is_json(environ.get("CONTENT_TYPE") or ""):
            return plain(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit():
            return plain(HTTPStatus.BAD_REQUEST, ("Connection", "close"))
        if len(length) > 9 or int(length) > BODY_LIMIT:
            return plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ("Connection", "close"))
        refusal = self._enter(droplet.droplet_id)
        if refusal is not None:
            return refusal
        try:
            return self._read(environ, int(length), caller, droplet, reply)
        except BaseException:
            self._leave(droplet.droplet_id)
            raise

    def _enter(self, droplet_id: int) -> Response | None:
        with self._lock:
            if droplet_id in self._busy or not self._own.take(droplet_id, self._clock(), 0):
                return _too_many()
            if len(self._busy) >= AT_ONCE:
                return unavailable(_RETRY_AFTER)
            self._busy.add(droplet_id)
        return None

    def _leave(self, droplet_id: int) -> None:
        with self._lock:
            self._busy.discard(droplet_id)

    def _read(
        self, environ: Environ, length: int, caller: Caller, droplet: Droplet, reply: Reply
    ) -> Response | None:
        droplet_id, peer = droplet.droplet_id, environ["REMOTE_ADDR"]
        late = plain(HTTPStatus.REQUEST_TIMEOUT, ("Connection", "close"))
        try:
            say_late = partial(reply, late)
            body = self._bodies.read(environ["wsgi.input"].read, length, peer, say_late)
        except Busy:
            self._leave(droplet_id)
            return unavailable(_RETRY_AFTER)
        except Late:
            with self._lock:
                self._own.charge(droplet_id, self._clock(), _SLOW_BODY_COST)
            self._leave(droplet_id)
            return None
        self._workers.submit(self._carry_out, body, caller, droplet, reply)
        return None

    def _carry_out(self, body: bytes, caller: Caller, droplet: Droplet, reply: Reply) -> None:
        try:
            response = self._response(body, caller, droplet)
        except Exception:  # noqa: BLE001 - logged, with its trace
            say(log, events.REPORT_FAULT, trace=True, droplet_id=droplet.droplet_id)
            response = FAULT
        self._leave(droplet.droplet_id)
        reply(response)

    def _response(self, body: bytes, caller: Caller, droplet: Droplet) -> Response:
        try:
            reported = agent.report(body)
        except agent.BadReport as fault:
            say(log, events.REPORT_UNREADABLE, droplet_id=droplet.droplet_id, reason=fault)
            return plain(HTTPStatus.BAD_REQUEST)
        if self._is_known(caller.binding, droplet, reported):
            return plain(HTTPStatus.ACCEPTED)
        with self._lock:
            now = self._clock()
            if not self._own.take(droplet.droplet_id, now):
                return _too_many()
            if not self._all.take(None, now):
                return unavailable(_RETRY_AFTER)
        return self._hand_on(caller.binding, droplet, reported)

    def _is_known(self, binding: Hashable, droplet: Droplet, reported: dict[str, Any]) -> bool:
        """Whether it was kept before: by what is served, and by what we handed on since."""
        document = json.loads(droplet.document)
        with self._lock:
            served_then, kept = self._kept.get(binding, (None, {}))
        if served_then is droplet:  # the stream has not brought it back yet
            return agent.says_nothing_new(reported, {**document, **kept})
        known = {key: reported[key] for key in reported if key in kept}
        return agent.says_nothing_new(reported, document) and agent.says_nothing_new(known, kept)

    def _hand_on(self, binding: Hashable, droplet: Droplet, reported: dict[str, Any]) -> Response:
        droplet_id = droplet.droplet_id
        for controller in self._controllers:
            try:
                controller.report(self._dpid, droplet_id, reported)
            except Answered as answer:
                say(log, events.REPORT_NOT_TAKEN, droplet_id=droplet_id, reason=answer)
                if answer.status in _OUR_FAULTS:
                    return plain(HTTPStatus.BAD_REQUEST)
            except Unavailable as fault:
                say(log, events.REPORT_NOT_TAKEN, droplet_id=droplet_id, reason=fault)
            else:
                self._remember(binding, droplet, reported)
                return plain(HTTPStatus.ACCEPTED)
        return unavailable(_RETRY_AFTER)

    def _remember(self, binding: Hashable, droplet: Droplet, reported: dict[str, Any]) -> None:
        with self._lock:
            _, kept = self._kept.pop(binding, (None, {}))
            self._kept[binding] = droplet, {**kept, **reported}
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


def _too_many() -> Response:
    return plain(HTTPStatus.TOO_MANY_REQUESTS, ("Retry-After", str(_RETRY_AFTER)))
