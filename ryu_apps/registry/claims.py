"""The claims directory: which droplet claims which port name. In memory, pure, no locks.

Whoever holds the directory changes it from one thread only. It is sized for hundreds of
thousands of entries: an entry is a small tuple, and `Claim` is made when it is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_Entry = tuple[int, int, int | None, int, int | None]
"""droplet_id, MAC as a number, dpid, revision, hop limit"""


@dataclass(frozen=True, slots=True)
class Claim:
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


class ClaimsDirectory:
    """All claims by port name. Truthy even when empty."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Entry] = {}
        self._names: dict[int, str | tuple[str, ...]] = {}

    def get(self, port_name: str) -> Claim | None:
        """The claim on `port_name`, or None where no droplet claims it."""
        entry = self._by_name.get(port_name)
        return None if entry is None else _claim(port_name, entry)

    def names_of(self, droplet_id: int) -> tuple[str, ...]:
        """The port names that droplet claims; empty where it claims none."""
        names = self._names.get(droplet_id, ())
        return (names,) if isinstance(names, str) else names

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
        self._refuse_clashes(changes)
        touched = set()
        for droplet_id in changes:
            for name in self.names_of(droplet_id):
                touched.add(name)
                del self._by_name[name]
            self._names.pop(droplet_id, None)
        for claims in changes.values():
            for claim in claims:
                touched.add(claim.port_name)
                self._add(claim)
        return frozenset(touched)

    def _refuse_clashes(self, changes: Mapping[int, Sequence[Claim]]) -> None:
        claimed = set()
        for droplet_id, claims in changes.items():
            for claim in claims:
                holder = self._by_name.get(claim.port_name)
                taken = holder is not None and holder[0] not in changes
                if taken or claim.port_name in claimed or claim.droplet_id != droplet_id:
                    raise ValueError(f"{claim} of droplet {droplet_id} clashes with {holder}")
                claimed.add(claim.port_name)

    def _add(self, claim: Claim) -> None:
        mac = int(claim.mac.replace(":", ""), 16)
        self._by_name[claim.port_name] = (
            *(claim.droplet_id, mac, claim.dpid, claim.revision),
            claim.hop_limit,
        )
        names = self._names.get(claim.droplet_id)
        if names is None:
            # Nearly every droplet has one port: the bare name spares a tuple for each.
            self._names[claim.droplet_id] = claim.port_name
        else:
            self._names[claim.droplet_id] = (*self.names_of(claim.droplet_id), claim.port_name)


def _claim(port_name: str, entry: _Entry) -> Claim:
    droplet_id, mac, dpid, revision, hop_limit = entry
    digits = f"{mac:012x}"
    colons = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    return Claim(droplet_id, port_name, colons, dpid, revision, hop_limit)
