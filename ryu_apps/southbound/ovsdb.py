"""What a local Open vSwitch database says of a bridge, and the settings it must have there.

- fail_mode `secure`: in standalone mode Open vSwitch flushes all flows some seconds after it lost
  its controller.
- max_backoff 1000 ms at most: reconnects stay quick (the default is 8 s).
- connection_mode `out-of-band`: in-band control adds hidden flows of the highest priority, which
  pass every guard by. A controller that is reached through the bridge itself needs them, so this
  is set only where it cannot be: on this host.
- meta0 in the dead VLAN: NORMAL floods nothing into it.

`ovs-vsctl` is run as a child process by eventlet, which does not block other green threads.
"""

import json
from dataclasses import dataclass

from eventlet.green import subprocess

from ryu_apps.openflow.target import on_this_host
from ryu_apps.pipeline.layout import DEAD_VLAN, MAX_BACKOFF

TIMEOUT = 5


class OvsdbError(Exception):
    """`ovs-vsctl` could not do what it was asked; the message has its own words."""


@dataclass(frozen=True, slots=True)
class ControllerRow:
    """A row of OVSDB's Controller table. `max_backoff` in milliseconds, None for the default."""

    uuid: str
    target: str
    out_of_band: bool
    max_backoff: int | None

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


def find_bridge(db: str, dpid: int) -> BridgeRow | None:
    """The bridge of this dpid in the database `db`, None if it has none; raises OvsdbError."""
    for name, datapath_id, fail_mode, controller in _table(
        db, "Bridge", "name,datapath_id,fail_mode,controller"
    ):
        if datapath_id == f"{dpid:016x}":
            own = set(_uuids(controller))
            rows = _table(db, "Controller", "_uuid,target,connection_mode,max_backoff")
            controllers = (
                ControllerRow(uuid, target, mode == "out-of-band", _number(backoff))
                for (_, uuid), target, mode, backoff in rows
                if uuid in own
            )
            return BridgeRow(name, _text(fail_mode), tuple(controllers))
    return None


def secure(db: str, bridge: BridgeRow, meta_port: str) -> list[str]:
    """Set what the bridge must have; raises OvsdbError. A meta port it lacks is no error.

    Returns what could not be set and is for the operator to decide.
    """
    _vsctl(db, "set-fail-mode", bridge.name, "secure")
    _vsctl(db, "--if-exists", "set", "Port", meta_port, "vlan_mode=trunk", f"trunks={DEAD_VLAN}")
    left = []
    for controller in bridge.controllers:
        if controller.max_backoff is None or controller.max_backoff > MAX_BACKOFF:
            _vsctl(db, "set", "Controller", controller.uuid, f"max_backoff={MAX_BACKOFF}")
        if controller.on_this_host:
            _vsctl(db, "set", "Controller", controller.uuid, "connection_mode=out-of-band")
        elif not controller.out_of_band:
            left.append(
                f"bridge {bridge.name} reaches {controller.target} in-band: hidden flows of Open "
                "vSwitch pass our guards by; unless it is reached through this bridge, "
                f"`ovs-vsctl set Controller {controller.uuid} connection_mode=out-of-band`"
            )
    return left


def _table(db: str, table: str, columns: str) -> list[list]:
    """The rows of a table, each a list of the given columns."""
    listing = _vsctl(db, "--format=json", f"--columns={columns}", "list", table)
    return json.loads(listing)["data"]


def _vsctl(db: str, *arguments: str) -> str:
    command = ["ovs-vsctl", f"--db={db}", f"--timeout={TIMEOUT}", "--no-wait", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise OvsdbError(f"cannot run ovs-vsctl: {error}") from error
    if done.returncode:
        raise OvsdbError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _text(value: str | list) -> str:
    """OVSDB writes an unset optional string as an empty set (RFC 7047, 5.1)."""
    return value if isinstance(value, str) else ""


def _number(value: int | list) -> int | None:
    """An optional integer, likewise."""
    return value if isinstance(value, int) else None


def _uuids(value: list) -> list[str]:
    """OVSDB writes a set of one as its only element."""
    return [value[1]] if value[0] == "uuid" else [uuid for _, uuid in value[1]]
