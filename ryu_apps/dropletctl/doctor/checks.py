"""From what is known of a host to what is wrong with it. Pure.

A check is a function from `Facts` to findings; its name is what `doctor` shows and what the tests
break. A check says nothing of what another one says already: where the bridge is missing, nobody
complains of its controller.
"""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network

from ryu_apps.dropletctl.doctor import process_checks
from ryu_apps.dropletctl.doctor.findings import fault, has_way, lacks_port, warning
from ryu_apps.dropletctl.doctor.values import (
    CONTROLLER_UNIT,
    ControllerRow,
    Facts,
    Finding,
    Weight,
)
from ryu_apps.dropletctl.host.values import Step
from ryu_apps.pipeline.layout import Pipeline

_OLDEST = (2, 10)
"""The first Open vSwitch that has all of it in both datapaths: ct with nat, bundles, meters."""

_FEATURES = {
    "CT state": "requests and replies are told apart by it",
    "CT zone": "each port's connections are kept apart by it",
    "CT mark": "it tells whose a connection is",
    "CT state NAT": "a request gets the address of its port by it",
}
"""What the datapath must be able to do, by the words of dpif/show-dp-features."""

_OPENFLOW = "OpenFlow13"
_USUAL_CONTROLLER = "tcp:127.0.0.1:6653"
"""Where a controller on this host listens for switches, if it is not told otherwise."""

_ALL = IPv4Network("0.0.0.0/0")

Check = Callable[[Facts], Iterator[Finding]]


def diagnose(facts: Facts) -> list[Finding]:
    """All findings, faults first."""
    found = [finding for check in CHECKS.values() for finding in check(facts)]
    return sorted(found, key=lambda finding: finding.weight is not Weight.FAULT)


# -- Open vSwitch ---------------------------------------------------------------------------------


def _version(facts: Facts) -> Iterator[Finding]:
    version = facts.ovs.version
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST:
        yield fault(
            "ovs-version",
            f"Open vSwitch is {version}",
            f"before {'.'.join(map(str, _OLDEST))} it lacks NAT in conntrack or atomic bundles",
            "upgrade Open vSwitch",
        )


def _datapath(facts: Facts) -> Iterator[Finding]:
    for feature, why in _FEATURES.items():
        if facts.ovs.features.get(feature, "Yes") != "Yes":
            yield fault(
                "datapath",
                f"the datapath of {facts.wanted.bridge} has no {feature}",
                why,
                "use a datapath that has it: a newer kernel, or datapath_type=netdev",
            )


def _protocols(facts: Facts) -> Iterator[Finding]:
    protocols, bridge = facts.ovs.protocols, facts.wanted.bridge
    if not _speaks_openflow(facts):
        yield fault(
            "protocols",
            f"{bridge} speaks {', '.join(protocols)} only",
            f"the controller speaks {_OPENFLOW}",
            f"ovs-vsctl add bridge {bridge} protocols {_OPENFLOW}",
        )


def _speaks_openflow(facts: Facts) -> bool:
    return not facts.ovs.protocols or _OPENFLOW in facts.ovs.protocols


def _controller_connection(facts: Facts) -> Iterator[Finding]:
    bridge, controllers = facts.wanted.bridge, facts.ovs.controllers
    if facts.dpid and not controllers:
        yield fault(
            "controller",
            f"{bridge} has no controller",
            "nobody installs the metadata flows",
            f"ovs-vsctl set-controller {bridge} {_USUAL_CONTROLLER}",
        )
    for one in controllers:
        if not one.connected and _speaks_openflow(facts):
            because = f": {one.error}" if one.error else ""
            yield fault(
                "controller",
                f"{bridge} is not connected to {one.target}{because}",
                "new droplets get no flows; those that are served stay so",
                _connected_again(one, facts),
            )


def _connected_again(one: ControllerRow, facts: Facts) -> str:
    """What has the bridge connected to a controller: it runs, or where it listens is right."""
    unit = facts.units.get(CONTROLLER_UNIT)
    if one.local and facts.controller.answers and one.target != _USUAL_CONTROLLER:
        return f"ovs-vsctl set-controller {facts.wanted.bridge} {_USUAL_CONTROLLER}"
    if one.local and unit is not None and not unit.is_active:
        return process_checks.unit_mend(unit)[-1]
    if one.local and facts.controller.answers:
        return "Open vSwitch tries again within a second; else: where does it listen for OpenFlow?"
    return "does the controller run, and is this where it listens for OpenFlow?"


def _rivals(facts: Facts) -> Iterator[Finding]:
    bridge, targets = facts.wanted.bridge, sorted(one.target for one in facts.ovs.controllers)
    may_be_many = facts.shared_registry or facts.settings.pipeline is not Pipeline.STANDALONE
    if len(targets) > 1 and not may_be_many:
        yield warning(
            "rivals",
            f"{bridge} has {len(targets)} controllers: {', '.join(targets)}",
            "two of this kind undo each other's flows, and ports are opened without asking the "
            "other's metadata server",
            f"ovs-vsctl set-controller {bridge} TARGET, the right one alone",
        )


def _in_band(facts: Facts) -> Iterator[Finding]:
    for one in facts.ovs.controllers:
        if one.local and not one.out_of_band:
            yield warning(
                "in-band",
                f"{facts.wanted.bridge} controls {one.target} in-band",
                "hidden flows of Open vSwitch let ARP and the controller's traffic pass the guards",
                f"ovs-vsctl set controller {facts.wanted.bridge} connection_mode=out-of-band",
            )


def _zones(facts: Facts) -> Iterator[Finding]:
    addressing = facts.settings.addressing
    first, last = (addressing.zone(end) for end in (1, addressing.ofports[-1]))
    for use in facts.ovs.foreign_zones:
        if use.zone is None or first <= use.zone <= last:
            zone = "a zone from a register" if use.zone is None else f"zone {use.zone}"
            yield warning(
                "zones",
                f"a flow of another on {use.bridge} uses {zone} of conntrack: {use.flow}",
                f"zones {first}..{last} are those of our ports; a shared one mixes connections",
                f"set zone_base in [bridge:{facts.dpid}] so that the ranges are apart",
            )


# -- the host -------------------------------------------------------------------------------------


_OF_THE_BRIDGE = ("port", "fail_mode", "max_backoff")
"""What can be wrong of the bridge itself; all else is the port's, and goes without saying where
there is none."""


def _host_setup(facts: Facts) -> Iterator[Finding]:
    for obstacle in facts.obstacles:
        again = f"take it away, then dropletctl host-setup --bridge {facts.wanted.bridge}"
        yield fault("host-setup", obstacle, "the host cannot be set up as it is", again)
    for step in facts.steps:
        if lacks_port(facts) and _kind(step) not in _OF_THE_BRIDGE:
            continue
        what = f"{step.what} is {_word(step.now)}, should be {_word(step.then)}"
        if step.key == "port" and step.now is None:
            what = f"{facts.wanted.bridge} has no port {facts.wanted.port}"
        yield Finding(f"host-setup:{_kind(step)}", Weight.FAULT, what, step.why, _mend(step, facts))


def _mend(step: Step, facts: Facts) -> tuple[str, ...]:
    again = f"dropletctl host-setup --bridge {facts.wanted.bridge}"
    if step.held:
        return (f"host-setup holds it back {step.held}; then:", again)
    return (again,)


def _kind(step: Step) -> str:
    """The setting without the name of what has it."""
    return step.key.split()[0].rsplit("/", 1)[-1]


def _addresses(facts: Facts) -> Iterator[Finding]:
    subnet = facts.settings.addressing.hv_local_subnet
    for device, addresses in facts.host.addresses.items():
        for address in addresses:
            if address.ip in subnet:
                yield fault(
                    "addresses",
                    f"{device} has {address}, which lies in hv_local_subnet {subnet}",
                    "answers to the droplet at that ofport stay on the host",
                    f"give {device} another address, or set another hv_local_subnet",
                )


def _routes(facts: Facts) -> Iterator[Finding]:
    subnet, metadata = facts.settings.addressing.hv_local_subnet, facts.settings.metadata_net
    for route in facts.host.routes:
        if route.device == facts.wanted.port or route.destination == _ALL:
            continue
        where = f"table {route.table} routes {route.destination} to {route.device}"
        if route.destination.overlaps(metadata):
            yield warning(
                "routes",
                where,
                f"this host itself asks {metadata.network_address} there (a cloud's machine?): "
                "with the address on meta0 it no longer can",
                "have whatever needs it read its data before host-setup, or do without",
            )
        elif route.destination.subnet_of(subnet):
            yield warning(
                "routes",
                where,
                f"it is a part of hv_local_subnet {subnet}; only answers of the metadata server "
                "go to meta0, so what uses that route still works, but no two can have one address",
                "set another hv_local_subnet",
            )


def _reply(facts: Facts) -> Iterator[Finding]:
    host, ours = facts.host, facts.wanted.table
    if not has_way(facts) or host.reply_device == facts.wanted.port:
        return
    routed = {route.table for route in host.routes if route.device == host.reply_device}
    before = [rule for rule in host.rules_before if rule.table in routed or not host.reply_device]
    which = f": rule {before[0].priority} comes before ours" if before else ""
    mend = f"ip rule: let none that matches come before priority {ours}"
    yield fault(
        "reply-route",
        f"an answer from {facts.wanted.metadata_ip} to a droplet would leave by "
        f"{host.reply_device or 'no device'}{which}",
        f"it must go to {facts.wanted.port}, by rule {ours}",
        *(f"ip rule delete priority {rule.priority}" for rule in before[:1]),
        f"give it, where it is made (a VPN?), a priority beyond {ours}" if before else mend,
    )


def _mtu(facts: Facts) -> Iterator[Finding]:
    own = facts.host.mtus.get(facts.wanted.port)
    small = {n: mtu for n, mtu in facts.host.mtus.items() if own is not None and mtu < own}
    for name, mtu in small.items():
        yield warning(
            "mtu",
            f"{name} has MTU {mtu}, {facts.wanted.port} {own}",
            "full-sized answers to a droplet that takes more than its port are lost",
            f"ovs-vsctl clear Interface {facts.wanted.port} mtu_request",
        )


CHECKS: Mapping[str, Check] = {
    "ovs-version": _version,
    "datapath": _datapath,
    "protocols": _protocols,
    "controller": _controller_connection,
    "rivals": _rivals,
    "in-band": _in_band,
    "zones": _zones,
    "host-setup": _host_setup,
    "addresses": _addresses,
    "routes": _routes,
    "reply-route": _reply,
    "mtu": _mtu,
    "listener": process_checks.listener,
    "server": process_checks.server,
    "registry": process_checks.controller,
    "switch": process_checks.switch,
    "ports": process_checks.ports,
}


def _word(value: str | None) -> str:
    return "none" if value is None else " ".join(value.split())
