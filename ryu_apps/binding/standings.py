"""Whether a droplet gets its metadata, and if not why: its claims against the ports there are.

Pure. A port is judged where it is, by its switch (`PortView`); what is judged here is the droplet,
which may claim several ports, or one that no switch has.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ryu_apps.binding.views import PortState, PortView, SwitchState, SwitchView
from ryu_apps.registry.claims import Claim


class Standing(StrEnum):
    """How a droplet stands, the best of its ports; ABSENT: no switch has a port it claims.

    ELSEWHERE: another controller leads the switch that has it, and knows.
    """

    SERVING = "serving"
    BINDING = "binding"
    ERROR = "error"
    ELSEWHERE = "elsewhere"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class PortStanding:
    """A port that a droplet claims, and where it is: `dpid` and `view` None where nowhere."""

    name: str
    mac: str
    state: Standing
    reason: str | None
    dpid: int | None = None
    view: PortView | None = None


@dataclass(frozen=True, slots=True)
class DropletStanding:
    """A droplet with its ports; `reason` is that of the port that stands best."""

    state: Standing
    reason: str | None
    ports: tuple[PortStanding, ...]


Sighting = tuple[SwitchView, PortView]
Sightings = Mapping[str, Sequence[Sighting]]

Elsewhere = Callable[[str], tuple[int, str] | None]
"""The switch of another controller that has the port of this name, and that one's name."""


def nowhere(_name: str) -> None:
    """`Elsewhere` where there is one controller."""


_BEST_FIRST = tuple(Standing)


def served(views: Iterable[PortView]) -> set[int]:
    """The droplets that are served on any of these ports."""
    return {
        view.droplet_id
        for view in views
        if view.state is PortState.SERVING and view.droplet_id is not None
    }


def sightings(ports: Iterable[Sighting], names: Container[str]) -> dict[str, list[Sighting]]:
    """Where the ports of these names are, among all that there are."""
    found: dict[str, list[Sighting]] = {}
    for switch, view in ports:
        if view.name in names:
            found.setdefault(view.name, []).append((switch, view))
    return found


def standing(
    claims: Iterable[Claim], seen: Sightings, elsewhere: Elsewhere = nowhere
) -> DropletStanding:
    """How the droplet with these claims stands."""
    ports = tuple(
        _port(claim, seen.get(claim.port_name, ()), elsewhere(claim.port_name)) for claim in claims
    )
    if not ports:
        return DropletStanding(Standing.ABSENT, "it claims no port", ())
    best = min(ports, key=lambda port: _BEST_FIRST.index(port.state))
    return DropletStanding(best.state, best.reason, ports)


def _port(
    claim: Claim, seen: Sequence[Sighting], elsewhere: tuple[int, str] | None
) -> PortStanding:
    if elsewhere is not None and claim.dpid in (None, elsewhere[0]):
        dpid, leader = elsewhere
        reason = f"{claim.port_name} is on switch {dpid:016x}, which {leader} leads: ask that one"
        return PortStanding(claim.port_name, claim.mac, Standing.ELSEWHERE, reason, dpid)
    here = [one for one in seen if claim.dpid in (None, one[0].dpid)]
    judged = [(*_judged(claim, switch, view), switch, view) for switch, view in here]
    if not judged:
        where = "no switch" if claim.dpid is None else f"switch {claim.dpid:016x}"
        reason = f"{where} has {'a' if claim.dpid is None else 'no'} port {claim.port_name}"
        return PortStanding(claim.port_name, claim.mac, Standing.ABSENT, reason)
    state, reason, switch, view = min(judged, key=lambda one: _BEST_FIRST.index(one[0]))
    return PortStanding(claim.port_name, claim.mac, state, reason, switch.dpid, view)


def _judged(claim: Claim, switch: SwitchView, view: PortView) -> tuple[Standing, str | None]:
    """What a port of the claimed name means for the droplet."""
    if switch.state is SwitchState.REFUSED:
        return Standing.ERROR, f"its switch is refused: {switch.reason}"
    if view.state is PortState.SERVING and view.droplet_id == claim.droplet_id:
        return Standing.SERVING, view.reason
    if not switch.connected:
        return Standing.ERROR, "its switch is disconnected, so nothing new is bound there"
    if view.state is PortState.ERROR:
        return Standing.ERROR, view.reason
    return Standing.BINDING, view.reason
