"""On which switches a port name is, the newest first, where no one controller sees them all. Pure.

A live migration has the name on two switches at once, and they may have different leaders. What
each leader sees goes into one record for each name; these are the rules of its order, the same for
whoever writes it. Clocks are not compared, only how long ago something was.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """The name is on this switch.

    `generation` is the registry's revision just before this was written, `age_ms` for how long the
    port had been there by then; None where nobody saw it come.
    """

    dpid: int
    generation: int
    age_ms: int | None


class Sighting(NamedTuple):
    """A port of the name is on a switch: it came `age_ms` ago, None where nobody saw it come.

    `since` is the revision of the registry up to which its leader had heard by then.
    """

    since: int
    age_ms: int | None


class Placement(NamedTuple):
    """What the leader of this switch has to say of a name: it is there, or (None) no more."""

    name: str
    dpid: int
    sighting: Sighting | None


Places = tuple[Place, ...]


def placed(places: Places, placement: Placement, generation: int) -> Places:
    """`places` after `placement`, written at this generation.

    A port that came is newer than all that were written before its leader saw it come; of those
    written after that it is newer than those that had been seen longer ago. (Without an outage of
    the registry there are none but those of the same milliseconds.) One that nobody saw come is
    older than all, and stays where it is if it is known.
    """
    _, dpid, sighting = placement
    others = without(places, dpid)
    if sighting is None:
        return others
    if sighting.age_ms is None and len(others) < len(places):
        return places
    ours = Place(dpid, generation, sighting.age_ms)
    ahead = sum(_is_newer(each, sighting) for each in others)
    return (*others[:ahead], ours, *others[ahead:])


def without(places: Places, dpid: int) -> Places:
    """`places` but for this switch."""
    return tuple(each for each in places if each.dpid != dpid)


def expected_order(dpids: Iterable[int], placements: Iterable[Placement]) -> tuple[int, ...]:
    """The switches in their order once these are written, should nobody else write before."""
    order = list(dpids)
    for _, dpid, sighting in placements:
        known = dpid in order
        if known and (sighting is None or sighting.age_ms is not None):
            order.remove(dpid)
        if sighting is not None and sighting.age_ms is not None:
            order.insert(0, dpid)
        elif sighting is not None and not known:
            order.append(dpid)
    return tuple(order)


def _is_newer(place: Place, sighting: Sighting) -> bool:
    if sighting.age_ms is None:
        return True
    return (
        place.generation >= sighting.since
        and place.age_ms is not None
        and place.age_ms < sighting.age_ms
    )


def encoded(places: Sequence[Place]) -> list[list[int | str | None]]:
    """As JSON has them; a dpid is 16 hex digits."""
    return [[f"{dpid:016x}", generation, age_ms] for dpid, generation, age_ms in places]


def decoded(found: Iterable[Sequence]) -> Places:
    """What `encoded` gave."""
    return tuple(Place(int(dpid, 16), generation, age_ms) for dpid, generation, age_ms in found)
