"""The talk's flows and ours, term by term: what we add to each is listed here, and nothing else.

The texts are the slides', with meta0 and tapext7889371 as ofports 1000 and 602, and the slip of
the N1 slide put right (`nat(src=100.127.0.2)` stands there beside zone 602).
"""

from dataclasses import dataclass, field

import pytest

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.text import format_actions, format_match
from tests.golden.scenes import SCENES

DROPLET, META = "a6:a4:8e:4a:e8:70", "c2:91:25:64:d0:5d"

NAMES = ("A1", "A2", "N1", "N1 known", "L1", "R1", "R1 stale", "R2")
OURS = dict(zip(NAMES, SCENES["droplet"].flows, strict=True))


@dataclass(frozen=True)
class Slide:
    """A flow as the slides have it, and what ours says beyond that."""

    table: int
    priority: int
    match: str
    actions: str
    added_match: set[str] = field(default_factory=set)


UNTAGGED = "vlan_tci=0x0000/0x1fff"

SLIDES = {
    "A1": Slide(
        table=0,
        priority=4030,
        match=f"arp,in_port=602,dl_src={DROPLET},arp_tpa=169.254.169.254,arp_op=1",
        actions=f"load:0x2->NXM_OF_ARP_OP[],mod_dl_src:{META},mod_dl_dst:{DROPLET},"
        "load:0xc2912564d05d->NXM_NX_ARP_SHA[],load:0xa6a48e4ae870->NXM_NX_ARP_THA[],"
        "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0xa9fea9fe->NXM_OF_ARP_SPA[],IN_PORT",
        added_match={UNTAGGED},
    ),
    "A2": Slide(
        table=0,
        priority=4030,
        match=f"arp,in_port=1000,dl_src={META},arp_spa=169.254.169.254,arp_tpa=100.127.2.90,"
        "arp_op=1",
        actions=f"load:0x2->NXM_OF_ARP_OP[],mod_dl_src:{DROPLET},mod_dl_dst:{META},"
        "load:0xa6a48e4ae870->NXM_NX_ARP_SHA[],load:0xc2912564d05d->NXM_NX_ARP_THA[],"
        "load:0x647f025a->NXM_OF_ARP_SPA[],load:0xa9fea9fe->NXM_OF_ARP_TPA[],IN_PORT",
        added_match={UNTAGGED},
    ),
    "N1": Slide(
        table=0,
        priority=4010,
        match=f"tcp,in_port=602,dl_src={DROPLET},nw_dst=169.254.169.254,tp_dst=80",
        # The slides go on with resubmit(,25), which takes the packet as conntrack got it; ours
        # comes back from conntrack in table 25, so that L1 sees what became of it.
        actions="ct(commit,table=25,zone=602,nat(src=100.127.2.90),"
        "exec(load:0x7861db->NXM_NX_CT_MARK[]))",
        # Only a SYN may open a connection; the rest of one is the added flow's.
        added_match={UNTAGGED, "tcp_flags=+syn-ack"},
    ),
    "L1": Slide(
        table=25,
        priority=4010,
        # On the slides one flow for all: anything that comes here goes to meta0.
        match="",
        actions=f"mod_dl_dst:{META},output:1000",
        added_match={
            *("tcp", "in_port=602", "ct_state=-inv+trk", "ct_zone=602"),
            *("nw_src=100.127.2.90", "nw_dst=169.254.169.254", "tp_dst=80"),
        },
    ),
    "R1": Slide(
        table=65,
        priority=4012,
        match=f"tcp,metadata=0,in_port=1000,dl_dst={DROPLET},nw_src=169.254.169.254,"
        "nw_dst=100.127.2.90,tp_src=80",
        actions="load:0x1->OXM_OF_METADATA[],ct(table=65,zone=602,nat)",
    ),
    "R2": Slide(
        table=65,
        priority=4010,
        match="tcp,ct_state=+est+trk,metadata=0x1,in_port=1000,"
        f"dl_dst={DROPLET},nw_src=169.254.169.254,tp_src=80",
        actions="output:602",
        added_match={"ct_zone=602"},
    ),
}

# Ours alone: N1 for the rest of a connection, without a commit that would pick up an unknown one;
# R1 for a host whose neighbour entry still has the MAC of who was there before.
ADDED_FLOWS = {"N1 known", "R1 stale"}


def terms(flow: Flow) -> set[str]:
    """The match, term by term."""
    return set(filter(None, format_match(flow.match).split(",")))


@pytest.mark.parametrize("name", SLIDES)
def test_a_flow_does_what_the_talk_s_does(name: str):
    ours, slide = OURS[name], SLIDES[name]
    assert (ours.table, ours.priority) == (slide.table, slide.priority)
    assert format_actions(ours.actions) == slide.actions


@pytest.mark.parametrize("name", SLIDES)
def test_a_flow_matches_what_the_talk_s_does_and_the_additions(name: str):
    slide = SLIDES[name]
    theirs = set(filter(None, slide.match.split(",")))
    assert theirs.isdisjoint(slide.added_match)
    assert terms(OURS[name]) == theirs | slide.added_match


def test_there_are_no_other_flows():
    assert set(OURS) == set(SLIDES) | ADDED_FLOWS


def test_the_added_request_flow_commits_nothing():
    known, n1 = OURS["N1 known"], OURS["N1"]
    assert terms(known) == terms(n1) - {"tcp_flags=+syn-ack"}
    assert format_actions(known.actions) == "ct(table=25,zone=602,nat)"
    assert n1.priority > known.priority


def test_the_added_reply_flow_only_puts_the_mac_right():
    stale, r1 = OURS["R1 stale"], OURS["R1"]
    assert terms(stale) == terms(r1) - {f"dl_dst={DROPLET}"}
    assert format_actions(stale.actions) == f"mod_dl_dst:{DROPLET},{format_actions(r1.actions)}"
    assert r1.priority > stale.priority > OURS["R2"].priority
