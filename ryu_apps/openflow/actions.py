"""What a flow does: one frozen value for each action this project uses. See ovs-actions(7)."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from ryu_apps.openflow.mac import checked_mac

# Fields that `load` and `move` name, with their width in bits (ovs-fields(7)).
FIELD_BITS = {
    "NXM_OF_ETH_DST": 48,
    "NXM_OF_ETH_SRC": 48,
    "NXM_OF_ARP_OP": 16,
    "NXM_OF_ARP_SPA": 32,
    "NXM_OF_ARP_TPA": 32,
    "NXM_NX_ARP_SHA": 48,
    "NXM_NX_ARP_THA": 48,
    "NXM_NX_IP_TTL": 8,
    "NXM_NX_CT_MARK": 32,
    "NXM_NX_CT_LABEL": 128,
    "OXM_OF_METADATA": 64,
}


def _check_table(table: int) -> None:
    if not 0 <= table <= 254:
        raise ValueError(f"table {table} is not in 0..254")


@dataclass(frozen=True, slots=True)
class Subfield:
    """The bits `start` .. `start + bits - 1` of a field; the whole field if not told otherwise."""

    field: str
    start: int = 0
    bits: int = 0

    def __post_init__(self) -> None:
        width = FIELD_BITS.get(self.field)
        if width is None:
            raise ValueError(f"unknown field {self.field!r}")
        if not self.bits:
            object.__setattr__(self, "bits", width - self.start)
        if self.start < 0 or self.bits < 1 or self.start + self.bits > width:
            raise ValueError(f"{self.field} has {width} bits, not {self.start}+{self.bits}")

    @property
    def whole(self) -> bool:
        """Whether this is all of the field."""
        return self.bits == FIELD_BITS[self.field]


@dataclass(frozen=True, slots=True)
class Load:
    """Nicira `load`: write a constant into a field (NXAST_REG_LOAD, at most 64 bits)."""

    value: int
    into: Subfield

    def __post_init__(self) -> None:
        if self.into.bits > 64:
            raise ValueError(f"load writes at most 64 bits, not {self.into}")
        if not 0 <= self.value < 1 << self.into.bits:
            raise ValueError(f"{self.value:#x} does not fit {self.into}")


@dataclass(frozen=True, slots=True)
class Move:
    """Nicira `move`: copy bits from one field to another of the same width (NXAST_REG_MOVE)."""

    source: Subfield
    into: Subfield

    def __post_init__(self) -> None:
        if self.source.bits != self.into.bits:
            raise ValueError(f"cannot move {self.source} into {self.into}: other width")


@dataclass(frozen=True, slots=True)
class SetDlSrc:
    """Write the Ethernet source address."""

    mac: str

    def __post_init__(self) -> None:
        checked_mac(self.mac)


@dataclass(frozen=True, slots=True)
class SetDlDst:
    """Write the Ethernet destination address."""

    mac: str

    def __post_init__(self) -> None:
        checked_mac(self.mac)


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet out of an ofport. It is never sent back where it came from: see InPort."""

    ofport: int

    def __post_init__(self) -> None:
        if not 1 <= self.ofport <= 0xFFFFFFFF:
            raise ValueError(f"ofport {self.ofport} is not in 1..{0xFFFFFFFF}")


@dataclass(frozen=True, slots=True)
class InPort:
    """Send the packet back out of the port it came in by."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Hand the packet to the switch's own L2 processing."""


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look the packet up in another table, then go on with the actions after this one."""

    table: int

    def __post_init__(self) -> None:
        _check_table(self.table)


@dataclass(frozen=True, slots=True)
class Nat:
    """NAT inside `ct`: to the source address `src`, or as the connection was committed."""

    src: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Ct:
    """Send the packet through conntrack (NXAST_CT).

    `zone` is the ct zone, `table` where a tracked copy of the packet is looked up next (None:
    nowhere, the packet goes on untracked), `exec` what is written into the connection.
    """

    zone: int
    commit: bool = False
    table: int | None = None
    nat: Nat | None = None
    exec: tuple[Load | Move, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.zone <= 0xFFFF:
            raise ValueError(f"ct zone {self.zone} is not in 0..65535")
        if self.table is not None:
            _check_table(self.table)
        if self.exec and not self.commit:
            raise ValueError("ct(exec(...)) needs commit")


Action = Load | Move | SetDlSrc | SetDlDst | Output | InPort | Normal | Resubmit | Ct
