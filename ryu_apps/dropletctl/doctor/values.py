"""What doctor knows of a host, and what it finds wrong: values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from ovs_metadata_client import Switch, SwitchPort
from ryu_apps.dropletctl.host.values import Step, Wanted
from ryu_apps.pipeline.layout import BridgeSettings


class Weight(StrEnum):
    """How much a finding matters."""

    FAULT = "fault"
    """Droplets do not get their metadata, or not after the next restart of something."""

    WARNING = "warning"
    """They may not, or something else suffers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: of which check, what it is, why it matters, and what mends it.

    `mend` are command lines, or a sentence where there is no command.
    """

    check: str
    weight: Weight
    what: str
    why: str
    mend: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ControllerRow:
    """A controller of the bridge as Open vSwitch knows it; `error` is its last word of failure."""

    target: str
    connected: bool
    out_of_band: bool
    local: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ZoneUse:
    """Somebody else's flow on the same datapath that uses a conntrack zone of ours.

    `zone` None: the zone comes from a register, so it may be any.
    """

    bridge: str
    zone: int | None
    flow: str


@dataclass(frozen=True, slots=True)
class OpenVSwitch:
    """Open vSwitch and the bridge. `features` are the datapath's as `dpif/show-dp-features` has
    them, empty where it would not say; `protocols` empty means all that are on by default."""

    version: str = ""
    features: Mapping[str, str] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()
    controllers: tuple[ControllerRow, ...] = ()
    foreign_zones: tuple[ZoneUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the host outside our own table."""

    destination: IPv4Network
    device: str
    table: str


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket that listens on the metadata port, and whose it is ("" where unknown).

    `unit` is the service of systemd that the process belongs to.
    """

    address: str
    process: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing rule that is looked at before ours, as `ip rule` has it."""

    priority: int
    table: str
    """Its number; "" where it leads to none (a blackhole)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of this host's systemd, by its ActiveState; `status` is its process's exit status, and
    `last_words` what that process said last, where it failed."""

    name: str
    state: str
    status: int = 0
    last_words: str = ""

    @property
    def is_active(self) -> bool:
        """Whether systemd has it running, or on its way."""
        return self.state in ("active", "activating", "reloading")


CONTROLLER_UNIT = "ovs-metadata-controller"
SERVER_UNIT = "metadata-http"
SOCKET_UNIT = "metadata-http.socket"
"""As the package names them."""


@dataclass(frozen=True, slots=True)
class Host:
    """The host's own network. `reply_device`: where the kernel sends an answer to a droplet.

    `mtus` are those of meta0 and of the bridge's ports that the kernel has as devices.
    """

    addresses: Mapping[str, tuple[IPv4Interface, ...]] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    reply_device: str | None = None
    rules_before: tuple[Rule, ...] = ()
    listeners: tuple[Listener, ...] = ()
    mtus: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControllerAnswer:
    """What the controller's REST says. `error` None: it answered and took our token; `answers`:
    it answered, whatever it said.

    `reasons` are why it is not ready; `skew` its clock's lead over ours in seconds; `switch` None:
    it has never seen this bridge.
    """

    url: str
    error: str | None = None
    answers: bool = True
    reasons: tuple[str, ...] = ()
    skew: float = 0.0
    switch: Switch | None = None
    ports: tuple[SwitchPort, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What the metadata server's /readyz says; `error` where it said nothing."""

    url: str
    error: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the checks judge. `steps` are what host-setup would do, `obstacles` why it cannot.

    `dpid` is the bridge's, 16 hex digits, "" where there is no such bridge. `shared_registry`: a
    bridge may have several controllers, for they have one registry. `units` are the package's, by
    name; none where it is not installed.
    """

    wanted: Wanted
    settings: BridgeSettings
    dpid: str
    controller: ControllerAnswer
    server: ServerAnswer
    ovs: OpenVSwitch = OpenVSwitch()
    host: Host = Host()
    steps: tuple[Step, ...] = ()
    obstacles: tuple[str, ...] = ()
    shared_registry: bool = False
    units: Mapping[str, Unit] = field(default_factory=dict)
