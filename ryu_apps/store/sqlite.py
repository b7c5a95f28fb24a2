"""The registry in one SQLite file on this host: the store that needs nothing set up.

WAL with synchronous=FULL: a commit is one append and one fsync, and readers never wait for it.
One connection writes and one reads, each behind its own lock (real threads call in here). How
the file is opened, and when it is refused, is in `sqlite_file.py`.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import BinaryIO

from eventlet import patcher

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.registry.claims import Claim
from ryu_apps.store import sqlite_copy, sqlite_file
from ryu_apps.store.interface import (
    Change,
    Outcome,
    Page,
    PageQuery,
    Record,
    Records,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from ryu_apps.store.sqlite_changes import Changes

LOG = logging.getLogger(__name__)

_RECORD = "d.droplet_id, d.revision, c.document, c.status, d.status_revision"
"""The columns of a `Record`."""

_CONTENT = "CROSS JOIN content c ON c.droplet_id = d.droplet_id"
"""Where the large ones of them are found. CROSS JOIN: what is named before it leads."""

_ROOM = 1 << 20
"""Bytes: what the largest droplet needs in the WAL, about twice over."""

# ryu-manager makes `threading.Lock` one of green threads; a native thread that waits for such a
# lock is never woken.
_threading = patcher.original("threading")


class SqliteStore:
    """The store in the SQLite file `path`, which is created where there is none.

    Raises `StoreRefused` where it cannot be opened; a file that is not understood is left as it
    was.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._write_lock = _threading.Lock()
        self._read_lock = _threading.Lock()
        self._file_lock = sqlite_file.lock(self.path)
        try:
            sqlite_file.prepare(self.path)
            sqlite_copy.remove_leftovers(self.path)
            self._writer = sqlite_file.connect(self.path)
            self._reader = sqlite_file.connect(self.path)
            self._boot_count = self._begin_life()
        except BaseException:
            sqlite_file.unlock(self._file_lock)
            raise

    @property
    def boot_count(self) -> int:
        """How often the store was opened, this time included."""
        return self._boot_count

    def follow(self) -> None:
        """The file is locked: what `write` returns is all the news there is."""

    def write(self, changes: Sequence[Change]) -> list[Outcome]:
        """Do the changes in one transaction: one wait for the disk, however many they are."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            return [transaction.do(change) for change in changes]

    def get_many(self, droplet_ids: Iterable[int], certain: bool = False) -> Records:
        """The records of those of these droplets that there are, by id; always certain."""
        query = (
            f"SELECT {_RECORD} FROM droplet d {_CONTENT}"
            " WHERE d.droplet_id IN (SELECT value FROM json_each(?))"
        )
        with self._read_lock, self._errors("read"):
            rows = self._reader.execute(query, (json.dumps(list(droplet_ids)),))
            return Records({row[0]: Record(*row) for row in rows})

    def page(self, query: PageQuery) -> Page:
        """A page of the list, found through the text, or else the index of tag or region."""
        sql, parameters = _page_query(query)
        with self._read_lock, self._errors("read"):
            return _cut(self._reader.execute(sql, parameters), query)

    def claims(self) -> list[Claim]:
        """All claims on port names, those of a droplet beside each other."""
        query = (
            "SELECT droplet_id, name, mac, dpid, max(revision, status_revision), hop_limit"
            " FROM port JOIN droplet USING (droplet_id) ORDER BY droplet_id"
        )
        with self._read_lock, self._errors("read"):
            return [
                Claim(droplet_id, name, mac, None if dpid is None else int(dpid, 16), *rest)
                for droplet_id, name, mac, dpid, *rest in self._reader.execute(query)
            ]

    def count(self) -> int:
        """How many droplets are stored; kept as a counter, for counting rows reads them all."""
        query = "SELECT value FROM counter WHERE name = 'droplets'"
        with self._read_lock, self._errors("read"):
            return self._reader.execute(query).fetchone()[0]

    def servers(self, dpid: int | None = None) -> list[tuple[int, str]]:
        """The (dpid, name) of every metadata server that is remembered, or of one switch's."""
        wanted = None if dpid is None else f"{dpid:016x}"
        with self._read_lock, self._errors("read"):
            query = "SELECT dpid, name FROM server WHERE ?1 IS NULL OR dpid = ?1"
            return [(int(of, 16), name) for of, name in self._reader.execute(query, (wanted,))]

    def remember_server(self, dpid: int, name: str) -> None:
        """Keep durably that this metadata server follows this switch."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            transaction.remember_server(f"{dpid:016x}", name)

    def forget_server(self, dpid: int, name: str) -> None:
        """It does not any more."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            transaction.forget_server(f"{dpid:016x}", name)

    def settled(self) -> frozenset[int] | None:
        """The switches whose servers are all remembered; None where every switch's are."""
        with self._read_lock, self._errors("read"):
            query = "SELECT value FROM counter WHERE name = 'restored'"
            if not self._reader.execute(query).fetchone()[0]:
                return None
            rows = self._reader.execute("SELECT dpid FROM settled")
            return frozenset(int(dpid, 16) for (dpid,) in rows)

    def settle(self, dpid: int) -> None:
        """All servers of this switch are remembered from now on."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            transaction.settle(f"{dpid:016x}")

    def carry_on(self, revision: int, boot_count: int) -> None:
        """Let revisions and boot counts go on above these, where they are below them."""
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            transaction.carry_on(revision, boot_count)

    def size(self) -> int:
        """The file and what SQLite keeps beside it until it is in there."""
        beside = self.path.with_name(f"{self.path.name}-wal")
        with self._errors("read"):
            return sum(each.stat().st_size for each in (self.path, beside) if each.exists())

    def probe(self) -> None:
        """Have the disk take a write that nobody notices, and see whether it has room for more.

        One page may find room where the WAL is overwritten, after a larger write did not.
        """
        with self._errors("write"):
            disk = os.statvfs(self.path.parent)
            if disk.f_bavail * disk.f_frsize < _ROOM:
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        with self._write_lock, self._errors("write"), self._transaction() as transaction:
            # SQLite writes nothing where nothing changes; a revision passed over is no loss.
            transaction.count("revision", 1)

    def damage(self) -> str | None:
        """What is wrong with any page; looked at on a connection of its own, nobody waits."""
        with (
            self._errors("be checked"),
            closing(sqlite_file.connect(self.path, mode="ro")) as connection,
        ):
            return sqlite_file.damage(connection)

    def backup(self) -> BinaryIO:
        """A copy as of one moment, checked; needs room for itself beside the registry."""
        with self._errors("make a backup"):
            return sqlite_copy.backup(self.path)

    def close(self) -> None:
        """Close the file and let another process have it."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()
            sqlite_file.unlock(self._file_lock)

    def _begin_life(self) -> int:
        """Count this opening; its boot count is above all that were given to anybody before."""
        noted = sqlite_file.highest_boot(self._file_lock, self.path)
        with self._errors("write"), self._transaction() as transaction:
            boot_count, went_back = transaction.begin_life(noted)
        try:
            sqlite_file.note_boot(self._file_lock, boot_count)
        except OSError as error:
            raise StoreRefused(f"registry {self.path}: cannot write its lock: {error}") from error
        if went_back:
            say(LOG, events.REGISTRY_OLDER, registry=self.path)
        return boot_count

    @contextmanager
    def _transaction(self) -> Iterator[Changes]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield Changes(self._writer)
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
        except OSError as error:
            kind = StoreFull if error.errno in (ENOSPC, EDQUOT) else StoreUnavailable
            message = f"registry {self.path}: cannot {what}: {error.strerror}"
            raise kind(message) from error


def _page_query(query: PageQuery) -> tuple[str, list[int | str]]:
    """One record more than the page may have, in id order, and the parameters of it."""
    # CROSS JOIN: what is named first leads, in id order, whatever the planner believes.
    if query.text is not None:
        source, key = "search s CROSS JOIN droplet d USING (droplet_id)", "s.droplet_id"
    elif query.tag is not None:
        source, key = "tag t CROSS JOIN droplet d USING (droplet_id)", "t.droplet_id"
    else:
        source, key = "droplet d", "d.droplet_id"
    conditions: dict[str, int | str] = {f"{key} > ?": query.after}
    if query.text is not None:
        conditions["instr(s.words, ?)"] = query.text
    if query.tag is not None and query.text is not None:
        tagged = f"EXISTS (SELECT 1 FROM tag t WHERE t.tag = ? AND t.droplet_id = {key})"
        conditions[tagged] = query.tag
    elif query.tag is not None:
        conditions["t.tag = ?"] = query.tag
    if query.region is not None:
        conditions["d.region = ?"] = query.region
    sql = (
        f"SELECT {_RECORD} FROM {source} {_CONTENT}"
        f" WHERE {' AND '.join(conditions)} ORDER BY {key} LIMIT ?"
    )
    return sql, [*conditions.values(), query.limit + 1]


def _cut(rows: Iterable[tuple[int, int, bytes, bytes | None, int]], query: PageQuery) -> Page:
    """The page's records out of up to limit + 1 `rows`."""
    records: list[Record] = []
    size = 0
    for row in rows:
        record = Record(*row)
        size += len(record.document) + len(record.status or b"")
        if len(records) == query.limit or (records and size > query.max_bytes):
            return Page(records, more=True)
        records.append(record)
    return Page(records)
