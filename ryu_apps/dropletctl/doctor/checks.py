"""From what is known of a host to what is wrong with it. Pure.

A check is a function from `Facts` to findings; its name is what `doctor` shows and what the tests
break. A check says nothing of what another one says already: where the bridge is missing, nobody
complains of its controller.
"""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from ryu_apps.dropletctl.doctor.values import Facts, Finding, Weight
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
_SKEW = 60.0
"""Seconds that two clocks may differ before people reading two logs are misled."""

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
        yield _fault(
            "ovs-version",
            f"Open vSwitch is {version}",
            f"before {'.'.join(map(str, _OLDEST))} it lacks NAT in conntrack or atomic bundles",
            "upgrade Open vSwitch",
        )


def _datapath(facts: Facts) -> Iterator[Finding]:
    for feature, why in _FEATURES.items():
        if facts.ovs.features.get(feature, "Yes") != "Yes":
            yield _fault(
                "datapath",
                f"the datapath of {facts.wanted.bridge} has no {feature}",
                why,
                "use a datapath that has it: a newer kernel, or datapath_type=netdev",
            )


def _protocols(facts: Facts) -> Iterator[Finding]:
    protocols, bridge = facts.ovs.protocols, facts.wanted.bridge
    if not _speaks_openflow(facts):
        yield _fault(
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
        yield _fault(
            "controller",
            f"{bridge} has no controller",
            "nobody installs the metadata flows",
            f"ovs-vsctl set-controller {bridge} tcp:127.0.0.1:6653",
        )
    for one in controllers:
        if not one.connected and _speaks_openflow(facts):
            because = f": {one.error}" if one.error else ""
            yield _fault(
                "controller",
                f"{bridge} is not connected to {one.target}{because}",
                "new droplets get no flows; those that are served stay so",
                "is ryu-manager running, and is this where it listens for OpenFlow?",
            )


def _rivals(facts: Facts) -> Iterator[Finding]:
    bridge, targets = facts.wanted.bridge, sorted(one.target for one in facts.ovs.controllers)
    may_be_many = facts.shared_registry or facts.settings.pipeline is not Pipeline.STANDALONE
    if len(targets) > 1 and not may_be_many:
        yield _warning(
            "rivals",
            f"{bridge} has {len(targets)} controllers: {', '.join(targets)}",
            "two of this kind undo each other's flows, and ports are opened without asking the "
            "other's metadata server",
            f"ovs-vsctl set-controller {bridge} TARGET, the right one alone",
        )


def _in_band(facts: Facts) -> Iterator[Finding]:
    for one in facts.ovs.controllers:
        if one.local and not one.out_of_band:
            yield _warning(
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
            yield _warning(
                "zones",
                f"a flow of another on {use.bridge} uses {zone} of conntrack: {use.flow}",
                f"zones {first}..{last} are those of our ports; a shared one mixes connections",
                f"set zone_base in [bridge:{facts.dpid}] so that the ranges are apart",
            )


# -- the host -------------------------------------------------------------------------------------


def _host_setup(facts: Facts) -> Iterator[Finding]:
    for obstacle in facts.obstacles:
        again = f"take it away, then dropletctl host-setup --bridge {facts.wanted.bridge}"
        yield _fault("host-setup", obstacle, "the host cannot be set up as it is", again)
    for step in facts.steps:
        what = f"{step.what} is {_word(step.now)}, should be {_word(step.then)}"
        yield Finding(f"host-setup:{_kind(step)}", Weight.FAULT, what, step.why, _mend(step, facts))


def _mend(step: Step, facts: Facts) -> tuple[str, ...]:
    if step.held:
        return (f"host-setup holds it back {step.held}",)
    return (f"dropletctl host-setup --bridge {facts.wanted.bridge}",)


def _kind(step: Step) -> str:
    """The setting without the name of what has it."""
    return step.key.split()[0].rsplit("/", 1)[-1]


def _addresses(facts: Facts) -> Iterator[Finding]:
    subnet = facts.settings.addressing.hv_local_subnet
    for device, addresses in facts.host.addresses.items():
        for address in addresses:
            if address.ip in subnet:
                yield _fault(
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
            yield _warning(
                "routes",
                where,
                f"this host itself asks {metadata.network_address} there (a cloud's machine?): "
                "with the address on meta0 it no longer can",
                "have whatever needs it read its data before host-setup, or do without",
            )
        elif route.destination.subnet_of(subnet):
            yield _warning(
                "routes",
                where,
                f"it is a part of hv_local_subnet {subnet}; only answers of the metadata server "
                "go to meta0, so what uses that route still works, but no two can have one address",
                "set another hv_local_subnet",
            )


def _has_way(facts: Facts) -> bool:
    """Whether host-setup has nothing to say of the way that answers take."""
    missing = {"route", "rule", "link", "address", "port"} & {step.key for step in facts.steps}
    return not facts.obstacles and not missing


def _reply(facts: Facts) -> Iterator[Finding]:
    if _has_way(facts) and facts.host.reply_device != facts.wanted.port:
        yield _fault(
            "reply-route",
            f"an answer from {facts.wanted.metadata_ip} to a droplet would leave by "
            f"{facts.host.reply_device or 'no device'}",
            f"it must go to {facts.wanted.port}: some rule comes before ours",
            f"ip rule: let none that matches come before priority {facts.wanted.table}",
        )


def _mtu(facts: Facts) -> Iterator[Finding]:
    own = facts.host.mtus.get(facts.wanted.port)
    small = {n: mtu for n, mtu in facts.host.mtus.items() if own is not None and mtu < own}
    for name, mtu in small.items():
        yield _warning(
            "mtu",
            f"{name} has MTU {mtu}, {facts.wanted.port} {own}",
            "full-sized answers to a droplet that takes more than its port are lost",
            f"ovs-vsctl clear Interface {facts.wanted.port} mtu_request",
        )


def _listener(facts: Facts) -> Iterator[Finding]:
    address, port = str(facts.wanted.metadata_ip), facts.settings.metadata_port
    found = {one.address: one for one in facts.host.listeners}
    if facts.server.error is None and address in found:
        return
    where = f"{address}:{port}"
    other = found.get(address) or found.get("0.0.0.0") or found.get("*")
    if other is not None and facts.server.error is not None:
        yield _fault(
            "listener",
            f"{other.process or 'another process'} listens on {other.address}:{port}",
            "droplets would ask it instead of the metadata server",
            f"stop it, or have it listen elsewhere, and start metadata-http on {where}",
        )
    elif facts.server.error is None:
        yield _fault(
            "listener",
            f"nobody listens on {where}",
            "the metadata server runs, but listens elsewhere",
            f"listen = {where} in [metadata_http]",
        )


# -- the two processes ----------------------------------------------------------------------------


def _server(facts: Facts) -> Iterator[Finding]:
    server, report = facts.server, facts.server.report
    if server.error is not None:
        yield _fault(
            "server",
            f"no answer from the metadata server at {server.url}: {server.error}",
            "droplets' connections are refused",
            "start metadata-http (the address is `admin_listen`)",
        )
        return
    if facts.dpid and report.get("dpid") not in (None, facts.dpid):
        yield _fault(
            "server",
            f"the metadata server serves {report['dpid']}, and {facts.wanted.bridge} "
            f"is {facts.dpid}",
            "it does not know this bridge's droplets",
            f"bridge = {facts.wanted.bridge} in [metadata_http]",
        )
    elif report.get("unreachable") and not _way_is_whole(facts):
        return  # what is missing of the way has a finding of its own
    elif not report.get("ready"):
        yield _fault(
            "server",
            f"the metadata server is not ready: {_unready(report)}",
            "droplets get 503",
            "see its log, and the other findings",
        )
    elif not report.get("connected"):
        yield _warning(
            "server",
            "the metadata server does not follow a controller",
            "it serves what it knew last; new droplets are not served",
            "is `controller_urls` right, and the token?",
        )


def _way_is_whole(facts: Facts) -> bool:
    return _has_way(facts) and facts.host.reply_device == facts.wanted.port


def _unready(report: Mapping[str, Any]) -> str:
    if report.get("unreachable"):
        return str(report["unreachable"])
    if not report.get("connected"):
        return "it follows no controller"
    if report.get("ovsdb") not in (None, "live", "off", "down"):
        return f"the Open vSwitch database is {report['ovsdb']} ({report.get('ovsdb_reason')})"
    return "its view is not certain yet"


def _controller(facts: Facts) -> Iterator[Finding]:
    controller = facts.controller
    if controller.error is not None:
        yield _fault(
            "registry",
            controller.error,
            "droplets cannot be registered, and new ones are not served",
            "is ryu-manager running? --url and --tokens-file point elsewhere",
        )
        return
    for reason in controller.reasons:
        yield _fault(
            "registry",
            f"the controller is not ready: {reason}",
            "registrations are refused, or switches not served",
            "see its log: the disk, the listening port",
        )
    if abs(controller.skew) > _SKEW:
        yield _warning(
            "clock",
            f"the controller's clock is {controller.skew:+.0f} s from this host's",
            "logs of the two do not go together, and certificates may seem invalid",
            "synchronise both (chrony, systemd-timesyncd)",
        )


def _switch(facts: Facts) -> Iterator[Finding]:
    switch = facts.controller.switch
    connected = any(one.connected for one in facts.ovs.controllers)
    if facts.controller.error is not None or not facts.dpid or not connected:
        return
    if switch is None or not switch["connected"]:
        yield _fault(
            "switch",
            f"the controller at {facts.controller.url} does not know switch {facts.dpid}",
            f"{facts.wanted.bridge} is connected to another controller",
            "let `ovs-vsctl get-controller` and --url name one and the same",
        )
        return
    if switch["state"] not in ("in-sync", "syncing"):
        yield _fault(
            "switch",
            f"switch {facts.dpid} is {switch['state']}: {switch['reason']}",
            "its flows are not what they should be",
            "mend the reason; the switch is looked at again when it reconnects",
        )
    elif switch["reason"]:
        yield _fault(
            "switch",
            f"switch {facts.dpid}: {switch['reason']}",
            "droplets may be without flows in between",
            "find it: ovs-vsctl get-controller, and the log of ovs-vswitchd",
        )
    for warning in switch["warnings"]:
        yield _warning("switch", warning, "the controller says so of this switch")


def _ports(facts: Facts) -> Iterator[Finding]:
    for port in facts.controller.ports:
        if port["state"] in ("error", "binding"):
            who = "" if port["droplet_id"] is None else f" of droplet {port['droplet_id']}"
            yield Finding(
                "ports",
                Weight.FAULT if port["state"] == "error" else Weight.WARNING,
                f"port {port['name']}{who} is in state {port['state']}: {port['reason']}",
                "its droplet gets nothing",
                ("mend the reason; the port is looked at again with the next news of it",),
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
    "listener": _listener,
    "server": _server,
    "registry": _controller,
    "switch": _switch,
    "ports": _ports,
}


def _fault(check: str, what: str, why: str, *mend: str) -> Finding:
    return Finding(check, Weight.FAULT, what, why, mend)


def _warning(check: str, what: str, why: str, *mend: str) -> Finding:
    return Finding(check, Weight.WARNING, what, why, mend)


def _word(value: str | None) -> str:
    return "none" if value is None else " ".join(value.split())
