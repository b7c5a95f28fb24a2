"""Nothing but tcp/80 of the metadata address goes through meta0, and nobody speaks in its name.

Frames are sent by a droplet, by an uplink nobody registered, and by the host out of meta0; all
sides of the bridge are watched.
"""

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product

import pytest
from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from tests.system.cloud import META, REST_PORT, Cloud
from tests.system.packets import (
    BROADCAST,
    LLDP_GROUP,
    METADATA_IP,
    NOBODY,
    STP_GROUP,
    Aim,
    arp,
    other_protocols,
    reset,
    shown,
    syn,
    tagged,
    udp,
)
from tests.system.sabotage import Sabotage, sabotaged
from tests.system.segment import (
    BURST,
    HV_LOCALS,
    IPS,
    LOCAL,
    MACS,
    OFPORTS,
    UPLINK,
    A,
    Arrived,
    B,
    Segment,
    segmented,
)
from tests.system.trespass import trespassers
from tests.system.wire import Frame, Wire

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = pytest.mark.root

MANAGEMENT_IP = "192.168.77.1"
OPEN_VLAN = Sabotage(open_vlan=True)


@pytest.fixture(scope="module")
def segment(cloud: Cloud) -> Iterator[Segment]:
    """One for all tests here."""
    with segmented(cloud) as made:
        yield made


def at_meta(arrived: Arrived) -> list[str]:
    """What the host got to see."""
    return arrived.get(META, [])


# -- to the host ----------------------------------------------------------------------------------

TO_THE_ADDRESS = {"meta0's MAC": META, "no known MAC": NOBODY, "LOCAL's MAC": LOCAL} | {
    "broadcast": BROADCAST
}
OTHER_TARGETS = {
    "the host": MANAGEMENT_IP,
    "loopback": "127.0.0.1",
    "its own hv-local address": HV_LOCALS[A],
    "another's hv-local address": HV_LOCALS[B],
    "another droplet": IPS[B],
    "everyone": "255.255.255.255",
    "a group": "224.0.0.1",
}
TAGS = {"untagged": None, "VID 5": 5, "VID 4095": 4095, "priority tag": 0}


def _mac(segment: Segment, name: str) -> str:
    return {META: segment.meta_mac, LOCAL: segment.host.local_mac}.get(name, name)


def _with_tag(frames: list[Frame], tag: int | None) -> list[Frame]:
    return frames if tag is None else [tagged(frame, tag) for frame in frames]


def _others(segment: Segment, sender: str, eth_dst: str, target: str) -> list[Frame]:
    aim = Aim(MACS[sender], _mac(segment, eth_dst), IPS[sender], target=target)
    return [raw(packet) for packet in other_protocols(aim)]


@pytest.mark.parametrize("sender", [A, UPLINK])
@pytest.mark.parametrize("eth_dst", TO_THE_ADDRESS.values(), ids=TO_THE_ADDRESS)
@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_no_other_protocol_reaches_the_metadata_address(
    segment: Segment, sender: str, eth_dst: str, tag: int | None
) -> None:
    frames = _with_tag(_others(segment, sender, eth_dst, METADATA_IP), tag)
    assert at_meta(segment.arrived(sender, *frames)) == []


@pytest.mark.parametrize("sender", [A, UPLINK])
@pytest.mark.parametrize("target", OTHER_TARGETS.values(), ids=OTHER_TARGETS)
def test_meta0s_mac_leads_to_no_other_address(segment: Segment, sender: str, target: str) -> None:
    aim = Aim(MACS[sender], segment.meta_mac, IPS[sender], target=target)
    ports = (80, REST_PORT, 6640, 6653, 22)
    tcp = [syn(replace(aim, dport=port)) for port in ports]
    for tag in TAGS.values():
        frames = _with_tag([*_others(segment, sender, META, target), *tcp], tag)
        assert at_meta(segment.arrived(sender, *frames)) == []


@pytest.mark.parametrize("target", [MANAGEMENT_IP, "127.0.0.1", METADATA_IP])
def test_the_local_ports_mac_leads_to_the_rest_interface_neither(
    segment: Segment, target: str
) -> None:
    aim = Aim(MACS[A], segment.host.local_mac, IPS[A], target=target, dport=REST_PORT)
    assert at_meta(segment.arrived(A, syn(aim))) == []


@pytest.mark.parametrize("sender", [A, UPLINK])
def test_nobody_but_a_droplet_reaches_the_server(segment: Segment, sender: str) -> None:
    aim = Aim(MACS[sender], segment.meta_mac, IPS[sender])
    expected = {META} if sender == A else set()
    # Reset at once, or the host would repeat its answer into the tests to come.
    assert set(segment.arrived(sender, syn(aim), reset(aim))) - {A} == expected


# -- flooding -------------------------------------------------------------------------------------

GROUPS = [BROADCAST, "33:33:00:00:00:01", "01:00:5e:00:00:fb", STP_GROUP, LLDP_GROUP, NOBODY]


def _floods(segment: Segment, sender: str) -> list[Frame]:
    frames = [
        raw(Ether(src=MACS[sender], dst=eth_dst, type=0x88B5) / Raw(b"flood" * 12))
        for eth_dst in GROUPS
    ]
    frames += [udp(MACS[sender], eth_dst, IPS[sender], "10.20.0.255", b"x") for eth_dst in GROUPS]
    frames += [arp(1, eth_src=MACS[sender], spa=IPS[sender], tpa="10.20.0.99")]
    return frames


@pytest.mark.parametrize("sender", [A, UPLINK])
@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_nothing_is_flooded_into_meta0(segment: Segment, sender: str, tag: int | None) -> None:
    arrived = segment.arrived(sender, *_with_tag(_floods(segment, sender), tag))
    assert at_meta(arrived) == []
    # It was a flood: everyone else got it, but for the VLAN that nobody may use.
    assert set(arrived) == (set() if tag == 4095 else {A, B, UPLINK, LOCAL} - {sender})


def _from_the_host(segment: Segment) -> list[Frame]:
    frames = []
    for eth_src, eth_dst in product(
        (segment.meta_mac, NOBODY, MACS[B]), (*GROUPS, MACS[A], MACS[UPLINK])
    ):
        aim = Aim(eth_src, eth_dst, METADATA_IP, target=IPS[A])
        frames += [raw(packet) for packet in other_protocols(aim)]
        for target, flags in product((IPS[A], HV_LOCALS[A]), ("SA", "A", "R", "S")):
            ip = Ether(src=eth_src, dst=eth_dst) / IP(src=METADATA_IP, dst=target)
            frames.append(raw(ip / TCP(sport=80, dport=33333, flags=flags)))
        frames += [
            arp(op, eth_src=eth_src, eth_dst=eth_dst, spa=spa, tpa=IPS[A])
            for op, spa in product((1, 2), (METADATA_IP, MANAGEMENT_IP, IPS[B]))
        ]
    return frames


@pytest.mark.parametrize("tag", [None, 5, 4095])
def test_nothing_but_answers_comes_out_of_meta0(segment: Segment, tag: int | None) -> None:
    assert segment.arrived(META, *_with_tag(_from_the_host(segment), tag)) == {}


# -- in the name of others ------------------------------------------------------------------------

CLAIMS = [METADATA_IP, HV_LOCALS[A], HV_LOCALS[B], "100.127.0.0", "100.127.255.255"]


def _arp_claims(segment: Segment, sender: str) -> list[Frame]:
    frames = []
    meta, local = segment.meta_mac, segment.host.local_mac
    for spa, eth_src, eth_dst, sha in product(
        CLAIMS,
        (MACS[sender], local),
        (BROADCAST, MACS[B], MACS[UPLINK], meta, local),
        (MACS[sender], meta),
    ):
        addressed = {"eth_src": eth_src, "eth_dst": eth_dst, "spa": spa, "sha": sha}
        frames += [
            arp(2, tpa=IPS[B], tha=MACS[B], **addressed),  # an answer
            arp(1, tpa=spa, **addressed),  # an announcement (RFC 5227)
            arp(2, tpa=spa, **addressed),
            arp(1, tpa=IPS[B], **addressed),  # a question that teaches the one asked
        ]
    return frames


def _addressees(segment: Segment) -> list[tuple[str, str]]:
    """MAC and IP: a droplet, everyone, whoever is behind the uplink, the host."""
    return [
        (MACS[B], IPS[B]),
        (BROADCAST, "10.20.0.255"),
        (MACS[UPLINK], "192.0.2.1"),
        (segment.host.local_mac, MANAGEMENT_IP),
    ]


def _ip_claims(segment: Segment, sender: str) -> list[Frame]:
    frames = []
    for source, (eth_dst, target) in product(CLAIMS, _addressees(segment)):
        ip = Ether(src=MACS[sender], dst=eth_dst) / IP(src=source, dst=target)
        frames += [udp(MACS[sender], eth_dst, source, target, b"x"), raw(ip / ICMP())]
        frames += [raw(ip / TCP(sport=80, dport=5000, flags="SA"))]
        frames += [raw(ip.__class__(raw(ip)) / Raw(b"x" * 24))]
    return frames


@pytest.mark.parametrize("claims", [_arp_claims, _ip_claims])
@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_nobody_else_speaks_for_the_metadata_address_or_an_hv_local_one(
    segment: Segment, claims: Callable[[Segment, str], list[Frame]], tag: int | None
) -> None:
    arrived = segment.arrived(A, *_with_tag(claims(segment, A), tag))
    # The switch itself answers the questions for the metadata address, to the one who asks.
    assert set(arrived) <= {A}
    assert [word for word in arrived.get(A, []) if "is at" not in word] == []


def test_nobody_uses_meta0s_mac(segment: Segment) -> None:
    frames = [
        udp(segment.meta_mac, MACS[B], IPS[A], IPS[B], b"x"),
        udp(segment.meta_mac, BROADCAST, IPS[A], "10.20.0.255", b"x"),
        arp(1, eth_src=segment.meta_mac, spa=IPS[A], tpa=IPS[B]),
    ]
    for tag in (None, 5):
        assert segment.arrived(A, *_with_tag(frames, tag)) == {}


def test_questions_for_the_metadata_address_go_no_further(segment: Segment) -> None:
    questions = [
        arp(1, eth_src=MACS[A], eth_dst=eth_dst, spa=spa, tpa=METADATA_IP)
        for eth_dst in (BROADCAST, segment.meta_mac, MACS[B])
        for spa in (IPS[A], "0.0.0.0", IPS[B])
    ]
    answers = segment.arrived(A, *questions)
    assert set(answers) == {A}
    assert len(answers[A]) == len(questions)
    assert segment.arrived(A, *_with_tag(questions, 5)) == {}
    from_nobody = [arp(1, eth_src=NOBODY, spa=IPS[A], tpa=METADATA_IP)]
    assert segment.arrived(A, *from_nobody) == {}
    from_uplink = [arp(1, eth_src=MACS[UPLINK], spa=IPS[UPLINK], tpa=METADATA_IP)]
    assert segment.arrived(UPLINK, *from_uplink) == {}


# -- ordinary traffic -----------------------------------------------------------------------------


def _ordinary(sender: str, receiver: str) -> list[Frame]:
    l2 = Ether(src=MACS[sender], dst=MACS[receiver])
    ip = IP(src=IPS[sender], dst=IPS[receiver])
    packets = [
        l2 / ip / ICMP(),
        l2 / ip / TCP(sport=5000, dport=80, flags="S"),
        l2 / ip / TCP(sport=80, dport=5000, flags="SA"),
        l2 / IP(src=IPS[sender], dst="169.254.7.7") / TCP(sport=5000, dport=80),
        l2 / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest(),
        l2 / Dot1Q(vlan=5) / ip / ICMP(),
        l2 / Raw(b"x" * 50),
    ]
    arps = [arp(2, eth_src=MACS[sender], eth_dst=MACS[receiver], spa=IPS[sender], tpa="10.20.0.9")]
    return [raw(packet) for packet in packets] + arps


@pytest.mark.parametrize(("sender", "receiver"), [(A, B), (B, A), (A, UPLINK), (UPLINK, A)])
def test_ordinary_traffic_flows(segment: Segment, sender: str, receiver: str) -> None:
    frames = _ordinary(sender, receiver)
    # This teaches the switch where the receiver is.
    hello = udp(MACS[receiver], BROADCAST, IPS[receiver], "10.20.0.255", b"x")
    segment.arrived(receiver, hello, tagged(hello, 5))
    segment.host.ovs.appctl("revalidator/purge")
    arrived = segment.arrived(sender, *frames)
    assert set(arrived) == {receiver}
    assert len(arrived[receiver]) == len(frames)


# -- a restart of Open vSwitch --------------------------------------------------------------------


@contextmanager
def _storm(segment: Segment) -> Iterator[None]:
    """A droplet and the uplink send all they have, over and over, meanwhile."""
    over = threading.Event()

    def send(wire: Wire, frames: list[Frame]) -> None:
        order = random.Random(1)
        while not over.is_set():
            # More than Open vSwitch takes: what is lost must not always be the same.
            order.shuffle(frames)
            wire.send(frames[:BURST])

    senders = [(segment.wires[name], _everything(segment, name)) for name in (A, UPLINK)]
    threads = [threading.Thread(target=send, args=sender) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _everything(segment: Segment, sender: str) -> list[Frame]:
    frames = _floods(segment, sender) + _arp_claims(segment, sender)
    for eth_dst in TO_THE_ADDRESS.values():
        frames += _others(segment, sender, eth_dst, METADATA_IP)
    frames += _others(segment, sender, META, MANAGEMENT_IP)
    return frames + _with_tag(frames, 4095)


def test_nothing_arrives_while_open_vswitch_restarts(cloud: Cloud, segment: Segment) -> None:
    host = segment.host
    trespass = trespassers(host)
    with _storm(segment):
        host.ovs.stop_vswitchd(signal.SIGKILL)
        host.ovs.start_vswitchd()
        for name in (A, B):
            cloud.wait_serving(host, name, OFPORTS[name])
    # It may still act on what it cached while it had no flows.
    host.ovs.appctl("revalidator/purge")
    segment.arrived(A)
    segment.arrived(UPLINK)
    assert list(map(shown, trespass.drain())) == []
    with sabotaged(host, OPEN_VLAN):
        segment.arrived(A, *_floods(segment, A))
    assert trespass.drain() != [], "it would not have been seen"
    trespass.close()


# -- each guard taken away ------------------------------------------------------------------------

_DROP = r"priority=4000,{} actions=drop"


def _without(*matches: str, open_vlan: bool = False) -> Sabotage:
    return Sabotage(without=[_DROP.format(match) for match in matches], open_vlan=open_vlan)


def _to_meta(segment: Segment, eth_dst: str, target: str) -> Arrived:
    return segment.arrived(A, *_others(segment, A, eth_dst, target))


LEAKS: dict[str, tuple[Sabotage, Callable[[Segment], object]]] = {
    "meta0's VLAN": (OPEN_VLAN, lambda s: at_meta(s.arrived(A, *_floods(s, A)))),
    "the guard of VID 4095": (
        _without("dl_vlan=4095"),
        lambda s: at_meta(s.arrived(A, *_with_tag(_floods(s, A), 4095))),
    ),
    "the guards of meta0's MAC": (
        _without("dl_dst=[0-9a-f:]+", open_vlan=True),
        lambda s: at_meta(_to_meta(s, META, MANAGEMENT_IP)),
    ),
    "the guard of the metadata address": (
        _without("ip,nw_dst=169.254.169.254", open_vlan=True),
        lambda s: at_meta(_to_meta(s, NOBODY, METADATA_IP)),
    ),
    "the guard before meta0": (
        _without(r"in_port=\d+", open_vlan=True),
        lambda s: s.arrived(META, *_from_the_host(s)),
    ),
    "+est in R2": (
        Sabotage(instead={r"ct_state=\+est\+trk": "ct_state=+trk"}),
        lambda s: s.arrived(META, *_from_the_host(s)),
    ),
    "the guard of ARP from the metadata address": (
        _without("arp,arp_spa=169.254.169.254"),
        lambda s: B in s.arrived(A, *_arp_claims(s, A)),
    ),
    "the guard of ARP from hv-local addresses": (
        _without("arp,arp_spa=100.127.0.0/16"),
        lambda s: B in s.arrived(A, *_arp_claims(s, A)),
    ),
    "the guard of the metadata address as a source": (
        _without("ip,nw_src=169.254.169.254"),
        lambda s: B in s.arrived(A, *_ip_claims(s, A)),
    ),
    "the guard of hv-local addresses as a source": (
        _without("ip,nw_src=100.127.0.0/16"),
        lambda s: B in s.arrived(A, *_ip_claims(s, A)),
    ),
    "the guard of meta0's MAC as a source": (
        _without("dl_src=[0-9a-f:]+"),
        lambda s: s.arrived(A, udp(s.meta_mac, MACS[B], IPS[A], IPS[B], b"x")),
    ),
    "the guard of questions for the metadata address": (
        _without("arp,arp_tpa=169.254.169.254"),
        lambda s: s.arrived(A, arp(1, eth_src=NOBODY, spa=IPS[A], tpa=METADATA_IP)),
    ),
}


@pytest.mark.parametrize(("sabotage", "leak"), LEAKS.values(), ids=LEAKS)
def test_without_its_guard_it_does_arrive(
    segment: Segment, sabotage: Sabotage, leak: Callable[[Segment], object]
) -> None:
    """Else the tests above would prove nothing."""
    with sabotaged(segment.host, sabotage):
        assert leak(segment)
