"""What readers outside the core may see of switches and ports: values, no behaviour."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ryu_apps.binding.drift import DriftView


class PortState(StrEnum):
    """The state of one switch port as `GET /v1/switches/{dpid}/ports` tells it."""

    SERVING = "serving"
    UNREGISTERED = "unregistered"
    BINDING = "binding"
    ERROR = "error"


class SwitchState(StrEnum):
    """The state of one switch as `GET /v1/switches` tells it.

    `STANDBY`: it is connected, and another controller's to lead.
    """

    IN_SYNC = "in-sync"
    SYNCING = "syncing"
    DISCONNECTED = "disconnected"
    REFUSED = "refused"
    STANDBY = "standby"


class PortView(NamedTuple):
    """One switch port; a tuple, for several are made of each port of a switch that connects.

    `hv_local_ip` is None where the ofport has no hv-local address. `droplet_revision` is the
    revision of the droplet's record. `binding` is the generation of the binding: the feed
    revision at which this droplet was bound here; it never names two bindings. `elsewhere`: the
    name is claimed by a droplet of another switch, and `reason` tells of it.
    """

    ofport: int
    name: str
    hv_local_ip: str | None
    droplet_id: int | None = None
    state: PortState = PortState.UNREGISTERED
    reason: str | None = None
    droplet_revision: int | None = None
    binding: int | None = None
    elsewhere: bool = False

    def without_others(self) -> "PortView":
        """What those may see who may know of this switch alone: no word of droplets elsewhere."""
        if not self.elsewhere:
            return self
        return self._replace(state=PortState.UNREGISTERED, reason=None, elsewhere=False)


@dataclass(frozen=True, slots=True)
class SwitchView:
    """One switch, connected now or once during this controller's life.

    `flows` counts ours; `serving`, `binding` and `errors` count ports in that state.
    """

    dpid: int
    connected: bool
    state: SwitchState
    reason: str | None
    ports: int
    serving: int
    flows: int
    hv_local_subnet: str
    warnings: tuple[str, ...] = ()
    binding: int = 0
    errors: int = 0
    drift: DriftView = field(default_factory=DriftView)
    flows_wanted: int = 0
