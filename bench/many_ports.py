"""Ten thousand ports on one bridge in seconds, by the database's own protocol.

`ovs-vsctl` takes time with the square of the ports in its command, and a dummy port is one of the
dummy datapath too, which is made anew with each. A patch port is one of the bridge alone; all that
OpenFlow tells and takes of a port is the same.
"""

import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def add_patch_ports(database: Path, bridge: str, ports: Iterable[tuple[str, int]]) -> None:
    """Add a port for each (name, ofport), in one transaction of the database at this socket.

    Raises RuntimeError with what the database says where it refuses. Returns before the switch
    has them.
    """
    operations: list[dict[str, Any]] = []
    added = []
    for number, (name, ofport) in enumerate(ports):
        options = ["map", [["peer", f"{name}-peer"]]]
        interface = {"name": name, "type": "patch", "options": options, "ofport_request": ofport}
        operations += [
            _insert("Interface", f"interface{number}", interface),
            _insert(
                "Port",
                f"port{number}",
                {"name": name, "interfaces": ["named-uuid", f"interface{number}"]},
            ),
        ]
        added.append(["named-uuid", f"port{number}"])
    operations += [
        {
            "op": "mutate",
            "table": "Bridge",
            "where": [["name", "==", bridge]],
            "mutations": [["ports", "insert", ["set", added]]],
        },
        # What tells ovs-vswitchd that there is something to do, as ovs-vsctl does.
        {
            "op": "mutate",
            "table": "Open_vSwitch",
            "where": [],
            "mutations": [["next_cfg", "+=", 1]],
        },
    ]
    _transact(database, operations)


def _insert(table: str, name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def _transact(database: Path, operations: list[dict[str, Any]]) -> None:
    request = {"method": "transact", "params": ["Open_vSwitch", *operations], "id": 0}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(database))
        connection.sendall(json.dumps(request).encode())
        answer = next(one for one in _answers(connection) if one.get("id") == 0)
    faults = [each for each in answer["result"] or [answer] if each and "error" in each]
    if faults:
        raise RuntimeError(f"the database refused the ports: {faults[0]}")


def _answers(connection: socket.socket) -> Iterator[dict[str, Any]]:
    received = ""
    decoder = json.JSONDecoder()
    while data := connection.recv(1 << 20):
        received += data.decode()
        try:
            answer, end = decoder.raw_decode(received)
        except ValueError:
            continue
        received = received[end:]
        yield answer
    raise RuntimeError("the database closed the connection")
