"""The OpenAPI 3.1 description of the interface: the calls here, the shapes in `schemas.py`.

Held to the code by tests: each route is described and nothing else, and real answers are
checked against the shapes.
"""

from http import HTTPStatus

from ryu_apps.binding.views import PortState
from ryu_apps.northbound.context import MAX_REVISION, Limits
from ryu_apps.northbound.openapi_parts import (
    JSON,
    MERGE_PATCH,
    NDJSON,
    SQLITE,
    Json,
    answer,
    droplet_answer,
    integer,
    operation,
    parameter,
    problems,
    ref,
)
from ryu_apps.northbound.schemas import SCHEMAS
from ryu_apps.northbound.switch_calls import MAX_PORTS
from ryu_apps.registry.droplet import MAX_DROPLET_ID
from ryu_apps.registry.search import MAX_TEXT

VERSION = "1.1"
"""Of the interface: the first number is that of /v1, the second grows with what is added. 1.0 is
kept with the tests, which hold this to it: nothing that was there goes, or asks for more."""

_DROPLET_ID = parameter("droplet_id", "path", ref("DropletId"), "The droplet's id")
_DPID = parameter("dpid", "path", ref("Dpid"), "The switch's datapath id")
_SOME_STATES = {"type": "array", "items": {"enum": list(PortState)}, "minItems": 1}
_OFPORTS = parameter(
    "ofports",
    "query",
    {"type": "array", "items": integer(0, 99999), "minItems": 1, "maxItems": 100},
    "Only of these, commas between",
) | {"style": "form", "explode": False}
_FAILING = parameter(
    "failing", "query", {"type": "boolean"}, "Only droplets whose last answer was 400 or above"
)
_OFPORT = parameter("ofport", "path", integer(1, 0xFFFF), "The port's OpenFlow number")
_FILE = parameter("file", "path", {"type": "string"}, "The file's name")
_Q = parameter("q", "query", {"type": "string", "maxLength": MAX_TEXT}, "Only those found by it")
_SERVER = parameter("server", "path", ref("ServerName"), "A metadata server's name for itself")
_IF_MATCH = parameter(
    "If-Match", "header", {"type": "string"}, "Only if the record has this ETag (`*`: exists)"
)
_IF_NONE_MATCH = parameter(
    "If-None-Match", "header", {"type": "string"}, "Only if it has none of these (`*`: is new)"
)


def _droplets() -> Json:
    query = [
        parameter("limit", "query", integer(1, Limits().page), "At most so many"),
        parameter("after", "query", integer(0, MAX_DROPLET_ID), "Only ids above; `next` of a page"),
        parameter("tag", "query", {"type": "string"}, "Only droplets with this tag"),
        parameter("region", "query", {"type": "string"}, "Only droplets in this region"),
        _Q,
    ]
    batch = {
        JSON: {"schema": {"type": "array", "items": ref("BatchDroplet")}},
        NDJSON: {"schema": {"type": "string"}},
    }
    return {
        "get": operation(
            "listDroplets",
            "A page of droplets, in id order",
            "droplets",
            {"200": answer("The page", "DropletPage")} | problems(400, 401, 403, 503),
            parameters=query,
        ),
        "post": operation(
            "putDroplets",
            "Register a batch in one transaction, all or nothing",
            "droplets",
            {"200": answer("All are registered, durably", "BatchCounts")}
            | problems(400, 401, 403, 408, 409, 413, 415, 503, 507),
            requestBody={"required": True, "content": batch},
        ),
    }


def _droplet() -> Json:
    body = {"required": True, "content": {JSON: {"schema": ref("DropletInput")}}}
    return {
        "parameters": [_DROPLET_ID],
        "get": operation(
            "getDroplet",
            "A droplet as it was registered",
            "droplets",
            {"200": droplet_answer("The droplet"), "304": answer("It has the ETag given")}
            | problems(400, 401, 403, 404, 503),
            parameters=[
                _IF_NONE_MATCH,
                parameter(
                    "certain",
                    "query",
                    {"type": "boolean"},
                    "Refuse rather than answer what may be old",
                ),
            ],
        ),
        "put": operation(
            "putDroplet",
            "Register or replace a droplet",
            "droplets",
            {
                "200": droplet_answer("Replaced, durably"),
                "201": droplet_answer("Registered, durably"),
            }
            | problems(400, 401, 403, 408, 409, 412, 413, 415, 503, 507),
            parameters=[_IF_MATCH, _IF_NONE_MATCH],
            requestBody=body,
        ),
        "delete": operation(
            "deleteDroplet",
            "Forget a droplet",
            "droplets",
            {"204": answer("Gone, durably")} | problems(401, 403, 404, 412, 503, 507),
            parameters=[_IF_MATCH],
        ),
    }


def _maintenance() -> Json:
    body = {"required": True, "content": {JSON: {"schema": ref("Maintenance")}}}
    return {
        "parameters": [_DROPLET_ID],
        "get": operation(
            "getMaintenance",
            "The maintenance event announced to a droplet",
            "droplets",
            {"200": answer("The event, or null", "MaintenanceNow")} | problems(401, 403, 404, 503),
        ),
        "put": operation(
            "announceMaintenance",
            "Announce a maintenance event to a droplet",
            "droplets",
            {"204": answer("Announced, durably")}
            | problems(400, 401, 403, 404, 408, 413, 415, 503, 507),
            requestBody=body,
        ),
        "delete": operation(
            "callOffMaintenance",
            "Announce none any more",
            "droplets",
            {"204": answer("There is none now, durably")} | problems(401, 403, 404, 503, 507),
        ),
    }


def _agent() -> Json:
    body = {"required": True, "content": {MERGE_PATCH: {"schema": ref("AgentReport")}}}
    return {
        "parameters": [_DPID, _DROPLET_ID],
        "patch": operation(
            "reportOfAgent",
            "What the agent of a droplet on this switch says of itself",
            "switches",
            {"200": answer("Kept, durably; droplets at this revision or above show it", "Revision")}
            | problems(400, 401, 403, 404, 408, 413, 415, 503, 507),
            requestBody=body,
        ),
    }


def _backup() -> Json:
    copy = {"description": "A copy as of one moment, checked", "content": {SQLITE: {}}}
    return {
        "get": operation(
            "backup",
            "The whole registry as one SQLite file, for `dropletctl restore`",
            "droplets",
            {"200": copy} | problems(401, 403, 503, 507),
        )
    }


def _switches() -> Json:
    return {
        "get": operation(
            "listSwitches",
            "The switches the caller may see",
            "switches",
            {"200": answer("The switches", "SwitchList")} | problems(401),
        )
    }


def _ports() -> Json:
    query = [
        parameter("watch", "query", {"type": "boolean"}, "Stream the view and its changes"),
        parameter(
            "since", "query", integer(0, MAX_REVISION), "The revision the caller already has"
        ),
        parameter("server", "query", ref("ServerName"), "Follow as this server, see docs"),
        parameter("state", "query", _SOME_STATES, "Only ports in one of these, commas between")
        | {"style": "form", "explode": False},
        _Q,
        parameter("limit", "query", integer(1, MAX_PORTS), "At most so many"),
        parameter("after", "query", integer(0, MAX_PORTS), "Only ofports above it"),
    ]
    told = answer("The ports; with watch=true a stream of WatchEvent lines", "PortList")
    told["content"][NDJSON] = {"schema": ref("WatchEvent")}
    return {
        "parameters": [_DPID],
        "get": operation(
            "listPorts",
            "A switch's ports, or the stream of their changes",
            "switches",
            {"200": told} | problems(400, 401, 403, 404, 421, 503),
            parameters=query,
        ),
    }


def _flows() -> Json:
    return {
        "parameters": [_DPID, _OFPORT],
        "get": operation(
            "portFlows",
            "The flows of a port and what the switch counted of them, read now",
            "switches",
            {"200": answer("The flows, in the order of the path", "PortFlows")}
            | problems(401, 403, 404, 503),
        ),
    }


def _standings() -> Json:
    query = [
        parameter("served", "query", {"const": False}, "Only droplets that are not served"),
        _Q,
        parameter("limit", "query", integer(1, Limits().page), "At most so many"),
        parameter("after", "query", integer(0, MAX_DROPLET_ID), "Only ids above; `next` of a page"),
    ]
    return {
        "get": operation(
            "standings",
            "Which droplets get their metadata, and of the others why not",
            "droplets",
            {"200": answer("The page", "StandingPage")} | problems(400, 401, 403, 503),
            parameters=query,
        )
    }


def _page(name: str, summary: str, media: str, *statuses: int) -> Json:
    return _service(name, summary, {media: {"schema": {"type": "string"}}}, *statuses)


def _servers() -> Json:
    body = {"required": True, "content": {JSON: {"schema": ref("Acknowledgement")}}}
    return {
        "parameters": [_DPID, _SERVER],
        "put": operation(
            "acknowledge",
            "A following metadata server has applied all up to a revision",
            "switches",
            {"204": answer("Noted")} | problems(400, 401, 403, 404, 408, 409, 413, 415, 421, 503),
            requestBody=body,
        ),
        "delete": operation(
            "unfollow",
            "A following metadata server stops",
            "switches",
            {"204": answer("Noted")} | problems(400, 401, 403, 404),
        ),
    }


def _requests() -> Json:
    return {
        "parameters": [_DPID],
        "get": operation(
            "listRequests",
            "What the switch's metadata servers counted for each droplet",
            "switches",
            {"200": answer("Counts since each server's start", "RequestList")}
            | problems(400, 401, 403, 404),
            parameters=[_OFPORTS, _FAILING],
        ),
    }


def _server_requests() -> Json:
    body = {"required": True, "content": {JSON: {"schema": ref("RequestReport")}}}
    return {
        "parameters": [_DPID, _SERVER],
        "put": operation(
            "countRequests",
            "What a following metadata server counted, of the ports where it changed",
            "switches",
            {"204": answer("Noted")} | problems(400, 401, 403, 404, 408, 413, 415),
            requestBody=body,
        ),
    }


def _service(name: str, summary: str, content: Json, *statuses: int) -> Json:
    answers = {"200": {"description": HTTPStatus.OK.phrase, "content": content}}
    asked = operation(name, summary, "service", answers | problems(*statuses))
    return {"get": asked if 401 in statuses else asked | {"security": []}}


def description() -> Json:
    """The whole description, as JSON values."""
    status = {JSON: {"schema": ref("ServiceStatus")}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ovs-metadata controller",
            "version": VERSION,
            "description": "Registers droplets and shows the switches that serve them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in ("droplets", "switches", "service")],
        "paths": {
            "/v1/droplets": _droplets(),
            "/v1/droplets/{droplet_id}": _droplet(),
            "/v1/droplets/{droplet_id}/maintenance": _maintenance(),
            "/v1/standings": _standings(),
            "/v1/backup": _backup(),
            "/v1/switches": _switches(),
            "/v1/switches/{dpid}/ports": _ports(),
            "/v1/switches/{dpid}/ports/{ofport}/flows": _flows(),
            "/v1/switches/{dpid}/servers/{server}": _servers(),
            "/v1/switches/{dpid}/requests": _requests(),
            "/v1/switches/{dpid}/servers/{server}/requests": _server_requests(),
            "/v1/switches/{dpid}/droplets/{droplet_id}/agent": _agent(),
            "/v1/openapi.json": _service(
                "openapi", "This description", {JSON: {"schema": {"type": "object"}}}, 401
            ),
            "/": _page("page", "The web page", "text/html"),
            "/page/{file}": _page("pageFile", "A part of the web page", "*/*", 404)
            | {"parameters": [_FILE]},
            "/healthz": _service("healthz", "Whether the process answers", status),
            "/readyz": _service("readyz", "Whether the controller is ready", status, 503),
            "/metrics": _service(
                "metrics", "For Prometheus", {"text/plain": {"schema": {"type": "string"}}}
            ),
        },
        "components": {
            "schemas": SCHEMAS,
            "headers": {
                "ETag": {
                    "description": "Strong; changes with the document and with the status",
                    "schema": {"type": "string"},
                }
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }
