"""Looking at the host: everything that the plan needs to know, and nothing changed."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from ryu_apps.dropletctl.host.plan import VLAN_COLUMNS, sysctl_paths
from ryu_apps.dropletctl.host.tools import Tools
from ryu_apps.dropletctl.host.values import (
    TABLE_FILE,
    Bridge,
    Controller,
    Link,
    Port,
    Record,
    Seen,
    Wanted,
)

RECORD_KEY = "ovs-metadata-host-setup"
"""Where the record of what was changed is kept: external_ids of the Open_vSwitch table."""

_PROC_SYS = Path("/proc/sys")
_TABLE_FOLDERS = (Path("/usr/share/iproute2"), Path("/etc/iproute2"))
_SCOPES = {"0": "global", "253": "link", "254": "host"}
_TX_CHECKSUM = ("tx-checksumming", "tx-checksum-ip-generic", "tx-checksum-ipv4")


def observe(wanted: Wanted, tools: Tools) -> Seen:
    """What is on the host now. Raises HostError."""
    (root,) = tools.rows("--columns=_uuid,external_ids", "list", "Open_vSwitch")
    interfaces = {
        row["name"]: row
        for row in tools.rows("--columns=name,type,mac,ofport_request,error", "list", "Interface")
    }
    address = str(wanted.metadata_ip)
    holders = [link["ifname"] for link in tools.ip("address", "show", "to", address)]
    internal = {name for name, row in interfaces.items() if row["type"] == "internal"}
    return Seen(
        ovsdb=root["_uuid"],
        bridges=tuple((tools.run("ovs-vsctl", "list-br") or "").split()),
        bridge=_bridge(wanted, tools),
        port=_port(wanted, tools, interfaces.get(wanted.port)),
        link=_link(wanted, tools, holders),
        foreign_devices=tuple(name for name in holders if name not in internal),
        rules=frozenset(_rules(tools)),
        routes=dict(_routes(wanted.table, tools)),
        table_names=dict(_table_names()),
        table_file=_text(TABLE_FILE),
        sysctls=dict(_sysctls(wanted.port)),
        records=read_records(root["external_ids"]),
    )


def read_records(external_ids: dict[str, str] | None) -> dict[str, Record]:
    """The records kept in the database."""
    return json.loads((external_ids or {}).get(RECORD_KEY, "{}"))


def _bridge(wanted: Wanted, tools: Tools) -> Bridge | None:
    columns = "--columns=name,datapath_id,datapath_type,fail_mode,controller"
    for row in tools.rows(columns, "list", "Bridge"):
        if row["name"] == wanted.bridge:
            return Bridge(
                dpid=row["datapath_id"] or "",
                datapath_type=row["datapath_type"],
                fail_mode=row["fail_mode"],
                controllers=tuple(_controllers(row["controller"], tools)),
            )
    return None


def _controllers(uuids: Any, tools: Tools) -> Iterator[Controller]:
    own = [uuids] if isinstance(uuids, str) else uuids or []
    columns = "--columns=_uuid,target,max_backoff,is_connected"
    for row in tools.rows(columns, "list", "Controller") if own else []:
        if row["_uuid"] in own:
            yield Controller(row["_uuid"], row["target"], row["max_backoff"], row["is_connected"])


def _port(wanted: Wanted, tools: Tools, interface: dict[str, Any] | None) -> Port | None:
    if interface is None:
        return None
    bridge = (tools.run("ovs-vsctl", "iface-to-br", wanted.port) or "").strip()
    columns = f"--columns={','.join(VLAN_COLUMNS)}"
    found = tools.rows(columns, "find", "Port", f"name={wanted.port}")
    return Port(
        bridge=bridge,
        type=interface["type"],
        mac=interface["mac"],
        ofport_request=_word(interface["ofport_request"]),
        vlan=_vlan(found[0]) if found else None,
        no_flood=_no_flood(bridge, wanted.port, tools),
        error=interface["error"],
    )


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def _vlan(row: dict[str, Any]) -> str | None:
    """The VLAN columns that are set, each as `ovs-vsctl set` takes it."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in row.items()}
    set_ones = [
        f"{name}={','.join(map(str, lists[name]))}"
        for name in VLAN_COLUMNS
        if lists[name] != [None]
    ]
    return " ".join(set_ones) or None


def _no_flood(bridge: str, port: str, tools: Tools) -> bool | None:
    """Whether FLOOD leaves the port out; None where the bridge does not speak OpenFlow 1.0."""
    shown = tools.run("ovs-ofctl", "-O", "OpenFlow10", "show", bridge, check=False)
    lines = (shown or "").splitlines()
    for line, following in pairwise(lines):
        if f"({port}): addr:" in line:
            return "NO_FLOOD" in following
    return None


def _link(wanted: Wanted, tools: Tools, holders: list[str]) -> Link | None:
    found = tools.ip("link", "show", "dev", wanted.port, check=False)
    if not found:
        return None
    return Link(
        up="UP" in found[0]["flags"],
        address=_address(wanted, tools) if wanted.port in holders else None,
        tx_checksum=_tx_checksum(wanted.port, tools),
    )


def _address(wanted: Wanted, tools: Tools) -> str | None:
    (device,) = tools.ip("address", "show", "dev", wanted.port)
    for info in device["addr_info"]:
        if info["local"] == str(wanted.metadata_ip) and info["prefixlen"] == 32:
            scope = _SCOPES.get(info["scope"], info["scope"])
            return f"{wanted.metadata_ip}/32 scope {scope}"
    return None


def _tx_checksum(port: str, tools: Tools) -> bool:
    shown = tools.run("ethtool", "--json", "-k", port, check=False)
    features = json.loads(shown)[0] if shown else {}
    return any(features.get(name, {}).get("active") for name in _TX_CHECKSUM)


def _rules(tools: Tools) -> Iterator[tuple[int, str, int]]:
    for rule in tools.ip("-4", "rule"):
        if rule["src"] != "all" and str(rule.get("table", "")).isdigit():
            yield rule["priority"], rule["src"], int(rule["table"])


def _routes(table: int, tools: Tools) -> Iterator[tuple[str, str]]:
    # `ip` fails for a table that never had a route.
    for route in tools.ip("-4", "route", "show", "table", str(table), check=False):
        yield route["dst"], route.get("dev", route.get("type", "nowhere"))


def _table_names() -> Iterator[tuple[str, int]]:
    """The names of routing tables, read as iproute2 reads them."""
    for folder in _TABLE_FOLDERS:
        files = [folder / "rt_tables", *sorted((folder / "rt_tables.d").glob("*.conf"))]
        for file in files:
            for line in (_text(file) or "").splitlines():
                number, *names = line.split("#")[0].split()[:2] or [""]
                if names and number:
                    yield names[0], int(number, 0)


def _sysctls(port: str) -> Iterator[tuple[str, str]]:
    for path in sysctl_paths(port):
        text = _text(_PROC_SYS / path)
        if text is not None:
            yield path, text.strip()


def _text(path: Path) -> str | None:
    """The text of a file; None where there is none."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
