"""What changes do to a registry in etcd: from what was read to what is to be written. Pure.

A write is optimistic: what it depends on is read, `Transaction` works out outcomes and writes, and
etcd does them if every key that was looked at still has the revision it had; else all of it is done
again. Several changes share a transaction (one wait for the disks of the cluster) as long as none
touches what another has touched: the revision that a change gets is not known before the commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ryu_apps.registry import status
from ryu_apps.store.etcd.layout import CLAIMS, DROPLET, PORT, STATUS, Summary, droplet_key
from ryu_apps.store.etcd.values import Kv, Write
from ryu_apps.store.interface import (
    Change,
    ChangeRefused,
    Delete,
    Deleted,
    Entry,
    NameConflict,
    NoSuchDroplet,
    Outcome,
    PatchStatus,
    PortNamesTaken,
    PreconditionFailed,
    Put,
    StatusPatched,
    Stored,
)


def touched_ids(change: Change) -> frozenset[int]:
    """The droplets that `change` writes."""
    if isinstance(change, Put):
        return frozenset(entry.droplet_id for entry in change.entries)
    return frozenset({change.droplet_id})


def wanted_names(change: Change) -> frozenset[str]:
    """The port names that `change` claims."""
    if not isinstance(change, Put):
        return frozenset()
    return frozenset(port.name for entry in change.entries for port in entry.ports)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read for some changes, at one revision; `base` is the registry's `Meta.base`.

    `kvs` has the claims and the status of each of their droplets, and the holder of each name they
    claim, as far as there is one.
    """

    kvs: Mapping[str, Kv]
    base: int = 0

    def revision(self, key: str) -> int:
        """etcd's revision of this key, 0 where there is none."""
        found = self.kvs.get(key)
        return found.revision if found else 0

    def record_revision(self, droplet_id: int) -> int | None:
        """The revision of the droplet's document; None where it is not registered."""
        found = self.kvs.get(droplet_key(CLAIMS, droplet_id))
        return self.base + found.revision if found else None

    def names(self, droplet_id: int) -> frozenset[str]:
        """The port names that the droplet holds."""
        found = self.kvs.get(droplet_key(CLAIMS, droplet_id))
        return Summary.decode(found.value).names if found else frozenset()

    def holder(self, name: str) -> int | None:
        """The droplet that holds this name."""
        found = self.kvs.get(PORT + name)
        return int(found.value) if found else None

    def status(self, droplet_id: int) -> tuple[bytes | None, int]:
        """What is left of the droplet's status, and its revision; (None, 0): there was none."""
        found = self.kvs.get(droplet_key(STATUS, droplet_id))
        return (found.value or None, self.base + found.revision) if found else (None, 0)


@dataclass(slots=True)
class Transaction:
    """Changes that go out together, and what becomes of each once its revision is known.

    `add` works out one and says whether it goes with the others; one that does not must wait for
    the next transaction. Outcomes that say "the revision of this commit" hold `PENDING` instead.
    """

    seen: Seen
    expected: dict[str, int] = field(default_factory=dict)
    puts: dict[str, bytes] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    outcomes: list[Outcome] = field(default_factory=list)
    _ids: set[int] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)

    @property
    def write(self) -> Write:
        """What etcd is to do."""
        return Write(dict(self.expected), dict(self.puts), frozenset(self.deletes))

    @property
    def writes(self) -> bool:
        """Whether anything changes."""
        return bool(self.puts or self.deletes)

    def add(self, change: Change) -> bool:
        """Work out `change`, after those that were added before it; False: it cannot join them."""
        ids = touched_ids(change)
        names = set(wanted_names(change)).union(*map(self.seen.names, ids))
        if ids & self._ids or names & self._names:
            return False
        self._ids |= ids
        self._names |= names
        for droplet_id in ids:
            self._expect(droplet_key(CLAIMS, droplet_id))
            self._expect(droplet_key(STATUS, droplet_id))
        try:
            self.outcomes.append(self._do(change))
        except ChangeRefused as refusal:
            self.outcomes.append(refusal)
        return True

    def outcomes_at(self, revision: int) -> list[Outcome]:
        """What became of the changes, committed at this revision of etcd's."""
        return [_dated(outcome, self.seen.base + revision) for outcome in self.outcomes]

    def _expect(self, key: str) -> None:
        self.expected[key] = self.seen.revision(key)

    def _do(self, change: Change) -> Outcome:
        match change:
            case Put():
                return self._put(change)
            case Delete():
                return self._delete(change)
            case PatchStatus():
                return self._patch_status(change)

    def _put(self, change: Put) -> Stored:
        droplets = change.entries
        if droplets:
            self._require(change, droplets[0].droplet_id)
        self._require_free_names(droplets)
        created = frozenset(
            d.droplet_id for d in droplets if self.seen.record_revision(d.droplet_id) is None
        )
        statuses: dict[int, tuple[bytes | None, int]] = {}
        for entry in change.entries:
            self._put_entry(entry, statuses)
        self._move_names(droplets)
        return Stored({d.droplet_id: PENDING for d in droplets}, created, statuses)

    def _put_entry(self, entry: Entry, statuses: dict[int, tuple[bytes | None, int]]) -> None:
        droplet_id = entry.droplet_id
        self.puts[droplet_key(DROPLET, droplet_id)] = entry.document
        self.puts[droplet_key(CLAIMS, droplet_id)] = Summary.of(entry).encode()
        before, revision = self.seen.status(droplet_id)
        if not revision:
            return
        rest = status.encode(status.patched(status.decode(before), entry.registering))
        if rest != before:
            self.puts[droplet_key(STATUS, droplet_id)] = rest or b""
            revision = PENDING
        statuses[droplet_id] = (rest, revision)

    def _move_names(self, droplets: Sequence[Entry]) -> None:
        held = {name for d in droplets for name in self.seen.names(d.droplet_id)}
        wanted = {port.name: d.droplet_id for d in droplets for port in d.ports}
        for name, droplet_id in wanted.items():
            if self.seen.holder(name) != droplet_id:
                self._expect(PORT + name)
                self.puts[PORT + name] = str(droplet_id).encode()
        self.deletes |= {PORT + name for name in held - wanted.keys()}

    def _delete(self, change: Delete) -> Deleted:
        droplet_id = change.droplet_id
        if self.seen.record_revision(droplet_id) is None:
            raise NoSuchDroplet(droplet_id)
        self._require(change, droplet_id)
        self.deletes |= {droplet_key(area, droplet_id) for area in (DROPLET, CLAIMS, STATUS)}
        self.deletes |= {PORT + name for name in self.seen.names(droplet_id)}
        return Deleted(PENDING)

    def _patch_status(self, change: PatchStatus) -> StatusPatched:
        droplet_id = change.droplet_id
        revision = self.seen.record_revision(droplet_id)
        if revision is None:
            raise NoSuchDroplet(droplet_id)
        value, status_revision = self.seen.status(droplet_id)
        before = status.decode(value)
        after = status.patched(before, change.patch)
        if after == before:
            return StatusPatched(max(revision, status_revision), changed=False)
        self.puts[droplet_key(STATUS, droplet_id)] = status.encode(after) or b""
        return StatusPatched(PENDING, changed=True)

    def _require(self, change: Put | Delete, droplet_id: int) -> None:
        revision = self.seen.record_revision(droplet_id)
        if not change.precondition.holds(revision):
            status_revision = self.seen.status(droplet_id)[1] if revision is not None else 0
            raise PreconditionFailed(revision, status_revision)

    def _require_free_names(self, droplets: Iterable[Entry]) -> None:
        owners = {port.name: d.droplet_id for d in droplets for port in d.ports}
        conflicts = []
        for name, droplet_id in owners.items():
            holder = self.seen.holder(name)
            if holder is not None and holder not in self._ids:
                conflicts.append(NameConflict(droplet_id, name, holder))
        if conflicts:
            raise PortNamesTaken(tuple(conflicts))


PENDING = -1
"""The revision of a commit that has not happened."""


def _dated(outcome: Outcome, revision: int) -> Outcome:
    match outcome:
        case Stored():
            statuses = {
                droplet_id: (value, revision if at == PENDING else at)
                for droplet_id, (value, at) in outcome.statuses.items()
            }
            return Stored(dict.fromkeys(outcome.revisions, revision), outcome.created, statuses)
        case Deleted():
            return Deleted(revision)
        case StatusPatched(latest=latest) if latest == PENDING:
            return StatusPatched(revision, outcome.changed)
    return outcome
