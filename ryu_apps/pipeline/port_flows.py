"""All flows of one port as a value: what they depend on, spelt out only where somebody looks.

A switch has thousands of ports; a Flow costs more to make than its bytes cost to send.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.droplet_flows import BoundPort, droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort
from ryu_apps.pipeline.metering import metered
from ryu_apps.pipeline.waiting_flows import waiting_flows


@dataclass(frozen=True, slots=True)
class PortFlows:
    """The flows of the port `ofport`; `mac` None while it waits for its droplet.

    `hop_limit` is a `BoundPort`'s.
    """

    settings: BridgeSettings
    meta: MetaPort
    ofport: int
    droplet_id: int = 0
    mac: str | None = None
    hop_limit: int | None = None

    COUNT = 8

    @property
    def cookie(self) -> int:
        """The cookie of each of them."""
        return self.settings.cookie.of_port(self.ofport, self.droplet_id)

    def flows(self) -> tuple[Flow, ...]:
        """The flows themselves, COUNT of them; raises OfportOutOfRange."""
        if self.mac is None:
            flows = waiting_flows(self.settings, self.meta, self.ofport)
        else:
            bound = BoundPort(self.ofport, self.mac, self.droplet_id, self.hop_limit)
            flows = droplet_flows(self.settings, self.meta, bound)
        return metered(self.settings, self.ofport, flows)


NAMES = ("A1", "A2", "N1", "N1k", "L1", "R1", "R1s", "R2")
"""What each of a port's flows is called, in their order."""

REQUEST = NAMES.index("N1")
"""Where N1 is among a port's flows: it alone says who is on it, with which address and zone."""


class Flows(Sequence[Flow]):
    """Flows one after the other, those of whole ports among them not spelt out.

    To whoever looks it is a tuple of Flow; `parts` is for whoever has a shorter way.
    """

    def __init__(self, parts: Iterable[Flow | PortFlows] = ()) -> None:
        self.parts = tuple(parts)

    def __iter__(self) -> Iterator[Flow]:
        for part in self.parts:
            if isinstance(part, PortFlows):
                yield from part.flows()
            else:
                yield part

    def __len__(self) -> int:
        return sum(part.COUNT if isinstance(part, PortFlows) else 1 for part in self.parts)

    @overload
    def __getitem__(self, index: int) -> Flow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Flow, ...]: ...
    def __getitem__(self, index: int | slice) -> Flow | tuple[Flow, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Flows) and self.parts == other.parts:
            return True
        return isinstance(other, Flows | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Flows({self.parts!r})"
