"""The fast list of ports beside Ryu's own: the same, whatever a switch says."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from ryu.ofproto import ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

import ryu_apps.southbound.raw  # noqa: F401 - what is tested here is what it registers
from tests.property.effort import effort

u32 = st.integers(0, 2**32 - 1)
names = st.binary(max_size=16) | st.sampled_from((b"tap0", b"a\0b", b"\0x", "tap-é".encode()))
described = st.tuples(u32, st.binary(min_size=6, max_size=6), names, *[u32 for _ in range(8)]).map(
    lambda fields: struct.pack(ofp.OFP_PORT_PACK_STR, *fields)
)


@given(bodies=st.lists(described, max_size=5), xid=u32, more=st.booleans(), rest=st.binary())
@effort(60)
def test_ports_are_those_of_ryu(bodies: list[bytes], xid: int, more: bool, rest: bytes):
    """`rest` is the beginning of the next message, which Ryu's buffer may hold as well."""
    datapath = ProtocolDesc(ofp.OFP_VERSION)
    data = struct.pack("!HH4x", ofp.OFPMP_PORT_DESC, more) + b"".join(bodies)
    header = (ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, ofp.OFP_HEADER_SIZE + len(data), xid)
    message = struct.pack("!BBHI", *header) + data
    ours = ofproto_parser.msg(datapath, *header, bytearray(message + rest))
    plain = parser.msg_parser(datapath, *header, bytearray(message))
    assert type(ours) is type(plain)
    assert [vars(port) for port in ours.body] == [vars(port) for port in plain.body]
    assert ours.body == plain.body
    assert {**vars(ours), "body": 0} == {**vars(plain), "body": 0}


@given(body=described, reason=st.integers(0, 255), xid=u32, rest=st.binary())
@effort(40)
def test_news_of_a_port_are_those_of_ryu(body: bytes, reason: int, xid: int, rest: bytes):
    datapath = ProtocolDesc(ofp.OFP_VERSION)
    data = struct.pack("!B7x", reason) + body
    header = (ofp.OFP_VERSION, ofp.OFPT_PORT_STATUS, ofp.OFP_HEADER_SIZE + len(data), xid)
    message = struct.pack("!BBHI", *header) + data
    ours = ofproto_parser.msg(datapath, *header, bytearray(message + rest))
    plain = parser.msg_parser(datapath, *header, bytearray(message))
    assert type(ours) is type(plain)
    assert vars(ours.desc) == vars(plain.desc)
    assert vars(ours) == vars(plain)


@given(bodies=st.lists(described, min_size=1, max_size=2), cut=st.integers(1, 63))
@effort(20)
def test_a_port_that_is_cut_off_is_no_port(bodies: list[bytes], cut: int):
    """As with Ryu's parser: the message is logged as malformed, and is none."""
    data = struct.pack("!HH4x", ofp.OFPMP_PORT_DESC, 0) + b"".join(bodies)[:-cut]
    header = (ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, ofp.OFP_HEADER_SIZE + len(data), 1)
    message = bytearray(struct.pack("!BBHI", *header) + data)
    assert ofproto_parser.msg(ProtocolDesc(ofp.OFP_VERSION), *header, message) is None
