"""The packets of a request: as `ofproto/trace` takes them, and the bytes of a real one. Pure."""

import struct
from ipaddress import IPv4Address

from ryu_apps.dropletctl.trace.values import Place

PROBE_SOURCE = IPv4Address("192.0.2.1")
"""TEST-NET-1 (RFC 5737): the answer to the probe reaches the droplet's port, and nobody there."""

SYN, RST = 0x02, 0x04
_EPHEMERAL = 4444


def question(place: Place) -> str:
    """The droplet's ARP request for the metadata address."""
    mac, metadata = place.port.mac, place.settings.metadata_ip
    return (
        f"in_port={place.port.ofport},arp,dl_src={mac},dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,"
        f"arp_sha={mac},arp_spa={PROBE_SOURCE},arp_tpa={metadata}"
    )


def request(place: Place) -> str:
    """The droplet's SYN. `ofproto/trace` does not translate, so its source is what it will be."""
    settings = place.settings
    return (
        f"in_port={place.port.ofport},tcp,dl_src={place.port.mac},dl_dst={place.meta.mac},"
        f"nw_src={place.hv_local},nw_dst={settings.metadata_ip},nw_ttl=64,"
        f"tp_src={_EPHEMERAL},tp_dst={settings.metadata_port},tcp_flags=syn"
    )


def reply(place: Place) -> str:
    """The server's SYN|ACK."""
    settings = place.settings
    return (
        f"in_port={place.meta.ofport},tcp,dl_src={place.meta.mac},dl_dst={place.port.mac},"
        f"nw_src={settings.metadata_ip},nw_dst={place.hv_local},nw_ttl=64,"
        f"tp_src={settings.metadata_port},tp_dst={_EPHEMERAL},tcp_flags=syn|ack"
    )


def probe(place: Place, source_port: int, flags: int) -> bytes:
    """A real frame of the droplet's, a SYN or the RST that ends what it began (RFC 791, 9293)."""
    settings = place.settings
    addresses = PROBE_SOURCE.packed + settings.metadata_ip.packed
    sequence = 0 if flags == SYN else 1
    ports = (source_port, settings.metadata_port)

    def tcp(checksum: int) -> bytes:
        return struct.pack("!HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 1024, checksum, 0)

    def ip(checksum: int) -> bytes:
        return struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, checksum) + addresses

    segment = tcp(_checksum(addresses + struct.pack("!HH", 6, 20) + tcp(0)))
    ethernet = _octets(place.meta.mac) + _octets(place.port.mac) + b"\x08\x00"
    return ethernet + ip(_checksum(ip(0))) + segment


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total ^ 0xFFFF
