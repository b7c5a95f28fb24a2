"""Switches as far as a controller can tell: OpenFlow 1.3 with bundles and meters, and no packets.

A thousand in one process. What they are sent they keep: flow-mods of a bundle when it is committed,
meters at once; and they tell it when asked, so that a controller that comes anew finds what
another left. What is out of order (a flow-mod outside a bundle that is open, a commit of none, a
message they do not know) is refused as a switch does, and counted.

`python -m bench.stub_switch PORT SWITCHES DROPLETS` keeps connecting to 127.0.0.1:PORT, each switch
from an address of its own, until its standard input ends. Each line there is answered by one:
JSON with how many are connected, how many flows all have together, and what was out of order.
"""

import asyncio
import json
import struct
import sys
from collections import Counter
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_common import NX_EXPERIMENTER_ID, ONF_EXPERIMENTER_ID

META_OFPORT = 60000
METERS = 1 << 18
_RETRY = 0.2

_HEADER = struct.Struct("!BBHI")
_KIND_AND_FLAGS = struct.Struct("!HH4x")
_FLOW_MOD = struct.Struct("!8xQQBBHHHIIIH2x")
_FLOW_STATS = struct.Struct("!HBxIIHHHH4xQQQ")
_FLOWS_ASKED = struct.Struct("!B3xII4xQQ")
_BUNDLE_AT = ofp.OFP_EXPERIMENTER_HEADER_SIZE
_REPLY_MOST = 60000


def port_name(dpid: int, ofport: int) -> str:
    """The name of a droplet's port: no two switches have one in common."""
    return f"t{dpid}-{ofport}"


class Entry(NamedTuple):
    """A flow entry: its cookie, and it all as ofp_flow_stats."""

    cookie: int
    stats: bytes


class StubSwitch:
    """One switch: its connection comes and goes, its tables stay."""

    def __init__(self, dpid: int, droplets: int, faults: Counter[str]) -> None:
        self.dpid = dpid
        self.connected = False
        self.flows: dict[tuple[int, int, bytes], Entry] = {}
        self._faults = faults
        self._meters: dict[int, bytes] = {}
        self._bundles: dict[int, list[bytes]] = {}
        ports = [(n, port_name(dpid, n)) for n in range(1, droplets + 1)]
        self._ports = [port_description(*port) for port in (*ports, (META_OFPORT, "meta0"))]

    async def run(self, port: int, retry: float = _RETRY) -> None:
        """Connect, answer, and connect anew, after so many seconds where nobody listens."""
        source = f"127.{1 + (self.dpid >> 16)}.{self.dpid >> 8 & 255}.{self.dpid & 255}"
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=(source, 0)
                )
            except OSError:
                await asyncio.sleep(retry)
                continue
            self._bundles.clear()
            self.connected = True
            try:
                writer.write(message(ofp.OFPT_HELLO, 0))
                await self._answer(reader, writer)
            except OSError:
                pass
            finally:
                self.connected = False
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = b""
        while some := await reader.read(1 << 18):
            held += some
            position = 0
            while len(held) - position >= _HEADER.size:
                _, kind, length, xid = _HEADER.unpack_from(held, position)
                if len(held) - position < length:
                    break
                writer.write(self.reply(kind, xid, held[position : position + length]))
                position += length
            held = held[position:]
            await writer.drain()

    def reply(self, kind: int, xid: int, data: bytes) -> bytes:
        match kind:
            case ofp.OFPT_HELLO | ofp.OFPT_ECHO_REPLY:
                return b""
            case ofp.OFPT_ECHO_REQUEST:
                return message(ofp.OFPT_ECHO_REPLY, xid, data[_HEADER.size :])
            case ofp.OFPT_FEATURES_REQUEST:
                body = struct.pack("!QIBB2xII", self.dpid, 0, 254, 0, 0x4F, 0)
                return message(ofp.OFPT_FEATURES_REPLY, xid, body)
            case ofp.OFPT_BARRIER_REQUEST:
                return message(ofp.OFPT_BARRIER_REPLY, xid)
            case ofp.OFPT_MULTIPART_REQUEST:
                return self._told(xid, data)
            case ofp.OFPT_METER_MOD:
                return self._meter(xid, data)
            case ofp.OFPT_EXPERIMENTER:
                return self._experimenter(xid, data)
        return self._refused(f"message of type {kind}", xid, data)

    def _refused(self, what: str, xid: int, data: bytes) -> bytes:
        self._faults[what] += 1
        body = struct.pack("!HH", ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_TYPE) + data[:64]
        return message(ofp.OFPT_ERROR, xid, body)

    # -- what is asked ---------------------------------------------------------------------------

    def _told(self, xid: int, data: bytes) -> bytes:
        kind, _ = _KIND_AND_FLAGS.unpack_from(data, _HEADER.size)
        body = data[ofp.OFP_MULTIPART_REQUEST_SIZE :]
        match kind:
            case ofp.OFPMP_DESC:
                texts = (b"", b"", b"stub", b"", b"")
                return _multipart(xid, kind, [struct.pack(ofp.OFP_DESC_PACK_STR, *texts)])
            case ofp.OFPMP_PORT_DESC:
                return _multipart(xid, kind, self._ports)
            case ofp.OFPMP_FLOW:
                return _multipart(xid, kind, [entry.stats for entry in self._asked(body)])
            case ofp.OFPMP_AGGREGATE:
                counts = struct.pack("!QQI4x", 0, 0, len(self._asked(body)))
                return _multipart(xid, kind, [counts])
            case ofp.OFPMP_METER_FEATURES:
                drop = 1 << ofp.OFPMBT_DROP
                capabilities = ofp.OFPMF_PKTPS | ofp.OFPMF_BURST | ofp.OFPMF_STATS
                features = struct.pack("!IIIBB2x", METERS, drop, capabilities, 1, 0)
                return _multipart(xid, kind, [features])
            case ofp.OFPMP_METER_CONFIG:
                return _multipart(xid, kind, list(self._meters.values()))
            case ofp.OFPMP_EXPERIMENTER:  # The flow monitor: nobody else changes anything here.
                return b""
        return self._refused(f"multipart {kind}", xid, data)

    def _asked(self, body: bytes) -> list[Entry]:
        table, _, _, cookie, mask = _FLOWS_ASKED.unpack_from(body)
        return [
            entry
            for (its_table, _, _), entry in self.flows.items()
            if (entry.cookie ^ cookie) & mask == 0 and table in (its_table, ofp.OFPTT_ALL)
        ]

    # -- what is changed -------------------------------------------------------------------------

    def _meter(self, xid: int, data: bytes) -> bytes:
        command, flags, meter_id = struct.unpack_from("!HHI", data, _HEADER.size)
        bands = data[ofp.OFP_METER_MOD_SIZE :]
        config = struct.pack("!HHI", 8 + len(bands), flags, meter_id) + bands
        if command == ofp.OFPMC_DELETE:
            self._meters.pop(meter_id, None)
        elif command == ofp.OFPMC_ADD and meter_id in self._meters:
            body = struct.pack("!HH", ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_METER_EXISTS)
            return message(ofp.OFPT_ERROR, xid, body + data[:64])
        else:
            self._meters[meter_id] = config
        return b""

    def _experimenter(self, xid: int, data: bytes) -> bytes:
        who, kind = struct.unpack_from("!II", data, _HEADER.size)
        if who == NX_EXPERIMENTER_ID:  # A ct zone is flushed: there are no packets.
            return b""
        if who != ONF_EXPERIMENTER_ID:
            return self._refused(f"experimenter {who:#x}", xid, data)
        (bundle,) = struct.unpack_from("!I", data, _BUNDLE_AT)
        if kind == ofp.ONF_ET_BUNDLE_ADD_MESSAGE:
            if bundle not in self._bundles:
                return self._refused("message for a bundle that is not open", xid, data)
            self._bundles[bundle].append(data[_BUNDLE_AT + ofp.ONF_BUNDLE_ADD_MSG_SIZE :])
            return b""
        return self._control(xid, data, bundle)

    def _control(self, xid: int, data: bytes, bundle: int) -> bytes:
        (control,) = struct.unpack_from("!H", data, _BUNDLE_AT + 4)
        if control == ofp.ONF_BCT_OPEN_REQUEST:
            self._bundles[bundle] = []
        elif bundle not in self._bundles:
            return self._refused("end of a bundle that is not open", xid, data)
        elif control == ofp.ONF_BCT_COMMIT_REQUEST:
            for flow_mod in self._bundles.pop(bundle):
                self._change(flow_mod)
        else:
            del self._bundles[bundle]
        head = data[_HEADER.size : _BUNDLE_AT]
        body = struct.pack("!IHH", bundle, control + 1, 0)
        return message(ofp.OFPT_EXPERIMENTER, xid, head + body)

    def _change(self, data: bytes) -> None:
        (cookie, mask, table, command, _, _, priority, _, _, _, flags) = _FLOW_MOD.unpack_from(data)
        (length,) = struct.unpack_from("!H", data, _FLOW_MOD.size + 2)
        match = data[_FLOW_MOD.size + 4 : _FLOW_MOD.size + length]
        if command == ofp.OFPFC_ADD:
            rest = data[_FLOW_MOD.size :]
            size = _FLOW_STATS.size + len(rest)
            head = _FLOW_STATS.pack(size, table, 0, 0, priority, 0, 0, flags, cookie, 0, 0)
            self.flows[table, priority, match] = Entry(cookie, head + rest)
        elif command == ofp.OFPFC_DELETE_STRICT:
            self.flows.pop((table, priority, match), None)
        else:
            for key in [k for k, e in self.flows.items() if (e.cookie ^ cookie) & mask == 0]:
                del self.flows[key]


def port_description(ofport: int, name: str) -> bytes:
    """struct ofp_port."""
    mac = bytes.fromhex("feaa") + ofport.to_bytes(4, "big")
    return struct.pack(ofp.OFP_PORT_PACK_STR, ofport, mac, name.encode(), *[0] * 8)


def message(kind: int, xid: int, body: bytes = b"") -> bytes:
    """A message of OpenFlow 1.3."""
    return _HEADER.pack(ofp.OFP_VERSION, kind, _HEADER.size + len(body), xid) + body


def _multipart(xid: int, kind: int, entries: list[bytes]) -> bytes:
    """As many replies as it takes."""
    parts, part = [], b""
    for entry in entries:
        if len(part) + len(entry) > _REPLY_MOST:
            parts.append(part)
            part = b""
        part += entry
    flagged = [(part, ofp.OFPMPF_REPLY_MORE) for part in parts] + [(part, 0)]
    return b"".join(
        message(ofp.OFPT_MULTIPART_REPLY, xid, _KIND_AND_FLAGS.pack(kind, flags) + body)
        for body, flags in flagged
    )


async def main(port: int, count: int, droplets: int) -> None:
    """Switches of the dpids from 1 on, until standard input ends."""
    faults: Counter[str] = Counter()
    switches = [StubSwitch(dpid, droplets, faults) for dpid in range(1, count + 1)]
    running = [asyncio.create_task(switch.run(port)) for switch in switches]
    while await asyncio.to_thread(sys.stdin.readline):
        told = {
            "connected": sum(switch.connected for switch in switches),
            "flows": sum(len(switch.flows) for switch in switches),
            "faults": dict(faults),
        }
        print(json.dumps(told), flush=True)
    for task in running:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
