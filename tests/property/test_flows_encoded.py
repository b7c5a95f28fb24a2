"""Flows as messages: Ryu's own decoder gives the match back, and images tell flows apart."""

from ipaddress import IPv4Network

from hypothesis import assume, given
from ryu.ofproto import ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import PROTOCOLS, Match
from ryu_apps.southbound.encode import add_flow, image
from tests.property.effort import effort
from tests.property.vocabulary import flow_tables, flows

OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)


def decoded(flow: Flow) -> ofproto_parser.MsgBase:
    """The flow-mod as whoever receives it reads it."""
    message = add_flow(OPENFLOW_13, flow)
    message.set_xid(7)
    message.serialize()
    header = ofproto_parser.header(message.buf)
    return ofproto_parser.msg(OPENFLOW_13, *header, message.buf)


def expected_fields(match: Match) -> dict[str, object]:
    """The match in the words of Ryu's OXM fields, written down anew."""
    fields: dict[str, object] = {}
    if match.protocol:
        ethertype, ip_protocol = PROTOCOLS[match.protocol]
        fields["eth_type"] = ethertype
        if ip_protocol is not None:
            fields["ip_proto"] = ip_protocol
    if match.untagged:
        fields["vlan_vid"] = 0
    if match.dl_vlan is not None:
        fields["vlan_vid"] = 0x1000 + match.dl_vlan
    if match.ct_state is not None:
        fields["ct_state"] = match.ct_state.value_mask()
    names = {
        **{"in_port": "in_port", "metadata": "metadata", "ct_zone": "ct_zone"},
        **{"dl_src": "eth_src", "dl_dst": "eth_dst", "nw_src": "ipv4_src", "nw_dst": "ipv4_dst"},
        **{"arp_spa": "arp_spa", "arp_tpa": "arp_tpa", "arp_op": "arp_op"},
        **{"tp_src": "tcp_src", "tp_dst": "tcp_dst"},
    }
    for ours, theirs in names.items():
        value = getattr(match, ours)
        if isinstance(value, IPv4Network):
            whole = value.prefixlen == 32
            address = str(value.network_address)
            fields[theirs] = address if whole else (address, str(value.netmask))
        elif value is not None:
            fields[theirs] = value
    return fields


@given(flow=flows())
@effort(150)
def test_the_bytes_say_what_the_flow_says(flow: Flow):
    message = decoded(flow)
    assert (message.table_id, message.priority) == (flow.table, flow.priority)
    assert (message.command, message.cookie) == (ofp.OFPFC_ADD, flow.cookie)
    assert dict(message.match.items()) == expected_fields(flow.match)
    actions = [action for instruction in message.instructions for action in instruction.actions]
    assert len(actions) == len(flow.actions)


@given(flow=flows())
@effort(100)
def test_an_image_is_the_same_each_time_and_without_the_cookie(flow: Flow):
    other = Flow(flow.table, flow.priority, flow.match, flow.actions, 0x77)
    assert image(flow) == image(flow) == image(other)


@given(flows=flow_tables)
@effort(40)
def test_different_flows_have_different_images(flows: list[Flow]):
    assume(len(flows) > 1)
    assert len({image(flow) for flow in flows}) == len(flows)


@given(one=flows(), other=flows())
@effort(100)
def test_different_actions_have_different_images(one: Flow, other: Flow):
    assume(one.actions != other.actions)
    swapped = Flow(one.table, one.priority, one.match, other.actions)
    assert image(one) != image(swapped)
