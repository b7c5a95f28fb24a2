"""Looking at Open vSwitch, the host and the two processes: from a host to `Facts`. Shell.

What cannot be seen is told as such in the facts, so that one broken thing hides no other.
"""

import re
import shutil
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from ovs_metadata_client import Client, ClientError, Unreachable
from ryu_apps.dropletctl.connection import Given, SetupError, find
from ryu_apps.dropletctl.doctor.values import (
    CONTROLLER_UNIT,
    SERVER_UNIT,
    SOCKET_UNIT,
    ControllerAnswer,
    ControllerRow,
    Facts,
    Host,
    Listener,
    OpenVSwitch,
    Route,
    Rule,
    ServerAnswer,
    Unit,
    ZoneUse,
)
from ryu_apps.dropletctl.explain import explain
from ryu_apps.dropletctl.host.observe import observe
from ryu_apps.dropletctl.host.plan import Impossible, setup_steps
from ryu_apps.dropletctl.host.tools import Tools
from ryu_apps.dropletctl.host.values import Wanted
from ryu_apps.dropletctl.server_health import ask
from ryu_apps.openflow.target import on_this_host
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark

_COOKIE = re.compile(r"cookie=(0x[0-9a-f]+)")
_ZONE = re.compile(r"\bct\([^)]*?zone=([^,)]+)")
_BEFORE_SENTENCE = re.compile(
    r'^\S+ [A-Z]+ \d+ \S+ \[\w+(?: [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"\]]*))*\] '
)
"""Time, level, process, logger, and in brackets the event with its fields."""

_FEATURE = re.compile(r"^\s*([^:]+):\s*(\S+)", re.MULTILINE)


def look(
    wanted: Wanted, settings: BridgeSettings, given: Given, server_url: str, tools: Tools
) -> Facts:
    """All that can be known. Raises HostError where Open vSwitch itself cannot be asked."""
    seen = observe(wanted, tools)
    try:
        steps, obstacles = tuple(setup_steps(wanted, seen)), ()
    except Impossible as error:
        steps, obstacles = (), tuple(error.reasons)
    dpid = "" if seen.bridge is None else seen.bridge.dpid
    return Facts(
        wanted=wanted,
        settings=settings,
        dpid=dpid,
        controller=_ask_controller(given, dpid),
        server=_ask_server(server_url),
        ovs=_open_vswitch(wanted, settings, tools) if dpid else OpenVSwitch(),
        host=_host(wanted, settings, tools),
        steps=steps,
        obstacles=obstacles,
        units=dict(_units(tools)),
    )


# -- Open vSwitch ---------------------------------------------------------------------------------


def _open_vswitch(wanted: Wanted, settings: BridgeSettings, tools: Tools) -> OpenVSwitch:
    (root,) = tools.rows("--columns=ovs_version", "list", "Open_vSwitch")
    bridges = {
        row["name"]: row
        for row in tools.rows("--columns=name,datapath_type,protocols,controller", "list", "Bridge")
    }
    own = bridges[wanted.bridge]
    features = tools.run("ovs-appctl", "dpif/show-dp-features", wanted.bridge, check=False)
    same = [n for n, row in bridges.items() if row["datapath_type"] == own["datapath_type"]]
    return OpenVSwitch(
        version=root["ovs_version"] or "",
        features=dict(_FEATURE.findall(features or "")),
        protocols=tuple(_listed(own["protocols"])),
        controllers=tuple(_controllers(_listed(own["controller"]), tools)),
        foreign_zones=tuple(u for name in same for u in _foreign_zones(name, settings, tools)),
    )


def _controllers(uuids: list[str], tools: Tools) -> Iterator[ControllerRow]:
    columns = "--columns=_uuid,target,is_connected,connection_mode,status"
    for row in tools.rows(columns, "list", "Controller") if uuids else []:
        if row["_uuid"] in uuids:
            yield ControllerRow(
                target=row["target"],
                connected=row["is_connected"],
                out_of_band=row["connection_mode"] == "out-of-band",
                local=on_this_host(row["target"]),
                error=(row["status"] or {}).get("last_error"),
            )


def _foreign_zones(bridge: str, settings: BridgeSettings, tools: Tools) -> Iterator[ZoneUse]:
    """One for each zone, or register, that flows without our mark name on a bridge."""
    versions = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15"
    dump = tools.run("ovs-ofctl", "-O", versions, "--no-stats", "dump-flows", bridge, check=False)
    found: dict[int | None, str] = {}
    for line in (dump or "").splitlines():
        cookie = _COOKIE.search(line)
        if cookie and int(cookie[1], 16) & CookieMark.MASK == settings.cookie.shared:
            continue
        for zone in _ZONE.findall(line):
            found.setdefault(int(zone) if zone.isdigit() else None, _shown(line))
    for zone, line in found.items():
        # Zone 0 is the datapath's default one; ours begin at 1.
        if zone != 0:
            yield ZoneUse(bridge, zone, line)


def _shown(line: str) -> str:
    """A flow as people know it: without the flags that a dump may begin with."""
    return line.strip().removeprefix("reset_counts ")


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return value if isinstance(value, list) else [str(value)]


# -- the host -------------------------------------------------------------------------------------


def _host(wanted: Wanted, settings: BridgeSettings, tools: Tools) -> Host:
    example = str(settings.addressing.hv_local(1))
    source = str(wanted.metadata_ip)
    reply = tools.ip("-4", "route", "get", example, "from", source, check=False)
    ports = set((tools.run("ovs-vsctl", "list-ports", wanted.bridge, check=False) or "").split())
    return Host(
        addresses=dict(_addresses(wanted, tools)),
        routes=tuple(_routes(wanted, tools)),
        reply_device=reply[0].get("dev") if reply else None,
        rules_before=tuple(_rules_before(wanted, tools)),
        listeners=tuple(_listeners(settings.metadata_port, tools)),
        mtus={
            link["ifname"]: link["mtu"]
            for link in tools.ip("link", "show")
            if link["ifname"] in ports | {wanted.port}
        },
    )


def _addresses(wanted: Wanted, tools: Tools) -> Iterator[tuple[str, tuple[IPv4Interface, ...]]]:
    for link in tools.ip("-4", "address", "show"):
        if link.get("ifname") not in (None, wanted.port):
            infos = link.get("addr_info", ())
            addresses = (IPv4Interface(f"{i['local']}/{i['prefixlen']}") for i in infos)
            yield link["ifname"], tuple(addresses)


def _routes(wanted: Wanted, tools: Tools) -> Iterator[Route]:
    for route in tools.ip("-4", "route", "show", "table", "all", check=False):
        table = str(route.get("table", "254"))
        if route.get("type") not in (None, "unicast", "1") or table == str(wanted.table):
            continue
        destination = "0.0.0.0/0" if route["dst"] == "default" else route["dst"]
        if "dev" in route:
            yield Route(IPv4Network(destination), route["dev"], table)


def _rules_before(wanted: Wanted, tools: Tools) -> Iterator[Rule]:
    """Those that the kernel looks at before ours, but for its own first one."""
    for rule in tools.ip("-4", "rule"):
        if 0 < rule["priority"] < wanted.table:
            yield Rule(rule["priority"], str(rule.get("table", "")))


def _listeners(port: int, tools: Tools) -> Iterator[Listener]:
    for line in (tools.run("ss", "-Hltnp", f"sport = :{port}", check=False) or "").splitlines():
        address = line.split()[3].rpartition(":")[0].partition("%")[0]
        process = re.search(r'"([^"]+)",pid=(\d+)', line)
        yield Listener(address, process[1], _unit_of(process[2])) if process else Listener(address)


def _unit_of(pid: str) -> str:
    """The service of systemd that a process belongs to; "" where it belongs to none."""
    try:
        group = Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1]
    except (OSError, IndexError):
        return ""
    unit = group.rpartition("/")[2]
    return unit if unit.endswith(".service") else ""


# -- the two processes ----------------------------------------------------------------------------


def _ask_controller(given: Given, dpid: str) -> ControllerAnswer:
    try:
        place = find(given)
    except SetupError as error:
        return ControllerAnswer("", str(error), answers=False)
    try:
        with Client(place.url, place.token, tls=place.tls) as client:
            reasons, clock = client.readiness()
            switch = next((s for s in client.switches() if s["dpid"] == dpid), None)
            ports = client.ports(dpid)["ports"] if switch is not None else []
    except ClientError as error:
        told = explain(error, place)
        return ControllerAnswer(place.url, told, answers=not isinstance(error, Unreachable))
    skew = 0.0 if clock is None else clock.timestamp() - time.time()
    return ControllerAnswer(
        place.url, None, True, tuple(reasons), skew, switch=switch, ports=tuple(ports)
    )


def _ask_server(url: str) -> ServerAnswer:
    told = ask(f"{url}/readyz")
    return ServerAnswer(url, told) if isinstance(told, str) else ServerAnswer(url, None, told)


# -- systemd --------------------------------------------------------------------------------------


def _units(tools: Tools) -> Iterator[tuple[str, Unit]]:
    """The package's units; none where there is no systemd, or no package."""
    for name in (CONTROLLER_UNIT, SERVER_UNIT, SOCKET_UNIT) if shutil.which("systemctl") else ():
        words = "--property=LoadState,ActiveState,ExecMainStatus"
        shown = tools.run("systemctl", "show", words, name, check=False) or ""
        values = dict(line.partition("=")[::2] for line in shown.splitlines())
        if values.get("LoadState") == "loaded":
            status = int(values.get("ExecMainStatus") or 0)
            state = values["ActiveState"]
            failed = state == "failed" and status != 0
            yield name, Unit(name, state, status, _last_words(name, tools) if failed else "")


def _last_words(unit: str, tools: Tools) -> str:
    """The sentence of the last line that a unit's own process wrote."""
    only = f"_SYSTEMD_UNIT={unit}.service"
    told = tools.run("journalctl", "--quiet", "--lines=1", "--output=cat", only, check=False)
    return sentence((told or "").strip())


def sentence(line: str) -> str:
    """What a line of our log says to people; of any other line all of it."""
    return _BEFORE_SENTENCE.sub("", line)
