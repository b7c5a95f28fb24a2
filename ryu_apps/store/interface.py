"""What a store of droplets promises, whatever keeps them. Values and errors; no I/O.

The promises, which `tests/unit/store` holds every backend to:

- A write is durable when `write` returns: a crash of the process or of the machine the next
  instant does not lose it. A write that raised may or may not have happened.
- Each change of a `write` happens whole or not at all, and alone: another's refusal does not
  touch it. Changes take effect in the order given. A store may do a `Put` that is
  larger than its transactions in parts; one that happened in part says so (`BrokenOff`, or the
  text of the error) and can be repeated whole.
- A port name belongs to at most one droplet, at every instant.
- A record's revisions grow with every write of it and are never given to it twice, not after a
  delete either; nor are boot counts. Both hold over a restore: what a backup cannot know of, it
  leaves room for.
- A droplet's status outlives every `Put` of the droplet, but for what the `Put` says itself, and
  ends with the droplet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from ryu_apps.registry.claims import Claim
from ryu_apps.registry.droplet import Droplet, Port
from ryu_apps.registry.places import Placement
from ryu_apps.registry.search import words
from ryu_apps.registry.status import Patch, registering


@dataclass(frozen=True, slots=True)
class Record:
    """A droplet as it is stored. `document` is what `Droplet.encode` gave, `status` likewise.

    `revision` is that of the document, `status_revision` that of the last change of the status
    (0: there was none).
    """

    droplet_id: int
    revision: int
    document: bytes
    status: bytes | None = None
    status_revision: int = 0

    @property
    def latest(self) -> int:
        """The revision of the last change of either."""
        return max(self.revision, self.status_revision)


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must hold of the record before a change (RFC 9110 section 13.1).

    `match`: revisions of which it must have one (If-Match); `none_match`: of which it must have
    none (If-None-Match). An empty set stands for `*`, any record; None for no condition.
    """

    match: frozenset[int] | None = None
    none_match: frozenset[int] | None = None

    def holds(self, revision: int | None) -> bool:
        """Whether it holds of a record with this revision (None: there is no record)."""
        return _among(revision, self.match, unset=True) and not _among(
            revision, self.none_match, unset=False
        )


def _among(revision: int | None, revisions: frozenset[int] | None, *, unset: bool) -> bool:
    if revisions is None:
        return unset
    return revision is not None and (not revisions or revision in revisions)


ALWAYS = Precondition()


@dataclass(frozen=True, slots=True)
class Entry:
    """A droplet to store: its encoded document, and what of it is found or told without reading
    that. `registering` is what the document does to the status, `words` what it is searched by.

    Not the `Droplet`, whose values take several times the room of their text: a batch holds as
    many entries as it has droplets.
    """

    droplet_id: int
    document: bytes
    ports: tuple[Port, ...]
    region: str
    tags: tuple[str, ...]
    hop_limit: int | None
    registering: Patch
    words: str

    @classmethod
    def of(cls, droplet: Droplet) -> "Entry":
        """The entry of `droplet`."""
        return cls(
            droplet.droplet_id,
            droplet.encode(),
            droplet.ports,
            droplet.region,
            droplet.tags,
            droplet.hop_limit,
            registering(droplet.metadata),
            words(droplet),
        )


@dataclass(frozen=True, slots=True)
class Put:
    """Store these droplets, all or none; each id at most once. The condition is on the first."""

    entries: tuple[Entry, ...]
    precondition: Precondition = ALWAYS


@dataclass(frozen=True, slots=True)
class Delete:
    """Forget the droplet with this id."""

    droplet_id: int
    precondition: Precondition = ALWAYS


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """Change the status of the droplet with this id, as `registry.status.patched` does."""

    droplet_id: int
    patch: Patch


Change = Put | Delete | PatchStatus


@dataclass(frozen=True, slots=True)
class Stored:
    """A `Put` happened. `revisions` are the new ones by droplet id; `created` were new ids.

    `statuses` are what outlived it of the statuses there were, with their revisions.
    """

    revisions: dict[int, int]
    created: frozenset[int]
    statuses: dict[int, tuple[bytes | None, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deleted:
    """A `Delete` happened; `revision` is the store's, where others may write as well."""

    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class StatusPatched:
    """A `PatchStatus` happened; `latest` is the record's. Where nothing changed it is an old one,
    and nothing was written."""

    latest: int
    changed: bool


@dataclass(frozen=True, slots=True)
class NameConflict:
    """Droplet `droplet_id` cannot have `port_name`: `holder` has it."""

    droplet_id: int
    port_name: str
    holder: int


class ChangeRefused(Exception):
    """A change did not happen because of what is stored: the sender's to resolve."""


@dataclass
class PortNamesTaken(ChangeRefused):
    """Other droplets hold port names of the change."""

    conflicts: tuple[NameConflict, ...]


@dataclass
class PreconditionFailed(ChangeRefused):
    """The precondition does not hold; the revisions are the record's, None where there is none."""

    revision: int | None
    status_revision: int = 0


@dataclass
class NoSuchDroplet(ChangeRefused):
    """There is no droplet with this id."""

    droplet_id: int


@dataclass
class TooLargeForStore(ChangeRefused):
    """The store behind this registry does not take a change of this size; `reason` has its own."""

    reason: str


@dataclass
class BrokenOff(ChangeRefused):
    """A `Put` larger than the store's transactions: `stored` droplets are, then came `cause`."""

    stored: int
    cause: ChangeRefused


Outcome = Stored | Deleted | StatusPatched | ChangeRefused


class StoreError(Exception):
    """The store's fault, not the sender's. The text is for the operator and holds no secrets."""


class StoreRefused(StoreError):
    """The store cannot be opened: nothing was changed in it."""


class StoreUnavailable(StoreError):
    """The store cannot do this now; nothing was acknowledged."""


class StoreFull(StoreUnavailable):
    """There is no room for the write."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """A migration that was done: how many droplets there are, how many of them it wrote.

    `kept` is the name that what was there before has now.
    """

    droplets: int
    written: int
    kept: Path | None = None


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A page of the list in id order: ids above `after`, with the tag and region if given.

    At most `limit` records; fewer where their documents would exceed `max_bytes` together, but
    always one. `text`: only droplets whose `registry.search.words` contain it, a `needle`.
    """

    after: int = 0
    limit: int = 100
    tag: str | None = None
    region: str | None = None
    text: str | None = None
    max_bytes: int = 8 << 20


class Records(dict[int, Record]):
    """Records by droplet id. `stale`: what was acknowledged before may be missing from them."""

    stale = False


@dataclass(frozen=True, slots=True)
class Page:
    """The records of a page, and whether there may be more after them; `stale` as of `Records`."""

    records: list[Record] = field(default_factory=list)
    more: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads a switch: the controller with this boot count, in its `term` there.

    Terms of a switch grow by one with each leader, also where that is the same again.
    """

    controller: int
    term: int


@dataclass(frozen=True, slots=True)
class Presence:
    """A controller that shows signs of life; its name is for people."""

    name: str


@dataclass(frozen=True, slots=True)
class News:
    """What was written since the last news, by anybody, up to `revision`.

    `claims` are those of each droplet that was put (none: it was deleted) and all there are where
    `whole`; `latest` has revisions of droplets whose status alone changed. `count` is how many
    droplets came, less those that went; all there are where `whole`. `leaders` are those of
    switches by dpid and `controllers` those by boot count, None where there is none any more.
    `wishes` are the switches that controllers would lead, with these. `places` are the switches
    of each port name whose places were written, the newest first; all there are where `whole`.
    """

    revision: int
    claims: dict[int, tuple[Claim, ...]] = field(default_factory=dict)
    latest: dict[int, int] = field(default_factory=dict)
    count: int = 0
    whole: bool = False
    leaders: dict[int, Leader | None] = field(default_factory=dict)
    controllers: dict[int, Presence | None] = field(default_factory=dict)
    wishes: dict[int, int] = field(default_factory=dict)
    places: dict[str, tuple[int, ...]] = field(default_factory=dict)


MAX_PLACEMENTS = 40
"""Ports whose places are written together."""


class Follower(Protocol):
    """What happens to a store that others write to as well. For one thread at a time."""

    def read(self) -> News:
        """The next news, waiting for it; the first is whole. Goes on after StoreUnavailable."""

    def beat(self, presence: Presence) -> int:
        """Write a sign of life and return its revision: news up to there are those of now.

        Without one for some seconds we lead nothing any more.
        """

    def claim(self, dpid: int) -> int | None:
        """Lead this switch, if nobody does: our term; None where somebody does."""

    def wish(self, dpid: int) -> None:
        """Tell that we would lead this switch, were it given up, for some seconds."""

    def resign(self, dpid: int, term: int) -> None:
        """Do not lead this switch any more; no error where somebody else does by now."""

    def place(self, placements: Sequence[Placement]) -> int:
        """Write where ports are; the revision that has it.

        What is said of a switch that we do not lead by then is passed over, and that a name is
        there which no droplet claims: who leads it, or when one does, looks anew. At most
        `MAX_PLACEMENTS`, each name and switch once.
        """

    def leave(self) -> None:
        """End all that this follower leads, at once."""


class Store(Protocol):
    """A durable store of droplets. Safe to call from several threads at once.

    Every method may raise `StoreUnavailable`.
    """

    @property
    def boot_count(self) -> int:
        """Counts the openings, this one included; grows each time, after a restore by more."""

    def follow(self) -> Follower | None:
        """Who tells of writes, also those of others; None: nobody else writes."""

    def write(self, changes: Sequence[Change]) -> list[Outcome]:
        """Do the changes durably, in order, and tell of each what became of it."""

    def get_many(self, droplet_ids: Iterable[int], certain: bool = False) -> Records:
        """The records of those of these droplets that there are, by id.

        Raises StoreUnavailable where they would be stale and are to be `certain`.
        """

    def page(self, query: PageQuery) -> Page:
        """A page of the list."""

    def claims(self) -> list[Claim]:
        """All claims on port names, those of a droplet beside each other.

        The revision of each is its record's latest.
        """

    def count(self) -> int:
        """How many droplets are stored."""

    def servers(self, dpid: int | None = None) -> list[tuple[int, str]]:
        """The (dpid, name) of every metadata server that is remembered, or of one switch's."""

    def remember_server(self, dpid: int, name: str) -> None:
        """Keep durably that this metadata server follows this switch."""

    def forget_server(self, dpid: int, name: str) -> None:
        """It does not any more; one that is not remembered is no error."""

    def settled(self) -> frozenset[int] | None:
        """The switches whose servers are all remembered; None: that is every switch.

        A restored store may lack servers that came to a switch after the backup.
        """

    def settle(self, dpid: int) -> None:
        """Keep durably that all servers of this switch are remembered."""

    def size(self) -> int:
        """How many bytes it takes on a disk of this host now; 0 where it is elsewhere."""

    def probe(self) -> None:
        """Raise what a write of a droplet, even of a large one, would; nobody notices."""

    def damage(self) -> str | None:
        """Look at all that is stored, however long it takes: what is damaged; None: nothing is."""

    def backup(self) -> BinaryIO:
        """A copy of all as of one moment, checked, as a file without a name, from its beginning.

        Writes go on meanwhile. Closing the file gives its room back.
        """

    def close(self) -> None:
        """Give everything back; the store cannot be used afterwards."""
