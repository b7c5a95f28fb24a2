"""Flows in the form in which those wanted are compared with those a switch holds.

The form itself is the southbound's (bytes); here it only has to tell flows and their keys apart.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Protocol

from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.port_flows import PortFlows


class Image(Protocol):
    """A flow without its cookie, the same whether it was wanted or is told by a switch."""

    @property
    def table(self) -> int:
        """The table it is in."""

    @property
    def priority(self) -> int:
        """Its priority there."""

    @property
    def key(self) -> Hashable:
        """Table, priority and match: a flow with the same key replaces this one."""

    def __hash__(self) -> int: ...


Installed = Mapping[int, Set[Image]]
"""The flows of ours found on a switch, by cookie."""


class Codec(Protocol):
    """How to make images."""

    def image(self, flow: Flow) -> Image:
        """The image of one flow."""

    def port_images(self, flows: PortFlows) -> Sequence[Image]:
        """The images of a port's flows, in their order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From what a switch has to what it should have.

    `missing` are the indexes of the wanted flows it lacks, `changed` how many of these it has in
    another form; `stale` are the images it has and should not, unless an added flow takes their
    place by itself; `strays` counts those under cookies of ours that nobody should have.
    """

    missing: tuple[int, ...] = ()
    changed: int = 0
    stale: tuple[Image, ...] = ()

    strays: int = 0

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def count(self) -> int:
        """How many flows are wrong."""
        return len(self.missing) + len(self.stale) + self.strays

    def plus(self, other: "Difference") -> "Difference":
        """Both together, of different ports; only counts and `text` make sense of it."""
        return Difference(
            self.missing + other.missing,
            self.changed + other.changed,
            self.stale + other.stale,
            self.strays + other.strays,
        )

    def text(self) -> str:
        """For people: how many flows of which fault."""
        counts = (
            (len(self.missing) - self.changed, "missing"),
            (self.changed, "changed"),
            (len(self.stale) + self.strays, "too many"),
        )
        return ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing"

    def and_strays(self, count: int) -> "Difference":
        """The same with so many more flows that are under a cookie nobody has."""
        return replace(self, strays=self.strays + count)


NO_DIFFERENCE = Difference()


def difference(wanted: Sequence[Image], found: Collection[Image]) -> Difference:
    """What must be added and removed to have exactly `wanted`."""
    if len(wanted) == len(found) and all(image in found for image in wanted):
        return NO_DIFFERENCE
    missing = tuple(index for index, image in enumerate(wanted) if image not in found)
    came = {wanted[index].key for index in missing}
    extra = set(found).difference(wanted)
    stale = tuple(sorted((one for one in extra if one.key not in came), key=repr))
    return Difference(missing, len(extra) - len(stale), stale)


def picked(flows: Sequence[Flow], indexes: Iterable[int]) -> list[Flow]:
    """The flows at these indexes."""
    return [flows[index] for index in indexes]
