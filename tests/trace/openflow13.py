"""A bare OpenFlow 1.3 connection over a bridge's management socket, with Ryu's codec."""

import socket
import struct
from pathlib import Path

from ryu.ofproto import ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.binding.transaction import Transaction
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.layout import CookieMark
from ryu_apps.southbound import encode
from ryu_apps.southbound.readback import flow_images, refusal_reason

_HEADER = struct.Struct(ofp.OFP_HEADER_PACK_STR)
_ATOMIC_ORDERED = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED


class OpenFlow13:
    """One connection; a context manager."""

    def __init__(self, path: Path) -> None:
        self.datapath = ProtocolDesc(ofp.OFP_VERSION)
        self._xid = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._send(parser.OFPHello(self.datapath))
        assert self._receive().msg_type == ofp.OFPT_HELLO

    def __enter__(self) -> "OpenFlow13":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, *messages: MsgBase) -> list[MsgBase]:
        """Send messages and a barrier; return all that comes before the barrier's answer."""
        for message in messages:
            self._send(message)
        self._send(parser.OFPBarrierRequest(self.datapath))
        answers = []
        while (answer := self._receive()).msg_type != ofp.OFPT_BARRIER_REPLY:
            answers.append(answer)
        return answers

    def carry_out(self, transaction: Transaction) -> list[MsgBase]:
        """Delete, add and flush in order; returns what the switch objects, with nothing done then.

        A flow-mod refused as it is added to the bundle is only left out of it, so the bundle is
        not committed before the switch has taken them all.
        """
        objections = self.errors(self.control(ofp.ONF_BCT_OPEN_REQUEST), *self.adds(transaction))
        if objections:
            self.errors(self.control(ofp.ONF_BCT_DISCARD_REQUEST))
            return objections
        objections = self.errors(self.control(ofp.ONF_BCT_COMMIT_REQUEST))
        if not objections:
            flushes = (encode.flush_zone(self.datapath, zone) for zone in transaction.flush_zones)
            objections = self.errors(*flushes)
        return objections

    def adds(self, transaction: Transaction) -> list[MsgBase]:
        """The transaction's flow-mods, each wrapped to be added to the bundle."""
        flow_mods = [
            *(self._delete(cookie) for cookie in transaction.delete_cookies),
            *(encode.add_flow(self.datapath, flow) for flow in transaction.add),
        ]
        return [
            parser.ONFBundleAddMsg(self.datapath, 1, _ATOMIC_ORDERED, flow_mod, [])
            for flow_mod in flow_mods
        ]

    def control(self, kind: int) -> MsgBase:
        """Open, commit or discard the bundle."""
        return parser.ONFBundleCtrlMsg(self.datapath, 1, kind, _ATOMIC_ORDERED, [])

    def errors(self, *messages: MsgBase) -> list[MsgBase]:
        """Send messages and a barrier; return the errors that come before the barrier's answer."""
        answers = self.ask(*messages)
        return [answer for answer in answers if answer.msg_type == ofp.OFPT_ERROR]

    def images(self, cookie: int = 0, mask: int = 0) -> list[tuple[int, encode.Image]]:
        """The (cookie, image) of every flow whose cookie is `cookie` under `mask`."""
        answers = self.ask(encode.flows_request(self.datapath, cookie, mask))
        return [image for answer in answers for image in flow_images(answer.buf)]

    def add(self, *flows: Flow) -> None:
        """Add flows; the switch must not object."""
        objections = self.carry_out(Transaction(add=flows))
        assert not objections, [refusal_reason(objection) for objection in objections]

    def _delete(self, cookie: int) -> MsgBase:
        return encode.delete_flows(self.datapath, cookie, CookieMark.EXACT)

    def _send(self, message: MsgBase) -> None:
        self._xid += 1
        message.set_xid(self._xid)
        message.serialize()
        self._socket.sendall(message.buf)

    def _receive(self) -> MsgBase:
        header = self._read(_HEADER.size)
        version, kind, length, xid = _HEADER.unpack(header)
        buffer = header + self._read(length - _HEADER.size)
        return ofproto_parser.msg(self.datapath, version, kind, length, xid, buffer)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            assert part, "the switch closed the connection"
            data += part
        return data
