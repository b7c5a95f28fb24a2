"""The flows of one port as its switch counts them: the hops of a droplet's path. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ryu_apps.binding.images import Image
from ryu_apps.pipeline.port_flows import NAMES

HOPS = NAMES
"""The names of a port's flows, in the order in which they are told."""


class FlowsUnavailable(Exception):
    """The switch cannot be asked, or did not answer; the text says why."""


class FlowState(StrEnum):
    """How a flow is on the switch, against how it should be."""

    PRESENT = "present"
    CHANGED = "changed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Counters:
    """What a switch counted of one flow since it was added, `age` seconds ago."""

    packets: int
    octets: int
    age: float


NOTHING = Counters(0, 0, 0.0)


@dataclass(frozen=True, slots=True)
class HopFlow:
    """One flow of a port: its name in the talk, where it is, and its counters."""

    name: str
    table: int
    priority: int
    state: FlowState
    counters: Counters = NOTHING


@dataclass(frozen=True, slots=True)
class PortHops:
    """The flows of a port in their order, `cookie` and `droplet_id` with them.

    Without flows, as a port has none that nobody is bound to, `cookie` is None.
    """

    ofport: int
    cookie: int | None = None
    droplet_id: int | None = None
    flows: tuple[HopFlow, ...] = ()


def hop_flows(wanted: Sequence[Image], found: Mapping[Image, Counters]) -> tuple[HopFlow, ...]:
    """What became of each flow that a port should have, of which the switch told `found`."""
    others = {image.key: counters for image, counters in found.items()}
    return tuple(
        _hop(name, image, found.get(image), others.get(image.key))
        for name, image in zip(HOPS, wanted, strict=True)
    )


def _hop(name: str, image: Image, exact: Counters | None, alike: Counters | None) -> HopFlow:
    """One of them; `alike` are the counters of a flow with its key, whatever it does."""
    where = (name, image.table, image.priority)
    if exact is not None:
        return HopFlow(*where, FlowState.PRESENT, exact)
    if alike is not None:
        return HopFlow(*where, FlowState.CHANGED, alike)
    return HopFlow(*where, FlowState.MISSING)
