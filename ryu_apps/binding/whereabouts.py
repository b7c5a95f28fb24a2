"""What the leader of some switches knows of where port names are: the record, and what it has to
add to it.

Pure. The record is the registry's, the same for all leaders, and follows its news. What this leader
saw on its own switches counts for it at once; it is an errand until it is written and heard again.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from ryu_apps.registry.places import Placement, Sighting, expected_order


@dataclass(frozen=True, slots=True)
class Moment:
    """`seconds` of a monotonic clock, and the registry's `revision` up to which all is known."""

    seconds: float
    revision: int


@dataclass(slots=True, eq=False)
class Errand:
    """Tell the registry that the name is on the switch, or (`there` is False) no more.

    `came` is when it was seen to come. `settled` is the revision that has what became of it.
    """

    name: str
    dpid: int
    there: bool
    came: Moment | None = None
    settled: int | None = None

    def placement(self, now: float) -> Placement:
        """As it is told at this time."""
        sighting = None
        if self.there and self.came is None:
            sighting = Sighting(0, None)
        elif self.came is not None:
            age_ms = int((now - self.came.seconds) * 1000)
            sighting = Sighting(self.came.revision, age_ms)
        return Placement(self.name, self.dpid, sighting)


class Whereabouts:
    """Where names are. `now` tells the moment; `leader_of` who else leads a switch, if anybody.

    `on_errand` is called when there is something to write.
    """

    def __init__(self, now: Callable[[], Moment], leader_of: Callable[[int], str | None]) -> None:
        self.leader_of = leader_of
        self.on_errand: Callable[[], None] = lambda: None
        self.revision = 0
        self._now = now
        self._record: dict[str, tuple[int, ...]] = {}
        self._names_at: dict[int, set[str]] = defaultdict(set)
        self._errands: dict[str, dict[int, Errand]] = {}
        self._settled: set[Errand] = set()
        self._came: dict[int, dict[str, Moment]] = defaultdict(dict)

    def order(self, name: str) -> tuple[int, ...]:
        """The switches that have the name, the newest first."""
        known = self._record.get(name, ())
        errands = self._errands.get(name)
        if errands is None:
            return known
        return expected_order(known, (each.placement(0) for each in errands.values()))

    def elsewhere(self, name: str, here: Container[int]) -> tuple[int, str] | None:
        """The switch that has the name and who leads it, where that is not us.

        `here` are the switches that we lead.
        """
        for dpid in self.order(name):
            if dpid in here:
                return None
            if (leader := self.leader_of(dpid)) is not None:
                return dpid, leader
        return None

    # -- from the registry ------------------------------------------------------------------------

    def hear(self, places: Mapping[str, tuple[int, ...]], revision: int) -> set[str]:
        """What the record has of these names now, and all news up to `revision` were told.

        The names to look at again: those that moved, and of our own errands all that are done and
        that others have as well, for when they came up only the switch in question was looked at.
        """
        done = [errand for errand in self._settled if (errand.settled or 0) <= revision]
        ours = {errand.name for errand in done}
        before = {name: self.order(name) for name in {*places, *ours}}
        for name, dpids in places.items():
            self._remember(name, dpids)
        self.revision = max(self.revision, revision)
        for errand in done:
            self._drop(errand)
        return {
            name
            for name, order in before.items()
            if self.order(name) != order or (name in ours and len(order) > 1)
        }

    def names(self) -> list[str]:
        """All that the record has."""
        return list(self._record)

    def switches(self) -> list[int]:
        """Those that the record names."""
        return list(self._names_at)

    def contested_at(self, dpid: int) -> set[str]:
        """The names that are on this switch and on others."""
        return {
            name
            for name in self._names_at.get(dpid, ())
            if len(self._record[name]) > 1 or name in self._errands
        }

    # -- from the switches that we lead -----------------------------------------------------------

    def came(self, name: str, dpid: int) -> None:
        """A port of this name was seen to come to the switch, whoever claims it."""
        self._came[dpid][name] = self._now()

    def saw_come(self, name: str, dpid: int) -> bool:
        """Whether the port of this name that is on the switch was seen to come."""
        return name in self._came.get(dpid, {})

    def place(self, name: str, dpid: int, *, anew: bool) -> None:
        """The name, which a droplet claims, is on the switch; `anew`: newer than anywhere else."""
        came = self._came.get(dpid, {}).get(name)
        if anew and came is None:
            came = self._now()
        self._add(Errand(name, dpid, there=True, came=came))

    def gone(self, name: str, dpid: int) -> None:
        """The name is not on the switch any more."""
        self._came.get(dpid, {}).pop(name, None)
        self.withdraw(name, dpid)

    def withdraw(self, name: str, dpid: int) -> None:
        """Say no more that the name is on the switch: no droplet claims it."""
        if dpid in self.order(name):
            self._add(Errand(name, dpid, there=False))

    def keep_only(self, dpid: int, names: Iterable[str]) -> None:
        """The switch has been looked at: it has these and no others."""
        for name in self._names_at.get(dpid, set()).difference(names):
            self.gone(name, dpid)

    def forget(self, dpid: int) -> None:
        """We do not lead the switch any more: what it has is another's to tell."""
        self._came.pop(dpid, None)
        for errands in [each for each in self._errands.values() if dpid in each]:
            self._drop(errands[dpid])

    # -- to the registry --------------------------------------------------------------------------

    def due(self, limit: int) -> list[Errand]:
        """Some of the errands that are not settled, the oldest first."""
        found: list[Errand] = []
        for errands in self._errands.values():
            found += (each for each in errands.values() if each.settled is None)
            if len(found) >= limit:
                break
        return found[:limit]

    def settle(self, errands: Iterable[Errand], revision: int) -> None:
        """What became of these is in the registry at this revision."""
        for errand in errands:
            errand.settled = revision
            self._settled.add(errand)

    @property
    def waiting(self) -> int:
        """How many names wait for the registry."""
        return len(self._errands)

    # ---------------------------------------------------------------------------------------------

    def _add(self, errand: Errand) -> None:
        errands = self._errands.setdefault(errand.name, {})
        errands.pop(errand.dpid, None)
        errands[errand.dpid] = errand
        self.on_errand()

    def _drop(self, errand: Errand) -> None:
        self._settled.discard(errand)
        errands = self._errands.get(errand.name, {})
        if errands.get(errand.dpid) is errand:
            del errands[errand.dpid]
            if not errands:
                del self._errands[errand.name]

    def _remember(self, name: str, dpids: tuple[int, ...]) -> None:
        for dpid in self._record.pop(name, ()):
            self._names_at[dpid].discard(name)
            if not self._names_at[dpid]:
                del self._names_at[dpid]
        if dpids:
            self._record[name] = dpids
        for dpid in dpids:
            self._names_at[dpid].add(name)
