"""The frames a droplet may write, honest and hostile, and what a frame that arrived says.

Pure: bytes in, bytes out; sending is `wire.py`'s. The packet language is scapy's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    IPv6,
)
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from tests.system.wire import Frame

METADATA_IP = "169.254.169.254"
HTTP_PORT = 80
BROADCAST = "ff:ff:ff:ff:ff:ff"
STP_GROUP = "01:80:c2:00:00:00"
LLDP_GROUP = "01:80:c2:00:00:0e"
NOBODY = "02:00:5e:00:00:99"
"""A unicast address that no switch has learned."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Who a frame says it is from and to, on the wire and in IP."""

    eth_src: str
    eth_dst: str
    source: str
    sport: int = 20000
    target: str = METADATA_IP
    dport: int = HTTP_PORT


# IEEE 802.1AB: chassis id, port id, time to live, end.
_LLDP = bytes.fromhex("0207 0402005e000099  0402 0770  0602 0078  0000")

Family = Callable[[Aim], list[Packet]]


def _ip(aim: Aim, **fields: object) -> Packet:
    return Ether(src=aim.eth_src, dst=aim.eth_dst) / IP(src=aim.source, dst=aim.target, **fields)


def _tcp(aim: Aim, flags: str, **fields: object) -> Packet:
    return TCP(sport=aim.sport, dport=aim.dport, flags=flags, seq=1000, ack=1, **fields)


def syn(aim: Aim, ident: int = 1) -> Frame:
    """An honest SYN; `ident` is IP's identification, which NAT leaves as it is."""
    return raw(_ip(aim, id=ident) / _tcp(aim, "S"))


def reset(aim: Aim) -> Frame:
    """A RST that ends what `syn` began."""
    return raw(_ip(aim) / TCP(sport=aim.sport, dport=aim.dport, flags="R", seq=1001))


def acknowledgement(aim: Aim, seq: int, ack: int) -> Frame:
    """An ACK in the midst of a connection, with the window wide open."""
    tcp = TCP(sport=aim.sport, dport=aim.dport, flags="A", seq=seq, ack=ack, window=65535)
    return raw(_ip(aim) / tcp)


def _flags(flags: str) -> Family:
    return lambda aim: [_ip(aim) / _tcp(aim, flags)]


def _wrong_checksum(aim: Aim) -> list[Packet]:
    right = TCP(raw(_ip(aim) / _tcp(aim, "S"))[34:]).chksum
    return [_ip(aim) / _tcp(aim, "S", chksum=wrong) for wrong in (right ^ 0x1111, 0)]


def _wrong_lengths(aim: Aim) -> list[Packet]:
    return [
        _ip(aim) / _tcp(aim, "S", dataofs=15),  # beyond the packet's end
        _ip(aim) / _tcp(aim, "S", dataofs=2),  # shorter than a TCP header
        _ip(aim, len=28) / _tcp(aim, "S"),  # IP ends within the TCP header
        _ip(aim, len=1400) / _tcp(aim, "S"),  # IP ends beyond the frame
        _ip(aim, chksum=0x0BAD) / _tcp(aim, "S"),
        _ip(aim, ihl=15) / _tcp(aim, "S"),
    ]


def _fragments(aim: Aim) -> list[Packet]:
    """A request cut in three, with the TCP header whole in the first."""
    return fragment(_ip(aim, id=77) / _tcp(aim, "S") / Raw(b"x" * 56), fragsize=32)


def _large_fragments(aim: Aim) -> list[Packet]:
    """Userspace conntrack puts together fragments of 1200 bytes and more only."""
    return fragment(_ip(aim, id=76) / _tcp(aim, "S") / Raw(b"x" * 3000), fragsize=1400)


def _first_fragment(aim: Aim) -> list[Packet]:
    return _fragments(aim)[:1]


def _later_fragments(aim: Aim) -> list[Packet]:
    return _fragments(aim)[1:]


def _tiny_fragments(aim: Aim) -> list[Packet]:
    """RFC 1858: the first has eight bytes, ports and no flags."""
    return fragment(_ip(aim, id=78) / _tcp(aim, "S") / Raw(b"x" * 8), fragsize=8)


def _overlapping_fragments(aim: Aim) -> list[Packet]:
    """RFC 1858: the second one writes another TCP header over the first one's."""
    header = raw(_ip(aim) / _tcp(aim, "S"))[34:]
    other = raw(_ip(aim) / TCP(sport=aim.sport, dport=22, flags="SA"))[34:]
    pieces = ((0, "MF", header + b"x" * 4), (8, "MF", other[8:] + b"y" * 4), (24, 0, b"z" * 8))
    return [
        _ip(aim, id=79, proto=6, flags=flags, frag=offset // 8) / Raw(piece)
        for offset, flags, piece in pieces
    ]


def _tagged(*tags: Packet) -> Family:
    def family(aim: Aim) -> list[Packet]:
        packet = Ether(src=aim.eth_src, dst=aim.eth_dst)
        for tag in tags:
            packet = packet / tag
        return [packet / IP(src=aim.source, dst=aim.target) / _tcp(aim, "S")]

    return family


def _in_snap(aim: Aim) -> list[Packet]:
    """IP in IEEE 802.3 with LLC and SNAP, which some stacks take like Ethernet II."""
    inner = IP(src=aim.source, dst=aim.target) / _tcp(aim, "S")
    head = Dot3(src=aim.eth_src, dst=aim.eth_dst) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
    return [head / SNAP(OUI=0, code=0x0800) / inner]


# Conntrack finds these sound and translates them whatever their source is.
SOUND: dict[str, Family] = {
    "SYN": _flags("S"),
    # Open vSwitch takes IP in SNAP for IP. The host's kernel does not.
    "SYN in SNAP": _in_snap,
}

# They belong to no connection. Conntrack would begin one, but only a SYN may.
UNKNOWN: dict[str, Family] = {
    "ACK": _flags("A"),
    "PSH|ACK": _flags("PA"),
    "FIN|ACK": _flags("FA"),
    "RST": _flags("R"),
}

# Conntrack finds these invalid and leaves their source as the droplet wrote it.
INVALID: dict[str, Family] = {
    "SYN|ACK": _flags("SA"),
    "SYN|FIN": _flags("SF"),
    "FIN|PSH|URG": _flags("FPU"),
    "no flags": _flags(""),
    "all flags": _flags("FSRPAUEC"),
    "wrong checksum": _wrong_checksum,
    "wrong lengths": _wrong_lengths,
}

FRAGMENTS: dict[str, Family] = {
    "first fragment": _first_fragment,
    "later fragments": _later_fragments,
    "all fragments": _fragments,
    "large fragments": _large_fragments,
    "tiny fragments": _tiny_fragments,
    "overlapping fragments": _overlapping_fragments,
}

# Whatever their source is, even the droplet's own hv-local address, these are not N1's.
TAGGED: dict[str, Family] = {
    "802.1Q": _tagged(Dot1Q(vlan=5)),
    "priority tag": _tagged(Dot1Q(vlan=0, prio=3)),
    "empty tag": _tagged(Dot1Q(vlan=0, prio=0)),
    "VID 4095": _tagged(Dot1Q(vlan=4095)),
    "802.1ad": _tagged(Dot1AD(vlan=5)),
    "QinQ": _tagged(Dot1AD(vlan=5), Dot1Q(vlan=6)),
    "802.1Q twice": _tagged(Dot1Q(vlan=5), Dot1Q(vlan=4095)),
}

FAMILIES: dict[str, Family] = SOUND | UNKNOWN | INVALID | FRAGMENTS | TAGGED


def other_protocols(aim: Aim) -> Iterator[Packet]:
    """Everything that is not TCP to port 80, addressed as `aim` says."""
    l2, ip = Ether(src=aim.eth_src, dst=aim.eth_dst), _ip(aim)
    yield ip / ICMP() / Raw(b"ping")
    quoted = IP(src=aim.target, dst=aim.source) / TCP(sport=80, dport=aim.sport)
    yield ip / ICMP(type=3, code=4, nexthopmtu=68) / quoted
    yield ip / ICMP(type=5, code=1, gw=aim.source) / quoted
    yield ip / ICMP(type=13)
    for port in (53, 67, 68, 80, 123, 161, 4789, 5353, 6081):
        yield ip / UDP(sport=aim.sport, dport=port) / Raw(b"x" * 12)
    for port in (0, 1, 22, 79, 81, 443, 6640, 6653, 8080, 9180, 65535):
        for flags in ("S", "A"):
            yield ip / TCP(sport=aim.sport, dport=port, flags=flags)
    # From port 80, as a server's answer would come.
    yield ip / TCP(sport=80, dport=8080, flags="SA")
    yield ip / GRE() / IP(src=aim.source, dst=aim.target) / TCP(dport=80)
    for protocol in (4, 41, 50, 51, 88, 89, 103, 112, 132, 255):
        yield _ip(aim, proto=protocol) / Raw(b"x" * 24)
    yield from _ipv6(l2)
    yield Ether(src=aim.eth_src, dst=aim.eth_dst, type=0x88CC) / Raw(_LLDP)
    yield Dot3(src=aim.eth_src, dst=aim.eth_dst) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP()
    for ethertype in (0x0842, 0x8035, 0x8809, 0x888E, 0x8906, 0x8847, 0x88F7, 0x9000, 0xFFFF):
        yield Ether(src=aim.eth_src, dst=aim.eth_dst, type=ethertype) / Raw(b"x" * 46)


def _ipv6(l2: Packet) -> Iterator[Packet]:
    mapped = f"::ffff:{METADATA_IP}"
    for target in ("fe80::1", "ff02::1", "ff02::2", mapped, "fd00::1"):
        ip = IPv6(src="fe80::bad", dst=target)
        yield l2 / ip / ICMPv6EchoRequest()
        yield l2 / ip / TCP(sport=20000, dport=80, flags="S")
        yield l2 / ip / UDP(sport=546, dport=547) / Raw(b"x" * 8)
    everyone = IPv6(src="fe80::bad", dst="ff02::1", hlim=255)
    yield l2 / everyone / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64)
    yield l2 / everyone / ICMPv6ND_NS(tgt="fe80::1")
    yield l2 / everyone / ICMPv6ND_NA(tgt="fe80::1") / ICMPv6NDOptDstLLAddr(lladdr=NOBODY)


def arp(
    operation: int,
    *,
    eth_src: str,
    eth_dst: str = BROADCAST,
    spa: str,
    tpa: str,
    sha: str | None = None,
    tha: str = "00:00:00:00:00:00",
    tag: int | None = None,
) -> Frame:
    """An ARP packet; operation 1 asks, 2 answers."""
    head = Ether(src=eth_src, dst=eth_dst)
    if tag is not None:
        head = head / Dot1Q(vlan=tag)
    return raw(head / ARP(op=operation, hwsrc=sha or eth_src, psrc=spa, hwdst=tha, pdst=tpa))


def udp(eth_src: str, eth_dst: str, source: str, target: str, payload: bytes) -> Frame:
    """Ordinary traffic."""
    return raw(
        Ether(src=eth_src, dst=eth_dst)
        / IP(src=source, dst=target)
        / UDP(sport=7000, dport=7000)
        / Raw(payload)
    )


def tagged(frame: Frame, vid: int) -> Frame:
    """The same frame with an 802.1Q tag."""
    return frame[:12] + (0x8100).to_bytes(2) + vid.to_bytes(2) + frame[12:]


@dataclass(frozen=True, slots=True)
class TcpSeen:
    """What the fence cares about in an untagged TCP packet that arrived."""

    eth_dst: str
    source: IPv4Address
    target: IPv4Address
    sport: int
    dport: int
    ident: int
    seq: int
    ack: int
    window: int


def tcp_seen(frame: Frame) -> TcpSeen | None:
    """The untagged, unfragmented TCP over IPv4 in a frame; None for anything else."""
    packet = Ether(frame)
    if TCP not in packet or Dot1Q in packet or Dot1AD in packet or IPv6 in packet:
        return None
    ip, tcp = packet[IP], packet[TCP]
    if ip.frag or "MF" in ip.flags:
        return None
    return TcpSeen(
        packet.dst,
        IPv4Address(ip.src),
        IPv4Address(ip.dst),
        tcp.sport,
        tcp.dport,
        ip.id,
        tcp.seq,
        tcp.ack,
        tcp.window,
    )


def arp_seen(frame: Frame) -> ARP | None:
    """The untagged ARP in a frame; None for anything else."""
    return Ether(frame)[ARP] if frame[12:14] == b"\x08\x06" else None


def shown(frame: Frame) -> str:
    """A frame in one line, for people."""
    return Ether(frame).summary() + f" [{len(frame)} bytes, {frame[:14].hex(' ')}]"
