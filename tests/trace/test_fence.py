"""What must not get through, from either side, and that everything else is left alone."""

import pytest

from tests.droplets import META, TALK, TWIN, UPLINK, WAITING
from tests.trace.path import BROADCAST, OTHERS, PLAIN, Path, arp, packet, reply

STRAY = {
    "a wrong MAC address": packet(dl_src="02:00:00:00:00:66"),
    "another port": packet(in_port=PLAIN),
    "the uplink": packet(in_port=UPLINK),
    "a tagged frame": packet(dl_vlan=7),
    "a priority tag": packet(vlan_tci="0x1000"),
    "the dead VLAN": packet(dl_vlan=4095),
    "ICMP": packet("icmp"),
    "ICMP by the gateway's MAC": packet("icmp", dl_dst="02:00:00:00:00:01"),
    "ssh by the gateway's MAC": packet(tp_dst=22, dl_dst="02:00:00:00:00:01"),
    "tagged by the gateway's MAC": packet(dl_vlan=7, dl_dst="02:00:00:00:00:01"),
    "UDP to everybody": packet("udp", udp_dst=80, dl_dst=BROADCAST),
    "UDP": packet("udp", udp_dst=80),
    "ssh": packet(tp_dst=22),
    "the REST port": packet(tp_dst=8080),
    "a later fragment": packet("tcp", nw_frag="later", tp_src=0, tp_dst=0),
    "an address of the host by meta0's MAC": packet(nw_dst="10.0.0.1"),
    "ssh of the host by meta0's MAC": packet(nw_dst="10.0.0.1", tp_dst=22),
    "IPv6 to meta0's MAC": packet("ipv6", ipv6_src="fe80::1", ipv6_dst="fe80::2"),
    "an ARP reply to meta0": arp(dl_dst=META.mac, arp_op=2, arp_tpa="10.9.9.9"),
    "the source MAC of meta0": packet(dl_src=META.mac, dl_dst=BROADCAST, nw_dst="10.0.0.9"),
    "ARP that claims the metadata address": arp(arp_spa="169.254.169.254", arp_tpa="10.0.0.9"),
    "an ARP reply for the metadata address": arp(
        arp_op=2, arp_spa="169.254.169.254", arp_tpa="10.0.0.9", dl_dst="02:00:00:00:00:01"
    ),
    "ARP that claims an hv-local address": arp(arp_spa="100.127.2.91", arp_tpa="10.0.0.9"),
    "ARP for the metadata address from a wrong MAC": arp(dl_src="02:00:00:00:00:66"),
    "ARP for the metadata address from the uplink": arp(in_port=UPLINK),
    "tagged ARP for the metadata address": arp(dl_vlan=7),
    "ARP in the dead VLAN": arp(dl_vlan=4095, arp_tpa="10.0.0.1"),
    "LLDP in the dead VLAN": packet("dl_type=0x88cc", dl_vlan=4095, dl_dst=BROADCAST),
    "an hv-local source": packet(nw_src="100.127.2.91", nw_dst="10.0.0.9", dl_dst=BROADCAST),
    "the metadata address as a source": packet(
        nw_src="169.254.169.254", nw_dst="10.0.0.9", dl_dst=BROADCAST, tp_src=80
    ),
    "a forged reply": packet(
        in_port=TWIN.ofport, nw_src="169.254.169.254", nw_dst="10.0.0.5", tp_src=80, dl_dst=TALK.mac
    ),
}


@pytest.mark.parametrize("frame", STRAY.values(), ids=STRAY)
def test_nothing_else_of_a_droplet_goes_anywhere(path: Path, frame: str):
    assert path.trace(frame, "trk,new", "trk,new").outputs == []


@pytest.mark.parametrize("op", [1, 2])
def test_an_announcement_of_the_metadata_address_gets_at_most_an_answer(path: Path, op: int):
    announcement = arp(arp_op=op, arp_spa="169.254.169.254")
    assert path.trace(announcement).outputs == ([TALK.ofport] if op == 1 else [])


FROM_META = {
    "a reply that conntrack does not know": (reply(), ("trk,new",)),
    "a reply that conntrack calls invalid": (reply(), ("trk,inv",)),
    "a reply to nobody's hv-local address": (reply(nw_dst="100.127.9.9"), ("trk,est",)),
    "a connection of the host's own": (reply(nw_dst="10.0.0.5"), ("trk,est",)),
    "a reply from another port": (reply(tp_src=22), ("trk,est",)),
    "a reply from another MAC": (reply(dl_src="02:00:00:00:00:66"), ("trk,est",)),
    "a reply from another address": (reply(nw_src="10.0.0.1"), ("trk,est",)),
    "a tagged reply": (reply(dl_vlan=7), ("trk,est",)),
    "a UDP datagram": (
        packet("udp", in_port=META.ofport, nw_src="169.254.169.254", nw_dst="100.127.2.90"),
        (),
    ),
    "a frame of another MAC": (
        packet(
            in_port=META.ofport, dl_src="02:00:00:00:00:66", nw_src="10.0.0.1", nw_dst="10.0.0.5"
        ),
        (),
    ),
    "ARP of another MAC": (
        arp(
            in_port=META.ofport, dl_src="02:00:00:00:00:66", arp_spa="10.0.0.1", arp_tpa="10.0.0.5"
        ),
        (),
    ),
    "ARP for a droplet's own address": (
        arp(in_port=META.ofport, dl_src=META.mac, arp_spa="169.254.169.254", arp_tpa="10.0.0.5"),
        (),
    ),
    "ARP for nobody's hv-local address": (
        arp(in_port=META.ofport, dl_src=META.mac, arp_spa="169.254.169.254", arp_tpa="100.127.9.9"),
        (),
    ),
    "ARP that the host asks from another address": (
        arp(in_port=META.ofport, dl_src=META.mac, arp_spa="10.0.0.1", arp_tpa="100.127.2.90"),
        (),
    ),
    "an announcement of the metadata address": (
        arp(in_port=META.ofport, dl_src=META.mac, arp_spa="169.254.169.254"),
        (),
    ),
}


@pytest.mark.parametrize(("frame", "verdicts"), FROM_META.values(), ids=FROM_META)
def test_nothing_else_of_the_host_comes_out_of_meta0(
    path: Path, frame: str, verdicts: tuple[str, ...]
):
    assert path.trace(frame, *verdicts).outputs == []


class TestTheFence:
    """What conntrack did not translate does not reach the host."""

    def test_what_conntrack_calls_invalid(self, path: Path):
        assert path.trace(packet(), "trk,inv").outputs == []
        waiting = packet(in_port=WAITING, dl_src="fe:00:00:00:00:07")
        assert path.trace(waiting, "trk,inv").outputs == []

    @pytest.mark.parametrize("source", ["10.0.0.5", "100.127.2.91", "169.254.169.254", "0.0.0.0"])
    def test_what_kept_the_source_the_droplet_wrote(self, path: Path, source: str):
        tracked = {"ct_state": "trk|new", "ct_zone": 602}
        assert path.trace_behind_nat(packet(nw_src=source, **tracked)).outputs == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"ct_zone": 603},
            {"in_port": TWIN.ofport},
            {"in_port": UPLINK},
            {"ct_state": "0"},
            {"tp_dst": 22},
        ],
        ids=str,
    )
    def test_what_is_of_another_zone_or_port(self, path: Path, wrong: dict[str, object]):
        translated = {"nw_src": "100.127.2.90", "ct_state": "trk|new", "ct_zone": 602}
        assert path.trace_behind_nat(packet(**translated)).outputs == [META.ofport]
        assert path.trace_behind_nat(packet(**(translated | wrong))).outputs == []

    @pytest.mark.parametrize(
        "wrong", [{"ct_zone": 603}, {"ct_state": "trk|new"}, {"metadata": 0}], ids=str
    )
    def test_a_reply_goes_by_its_own_zone(self, path: Path, wrong: dict[str, object]):
        tracked = {"nw_dst": "10.0.0.5", "metadata": 1, "ct_state": "trk|est", "ct_zone": 602}
        assert path.trace_tracked_reply(reply(**tracked)).outputs == [TALK.ofport]
        assert TALK.ofport not in path.trace_tracked_reply(reply(**(tracked | wrong))).outputs


ORDINARY = {
    "between droplets": packet(nw_dst="10.0.0.9", dl_dst="02:00:00:00:00:01"),
    "from the uplink": packet(in_port=UPLINK, nw_dst="10.0.0.5", dl_dst="02:00:00:00:00:01"),
    "a broadcast": packet("udp", nw_dst="255.255.255.255", dl_dst=BROADCAST, udp_dst=67),
    "ARP": arp(arp_tpa="10.0.0.1"),
    "IPv6": packet("ipv6", ipv6_src="fe80::1", ipv6_dst="ff02::1", dl_dst="33:33:00:00:00:01"),
    "in a VLAN": packet(dl_vlan=7, nw_dst="10.0.0.9", dl_dst="02:00:00:00:00:01"),
    "tcp/80 to somewhere else": packet(nw_dst="93.184.216.34", dl_dst="02:00:00:00:00:01"),
    "other link-local addresses": packet(nw_dst="169.254.0.1", dl_dst="02:00:00:00:00:01"),
}


class TestOrdinaryTraffic:
    """A standalone bridge switches everything else; an embedded one leaves it to its owner."""

    @pytest.mark.parametrize("frame", ORDINARY.values(), ids=ORDINARY)
    def test_is_flooded_to_all_but_meta0(self, standalone: Path, frame: str):
        came_from = UPLINK if f"in_port={UPLINK}," in frame else TALK.ofport
        assert standalone.trace(frame).outputs == sorted(set(OTHERS) - {came_from})

    @pytest.mark.parametrize("frame", ORDINARY.values(), ids=ORDINARY)
    def test_is_nobody_s_on_an_embedded_bridge(self, embedded: Path, frame: str):
        trace = embedded.trace(frame)
        assert trace.outputs == []
        assert trace.last.cookies == (), "one of our flows took it"
