"""What a local Open vSwitch database says of a bridge, and the settings it must have there.

- fail_mode `secure`: in standalone mode Open vSwitch flushes all flows some seconds after it lost
  its controller.
- max_backoff 1000 ms at most: reconnects stay quick (the default is 8 s).
- connection_mode `out-of-band`: in-band control adds hidden flows of the highest priority, which
  pass every guard by. A controller that is reached through the bridge itself needs them, so this
  is set only where it cannot be: on this host.
- meta0 in the dead VLAN: NORMAL floods nothing into it.

`ovsdb-client` is run as a child process by eventlet, which does not block other green threads. Not
`ovs-vsctl`: that fetches every port and interface of the database first, half a second of two
processes' time with 10,000 of them, and it would be run six times.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventlet.green import subprocess
from eventlet.semaphore import Semaphore

from ryu_apps.openflow.target import on_this_host
from ryu_apps.pipeline.layout import DEAD_VLAN, MAX_BACKOFF

TIMEOUT = 5

_CONTROLLER = ("_uuid", "target", "connection_mode", "max_backoff", "is_connected")


class OvsdbError(Exception):
    """The database could not be asked, or refused; the message has its own words."""


@dataclass(frozen=True, slots=True)
class ControllerRow:
    """A row of OVSDB's Controller table. `max_backoff` in milliseconds, None for the default.

    `connected` is some seconds old (other_config:stats-update-interval).
    """

    uuid: str
    target: str
    out_of_band: bool
    max_backoff: int | None
    connected: bool

    @property
    def on_this_host(self) -> bool:
        """Whether it cannot be reached through a bridge."""
        return on_this_host(self.target)


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """A row of OVSDB's Bridge table with its controllers."""

    name: str
    fail_mode: str
    controllers: tuple[ControllerRow, ...]


Row = Mapping[str, Any]


class Database:
    """The database at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._reading = Semaphore(1)
        self._asked = self._answered = 0
        self._answer: tuple[list[Row], list[Row]] | OvsdbError = ([], [])

    def find_bridge(self, dpid: int) -> BridgeRow | None:
        """The bridge of this dpid, None if the database has none; raises OvsdbError."""
        bridges, controllers = self._bridges()
        for bridge in bridges:
            if bridge["datapath_id"] == f"{dpid:016x}":
                own = set(_uuids(bridge["controller"]))
                rows = (_controller(row) for row in controllers)
                used = tuple(row for row in rows if row.uuid in own)
                return BridgeRow(bridge["name"], _text(bridge["fail_mode"]), used)
        return None

    def secure(self, bridge: BridgeRow, meta_port: str) -> list[str]:
        """Set what the bridge must have; raises OvsdbError. A meta port it lacks is no error.

        Returns what could not be set and is for the operator to decide. What is as it should be is
        not touched.
        """
        steps: list[dict[str, Any]] = []
        if bridge.fail_mode != "secure":
            steps.append(_update("Bridge", "name", bridge.name, fail_mode="secure"))
        wanted = {"vlan_mode": "trunk", "trunks": DEAD_VLAN}
        select = _select("Port", tuple(wanted), [["name", "==", meta_port]])
        (ports,) = _transact(self._url, select)
        if any(port != wanted for port in ports["rows"]):
            steps.append(_update("Port", "name", meta_port, **wanted))
        left = []
        for controller in bridge.controllers:
            row: dict[str, Any] = {}
            if controller.max_backoff is None or controller.max_backoff > MAX_BACKOFF:
                row["max_backoff"] = MAX_BACKOFF
            if controller.on_this_host and not controller.out_of_band:
                row["connection_mode"] = "out-of-band"
            elif not controller.out_of_band:
                left.append(
                    f"bridge {bridge.name} reaches {controller.target} in-band: hidden flows of "
                    "Open vSwitch pass our guards by; unless it is reached through this bridge, "
                    f"`ovs-vsctl set Controller {controller.uuid} connection_mode=out-of-band`"
                )
            if row:
                steps.append(_update("Controller", "_uuid", ["uuid", controller.uuid], **row))
        if steps:
            _transact(self._url, *steps)
        return left

    def _bridges(self) -> tuple[list[Row], list[Row]]:
        """All bridges and controllers, as of a moment after the call.

        A thousand switches may connect at once: one reading serves all who asked before it began.
        """
        self._asked += 1
        mine = self._asked
        with self._reading:
            if self._answered < mine:
                self._answered = self._asked
                self._answer = self._read()
        if isinstance(self._answer, OvsdbError):
            raise self._answer
        return self._answer

    def _read(self) -> tuple[list[Row], list[Row]] | OvsdbError:
        try:
            bridges, controllers = _transact(
                self._url,
                _select("Bridge", ("name", "datapath_id", "fail_mode", "controller")),
                _select("Controller", _CONTROLLER),
            )
        except OvsdbError as error:
            return error
        return bridges["rows"], controllers["rows"]


def _select(table: str, columns: Sequence[str], where: Sequence[Any] = ()) -> dict[str, Any]:
    return {"op": "select", "table": table, "where": where, "columns": columns}


def _update(table: str, column: str, value: Any, **row: Any) -> dict[str, Any]:
    return {"op": "update", "table": table, "where": [[column, "==", value]], "row": row}


def _transact(url: str, *operations: dict[str, Any]) -> list[dict[str, Any]]:
    """What each operation results in (RFC 7047, 5.2); raises OvsdbError."""
    transaction = json.dumps(["Open_vSwitch", *operations])
    command = ["ovsdb-client", f"--timeout={TIMEOUT}", "transact", url, transaction]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise OvsdbError(f"cannot run ovsdb-client: {error}") from error
    if done.returncode:
        said = done.stderr.strip() or done.returncode
        raise OvsdbError(f"ovsdb-client transact {url}: {said}")
    results = json.loads(done.stdout)
    for result in results:
        if result and "error" in result:
            said = f"{result['error']}: {result.get('details', '')}"
            raise OvsdbError(f"ovsdb-client transact {url}: {said}")
    return results


def _controller(row: Row) -> ControllerRow:
    return ControllerRow(
        uuid=row["_uuid"][1],
        target=row["target"],
        out_of_band=row["connection_mode"] == "out-of-band",
        max_backoff=_number(row["max_backoff"]),
        connected=row["is_connected"],
    )


def _text(value: str | list) -> str:
    """OVSDB writes an unset optional string as an empty set (RFC 7047, 5.1)."""
    return value if isinstance(value, str) else ""


def _number(value: int | list) -> int | None:
    """An optional integer, likewise."""
    return value if isinstance(value, int) else None


def _uuids(value: list) -> list[str]:
    """OVSDB writes a set of one as its only element."""
    return [value[1]] if value[0] == "uuid" else [uuid for _, uuid in value[1]]
