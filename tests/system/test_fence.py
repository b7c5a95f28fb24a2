"""The fence after NAT: whatever a droplet writes, meta0 sees its own hv-local address or nothing.

Conntrack leaves some packets untranslated: those it calls invalid, and all new ones once the
port's zone is full. Each test sends real frames from the droplet's namespace and looks at what
comes out of meta0. That nothing comes is shown by a sentinel which was sent later and does come.
"""

from collections.abc import Iterator
from itertools import count

import pytest
from scapy.compat import raw

from tests.system.cloud import META, Cloud, Host, hv_local
from tests.system.packets import (
    BROADCAST,
    FAMILIES,
    FRAGMENTS,
    INVALID,
    METADATA_IP,
    NOBODY,
    SOUND,
    STP_GROUP,
    TAGGED,
    UNKNOWN,
    Aim,
    arp_seen,
    shown,
    syn,
    tcp_seen,
)
from tests.system.sabotage import Sabotage, sabotaged
from tests.system.wire import Frame, Wire

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = pytest.mark.root

OFPORT, VICTIM = 602, 603
MAC = "a6:a4:8e:4a:e8:70"
ADDRESS = "10.0.0.5"
ZONE = OFPORT
"""zone_base is 0 here."""

OWN = str(hv_local(OFPORT))
SOURCES = {
    "its own": ADDRESS,
    "its own hv-local address": OWN,
    "another droplet's": "10.0.0.6",
    "another's hv-local address": str(hv_local(VICTIM)),
    "an unused hv-local address": "100.127.77.7",
    "the metadata address": METADATA_IP,
    "0.0.0.0": "0.0.0.0",
    "loopback": "127.0.0.1",
    "broadcast": "255.255.255.255",
    "multicast": "224.0.0.1",
}

# Open vSwitch does not look behind a second tag unless it is told to.
TWO_TAGS = ("QinQ", "802.1Q twice")

WRONG_MACS = {
    "another droplet's": "a6:a4:8e:4a:e8:71",
    "the switch's own": NOBODY,
    "broadcast": BROADCAST,
    "a group's": "a7:a4:8e:4a:e8:70",
    "none": "00:00:00:00:00:00",
}


class Attacker:
    """The hostile droplet, and the view of meta0 that tells what came of it."""

    def __init__(self, host: Host, wire: Wire, meta: Wire) -> None:
        self.host = host
        self.wire = wire
        self.meta = meta
        self.meta_mac = host.meta_mac
        self._idents = count(10000)
        self._sports = count(20000)

    def frames(
        self, family: str, *, eth_src: str = MAC, eth_dst: str | None = None, but: str = ""
    ) -> list[Frame]:
        """The frames of a family with every source `but` one, on connections of their own."""
        sport = next(self._sports)
        return [
            raw(packet)
            for source in SOURCES.values()
            if source != but
            for packet in FAMILIES[family](
                Aim(eth_src, eth_dst or self.meta_mac, source, sport=sport)
            )
        ]

    def arriving(self, *frames: Frame) -> list[Frame]:
        """Send the frames; what came out of meta0 of them."""
        self.meta.drain()
        self.wire.send(frames)
        return self.settle()

    def shown_arriving(self, family: str, **options: str) -> list[str]:
        """What of a family comes out of meta0, in words."""
        return list(map(shown, self.arriving(*self.frames(family, **options))))

    def settle(self) -> list[Frame]:
        """What came out of meta0 until all that was sent before has been dealt with.

        Open vSwitch takes a batch of frames at a time and sends some of them out of order. When
        the first sentinel comes out its batch was read, so the second is in a later batch.
        """
        return [*self._until_sentinel(), *self._until_sentinel()]

    def _until_sentinel(self) -> list[Frame]:
        """A SYN that is sent again and again: its connection outlives a limit of the zone."""
        ident = next(self._idents)
        aim = Aim(MAC, self.meta_mac, "10.99.0.1", sport=19999)

        def is_sentinel(frame: Frame) -> bool:
            seen = tcp_seen(frame)
            return seen is not None and (seen.sport, seen.ident) == (19999, ident)

        return self.meta.until(
            is_sentinel, "the sentinel on meta0", ask=lambda: self.wire.send([syn(aim, ident)])
        )


@pytest.fixture(scope="module")
def attacker(cloud: Cloud) -> Iterator[Attacker]:
    """A registered droplet whose namespace writes what it likes."""
    droplet = cloud.plug(cloud.host, "tapfence", 7889371, ofport=OFPORT, mac=MAC)
    wire = Wire(droplet.namespace, "eth0")
    meta = Wire(cloud.host.namespace, META)
    yield Attacker(cloud.host, wire, meta)
    wire.close()
    meta.close()
    cloud.unplug(cloud.host, droplet, 7889371)


@pytest.fixture
def full_zone(attacker: Attacker) -> Iterator[None]:
    """The droplet's conntrack zone takes no further connection."""
    attacker.settle()
    appctl = attacker.host.ovs.appctl
    # Open vSwitch counts from here on.
    appctl("dpctl/ct-set-limits", f"zone={ZONE},limit=1")
    attacker.arriving(attacker.frames("SYN")[0])
    assert f"zone={ZONE},limit=1,count=1" in appctl("dpctl/ct-get-limits", f"zone={ZONE}")
    yield
    appctl("dpctl/ct-del-limits", f"zone={ZONE}")


@pytest.fixture
def two_tags_parsed(attacker: Attacker) -> Iterator[None]:
    """The operator lets Open vSwitch look behind two VLAN tags."""
    vsctl = attacker.host.ovs.vsctl
    vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
    yield
    vsctl("remove", "Open_vSwitch", ".", "other_config", "vlan-limit")


def trespasses(frames: list[Frame], meta_mac: str) -> list[str]:
    """Those among `frames` that the host must not see from this droplet, in words."""
    return [shown(frame) for frame in frames if not _is_own(frame, meta_mac)]


def _is_own(frame: Frame, meta_mac: str) -> bool:
    seen = tcp_seen(frame)
    if seen is not None:
        return (seen.eth_dst, seen.source, str(seen.target), seen.dport) == (
            meta_mac,
            hv_local(OFPORT),
            METADATA_IP,
            80,
        )
    # The switch answers the host's question for the droplet's hv-local address.
    arp = arp_seen(frame)
    return arp is not None and (arp.op, arp.psrc) == (2, str(hv_local(OFPORT)))


@pytest.mark.parametrize("family", SOUND)
def test_a_sound_packet_arrives_translated_whatever_its_source(
    attacker: Attacker, family: str
) -> None:
    frames = attacker.frames(family)
    arrived = attacker.arriving(*frames)
    assert trespasses(arrived, attacker.meta_mac) == []
    assert len(list(filter(None, map(tcp_seen, arrived)))) == len(frames)


@pytest.mark.parametrize("family", UNKNOWN)
def test_nothing_arrives_of_an_unknown_connection(attacker: Attacker, family: str) -> None:
    """Its own hv-local address, written by itself, is no trespass; nothing else passes."""
    assert attacker.shown_arriving(family, but=OWN) == []
    assert trespasses(attacker.arriving(*attacker.frames(family)), attacker.meta_mac) == []


@pytest.mark.parametrize("family", INVALID | FRAGMENTS | TAGGED)
def test_nothing_else_arrives(attacker: Attacker, family: str) -> None:
    assert attacker.shown_arriving(family) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_arrives_while_the_zone_is_full(
    attacker: Attacker, full_zone: None, family: str
) -> None:
    """Its own hv-local address, written by itself, is no trespass; nothing else passes."""
    assert attacker.shown_arriving(family, but=OWN) == []
    assert trespasses(attacker.arriving(*attacker.frames(family)), attacker.meta_mac) == []


@pytest.mark.parametrize("eth_src", WRONG_MACS.values(), ids=WRONG_MACS)
def test_a_wrong_source_mac_gets_nothing_through(attacker: Attacker, eth_src: str) -> None:
    for family in ("SYN", "ACK", "SYN|ACK", "802.1Q"):
        assert attacker.shown_arriving(family, eth_src=eth_src) == []


@pytest.mark.parametrize("eth_dst", [BROADCAST, STP_GROUP, "01:00:5e:00:00:01", NOBODY, "LOCAL"])
def test_it_matters_not_whom_the_frame_is_addressed_to(attacker: Attacker, eth_dst: str) -> None:
    if eth_dst == "LOCAL":
        eth_dst = attacker.host.local_mac
    frames = attacker.frames("SYN", eth_dst=eth_dst)
    arrived = attacker.arriving(*frames)
    assert trespasses(arrived, attacker.meta_mac) == []
    assert len(list(filter(None, map(tcp_seen, arrived)))) == len(frames)
    for family in INVALID | FRAGMENTS | TAGGED:
        assert attacker.shown_arriving(family, eth_dst=eth_dst) == []


@pytest.mark.parametrize("family", TWO_TAGS)
def test_nothing_arrives_from_behind_two_tags(
    attacker: Attacker, two_tags_parsed: None, family: str
) -> None:
    assert attacker.shown_arriving(family) == []
    with sabotaged(attacker.host, NO_UNTAGGED_IN_N1):
        assert attacker.shown_arriving(family) != []


L1_MATCH = (
    rf"ct_state=-inv\+trk,ct_zone={ZONE},tcp,in_port={OFPORT},"
    rf"nw_src={OWN},nw_dst={METADATA_IP},tp_dst=80"
)
NO_FENCE = Sabotage(instead={L1_MATCH: f"tcp,in_port={OFPORT}"})
NO_SOURCE_IN_L1 = Sabotage(instead={rf"(table=25.*),nw_src={OWN}": r"\1"})
NO_SYN_IN_N1 = Sabotage(instead={rf"(tcp,in_port={OFPORT}.*),tcp_flags=\+syn-ack": r"\1"})
NO_INVALID_IN_L1 = Sabotage(instead={r"ct_state=-inv\+trk": "ct_state=+trk"})
NO_UNTAGGED_IN_N1 = Sabotage(instead={rf"(tcp,in_port={OFPORT}),vlan_tci=0x0000/0x1fff": r"\1"})
NO_PORT_IN_N1_AND_L1 = Sabotage(instead={rf"(tcp.*in_port={OFPORT}.*),tp_dst=80": r"\1"})
NO_MAC_IN_N1 = Sabotage(instead={rf"(tcp,in_port={OFPORT}.*),dl_src={MAC}": r"\1"})

ALL_MACS = [{"eth_src": mac} for mac in WRONG_MACS.values()]

LEAKS = {
    "the fence": (NO_FENCE, INVALID, [{}]),
    "its own source in L1": (NO_SOURCE_IN_L1, UNKNOWN, [{"but": OWN}]),
    "SYN alone in N1": (NO_SYN_IN_N1, UNKNOWN, [{"but": OWN}]),
    "-inv in L1": (NO_INVALID_IN_L1, INVALID, [{}]),
    "untagged in N1": (NO_UNTAGGED_IN_N1, [one for one in TAGGED if one not in TWO_TAGS], [{}]),
    "tcp/80 in N1 and L1": (NO_PORT_IN_N1_AND_L1, ["large fragments"], [{}]),
    "MAC in N1": (NO_MAC_IN_N1, ["SYN"], ALL_MACS),
}


@pytest.mark.parametrize(("sabotage", "families", "aims"), LEAKS.values(), ids=LEAKS)
def test_without_its_guard_it_does_arrive(
    attacker: Attacker, sabotage: Sabotage, families: list[str], aims: list[dict[str, str]]
) -> None:
    """Else the tests above would prove nothing."""
    with sabotaged(attacker.host, sabotage):
        for family in families:
            for aim in aims:
                assert attacker.shown_arriving(family, **aim) != [], (family, aim)


def test_without_the_fence_a_full_zone_lets_forged_sources_through(
    attacker: Attacker, full_zone: None
) -> None:
    for sabotage, families in (
        (NO_SOURCE_IN_L1, ("SYN", "SYN in SNAP")),
        (NO_FENCE, ("SYN", "SYN|ACK")),
    ):
        with sabotaged(attacker.host, sabotage):
            for family in families:
                arrived = attacker.arriving(*attacker.frames(family))
                assert trespasses(arrived, attacker.meta_mac) != [], family
