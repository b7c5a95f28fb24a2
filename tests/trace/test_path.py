"""The seven steps of the path through the flows on a real classifier, on each kind of bridge.

conntrack is told what to say (`--ct-next`); what it really says is for the system tests.
"""

import pytest

from tests.droplets import LIMITED, META, TALK, TWIN, WAITING
from tests.trace.path import Path, arp, packet, reply


class TestThePath:
    """The seven steps of the talk, on each kind of bridge."""

    def test_the_droplet_learns_the_server_s_mac(self, path: Path):
        answer = path.trace(arp())
        assert answer.outputs == [TALK.ofport]
        assert {
            "dl_src": META.mac,
            "dl_dst": TALK.mac,
            "arp_op": "2",
            "arp_spa": "169.254.169.254",
            "arp_sha": META.mac,
            "arp_tpa": "10.0.0.5",
            "arp_tha": TALK.mac,
        }.items() <= answer.last.fields.items()

    @pytest.mark.parametrize("source", ["0.0.0.0", "169.254.7.7", "172.16.0.9"])
    def test_whatever_address_it_asks_from(self, path: Path, source: str):
        answer = path.trace(arp(arp_spa=source))
        assert answer.outputs == [TALK.ofport]
        assert answer.last.fields["arp_tpa"] == source

    @pytest.mark.parametrize("verdict", ["trk,new", "trk,est"])
    def test_a_request_reaches_the_server_from_the_hv_local_address(self, path: Path, verdict: str):
        request = path.trace(packet(dl_dst="02:00:00:00:00:01"), verdict)
        assert request.outputs == [META.ofport]
        assert request.last.fields["dl_dst"] == META.mac
        assert request.parts[0].actions[0] == (
            "ct(commit,zone=602,mark=0x7861db/0xffffffff,nat(src=100.127.2.90))"
        )

    @pytest.mark.parametrize("flags", ["ack", "psh|ack", "fin|ack", "rst", "syn|ack", "0"])
    def test_only_a_syn_opens_a_connection(self, path: Path, flags: str):
        """Whatever comes in the middle of one is looked up and never committed."""
        rest = path.trace(packet(tcp_flags=flags), "trk,est")
        assert rest.parts[0].actions[0] == "ct(zone=602,nat)"

    def test_a_connection_that_conntrack_does_not_know_ends_at_the_fence(self, path: Path):
        """It comes back as it was, with the source that the droplet wrote."""
        unknown = path.trace(packet(tcp_flags="ack"), "trk,new")
        assert unknown.outputs == []

    @pytest.mark.parametrize(
        "source", ["0.0.0.0", "127.0.0.1", "169.254.169.254", "100.127.2.91", "224.0.0.1"]
    )
    def test_whatever_source_the_droplet_writes_is_translated(self, path: Path, source: str):
        request = path.trace(packet(nw_src=source), "trk,new")
        assert request.outputs == [META.ofport]
        assert request.last.fields["nw_src"] == "100.127.2.90"

    def test_the_host_learns_the_droplet_s_mac(self, path: Path):
        question = {"in_port": META.ofport, "dl_src": META.mac, "arp_sha": META.mac}
        addresses = {"arp_spa": "169.254.169.254", "arp_tpa": "100.127.2.90"}
        answer = path.trace(arp(**question, **addresses))
        assert answer.outputs == [META.ofport]
        assert {
            "dl_src": TALK.mac,
            "dl_dst": META.mac,
            "arp_op": "2",
            "arp_spa": "100.127.2.90",
            "arp_sha": TALK.mac,
            "arp_tpa": "169.254.169.254",
            "arp_tha": META.mac,
        }.items() <= answer.last.fields.items()

    def test_the_reply_reaches_the_droplet(self, path: Path):
        answer = path.trace(reply(), "trk,est,rpl")
        assert answer.outputs == [TALK.ofport]
        assert answer.parts[0].actions[0] == "ct(zone=602,nat)"

    def test_the_reply_reaches_it_by_a_stale_neighbour_entry_too(self, path: Path):
        answer = path.trace(reply(dl_dst="02:00:00:00:00:99"), "trk,est,rpl")
        assert answer.outputs == [TALK.ofport]
        assert answer.last.fields["dl_dst"] == TALK.mac

    def test_two_ports_with_one_mac_get_their_own_replies(self, path: Path):
        assert TWIN.mac == TALK.mac
        answer = path.trace(reply(nw_dst="100.127.2.91"), "trk,est,rpl")
        assert answer.outputs == [TWIN.ofport]
        assert answer.parts[0].actions[0] == "ct(zone=603,nat)"

    def test_a_reply_enters_the_droplet_with_its_hop_limit(self, path: Path):
        answer = path.trace(reply(dl_dst=LIMITED.mac, nw_dst="100.127.2.94"), "trk,est,rpl")
        assert answer.outputs == [LIMITED.ofport]
        assert answer.last.fields["nw_ttl"] == "1"

    def test_without_a_hop_limit_a_reply_keeps_its_ttl(self, path: Path):
        answer = path.trace(reply(nw_ttl=63), "trk,est,rpl")
        assert answer.outputs == [TALK.ofport]
        assert answer.last.fields["nw_ttl"] == "63"

    def test_a_request_of_a_limited_droplet_keeps_its_own_ttl(self, path: Path):
        mine = {"in_port": LIMITED.ofport, "dl_src": LIMITED.mac}
        request = path.trace(packet(**mine), "trk,new")
        assert request.outputs == [META.ofport]
        assert request.last.fields["nw_ttl"] == "64"


class TestAWaitingPort:
    """A droplet's port whose droplet is not registered: heard, but nobody."""

    def test_its_arp_is_answered_whatever_its_mac(self, path: Path):
        mac = "fe:00:00:00:00:07"
        answer = path.trace(arp(in_port=WAITING, dl_src=mac, arp_sha=mac))
        assert answer.outputs == [WAITING]
        assert {
            "dl_src": META.mac,
            "dl_dst": mac,
            "arp_op": "2",
            "arp_spa": "169.254.169.254",
            "arp_sha": META.mac,
            "arp_tpa": "10.0.0.5",
            "arp_tha": mac,
        }.items() <= answer.last.fields.items()

    def test_its_request_carries_no_droplet_but_its_mac(self, path: Path):
        request = path.trace(packet(in_port=WAITING, dl_src="fe:00:00:00:00:07"), "trk,new")
        assert request.outputs == [META.ofport]
        assert request.parts[0].actions[0] == (
            "ct(commit,zone=604,label=0xfe0000000007/0xffffffffffff,nat(src=100.127.2.92))"
        )

    def test_the_reply_gets_its_mac_back_from_conntrack(self, path: Path):
        stand_in = "02:00:64:7f:02:5c"
        untracked = path.trace(reply(dl_dst=stand_in, nw_dst="100.127.2.92"), "trk,est,rpl")
        assert untracked.outputs == [WAITING]
        tracked = path.trace_tracked_reply(
            reply(
                dl_dst=stand_in,
                nw_dst="10.0.0.5",
                metadata=1,
                ct_state="trk|est|rpl",
                ct_zone=604,
                ct_label="0xfe0000000007",
            )
        )
        assert tracked.outputs == [WAITING]
        assert tracked.last.fields["dl_dst"] == "fe:00:00:00:00:07"
