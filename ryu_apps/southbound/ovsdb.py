"""What a local Open vSwitch database says of a bridge, and the settings it must have there.

fail_mode `secure`: in standalone mode Open vSwitch flushes all flows some seconds after it lost its
controller. max_backoff 1000 ms: reconnects stay quick (the default is 8 s). meta0 in the dead VLAN:
NORMAL floods nothing into it. `ovs-vsctl` is run as a child process by eventlet, which does not
block other green threads.
"""

import json
from dataclasses import dataclass

from eventlet.green import subprocess

from ryu_apps.pipeline.layout import DEAD_VLAN

TIMEOUT = 5
MAX_BACKOFF = 1000


class OvsdbError(Exception):
    """`ovs-vsctl` could not do what it was asked; the message has its own words."""


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """A row of OVSDB's Bridge table. `controllers` are the UUIDs of its controller records."""

    name: str
    fail_mode: str
    controllers: tuple[str, ...]


def find_bridge(db: str, dpid: int) -> BridgeRow | None:
    """The bridge of this dpid in the database `db`, None if it has none; raises OvsdbError."""
    listing = _vsctl(
        db, "--format=json", "--columns=name,datapath_id,fail_mode,controller", "list", "Bridge"
    )
    for name, datapath_id, fail_mode, controller in json.loads(listing)["data"]:
        if datapath_id == f"{dpid:016x}":
            return BridgeRow(name, _text(fail_mode), tuple(_uuids(controller)))
    return None


def secure(db: str, bridge: BridgeRow, meta_port: str) -> None:
    """Set what the bridge must have; raises OvsdbError. A meta port it lacks is no error."""
    _vsctl(db, "set-fail-mode", bridge.name, "secure")
    _vsctl(db, "--if-exists", "set", "Port", meta_port, "vlan_mode=trunk", f"trunks={DEAD_VLAN}")
    for uuid in bridge.controllers:
        _vsctl(db, "set", "Controller", uuid, f"max_backoff={MAX_BACKOFF}")


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


def _uuids(value: list) -> list[str]:
    """OVSDB writes a set of one as its only element."""
    return [value[1]] if value[0] == "uuid" else [uuid for _, uuid in value[1]]
