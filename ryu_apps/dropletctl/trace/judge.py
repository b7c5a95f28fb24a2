"""From what was seen at a hop to what came of it. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ovs_metadata_client import Document, SwitchPort
from ryu_apps.dropletctl.trace.values import Hop, LeftOut, Place, State
from ryu_apps.openflow.trace import Trace
from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.pipeline.layout import Priority

_KEY = re.compile(r"table=(\d+), .*?n_packets=(\d+), .*?\bpriority=(\d+)")
_AGE = re.compile(r"\bduration=([0-9.]+)s")
_TRACKED = re.compile(r"sport=(\d+),.*?zone=(\d+).*?state=(\w+)")

_ACCEPTED = ("SYN_RECV", "ESTABLISHED")
_NO_ANSWER = "SYN_SENT"
"""Conntrack's states of a connection, by both datapaths' names; in any other it was refused."""


def unregistered(droplet_id: int) -> Hop:
    """Nothing of it in the registry."""
    told = "it is not registered (FILE: its ports and metadata as JSON, see man dropletctl)"
    return _died("registry", told, f"dropletctl put {droplet_id} FILE")


def registered(document: Document) -> Hop:
    """Its registration."""
    names = ", ".join(port["name"] for port in document.get("ports", ()))
    if not names:
        return _died("registry", "it claims no port", "register it with its ports")
    hostname = document.get("metadata", {}).get("hostname")
    return _passed("registry", f"{hostname}, claims {names}")


def on_a_switch(name: str, found: Mapping[str, SwitchPort]) -> Hop:
    """The controller's word on the port of this name, by dpid of the switches that have it, at
    least one."""
    for dpid, port in found.items():
        if port["state"] == "serving":
            where = f"ofport {port['ofport']} of {dpid}, {port['hv_local_ip']}"
            return _passed("port", f"{name} is {where}, serving")
    dpid, port = next(iter(found.items()))
    told = f"{name} on {dpid} is {port['state']}: {port['reason'] or 'no reason given'}"
    return _died("port", told, "dropletctl doctor")


def nowhere(droplet_id: int, name: str, left_out: LeftOut) -> Hop:
    """The port of this name that no connected switch has: who has to do with it, and what then."""
    told = f"no connected switch has a port {name}"
    if left_out.bridge:
        told = f"{name} is on {left_out.bridge} of this host, which is connected to no controller"
        return _died("port", told, f"dropletctl doctor --bridge {left_out.bridge}")
    if left_out.device and left_out.bridges:
        told = f"{name} is a device of this host, and on none of its bridges"
        return _died("port", told, f"ovs-vsctl add-port {left_out.bridges[0]} {name}")
    for near in get_close_matches(name, left_out.free, 1):
        told = f"{told}; without a droplet is {near} on {left_out.free[near]}: is it that one?"
        return _died("port", told, _again(droplet_id, name, near))
    if not left_out.connected:
        return _died("port", f"{told}, and not all bridges here are connected", "dropletctl doctor")
    return _died("port", told, "run this where its VM is; there, is the VM running?")


def _again(droplet_id: int, old: str, new: str) -> str:
    """Registers the droplet once more, with one word in place of another."""
    edited = f'sed \'s/"{old}"/"{new}"/\''
    return f"dropletctl get {droplet_id} | {edited} | dropletctl put {droplet_id} -"


def here(place: Place, ofport: int | None, up: bool) -> Hop:
    """The port as this host's Open vSwitch has it: `ofport` None where it has none."""
    name = place.port_name
    if ofport != place.port.ofport:
        told = f"{name} is at ofport {ofport}, the controller says {place.port.ofport}"
        return _died("bridge", told, _doctor(place))
    if not up:
        return _died("bridge", f"the link of {name} is down", f"ip link set {name} up")
    return _passed("bridge", f"{name} is on {place.bridge}, up")


def spoken_by(
    place: Place, hop: Hop, dump: Sequence[str], macs: Sequence[str], asked_ago: float | None
) -> Hop:
    """The hop before, unless the port is another MAC's: the bridge has seen one there and not the
    registered one, and no request came since the flow that lets the registered one ask is there.
    `asked_ago`: seconds since the last one, None where there was none."""
    if hop.state is State.DIED or not macs or place.port.mac in macs:
        return hop
    asks = (place.settings.tables.classifier, Priority.PATH)
    there = max((float(_AGE.search(line)[1]) for line in dump if _key(line) == asks), default=0.0)
    if asked_ago is not None and asked_ago < there:
        return hop
    told = f"{place.port_name} is used by {macs[0]}, and is registered with {place.port.mac}"
    return _died("bridge", told, _again(place.port.droplet_id, place.port.mac, macs[0]))


def _key(line: str) -> tuple[int, int] | None:
    """Table and priority of a flow."""
    key = _KEY.search(line)
    return None if key is None else (int(key[1]), int(key[3]))


def _packets(dump: Iterable[str]) -> dict[tuple[int, int], int]:
    """By table and priority, how many packets a flow has seen."""
    keys = filter(None, map(_KEY.search, dump))
    return {(int(key[1]), int(key[3])): int(key[2]) for key in keys}


def installed(place: Place, dump: Sequence[str]) -> Hop:
    """The port's flows on the switch, lines of `ovs-ofctl dump-flows` with their counters."""
    wanted = {(f.table, int(f.priority)) for f in _flows(place)}
    seen = _packets(dump)
    missing = sorted(wanted - seen.keys())
    if missing:
        where = ", ".join(f"table {table} priority {priority}" for table, priority in missing)
        told = f"{len(missing)} of {len(wanted)} kinds of flows are missing: {where}"
        return _died("flows", told, _doctor(place))
    tables = place.settings.tables
    asked = seen[tables.classifier, Priority.PATH]
    answered = seen[tables.forwarding, Priority.PATH]
    return _passed("flows", f"all there; connections {asked}, packets back {answered}")


def _flows(place: Place) -> Iterable[Any]:
    return droplet_flows(place.settings, place.meta, place.port)


def answered_arp(place: Place, trace: Trace) -> Hop:
    """The question for the metadata address."""
    return _way("arp", place, trace, place.port.ofport, "the switch answers")


def request_passes(place: Place, trace: Trace) -> Hop:
    """The request, from the droplet's port to meta0."""
    told = f"leaves by meta0 as {place.hv_local}"
    return _way("request", place, trace, place.meta.ofport, told)


def reply_passes(place: Place, trace: Trace) -> Hop:
    """The answer, from meta0 to the droplet's port."""
    return _way("reply", place, trace, place.port.ofport, f"leaves by {place.port_name}")


def _way(name: str, place: Place, trace: Trace, out: int, told: str) -> Hop:
    if trace.outputs == [out]:
        return _passed(name, told)
    first = trace.parts[0]
    if place.cookie not in first.cookies:
        met = f"cookie {first.cookies[-1]:#x} priority {first.priorities[-1]}"
        told = f"it meets another's flow first: {met}" if first.cookies else "it meets no flow"
        return _died(name, told, f"ovs-ofctl dump-flows {place.bridge}")
    leaves = ", ".join(map(str, trace.outputs)) or "nowhere"
    told = f"out of conntrack it goes {leaves}, not to {out}"
    return _died(name, told, f"ovs-ofctl dump-flows {place.bridge}")


def connections(place: Place, dump: Sequence[str]) -> Hop:
    """What conntrack has in the port's zone; it tells and does not judge."""
    states: dict[str, int] = {}
    for line in dump:
        entry = _TRACKED.search(line)
        if entry and int(entry[2]) == place.zone:
            states[entry[3]] = states.get(entry[3], 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return _passed("conntrack", told or "no connection now")


def server_knows(place: Place, answer: Mapping[str, Any] | str) -> Hop:
    """The metadata server's word on the address; a text where it gave none."""
    if isinstance(answer, str):
        return _died("server", answer, _doctor(place))
    if answer.get("droplet_id") == place.port.droplet_id and answer.get("verdict") == "known":
        return _passed("server", f"knows {place.hv_local} as droplet {place.port.droplet_id}")
    told = f"{place.hv_local} is {answer.get('verdict')}: {answer.get('reason')}"
    return _died("server", told, _doctor(place))


def probed(place: Place, source_port: int, dump: Sequence[str]) -> Hop:
    """What became of a real SYN, which was sent from `source_port` in the droplet's name."""
    for line in dump:
        entry = _TRACKED.search(line)
        if entry and (int(entry[1]), int(entry[2])) == (source_port, place.zone):
            if entry[3] in _ACCEPTED:
                return _passed("probe", "a SYN in the droplet's name was answered")
            answer = "no answer came back" if entry[3] == _NO_ANSWER else "it was refused"
            told = f"a SYN in the droplet's name left by meta0, {answer}"
            return _died("probe", told, _doctor(place))
    told = "conntrack knows nothing of a SYN that was sent in the droplet's name"
    return _died("probe", told, "see the hops before")


def verdict(droplet_id: int, hops: Sequence[Hop]) -> str:
    """All in one sentence."""
    for hop in hops:
        if hop.state is State.DIED:
            return f"droplet {droplet_id}: its request dies at {hop.name}: {hop.told}"
    return f"droplet {droplet_id}: nothing on this side keeps it from its metadata"


def _doctor(place: Place) -> str:
    """What looks at all of a host at once."""
    return f"dropletctl doctor --bridge {place.bridge}"


def _passed(name: str, told: str) -> Hop:
    return Hop(name, State.PASSED, told)


def _died(name: str, told: str, mend: str) -> Hop:
    return Hop(name, State.DIED, told, mend)
