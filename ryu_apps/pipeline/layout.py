"""Tables, priorities, cookies and registers of the pipeline, declared once.

Nothing here decides what to install; the flow modules beside it use these names.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv4Network

from ryu_apps.openflow.meter import MAX_METER_ID
from ryu_apps.pipeline.addressing import MAX_OFPORT, Addressing


class Priority(IntEnum):
    """The priority ladder.

    The numbers above GUARD are the talk's, but for REPLY_STALE_MAC and REQUEST_KNOWN.
    """

    ARP = 4030
    REPLY_UNTRACKED = 4012
    REPLY_STALE_MAC = 4011
    PATH = 4010
    REQUEST_KNOWN = 4009
    GUARD = 4000
    MISS = 0


class Pipeline(StrEnum):
    """Whose bridge it is: ours with an ordinary L2 switch around it, or a part of another's."""

    STANDALONE = "standalone"
    EMBEDDED = "embedded"


# Stands for "no port" where an ofport tells whom flows belong to; no port has this ofport.
SHARED_OFPORT = 0

# meta0 is a trunk port for this VLAN alone in OVSDB, so that NORMAL floods nothing into it; the id
# is reserved (IEEE 802.1Q), and frames that carry it are dropped. OpenFlow 1.3 cannot set OpenFlow
# 1.0's "no flood" on a port, and a port setting made by OpenFlow would not survive a restart.
DEAD_VLAN = 4095

# Milliseconds between attempts of Open vSwitch to reach its controller; its own default, 8000,
# would leave new bindings waiting.
MAX_BACKOFF = 1000

# The OpenFlow metadata field: 0 as a packet comes in, this once its reply went through conntrack.
REPLY_TRACKED = 1


@dataclass(frozen=True, slots=True)
class Tables:
    """OpenFlow table numbers. The ARP responder may share the classifier's table."""

    arp_responder: int = 0
    classifier: int = 0
    l2_rewrite: int = 25
    forwarding: int = 65

    def __post_init__(self) -> None:
        names = ("arp_responder", "classifier", "l2_rewrite", "forwarding")
        for name in names:
            if not 0 <= getattr(self, name) <= 253:
                raise ValueError(f"{name}_table {getattr(self, name)} is not in 0..253")
        if self.l2_rewrite == self.forwarding:
            raise ValueError(f"l2_rewrite_table and forwarding_table are both {self.forwarding}")
        for name in ("arp_responder", "classifier"):
            if getattr(self, name) in (self.l2_rewrite, self.forwarding):
                raise ValueError(
                    f"{name}_table {getattr(self, name)} is l2_rewrite_table or forwarding_table"
                )


@dataclass(frozen=True, slots=True)
class CookieMark:
    """Our mark: the top 16 bits of every cookie of ours.

    A cookie reads `mark | ofport | droplet id` in 16, 16 and 32 bits, so that a dump names the
    port and droplet of each flow; shared flows have ofport and droplet id 0, flows of a port that
    waits for its droplet have droplet id 0.
    """

    mark: int = 0x6D64

    MASK = 0xFFFF_0000_0000_0000
    EXACT = 0xFFFF_FFFF_FFFF_FFFF

    def __post_init__(self) -> None:
        if not 1 <= self.mark <= 0xFFFF:
            raise ValueError(f"cookie {self.mark:#x} is not in 0x1..0xffff")

    @property
    def shared(self) -> int:
        """The cookie of the flows that belong to no port; with MASK it finds all of ours."""
        return self.mark << 48

    def of_port(self, ofport: int, droplet_id: int = 0) -> int:
        """The cookie of all flows of one binding."""
        return self.shared | ofport << 32 | droplet_id

    def meter_of(self, ofport: int) -> int:
        """The id of the port's meter: `mark | ofport` in 16 and 16 bits."""
        return self.mark << 16 | ofport

    def metered_ofport(self, meter_id: int) -> int | None:
        """The ofport a meter of ours belongs to; None for the meter of somebody else."""
        return meter_id & 0xFFFF if meter_id >> 16 == self.mark else None

    @staticmethod
    def owner(cookie: int) -> tuple[int, int]:
        """The (ofport, droplet id) a cookie of ours names."""
        return cookie >> 32 & 0xFFFF, cookie & 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """All that the flows of one bridge depend on beside its ports."""

    addressing: Addressing = Addressing(IPv4Network("100.127.0.0/16"))
    metadata_ip: IPv4Address = IPv4Address("169.254.169.254")
    metadata_port: int = 80
    meta_port_name: str = "meta0"
    pipeline: Pipeline = Pipeline.STANDALONE
    tables: Tables = Tables()
    cookie: CookieMark = CookieMark()
    droplet_port_names: tuple[str, ...] = field(default=())
    meter_pps: int = 0
    meter_burst: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.metadata_port <= 0xFFFF:
            raise ValueError(f"metadata_port {self.metadata_port} is not in 1..65535")
        if self.metadata_ip in self.addressing.hv_local_subnet:
            raise ValueError(f"metadata_ip {self.metadata_ip} lies in hv_local_subnet")
        if self.meter_pps and self.cookie.meter_of(MAX_OFPORT) > MAX_METER_ID:
            raise ValueError(
                f"cookie {self.cookie.mark:#x} leaves no meter ids: another one, or meter_pps = 0"
            )
        if self.pipeline is Pipeline.STANDALONE and self.tables.classifier != 0:
            raise ValueError(
                "pipeline standalone starts in table 0, so classifier_table must be 0, "
                f"not {self.tables.classifier}"
            )

    @property
    def metadata_net(self) -> IPv4Network:
        """The metadata address as a match, a /32."""
        return IPv4Network(self.metadata_ip)


@dataclass(frozen=True, slots=True)
class MetaPort:
    """The port towards the metadata server as the switch shows it."""

    ofport: int
    mac: str
