"""The registry in one SQLite file on this host: the store that needs nothing set up.

WAL with synchronous=FULL: a commit is one append and one fsync, and readers never wait for it.
One connection writes and one reads, each behind its own lock (real threads call in here). How
the file is opened, and when it is refused, is in `sqlite_file.py`.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ryu_apps.registry.claims import Claim
from ryu_apps.registry.droplet import Droplet
from ryu_apps.store import sqlite_file
from ryu_apps.store.interface import (
    Change,
    ChangeRefused,
    Delete,
    Deleted,
    NameConflict,
    NoSuchDroplet,
    Outcome,
    Page,
    PageQuery,
    PortNamesTaken,
    PreconditionFailed,
    Put,
    Record,
    Stored,
    StoreFull,
    StoreUnavailable,
)


class SqliteStore:
    """The store in the SQLite file `path`, which is created where there is none.

    Raises `StoreRefused` where it cannot be opened; a file that is not understood is left as it
    was.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._file_lock = sqlite_file.lock(self.path)
        try:
            sqlite_file.prepare(self.path)
            self._writer = sqlite_file.connect(self.path)
            self._reader = sqlite_file.connect(self.path)
            self._boot_count = self._count_boot()
        except BaseException:
            sqlite_file.unlock(self._file_lock)
            raise

    @property
    def boot_count(self) -> int:
        """How often the store was opened, this time included."""
        return self._boot_count

    def write(self, changes: Sequence[Change]) -> list[Outcome]:
        """Do the changes in one transaction: one wait for the disk, however many they are."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            return [transaction.do(change) for change in changes]

    def get_many(self, droplet_ids: Iterable[int]) -> dict[int, Record]:
        """The records of those of these droplets that there are, by id."""
        query = (
            "SELECT droplet_id, revision, document FROM droplet"
            " WHERE droplet_id IN (SELECT value FROM json_each(?))"
        )
        with self._read_lock, self._errors("read"):
            rows = self._reader.execute(query, (json.dumps(list(droplet_ids)),))
            return {row[0]: Record(*row) for row in rows}

    def page(self, query: PageQuery) -> Page:
        """A page of the list, found through the index of the tag or else of the region."""
        conditions, parameters = ["d.droplet_id > ?"], [query.after]
        source = "droplet d"
        if query.tag is not None:
            # CROSS JOIN: the tag's index leads, in id order, whatever the planner believes.
            source = "tag t CROSS JOIN droplet d ON d.droplet_id = t.droplet_id"
            conditions = ["t.droplet_id > ?", "t.tag = ?"]
            parameters.append(query.tag)
        if query.region is not None:
            conditions.append("d.region = ?")
            parameters.append(query.region)
        key = "t.droplet_id" if query.tag is not None else "d.droplet_id"
        sql = (
            f"SELECT d.droplet_id, d.revision, d.document FROM {source}"
            f" WHERE {' AND '.join(conditions)} ORDER BY {key} LIMIT ?"
        )
        with self._read_lock, self._errors("read"):
            return _cut(self._reader.execute(sql, (*parameters, query.limit + 1)), query)

    def claims(self) -> list[Claim]:
        """All claims on port names, those of a droplet beside each other."""
        query = (
            "SELECT droplet_id, name, mac, dpid, revision"
            " FROM port JOIN droplet USING (droplet_id) ORDER BY droplet_id"
        )
        with self._read_lock, self._errors("read"):
            return [
                Claim(droplet_id, name, mac, None if dpid is None else int(dpid, 16), revision)
                for droplet_id, name, mac, dpid, revision in self._reader.execute(query)
            ]

    def count(self) -> int:
        """How many droplets are stored; kept as a counter, for counting rows reads them all."""
        query = "SELECT value FROM counter WHERE name = 'droplets'"
        with self._read_lock, self._errors("read"):
            return self._reader.execute(query).fetchone()[0]

    def servers(self) -> list[tuple[int, str]]:
        """The (dpid, name) of every metadata server that is remembered."""
        with self._read_lock, self._errors("read"):
            rows = self._reader.execute("SELECT dpid, name FROM server")
            return [(int(dpid, 16), name) for dpid, name in rows]

    def remember_server(self, dpid: int, name: str) -> None:
        """Keep durably that this metadata server follows this switch."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            transaction.remember_server(f"{dpid:016x}", name)

    def forget_server(self, dpid: int, name: str) -> None:
        """It does not any more."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            transaction.forget_server(f"{dpid:016x}", name)

    def close(self) -> None:
        """Close the file and let another process have it."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()
            sqlite_file.unlock(self._file_lock)

    def _count_boot(self) -> int:
        with self._errors("write"), self._transaction() as transaction:
            return transaction.count("boot_count", 1)

    @contextmanager
    def _transaction(self) -> Iterator["_Transaction"]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield _Transaction(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            # A COMMIT that failed may have ended the transaction or not.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            message = f"registry {self.path}: cannot {what}: {error} ({name})"
            kind = StoreFull if name == "SQLITE_FULL" else StoreUnavailable
            raise kind(message) from error


def _cut(rows: Iterable[tuple[int, int, bytes]], query: PageQuery) -> Page:
    """The page's records out of up to limit + 1 `rows`."""
    records: list[Record] = []
    size = 0
    for row in rows:
        record = Record(*row)
        size += len(record.document)
        if len(records) == query.limit or (records and size > query.max_bytes):
            return Page(records, more=True)
        records.append(record)
    return Page(records)


class _Transaction:
    """The changes of one transaction. Each is checked before any of it is done."""

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

    def do(self, change: Change) -> Outcome:
        """Do `change`, or return why not."""
        try:
            return self._put(change) if isinstance(change, Put) else self._delete(change)
        except ChangeRefused as refusal:
            return refusal

    def _put(self, change: Put) -> Stored:
        droplets = [entry.droplet for entry in change.entries]
        ids = json.dumps([droplet.droplet_id for droplet in droplets])
        known = self._revisions(ids)
        if droplets:
            self._require(change, known.get(droplets[0].droplet_id))
        self._require_free_names(droplets)
        for table in ("port", "tag"):
            # Before any is inserted: a name may move from one of these droplets to another.
            self._execute(
                f"DELETE FROM {table} WHERE droplet_id IN (SELECT value FROM json_each(?))", (ids,)
            )
        revision = self.count("revision", len(droplets)) - len(droplets)
        revisions = {d.droplet_id: revision + n for n, d in enumerate(droplets, 1)}
        self._executemany(
            "INSERT INTO droplet VALUES (?, ?, ?, ?) ON CONFLICT (droplet_id) DO UPDATE SET"
            " revision = excluded.revision, region = excluded.region, document = excluded.document",
            (
                (d.droplet_id, revisions[d.droplet_id], d.region, entry.document)
                for d, entry in zip(droplets, change.entries, strict=True)
            ),
        )
        self._executemany(
            "INSERT INTO port VALUES (?, ?, ?, ?)",
            (
                (port.name, d.droplet_id, port.mac, None if port.dpid is None else f"{port.dpid:x}")
                for d in droplets
                for port in d.ports
            ),
        )
        self._executemany(
            "INSERT INTO tag VALUES (?, ?)",
            ((tag, d.droplet_id) for d in droplets for tag in d.tags),
        )
        created = frozenset(revisions) - known.keys()
        self.count("droplets", len(created))
        return Stored(revisions, created)

    def _delete(self, change: Delete) -> Deleted:
        revision = self._revisions(json.dumps([change.droplet_id])).get(change.droplet_id)
        if revision is None:
            raise NoSuchDroplet(change.droplet_id)
        self._require(change, revision)
        self._execute("DELETE FROM droplet WHERE droplet_id = ?", (change.droplet_id,))
        self.count("droplets", -1)
        return Deleted()

    def _revisions(self, ids: str) -> dict[int, int]:
        query = (
            "SELECT droplet_id, revision FROM droplet"
            " WHERE droplet_id IN (SELECT value FROM json_each(?))"
        )
        return dict(self._execute(query, (ids,)).fetchall())

    def _require_free_names(self, droplets: Sequence[Droplet]) -> None:
        owners = {port.name: droplet.droplet_id for droplet in droplets for port in droplet.ports}
        ids = {droplet.droplet_id for droplet in droplets}
        query = "SELECT name, droplet_id FROM port WHERE name IN (SELECT value FROM json_each(?))"
        conflicts = tuple(
            NameConflict(owners[name], name, holder)
            for name, holder in self._execute(query, (json.dumps(list(owners)),))
            if holder not in ids
        )
        if conflicts:
            raise PortNamesTaken(conflicts)

    def _require(self, change: Change, revision: int | None) -> None:
        if not change.precondition.holds(revision):
            raise PreconditionFailed(revision)
