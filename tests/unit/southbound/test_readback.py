"""What a switch tells, as values. Replies are written byte by byte, as a switch may write them."""

import struct

import pytest
from ryu.ofproto import ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_protocol import ProtocolDesc
from ryu.ofproto.ofproto_v1_3_parser import OFPPort

from ryu_apps.binding.port import SwitchPort
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.southbound.encode import add_flow, image
from ryu_apps.southbound.readback import flow_images, refusal_reason, switch_port
from tests.droplets import META, STANDALONE, TALK

OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)
MATCH_AT = ofp.OFP_FLOW_MOD_SIZE - ofp.OFP_MATCH_SIZE


def entry(flow: Flow, *, reverse: bool = False) -> bytes:
    """One flow in a reply: the head of ofp_flow_stats, then match and instructions as sent.

    With `reverse` the OXM fields come in the opposite order, which means the same.
    """
    message = add_flow(OPENFLOW_13, flow)
    message.set_xid(1)
    message.serialize()
    body = bytes(message.buf[MATCH_AT:])
    if reverse:
        body = reversed_fields(body)
    head = struct.Struct("!HBxIIHHHH4xQQQ")
    length = head.size + len(body)
    return head.pack(length, flow.table, 9, 8, flow.priority, 0, 0, 0, flow.cookie, 3, 4) + body


def reversed_fields(body: bytes) -> bytes:
    """The same match with its fields in the opposite order."""
    (length,) = struct.unpack_from("!H", body, 2)
    fields, position = [], 4
    while position < length:
        following = position + 4 + body[position + 3]
        fields.append(body[position:following])
        position = following
    return body[:4] + b"".join(reversed(fields)) + body[length:]


def reply(*entries: bytes) -> MsgBase:
    """A multipart reply with these flows, decoded as Ryu does on a connection."""
    body = b"".join(entries)
    length = ofp.OFP_MULTIPART_REPLY_SIZE + len(body)
    header = struct.pack("!BBHI", 4, ofp.OFPT_MULTIPART_REPLY, length, 1)
    data = header + struct.pack("!HH4x", ofp.OFPMP_FLOW, 0) + body
    return ofproto_parser.msg(OPENFLOW_13, 4, ofp.OFPT_MULTIPART_REPLY, length, 1, data)


def test_flows_are_told_by_cookie_and_image():
    flows = droplet_flows(STANDALONE, META, TALK)
    assert flow_images(reply(*map(entry, flows)).buf) == [(f.cookie, image(f)) for f in flows]


def test_the_order_of_a_match_s_fields_means_nothing():
    flows = droplet_flows(STANDALONE, META, TALK)
    told = flow_images(reply(*(entry(flow, reverse=True) for flow in flows)).buf)
    assert told == [(flow.cookie, image(flow)) for flow in flows]


def test_a_reply_without_flows_has_none():
    assert flow_images(reply().buf) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"tapext7889371\0\0\0", "tapext7889371"),
        (b"\xff\xfetap\0", "\\xff\\xfetap"),
    ],
)
def test_a_port_description(name: bytes, expected: str):
    port = OFPPort(602, "A6:A4:8E:4A:E8:70", name, 0, 0, 0, 0, 0, 0, 0, 0)
    assert switch_port(port) == SwitchPort(602, expected, "a6:a4:8e:4a:e8:70")


def error(kind: int, code: int, data: bytes = b"") -> MsgBase:
    """An OFPErrorMsg as Ryu decodes it."""
    body = struct.pack("!HH", kind, code) + data
    header = struct.pack("!BBHI", 4, ofp.OFPT_ERROR, 8 + len(body), 1)
    return ofproto_parser.msg(OPENFLOW_13, 4, ofp.OFPT_ERROR, 8 + len(body), 1, header + body)


def test_a_refusal_is_named_as_openflow_names_it():
    refused = error(ofp.OFPET_FLOW_MOD_FAILED, ofp.OFPFMFC_TABLE_FULL, b"\0" * 64)
    assert refusal_reason(refused) == "OFPET_FLOW_MOD_FAILED(5)/OFPFMFC_TABLE_FULL(1)"


def test_an_experimenter_s_refusal_has_numbers_only():
    refused = error(ofp.OFPET_EXPERIMENTER, 2313, struct.pack("!I", 0x4F4E4600))
    assert refusal_reason(refused) == "experimenter error 0x4f4e4600/2313"
