"""The checks of the two processes, and of what they say. Pure.

Where the package's units are there, their state is told and the mend is systemd's; elsewhere it is
a sentence, for nobody knows how the processes are started.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ryu_apps.dropletctl.doctor.findings import fault, lacks_port, warning, way_is_whole
from ryu_apps.dropletctl.doctor.values import (
    CONTROLLER_UNIT,
    SERVER_UNIT,
    SOCKET_UNIT,
    Facts,
    Finding,
    Listener,
    Unit,
    Weight,
)

_SKEW = 60.0
"""Seconds that two clocks may differ before people reading two logs are misled."""

_HOLDS_SOCKETS = "systemd"


def unit_mend(unit: Unit) -> tuple[str, ...]:
    """The commands that have a unit run again."""
    if unit.state == "failed":
        return (
            f"mend what it says (more: journalctl --unit={unit.name} --lines=30), then:",
            f"systemctl restart {unit.name}",
        )
    return (f"systemctl start {unit.name}",)


def _silence(unit: Unit | None, url: str, otherwise: str) -> str:
    """That nobody answers at a URL, and that its unit does not run, if that is known."""
    if unit is None or unit.is_active:
        return otherwise
    last = f" and said last: {unit.last_words}" if unit.last_words else ""
    return f"{unit.name} is {unit.state}{last or f', and nobody answers at {url}'}"


def listener(facts: Facts) -> Iterator[Finding]:
    """Who listens on the metadata address."""
    address, port = str(facts.wanted.metadata_ip), facts.settings.metadata_port
    found = {one.address: one for one in facts.host.listeners}
    if facts.server.error is None and address in found:
        return
    where = f"{address}:{port}"
    other = found.get(address) or found.get("0.0.0.0") or found.get("*")
    if facts.server.error is None:
        if other is None:
            yield fault(
                "listener",
                f"nobody listens on {where}",
                "the metadata server runs, but listens elsewhere",
                f"listen = {where} in [metadata_http]",
            )
    elif other is not None and not _is_ours(other, facts):
        name = other.process or "another process"
        yield fault(
            "listener",
            f"{name}{f' ({other.unit})' if other.unit else ''} listens on {other.address}:{port}",
            "droplets ask it instead of the metadata server",
            *_ousted(other, where),
        )


def _is_ours(one: Listener, facts: Facts) -> bool:
    """Whether it is the metadata server that is not ready to say so, or its socket."""
    socket = facts.units.get(SOCKET_UNIT)
    held = one.process == _HOLDS_SOCKETS and socket is not None and socket.is_active
    return held or one.process == SERVER_UNIT


def _ousted(one: Listener, where: str) -> tuple[str, ...]:
    if one.unit:
        return (f"systemctl stop {one.unit}",)
    return (f"stop it, or have it listen elsewhere, and start metadata-http on {where}",)


def server(facts: Facts) -> Iterator[Finding]:
    """The metadata server's own word."""
    answer, report = facts.server, facts.server.report
    if answer.error is not None:
        yield _silent_server(facts)
    elif facts.dpid and report.get("dpid") not in (None, facts.dpid):
        yield fault(
            "server",
            f"the metadata server serves {report['dpid']}, and {facts.wanted.bridge} "
            f"is {facts.dpid}",
            "it does not know this bridge's droplets",
            f"bridge = {facts.wanted.bridge} in [metadata_http]",
        )
    elif report.get("unreachable") and not way_is_whole(facts):
        return  # what is missing of the way has a finding of its own
    elif not report.get("ready"):
        yield fault(
            "server",
            f"the metadata server is not ready: {_unready(report)}",
            "droplets get 503",
            *_followed_again(facts, "see its log, and the other findings"),
        )
    elif not report.get("connected"):
        yield warning(
            "server",
            f"the metadata server does not follow a controller{_because(report)}",
            "it serves what it knew last; new droplets are not served",
            *_followed_again(facts, "is `controller_urls` right, and the token?"),
        )


def _silent_server(facts: Facts) -> Finding:
    unit, socket = facts.units.get(SERVER_UNIT), facts.units.get(SOCKET_UNIT)
    waits = socket is not None and socket.is_active
    mend: tuple[str, ...] = ("start metadata-http (the address is `admin_listen`)",)
    if unit is not None:
        mend = unit_mend(unit)
        if unit.is_active:
            mend = (f"it has just been started, or hangs: journalctl --unit={unit.name}",)
    return fault(
        "server",
        _silence(
            unit,
            facts.server.url,
            f"no answer from the metadata server at {facts.server.url}: {facts.server.error}",
        ),
        "droplets' requests wait unanswered" if waits else "droplets' connections are refused",
        *mend,
    )


def _because(report: Mapping[str, Any]) -> str:
    reason = report.get("controller_reason")
    return f": {reason}" if reason else ""


def _followed_again(facts: Facts, otherwise: str) -> tuple[str, ...]:
    """How the server comes to follow a controller that is there: with its token, as a rule."""
    report, unit = facts.server.report, facts.units.get(CONTROLLER_UNIT)
    reason = str(report.get("controller_reason") or "")
    if not facts.controller.answers and not report.get("connected"):
        return ("mend what is said of the controller",)
    if unit is not None and ("token" in reason or "401" in reason):
        return (f"systemctl restart {unit.name}",)
    return (otherwise,)


def _unready(report: Mapping[str, Any]) -> str:
    if report.get("unreachable"):
        return str(report["unreachable"])
    if not report.get("connected"):
        return f"it follows no controller{_because(report)}"
    if report.get("ovsdb") not in (None, "live", "off", "down"):
        return f"the Open vSwitch database is {report['ovsdb']} ({report.get('ovsdb_reason')})"
    return "its view is not certain yet"


def controller(facts: Facts) -> Iterator[Finding]:
    """The controller's REST, its registry and its clock."""
    answer, unit = facts.controller, facts.units.get(CONTROLLER_UNIT)
    if answer.error is not None:
        mend: tuple[str, ...] = ("start it: ryu-manager; or --url says where it is",)
        if answer.answers:
            mend = ("--tokens-file or DROPLETCTL_TOKEN: a token that it knows",)
        elif unit is not None and not unit.is_active:
            mend = unit_mend(unit)
        yield fault(
            "registry",
            answer.error if answer.answers else _silence(unit, answer.url, answer.error),
            "droplets cannot be registered, and new ones are not served",
            *mend,
        )
        return
    for reason in answer.reasons:
        yield fault(
            "registry",
            f"the controller is not ready: {reason}",
            "registrations are refused, or switches not served",
            "see its log: the disk, the listening port",
        )
    if abs(answer.skew) > _SKEW:
        yield warning(
            "clock",
            f"the controller's clock is {answer.skew:+.0f} s from this host's",
            "logs of the two do not go together, and certificates may seem invalid",
            "synchronise both (chrony, systemd-timesyncd)",
        )


def switch(facts: Facts) -> Iterator[Finding]:
    """What the controller says of the bridge."""
    known = facts.controller.switch
    connected = any(one.connected for one in facts.ovs.controllers)
    if facts.controller.error is not None or not facts.dpid or not connected:
        return
    if known is None or not known["connected"]:
        yield fault(
            "switch",
            f"the controller at {facts.controller.url} does not know switch {facts.dpid}",
            f"{facts.wanted.bridge} is connected to another controller",
            "let `ovs-vsctl get-controller` and --url name one and the same",
        )
        return
    if known["state"] not in ("in-sync", "syncing"):
        yield fault(
            "switch",
            f"switch {facts.dpid} is {known['state']}: {known['reason']}",
            "its flows are not what they should be",
            "mend the reason; the switch is looked at again when it reconnects",
        )
    elif known["reason"]:
        yield fault(
            "switch",
            f"switch {facts.dpid}: {known['reason']}",
            "droplets may be without flows in between",
            "find it: ovs-vsctl get-controller, and the log of ovs-vswitchd",
        )
    for told in known["warnings"]:
        yield warning("switch", told, "the controller says so of this switch")


def ports(facts: Facts) -> Iterator[Finding]:
    """What the controller says of the bridge's ports."""
    for port in facts.controller.ports if not lacks_port(facts) else ():
        if port["state"] in ("error", "binding"):
            who = "" if port["droplet_id"] is None else f" of droplet {port['droplet_id']}"
            yield Finding(
                "ports",
                Weight.FAULT if port["state"] == "error" else Weight.WARNING,
                f"port {port['name']}{who} is in state {port['state']}: {port['reason']}",
                "its droplet gets nothing",
                ("mend the reason; the port is looked at again with the next news of it",),
            )
