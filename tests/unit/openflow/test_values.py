"""Matches, actions and flows: what they refuse, and when two are the same."""

from dataclasses import FrozenInstanceError, replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from ryu_apps.openflow import actions as act
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.mac import checked_mac, mac_from_int, mac_to_int
from ryu_apps.openflow.match import CtState, Match

MAC = "a6:a4:8e:4a:e8:70"
NET = IPv4Network("169.254.169.254")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"protocol": "sctp"}, "unknown protocol 'sctp'"),
        ({"nw_dst": NET}, "nw_dst needs one of .*, not ''"),
        ({"protocol": "arp", "nw_src": NET}, "nw_src needs one of .*, not 'arp'"),
        ({"protocol": "ip", "tp_dst": 80}, "tp_dst needs one of .*, not 'ip'"),
        ({"protocol": "ip", "tp_src": 80}, "tp_src needs one of .*, not 'ip'"),
        ({"protocol": "tcp", "arp_op": 1}, "arp_op needs one of .*, not 'tcp'"),
        ({"protocol": "tcp", "arp_spa": NET}, "arp_spa needs one of .*, not 'tcp'"),
        ({"protocol": "ip", "arp_tpa": NET}, "arp_tpa needs one of .*, not 'ip'"),
        ({"protocol": "tcp", "tp_dst": 65536}, "tp_dst=65536 is not in 0..65535"),
        ({"protocol": "tcp", "tp_src": -1}, "tp_src=-1 is not in 0..65535"),
        ({"protocol": "arp", "arp_op": 256}, "arp_op=256 is not in 0..255"),
        (
            {"protocol": "ip", "nw_src": IPv4Network("0.0.0.0/0")},
            "nw_src=0.0.0.0/0 is no condition",
        ),
        ({"in_port": 1 << 32}, "in_port=4294967296 is not in"),
        ({"metadata": 1 << 64}, "metadata=18446744073709551616 is not in"),
        ({"ct_zone": 65536}, "ct_zone=65536 is not in 0..65535"),
        ({"dl_vlan": 4096}, "dl_vlan=4096 is no VLAN"),
        ({"dl_vlan": 7, "untagged": True}, "dl_vlan=7 is no VLAN of a tagged frame"),
        ({"dl_src": MAC.upper()}, "'A6:A4:8E:4A:E8:70' is not a MAC address"),
        ({"dl_dst": "a6a48e4ae870"}, "'a6a48e4ae870' is not a MAC address"),
    ],
)
def test_a_match_refuses_what_no_packet_can_have(fields: dict[str, object], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Match(**fields)


@pytest.mark.parametrize(
    ("set_", "clear", "complaint"),
    [
        ({"trk", "dnat"}, set(), r"unknown ct_state flags \['dnat'\]"),
        ({"trk"}, {"trk"}, r"both set and clear: \['trk'\]"),
        (set(), set(), "without flags"),
    ],
)
def test_a_ct_state_refuses_what_conntrack_cannot_say(
    set_: set[str], clear: set[str], complaint: str
):
    with pytest.raises(ValueError, match=complaint):
        CtState(frozenset(set_), frozenset(clear))


def test_a_ct_state_is_a_value_under_a_mask():
    # nicira-ext.h: NX_CT_STATE_*: new 0x01, est 0x02, rel 0x04, rpl 0x08, inv 0x10, trk 0x20.
    state = CtState(frozenset({"trk", "est"}), frozenset({"inv", "new"}))
    assert state.value_mask() == (0x22, 0x33)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: act.Subfield("NXM_OF_IP_SRC"), "unknown field 'NXM_OF_IP_SRC'"),
        (lambda: act.Subfield("NXM_OF_ARP_OP", 16), "has 16 bits"),
        (lambda: act.Subfield("NXM_OF_ARP_OP", 8, 9), "has 16 bits, not 8"),
        (lambda: act.Subfield("NXM_OF_ARP_OP", -1, 4), "has 16 bits"),
        (lambda: act.Load(0x10000, act.Subfield("NXM_OF_ARP_OP")), "0x10000 does not fit"),
        (lambda: act.Load(-1, act.Subfield("NXM_OF_ARP_OP")), "does not fit"),
        (lambda: act.Load(0, act.Subfield("NXM_NX_CT_LABEL")), "at most 64 bits"),
        (
            lambda: act.Move(act.Subfield("NXM_OF_ETH_SRC"), act.Subfield("NXM_OF_ARP_SPA")),
            "other width",
        ),
        (lambda: act.SetDlSrc("a6:a4:8e:4a:e8"), "is not a MAC address"),
        (lambda: act.SetDlDst("A6:A4:8E:4A:E8:70"), "is not a MAC address"),
        (lambda: act.Output(0), "ofport 0 is not in"),
        (lambda: act.Resubmit(255), "table 255 is not in 0..254"),
        (lambda: act.Ct(zone=65536), "ct zone 65536 is not in 0..65535"),
        (lambda: act.Ct(zone=1, table=255), "table 255 is not in 0..254"),
        (
            lambda: act.Ct(zone=1, exec=(act.Load(1, act.Subfield("NXM_NX_CT_MARK")),)),
            "needs commit",
        ),
    ],
)
def test_an_action_refuses_what_a_switch_cannot_do(make: object, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        make()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"table": 255}, "table 255 is not in 0..254"),
        ({"table": -1}, "table -1 is not in 0..254"),
        ({"priority": 65536}, "priority 65536 is not in 0..65535"),
        ({"cookie": 1 << 64}, "does not fit 64 bits"),
        ({"cookie": -1}, "does not fit 64 bits"),
    ],
)
def test_a_flow_refuses_what_an_entry_cannot_hold(change: dict[str, int], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Flow(**{"table": 0, "priority": 0, "match": Match(), **change})


def test_the_key_is_what_a_later_flow_replaces_by():
    flow = Flow(25, 4010, Match(protocol="tcp", nw_dst=NET), (act.Output(1),), 0x77)
    assert flow.key == replace(flow, actions=(), cookie=0).key
    for other in (
        replace(flow, table=24),
        replace(flow, priority=4011),
        replace(flow, match=Match(protocol="tcp", nw_dst=NET, untagged=True)),
    ):
        assert flow.key != other.key


def test_values_cannot_be_changed_under_those_who_hold_them():
    with pytest.raises(FrozenInstanceError):
        Match().protocol = "ip"
    with pytest.raises(FrozenInstanceError):
        act.Nat(IPv4Address("100.127.2.90")).src = None


def test_a_subfield_is_the_whole_field_if_nothing_else_is_said():
    assert act.Subfield("NXM_OF_ETH_SRC") == act.Subfield("NXM_OF_ETH_SRC", 0, 48)
    assert act.Subfield("NXM_OF_ETH_SRC", 40) == act.Subfield("NXM_OF_ETH_SRC", 40, 8)
    assert not act.Subfield("NXM_NX_CT_LABEL", 0, 48).whole


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", MAC, "ff:ff:ff:ff:ff:ff"])
def test_a_mac_is_a_number_and_back(mac: str):
    assert mac_from_int(mac_to_int(mac)) == checked_mac(mac)


def test_the_talk_s_mac_as_load_carries_it():
    assert mac_to_int(MAC) == 0xA6A48E4AE870


@pytest.mark.parametrize("text", ["", "a6:a4:8e:4a:e8:7", "a6-a4-8e-4a-e8-70", f"{MAC}\n", "é" * 6])
def test_other_spellings_of_a_mac_are_refused(text: str):
    with pytest.raises(ValueError, match="is not a MAC address in lower case with colons"):
        checked_mac(text)
