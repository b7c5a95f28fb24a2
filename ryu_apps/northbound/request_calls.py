"""The calls about what droplets asked: a metadata server tells its counts, others see them.

Numbers for people: nothing is decided by them, so they are kept in memory and bounded, and a server
is believed for the droplets of its own switch alone.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import webob

from ryu_apps.binding.requests import COUNTS, MAX_COUNT, MAX_PORTS, MAX_SECONDS, PortCounts
from ryu_apps.northbound import body
from ryu_apps.northbound.answers import json_answer, no_content
from ryu_apps.northbound.context import Call, flag
from ryu_apps.northbound.problems import Problem, bad_parameter
from ryu_apps.northbound.switch_calls import known_dpid, server_name
from ryu_apps.northbound.turns import in_turns
from ryu_apps.registry import jsontext
from ryu_apps.registry.droplet import MAX_DROPLET_ID
from ryu_apps.registry.faults import Findings, Place, json_type, shown

_OFPORTS = re.compile(r"[0-9]{1,5}(,[0-9]{1,5}){0,99}", re.ASCII)
_MAX_BYTES = 512 << 10
_WHOLE = {
    "ofport": range(1, 2**32),
    "droplet_id": range(1, MAX_DROPLET_ID + 1),
    **dict.fromkeys(COUNTS, range(MAX_COUNT + 1)),
    "last_status": range(100, 600),
}


def requests(call: Call) -> webob.Response:
    """GET /v1/switches/{dpid}/requests: what the switch's servers counted for each droplet."""
    dpid = known_dpid(call)
    given = call.parameters("ofports", "failing")
    wanted, failing = _ofports(given.get("ofports")), flag(given, "failing")
    servers, droplets = call.context.switchboard.requests(dpid)
    told = [
        {
            "server": each.server,
            "age_s": round(each.age, 1),
            "view_age_s": None if each.view_age is None else round(each.view_age, 1),
        }
        for each in servers
    ]
    entries = [
        {
            **{name: getattr(each, name) for name in _WHOLE},
            "last_request_s": round(each.last_request_s, 1),
        }
        for each in droplets
        if (wanted is None or each.ofport in wanted)
        and (each.last_status >= HTTPStatus.BAD_REQUEST or not failing)
    ]
    answer = {"dpid": f"{dpid:016x}", "servers": told, "droplets": entries}
    return json_answer(jsontext.encode(answer))


def _ofports(text: str | None) -> frozenset[int] | None:
    """The ofports asked for, None for all. Raises `Problem` 400."""
    if text is None:
        return None
    if not _OFPORTS.fullmatch(text):
        raise bad_parameter("ofports", "must be numbers with commas between, 100 at most")
    return frozenset(map(int, text.split(",")))


def count_requests(call: Call) -> webob.Response:
    """PUT /v1/switches/{dpid}/servers/{server}/requests: what changed since it last told."""
    dpid, server = known_dpid(call), server_name(call)
    environ = call.request.environ
    body.require_type(environ, "application/json")
    seconds = call.context.limits.body_seconds
    data = body.read(environ, max_bytes=_MAX_BYTES, seconds=seconds)
    counts, view_age = _read(jsontext.parse(data))
    if not call.context.switchboard.count_requests(dpid, server, counts, view_age):
        raise Problem(HTTPStatus.NOT_FOUND, f"{server} does not follow switch {dpid:016x}")
    return no_content()


def _read(document: Any) -> tuple[list[PortCounts], float | None]:
    """The counts and the view's age in seconds. Raises InvalidDocument."""
    findings = Findings()
    place = Place(findings)
    if not isinstance(document, dict):
        place.fault(f"must be an object, not {json_type(document)}")
        findings.raise_if_any()
    age = document.get("view_age_s")
    if age is not None and not _is_seconds(age):
        (place / "view_age_s").fault("must be a number of seconds, or null")
    droplets = document.get("droplets")
    if not isinstance(droplets, list):
        (place / "droplets").fault(f"must be an array, not {json_type(droplets)}")
    elif len(droplets) > MAX_PORTS:
        (place / "droplets").fault(f"{len(droplets)} entries; at most {MAX_PORTS}")
    else:
        counts = list(in_turns(_counts(droplets, place / "droplets")))
    findings.raise_if_any()
    return counts, age


def _counts(droplets: list[Any], place: Place) -> Iterator[PortCounts]:
    for index, entry in enumerate(droplets):
        here = place / index
        if not isinstance(entry, dict):
            here.fault(f"must be an object, not {json_type(entry)}")
            continue
        for name, bounds in _WHOLE.items():
            value = entry.get(name)
            if type(value) is not int or value not in bounds:
                last = bounds.stop - 1
                text = f"{shown(value)} is no whole number from {bounds.start} to {last}"
                (here / name).fault(text)
        ago = entry.get("last_request_s")
        if not _is_seconds(ago):
            (here / "last_request_s").fault("must be a number of seconds")
        yield PortCounts(*(entry.get(name) for name in _WHOLE), last_request_s=ago)


def _is_seconds(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= MAX_SECONDS
