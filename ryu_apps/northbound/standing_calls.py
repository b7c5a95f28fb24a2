"""The call that tells which droplets get their metadata, and of the others why not.

It joins what the registry holds with what the switches have; the judgement is
`binding.standings`'. Whatever it reads is a page: a look at 100,000 droplets costs the ids.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from ipaddress import AddressValueError, IPv4Address
from itertools import islice
from typing import Any

import eventlet
import webob

from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.standings import (
    Elsewhere,
    PortStanding,
    Sighting,
    nowhere,
    served,
    sightings,
    standing,
)
from ryu_apps.binding.views import SwitchState, SwitchView
from ryu_apps.northbound.answers import json_answer
from ryu_apps.northbound.context import Call, asked_text, flag, whole_number
from ryu_apps.northbound.problems import bad_parameter
from ryu_apps.northbound.turns import in_turns
from ryu_apps.registry import jsontext
from ryu_apps.registry.claims import Claim
from ryu_apps.registry.droplet import MAX_DROPLET_ID, Droplet, decode_stored
from ryu_apps.registry.search import words
from ryu_apps.store.interface import PageQuery

_IDS_AT_ONCE = 10_000
"""Ids that are compared and sorted before other green threads get their turn: two milliseconds."""

_AT_ONCE = 100
"""Droplets that are read together: their documents are decoded on the hub's thread."""


def standings(call: Call) -> webob.Response:
    """GET /v1/standings: a page of droplets in id order, each with its ports and how it stands."""
    given = call.parameters("served", "q", "limit", "after")
    most = call.context.limits.page
    limit = whole_number(given, "limit", min(100, most), range(1, most + 1))
    after = whole_number(given, "after", 0, range(MAX_DROPLET_ID + 1))
    text = asked_text(given)
    if "served" in given and flag(given, "served"):
        raise bad_parameter("served", "must be false, or absent for all droplets")
    switches = _switches(call)
    unserved = _unserved(call, switches)
    if "served" in given:
        found, more = _first(_matching(call, _after(unserved, after), text), limit)
    else:
        found, more = _page(call, switches, after, limit, text)
    answer = {
        "droplets": _entries(call, switches, found),
        "next": found[-1].droplet_id if more else None,
        "registered": call.context.registry.count,
        "unserved": sum(map(len, unserved)),
    }
    return json_answer(jsontext.encode(answer))


Switches = list[tuple[SwitchView, PortFeed]]


def _switches(call: Call) -> Switches:
    board = call.context.switchboard
    # What we know of a switch that another leads is of the time when we did.
    ours = (view for view in board.switches() if view.state is not SwitchState.STANDBY)
    found = ((view, board.feed(view.dpid)) for view in ours)
    return [(view, feed) for view, feed in found if feed is not None]


def _views(switches: Switches) -> Iterator[Sighting]:
    """Every port of these switches, in turns with others."""
    return in_turns((switch, view) for switch, feed in switches for view in feed.views())


def _elsewhere(call: Call, switches: Switches) -> Elsewhere:
    whereabouts = call.context.registry.whereabouts
    if whereabouts is None:
        return nowhere
    here = {switch.dpid for switch, _ in switches if switch.connected}
    return lambda name: whereabouts.elsewhere(name, here)


def _unserved(call: Call, switches: Switches) -> list[list[int]]:
    """The droplets that claim a port and are served on none: runs of them, each in id order.

    To put all of them in order would take the hub's thread for as long as there are droplets; a
    page needs no more than a merge of its own length.
    """
    happy = served(view for _, view in _views(switches))
    claims, elsewhere = call.context.registry.claims, _elsewhere(call, switches)
    claiming = claims.droplet_ids()
    runs = []
    for start in range(0, len(claiming), _IDS_AT_ONCE):
        some = claiming[start : start + _IDS_AT_ONCE]
        run = [one for one in some if one not in happy]
        if elsewhere is not nowhere:
            run = [one for one in in_turns(run) if not any(map(elsewhere, claims.names_of(one)))]
        runs.append(sorted(run))
        eventlet.sleep(0)
    return runs


def _after(runs: Iterable[Sequence[int]], droplet_id: int) -> Iterator[int]:
    """What comes after this one in all of the runs together, in id order."""
    return merge(*(run[bisect_right(run, droplet_id) :] for run in runs))


def _page(
    call: Call, switches: Switches, after: int, limit: int, text: str | None
) -> tuple[list[Droplet], bool]:
    """A page of all droplets; an hv-local address that a port has is that port's droplet."""
    here = _at_address(switches, text)
    if here:
        return _first(_matching(call, [one for one in here if one > after], None), limit)
    query = PageQuery(after=after, limit=limit, text=text, max_bytes=call.context.limits.page_bytes)
    page = call.context.registry.page(query)
    decoded = (decode_stored(record.document) for record in page.records)
    return list(in_turns(decoded)), page.more


def _at_address(switches: Switches, text: str | None) -> list[int]:
    """The droplets on ports with this hv-local address, in id order; empty where it is none."""
    try:
        address = str(IPv4Address(text or ""))
    except AddressValueError:
        return []
    views = (view for _, view in _views(switches))
    return sorted(
        {view.droplet_id for view in views if view.hv_local_ip == address and view.droplet_id}
    )


def _matching(call: Call, ids: Iterable[int], text: str | None) -> Iterator[Droplet]:
    """Those of these droplets that the text is found in, in their order."""
    left = iter(ids)
    while some := list(islice(left, _AT_ONCE)):
        records = call.context.registry.get_many(some)
        for droplet_id in some:
            if droplet_id in records:
                droplet = decode_stored(records[droplet_id].document)
                if text is None or text in words(droplet):
                    yield droplet
        eventlet.sleep(0)


def _first(droplets: Iterator[Droplet], limit: int) -> tuple[list[Droplet], bool]:
    """At most `limit` of them, and whether there are more."""
    found: list[Droplet] = []
    for droplet in droplets:
        if len(found) == limit:
            return found, True
        found.append(droplet)
    return found, False


def _entries(call: Call, switches: Switches, droplets: Sequence[Droplet]) -> list[dict[str, Any]]:
    names = {port.name for droplet in droplets for port in droplet.ports}
    seen = sightings(_views(switches), names) if names else {}
    elsewhere = _elsewhere(call, switches)
    return [_entry(droplet, seen, elsewhere) for droplet in droplets]


def _entry(droplet: Droplet, seen: Any, elsewhere: Elsewhere) -> dict[str, Any]:
    claims = [
        Claim(droplet.droplet_id, port.name, port.mac, port.dpid, 0) for port in droplet.ports
    ]
    stands = standing(claims, seen, elsewhere)
    return {
        "droplet_id": droplet.droplet_id,
        "hostname": droplet.hostname,
        "region": droplet.region,
        "tags": list(droplet.tags),
        "state": stands.state,
        "reason": stands.reason,
        "ports": [_port_entry(port) for port in stands.ports],
    }


def _port_entry(port: PortStanding) -> dict[str, Any]:
    return {
        "name": port.name,
        "mac": port.mac,
        "dpid": None if port.dpid is None else f"{port.dpid:016x}",
        "ofport": port.view and port.view.ofport,
        "hv_local_ip": port.view and port.view.hv_local_ip,
        "state": port.state,
        "reason": port.reason,
    }
