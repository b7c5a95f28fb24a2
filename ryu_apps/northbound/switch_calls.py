"""The calls under /v1/switches: what the controller's core says of switches, ports and servers."""

import re
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import webob

from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.hops import FlowsUnavailable, HopFlow
from ryu_apps.binding.views import PortState, PortView, SwitchView
from ryu_apps.northbound import body
from ryu_apps.northbound.answers import json_answer, no_content
from ryu_apps.northbound.context import MAX_REVISION, Call, asked_text, flag, whole_number
from ryu_apps.northbound.problems import Problem, bad_parameter
from ryu_apps.northbound.watch import NoSuchSwitch, TooManyWatchers
from ryu_apps.registry import jsontext
from ryu_apps.registry.faults import Findings, Place, json_type

_DPID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SERVER = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_OFPORT = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_MAX_ACKNOWLEDGEMENT = 4096
MAX_PORTS = 0xFFFF
"""Ports of a switch that can be told: ofports are 16 bits wide here."""

_NARROWING = ("state", "q", "limit", "after")


def list_switches(call: Call) -> webob.Response:
    """GET /v1/switches: those the caller may see."""
    views = call.context.switchboard.switches()
    seen = [_switch_entry(view) for view in views if _may_see(call, view.dpid)]
    return json_answer(jsontext.encode({"switches": seen}))


def ports(call: Call) -> Any:
    """GET /v1/switches/{dpid}/ports: as they are now, or the stream of their changes."""
    dpid = _dpid(call)
    given = call.parameters("watch", "since", "server", *_NARROWING)
    if flag(given, "watch"):
        for name in _NARROWING:
            if name in given:
                raise bad_parameter(name, "does not go with watch=true")
        return _watch(call, dpid, given)
    for name in ("since", "server"):
        if name in given:
            raise bad_parameter(name, "goes with watch=true only")
    feed = call.context.switchboard.feed(dpid)
    if feed is None:
        raise _unknown(dpid)
    answer: dict[str, Any] = {"revision": feed.revision}
    views, more = _picked(call, feed, given)
    answer["ports"] = [_port_entry(view) for view in views]
    if "limit" in given:
        answer["next"] = views[-1].ofport if more else None
    return json_answer(jsontext.encode(answer))


def _picked(call: Call, feed: PortFeed, given: dict[str, str]) -> tuple[list[PortView], bool]:
    """The ports asked for, as the caller may see them, and whether there are more of them."""
    limit = whole_number(given, "limit", MAX_PORTS, range(1, MAX_PORTS + 1))
    after = whole_number(given, "after", 0, range(MAX_PORTS + 1))
    states = _states(given.get("state"))
    text = asked_text(given) or ""
    picked: list[PortView] = []
    for view in map(partial(_shown, call), feed.ports()):
        if view.ofport <= after or view.state not in states or text not in _words(view):
            continue
        if len(picked) == limit:
            return picked, True
        picked.append(view)
    return picked, False


def _states(text: str | None) -> frozenset[str]:
    known = frozenset(PortState)
    given = known if text is None else frozenset(text.split(","))
    if not given <= known:
        raise bad_parameter("state", f"must be some of {', '.join(PortState)}, with commas between")
    return given


def _words(view: PortView) -> str:
    """What a port is found by."""
    return f"{view.ofport}\n{view.name}\n{view.hv_local_ip}\n{view.droplet_id}".lower()


def flows(call: Call) -> webob.Response:
    """GET /v1/switches/{dpid}/ports/{ofport}/flows: what the switch counts of them now."""
    dpid = known_dpid(call)
    text = call.path["ofport"]
    feed = call.context.switchboard.feed(dpid)
    view = feed.port(int(text)) if feed is not None and _OFPORT.fullmatch(text) else None
    if view is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"switch {dpid:016x} has no ofport {text}")
    try:
        hops = call.context.switchboard.hops(dpid, view.ofport)
    except FlowsUnavailable as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"switch {dpid:016x}: {error}",
            headers={"Retry-After": "2"},
        ) from None
    answer = {
        "dpid": f"{dpid:016x}",
        "ofport": hops.ofport,
        "droplet_id": hops.droplet_id,
        "cookie": None if hops.cookie is None else f"{hops.cookie:#x}",
        "flows": [_flow_entry(flow) for flow in hops.flows],
    }
    return json_answer(jsontext.encode(answer))


def acknowledge(call: Call) -> webob.Response:
    """PUT /v1/switches/{dpid}/servers/{server}: this server has applied all up to a revision."""
    dpid = known_dpid(call)
    body.require_type(call.request.environ, "application/json")
    seconds = call.context.limits.body_seconds
    data = body.read(call.request.environ, max_bytes=_MAX_ACKNOWLEDGEMENT, seconds=seconds)
    revision = _read_revision(jsontext.parse(data))
    server = server_name(call)
    feed = call.context.switchboard.feed(dpid)
    if feed is None or revision > feed.revision:
        # Taken at its word it would have ports opened for it that it does not know of.
        raise Problem(
            HTTPStatus.CONFLICT,
            f"there is no revision {revision} of this switch yet: nobody can have applied it",
        )
    if not call.context.switchboard.acknowledge(dpid, server, revision):
        raise Problem(
            HTTPStatus.CONFLICT,
            f"a port was opened since revision {revision}: the view is too old to be served",
        )
    return no_content()


def unfollow(call: Call) -> webob.Response:
    """DELETE /v1/switches/{dpid}/servers/{server}: this server stops and need not be waited for."""
    dpid = known_dpid(call)
    call.context.switchboard.unfollow(dpid, server_name(call))
    return no_content()


def _watch(call: Call, dpid: int, given: dict[str, str]) -> webob.Response:
    environ = call.request.environ
    since = whole_number(given, "since", -1, range(MAX_REVISION + 1))
    server = _server(given["server"]) if "server" in given else None
    answer = webob.Response(status=200, content_type="application/x-ndjson", charset=None)
    answer.headers["Cache-Control"] = "no-store"
    answer.content_length = None
    if call.request.method == "HEAD":
        return answer
    try:
        answer.app_iter = call.context.watchers.open(
            dpid,
            since=None if since < 0 else since,
            server=server,
            connection=environ["eventlet.input"].get_socket(),
            show=partial(_shown, call),
        )
    except NoSuchSwitch:
        raise _unknown(dpid) from None
    except TooManyWatchers as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "5"}
        ) from None
    environ["eventlet.minimum_write_chunk_size"] = 1  # Each line goes out when it is there.
    return answer


def _dpid(call: Call) -> int:
    """The dpid in the path, one that the caller may see. Raises `Problem` 403, 404."""
    text = call.path["dpid"]
    if not _DPID.fullmatch(text):
        raise Problem(HTTPStatus.NOT_FOUND, "a dpid is written as 16 lower-case hex digits")
    dpid = int(text, 16)
    if not _may_see(call, dpid):
        raise Problem(HTTPStatus.FORBIDDEN, "the token is bound to another switch")
    return dpid


def known_dpid(call: Call) -> int:
    """The dpid in the path, of a switch that is known. Raises `Problem` 403, 404."""
    dpid = _dpid(call)
    if call.context.switchboard.feed(dpid) is None:
        raise _unknown(dpid)
    return dpid


def _unknown(dpid: int) -> Problem:
    return Problem(
        HTTPStatus.NOT_FOUND, f"switch {dpid:016x} is not known: it never connected here"
    )


def _may_see(call: Call, dpid: int) -> bool:
    return call.caller is not None and call.caller.may_see(dpid)


def _shown(call: Call, view: PortView) -> PortView:
    """The port as the caller may see it: a token bound to a switch is for its droplets only."""
    bound = call.caller is None or call.caller.dpid is not None
    return view.without_others() if bound else view


def server_name(call: Call) -> str:
    """The server's name in the path. Raises `Problem` 400."""
    return _server(call.path["server"])


def _server(name: str) -> str:
    if not _SERVER.fullmatch(name):
        raise bad_parameter("server", "must be 1 to 64 letters, digits, '.', '_' or '-'")
    return name


def _read_revision(document: Any) -> int:
    findings = Findings()
    place = Place(findings)
    revision = document.get("revision") if isinstance(document, dict) else None
    if not isinstance(document, dict):
        place.fault(f'must be {{"revision": R}}, not {json_type(document)}')
    elif isinstance(revision, bool) or not isinstance(revision, int) or revision < 0:
        (place / "revision").fault("must be a revision of the watch stream")
    findings.raise_if_any()
    return revision


def _switch_entry(view: SwitchView) -> dict[str, Any]:
    return {
        "dpid": f"{view.dpid:016x}",
        "connected": view.connected,
        "state": view.state,
        "reason": view.reason,
        "warnings": list(view.warnings),
        "drift": {
            "repaired": view.drift.repaired,
            "last_reason": view.drift.last_reason,
            "last_at": _timestamp(view.drift.last_at),
        },
        "ports": view.ports,
        "serving": view.serving,
        "binding": view.binding,
        "errors": view.errors,
        "flows": view.flows,
        "hv_local_subnet": view.hv_local_subnet,
    }


def _flow_entry(flow: HopFlow) -> dict[str, Any]:
    return {
        "name": flow.name,
        "table": flow.table,
        "priority": flow.priority,
        "state": flow.state,
        "packets": flow.counters.packets,
        "bytes": flow.counters.octets,
        "age_s": round(flow.counters.age, 3),
    }


def _timestamp(at: float | None) -> str | None:
    """RFC 3339, in UTC and to the second."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _port_entry(view: PortView) -> dict[str, Any]:
    return {
        "ofport": view.ofport,
        "name": view.name,
        "hv_local_ip": view.hv_local_ip,
        "droplet_id": view.droplet_id,
        "state": view.state,
        "reason": view.reason,
    }
