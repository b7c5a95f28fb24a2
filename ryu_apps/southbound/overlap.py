"""Which flows of others stand before ours: pure, on images.

Two flows meet where no field that both match tells them apart. Ours are thousands, but alike: what
the flows of two ports have in common is the shape of all of them.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from ryu_apps.southbound.encode import Image

Fields = dict[tuple[int, int, bytes], tuple[int, int]]
"""OXM (class, field, experimenter) to (value, mask)."""

_HEADER = struct.Struct("!HBB")
_EXPERIMENTER_CLASS = 0xFFFF
_IN_PORT = (0x8000, 0, b"")
# ipv4_src, ipv4_dst, arp_spa and arp_tpa (OpenFlow 1.3.5, table 12).
_ADDRESSES = frozenset((0x8000, field, b"") for field in (11, 12, 22, 23))


def fields_of(match: bytes) -> Fields:
    """The OXM fields of a match (OpenFlow 1.3.5, 7.2.3)."""
    found: Fields = {}
    position = 0
    while position < len(match):
        oxm_class, field, length = _HEADER.unpack_from(match, position)
        body = match[position + 4 : position + 4 + length]
        position += 4 + length
        experimenter = body[:4] if oxm_class == _EXPERIMENTER_CLASS else b""
        body = body[len(experimenter) :]
        if field & 1:
            half = len(body) // 2
            value, mask = int.from_bytes(body[:half], "big"), int.from_bytes(body[half:], "big")
        else:
            value, mask = int.from_bytes(body, "big"), (1 << 8 * len(body)) - 1
        found[oxm_class, field >> 1, experimenter] = value, mask
    return found


def meet(one: Fields, other: Fields) -> bool:
    """Whether there is a packet that matches both."""
    return all(
        not (value ^ other[field][0]) & mask & other[field][1]
        for field, (value, mask) in one.items()
        if field in other
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """What many flows of ours have in common."""

    table: int
    priority: int
    fields: Fields


def shapes(
    some: Sequence[Image], others: Sequence[Image], hv_local_subnet: IPv4Network
) -> list[Shape]:
    """The shapes of the flows of all ports, from those of two."""
    subnet = int(hv_local_subnet.network_address), int(hv_local_subnet.netmask)
    found = []
    for one, other in zip(some, others, strict=True):
        theirs = fields_of(other.match)
        same: Fields = {}
        for key, (value, mask) in fields_of(one.match).items():
            if theirs.get(key) == (value, mask):
                same[key] = value, mask
            elif key in _ADDRESSES and value & subnet[1] == subnet[0]:
                same[key] = subnet
        found.append(Shape(one.table, one.priority, same))
    return found


def captures(foreign: Image, ours: Iterable[Shape], ofports: Iterable[int]) -> bool:
    """Whether the flow takes traffic of ours away, or may: it is as high as one of ours or higher.

    A flow for one port alone takes it only where that is one of `ofports`, those of our traffic.
    """
    fields = fields_of(foreign.match)
    value, mask = fields.get(_IN_PORT, (0, 0))
    if mask and not any((value ^ ofport) & mask == 0 for ofport in ofports):
        return False
    return any(
        foreign.table == shape.table
        and foreign.priority >= shape.priority
        and meet(fields, shape.fields)
        for shape in ours
    )
