"""Copies of the registry's SQLite file: a backup out of one in use, and the way back.

Two rules for what may live here: a copy is called good only when SQLite has checked it, and no file
that held droplets is ever written over or removed. A copy says of itself that it is one
(`Changes.mark_copied`), whichever way it comes to be the registry again.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

from ryu_apps.store import sqlite_file
from ryu_apps.store.interface import StoreRefused
from ryu_apps.store.sqlite_changes import Changes

_UNFINISHED = ".backup-"
_PARTS = ("", "-wal", "-shm", "-journal")
"""The ends of the names of the files that are one database."""


def backup(path: Path) -> BinaryIO:
    """A checked copy of the registry at `path` as of one moment, as a file without a name.

    Writers go on meanwhile (WAL). Raises `sqlite3.Error`, `OSError`.
    """
    descriptor, name = tempfile.mkstemp(prefix=path.name + _UNFINISHED, dir=path.parent)
    try:
        with closing(sqlite_file.connect(path)) as connection:
            # Whoever gets the copy has it on their own disk; here it need not be.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("VACUUM INTO ?", (name,))
        with closing(sqlite_file.connect(Path(name))) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            _mark_copied(connection)
        sqlite_file.require_sound(Path(name))
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        os.unlink(name)
    return os.fdopen(descriptor, "rb")


def remove_leftovers(path: Path) -> None:
    """Remove the backups of this registry that a killed controller left unfinished."""
    for leftover in path.parent.glob(f"{path.name}{_UNFINISHED}*"):
        with suppress(OSError):
            leftover.unlink()


def check(file: Path) -> None:
    """Raise `StoreRefused` unless the file is a sound copy of a registry that we can restore."""
    if not file.is_file():
        raise StoreRefused(f"backup {file}: is no file")
    try:
        sqlite_file.require_sound(file)
    except StoreRefused as error:
        raise StoreRefused(f"{file} cannot be restored: {error}") from error


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that was done: how many droplets there are now.

    What was there is kept as `kept`, and, with that name and more at its end, what belongs to it.
    None: there was nothing.
    """

    path: Path
    droplets: int
    kept: Path | None


def restore(source: Path, path: Path) -> Restored:
    """Make the registry at `path` a copy of the one in the file `source`.

    What is there, whatever it is, is kept beside it under another name. Raises `StoreRefused`, and
    nothing has changed, where a controller has the registry open or `source` is no sound registry.
    Killed in the middle it leaves the old registry, the new one, or none: then a controller refuses
    to start, and doing it again ends it.
    """
    check(source)
    if path.exists() and source.samefile(path):
        raise StoreRefused(f"backup {source}: is the registry itself")
    lock = sqlite_file.lock(path)
    try:
        unfinished = path.with_name(path.name + sqlite_file.RESTORING)
        with _explained(path):
            droplets = _copy(source, unfinished, max(_boot_count(path), _boot_count(source)))
            _give_to_owner(path, unfinished)
            kept = _set_aside(path)
            os.rename(unfinished, path)
            sqlite_file.sync_directory(path.parent)
    finally:
        sqlite_file.unlock(lock)
    return Restored(path, droplets, kept)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreRefused(f"registry {path}: cannot be restored: {error}") from error


def _copy(source: Path, target: Path, boot_count: int) -> int:
    """Copy a registry, bring it up to date and check it; how many droplets it has."""
    for part in _parts(target):
        part.unlink(missing_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # Through SQLite: a source that was copied by hand may have a WAL.
    with (
        closing(sqlite_file.connect(source, mode="ro")) as from_,
        closing(sqlite_file.connect(target)) as to,
    ):
        from_.backup(to)
    with closing(sqlite_file.connect(target)) as connection:
        sqlite_file.migrate(connection)
        _mark_copied(connection, boot_count)
        # One file, so that one rename makes it the registry.
        connection.execute("PRAGMA journal_mode = DELETE")
    sqlite_file.require_sound(target)
    _sync(target)
    with closing(sqlite_file.connect(target, mode="ro")) as connection:
        return connection.execute("SELECT count(*) FROM droplet").fetchone()[0]


def _mark_copied(connection: sqlite3.Connection, boot_count: int = 0) -> None:
    connection.execute("BEGIN IMMEDIATE")
    Changes(connection).mark_copied(boot_count)
    connection.execute("COMMIT")


def _boot_count(path: Path) -> int:
    """The boot count of the registry there, as far as it can be read; 0 where it cannot."""
    with suppress(sqlite3.Error), closing(sqlite_file.connect(path, mode="ro")) as connection:
        query = "SELECT value FROM counter WHERE name = 'boot_count'"
        row = connection.execute(query).fetchone()
        return row[0] if row else 0
    return 0


def _set_aside(path: Path) -> Path | None:
    """Give what is at `path` another name, with all that belongs to it; the name it has now.

    The database goes first: without it, what is left is refused at a start, never taken for the
    whole; and a WAL is never found beside a database that is not its own.
    """
    there = [part for part in _parts(path) if part.exists()]
    if not there:
        return None
    aside = _aside(path, there)
    for part in there:
        new = aside.with_name(aside.name + part.name.removeprefix(path.name))
        os.rename(part, new)
        sqlite_file.sync_directory(path.parent)
    return aside


def _aside(path: Path, there: list[Path]) -> Path:
    """`path`.replaced-N with the first N that is not taken; or the last that is, where a restore
    was broken off that has moved the database there and not yet what belongs to it."""
    taken = {file.name for file in path.parent.iterdir()}
    last = path
    for number in count(1):
        name = path.with_name(f"{path.name}.replaced-{number}")
        if not taken & {part.name for part in _parts(name)}:
            break
        last = name
    wanted = {last.name + part.name.removeprefix(path.name) for part in there}
    return last if path not in there and last != path and not taken & wanted else name


def _give_to_owner(path: Path, new: Path) -> None:
    """Let the controller's user have what root restores: whoever has the file, or its folder."""
    if os.geteuid() == 0:
        like = path if path.exists() else path.parent
        owner = like.stat()
        for each in (new, path.with_name(path.name + ".lock")):
            shutil.chown(each, owner.st_uid, owner.st_gid)


def remove(path: Path) -> None:
    """Remove the database `path` that nobody has open, with its lock and all that belongs to it."""
    for part in (*_parts(path), path.with_name(path.name + ".lock")):
        part.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in _PARTS]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
