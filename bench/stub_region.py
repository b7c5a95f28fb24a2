"""Stub switches that several controllers are connected to, with OpenFlow's roles between them.

As `bench.stub_switch`, but every switch connects to all the controllers it is told of, its tables
are the same on all of its connections, and it refuses the writes of a controller that it has taken
for its slave (OpenFlow 1.3, 6.3.5). Those are told as late: what was on its way when another took
over.

`python -m bench.stub_region SWITCHES DROPLETS PORT...` runs until its standard input ends. Each
line there is answered by one: JSON with how many connections there are, how many flows all switches
have together, what was out of order, how many writes were late, when each switch last changed, and
when those that have had all their flows had them first (seconds of the monotonic clock).
"""

import asyncio
import json
import struct
import sys
import time
from collections import Counter

from ryu.ofproto import ofproto_v1_3 as ofp

from bench.fleet import FLOWS_OF_A_DROPLET, SHARED_FLOWS
from bench.stub_switch import StubSwitch, message

_RETRY = 1.0
"""Seconds: Open vSwitch's first back-off."""

_ROLE = struct.Struct("!I4xQ")
_HEADER_SIZE = ofp.OFP_HEADER_SIZE
_WRITES = (ofp.OFPT_METER_MOD, ofp.OFPT_FLOW_MOD, ofp.OFPT_EXPERIMENTER)
_SIGN = 1 << 63


class Side(StubSwitch):
    """A connection of a switch to one of its controllers, with the tables of `first`."""

    def __init__(
        self, dpid: int, droplets: int, faults: Counter[str], first: "Side | None" = None
    ) -> None:
        super().__init__(dpid, droplets, faults)
        self.role = ofp.OFPCR_ROLE_EQUAL
        self.changed_at = self.whole_at = 0.0
        self._whole = SHARED_FLOWS + FLOWS_OF_A_DROPLET * droplets
        self.late = 0
        self.generation: int | None = None
        self._first = first or self
        self.sides = [self]
        if first is not None:
            self.flows, self._meters = first.flows, first._meters
            first.sides.append(self)

    def reply(self, kind: int, xid: int, data: bytes) -> bytes:
        if kind == ofp.OFPT_HELLO:
            self.role = ofp.OFPCR_ROLE_EQUAL  # What a connection begins with.
        if kind == ofp.OFPT_ROLE_REQUEST:
            return self._role(xid, data)
        if kind in _WRITES and self.role == ofp.OFPCR_ROLE_SLAVE:
            self.late += 1
            return _error(xid, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_IS_SLAVE, data)
        return super().reply(kind, xid, data)

    def _role(self, xid: int, data: bytes) -> bytes:
        role, generation = _ROLE.unpack_from(data, _HEADER_SIZE)
        first = self._first
        if role in (ofp.OFPCR_ROLE_MASTER, ofp.OFPCR_ROLE_SLAVE):
            if first.generation is not None and (generation - first.generation) & _SIGN:
                return _error(xid, ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_STALE, data)
            first.generation = generation
        if role == ofp.OFPCR_ROLE_MASTER:
            for side in first.sides:
                if side.role == ofp.OFPCR_ROLE_MASTER:
                    side.role = ofp.OFPCR_ROLE_SLAVE
        if role != ofp.OFPCR_ROLE_NOCHANGE:
            self.role = role
        body = _ROLE.pack(self.role, first.generation or 0)
        return message(ofp.OFPT_ROLE_REPLY, xid, body)

    def _change(self, data: bytes) -> None:
        super()._change(data)
        first = self._first
        first.changed_at = time.monotonic()
        if len(self.flows) == self._whole and not first.whole_at:
            first.whole_at = first.changed_at


def _error(xid: int, kind: int, code: int, data: bytes) -> bytes:
    return message(ofp.OFPT_ERROR, xid, struct.pack("!HH", kind, code) + data[:64])


def switch(dpid: int, droplets: int, faults: Counter[str], controllers: int) -> list[Side]:
    """One switch: a side for each of its controllers."""
    first = Side(dpid, droplets, faults)
    return [first, *(Side(dpid, droplets, faults, first) for _ in range(controllers - 1))]


async def main(count: int, droplets: int, *ports: int) -> None:
    """Switches of the dpids from 1 on, until standard input ends."""
    faults: Counter[str] = Counter()
    switches = [switch(dpid, droplets, faults, len(ports)) for dpid in range(1, count + 1)]
    running = [
        asyncio.create_task(side.run(port, _RETRY))
        for sides in switches
        for side, port in zip(sides, ports, strict=True)
    ]
    while await asyncio.to_thread(sys.stdin.readline):
        told = {
            "connected": sum(side.connected for sides in switches for side in sides),
            "flows": sum(len(sides[0].flows) for sides in switches),
            "faults": dict(faults),
            "late": sum(side.late for sides in switches for side in sides),
            "changed": {sides[0].dpid: sides[0].changed_at for sides in switches},
            "whole": [sides[0].whole_at for sides in switches if sides[0].whole_at],
        }
        print(json.dumps(told), flush=True)
    for task in running:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
