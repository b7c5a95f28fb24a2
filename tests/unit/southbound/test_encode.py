"""Messages by their bytes, where Open vSwitch is particular about them, against nicira-ext.h."""

import struct

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import Match
from ryu_apps.openflow.text import parse_actions
from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.pipeline.layout import CookieMark
from ryu_apps.southbound.encode import add_flow, delete_flows, flows_request, flush_zone, image
from tests.droplets import META, STANDALONE, TALK

OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)


def encoded(message: MsgBase) -> bytes:
    """The message on the wire."""
    message.set_xid(7)
    message.serialize()
    return bytes(message.buf)


def actions_on_the_wire(text: str) -> bytes:
    """The bytes of actions, given as text, behind the head of their instruction."""
    flow = Flow(0, 1, Match(protocol="tcp"), parse_actions(text))
    return image(flow).instructions[8:]


def test_flushing_a_zone_is_nxt_ct_flush_zone():
    # struct nicira_header, then six zero octets and the zone.
    expected = struct.pack("!BBHIII6xH", 4, 4, 24, 7, 0x00002320, 29, 602)
    assert encoded(flush_zone(OPENFLOW_13, 602)) == expected


def test_nat_names_both_ends_of_its_range():
    """struct nx_action_nat: vendor 0x2320, subtype 36, NX_NAT_F_SRC, IPv4 minimum and maximum."""
    (ct,) = [actions_on_the_wire("ct(commit,zone=602,nat(src=100.127.2.90))")]
    nat = struct.pack("!HHIH2xHH4s4s", 0xFFFF, 24, 0x2320, 36, 1, 0b11, *[b"\x64\x7f\x02\x5a"] * 2)
    assert nat in ct


def test_ct_s_length_takes_in_what_is_inside():
    """struct nx_action_conntrack: subtype 35, flags, no zone field, zone, recirculation table."""
    text = (
        "ct(commit,table=25,zone=602,nat(src=100.127.2.90),exec(load:0x7861db->NXM_NX_CT_MARK[]))"
    )
    ct = actions_on_the_wire(text)
    head = struct.pack("!HHIHHIHB3xH", 0xFFFF, len(ct), 0x2320, 35, 1, 0, 602, 25, 0)
    assert ct.startswith(head)
    assert len(ct) == 24 + 24 + 24


def test_ct_without_a_table_does_not_recirculate():
    assert actions_on_the_wire("ct(zone=1)")[18] == 0xFF
    assert actions_on_the_wire("ct(table=0,zone=1)")[18] == 0


@pytest.mark.parametrize(
    ("text", "ofs_nbits"),
    [
        ("load:0x2->NXM_OF_ARP_OP[]", 15),
        ("load:0x1->NXM_OF_ETH_DST[8..23]", 8 << 6 | 15),
        ("load:0x1->NXM_OF_ETH_DST[47]", 47 << 6),
    ],
)
def test_load_names_its_bits(text: str, ofs_nbits: int):
    assert struct.unpack_from("!H", actions_on_the_wire(text), 10) == (ofs_nbits,)


def test_move_names_its_bits():
    """struct nx_action_reg_move: n_bits, src_ofs, dst_ofs."""
    action = actions_on_the_wire("move:NXM_OF_ETH_SRC[16..47]->NXM_NX_CT_LABEL[64..95]")
    assert struct.unpack_from("!HHH", action, 10) == (32, 16, 64)


def test_a_flow_is_added_with_its_cookie_and_no_mask():
    flow = droplet_flows(STANDALONE, META, TALK)[2]
    message = encoded(add_flow(OPENFLOW_13, flow))
    cookie, mask, table, command, _, _, priority = struct.unpack_from("!QQBBHHH", message, 8)
    assert (cookie, mask) == (0x6D64025A007861DB, 0)
    assert (table, command, priority) == (0, ofp.OFPFC_ADD, 4010)


def test_no_actions_are_no_instructions():
    assert image(Flow(0, 1, Match())).instructions == b""


def test_flows_are_deleted_by_cookie_in_all_tables_and_by_nothing_else():
    message = encoded(delete_flows(OPENFLOW_13, 0x6D64025A007861DB, CookieMark.EXACT))
    cookie, mask, table, command = struct.unpack_from("!QQBB", message, 8)
    assert (cookie, mask) == (0x6D64025A007861DB, 0xFFFFFFFFFFFFFFFF)
    assert (table, command) == (ofp.OFPTT_ALL, ofp.OFPFC_DELETE)
    assert struct.unpack_from("!II", message, 36) == (ofp.OFPP_ANY, ofp.OFPG_ANY)
    assert message[48:] == struct.pack("!HH4x", ofp.OFPMT_OXM, 4)


def test_the_switch_is_asked_for_our_flows_only():
    request = encoded(flows_request(OPENFLOW_13, CookieMark().shared, CookieMark.MASK))
    assert struct.unpack_from("!QQ", request, 32) == (0x6D64 << 48, 0xFFFF << 48)


def test_messages_are_made_anew_each_time():
    """Ryu writes a transaction id into a message as it sends it, so none may be shared."""
    flow = droplet_flows(STANDALONE, META, TALK)[0]
    assert add_flow(OPENFLOW_13, flow) is not add_flow(OPENFLOW_13, flow)
