"""What each change does to the tables of an SQLite registry, inside a transaction that others open.

One rule: a change is checked before any of it is done, so that a refused one leaves nothing behind
in the transaction it shares with others.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from ryu_apps.registry import status
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
    Record,
    StatusPatched,
    Stored,
)

UNSEEN_BOOTS = 1 << 13
"""How many openings may have come after a backup was made that nothing tells of: a bound far above
what there will be, and 2^21 boot counts fit the revisions of a watch stream as JSON's 2^53."""

REVISION_BITS = 32
"""A registry writes fewer than 2^32 revisions between two restores, so that those after one, which
begin at its boot count shifted by this, are above all before it."""


_ROWS = 100
"""Of one INSERT: some statements for the largest batch, and short enough to be prepared at once."""


class Changes:
    """The changes of one transaction, which `connection` has begun."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany

    def count(self, name: str, step: int) -> int:
        """Add `step` to a counter and return it."""
        query = "UPDATE counter SET value = value + ? WHERE name = ? RETURNING value"
        # fetchall: a statement left unfinished would keep the transaction from committing.
        return self._execute(query, (step, name)).fetchall()[0][0]

    def remember_server(self, dpid: str, name: str) -> None:
        """Add the server if it is not there."""
        self._execute("INSERT OR IGNORE INTO server VALUES (?, ?)", (dpid, name))

    def forget_server(self, dpid: str, name: str) -> None:
        """Take the server out."""
        self._execute("DELETE FROM server WHERE dpid = ? AND name = ?", (dpid, name))

    def settle(self, dpid: str) -> None:
        """Add the switch if it is not there."""
        self._execute("INSERT OR IGNORE INTO settled VALUES (?)", (dpid,))

    def begin_life(self, noted: int) -> tuple[int, bool]:
        """Count an opening; its boot count, and whether the file is older than what was served.

        It is if it is a copy, or if a boot count above its own is `noted`. Then it cannot know
        which revisions were given after it was made, so both counters go on above any of them,
        nor which metadata servers there are.
        """
        boot_count = self.count("boot_count", 1)
        went_back = self.count("copied", 0) == 1 or noted >= boot_count
        if went_back:
            boot_count = max(boot_count, noted + 1) + UNSEEN_BOOTS
            self._set("boot_count", boot_count)
            self._set("revision", max(self.count("revision", 0), boot_count << REVISION_BITS))
            self._set("restored", boot_count)
            self._set("copied", 0)
            self._execute("DELETE FROM settled")
        return boot_count, went_back

    def mark_copied(self, boot_count: int) -> None:
        """Have it opened as a copy next time, with a boot count above this one."""
        self._set("copied", 1)
        self._set("boot_count", max(boot_count, self.count("boot_count", 0)))

    def carry_on(self, revision: int, boot_count: int) -> None:
        """Raise the counters to these at least."""
        self._set("revision", max(revision, self.count("revision", 0)))
        self._set("boot_count", max(boot_count, self.count("boot_count", 0)))

    def _set(self, name: str, value: int) -> None:
        self._execute("UPDATE counter SET value = ? WHERE name = ?", (value, name))

    def do(self, change: Change) -> Outcome:
        """Do `change`, or return why not."""
        try:
            match change:
                case Put():
                    return self._put(change)
                case Delete():
                    return self._delete(change)
                case PatchStatus():
                    return self._patch_status(change)
        except ChangeRefused as refusal:
            return refusal

    def _put(self, change: Put) -> Stored:
        entries = change.entries
        known = self._known([entry.droplet_id for entry in entries])
        if entries:
            self._require(change, known.get(entries[0].droplet_id))
        self._require_free_names(entries)
        revision = self.count("revision", len(entries)) - len(entries)
        revisions = {entry.droplet_id: revision + n for n, entry in enumerate(entries, 1)}
        if known:
            self._forget_claims_and_tags(known)
        self._write_droplets(entries, revisions)
        self._write_what_they_are_found_by(entries)
        created = frozenset(revisions) - known.keys()
        if created:
            self.count("droplets", len(created))
        return Stored(revisions, created, self._keep_statuses(entries, known))

    def _forget_claims_and_tags(self, droplet_ids: Iterable[int]) -> None:
        """Of all of a batch before any is inserted: a name may move between droplets of it."""
        ids = json.dumps(list(droplet_ids))
        for table in ("port", "tag"):
            self._execute(
                f"DELETE FROM {table} WHERE droplet_id IN (SELECT value FROM json_each(?))", (ids,)
            )

    def _write_droplets(self, entries: Sequence[Entry], revisions: dict[int, int]) -> None:
        """Insert or replace the droplets; a status that is there stays."""
        self._insert(
            "INSERT INTO droplet (droplet_id, revision, region, hop_limit) VALUES",
            [(e.droplet_id, revisions[e.droplet_id], e.region, e.hop_limit) for e in entries],
            "ON CONFLICT (droplet_id) DO UPDATE SET revision = excluded.revision,"
            " region = excluded.region, hop_limit = excluded.hop_limit",
        )
        self._insert(
            "INSERT INTO content (droplet_id, document) VALUES",
            [(entry.droplet_id, entry.document) for entry in entries],
            "ON CONFLICT (droplet_id) DO UPDATE SET document = excluded.document",
        )

    def _write_what_they_are_found_by(self, entries: Sequence[Entry]) -> None:
        self._insert(
            "INSERT INTO port VALUES",
            [
                (port.name, e.droplet_id, port.mac, None if port.dpid is None else f"{port.dpid:x}")
                for e in entries
                for port in e.ports
            ],
        )
        self._insert(
            "INSERT INTO tag VALUES",
            [(tag, entry.droplet_id) for entry in entries for tag in entry.tags],
        )
        self._insert(
            "INSERT OR REPLACE INTO search VALUES",
            [(entry.droplet_id, entry.words) for entry in entries],
        )

    def _insert(self, into: str, rows: Sequence[tuple[Any, ...]], otherwise: str = "") -> None:
        """Insert these rows, many in a statement.

        Between two statements Python's lock is taken and given up again, which may be a wait where
        the hub's thread is at work; within one there is none.
        """
        if not rows:
            return
        one = f"({', '.join('?' * len(rows[0]))})"
        whole = len(rows) - len(rows) % _ROWS
        many = f"{into} {', '.join([one] * _ROWS)} {otherwise}"
        for start in range(0, whole, _ROWS):
            self._execute(many, [*chain.from_iterable(rows[start : start + _ROWS])])
        self._executemany(f"{into} {one} {otherwise}", rows[whole:])

    def _keep_statuses(
        self, entries: Iterable[Entry], known: dict[int, Record]
    ) -> dict[int, tuple[bytes | None, int]]:
        """Take out of the statuses what the droplets that were put say themselves; what is left.

        No revision of its own: the droplet's new one tells of it.
        """
        kept = {}
        for entry in entries:
            before = known.get(entry.droplet_id)
            if before is None or not before.status_revision:
                continue
            after = status.patched(status.decode(before.status), entry.registering)
            rest = status.encode(after)
            if rest != before.status:
                self._write_status(entry.droplet_id, rest)
            kept[entry.droplet_id] = (rest, before.status_revision)
        return kept

    def _write_status(self, droplet_id: int, text: bytes | None) -> None:
        query = "UPDATE content SET status = ? WHERE droplet_id = ?"
        self._execute(query, (text, droplet_id))

    def _patch_status(self, change: PatchStatus) -> StatusPatched:
        record = self._known([change.droplet_id]).get(change.droplet_id)
        if record is None:
            raise NoSuchDroplet(change.droplet_id)
        before = status.decode(record.status)
        after = status.patched(before, change.patch)
        if after == before:
            return StatusPatched(record.latest, changed=False)
        revision = self.count("revision", 1)
        query = "UPDATE droplet SET status_revision = ? WHERE droplet_id = ?"
        self._execute(query, (revision, change.droplet_id))
        self._write_status(change.droplet_id, status.encode(after))
        return StatusPatched(revision, changed=True)

    def _delete(self, change: Delete) -> Deleted:
        record = self._known([change.droplet_id]).get(change.droplet_id)
        if record is None:
            raise NoSuchDroplet(change.droplet_id)
        self._require(change, record)
        self._execute("DELETE FROM droplet WHERE droplet_id = ?", (change.droplet_id,))
        self.count("droplets", -1)
        return Deleted()

    def _known(self, droplet_ids: Sequence[int]) -> dict[int, Record]:
        """The records of those of these droplets that there are; their documents are not read."""
        query = (
            "SELECT droplet_id, revision, x'', status, status_revision"
            " FROM droplet JOIN content USING (droplet_id)"
            " WHERE droplet_id IN (SELECT value FROM json_each(?))"
        )
        rows = self._execute(query, (json.dumps(droplet_ids),)).fetchall()
        return {row[0]: Record(*row) for row in rows}

    def _require_free_names(self, entries: Sequence[Entry]) -> None:
        owners = {port.name: entry.droplet_id for entry in entries for port in entry.ports}
        ids = {entry.droplet_id for entry in entries}
        query = "SELECT name, droplet_id FROM port WHERE name IN (SELECT value FROM json_each(?))"
        conflicts = tuple(
            NameConflict(owners[name], name, holder)
            for name, holder in self._execute(query, (json.dumps(list(owners)),))
            if holder not in ids
        )
        if conflicts:
            raise PortNamesTaken(conflicts)

    def _require(self, change: Put | Delete, record: Record | None) -> None:
        if change.precondition.holds(record.revision if record else None):
            return
        if record is None:
            raise PreconditionFailed(None)
        raise PreconditionFailed(record.revision, record.status_revision)
