"""What a flow matches: one frozen value, validated when it is made. See ovs-fields(7)."""

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import ClassVar

from ryu_apps.openflow.mac import checked_mac

# In the order of their bits in ct_state, which is the order `ovs-ofctl` prints them in.
CT_STATE_BITS = {"new": 0x01, "est": 0x02, "rel": 0x04, "rpl": 0x08, "inv": 0x10, "trk": 0x20}

# In the order of their bits in the TCP header (RFC 9293, 3.1), likewise.
TCP_FLAG_BITS = {"fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20}

# protocol -> (dl_type, nw_proto); the keywords are those of ovs-fields(7).
PROTOCOLS: dict[str, tuple[int, int | None]] = {
    "arp": (0x0806, None),
    "ip": (0x0800, None),
    "tcp": (0x0800, 6),
}

_NEEDS = {
    "nw_src": ("ip", "tcp"),
    "nw_dst": ("ip", "tcp"),
    "tp_src": ("tcp",),
    "tp_dst": ("tcp",),
    "tcp_flags": ("tcp",),
    "arp_op": ("arp",),
    "arp_spa": ("arp",),
    "arp_tpa": ("arp",),
}

_LIMITS = {
    "in_port": 0xFFFFFFFF,
    "metadata": 0xFFFFFFFFFFFFFFFF,
    "ct_zone": 0xFFFF,
    "tp_src": 0xFFFF,
    "tp_dst": 0xFFFF,
    "arp_op": 0xFF,  # Open vSwitch keeps the opcodes of one octet only (ovs-fields(7)).
}


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags of the field `FIELD` that must be set and flags that must be clear."""

    set: frozenset[str] = frozenset()
    clear: frozenset[str] = frozenset()

    FIELD: ClassVar[str]
    BITS: ClassVar[dict[str, int]]

    def __post_init__(self) -> None:
        unknown = (self.set | self.clear) - self.BITS.keys()
        if unknown:
            raise ValueError(f"unknown {self.FIELD} flags {sorted(unknown)}")
        if self.set & self.clear:
            both = sorted(self.set & self.clear)
            raise ValueError(f"{self.FIELD} flags both set and clear: {both}")
        if not self.set | self.clear:
            raise ValueError(f"a {self.FIELD} without flags is no condition")

    def value_mask(self) -> tuple[int, int]:
        """The value and mask of the field."""
        value = sum(self.BITS[flag] for flag in self.set)
        return value, value | sum(self.BITS[flag] for flag in self.clear)


class CtState(Flags):
    """Flags of a packet's connection-tracking state."""

    FIELD = "ct_state"
    BITS = CT_STATE_BITS


class TcpFlags(Flags):
    """Flags of a TCP header."""

    FIELD = "tcp_flags"
    BITS = TCP_FLAG_BITS


@dataclass(frozen=True, slots=True)
class Match:
    """The fields a packet must have; None (False for `untagged`) matches any.

    `protocol` is a keyword of ovs-fields(7) or "" for any. IPv4 fields are networks, a single
    address is a /32. `untagged` asks for a frame without any 802.1Q header, priority tags
    included. Raises ValueError for a field out of range or without its prerequisite.
    """

    protocol: str = ""
    in_port: int | None = None
    metadata: int | None = None
    ct_state: CtState | None = None
    ct_zone: int | None = None
    untagged: bool = False
    dl_vlan: int | None = None
    dl_src: str | None = None
    dl_dst: str | None = None
    nw_src: IPv4Network | None = None
    nw_dst: IPv4Network | None = None
    arp_spa: IPv4Network | None = None
    arp_tpa: IPv4Network | None = None
    arp_op: int | None = None
    tp_src: int | None = None
    tp_dst: int | None = None
    tcp_flags: TcpFlags | None = None

    def __post_init__(self) -> None:
        if self.protocol and self.protocol not in PROTOCOLS:
            raise ValueError(f"unknown protocol {self.protocol!r}")
        for name, protocols in _NEEDS.items():
            if getattr(self, name) is not None and self.protocol not in protocols:
                raise ValueError(f"{name} needs one of {protocols}, not {self.protocol!r}")
        for name in ("nw_src", "nw_dst", "arp_spa", "arp_tpa"):
            network = getattr(self, name)
            if network is not None and not network.prefixlen:
                raise ValueError(f"{name}={network} is no condition")
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= limit:
                raise ValueError(f"{name}={value} is not in 0..{limit}")
        if self.dl_vlan is not None and (self.untagged or not 0 <= self.dl_vlan <= 0xFFF):
            raise ValueError(f"dl_vlan={self.dl_vlan} is no VLAN of a tagged frame")
        for mac in (self.dl_src, self.dl_dst):
            if mac is not None:
                checked_mac(mac)
