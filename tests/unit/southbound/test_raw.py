"""Ryu decodes what it always did, but for our own read-back and the flow monitor's updates."""

import struct

from ryu.ofproto import ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_common import ONF_EXPERIMENTER_ID
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_protocol import ProtocolDesc
from ryu.ofproto.ofproto_v1_3_parser import OFPExperimenterStatsReply, OFPFlowStatsReply

from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.southbound.encode import add_flow, image
from ryu_apps.southbound.raw import ONFST_FLOW_MONITOR, expect_bytes, is_flow_monitor
from ryu_apps.southbound.readback import FlowEvent, flow_changes, flow_images, match_text
from tests.droplets import META, STANDALONE, TALK
from tests.unit.southbound.test_readback import MATCH_AT, entry

FLOWS = droplet_flows(STANDALONE, META, TALK)


def decoded(
    datapath: ProtocolDesc, kind: int, body: bytes, *, xid: int = 7, flags: int = 0
) -> MsgBase:
    """A multipart reply as Ryu hands it on."""
    data = struct.pack("!HH4x", kind, flags) + body
    length = ofp.OFP_HEADER_SIZE + len(data)
    head = struct.pack("!BBHI", ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, length, xid)
    # Ryu's buffer may hold the beginning of the next message as well.
    buffer = bytearray(head + data + b"next")
    return ofproto_parser.msg(datapath, *ofproto_parser.header(buffer), buffer)


def test_our_own_flows_come_as_bytes_until_the_last_part():
    datapath, body = ProtocolDesc(ofp.OFP_VERSION), b"".join(map(entry, FLOWS))
    expect_bytes(datapath, 7)
    for flags in (ofp.OFPMPF_REPLY_MORE, 0):
        message = decoded(datapath, ofp.OFPMP_FLOW, body, flags=flags)
        assert isinstance(message, OFPFlowStatsReply)
        assert (message.xid, message.flags, message.body) == (7, flags, [])
        assert flow_images(message.buf) == [(flow.cookie, image(flow)) for flow in FLOWS]
    assert len(decoded(datapath, ofp.OFPMP_FLOW, body).body) == len(FLOWS)


def test_those_of_others_in_the_process_come_as_ever():
    datapath, body = ProtocolDesc(ofp.OFP_VERSION), b"".join(map(entry, FLOWS))
    expect_bytes(datapath, 7)
    assert len(decoded(datapath, ofp.OFPMP_FLOW, body, xid=8).body) == len(FLOWS)
    other = ProtocolDesc(ofp.OFP_VERSION)
    assert len(decoded(other, ofp.OFPMP_FLOW, body).body) == len(FLOWS)


def update(event: FlowEvent, n: int) -> bytes:
    """struct onf_flow_update_full of one of the flows, without instructions."""
    message = add_flow(ProtocolDesc(ofp.OFP_VERSION), FLOWS[n])
    message.set_xid(1)
    message.serialize()
    (length,) = struct.unpack_from("!H", message.buf, MATCH_AT + 2)
    match = bytes(message.buf[MATCH_AT : MATCH_AT + (length + 7) // 8 * 8])
    head = struct.Struct("!HHHHHHHBxQ")
    flow = FLOWS[n]
    fields = (head.size + len(match), event, 0, flow.priority, 0, 0, length, flow.table)
    return head.pack(*fields, flow.cookie) + match


def test_a_flow_monitor_tells_of_changes():
    abbreviated = struct.pack("!HHI", 8, FlowEvent.ABBREVIATED, 99)
    body = struct.pack("!II", ONF_EXPERIMENTER_ID, ONFST_FLOW_MONITOR)
    body += update(FlowEvent.DELETED, 0) + abbreviated + update(FlowEvent.MODIFIED, 4)
    message = decoded(ProtocolDesc(ofp.OFP_VERSION), ofp.OFPMP_EXPERIMENTER, body, xid=0)
    assert isinstance(message, OFPExperimenterStatsReply)
    assert is_flow_monitor(message.buf)
    told = [(event, cookie, seen.key) for event, cookie, seen in flow_changes(message.buf)]
    assert told == [
        (event, FLOWS[n].cookie, image(FLOWS[n]).key)
        for event, n in ((FlowEvent.DELETED, 0), (FlowEvent.MODIFIED, 4))
    ]


def test_a_match_is_said_in_words():
    assert "in_port=602" in match_text(image(FLOWS[2]).match)
    assert match_text(b"") == "any packet"
