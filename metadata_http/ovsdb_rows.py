"""The rows of the local Open vSwitch database that matter here, and what they say of a bridge.

Pure: folds the answer and the updates of ovsdb-server's `monitor_cond` (ovsdb-server(7), 4.1.12 to
4.1.14; data types of RFC 7047, 5.1). A `Database` is changed in place by one owner; what it gives
out are values.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

COLUMNS = {
    "Bridge": ("name", "datapath_id", "ports", "controller"),
    "Port": ("interfaces",),
    "Interface": ("name", "ofport", "ofport_request"),
    "Controller": ("target", "is_connected", "status"),
}
"""Statistics are left out: they would be an update for each port every few seconds."""

# openflow-protocol: OFP_MAX_PORT_NAME_LEN with its final NUL. The controller knows no more of it.
_NAME_BYTES = 15
# A column that refers to any number of rows; an update has the references that came or went.
_REFERENCES = frozenset({"ports", "controller", "interfaces"})
_IGNORED = frozenset({"status"})
# Ours, beside the columns of an Interface.
_ASKS = "(asks)"

_Rows = dict[str, dict[str, dict[str, Any]]]


class UpdateError(ValueError):
    """The database server said something that cannot be."""


@dataclass(frozen=True, slots=True)
class ControllerRow:
    """An OpenFlow controller of a bridge. `uuid` is its row's; `connected` as last refreshed."""

    uuid: str
    target: str
    connected: bool

    @property
    def passive(self) -> bool:
        """Whether controllers come to it: Open vSwitch does not tell then whether one is there."""
        return self.target.startswith("p")


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge now.

    `ports` are OpenFlow port names by ofport, of ports whose ofport is beyond doubt: one that
    another interface has just asked for (`contested`) may be taken from its port, and the database
    says so only afterwards. ovs-vswitchd has dealt with it once it has written the asker's ofport.
    """

    ports: Mapping[int, str] = field(default_factory=dict)
    contested: frozenset[int] = frozenset()
    controllers: tuple[ControllerRow, ...] = ()


@dataclass(slots=True)
class Touched:
    """What an update was about; `refreshed` are controllers whose status ovs-vswitchd wrote."""

    ports: bool = False
    refreshed: set[str] = field(default_factory=set)


class Database:
    """The monitored rows."""

    def __init__(self, initial: Mapping[str, Any]) -> None:
        """Begin with the answer to the monitor request. Raises UpdateError."""
        self._rows: _Rows = {table: {} for table in COLUMNS}
        self.update(initial)

    def update(self, changes: Mapping[str, Any]) -> Touched:
        """Apply one `update2`. Raises UpdateError, after which the database is of no use."""
        touched = Touched()
        try:
            for table, rows in changes.items():
                for uuid, row in rows.items():
                    [(kind, columns)] = row.items()
                    self._change(table, uuid, kind, columns or {})
                    if table != "Controller":
                        touched.ports = True
                    elif kind == "modify" and "status" in columns:
                        touched.refreshed.add(uuid)
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise UpdateError(f"not an update of the Open vSwitch database: {fault!r}") from fault
        return touched

    def bridge(self, dpid: str) -> Bridge | None:
        """The bridge of this dpid, 16 hex digits; None where there is none."""
        for row in self._rows["Bridge"].values():
            if row.get("datapath_id") == dpid:
                interfaces = [
                    self._rows["Interface"].get(interface, {})
                    for port in row.get("ports", ())
                    for interface in self._rows["Port"].get(port, {}).get("interfaces", ())
                ]
                ports, contested = _ports(interfaces)
                return Bridge(ports, contested, tuple(self._controllers(row)))
        return None

    def dpid_of(self, name: str) -> str | None:
        """The dpid of the bridge of this name, 16 hex digits; None while it has none."""
        for row in self._rows["Bridge"].values():
            if row.get("name") == name:
                return row.get("datapath_id") or None
        return None

    def _controllers(self, bridge: Mapping[str, Any]) -> Iterable[ControllerRow]:
        for uuid in sorted(bridge.get("controller", ())):
            row = self._rows["Controller"].get(uuid, {})
            # One whose row is not here is none that could be known to be disconnected.
            yield ControllerRow(uuid, row.get("target", "p"), row.get("is_connected", False))

    def _change(self, table: str, uuid: str, kind: str, columns: Mapping[str, Any]) -> None:
        rows = self._rows[table]
        if kind == "delete":
            rows.pop(uuid, None)
            return
        if kind not in ("initial", "insert", "modify"):
            raise UpdateError(f"unknown change {kind!r}")
        if kind != "modify":
            rows[uuid] = {}  # columns of their default value are left out of a new row
        row = rows[uuid]
        for column, value in columns.items():
            if column in _REFERENCES:
                row[column] = row.get(column, frozenset()) ^ _references(value)
            elif column not in _IGNORED:
                row[column] = _scalar(value)
        if table == "Interface":
            _note_request(row, kind, columns)


def _note_request(row: dict[str, Any], kind: str, columns: Mapping[str, Any]) -> None:
    """Whether the interface asks for an ofport and ovs-vswitchd has not answered yet."""
    if (row.get("ofport") or 0) > 0 and ("ofport" in columns or kind == "initial"):
        row[_ASKS] = False
    elif "ofport_request" in columns:
        row[_ASKS] = True


def _ports(interfaces: Iterable[Mapping[str, Any]]) -> tuple[dict[int, str], frozenset[int]]:
    """Names by ofport, and the ofports in dispute."""
    held: dict[int, str] = {}
    disputed: set[int] = set()
    for interface in interfaces:
        ofport, asked = interface.get("ofport"), interface.get("ofport_request")
        if ofport is not None and ofport > 0:
            if ofport in held:
                disputed.add(ofport)
            held[ofport] = _openflow_name(interface.get("name", ""))
        if asked is not None and asked != ofport and interface.get(_ASKS):
            disputed.add(asked)
    disputed &= held.keys()
    for ofport in disputed:
        del held[ofport]
    return held, frozenset(disputed)


def _openflow_name(name: str) -> str:
    """As the controller shows it: as much as OpenFlow has room for, cut between characters."""
    if len(name) <= _NAME_BYTES and name.isascii():
        return name
    cut = name.encode()[:_NAME_BYTES].decode(errors="ignore")
    return cut.encode().decode("ascii", "backslashreplace")


def _references(value: Any) -> frozenset[str]:
    """A set of references; a set of one is written as its only member."""
    kind, content = value
    members = content if kind == "set" else [value]
    if kind not in ("set", "uuid"):
        raise UpdateError(f"{kind!r} is no reference")
    return frozenset(uuid for _, uuid in members)


def _scalar(value: Any) -> Any:
    """A value, or None for an optional one that is not set."""
    if not isinstance(value, list):
        return value
    kind, content = value
    if kind == "set" and len(content) <= 1:
        return content[0] if content else None
    raise UpdateError(f"{value!r} is no single value")
