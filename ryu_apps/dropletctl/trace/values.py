"""One hop of a request's way and what came of it; where the droplet is: values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from ryu_apps.pipeline.droplet_flows import BoundPort
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort


class State(StrEnum):
    """What came of a hop."""

    PASSED = "passed"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Hop:
    """A hop, what was seen there, and, where the request dies, what to do about it."""

    name: str
    state: State
    told: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Of a port's name that no connected switch has: the bridge of this host that has it ("" for
    none), whether there is a device of this name; this host's bridges, whether all of them are
    connected, and the ports without a droplet with the switch that each is on."""

    bridge: str
    device: bool
    bridges: tuple[str, ...]
    connected: bool
    free: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A droplet's port on a bridge of this host, with all that its path depends on."""

    bridge: str
    datapath: str
    """As dpctl names it: TYPE@NAME."""
    port_name: str
    port: BoundPort
    meta: MetaPort
    settings: BridgeSettings

    @property
    def hv_local(self) -> IPv4Address:
        """The address the metadata server knows the droplet by."""
        return self.settings.addressing.hv_local(self.port.ofport)

    @property
    def zone(self) -> int:
        """Its ct zone."""
        return self.settings.addressing.zone(self.port.ofport)

    @property
    def cookie(self) -> int:
        """That of its flows."""
        return self.settings.cookie.of_port(self.port.ofport, self.port.droplet_id)
