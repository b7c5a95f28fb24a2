"""What a host should be like, what it is like, and what can be done to it: values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

DEFAULT_TABLE = 169
"""Number of the routing table and priority of the rule that leads to it: 169 of 169.254.169.254.

The rule must come before those of VPNs that route parts of 100.64.0.0/10 (Tailscale's begin at
5210), and after the local table's, which is 0.
"""

META_OFPORT = 65278
"""The ofport asked for: high, since those that droplets ask for evict whoever has them, and OVS
counts upwards for everybody else. The highest, 65279, is left to those who test the bounds."""

TABLE_NAME = "metadata"
TABLE_FILE = Path("/etc/iproute2/rt_tables.d/ovs-metadata.conf")

Record = dict[str, str | None]
"""What host-setup changed, by key, and what was there before."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asked for. `mac` None: derive one."""

    bridge: str
    port: str = "meta0"
    metadata_ip: IPv4Address = IPv4Address("169.254.169.254")
    hv_local_subnet: IPv4Network | None = None
    """The subnet to route to the port; None routes everything there."""
    table: int = DEFAULT_TABLE
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class Controller:
    """A record of OVSDB's Controller table. `max_backoff` in milliseconds, None for the default."""

    uuid: str
    target: str
    max_backoff: int | None = None
    connected: bool = False


@dataclass(frozen=True, slots=True)
class Bridge:
    """The bridge as OVSDB has it. `fail_mode` None is Open vSwitch's default, standalone."""

    dpid: str
    datapath_type: str = ""
    fail_mode: str | None = None
    controllers: tuple[Controller, ...] = ()

    @property
    def connected(self) -> bool:
        """Whether a controller is connected."""
        return any(controller.connected for controller in self.controllers)


@dataclass(frozen=True, slots=True)
class Port:
    """The metadata port as OVSDB has it, on whatever bridge.

    `mac` is the one asked for in OVSDB, `no_flood` None where the bridge would not say.
    """

    bridge: str
    type: str = "internal"
    mac: str | None = None
    ofport_request: str | None = None
    vlan: str | None = None
    """What its VLAN columns are, as `ovs-vsctl set Port` takes it; None for none."""
    no_flood: bool | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The metadata port as the kernel has it, a network device."""

    up: bool = False
    address: str | None = None
    """The metadata address there with its length and scope, as `ip address add` takes them."""
    tx_checksum: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What is on the host now, as far as it matters here."""

    ovsdb: str
    """The UUID of the Open vSwitch record: names this installation."""
    bridges: tuple[str, ...]
    bridge: Bridge | None = None
    port: Port | None = None
    link: Link | None = None
    foreign_devices: tuple[str, ...] = ()
    """Devices other than internal ports of Open vSwitch that have the metadata address."""
    rules: frozenset[tuple[int, str, int]] = frozenset()
    """(priority, source, table number) of the routing rules that name a source."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """Destination to device, of the routes in the table."""
    table_names: Mapping[str, int] = field(default_factory=dict)
    table_file: str | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Path below /proc/sys to value, of those asked about that exist here."""
    records: Mapping[str, Record] = field(default_factory=dict)
    """What was changed, by bridge; under "" what all bridges share."""


@dataclass(frozen=True, slots=True)
class Run:
    """A command to run."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.argv)


@dataclass(frozen=True, slots=True)
class Write:
    """A file to write, folders included."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"echo {self.text.strip()} > {self.path}"


@dataclass(frozen=True, slots=True)
class Remove:
    """A file to remove."""

    path: Path

    def __str__(self) -> str:
        return f"rm -f {self.path}"


Command = Run | Write | Remove


@dataclass(frozen=True, slots=True)
class Step:
    """One difference and what takes it away. `now` and `then` None: not there.

    `held` says why it is not done yet although it should be.
    """

    key: str
    what: str
    now: str | None
    then: str | None
    why: str
    commands: tuple[Command, ...]
    held: str | None = None
