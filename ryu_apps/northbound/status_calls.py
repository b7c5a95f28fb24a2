"""The calls that change a droplet's status: what its agent reports, and maintenance announced."""

from http import HTTPStatus

import webob

from ryu_apps.northbound import body
from ryu_apps.northbound.answers import json_answer, no_content
from ryu_apps.northbound.context import Call
from ryu_apps.northbound.droplet_calls import known_id
from ryu_apps.northbound.problems import Problem
from ryu_apps.northbound.switch_calls import known_dpid
from ryu_apps.registry import jsontext, status
from ryu_apps.store.interface import NoSuchDroplet

MERGE_PATCH = "application/merge-patch+json"

_MAX_REPORT = 128 << 10
"""Bytes: room for as many host keys as there may be, as long as they may be."""

_MAX_MAINTENANCE = 4096


def report_of_agent(call: Call) -> webob.Response:
    """PATCH /v1/switches/{dpid}/droplets/{droplet_id}/agent: what droplet-agent says of itself.

    A metadata server speaks for droplets on its switch alone, so the droplet must be bound there.
    """
    dpid, droplet_id = known_dpid(call), known_id(call)
    environ = call.request.environ
    body.require_type(environ, MERGE_PATCH)
    seconds = call.context.limits.body_seconds
    data = body.read(environ, max_bytes=_MAX_REPORT, seconds=seconds)
    patch = status.read_agent_report(jsontext.parse(data))
    _require_bound(call, dpid, droplet_id)
    revision = _patch(call, droplet_id, patch)
    return json_answer(jsontext.encode({"revision": revision}))


def _require_bound(call: Call, dpid: int, droplet_id: int) -> None:
    """Raise `Problem` where the droplet is on no port of the switch, 404, or who knows, 503.

    Whether it is registered at all is not told: a server may know of its own droplets only.
    """
    feed = call.context.switchboard.feed(dpid)
    if feed is not None and any(view.droplet_id == droplet_id for view in feed.ports()):
        return
    if feed is None or not feed.in_sync:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"switch {dpid:016x} is not in sync yet",
            headers={"Retry-After": "2"},
        )
    raise Problem(HTTPStatus.NOT_FOUND, f"droplet {droplet_id} is on no port of switch {dpid:016x}")


def maintenance(call: Call) -> webob.Response:
    """GET /v1/droplets/{droplet_id}/maintenance: the event announced, null if there is none."""
    droplet_id = known_id(call)
    record = call.context.registry.get(droplet_id)
    if record is None:
        raise NoSuchDroplet(droplet_id)
    event = status.decode(record.status).get("maintenance_event")
    return json_answer(jsontext.encode({"event": event}))


def announce(call: Call) -> webob.Response:
    """PUT /v1/droplets/{droplet_id}/maintenance: announce an event to the droplet, durably."""
    droplet_id = known_id(call)
    environ = call.request.environ
    body.require_type(environ, "application/json")
    seconds = call.context.limits.body_seconds
    data = body.read(environ, max_bytes=_MAX_MAINTENANCE, seconds=seconds)
    patch = status.read_maintenance(jsontext.parse(data))
    _patch(call, droplet_id, patch)
    return no_content()


def call_off(call: Call) -> webob.Response:
    """DELETE /v1/droplets/{droplet_id}/maintenance: no event is announced any more."""
    _patch(call, known_id(call), status.NO_MAINTENANCE)
    return no_content()


def _patch(call: Call, droplet_id: int, patch: status.Patch) -> int:
    registry = call.context.registry
    call.trail.look(registry, droplet_id)
    latest = registry.patch_status(droplet_id, patch)
    call.trail.status(latest, patch)
    return latest
