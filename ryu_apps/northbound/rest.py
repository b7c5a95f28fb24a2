"""The REST interface as one WSGI callable: routing, who may call, and answers to every failure.

Lives here: what all calls have in common. The calls themselves are in the files called
`..._calls.py` beside it; the table of them is `ROUTES`, which the OpenAPI description is held to.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import webob

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding.followers import NotLeading, TooMany
from ryu_apps.northbound import (
    backup_calls,
    body,
    droplet_calls,
    page_calls,
    request_calls,
    service_calls,
    standing_calls,
    status_calls,
    switch_calls,
)
from ryu_apps.northbound.answers import etag
from ryu_apps.northbound.audit import Trail
from ryu_apps.northbound.context import Call, Context, Limits, Places
from ryu_apps.northbound.metrics import Metrics
from ryu_apps.northbound.problems import (
    Problem,
    broken_off,
    invalid_document,
    port_names_taken,
)
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.tokens import Caller, Role, Tokens
from ryu_apps.northbound.watch import Pace, Switchboard, Watchers
from ryu_apps.registry.faults import InvalidDocument
from ryu_apps.store.interface import (
    BrokenOff,
    NoSuchDroplet,
    PortNamesTaken,
    PreconditionFailed,
    StoreFull,
    StoreUnavailable,
    TooLargeForStore,
)

LOG = logging.getLogger(__name__)

Handler = Callable[[Call], Any]
_ADMIN = frozenset({Role.ADMIN})
_ANY_ROLE = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Route:
    """A path, `{name}` standing for one segment, what answers it, and who may ask.

    `roles` None: anybody, without a token.
    """

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role] | None

    def pattern(self) -> re.Pattern[str]:
        """The expression that paths of this route match."""
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))


ROUTES = (
    Route("GET", "/v1/droplets", droplet_calls.list_page, _ADMIN),
    Route("POST", "/v1/droplets", droplet_calls.put_batch, _ADMIN),
    Route("GET", "/v1/droplets/{droplet_id}", droplet_calls.get, _ADMIN),
    Route("PUT", "/v1/droplets/{droplet_id}", droplet_calls.put, _ADMIN),
    Route("DELETE", "/v1/droplets/{droplet_id}", droplet_calls.delete, _ADMIN),
    Route("GET", "/v1/droplets/{droplet_id}/maintenance", status_calls.maintenance, _ADMIN),
    Route("PUT", "/v1/droplets/{droplet_id}/maintenance", status_calls.announce, _ADMIN),
    Route("DELETE", "/v1/droplets/{droplet_id}/maintenance", status_calls.call_off, _ADMIN),
    Route("GET", "/v1/standings", standing_calls.standings, _ADMIN),
    Route("GET", "/v1/backup", backup_calls.backup, _ADMIN),
    Route("GET", "/v1/switches", switch_calls.list_switches, _ANY_ROLE),
    Route("GET", "/v1/switches/{dpid}/ports", switch_calls.ports, _ANY_ROLE),
    Route("GET", "/v1/switches/{dpid}/ports/{ofport}/flows", switch_calls.flows, _ANY_ROLE),
    Route("PUT", "/v1/switches/{dpid}/servers/{server}", switch_calls.acknowledge, _ANY_ROLE),
    Route("DELETE", "/v1/switches/{dpid}/servers/{server}", switch_calls.unfollow, _ANY_ROLE),
    Route("GET", "/v1/switches/{dpid}/requests", request_calls.requests, _ANY_ROLE),
    Route(
        "PUT",
        "/v1/switches/{dpid}/servers/{server}/requests",
        request_calls.count_requests,
        _ANY_ROLE,
    ),
    Route(
        "PATCH",
        "/v1/switches/{dpid}/droplets/{droplet_id}/agent",
        status_calls.report_of_agent,
        _ANY_ROLE,
    ),
    Route("GET", "/v1/openapi.json", service_calls.openapi_json, _ANY_ROLE),
    Route("GET", "/", page_calls.index, None),
    Route("GET", "/page/{file}", page_calls.file, None),
    Route("GET", "/healthz", service_calls.healthz, None),
    Route("GET", "/readyz", service_calls.readyz, None),
    Route("GET", "/metrics", service_calls.metrics, None),
)


class RestApp:
    """The WSGI callable. Runs on green threads of eventlet.wsgi.

    `ready` names what still keeps the controller from its work; nothing when it is ready.
    """

    def __init__(
        self,
        registry: Registry,
        switchboard: Switchboard,
        tokens: Tokens,
        *,
        limits: Limits | None = None,
        pace: Pace | None = None,
        metrics: Metrics | None = None,
        ready: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        limits = limits or Limits()
        watchers = Watchers(
            registry,
            switchboard,
            limit=limits.watchers,
            per_switch=limits.watchers_per_switch,
            pace=pace,
        )
        self.metrics = metrics or Metrics()
        batches = Places(limits.batches)
        self.metrics.observe(registry, watchers, batches)
        self._tokens = tokens
        self._context = Context(
            registry, switchboard, watchers, self.metrics, limits, ready, batches
        )
        self._routes = [(route, route.pattern()) for route in ROUTES]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request; never raises, for eventlet would show the trace to the sender."""
        began = time.monotonic()
        request = webob.Request(environ)
        path, values, trail = "(none)", {}, Trail()
        body.answer_at_once(environ)
        try:
            route, values = self._route(request)
            path = route.path
            caller = self._caller(route, request, trail)
            response = route.handler(Call(request, values, caller, self._context, trail))
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            response = _answer_to(error, request)
        seconds = time.monotonic() - began
        trail.end(request, path, values, response)
        self.metrics.answered(request.method, path, response.status_int, seconds)
        refused = response.status_int >= HTTPStatus.BAD_REQUEST
        say(
            LOG,
            events.REST_REFUSED if refused else events.REST_ANSWERED,
            status=response.status_int,
            peer=environ.get("REMOTE_ADDR"),
            method=request.method[:16],
            path=environ.get("PATH_INFO", "")[:200],
            seconds=seconds,
        )
        if refused:
            body.drop_rest(environ)
        return response(environ, start_response)

    def _route(self, request: webob.Request) -> tuple[Route, dict[str, str]]:
        """The route of the request and the values in its path. Raises `Problem` 404, 405."""
        path = request.environ.get("PATH_INFO", "")
        method = "GET" if request.method == "HEAD" else request.method
        found = [(r, m.groupdict()) for r, p in self._routes if (m := p.fullmatch(path))]
        for route, values in found:
            if route.method == method:
                return route, values
        if path.startswith("/v1/"):
            self._authenticate(request)  # Without a token nobody learns what there is.
        if not found:
            raise Problem(HTTPStatus.NOT_FOUND, "there is nothing at this path")
        methods = {route.method for route, _ in found}
        allowed = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED, f"allowed here: {allowed}", headers={"Allow": allowed}
        )

    def _caller(self, route: Route, request: webob.Request, trail: Trail) -> Caller | None:
        if route.roles is None:
            return None
        caller = trail.caller = self._authenticate(request)
        if caller.role not in route.roles:
            needed = " or ".join(sorted(route.roles))
            raise Problem(
                HTTPStatus.FORBIDDEN, f"this takes the role {needed}; the token has {caller.role}"
            )
        return caller

    def _authenticate(self, request: webob.Request) -> Caller:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("send Authorization: Bearer TOKEN; tokens are in tokens_file", "")
        caller = self._tokens.caller(token.strip())
        if caller is None:
            raise _unauthorized("this token is not known here", ', error="invalid_token"')
        return caller


def _unauthorized(detail: str, parameters: str) -> Problem:
    challenge = f'Bearer realm="ovs-metadata"{parameters}'
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def _answer_to(error: Exception, request: webob.Request) -> webob.Response:
    problem = _problem(error)
    if problem is None:
        # The path may hold names, no secrets; the body and the headers do and are not logged.
        path = request.environ.get("PATH_INFO")
        say(LOG, events.REST_FAULT, trace=True, method=request.method, path=path)
        problem = Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the controller; its log has the details"
        )
    return problem.response()


def _problem(error: Exception) -> Problem | None:
    """The refusal that `error` means; None where it means a fault of ours."""
    match error:
        case Problem():
            return error
        case InvalidDocument():
            return invalid_document(error)
        case PortNamesTaken():
            return port_names_taken(error)
        case NoSuchDroplet():
            return Problem(HTTPStatus.NOT_FOUND, f"droplet {error.droplet_id} is not registered")
        case PreconditionFailed():
            now = "is not registered"
            if error.revision is not None:
                now = f"is registered, its ETag is {etag(error.revision, error.status_revision)}"
            return Problem(HTTPStatus.PRECONDITION_FAILED, f"the droplet {now}")
        case TooLargeForStore():
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.reason)
        case BrokenOff():
            cause = _problem(error.cause)
            return None if cause is None else broken_off(error, cause)
        case StoreFull():
            say(LOG, events.STORE_AWAY, reason=error)
            return Problem(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        case NotLeading():
            return Problem(
                HTTPStatus.MISDIRECTED_REQUEST, f"this controller does not lead the switch: {error}"
            )
        case TooMany():
            say(LOG, events.REST_FULL, reason=error)
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "60"}
            )
        case StoreUnavailable():
            say(LOG, events.STORE_AWAY, reason=error)
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "2"})
    return None
