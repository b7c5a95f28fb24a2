"""The one place that maps ofport <-> hv-local address <-> ct zone.

The talk: "map the 16 bits OVS openflow port, ofPort 2 => 100.127.0.2", with the ofport as the
conntrack zone. The zone base lets several bridges share one datapath.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

# OFPP_MAX of Open vSwitch is 0xff00; ofports are below it, 0 is none.
MAX_OFPORT = 0xFEFF
MAX_ZONE = 0xFFFF


class OfportOutOfRange(ValueError):
    """An ofport that has no hv-local address or zone under these settings; says which and why."""


@dataclass(frozen=True, slots=True)
class Addressing:
    """The hv-local subnet and the zone base of one bridge.

    `hv_local(ofport)` is the subnet's network address + ofport; the subnet's last address, its
    broadcast, is never used. `zone(ofport)` is `zone_base` + ofport and never 0. Raises ValueError
    for a subnet too small to hold a single ofport or a zone base that leaves no zone.
    """

    hv_local_subnet: IPv4Network
    zone_base: int = 0
    # Both asked for several times for each port: what `ofports` and `hv_local` come to.
    _limit: int = field(init=False, repr=False, compare=False)
    _network: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.hv_local_subnet.num_addresses < 4:
            raise ValueError(f"hv_local_subnet {self.hv_local_subnet} holds no ofport")
        if not 0 <= self.zone_base < MAX_ZONE:
            raise ValueError(f"zone_base {self.zone_base} is not in 0..{MAX_ZONE - 1}")
        last = self.hv_local_subnet.num_addresses - 2
        object.__setattr__(self, "_limit", min(MAX_OFPORT, last, MAX_ZONE - self.zone_base))
        object.__setattr__(self, "_network", int(self.hv_local_subnet.network_address))

    @property
    def ofports(self) -> range:
        """Every ofport that has an address and a zone."""
        return range(1, self._limit + 1)

    def refusal(self, ofport: int) -> str | None:
        """Why `ofport` has no address and no zone, or None."""
        if 1 <= ofport <= self._limit:
            return None
        return (
            f"ofport {ofport} is not in 1..{self.ofports.stop - 1}, what hv_local_subnet "
            f"{self.hv_local_subnet} and zone_base {self.zone_base} leave room for"
        )

    def hv_local(self, ofport: int) -> IPv4Address:
        """The address the metadata server sees for `ofport`; raises OfportOutOfRange."""
        return IPv4Address(self._network + self._checked(ofport))

    def zone(self, ofport: int) -> int:
        """The ct zone of `ofport`; raises OfportOutOfRange."""
        return self.zone_base + self._checked(ofport)

    def ofport_of(self, address: IPv4Address) -> int:
        """The ofport behind an hv-local address; raises OfportOutOfRange for any other address."""
        ofport = int(address) - self._network
        if ofport not in self.ofports:
            raise OfportOutOfRange(f"{address} is no hv-local address of {self.hv_local_subnet}")
        return ofport

    def ofport_of_zone(self, zone: int) -> int:
        """The ofport of a ct zone; raises OfportOutOfRange for a zone that is not ours."""
        if zone - self.zone_base not in self.ofports:
            raise OfportOutOfRange(f"zone {zone} is not of zone base {self.zone_base}")
        return zone - self.zone_base

    def clash_with(self, other: "Addressing") -> str | None:
        """Why two bridges of one host cannot use these two settings together, or None."""
        if self.hv_local_subnet.overlaps(other.hv_local_subnet):
            return f"hv_local_subnet {self.hv_local_subnet} overlaps {other.hv_local_subnet}"
        mine, theirs = self._zones(), other._zones()
        if mine.start < theirs.stop and theirs.start < mine.stop:
            return (
                f"ct zones {mine.start}..{mine.stop - 1} overlap {theirs.start}..{theirs.stop - 1}"
            )
        return None

    def _zones(self) -> range:
        ofports = self.ofports
        return range(self.zone_base + ofports.start, self.zone_base + ofports.stop)

    def _checked(self, ofport: int) -> int:
        refusal = self.refusal(ofport)
        if refusal is not None:
            raise OfportOutOfRange(refusal)
        return ofport
