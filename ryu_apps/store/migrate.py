"""From one store to another: all droplets, statuses and known servers, verified, then switched on.

The target is made equal to the source, whatever an attempt before left in it, compared once more,
and only then becomes a registry that controllers open: broken off anywhere, the migration is simply
done again. No controller has either open meanwhile. Revisions and boot counts go on above the
source's, so that nobody who follows takes the new registry for an older state.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ryu_apps.registry import status
from ryu_apps.registry.droplet import decode_stored
from ryu_apps.store import sqlite_copy
from ryu_apps.store.interface import (
    Change,
    ChangeRefused,
    Delete,
    Entry,
    Migrated,
    PageQuery,
    PatchStatus,
    Put,
    Record,
    Store,
    StoreRefused,
)
from ryu_apps.store.sqlite import SqliteStore

UNFINISHED = ".migrating"
"""At the end of the name of an SQLite registry that is being filled."""

_PAGE = 500
"""Droplets that are read and written at once."""

Progress = Callable[[int, int], None]
"""Called with how many droplets were seen to, and how many there are."""


class Target(Protocol):
    """A registry that is being filled and that no controller opens yet."""

    store: Store

    def carry_on(self, revision: int, boot_count: int) -> None:
        """All that will be written has revisions and boot counts above these."""

    def finish(self) -> Path | None:
        """Make it a registry that controllers open; the name of what was there before, if kept."""

    def leave(self) -> None:
        """Give up what is open; what is filled stays for the next attempt."""


class SqliteTarget:
    """A registry at `path` to be, in a file of another name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unfinished = path.with_name(path.name + UNFINISHED)
        self.store = SqliteStore(self._unfinished)

    def carry_on(self, revision: int, boot_count: int) -> None:
        """Count on from there."""
        self.store.carry_on(revision, boot_count)

    def finish(self) -> Path | None:
        """Put it in the place of what is there, which is kept under another name."""
        self.store.close()
        kept = sqlite_copy.restore(self._unfinished, self.path).kept
        sqlite_copy.remove(self._unfinished)
        return kept

    def leave(self) -> None:
        """Close the file."""
        self.store.close()


def migrate(
    source: Store, target: Target, progress: Progress = lambda _done, _all: None
) -> Migrated:
    """Make `target` what `source` is and switch it on. Raises StoreError; then it is not on.

    Nobody else may write to either.
    """
    try:
        total = source.count()
        target.carry_on(_highest_revision(source), source.boot_count)
        stale = [ours.droplet_id for ours, theirs in _differences(target.store, source)]
        _in_parts(target.store, [Delete(droplet_id) for droplet_id in stale])
        written = 0
        for done, part in _missing(source, target.store):
            _copy(part, target.store)
            written += len(part)
            progress(done, total)
        _copy_servers(source, target.store)
        _verify(source, target.store)
        kept = target.finish()
    except BaseException:
        target.leave()
        raise
    return Migrated(total, written, kept)


def _records(store: Store) -> Iterator[Record]:
    """Every record in id order."""
    after, more = 0, True
    while more:
        page = store.page(PageQuery(after=after, limit=_PAGE))
        yield from page.records
        more = page.more
        after = page.records[-1].droplet_id if page.records else after


def _highest_revision(store: Store) -> int:
    return max((record.latest for record in _records(store)), default=0)


def _content(record: Record) -> tuple[bytes, bytes | None]:
    return record.document, record.status


def _differences(left: Store, right: Store) -> Iterator[tuple[Record, Record | None]]:
    """The records of `left` that `right` does not have so, with what it has instead."""
    others = _records(right)
    other = next(others, None)
    for record in _records(left):
        while other is not None and other.droplet_id < record.droplet_id:
            other = next(others, None)
        same_id = other if other is not None and other.droplet_id == record.droplet_id else None
        if same_id is None or _content(same_id) != _content(record):
            yield record, same_id


def _missing(source: Store, target: Store) -> Iterator[tuple[int, list[Record]]]:
    """What `target` lacks, in parts, each with how many records were looked at so far."""
    done, part = 0, []
    for record, _ in _differences(source, target):
        part.append(record)
        done += 1
        if len(part) == _PAGE:
            yield done, part
            part = []
    if part:
        yield done, part


def _copy(records: list[Record], target: Store) -> None:
    entries = tuple(Entry.of(decode_stored(record.document)) for record in records)
    patches = [
        PatchStatus(record.droplet_id, status.decode(record.status))
        for record in records
        if record.status is not None
    ]
    _done(target.write([Put(entries)]))
    _in_parts(target, patches)


def _in_parts(target: Store, changes: list[Change]) -> None:
    for start in range(0, len(changes), _PAGE):
        _done(target.write(changes[start : start + _PAGE]))


def _done(outcomes: list[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, ChangeRefused):
            raise StoreRefused(f"the target refuses a droplet: {outcome!r}")


def _copy_servers(source: Store, target: Store) -> None:
    wanted, there = set(source.servers()), set(target.servers())
    for server in there - wanted:
        target.forget_server(*server)
    for server in wanted - there:
        target.remember_server(*server)


def _verify(source: Store, target: Store) -> None:
    """Raise StoreRefused unless the target holds just what the source does."""
    for one, other, what in ((source, target, "lacks"), (target, source, "has")):
        for record, _ in _differences(one, other):
            raise StoreRefused(
                f"the target {what} droplet {record.droplet_id} otherwise than the source: "
                "somebody wrote to one of them meanwhile"
            )
    counts = {
        "droplets": (source.count(), target.count()),
        "port names": (len(source.claims()), len(target.claims())),
        "servers": (len(source.servers()), len(target.servers())),
    }
    for what, (wanted, found) in counts.items():
        if wanted != found:
            raise StoreRefused(f"the target has {found} {what}, the source {wanted}")
