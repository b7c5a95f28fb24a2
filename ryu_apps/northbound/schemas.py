"""The shapes of the interface's documents as JSON Schema (2020-12), for the description.

What a schema cannot say, or says worse than a sentence, is left to docs/rest.md: the code in
`ryu_apps/registry` judges documents, not this.
"""

from typing import Any

from ryu_apps.binding.hops import HOPS, FlowState
from ryu_apps.binding.requests import COUNTS, MAX_COUNT, MAX_SECONDS
from ryu_apps.binding.requests import MAX_PORTS as MAX_COUNTED_PORTS
from ryu_apps.binding.standings import Standing
from ryu_apps.binding.views import PortState, SwitchState
from ryu_apps.registry.agent import DOTTY_STATUSES, MAX_HOST_KEY, MAX_HOST_KEYS
from ryu_apps.registry.droplet import FORMATS, MAX_DROPLET_ID, MAX_PORTS
from ryu_apps.registry.metadata_options import MAX_HOP_LIMIT, HttpEndpoint, HttpTokens
from ryu_apps.registry.status import MAINTENANCE_EVENTS

Json = dict[str, Any]


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Json, *, optional: tuple[str, ...] = (), closed: bool = False) -> Json:
    schema: Json = {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }
    return schema | ({"additionalProperties": False} if closed else {})


_TEXT: Json = {"type": "string"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_REVISION: Json = {"type": "integer", "minimum": 0, "description": "Grows over restarts"}
_MAC = "^(?!00:00:00:00:00:00)[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$"

_FORMATS_OR_NULL: Json = {
    "type": ["array", "null"],
    "items": {"enum": list(FORMATS)},
    "minItems": 1,
}

_METADATA_OPTIONS: Json = {
    "http_tokens": {
        "enum": [*HttpTokens, None],
        "description": "Whether a request must carry a session token; null: optional",
    },
    "http_endpoint": {
        "enum": [*HttpEndpoint, None],
        "description": "Whether the droplet is answered at all; null: enabled",
    },
    "http_put_response_hop_limit": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MAX_HOP_LIMIT,
        "description": "The TTL with which replies enter the droplet; null: as they come",
    },
}

_SSH_INFO: Json = {
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "host_keys": {
        "type": ["array", "null"],
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_HOST_KEY},
        "maxItems": MAX_HOST_KEYS,
    },
}

_DROPLET: Json = {
    "droplet_id": _ref("DropletId"),
    "ports": {"type": "array", "items": _ref("Port"), "maxItems": MAX_PORTS},
    "metadata": _ref("Metadata"),
    "user_data_base64": {
        **_TEXT_OR_NULL,
        "contentEncoding": "base64",
        "description": "User data that is no text; instead of metadata.user_data",
    },
    "formats": {
        **_FORMATS_OR_NULL,
        "description": "In which forms metadata is served; absent: as configured",
    },
    "metadata_options": {
        "anyOf": [_ref("MetadataOptions"), {"type": "null"}],
        "description": "How the service treats the droplet; absent: all defaults",
    },
    "status": _ref("Status"),
}

_GIVEN = _DROPLET | {"metadata": {"anyOf": [_ref("Metadata"), {"type": "null"}]}}

_OPTIONAL = ("user_data_base64", "formats", "metadata_options", "status")

_DROPLET_ID_OR_NULL: Json = {"anyOf": [_ref("DropletId"), {"type": "null"}]}

_PORT_VIEW: Json = {
    "ofport": {"type": "integer", "minimum": 1},
    "name": _TEXT,
    "hv_local_ip": _TEXT_OR_NULL,
    "droplet_id": _DROPLET_ID_OR_NULL,
    "state": {"enum": list(PortState)},
    "reason": _TEXT_OR_NULL,
}

_FLOW: Json = {
    "name": {"enum": list(HOPS)},
    "table": _COUNT,
    "priority": _COUNT,
    "state": {"enum": list(FlowState)},
    "packets": _COUNT,
    "bytes": _COUNT,
    "age_s": {"type": "number", "minimum": 0, "description": "Since the flow was added"},
}

_STANDS: Json = {"state": {"enum": list(Standing)}, "reason": _TEXT_OR_NULL}

_STANDING: Json = {
    "droplet_id": _ref("DropletId"),
    "hostname": _TEXT,
    "region": _TEXT,
    "tags": {"type": "array", "items": _TEXT},
    **_STANDS,
    "ports": {
        "type": "array",
        "items": _object(
            {
                "name": _TEXT,
                "mac": _TEXT,
                "dpid": {"anyOf": [_ref("Dpid"), {"type": "null"}]},
                "ofport": {"type": ["integer", "null"], "minimum": 1},
                "hv_local_ip": _TEXT_OR_NULL,
                **_STANDS,
            }
        ),
    },
}

_WATCHED_PORT = _object(
    _PORT_VIEW
    | {
        "binding": {"type": ["integer", "null"], "description": "Never names two bindings"},
        "droplet": {
            "anyOf": [
                _object(
                    {
                        "revision": _REVISION,
                        "metadata": _ref("Metadata"),
                        "user_data_base64": _TEXT_OR_NULL,
                        "formats": _FORMATS_OR_NULL,
                        "metadata_options": _ref("MetadataOptions"),
                        "maintenance_event": _TEXT_OR_NULL,
                    }
                ),
                {"type": "null"},
            ]
        },
    }
)


_SECONDS: Json = {"type": "number", "minimum": 0, "maximum": MAX_SECONDS}
_SECONDS_OR_NULL: Json = _SECONDS | {"type": ["number", "null"]}

_REQUEST_COUNTS: Json = {
    "ofport": {"type": "integer", "minimum": 1, "maximum": 2**32 - 1},
    "droplet_id": _ref("DropletId"),
    **dict.fromkeys(COUNTS, _COUNT | {"maximum": MAX_COUNT}),
    "last_status": {"type": "integer", "minimum": 100, "maximum": 599},
    "last_request_s": _SECONDS,
}


def _event(event: str, properties: Json) -> Json:
    return _object({"event": {"const": event}, **properties})


SCHEMAS: Json = {
    "DropletId": {"type": "integer", "minimum": 1, "maximum": MAX_DROPLET_ID},
    "Dpid": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "ServerName": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "Port": _object(
        {
            "name": {"type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[!-.0-~]+$"},
            "mac": {"type": "string", "pattern": _MAC, "description": "Unicast and not zero"},
            "dpid": {
                "type": ["string", "null"],
                "pattern": "^[0-9A-Fa-f]{16}$",
                "description": "The port counts on this switch only",
            },
        },
        optional=("dpid",),
        closed=True,
    ),
    "Metadata": {
        "type": "object",
        "description": "The droplet's v1.json as DigitalOcean serves it; unknown keys are kept",
    },
    "MetadataOptions": _object(_METADATA_OPTIONS, optional=tuple(_METADATA_OPTIONS), closed=True),
    "Status": {
        "type": "object",
        "description": "What others than the document say of the droplet; ignored in a request",
        "readOnly": True,
        "properties": {
            "agent": {
                "type": "object",
                "properties": {
                    "dotty_status": {"enum": list(DOTTY_STATUSES)},
                    "ssh_info": {"type": "object", "properties": _SSH_INFO},
                },
            },
            "maintenance_event": {"enum": list(MAINTENANCE_EVENTS)},
        },
    },
    "AgentReport": _object(
        {
            "dotty_status": {"enum": [*DOTTY_STATUSES, None]},
            "ssh_info": {
                "anyOf": [
                    _object(_SSH_INFO, optional=("host_keys",), closed=True),
                    {"type": "null"},
                ]
            },
        },
        optional=("dotty_status", "ssh_info"),
        closed=True,
    ),
    "Revision": _object({"revision": _REVISION}),
    "Maintenance": _object({"event": {"enum": list(MAINTENANCE_EVENTS)}}, closed=True),
    "MaintenanceNow": _object({"event": {"enum": [*MAINTENANCE_EVENTS, None]}}),
    "DropletInput": _object(_GIVEN, optional=("droplet_id", "metadata", *_OPTIONAL), closed=True),
    "BatchDroplet": _object(_GIVEN, optional=("metadata", *_OPTIONAL), closed=True),
    "Droplet": _object(_DROPLET, optional=_OPTIONAL, closed=True),
    "DropletPage": _object(
        {
            "droplets": {"type": "array", "items": _ref("Droplet")},
            "next": {
                "anyOf": [_ref("DropletId"), {"type": "null"}],
                "description": "`after` of the next page; null at the end",
            },
        }
    ),
    "BatchCounts": _object({"droplets": _COUNT, "created": _COUNT, "replaced": _COUNT}),
    "SwitchList": _object({"switches": {"type": "array", "items": _ref("Switch")}}),
    "Switch": _object(
        {
            "dpid": _ref("Dpid"),
            "connected": {"type": "boolean"},
            "state": {"enum": list(SwitchState)},
            "reason": _TEXT_OR_NULL,
            "warnings": {"type": "array", "items": _TEXT},
            "drift": _object(
                {"repaired": _COUNT, "last_reason": _TEXT_OR_NULL, "last_at": _TEXT_OR_NULL}
            ),
            "ports": _COUNT,
            "serving": _COUNT,
            "binding": _COUNT,
            "errors": _COUNT,
            "flows": _COUNT,
            "hv_local_subnet": _TEXT,
        }
    ),
    "PortList": _object(
        {
            "revision": _REVISION,
            "ports": {"type": "array", "items": _object(_PORT_VIEW)},
            "next": {
                "type": ["integer", "null"],
                "description": "With `limit`: `after` of the next page; null at the end",
            },
        },
        optional=("next",),
    ),
    "PortFlows": _object(
        {
            "dpid": _ref("Dpid"),
            "ofport": {"type": "integer", "minimum": 1},
            "droplet_id": _DROPLET_ID_OR_NULL,
            "cookie": _TEXT_OR_NULL,
            "flows": {"type": "array", "items": _object(_FLOW)},
        }
    ),
    "StandingPage": _object(
        {
            "droplets": {"type": "array", "items": _object(_STANDING)},
            "next": {
                **_DROPLET_ID_OR_NULL,
                "description": "`after` of the next page; null at the end",
            },
            "registered": {**_COUNT, "description": "Droplets there are"},
            "unserved": {**_COUNT, "description": "Of them, those that claim a port in vain"},
        }
    ),
    "WatchEvent": {
        "oneOf": [
            _event("waiting", {"dpid": _ref("Dpid")}),
            _event(
                "snapshot",
                {
                    "dpid": _ref("Dpid"),
                    "revision": _REVISION,
                    "hv_local_subnet": _TEXT,
                    "lease": {"type": "integer", "description": "Seconds"},
                },
            ),
            _event("port", {"revision": _REVISION, "port": _WATCHED_PORT}),
            _event("gone", {"revision": _REVISION, "ofport": {"type": "integer"}}),
            _event("in-sync", {"revision": _REVISION}),
            _event("heartbeat", {"revision": _REVISION}),
        ]
    },
    "Acknowledgement": _object({"revision": _REVISION}),
    "RequestCounts": _object(_REQUEST_COUNTS),
    "RequestReport": _object(
        {
            "view_age_s": _SECONDS_OR_NULL,
            "droplets": {
                "type": "array",
                "items": _ref("RequestCounts"),
                "maxItems": MAX_COUNTED_PORTS,
            },
        },
        optional=("view_age_s",),
    ),
    "RequestList": _object(
        {
            "dpid": _ref("Dpid"),
            "servers": {
                "type": "array",
                "items": _object(
                    {
                        "server": _ref("ServerName"),
                        "age_s": _SECONDS,
                        "view_age_s": _SECONDS_OR_NULL,
                    }
                ),
            },
            "droplets": {"type": "array", "items": _ref("RequestCounts")},
        }
    ),
    "ServiceStatus": _object({"status": _TEXT}),
    "Problem": {
        **_object(
            {
                "type": _TEXT,
                "title": _TEXT,
                "status": {"type": "integer"},
                "detail": _TEXT,
                "errors": {"type": "array", "items": _ref("Fault")},
                "reasons": {"type": "array", "items": _TEXT},
            },
            optional=("errors", "reasons"),
        ),
        "description": "RFC 9457",
    },
    "Fault": _object(
        {
            "detail": _TEXT,
            "pointer": {"type": "string", "description": "Into the document: an RFC 6901 fragment"},
            "element": {"type": "integer", "description": "0-based index in a batch"},
            "line": {"type": "integer", "description": "1-based line of an NDJSON batch"},
            "parameter": {"type": "string", "description": "The query parameter at fault"},
            "port_name": _TEXT,
            "droplet_id": _ref("DropletId"),
            "held_by": _ref("DropletId"),
        },
        optional=(
            "pointer",
            "element",
            "line",
            "parameter",
            "port_name",
            "droplet_id",
            "held_by",
        ),
    ),
}
