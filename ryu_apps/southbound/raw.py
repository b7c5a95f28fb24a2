"""Multipart replies that Ryu is not to decode: those too long for it, and those it cannot read.

Ryu decodes a message before any application sees it, and a flow takes it 400 us: 80,000 flows
would keep everybody waiting for half a minute. It lets a parser be registered for each version of
OpenFlow (`ofproto_parser.register_msg_parser`). Ours hands everything to Ryu's own but

- the flows and meters we asked for ourselves, known by connection and xid; whatever other
  application shares the process gets its own replies decoded as ever;
- updates of an ONF flow monitor, which Ryu 4.34 has no decoder for;
- descriptions of ports, anybody's, and news of them, which `ports.py` decodes to the same.

The first two become the messages that Ryu has for them, with `body` empty and the bytes in `buf`.
"""

import struct
from typing import Any
from weakref import WeakKeyDictionary

from ryu.ofproto import ofproto_common, ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.southbound.ports import ports, status

# openflow-1.3.h of Open vSwitch: ONFST_FLOW_MONITOR of ONF extension 187, as it has it.
ONFST_FLOW_MONITOR = 1870

_KIND_AND_FLAGS = struct.Struct(ofp.OFP_MULTIPART_REPLY_PACK_STR)
_EXPERIMENTER = struct.Struct(ofp.OFP_EXPERIMENTER_MULTIPART_HEADER_PACK_STR)

_ryu_s_own = parser.msg_parser

# What is answered with so much that Ryu is not to decode it.
_LONG = {
    ofp.OFPMP_FLOW: parser.OFPFlowStatsReply,
    ofp.OFPMP_METER_CONFIG: parser.OFPMeterConfigStatsReply,
}

_expected: WeakKeyDictionary[ProtocolDesc, set[int]] = WeakKeyDictionary()


def expect_bytes(datapath: ProtocolDesc, xid: int) -> None:
    """The flows or meters this connection answers `xid` with come as bytes, until the last part."""
    _expected.setdefault(datapath, set()).add(xid)


@ofproto_parser.register_msg_parser(ofp.OFP_VERSION)
def _parse(
    datapath: ProtocolDesc, version: int, msg_type: int, msg_len: int, xid: int, buf: bytearray
) -> MsgBase:
    if msg_type == ofp.OFPT_MULTIPART_REPLY:
        kind, flags = _KIND_AND_FLAGS.unpack_from(buf, ofp.OFP_HEADER_SIZE)
        if kind in _LONG and xid in _expected.get(datapath, ()):
            if not flags & ofp.OFPMPF_REPLY_MORE:
                _expected[datapath].discard(xid)
            return _raw(_LONG[kind], datapath, msg_len, xid, flags, buf)
        if kind == ofp.OFPMP_PORT_DESC:
            message = _raw(parser.OFPPortDescStatsReply, datapath, msg_len, xid, flags, buf)
            message.type, message.body = kind, ports(message.buf)
            return message
        if kind == ofp.OFPMP_EXPERIMENTER and is_flow_monitor(buf):
            return _raw(parser.OFPExperimenterStatsReply, datapath, msg_len, xid, flags, buf)
    if msg_type == ofp.OFPT_PORT_STATUS:
        news = parser.OFPPortStatus(datapath)
        news.set_headers(version, msg_type, msg_len, xid)
        news.set_buf(buf[:msg_len])
        news.reason, news.desc = status(news.buf)
        return news
    return _ryu_s_own(datapath, version, msg_type, msg_len, xid, buf)


def is_flow_monitor(buf: bytes) -> bool:
    """Whether a multipart reply of an experimenter is an update of a flow monitor."""
    if len(buf) < ofp.OFP_MULTIPART_REPLY_SIZE + _EXPERIMENTER.size:
        return False
    experimenter, kind = _EXPERIMENTER.unpack_from(buf, ofp.OFP_MULTIPART_REPLY_SIZE)
    return (experimenter, kind) == (ofproto_common.ONF_EXPERIMENTER_ID, ONFST_FLOW_MONITOR)


def _raw(
    kind: Any, datapath: ProtocolDesc, msg_len: int, xid: int, flags: int, buf: bytearray
) -> MsgBase:
    message = kind(datapath, flags=flags, body=[])
    message.set_headers(ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, msg_len, xid)
    message.set_buf(buf[:msg_len])
    return message
