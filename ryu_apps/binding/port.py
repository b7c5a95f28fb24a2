"""One switch port's binding: what is wanted on it, what it has, and how far it is between them.

Values and one small mutable record; the steps are in `steps.py`, their order is `bridge.py`'s.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.registry.claims import Claim


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A port as the switch describes it. `mac` is the host side's address, not the droplet's."""

    ofport: int
    name: str
    mac: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """The droplet of `claim` belongs on the port."""

    claim: Claim

    @property
    def identity(self) -> tuple[int, str]:
        """What cannot change without closing the port: the droplet and the name of its port."""
        return self.claim.droplet_id, self.claim.port_name


@dataclass(frozen=True, slots=True)
class Lobby:
    """A droplet's port whose droplet is not registered: it reaches the server without identity."""

    @property
    def identity(self) -> tuple[int, str]:
        """No droplet: 0 is no droplet's id."""
        return 0, ""


@dataclass(frozen=True, slots=True)
class Nobody:
    """No droplet's port, or one that has gone: no flows."""

    identity = None


@dataclass(frozen=True, slots=True)
class Denied:
    """A droplet belongs here but cannot be served; `reason` is for the operator.

    `elsewhere`: it is another switch's droplet, which the reason tells of.
    """

    reason: str
    elsewhere: bool = False
    identity = None


Wanted = Tenant | Lobby | Nobody | Denied


class Phase(Enum):
    """How far a port is. The order of the steps is what keeps identities apart:

    IDLE --flush zone--> FLUSHING --publish--> ANNOUNCED --acknowledged--> OPENING --> OPEN
    OPEN --delete flows, barrier, flush zone, barrier--> CLOSING --retract--> IDLE
    """

    IDLE = auto()
    FLUSHING = auto()
    ANNOUNCED = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSING = auto()


@dataclass(slots=True)
class PortRecord:
    """What the bridge knows of one ofport.

    `port` is None once the port has gone. `occupant` is who the installed `flows` are for, or
    who they are being installed for (`coming`). `held` are the cookies under which the switch has
    flows of this ofport, whoever's, as far as it has acknowledged; `strays` are others' that were
    found there and left for now. `zone_clean`: nothing can be in
    the ct zone, since no flow of the port was there when it was flushed last. `announced` is the
    feed revision that tells the newest of the occupant. `failure` is why the switch refused the
    last attempt.
    """

    ofport: int
    port: SwitchPort | None = None
    phase: Phase = Phase.IDLE
    occupant: Wanted = field(default_factory=Nobody)
    flows: PortFlows | None = None
    coming: PortFlows | None = None
    held: tuple[int, ...] = ()
    strays: tuple[int, ...] = ()
    zone_clean: bool = False
    announced: int = 0
    failure: str | None = None
