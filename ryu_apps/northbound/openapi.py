"""The OpenAPI 3.1 description of the interface: the calls here, the shapes in `schemas.py`.

Held to the code by tests: each route is described and nothing else, and real answers are
checked against the shapes.
"""

from http import HTTPStatus
from typing import Any

from ryu_apps.binding.views import PortState
from ryu_apps.northbound.context import MAX_REVISION, Limits
from ryu_apps.northbound.schemas import SCHEMAS
from ryu_apps.northbound.switch_calls import MAX_PORTS
from ryu_apps.registry.droplet import MAX_DROPLET_ID
from ryu_apps.registry.search import MAX_TEXT

Json = dict[str, Any]

VERSION = "1.1"
"""Of the interface: the first number is that of /v1, the second grows with what is added. 1.0 is
kept with the tests, which hold this to it: nothing that was there goes, or asks for more."""

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_SQLITE = "application/vnd.sqlite3"
_MERGE_PATCH = "application/merge-patch+json"


def _integer(minimum: int, maximum: int) -> Json:
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(text: str, schema: str | None = None, *, media: str = _JSON) -> Json:
    answer: Json = {"description": text}
    if schema is not None:
        answer["content"] = {media: {"schema": _ref(schema)}}
    return answer


def _droplet_answer(text: str) -> Json:
    return _answer(text, "Droplet") | {"headers": {"ETag": {"$ref": "#/components/headers/ETag"}}}


_REASONS = {
    400: "The request or the document is wrong; every fault is listed",
    401: "No token, or one that is not known",
    403: "Beyond what the token allows",
    404: "There is no such thing",
    405: "Not a method of this path; Allow names them",
    408: "The body took too long to come",
    409: "Another droplet holds a port name; the revision is none to acknowledge",
    412: "The precondition does not hold",
    413: "The body is larger than the limit",
    415: "Not the media type, charset or coding that is taken",
    503: "The registry, or the controller, cannot do it now",
    507: "The registry's disk is full",
}


def _problems(*statuses: int) -> Json:
    return {
        str(status): _answer(_REASONS[status], "Problem", media="application/problem+json")
        for status in sorted(statuses)
    }


def _parameter(name: str, where: str, schema: Json, text: str) -> Json:
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "description": text, "schema": schema, **required}


def _operation(name: str, summary: str, tag: str, answers: Json, **members: Any) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        **{key: value for key, value in members.items() if value is not None},
        "responses": answers,
    }


_DROPLET_ID = _parameter("droplet_id", "path", _ref("DropletId"), "The droplet's id")
_DPID = _parameter("dpid", "path", _ref("Dpid"), "The switch's datapath id")
_SOME_STATES = {"type": "array", "items": {"enum": list(PortState)}, "minItems": 1}
_OFPORTS = _parameter(
    "ofports",
    "query",
    {"type": "array", "items": _integer(0, 99999), "minItems": 1, "maxItems": 100},
    "Only of these, commas between",
) | {"style": "form", "explode": False}
_FAILING = _parameter(
    "failing", "query", {"type": "boolean"}, "Only droplets whose last answer was 400 or above"
)
_OFPORT = _parameter("ofport", "path", _integer(1, 0xFFFF), "The port's OpenFlow number")
_FILE = _parameter("file", "path", {"type": "string"}, "The file's name")
_Q = _parameter("q", "query", {"type": "string", "maxLength": MAX_TEXT}, "Only those found by it")
_SERVER = _parameter("server", "path", _ref("ServerName"), "A metadata server's name for itself")
_IF_MATCH = _parameter(
    "If-Match", "header", {"type": "string"}, "Only if the record has this ETag (`*`: exists)"
)
_IF_NONE_MATCH = _parameter(
    "If-None-Match", "header", {"type": "string"}, "Only if it has none of these (`*`: is new)"
)


def _droplets() -> Json:
    query = [
        _parameter("limit", "query", _integer(1, Limits().page), "At most so many"),
        _parameter(
            "after", "query", _integer(0, MAX_DROPLET_ID), "Only ids above; `next` of a page"
        ),
        _parameter("tag", "query", {"type": "string"}, "Only droplets with this tag"),
        _parameter("region", "query", {"type": "string"}, "Only droplets in this region"),
        _Q,
    ]
    batch = {
        _JSON: {"schema": {"type": "array", "items": _ref("BatchDroplet")}},
        _NDJSON: {"schema": {"type": "string"}},
    }
    return {
        "get": _operation(
            "listDroplets",
            "A page of droplets, in id order",
            "droplets",
            {"200": _answer("The page", "DropletPage")} | _problems(400, 401, 403, 503),
            parameters=query,
        ),
        "post": _operation(
            "putDroplets",
            "Register a batch in one transaction, all or nothing",
            "droplets",
            {"200": _answer("All are registered, durably", "BatchCounts")}
            | _problems(400, 401, 403, 408, 409, 413, 415, 503, 507),
            requestBody={"required": True, "content": batch},
        ),
    }


def _droplet() -> Json:
    body = {"required": True, "content": {_JSON: {"schema": _ref("DropletInput")}}}
    return {
        "parameters": [_DROPLET_ID],
        "get": _operation(
            "getDroplet",
            "A droplet as it was registered",
            "droplets",
            {"200": _droplet_answer("The droplet"), "304": _answer("It has the ETag given")}
            | _problems(401, 403, 404, 503),
            parameters=[_IF_NONE_MATCH],
        ),
        "put": _operation(
            "putDroplet",
            "Register or replace a droplet",
            "droplets",
            {
                "200": _droplet_answer("Replaced, durably"),
                "201": _droplet_answer("Registered, durably"),
            }
            | _problems(400, 401, 403, 408, 409, 412, 413, 415, 503, 507),
            parameters=[_IF_MATCH, _IF_NONE_MATCH],
            requestBody=body,
        ),
        "delete": _operation(
            "deleteDroplet",
            "Forget a droplet",
            "droplets",
            {"204": _answer("Gone, durably")} | _problems(401, 403, 404, 412, 503, 507),
            parameters=[_IF_MATCH],
        ),
    }


def _maintenance() -> Json:
    body = {"required": True, "content": {_JSON: {"schema": _ref("Maintenance")}}}
    return {
        "parameters": [_DROPLET_ID],
        "get": _operation(
            "getMaintenance",
            "The maintenance event announced to a droplet",
            "droplets",
            {"200": _answer("The event, or null", "MaintenanceNow")}
            | _problems(401, 403, 404, 503),
        ),
        "put": _operation(
            "announceMaintenance",
            "Announce a maintenance event to a droplet",
            "droplets",
            {"204": _answer("Announced, durably")}
            | _problems(400, 401, 403, 404, 408, 413, 415, 503, 507),
            requestBody=body,
        ),
        "delete": _operation(
            "callOffMaintenance",
            "Announce none any more",
            "droplets",
            {"204": _answer("There is none now, durably")} | _problems(401, 403, 404, 503, 507),
        ),
    }


def _agent() -> Json:
    body = {"required": True, "content": {_MERGE_PATCH: {"schema": _ref("AgentReport")}}}
    return {
        "parameters": [_DPID, _DROPLET_ID],
        "patch": _operation(
            "reportOfAgent",
            "What the agent of a droplet on this switch says of itself",
            "switches",
            {
                "200": _answer(
                    "Kept, durably; droplets at this revision or above show it", "Revision"
                )
            }
            | _problems(400, 401, 403, 404, 408, 413, 415, 503, 507),
            requestBody=body,
        ),
    }


def _backup() -> Json:
    copy = {"description": "A copy as of one moment, checked", "content": {_SQLITE: {}}}
    return {
        "get": _operation(
            "backup",
            "The whole registry as one SQLite file, for `dropletctl restore`",
            "droplets",
            {"200": copy} | _problems(401, 403, 503, 507),
        )
    }


def _switches() -> Json:
    return {
        "get": _operation(
            "listSwitches",
            "The switches the caller may see",
            "switches",
            {"200": _answer("The switches", "SwitchList")} | _problems(401),
        )
    }


def _ports() -> Json:
    query = [
        _parameter("watch", "query", {"type": "boolean"}, "Stream the view and its changes"),
        _parameter(
            "since", "query", _integer(0, MAX_REVISION), "The revision the caller already has"
        ),
        _parameter("server", "query", _ref("ServerName"), "Follow as this server, see docs"),
        _parameter("state", "query", _SOME_STATES, "Only ports in one of these, commas between")
        | {"style": "form", "explode": False},
        _Q,
        _parameter("limit", "query", _integer(1, MAX_PORTS), "At most so many"),
        _parameter("after", "query", _integer(0, MAX_PORTS), "Only ofports above it"),
    ]
    answer = _answer("The ports; with watch=true a stream of WatchEvent lines", "PortList")
    answer["content"][_NDJSON] = {"schema": _ref("WatchEvent")}
    return {
        "parameters": [_DPID],
        "get": _operation(
            "listPorts",
            "A switch's ports, or the stream of their changes",
            "switches",
            {"200": answer} | _problems(400, 401, 403, 404, 503),
            parameters=query,
        ),
    }


def _flows() -> Json:
    return {
        "parameters": [_DPID, _OFPORT],
        "get": _operation(
            "portFlows",
            "The flows of a port and what the switch counted of them, read now",
            "switches",
            {"200": _answer("The flows, in the order of the path", "PortFlows")}
            | _problems(401, 403, 404, 503),
        ),
    }


def _standings() -> Json:
    query = [
        _parameter("served", "query", {"const": False}, "Only droplets that are not served"),
        _Q,
        _parameter("limit", "query", _integer(1, Limits().page), "At most so many"),
        _parameter(
            "after", "query", _integer(0, MAX_DROPLET_ID), "Only ids above; `next` of a page"
        ),
    ]
    return {
        "get": _operation(
            "standings",
            "Which droplets get their metadata, and of the others why not",
            "droplets",
            {"200": _answer("The page", "StandingPage")} | _problems(400, 401, 403, 503),
            parameters=query,
        )
    }


def _page(name: str, summary: str, media: str, *statuses: int) -> Json:
    return _service(name, summary, {media: {"schema": {"type": "string"}}}, *statuses)


def _servers() -> Json:
    body = {"required": True, "content": {_JSON: {"schema": _ref("Acknowledgement")}}}
    return {
        "parameters": [_DPID, _SERVER],
        "put": _operation(
            "acknowledge",
            "A following metadata server has applied all up to a revision",
            "switches",
            {"204": _answer("Noted")} | _problems(400, 401, 403, 404, 408, 409, 413, 415, 503),
            requestBody=body,
        ),
        "delete": _operation(
            "unfollow",
            "A following metadata server stops",
            "switches",
            {"204": _answer("Noted")} | _problems(400, 401, 403, 404),
        ),
    }


def _requests() -> Json:
    return {
        "parameters": [_DPID],
        "get": _operation(
            "listRequests",
            "What the switch's metadata servers counted for each droplet",
            "switches",
            {"200": _answer("Counts since each server's start", "RequestList")}
            | _problems(400, 401, 403, 404),
            parameters=[_OFPORTS, _FAILING],
        ),
    }


def _server_requests() -> Json:
    body = {"required": True, "content": {_JSON: {"schema": _ref("RequestReport")}}}
    return {
        "parameters": [_DPID, _SERVER],
        "put": _operation(
            "countRequests",
            "What a following metadata server counted, of the ports where it changed",
            "switches",
            {"204": _answer("Noted")} | _problems(400, 401, 403, 404, 408, 413, 415),
            requestBody=body,
        ),
    }


def _service(name: str, summary: str, content: Json, *statuses: int) -> Json:
    answers = {"200": {"description": HTTPStatus.OK.phrase, "content": content}}
    operation = _operation(name, summary, "service", answers | _problems(*statuses))
    return {"get": operation if 401 in statuses else operation | {"security": []}}


def description() -> Json:
    """The whole description, as JSON values."""
    status = {_JSON: {"schema": _ref("ServiceStatus")}}
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
                "openapi", "This description", {_JSON: {"schema": {"type": "object"}}}, 401
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
