"""From what is wanted and what is seen to the steps that make it so, and back. Pure.

Strategy: the host is a list of settings, each with the value it has, the value it should have, why,
and the commands that give it any value. Setting up changes those that differ; a record keeps what
each had before, so that undoing is giving exactly those their old values, in reverse order.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ryu_apps.dropletctl.host.values import (
    META_OFPORT,
    TABLE_FILE,
    TABLE_NAME,
    Bridge,
    Command,
    Controller,
    Port,
    Record,
    Remove,
    Run,
    Seen,
    Step,
    Wanted,
    Write,
)
from ryu_apps.pipeline.layout import DEAD_VLAN, MAX_BACKOFF

SHARED = ""
"""The record of what serves all bridges of the host."""

VLAN_COLUMNS = ("vlan_mode", "tag", "trunks")
_VLAN = f"vlan_mode=trunk trunks={DEAD_VLAN}"

_PROC_SYS = Path("/proc/sys")

_PORT_SYSCTLS = {
    "net/ipv4/conf/{port}/rp_filter": (
        "1",
        "the host takes nothing from it but what is addressed to the metadata address",
    ),
    "net/ipv4/conf/{port}/forwarding": ("0", "nothing from it is routed on"),
    "net/ipv4/conf/{port}/arp_ignore": ("8", "the switch answers ARP there, the host never"),
    "net/ipv6/conf/{port}/disable_ipv6": (
        "1",
        "the host neither speaks IPv6 there nor believes a router's advertisement",
    ),
}

_MAKES_DEVICE = ("port", "ofport")

_HAS_IPV6 = "net/ipv6/conf/default/disable_ipv6"

_NEIGHBOUR_SYSCTLS = {
    "net/ipv4/neigh/default/gc_thresh2": 8192,
    "net/ipv4/neigh/default/gc_thresh3": 16384,
}


class Impossible(Exception):
    """The host cannot be set up as it is; `reasons` has every one."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class _Setting:
    """One thing about the host. `change` gives the commands that make it a value (None: absent)."""

    key: str
    what: str
    now: str | None
    then: str | None
    why: str
    change: Callable[[str | None], tuple[Command, ...]]
    record: str
    """The record that keeps what it was: the bridge's, or SHARED."""
    of_port: bool = False
    """Goes away with the port."""
    held: str | None = None

    def forward(self) -> Step:
        """To what it should be."""
        made = self.change(self.then)
        return Step(self.key, self.what, self.now, self.then, self.why, made, self.held)

    def back(self, before: str | None) -> Step:
        """To what it was before host-setup."""
        made = self.change(before)
        return Step(self.key, self.what, self.now, before, "as it was before host-setup", made)


def sysctl_paths(port: str) -> list[str]:
    """The sysctls that matter, as paths below /proc/sys."""
    forms = (_HAS_IPV6, *_PORT_SYSCTLS, *_NEIGHBOUR_SYSCTLS)
    return [form.format(port=port) for form in forms]


def derive_mac(ovsdb: str, bridge: str, port: str) -> str:
    """A MAC for a port that is the same each time: locally administered, unicast."""
    digest = hashlib.sha256(f"{ovsdb}/{bridge}/{port}".encode()).digest()
    first = digest[0] & 0xFC | 0x02
    return ":".join(f"{octet:02x}" for octet in (first, *digest[1:6]))


def setup_steps(wanted: Wanted, seen: Seen) -> list[Step]:
    """What is to be done so that all is as wanted; nothing if it is. Raises Impossible."""
    _require_possible(wanted, seen)
    return [s.forward() for s in _settings(wanted, seen) if s.now != s.then]


def next_steps(steps: list[Step]) -> list[Step]:
    """Those to do now. A step that makes the device anew comes alone, for what was on it is gone:
    the host is to be looked at again before the rest."""
    possible = [step for step in steps if step.held is None]
    return [step for step in possible if step.key in _MAKES_DEVICE] or possible


def undo_steps(wanted: Wanted, seen: Seen) -> list[Step]:
    """What takes back exactly what setting up this bridge changed."""
    own = seen.records.get(wanted.bridge, {})
    others = [name for name in seen.records if name not in (wanted.bridge, SHARED)]
    shared = {} if others else seen.records.get(SHARED, {})
    before = {**own, **shared}
    port_goes = "port" in own and own["port"] is None
    steps = []
    for setting in reversed(list(_settings(wanted, seen))):
        if setting.key not in before or (port_goes and setting.of_port):
            continue
        if setting.now != before[setting.key]:
            steps.append(setting.back(before[setting.key]))
    return steps


def recorded(wanted: Wanted, seen: Seen, steps: list[Step]) -> dict[str, Record]:
    """The records with what these steps will change; what they kept already stays as it was."""
    changing = {step.key for step in steps}
    device_goes = not changing.isdisjoint(_MAKES_DEVICE)
    records = {name: dict(record) for name, record in seen.records.items()}
    records.setdefault(wanted.bridge, {})
    for setting in _settings(wanted, seen):
        if setting.key in changing or (device_goes and setting.of_port):
            records.setdefault(setting.record, {}).setdefault(setting.key, setting.now)
    return records


def forgotten(wanted: Wanted, seen: Seen) -> dict[str, Record]:
    """The records without this bridge's, and without the shared one if it was the last."""
    records = {name: dict(r) for name, r in seen.records.items() if name != wanted.bridge}
    return {} if set(records) <= {SHARED} else records


def _require_possible(wanted: Wanted, seen: Seen) -> None:
    reasons = list(_obstacles(wanted, seen))
    if reasons:
        raise Impossible(reasons)


def _obstacles(wanted: Wanted, seen: Seen) -> Iterator[str]:
    port, number = wanted.port, seen.table_names.get(TABLE_NAME)
    if seen.bridge is None:
        there = ", ".join(seen.bridges) or "none"
        yield f"there is no bridge {wanted.bridge} (bridges here: {there})"
    if seen.port is not None and seen.port.bridge != wanted.bridge:
        yield f"{port} is a port of {seen.port.bridge}; each bridge needs a port of its own"
    elif seen.port is not None and seen.port.type != "internal":
        yield f"{port} is no internal port of {wanted.bridge} but {seen.port.type or 'a device'}"
    elif seen.port is None and seen.link is not None:
        yield f"there is a network device {port} that is no port of Open vSwitch"
    for device in seen.foreign_devices:
        yield f"{device} has {wanted.metadata_ip} already: is there another metadata service?"
    if number is not None and number != wanted.table:
        yield f"routing table {TABLE_NAME} is number {number}, not {wanted.table}; see --table"
    for name in (name for name, taken in seen.table_names.items() if taken == wanted.table):
        if name != TABLE_NAME:
            yield f"routing table {wanted.table} is called {name}; take another with --table"
    holder = seen.routes.get(_destination(wanted), port)
    if holder != port:
        yield (
            f"routing table {wanted.table} leads {_destination(wanted)} to {holder}: give this "
            "bridge an hv_local_subnet of its own, or take another table with --table"
        )


def _settings(wanted: Wanted, seen: Seen) -> Iterator[_Setting]:
    """Every setting, in the order in which they can be made."""
    yield _port(wanted, seen)
    if seen.port is not None:
        yield from _port_settings(wanted, seen, seen.port)
    if seen.bridge is not None:
        yield from _bridge_settings(wanted.bridge, seen.bridge)
    yield from _port_sysctls(wanted, seen)
    yield from _device(wanted, seen)
    yield from _routing(wanted, seen)
    yield from _neighbours(seen)


def _port(wanted: Wanted, seen: Seen) -> _Setting:
    bridge, port = wanted.bridge, wanted.port

    def change(value: str | None) -> tuple[Command, ...]:
        if value is None:
            return (Run(("ovs-vsctl", "del-port", bridge, port)),)
        # One transaction: it never exists with another MAC or open to flooding.
        add = ("ovs-vsctl", "add-port", bridge, port, *_VLAN.split())
        interface = ("set", "Interface", port, "type=internal", f"ofport_request={META_OFPORT}")
        return (Run((*add, "--", *interface, f'mac="{_mac(wanted, seen)}"')),)

    now = seen.port.type if seen.port and seen.port.bridge == bridge else None
    why = f"the way from {bridge} to the metadata server"
    return _Setting("port", f"port {port}", now, "internal", why, change, bridge)


def _port_settings(wanted: Wanted, seen: Seen, found: Port) -> Iterator[_Setting]:
    port, bridge = wanted.port, wanted.bridge

    def set_mac(value: str | None) -> tuple[Command, ...]:
        if value is None:
            return (Run(("ovs-vsctl", "clear", "Interface", port, "mac")),)
        return (Run(("ovs-vsctl", "set", "Interface", port, f'mac="{value}"')),)

    def set_ofport(value: str | None) -> tuple[Command, ...]:
        if value is None:
            return (Run(("ovs-vsctl", "clear", "Interface", port, "ofport_request")),)
        return (Run(("ovs-vsctl", "set", "Interface", port, f"ofport_request={value}")),)

    def set_vlan(value: str | None) -> tuple[Command, ...]:
        columns = ("--", "set", "Port", port, *value.split()) if value else ()
        return (Run(("ovs-vsctl", "clear", "Port", port, *VLAN_COLUMNS, *columns)),)

    def set_flood(value: str | None) -> tuple[Command, ...]:
        # OpenFlow 1.1 and later cannot say it.
        word = "no-flood" if value == "no-flood" else "flood"
        return (Run(("ovs-ofctl", "-O", "OpenFlow10", "mod-port", bridge, port, word)),)

    why = "droplets and flows know it by its MAC, which is random unless it is written down"
    mac = wanted.mac or found.mac or _mac(wanted, seen)
    yield _Setting("mac", f"MAC of {port}", found.mac, mac, why, set_mac, bridge, of_port=True)

    why = "a droplet that asks for its ofport would evict it, and every flow names it"
    now, then = found.ofport_request, found.ofport_request or str(META_OFPORT)
    name = f"ofport of {port}"
    yield _Setting("ofport", name, now, then, why, set_ofport, bridge, of_port=True)

    why = "the bridge's NORMAL action floods nothing into it, also right after a restart"
    name = f"VLAN of {port}"
    yield _Setting("vlan", name, found.vlan, _VLAN, why, set_vlan, bridge, of_port=True)

    if found.no_flood is not None:
        why = "the FLOOD action leaves it out too; a restart of Open vSwitch forgets this one"
        flood = "no-flood" if found.no_flood else "flood"
        name = f"flooding to {port}"
        yield _Setting("flood", name, flood, "no-flood", why, set_flood, bridge, of_port=True)


def _bridge_settings(bridge: str, found: Bridge) -> Iterator[_Setting]:
    def set_fail_mode(value: str | None) -> tuple[Command, ...]:
        if value is None:
            return (Run(("ovs-vsctl", "del-fail-mode", bridge)),)
        return (Run(("ovs-vsctl", "set-fail-mode", bridge, value)),)

    why = "in standalone mode Open vSwitch drops our flows soon after it loses its controller"
    held = None
    if not found.connected:
        held = "until a controller is connected: now it would cut off everybody on the bridge"
    now, name = found.fail_mode, f"fail_mode of {bridge}"
    yield _Setting("fail_mode", name, now, "secure", why, set_fail_mode, bridge, held=held)
    for controller in found.controllers:
        yield _backoff(bridge, controller)


def _backoff(bridge: str, controller: Controller) -> _Setting:
    def change(value: str | None) -> tuple[Command, ...]:
        if value is None:
            return (Run(("ovs-vsctl", "clear", "Controller", controller.uuid, "max_backoff")),)
        return (Run(("ovs-vsctl", "set", "Controller", controller.uuid, f"max_backoff={value}")),)

    found = controller.max_backoff
    now = None if found is None else str(found)
    then = now if found is not None and found <= MAX_BACKOFF else str(MAX_BACKOFF)
    name = f"max_backoff of {controller.target}"
    why = "after a restart of the controller the switch is back in a second, not in eight"
    return _Setting(f"max_backoff {controller.uuid}", name, now, then, why, change, bridge)


def _port_sysctls(wanted: Wanted, seen: Seen) -> Iterator[_Setting]:
    for form, (then, why) in _PORT_SYSCTLS.items():
        path = form.format(port=wanted.port)
        # A device that is yet to come will have the usual ones.
        expected = seen.link is None and ("ipv6" not in path or _HAS_IPV6 in seen.sysctls)
        if path in seen.sysctls or expected:
            now = seen.sysctls.get(path)
            yield _sysctl(path, now, then, why, wanted.bridge, of_port=True)


def _neighbours(seen: Seen) -> Iterator[_Setting]:
    why = "each droplet is a neighbour of this host; the default ends at 1024 of them"
    for path, least in _NEIGHBOUR_SYSCTLS.items():
        now = seen.sysctls.get(path)
        if now is not None:
            then = str(max(least, int(now)))
            yield _sysctl(path, now, then, why, SHARED)


def _sysctl(
    path: str, now: str | None, then: str, why: str, record: str, *, of_port: bool = False
) -> _Setting:
    def change(value: str | None) -> tuple[Command, ...]:
        return () if value is None else (Write(_PROC_SYS / path, f"{value}\n"),)

    return _Setting(path, path, now, then, why, change, record, of_port=of_port)


def _device(wanted: Wanted, seen: Seen) -> Iterator[_Setting]:
    """The network device. Its MTU needs no setting: Open vSwitch keeps that of an internal port at
    the smallest of its bridge, so that every droplet's link takes what the server sends."""
    port, record, link = wanted.port, wanted.bridge, seen.link

    def set_address(value: str | None) -> tuple[Command, ...]:
        # An address cannot get another scope: the one that is there goes first.
        gone = _ip("address", "del", f"{wanted.metadata_ip}/32", "dev", port)
        come = () if value is None else (_ip("address", "add", *value.split(), "dev", port),)
        return (*([gone] if link and link.address else []), *come)

    def set_up(value: str | None) -> tuple[Command, ...]:
        return (_ip("link", "set", port, value or "down"),)

    def set_tx(value: str | None) -> tuple[Command, ...]:
        return (Run(("ethtool", "-K", port, "tx", value or "on")),)

    if link is not None and seen.bridge is not None and seen.bridge.datapath_type == "netdev":
        why = "userspace conntrack takes a checksum that is left to a NIC for a wrong one"
        offload, name = "on" if link.tx_checksum else "off", f"TX checksum offload of {port}"
        yield _Setting("tx", name, offload, "off", why, set_tx, record, of_port=True)
    why = "the address that droplets ask"
    now = link.address if link else None
    # Of link scope the host never takes it for the source of other traffic.
    then = now or f"{wanted.metadata_ip}/32 scope link"
    name = f"address of {port}"
    yield _Setting("address", name, now, then, why, set_address, record, of_port=True)
    state = "up" if link and link.up else "down"
    why = "a device that is down takes nothing"
    yield _Setting("link", f"link of {port}", state, "up", why, set_up, record, of_port=True)


def _routing(wanted: Wanted, seen: Seen) -> Iterator[_Setting]:
    source, table = str(wanted.metadata_ip), wanted.table
    destination = _destination(wanted)

    def set_name(value: str | None) -> tuple[Command, ...]:
        return (Remove(TABLE_FILE) if value is None else Write(TABLE_FILE, value),)

    def set_route(value: str | None) -> tuple[Command, ...]:
        route = (destination, "dev", wanted.port, "scope", "link", "table", TABLE_NAME)
        return (_ip("route", "del" if value is None else "add", *route),)

    def set_rule(value: str | None) -> tuple[Command, ...]:
        rule = ("from", source, "lookup", TABLE_NAME, "priority", str(table))
        return (_ip("rule", "del" if value is None else "add", *rule),)

    line = f"{table}\t{TABLE_NAME}\n"
    now = line if seen.table_names.get(TABLE_NAME) == table else None
    why = "so that `ip rule` and `ip route` show it by name"
    yield _Setting("table", "name of the routing table", now, line, why, set_name, SHARED)

    now = wanted.port if destination in seen.routes else None
    why = "the switch is behind the port, so every hv-local address is"
    name = f"route to {destination} in table {TABLE_NAME}"
    yield _Setting("route", name, now, wanted.port, why, set_route, wanted.bridge, of_port=True)

    then = f"from {source} lookup {TABLE_NAME}"
    now = then if (table, source, table) in seen.rules else None
    why = "answers go back to the switch whatever the host's own routes are"
    yield _Setting("rule", "routing rule", now, then, why, set_rule, SHARED)


def _destination(wanted: Wanted) -> str:
    return str(wanted.hv_local_subnet or "default")


def _mac(wanted: Wanted, seen: Seen) -> str:
    return wanted.mac or derive_mac(seen.ovsdb, wanted.bridge, wanted.port)


def _ip(*words: str) -> Run:
    return Run(("ip", *words))
