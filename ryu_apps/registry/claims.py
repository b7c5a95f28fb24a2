"""The claims directory: which droplet claims which port name. In memory, pure, no locks.

Whoever holds the directory changes it from one thread only. It is sized for hundreds of
thousands of entries: an entry is a small tuple, and `Claim` is made when it is asked for.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

_Entry = tuple[int, int, int | None, int, int | None]
"""droplet_id, MAC as a number, dpid, revision, hop limit"""

_Names = str | tuple[str, ...]
"""The port names of one droplet: one, or all."""


class Claim(NamedTuple):
    """A droplet's claim on the switch port of this name.

    `mac` is the droplet's own MAC (lower case, colons), not the switch port's. With `dpid` the
    claim holds on that switch only. `revision` is that of the droplet's record and changes with
    each registration. `hop_limit` is the TTL with which replies enter the droplet, None: as they
    come.
    """

    droplet_id: int
    port_name: str
    mac: str
    dpid: int | None
    revision: int
    hop_limit: int | None = None


Change = tuple[int, Sequence[Claim]] | None
"""A droplet and all that it shall claim."""


class ClaimsDirectory:
    """All claims by port name. Truthy even when empty."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Entry] = {}
        self._names: dict[int, _Names] = {}

    def get(self, port_name: str) -> Claim | None:
        """The claim on `port_name`, or None where no droplet claims it."""
        entry = self._by_name.get(port_name)
        return None if entry is None else _claim(port_name, entry)

    def names_of(self, droplet_id: int) -> tuple[str, ...]:
        """The port names that droplet claims; empty where it claims none."""
        return _tuple(self._names.get(droplet_id, ()))

    def droplet_ids(self) -> list[int]:
        """The droplets that claim any port, in no order."""
        return list(self._names)

    def all(self) -> Iterator[Claim]:
        """Every claim, in no order. The directory must not change meanwhile."""
        for name, entry in self._by_name.items():
            yield _claim(name, entry)

    @property
    def count(self) -> int:
        """How many port names are claimed."""
        return len(self._by_name)

    def replace(self, changes: Mapping[int, Sequence[Claim]]) -> frozenset[str]:
        """Make the given claims all that each of these droplets claims (none: it is gone).

        The changes take effect together: a name may move from one of these droplets to
        another. Returns the port names of before and after, those whose claim may have
        changed. Raises ValueError, and changes nothing, where a name is claimed twice.
        """
        replacement = self.replacement(changes.keys())
        for droplet_id, claims in changes.items():
            replacement.add(droplet_id, claims)
        return replacement.take_effect()

    def changes(self, claims: Mapping[int, Sequence[Claim]]) -> Iterator[Change]:
        """What would have to be replaced for the given claims to be all there are.

        An item for each droplet that is there, and for each that shall be; None where nothing
        changes: so whoever takes them may pause between any two. The directory must not change
        meanwhile.
        """
        for droplet_id in self._names:
            yield None if droplet_id in claims else (droplet_id, ())
        for droplet_id, wanted in claims.items():
            held = {self.get(name) for name in self.names_of(droplet_id)}
            yield None if held == set(wanted) else (droplet_id, wanted)

    def replacement(self, droplet_ids: Collection[int]) -> "Replacement":
        """Begin to `replace` the claims of all these droplets, too many to do it in one go.

        The directory must not change before it takes effect.
        """
        return Replacement(self._by_name, self._names, droplet_ids)


class Replacement:
    """Claims to come, prepared one droplet after the other while the directory stays as it is.

    What is left to do at the end is a matter of milliseconds for a hundred thousand of them.
    """

    def __init__(
        self,
        by_name: dict[str, _Entry],
        names: dict[int, _Names],
        droplet_ids: Collection[int],
    ) -> None:
        self._by_name, self._names = by_name, names
        self._droplet_ids = droplet_ids
        self._before: set[str] = set()
        self._entries: dict[str, _Entry] = {}
        self._new_names: dict[int, _Names] = {}
        self._gone: list[int] = []

    def add(self, droplet_id: int, claims: Sequence[Claim]) -> None:
        """These are all that this droplet, one of `droplet_ids`, claims. Once for each of them.

        Raises ValueError where a name is claimed twice; then it must not take effect.
        """
        self._before.update(_tuple(self._names.get(droplet_id, ())))
        for claim in claims:
            name = claim.port_name
            holder = self._by_name.get(name)
            taken = holder is not None and holder[0] not in self._droplet_ids
            if taken or name in self._entries or claim.droplet_id != droplet_id:
                raise ValueError(f"{claim} of droplet {droplet_id} clashes with {holder}")
            mac = int(claim.mac.replace(":", ""), 16)
            self._entries[name] = (droplet_id, mac, claim.dpid, claim.revision, claim.hop_limit)
        if claims:
            names = tuple(claim.port_name for claim in claims)
            # Nearly every droplet has one port: the bare name spares a tuple for each.
            self._new_names[droplet_id] = names[0] if len(names) == 1 else names
        else:
            self._gone.append(droplet_id)

    def take_effect(self) -> frozenset[str]:
        """Do it; the port names of before and after."""
        for name in self._before - self._entries.keys():
            del self._by_name[name]
        self._by_name.update(self._entries)
        self._names.update(self._new_names)
        for droplet_id in self._gone:
            self._names.pop(droplet_id, None)
        return frozenset(self._before | self._entries.keys())


def _tuple(names: _Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _claim(port_name: str, entry: _Entry) -> Claim:
    droplet_id, mac, dpid, revision, hop_limit = entry
    return Claim(droplet_id, port_name, mac.to_bytes(6, "big").hex(":"), dpid, revision, hop_limit)
