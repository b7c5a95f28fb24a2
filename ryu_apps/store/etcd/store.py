"""The registry in an etcd cluster: the store that many controllers share.

Writes are optimistic transactions (`changes.py`), reads see every write that was acknowledged,
by whichever controller. Where the cluster has no quorum nobody can write, and reads are answered
from what any one node has. The clock is asked for how long to believe in that, no more.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.registry.claims import Claim
from ryu_apps.store.etcd import layout, parts
from ryu_apps.store.etcd.changes import Seen, Transaction, touched_ids, wanted_names
from ryu_apps.store.etcd.follow import EtcdFollower
from ryu_apps.store.etcd.gateway import Gateway
from ryu_apps.store.etcd.layout import (
    CLAIMS,
    CONTROLLER,
    DROPLET,
    LEADER,
    PLACE,
    PORT,
    SERVER,
    SETTLED,
    STATUS,
    Summary,
    droplet_id_of,
    droplet_key,
)
from ryu_apps.store.etcd.life import Life
from ryu_apps.store.etcd.values import Access, Kv, Range, Read, TooLarge, Write
from ryu_apps.store.interface import (
    BrokenOff,
    Change,
    ChangeRefused,
    News,
    Outcome,
    Page,
    PageQuery,
    Put,
    Record,
    Records,
    Stored,
    StoreUnavailable,
    TooLargeForStore,
)

LOG = logging.getLogger(__name__)

_ATTEMPTS = 30
"""Times that a transaction is worked out anew because others wrote to the same droplets."""

_CHUNK = 5_000
"""Keys of a read: an answer of some megabytes."""

_DOCUMENTS = 64
"""Documents of a read; one has up to about 200 kB."""

PROBE = "probe"

RESTORE_BITS = 40
"""An etcd counts fewer than 2^40 revisions between two restores, so that those after one are above
all before it; a few thousand restores fit JSON's 2^53."""

_WITHOUT_QUORUM_S = 5.0
"""Seconds for which reads do not ask for a quorum again after they got none."""


class EtcdStore:
    """The registry at the prefix that `access` names, begun where there is none.

    One that is `filling` is for a migration, and no other opens it. Raises `StoreRefused` where it
    is not ours or etcd does not let us in, `StoreUnavailable` where no quorum answers.
    """

    def __init__(self, access: Access, *, filling: bool = False) -> None:
        self.access = access
        self._gateway = Gateway(access)
        self._stale_until = 0.0
        self.life = Life(self._gateway, filling=filling)

    @property
    def boot_count(self) -> int:
        """How often a store was opened on this registry, this one included."""
        return self.life.boot_count

    @property
    def _base(self) -> int:
        return self.life.meta.base

    def follow(self) -> EtcdFollower:
        """A new follower, which begins with all there is."""
        return EtcdFollower(self._gateway, self._base, self._everything, self.boot_count)

    # -- writing ------------------------------------------------------------------------------

    def write(self, changes: Sequence[Change]) -> list[Outcome]:
        """Do the changes in as few transactions as hold them."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(changes):
            outcomes += self._write_some(changes[len(outcomes) :])
        return outcomes

    def _write_some(self, changes: Sequence[Change], *, split: bool = True) -> list[Outcome]:
        """Do the first of the changes, as many as a transaction holds; at least one."""
        group = parts.beginning(changes)
        for attempt in range(_ATTEMPTS):
            transaction = self._work_out(group)
            group = group[: len(transaction.outcomes)]
            if not transaction.writes:
                return transaction.outcomes
            if len(group) > 1 and not parts.fits(transaction.write):
                group = group[: len(group) // 2]
                continue
            if split and not parts.fits(transaction.write) and parts.divisible(group[0]):
                return [self._write_in_parts(group[0], transaction.seen)]
            try:
                revision = self._gateway.write(transaction.write)
            except TooLarge as error:
                if len(group) == 1:
                    return [_too_large(transaction.write, error)]
                group = group[: len(group) // 2]
                continue
            if revision is not None:
                return transaction.outcomes_at(revision)
            # Somebody else has the same droplets in hand; not in step with us from here on.
            time.sleep(random.uniform(0, 0.001 * 2 ** min(attempt, 7)))
        raise StoreUnavailable(
            f"registry {self.access.shown}: others wrote to the same droplets {_ATTEMPTS} times"
        )

    def _work_out(self, group: Sequence[Change]) -> Transaction:
        """The transaction of the first of these changes, as many as can go together."""
        transaction = Transaction(self._look(group))
        for change in group:
            if not transaction.add(change):
                break
        return transaction

    def _look(self, changes: Iterable[Change]) -> Seen:
        keys: dict[str, None] = {}
        for change in changes:
            for droplet_id in touched_ids(change):
                keys[droplet_key(CLAIMS, droplet_id)] = None
                keys[droplet_key(STATUS, droplet_id)] = None
            for name in wanted_names(change):
                keys[PORT + name] = None
        read = self._gateway.read(*map(Range, keys))
        return Seen({kv.key: kv for found in read.found for kv in found.kvs}, self._base)

    def _write_in_parts(self, change: Put, seen: Seen) -> Outcome:
        """Store a batch that no transaction holds; every name was free a moment ago."""
        stored = Stored({}, frozenset())
        for part in parts.parts(change, seen):
            try:
                (outcome,) = self._write_some([part], split=False)
            except StoreUnavailable as error:
                done = f"{len(stored.revisions)} of {len(change.entries)}"
                raise type(error)(f"{error}; {done} droplets of the batch are stored") from error
            if isinstance(outcome, ChangeRefused):
                return BrokenOff(len(stored.revisions), outcome) if stored.revisions else outcome
            assert isinstance(outcome, Stored)
            stored = Stored(
                stored.revisions | outcome.revisions,
                stored.created | outcome.created,
                stored.statuses | outcome.statuses,
            )
        return stored

    # -- reading ------------------------------------------------------------------------------

    def get_many(self, droplet_ids: Iterable[int], certain: bool = False) -> Records:
        """The records of those of these droplets that there are, by id.

        `certain`: as a quorum has them; else, where there is none, as any node has.
        """
        asked, records = list(dict.fromkeys(droplet_ids)), Records()
        for start in range(0, len(asked), _DOCUMENTS):
            some, read = self._some_records(asked[start : start + _DOCUMENTS], certain=certain)
            records |= {record.droplet_id: record for record in some}
            records.stale = records.stale or read.stale
        return records

    def page(self, query: PageQuery) -> Page:
        """A page of the list. What narrows it is looked for in all droplets after `query.after`."""
        ids, matched = self._matching(query)
        records: list[Record] = []
        size, stale = 0, matched.stale
        for start in range(0, len(ids), _DOCUMENTS):
            part = ids[start : start + _DOCUMENTS]
            some, read = self._some_records(part, revision=matched.revision)
            stale = stale or read.stale
            for record in some:
                size += len(record.document) + len(record.status or b"")
                if len(records) == query.limit or (records and size > query.max_bytes):
                    return Page(records, more=True, stale=stale)
                records.append(record)
        return Page(records, stale=stale)

    def claims(self) -> list[Claim]:
        """All claims on port names, those of a droplet beside each other."""
        return [claim for claims in self._claims()[0].values() for claim in claims]

    def count(self) -> int:
        """How many droplets are stored."""
        return self._read(Range.under(CLAIMS, count_only=True)).found[0].count

    def servers(self, dpid: int | None = None) -> list[tuple[int, str]]:
        """The (dpid, name) of every metadata server that is remembered, or of one switch's."""
        area = SERVER if dpid is None else layout.server_key(dpid, "")
        return [
            layout.server_of(kv.key) for kv in self._gateway.read(Range.under(area)).found[0].kvs
        ]

    def remember_server(self, dpid: int, name: str) -> None:
        """Keep durably that this metadata server follows this switch."""
        self._gateway.write(Write(puts={layout.server_key(dpid, name): b""}))

    def forget_server(self, dpid: int, name: str) -> None:
        """It does not any more."""
        self._gateway.write(Write(deletes=frozenset({layout.server_key(dpid, name)})))

    def settled(self) -> frozenset[int] | None:
        """The switches whose servers are all remembered; None where every switch's are."""
        if not self.life.meta.restored:
            return None
        kvs = self._gateway.read(Range.under(SETTLED)).found[0].kvs
        return frozenset(int(kv.key.removeprefix(SETTLED), 16) for kv in kvs)

    def settle(self, dpid: int) -> None:
        """All servers of this switch are remembered from now on."""
        self._gateway.write(Write(puts={layout.settled_key(dpid): b""}))

    def size(self) -> int:
        """Nothing on a disk of ours."""
        return 0

    def probe(self) -> None:
        """Have a quorum take a write that nobody follows."""
        self._gateway.write(Write(puts={PROBE: b""}))

    def damage(self) -> None:
        """Nothing that we could see: etcd checks its own."""

    def backup(self) -> BinaryIO:
        """Not of this store: a copy of the cluster is etcd's own to make."""
        raise StoreUnavailable(
            f"registry {self.access.shown}: back it up with etcdctl snapshot save, or copy it to "
            "SQLite with dropletctl migrate"
        )

    def close(self) -> None:
        """Nothing to give back: connections end with their threads."""

    def _everything(self) -> tuple[News, int]:
        """All that followers are told, as news, and etcd's revision of which it is."""
        claims, revision = self._claims()
        leaders = {
            layout.switch_of(kv.key): layout.leader(kv.value) for kv in self._all(LEADER, revision)
        }
        controllers = {
            layout.controller_of(kv.key): layout.presence(kv.value)
            for kv in self._all(CONTROLLER, revision)
        }
        news = News(
            self._base + revision,
            claims,
            count=len(claims),
            whole=True,
            leaders=dict(leaders),
            controllers=dict(controllers),
            places={
                kv.key.removeprefix(PLACE): tuple(place.dpid for place in layout.places(kv.value))
                for kv in self._all(PLACE, revision)
            },
        )
        return news, revision

    def _claims(self) -> tuple[dict[int, tuple[Claim, ...]], int]:
        """The claims of every droplet, and etcd's revision of which they are."""
        first = self._read(Range.under(CLAIMS, limit=1, keys_only=True))
        revisions = {
            droplet_id_of(kv.key): self._base + kv.revision
            for kv in self._all(STATUS, first.revision, keys_only=True)
        }
        summaries = (
            (droplet_id_of(kv.key), self._base + kv.revision, Summary.decode(kv.value))
            for kv in self._all(CLAIMS, first.revision)
        )
        return layout.claims_by_droplet(summaries, revisions), first.revision

    def _matching(self, query: PageQuery) -> tuple[list[int], Read]:
        """The ids of a page and of one droplet more if there is, and the read that has them."""
        narrow = (query.tag, query.region, query.text) != (None, None, None)
        ids: list[int] = []
        revision = 0
        start, end = droplet_key(CLAIMS, query.after + 1), Range.under(CLAIMS).end
        limit = _CHUNK if narrow else query.limit + 1
        while len(ids) <= query.limit:
            read = self._read(Range(start, end, limit, keys_only=not narrow), revision=revision)
            revision, kvs = read.revision, read.found[0].kvs
            ids += (droplet_id_of(kv.key) for kv in kvs if not narrow or _matches(kv, query))
            if len(kvs) < limit:
                break
            start = kvs[-1].key + "\0"
        return ids[: query.limit + 1], read

    def _some_records(
        self, droplet_ids: Sequence[int], *, revision: int = 0, certain: bool = False
    ) -> tuple[list[Record], Read]:
        """The records of those of these droplets that there are, as of this revision (0: now)."""
        keys = [droplet_key(area, each) for each in droplet_ids for area in (DROPLET, STATUS)]
        ask = self._gateway.read if certain else self._read
        read = ask(*map(Range, keys), revision=revision)
        kvs = {kv.key: kv for found in read.found for kv in found.kvs}
        documents = ((each, kvs.get(droplet_key(DROPLET, each))) for each in droplet_ids)
        return [
            self._record(each, document, kvs.get(droplet_key(STATUS, each)))
            for each, document in documents
            if document is not None
        ], read

    def _record(self, droplet_id: int, document: Kv, status: Kv | None) -> Record:
        base = self._base
        if status is None:
            return Record(droplet_id, base + document.revision, document.value)
        return Record(
            droplet_id,
            base + document.revision,
            document.value,
            status.value or None,
            base + status.revision,
        )

    def _all(self, area: str, revision: int, *, keys_only: bool = False) -> Iterator[Kv]:
        """Every key of an area as of this revision, in order, read in parts."""
        start, end = area, Range.under(area).end
        while True:
            asked = Range(start, end, _CHUNK, keys_only=keys_only)
            kvs = self._read(asked, revision=revision).found[0].kvs
            yield from kvs
            if len(kvs) < _CHUNK:
                return
            start = kvs[-1].key + "\0"

    def _read(self, *ranges: Range, revision: int = 0) -> Read:
        """What a quorum has; where there is none, what any node has: nobody can write then."""
        if time.monotonic() >= self._stale_until:
            try:
                return self._gateway.read(*ranges, revision=revision)
            except StoreUnavailable as error:
                say(LOG, events.STORE_READ_STALE, reason=error)
                self._stale_until = time.monotonic() + _WITHOUT_QUORUM_S
        return self._gateway.read(*ranges, revision=revision, serializable=True)


class EtcdTarget:
    """A registry to be, see `migrate.Target`."""

    def __init__(self, access: Access) -> None:
        self.store = EtcdStore(access, filling=True)
        self.carry_on = self.store.life.carry_on
        self.finish = self.store.life.finish

    def leave(self) -> None:
        """It stays as far as it came."""
        self.store.close()


def _matches(kv: Kv, query: PageQuery) -> bool:
    summary = Summary.decode(kv.value)
    return (
        (query.tag is None or query.tag in summary.tags)
        and (query.region is None or query.region == summary.region)
        and (query.text is None or query.text in summary.words)
    )


def _too_large(write: Write, error: TooLarge) -> TooLargeForStore:
    return TooLargeForStore(
        f"the registry's etcd takes no transaction of {write.operations} operations and "
        f"{write.size} bytes: {error}"
    )
