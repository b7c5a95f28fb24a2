"""Flows as text: each form of the vocabulary, and what is refused."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from ryu_apps.openflow.actions import (
    Ct,
    InPort,
    Load,
    Move,
    Nat,
    Normal,
    Output,
    Resubmit,
    SetDlDst,
    SetDlSrc,
    Subfield,
)
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import CtState, Match
from ryu_apps.openflow.meter import Meter
from ryu_apps.openflow.text import (
    FlowSyntaxError,
    format_actions,
    format_flow,
    format_match,
    format_meter,
    parse_actions,
    parse_flow,
    parse_meter,
)

MAC = "a6:a4:8e:4a:e8:70"

MATCHES = [
    (Match(), ""),
    (Match(protocol="arp", arp_op=1), "arp,arp_op=1"),
    (Match(protocol="ip", nw_src=IPv4Network("100.127.0.0/16")), "ip,nw_src=100.127.0.0/16"),
    (Match(protocol="tcp", nw_dst=IPv4Network("10.0.0.1")), "tcp,nw_dst=10.0.0.1"),
    (Match(protocol="tcp", tp_src=80, tp_dst=0), "tcp,tp_src=80,tp_dst=0"),
    (Match(in_port=602, dl_vlan=4095), "in_port=602,dl_vlan=4095"),
    (Match(untagged=True), "vlan_tci=0x0000/0x1fff"),
    (Match(metadata=0), "metadata=0"),
    (Match(metadata=1), "metadata=0x1"),
    (Match(dl_src=MAC, dl_dst=MAC), f"dl_src={MAC},dl_dst={MAC}"),
    (
        Match(ct_state=CtState(frozenset({"trk"}), frozenset({"inv"})), ct_zone=602),
        "ct_state=-inv+trk,ct_zone=602",
    ),
    (
        Match(
            protocol="arp",
            in_port=1000,
            arp_spa=IPv4Network("169.254.169.254"),
            arp_tpa=IPv4Network("100.127.2.90"),
        ),
        "arp,in_port=1000,arp_spa=169.254.169.254,arp_tpa=100.127.2.90",
    ),
]

ACTIONS = [
    ((), "drop"),
    ((InPort(),), "IN_PORT"),
    ((Normal(),), "NORMAL"),
    ((Output(602),), "output:602"),
    ((Resubmit(65),), "resubmit(,65)"),
    ((SetDlSrc(MAC), SetDlDst(MAC)), f"mod_dl_src:{MAC},mod_dl_dst:{MAC}"),
    ((Load(2, Subfield("NXM_OF_ARP_OP")),), "load:0x2->NXM_OF_ARP_OP[]"),
    ((Load(0, Subfield("OXM_OF_METADATA")),), "load:0->OXM_OF_METADATA[]"),
    ((Load(1, Subfield("NXM_NX_CT_MARK", 31)),), "load:0x1->NXM_NX_CT_MARK[31]"),
    (
        (Move(Subfield("NXM_OF_ETH_SRC"), Subfield("NXM_NX_CT_LABEL", 0, 48)),),
        "move:NXM_OF_ETH_SRC[]->NXM_NX_CT_LABEL[0..47]",
    ),
    ((Ct(zone=0),), "ct()"),
    ((Ct(zone=602, table=65, nat=Nat()),), "ct(table=65,zone=602,nat)"),
    (
        (
            Ct(
                zone=602,
                commit=True,
                table=25,
                nat=Nat(IPv4Address("100.127.2.90")),
                exec=(
                    Load(7889371, Subfield("NXM_NX_CT_MARK")),
                    Load(1, Subfield("NXM_NX_CT_LABEL", 0, 1)),
                ),
            ),
            Output(7),
        ),
        "ct(commit,table=25,zone=602,nat(src=100.127.2.90),"
        "exec(load:0x7861db->NXM_NX_CT_MARK[],load:0x1->NXM_NX_CT_LABEL[0])),output:7",
    ),
]


@pytest.mark.parametrize(("match", "text"), MATCHES, ids=[text for _, text in MATCHES])
def test_a_match_and_its_text(match: Match, text: str):
    assert format_match(match) == text
    head = ",".join(filter(None, ["priority=7", text]))
    assert parse_flow(f"{head} actions=drop") == Flow(0, 7, match)


@pytest.mark.parametrize(("actions", "text"), ACTIONS, ids=[text for _, text in ACTIONS])
def test_actions_and_their_text(actions: tuple, text: str):
    assert format_actions(actions) == text
    assert parse_actions(text) == actions


def test_cookie_and_table_are_told_where_they_are_not_0():
    flow = Flow(25, 4010, Match(protocol="ip"), cookie=0x6D64025A007861DB)
    assert format_flow(flow) == "cookie=0x6d64025a007861db, table=25, priority=4010,ip actions=drop"
    assert format_flow(Flow(0, 0, Match(), (Normal(),))) == "priority=0 actions=NORMAL"


def test_statistics_of_a_dump_are_passed_over():
    dumped = (
        " cookie=0x77, duration=4.123s, table=25, n_packets=7, n_bytes=518, idle_age=1, "
        "hard_age=65534, priority=1,tcp,tp_dst=80 actions=output:2"
    )
    expected = Flow(25, 1, Match(protocol="tcp", tp_dst=80), (Output(2),), 0x77)
    assert parse_flow(dumped) == expected


def test_a_flow_without_a_priority_has_open_vswitch_s_default():
    assert parse_flow("ip actions=drop").priority == 32768


@pytest.mark.parametrize(
    "line",
    [
        "",
        "priority=1,ip",
        "actions=drop",
        "priority=,ip actions=drop",
        "priority=70000 actions=drop",
        "priority=1,priority=2 actions=drop",
        "table=255 actions=drop",
        "cookie=0x1ffffffffffffffff actions=drop",
        "udp actions=drop",
        "ip,tcp actions=drop",
        "ip=1 actions=drop",
        "nw_src=10.0.0.1 actions=drop",
        "ip,nw_src=10.0.0.1/8 actions=drop",
        "ip,nw_src=10.0.0.256 actions=drop",
        "in_port=meta0 actions=drop",
        "dl_src=A6:A4:8E:4A:E8:70 actions=drop",
        "vlan_tci=0x1000/0x1000 actions=drop",
        "ct_state=trk actions=drop",
        "ct_state=+trk-snat actions=drop",
        "ct_state=+trk-trk actions=drop",
        "ip actions=",
        "ip actions=drop,output:1",
        "ip actions=output:meta0",
        "ip actions=output:0",
        "ip actions=FLOOD",
        "ip actions=resubmit(,999)",
        "ip actions=mod_dl_dst:x",
        "ip actions=load:0x10000->NXM_OF_ARP_OP[]",
        "ip actions=load:zwei->NXM_OF_ARP_OP[]",
        "ip actions=load:0x1->NXM_OF_IP_TOS[]",
        "ip actions=load:0x1->NXM_OF_ARP_OP",
        "ip actions=load:0x1->NXM_OF_ARP_OP[5..4]",
        "ip actions=load:0x1->NXM_OF_ARP_OP[0..16]",
        "ip actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ARP_SPA[]",
        "ip actions=ct(zone=NXM_NX_REG0[0..15])",
        "ip actions=ct(zone=1",
        "ip actions=ct(commit,nat(src=10.0.0.1)",
        "ip actions=ct(commit,nat(src=10.0.0.1-10.0.0.9))",
        "ip actions=ct(commit,nat(dst=10.0.0.1))",
        "ip actions=ct(commit,exec(load:0x1->NXM_NX_CT_MARK[])",
        "ip actions=ct(commit,exec(FLOOD))",
        "ip actions=ct(exec(load:0x1->NXM_NX_CT_MARK[]))",
    ],
)
def test_what_is_outside_the_vocabulary_is_refused_with_the_line(line: str):
    with pytest.raises(FlowSyntaxError) as refused:
        parse_flow(line)
    assert repr(line) in str(refused.value)


@pytest.mark.parametrize(
    ("flow", "text"),
    [
        (Flow(0, 7, Match(), (Normal(),), meter=602), "priority=7 actions=meter:602,NORMAL"),
        (Flow(0, 7, Match(), (), meter=602), "priority=7 actions=meter:602"),
    ],
)
def test_a_meter_comes_before_the_actions(flow: Flow, text: str):
    assert format_flow(flow) == text
    assert parse_flow(text) == flow


def test_a_meter_is_read_as_it_is_dumped():
    meter = Meter(602, 2000, 4000)
    assert format_meter(meter) == (
        "meter=602 pktps burst bands=type=drop rate=2000 burst_size=4000"
    )
    assert parse_meter(format_meter(meter)) == meter
    assert parse_meter("meter=602 pktps burst bands=\ntype=drop rate=2000 burst_size=4000") == meter


@pytest.mark.parametrize(
    "text",
    ["", "meter=602 kbps burst bands=type=drop rate=1 burst_size=1", "meter=602 pktps bands="],
)
def test_another_kind_of_meter_is_refused(text: str):
    with pytest.raises(FlowSyntaxError):
        parse_meter(text)


@pytest.mark.parametrize("wrong", [(0, 1, 1), (0xFFFF0001, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_meter_out_of_range_is_refused(wrong: tuple[int, int, int]):
    with pytest.raises(ValueError, match="is not in 1"):
        Meter(*wrong)
    if not 1 <= wrong[0] <= 0xFFFF0000:
        with pytest.raises(ValueError, match="meter"):
            Flow(0, 1, Match(), meter=wrong[0])
