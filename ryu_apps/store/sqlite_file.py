"""Opening the registry's SQLite file: ours, whole, known to us and nobody else's at the moment.

Three rules for what may live here: a file that is not understood is refused and left exactly
as it was; a new file appears under its name only when it is complete; the sentence an operator
gets names the file and what to do.

The lock's file outlives every database that is put beside it, so it keeps what none of them can
know of the others: the highest boot count that any had.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from ryu_apps.store.interface import StoreRefused
from ryu_apps.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

RESTORING = ".restoring"
"""The end of the name of what will be the registry when a restore is done with it."""


def lock(path: Path) -> int:
    """Make this process the one that has the registry at `path`; the file descriptor holds it.

    The kernel gives the lock back when the process dies, however it dies. Raises `StoreRefused`
    where another process has it. The lock is beside the database, not in it, so that SQLite's
    own tools can read the file while the controller runs.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreRefused(f"registry {path}: cannot open {lock_path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreRefused(
            f"registry {path}: another controller has it open; two on one registry would serve "
            f"different droplets"
        ) from None
    return descriptor


def unlock(descriptor: int) -> None:
    """Let another process have the registry. The lock's file stays: removing it would race."""
    os.close(descriptor)


def highest_boot(descriptor: int, path: Path) -> int:
    """The highest boot count of any registry that was opened under this lock; 0 if none was."""
    text = os.pread(descriptor, 64, 0)
    if text and not text.strip().isdigit():
        raise StoreRefused(f"registry {path}: {path.name}.lock is damaged: it holds {text!r}")
    return int(text or b"0")


def note_boot(descriptor: int, boot_count: int) -> None:
    """Make it known that a registry was opened under this lock with this boot count.

    Raises OSError. A fixed width: a shorter write could leave a part of the longer one before it.
    """
    os.pwrite(descriptor, b"%020d\n" % boot_count, 0)
    os.fsync(descriptor)


def prepare(path: Path) -> None:
    """Make `path` a registry of the current version: create it, migrate it, or raise.

    Raises `StoreRefused`, the file untouched, where it is no registry, damaged, or newer. Damage
    among the documents alone is not looked for: `require_sound` does, in its own time.
    """
    if not path.exists():
        _create(path)
        return
    if not path.stat().st_size:
        raise StoreRefused(
            f"registry {path}: is empty, which a registry never is. Restore a backup (dropletctl "
            f"restore FILE), or remove it to begin with an empty registry"
        )
    try:
        # Read-only: even closing a writer may move the WAL into a file that is then refused.
        _require(path, _damage_of_indexes)
        with closing(connect(path)) as connection:
            # A copy that `VACUUM INTO` made has no WAL yet.
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)
    except sqlite3.DatabaseError as error:
        raise StoreRefused(
            f"registry {path}: cannot be opened or brought up to date: {error}. Nothing in it is "
            f"lost"
        ) from error


def require_sound(path: Path) -> None:
    """Raise `StoreRefused` where `path` is no registry, damaged, or newer than this release.

    Reads all of it, from a cold disk for as long as that takes.
    """
    _require(path, damage)


def damage(connection: sqlite3.Connection) -> str | None:
    """What is wrong anywhere in the file, None where nothing is."""
    return _problems(connection, "quick_check(3)")


def _damage_of_indexes(connection: sqlite3.Connection) -> str | None:
    """What is wrong in what is read at a start, in which there is nothing large."""
    query = (
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('content', 'search')"
    )
    tables = [name for (name,) in connection.execute(query)]
    found = (_problems(connection, f"quick_check({table})") for table in tables)
    return next(filter(None, found), None)


def _problems(connection: sqlite3.Connection, check: str) -> str | None:
    try:
        problems = [row[0] for row in connection.execute(f"PRAGMA {check}")]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        return str(error)
    if problems == ["ok"]:
        return None
    lines = (line for problem in problems for line in problem.splitlines())
    return "; ".join(line for line in lines if not line.startswith("***"))


def _require(path: Path, damage_of: Callable[[sqlite3.Connection], str | None]) -> None:
    try:
        with closing(connect(path, mode="ro")) as connection:
            _require_ours(connection, path)
            if (found := damage_of(connection)) is not None:
                raise StoreRefused(_damaged(path, found))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
            raise StoreRefused(
                f"registry {path}: cannot be opened ({error}): is it, with the files beside it, "
                f"the controller's own user's to read and write?"
            ) from error
        raise StoreRefused(_damaged(path, str(error))) from error


def connect(path: Path, *, mode: str = "rw") -> sqlite3.Connection:
    """A connection to the existing file; every commit waits for the disk."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,  # Transactions are begun and ended by us, not behind our back.
        check_same_thread=False,
        timeout=10,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _create(path: Path) -> None:
    """Build the file under another name and move it: half a registry is never found as one."""
    leftovers = [path.with_name(path.name + end) for end in ("-wal", "-journal", RESTORING)]
    for leftover in leftovers:
        if leftover.exists():
            raise StoreRefused(
                f"registry {path}: is missing but {leftover.name} is there, which may hold "
                f"droplets. Put the file back, restore a backup (dropletctl restore FILE), or "
                f"remove {leftover.name} too to begin with an empty registry"
            )
    unfinished = path.with_name(path.name + ".new")
    try:
        for end in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(f"{unfinished}{end}")
        # Made by us and not by SQLite for its mode: documents hold secrets.
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(connect(unfinished)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)
        os.rename(unfinished, path)
        sync_directory(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreRefused(f"registry {path}: cannot be created: {error}") from error


def sync_directory(directory: Path) -> None:
    """Have the names in it on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise StoreRefused(f"registry {path}: is an SQLite database, but not a registry")
    version = _version(connection)
    if version > VERSION:
        raise StoreRefused(
            f"registry {path}: has schema version {version} and this release knows up to "
            f"{VERSION}; it was written by a newer release"
        )


def _damaged(path: Path, what: str) -> str:
    return (
        f"registry {path}: cannot be read as one, it may be damaged ({what}). It was left as it "
        f"is; restore a backup (dropletctl restore FILE)"
    )


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def migrate(connection: sqlite3.Connection) -> None:
    """Run the migrations that the file has not run yet, each whole or not at all."""
    version = _version(connection)
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {statements};"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT"
        )
