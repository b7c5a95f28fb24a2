"""Flows and their text: there and back, and nothing but FlowSyntaxError for what is no flow."""

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.text import FlowSyntaxError, format_flow, parse_flow
from tests.property.effort import effort
from tests.property.vocabulary import flows

# Pieces of the language, right and wrong, for lines that come near to being flows.
TOKENS = (
    *("cookie=0x77,", "table=25,", "priority=1,", "priority=", "ip", "tcp,", "arp,", "in_port=7,"),
    *("vlan_tci=0x0000/0x1fff,", "dl_vlan=7,", "nw_src=10.0.0.1,", "nw_dst=10.0.0.0/8,"),
    *("ct_state=+trk-inv,", "ct_state=", "ct_zone=7,", "arp_op=1,", "tp_dst=80", "metadata=0x1,"),
    *(" actions=", "drop", "output:2", "IN_PORT", "NORMAL", "resubmit(,65)", "ct(", "commit"),
    *("zone=7", "table=2", "nat(src=1.2.3.4)", "nat", "exec(", ")", ",", "load:0x1->", "move:"),
    *("NXM_NX_CT_MARK[]", "NXM_OF_ETH_SRC[", "0..47]", "->", "mod_dl_src:", "02:00:00:00:00:01"),
    *(" ", "=", "-1", "0x", "99999999999", "é", "\n", "n_packets=1,"),
)

near_flows = st.lists(st.sampled_from(TOKENS), max_size=14).map("".join)


@given(flow=flows())
@effort(150)
def test_a_flow_is_its_text(flow: Flow):
    assert parse_flow(format_flow(flow)) == flow


@given(text=st.text() | near_flows)
@effort(300)
def test_any_text_is_a_flow_or_refused(text: str):
    try:
        flow = parse_flow(text)
    except FlowSyntaxError as refused:
        assert repr(text) in str(refused)
        return
    assert parse_flow(format_flow(flow)) == flow


@given(flow=flows(), data=st.data())
@effort(150)
def test_a_damaged_flow_is_another_flow_or_refused(flow: Flow, data: st.DataObject):
    text = format_flow(flow)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 6, len(text))))
    damaged = text[:start] + data.draw(st.sampled_from(("", *TOKENS))) + text[end:]
    try:
        other = parse_flow(damaged)
    except FlowSyntaxError:
        return
    assert parse_flow(format_flow(other)) == other
