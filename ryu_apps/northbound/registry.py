"""The registry as a service to green threads: the durable store with the claims index before it.

Strategy: the store blocks, so every call to it is handed to a real thread (`offload`). Writes
queue up, and the first green thread that gets the writer's place commits all that are queued
in one go (group commit): one wait for the disk serves many. The index and `on_change` follow
in the order of the commits, and only then is anybody told that a write happened. So the index
always equals what is acknowledged, and is changed from the hub's thread alone.

Where others write to the store as well, the index follows the store's news (`following.py`) in
place of our own commits, and a write is acknowledged when its news have come.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, BinaryIO

from eventlet import tpool
from eventlet.semaphore import Semaphore

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding.figures import Durations
from ryu_apps.binding.whereabouts import Moment, Whereabouts
from ryu_apps.northbound.following import Following
from ryu_apps.northbound.leadership import Leadership
from ryu_apps.northbound.placing import Placing
from ryu_apps.northbound.turns import in_turns
from ryu_apps.registry.claims import Claim, ClaimsDirectory
from ryu_apps.registry.completion import Defaults, served
from ryu_apps.registry.droplet import Droplet, decode_stored
from ryu_apps.registry.status import Patch, decode, patched
from ryu_apps.store.interface import (
    ALWAYS,
    Change,
    ChangeRefused,
    Delete,
    Deleted,
    Entry,
    News,
    NoSuchDroplet,
    Outcome,
    Page,
    PageQuery,
    PatchStatus,
    Precondition,
    Put,
    Record,
    Records,
    StatusPatched,
    Store,
    Stored,
    StoreError,
    StoreUnavailable,
)

LOG = logging.getLogger(__name__)

_MAX_GROUP = 256
"""Changes of one commit: bounds how long a write waits for those it shares the commit with."""

_MAX_TOLD = 1000
"""Port names told at a time: a batch may touch a hundred thousand."""

OnChange = Callable[[frozenset[str]], None]


@dataclass(slots=True, eq=False)
class _Ticket:
    """A change that waits for its commit, and what became of it."""

    change: Change
    result: Outcome | StoreError | None = None


class Registry:
    """Droplets, durable; and who claims which port, in memory.

    `on_change` is called with the port names a write touched, those of the old and the new
    record, when the write is durable and `claims` tells of it; of a large batch in pieces, with
    turns for others between. It must not block. Must be used from green threads of one hub; a
    write must not be left by a timeout or a kill.

    `commits` tells how long they took, `failures` how many failed, and `size` the store's bytes
    after the last.

    Methods that write raise `ChangeRefused` (what is stored forbids it) or `StoreError`.
    """

    def __init__(
        self,
        store: Store,
        *,
        defaults: Defaults | None = None,
        offload: Callable[..., Any] = tpool.execute,
        on_change: OnChange | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.defaults = defaults or Defaults()
        self.on_change = on_change
        self.claims = ClaimsDirectory()
        self.count = 0
        self.last_error: str | None = None
        self.damage: str | None = None
        self._clock = clock
        self._failed_at = 0.0
        self.commits = Durations()
        self.failures = 0
        self.size = 0
        self._store = store
        self._offload = offload
        self._queue: deque[_Ticket] = deque()
        self._writer = Semaphore(1)
        self._probing = Semaphore(1)
        self.leadership: Leadership | None = None
        self.following: Following | None = None
        self.whereabouts: Whereabouts | None = None
        self.placing: Placing | None = None
        follower = offload(store.follow)
        if follower is None:
            self._load()
        else:
            self.leadership = Leadership(follower, store.boot_count, offload)
            self.whereabouts = Whereabouts(self._now, self.leadership.other_leader)
            self.placing = Placing(self.whereabouts, follower, offload, clock)
            self.following = Following(follower, self._hear, offload, clock)

    @property
    def boot_count(self) -> int:
        """How often the store was opened: the base of revisions that grow over restarts."""
        return self._store.boot_count

    def age(self) -> float:
        """Seconds since the index was known to have all that others had written."""
        return 0.0 if self.following is None else self.following.age

    def is_current(self) -> bool:
        """Whether `claims` can be believed about who belongs on a port that has just come."""
        return self.following is None or self.following.is_current

    def put(self, droplet: Droplet, precondition: Precondition = ALWAYS) -> tuple[Record, bool]:
        """Register `droplet`; its record, and whether it is a new one."""
        entry = Entry.of(droplet)
        stored = self._write(Put((entry,), precondition))
        droplet_id = entry.droplet_id
        status = stored.statuses.get(droplet_id, (None, 0))
        record = Record(droplet_id, stored.revisions[droplet_id], entry.document, *status)
        return record, droplet_id in stored.created

    def put_many(self, entries: Sequence[Entry]) -> int:
        """Register all of them or none; how many are new."""
        return len(self._write(Put(tuple(entries))).created)

    def delete(self, droplet_id: int, precondition: Precondition = ALWAYS) -> None:
        """Forget the droplet. Raises `NoSuchDroplet`, a `ChangeRefused`, where there is none."""
        self._write(Delete(droplet_id, precondition))

    def patch_status(self, droplet_id: int, patch: Patch) -> int:
        """Change the droplet's status; the revision of its record that tells of it.

        A change of nothing is no write, and takes no writer's turn: agents repeat themselves. Only
        a record that may be old says nothing of what changes.
        Raises `NoSuchDroplet`.
        """
        found = self.get_many([droplet_id])
        if not found.stale:
            record = found.get(droplet_id)
            if record is None:
                raise NoSuchDroplet(droplet_id)
            status = decode(record.status)
            if patched(status, patch) == status:
                return record.latest
        return self._write(PatchStatus(droplet_id, patch)).latest

    def get(self, droplet_id: int) -> Record | None:
        """The droplet's record, or None."""
        return self.get_many([droplet_id]).get(droplet_id)

    def get_many(self, droplet_ids: Iterable[int], *, certain: bool = False) -> Records:
        """The records of those of these droplets that are registered.

        Where they are `stale` each is as new as the index all the same, or StoreUnavailable is
        raised: what is told of a droplet never goes back behind what its ports were told for.
        """
        asked = list(droplet_ids)
        found = self._offload(self._store.get_many, asked, certain)
        if found.stale and (behind := [one for one in asked if self._is_behind(one, found)]):
            raise StoreUnavailable(
                f"droplet {behind[0]}: the registry has no quorum, and the node that answers has "
                "not what we know of already"
            )
        return found

    def _is_behind(self, droplet_id: int, found: Records) -> bool:
        """Whether the index has later news of the droplet than what was found, a stale record."""
        record = found.get(droplet_id)
        held = [self.claims.get(name) for name in self.claims.names_of(droplet_id)]
        if newest := max((claim.revision for claim in held if claim is not None), default=0):
            return record is None or record.latest < newest
        # A droplet that claims no port is not in the index, or it was deleted.
        return (
            record is not None
            and bool(decode_stored(record.document).ports)
            and self.following is not None
            and record.latest <= self.following.revision
        )

    def page(self, query: PageQuery) -> Page:
        """A page of the list of droplets."""
        return self._offload(self._store.page, query)

    def served(self, record: Record) -> dict[str, Any]:
        """What a metadata server needs of the droplet, completed.

        `revision` is the record's latest: it grows with all that is told here.
        """
        droplet, status = decode_stored(record.document), decode(record.status)
        return {"revision": record.latest, **served(droplet, self.defaults, status)}

    def backup(self) -> BinaryIO:
        """A checked copy of all that is registered, as of one moment. Raises `StoreError`."""
        return self._offload(self._store.backup)

    def is_writable(self) -> bool:
        """Whether the last write succeeded; after one that did not, whether one would now.

        Somebody who is sent no writes while we are not writable could not find out otherwise. Where
        signs of life are written anyway, they tell.
        """
        if self.following is not None:
            if self.following.beaten_at > self._failed_at:
                self.last_error = None
            return self.last_error is None and self.following.last_error is None
        with self._probing:
            if self.last_error is not None:
                try:
                    self._offload(self._store.probe)
                    self.last_error = None
                except StoreError as error:
                    self.last_error = str(error)
        return self.last_error is None

    def check(self) -> None:
        """Look for damage in all that is stored, while it is in use; `damage` tells what there is.

        A start looks only at what it reads: reading every document first would take a cold disk
        seconds for each hundred thousand droplets. What is found now is found before somebody asks.
        """
        try:
            self.damage = self._offload(self._store.damage)
        except StoreError as error:
            say(LOG, events.STORE_AWAY, reason=error)
        if self.damage is not None:
            say(LOG, events.REGISTRY_DAMAGED, reason=self.damage)

    def close(self) -> None:
        """Close the store."""
        self._offload(self._store.close)

    def _load(self) -> None:
        loaded = self.claims.replacement(())  # Nobody holds a name yet.
        found = self._offload(self._store.claims)
        for droplet_id, claims in groupby(found, attrgetter("droplet_id")):
            loaded.add(droplet_id, tuple(claims))
        loaded.take_effect()
        self.count = self._offload(self._store.count)
        self._offload(self._measure)

    def _write(self, change: Change) -> Any:
        """Have `change` committed; its outcome. Raises what the store refuses or fails with."""
        if self.damage is not None:
            raise StoreUnavailable(f"the registry is damaged: {self.damage}")
        ticket = _Ticket(change)
        self._queue.append(ticket)
        with self._writer:
            while ticket.result is None:
                self._commit_group()
        if isinstance(ticket.result, (ChangeRefused, StoreError)):
            raise ticket.result
        return ticket.result

    def _commit_group(self) -> None:
        group = [self._queue.popleft() for _ in range(min(len(self._queue), _MAX_GROUP))]
        try:
            outcomes = self._offload(self._commit, [ticket.change for ticket in group])
            self.last_error = None
            if self.following is not None:
                self.following.wait_for(max(map(_revision, outcomes)))
            for ticket, outcome in zip(group, outcomes, strict=True):
                if self.following is None:
                    self._follow(ticket.change, outcome)
                ticket.result = outcome
        except StoreError as error:
            self.last_error, self._failed_at = str(error), self._clock()
            self.failures += 1
            for ticket in group:
                ticket.result = error
        finally:
            for ticket in group:
                # Only a fault of ours leaves one open; whoever waits for it must not wait on.
                ticket.result = ticket.result or StoreUnavailable("the write was broken off")

    def _commit(self, changes: list[Change]) -> list[Outcome]:
        """On a native thread: its clock counts the disk and not the turns of green threads."""
        began = time.monotonic()
        outcomes = self._store.write(changes)
        self.commits.observe(time.monotonic() - began)
        self._measure()
        return outcomes

    def _measure(self) -> None:
        with suppress(StoreError):  # What is written is written, whoever cannot be asked its size.
            self.size = self._store.size()

    def _follow(self, change: Change, outcome: Outcome) -> None:
        """Bring the index to where the store is, and tell of it."""
        match change, outcome:
            case Delete(droplet_id=droplet_id), Deleted():
                self.count -= 1
                self._tell(self.claims.replace({droplet_id: ()}))
            case Put(entries=entries), Stored(revisions=revisions, created=created):
                self.count += len(created)
                replacement = self.claims.replacement(revisions.keys())
                for entry in in_turns(entries):
                    replacement.add(entry.droplet_id, _claims(entry, revisions))
                self._tell(replacement.take_effect())
            case PatchStatus(droplet_id=droplet_id), StatusPatched(latest=latest, changed=True):
                self._tell(self.claims.replace({droplet_id: self._dated(droplet_id, latest)}))

    def _hear(self, news: News) -> None:
        """Bring the index to where the store's news are, and tell of it.

        News may be of everything there is, as after a compaction: in turns with others, who see the
        index as it was until it is as it shall be.
        """
        if self.leadership is not None:
            self.leadership.hear(news)
        moved = self._hear_places(news)
        if news.whole:
            self.count = news.count
            found = in_turns(self.claims.changes(news.claims))
            replaced = self._replace(dict(change for change in found if change is not None))
            self._tell(replaced | moved)
            return
        self.count += news.count
        touched = self._replace(news.claims)
        dated = {
            droplet_id: self._dated(droplet_id, latest)
            for droplet_id, latest in in_turns(news.latest.items())
        }
        self._tell(touched | self._replace(dated) | moved)

    def _hear_places(self, news: News) -> set[str]:
        """The port names that another switch may have to serve now."""
        whereabouts = self.whereabouts
        if whereabouts is None:
            return set()
        told: dict[str, tuple[int, ...]] = (
            dict.fromkeys(whereabouts.names(), ()) if news.whole else {}
        )
        told |= news.places
        moved: set[str] = set()
        for name, dpids in in_turns(told.items()):
            moved |= whereabouts.hear({name: dpids}, 0)
        moved |= whereabouts.hear({}, news.revision)
        # Of switches that nobody leads any more, or somebody does again.
        for dpid in in_turns(whereabouts.switches() if news.whole else news.leaders):
            moved |= whereabouts.contested_at(dpid)
        return moved

    def _now(self) -> Moment:
        return Moment(self._clock(), self.whereabouts.revision if self.whereabouts else 0)

    def _replace(self, claims: Mapping[int, Sequence[Claim]]) -> frozenset[str]:
        """As `ClaimsDirectory.replace`, prepared in turns with others."""
        replacement = self.claims.replacement(claims.keys())
        for droplet_id, wanted in in_turns(claims.items()):
            replacement.add(droplet_id, wanted)
        return replacement.take_effect()

    def _dated(self, droplet_id: int, latest: int) -> list[Claim]:
        """The droplet's claims as of this revision of its record."""
        held = (self.claims.get(name) for name in self.claims.names_of(droplet_id))
        return [claim._replace(revision=latest) for claim in held if claim is not None]

    def _tell(self, touched: frozenset[str]) -> None:
        if self.on_change is None:
            return
        names = iter(touched)
        for piece in in_turns(iter(lambda: frozenset(islice(names, _MAX_TOLD)), frozenset())):
            try:
                self.on_change(piece)
            except Exception:  # noqa: BLE001 - logged, with its trace
                # The write is durable and must be answered as such; the listener's fault is ours to
                # report, loudly, and not the sender's to repeat the write for.
                say(LOG, events.LISTENER_FAILED, trace=True, port_names=sorted(piece))


def _claims(entry: Entry, revisions: dict[int, int]) -> tuple[Claim, ...]:
    revision = revisions[entry.droplet_id]
    return tuple(
        Claim(entry.droplet_id, port.name, port.mac, port.dpid, revision, entry.hop_limit)
        for port in entry.ports
    )


def _revision(outcome: Outcome) -> int:
    """The store's revision that has the outcome; 0 where nothing was written."""
    match outcome:
        case Stored(revisions=revisions):
            return max(revisions.values(), default=0)
        case Deleted(revision=revision) | StatusPatched(latest=revision):
            return revision
    return 0
