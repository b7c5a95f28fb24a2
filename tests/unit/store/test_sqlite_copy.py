"""Backups of the registry's file and their restoring: what is in them, and what never happens."""

import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store import StoreRefused, check_backup, restore, sqlite_copy
from ryu_apps.store.interface import Entry, Put, StoreFull
from ryu_apps.store.sqlite import SqliteStore
from tests.unit.store.test_migrations import REVISIONS, written_by


def entry(droplet_id, note=""):
    ports = [{"name": f"tap{droplet_id}", "mac": "02:00:00:00:00:01"}]
    metadata = {"region": "nyc3", "note": note}
    return Entry.of(read_droplet({"ports": ports, "metadata": metadata}, droplet_id))


def put(store, *ids, note=""):
    """Register these; the greatest revision they got."""
    (stored,) = store.write([Put(tuple(entry(n, note) for n in ids))])
    return max(stored.revisions.values())


def ids_in(store):
    return {claim.droplet_id for claim in store.claims()}


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / "registry.db"


@pytest.fixture
def backup_of(tmp_path):
    """Writes a store's backup to a file of this name, as whoever gets it does."""

    def write(store, name="backup.db"):
        file = tmp_path / name
        with closing(store.backup()) as copy:
            file.write_bytes(copy.read())
        return file

    return write


def restored(backup, path):
    return restore(f"sqlite://{path}", backup)


def names(path):
    """The files of the registry's folder, but for those that SQLite makes to read."""
    return {file.name for file in path.parent.iterdir()} - {f"{path.name}-shm", f"{path.name}-wal"}


def test_a_backup_has_all_that_is_registered_at_its_moment_and_leaves_nothing(path, backup_of):
    with closing(SqliteStore(path)) as store:
        put(store, 1, 2)
        store.remember_server(5, "meta-1")
        backup = backup_of(store)
        put(store, 3)
        assert names(path) == {"registry.db", "registry.db.lock"}
    check_backup(backup)
    restored(backup, path)
    with closing(SqliteStore(path)) as store:
        assert ids_in(store) == {1, 2}
        assert store.get_many([1])[1].document == entry(1).document
        assert (store.count(), store.servers()) == (2, [(5, "meta-1")])


def test_the_copy_is_the_owners_alone_and_without_a_name(path):
    with closing(SqliteStore(path)) as store, closing(store.backup()) as copy:
        status = os.fstat(copy.fileno())
        assert (stat.S_IMODE(status.st_mode), status.st_nlink) == (0o600, 0)


def test_writes_go_on_while_a_backup_is_made_and_it_holds_each_batch_whole(path, backup_of):
    """Pairs are written as fast as it goes: a backup of two moments would have a half one."""
    done = threading.Event()
    with closing(SqliteStore(path)) as store:
        put(store, *range(2, 1000), note="x" * 4000)
        written = []

        def write():
            n = 500
            while not done.is_set():
                put(store, 2 * n, 2 * n + 1)
                written.append(n)
                n += 1

        thread = threading.Thread(target=write)
        thread.start()
        meanwhile = []
        for number in range(5):
            before = len(written)
            backup_of(store, f"{number}.db")
            meanwhile.append(len(written) - before)
        done.set()
        thread.join()
        assert max(meanwhile) > 1
    for number in range(5):
        restored(path.parent.parent / f"{number}.db", path)
        with closing(SqliteStore(path)) as store:
            ids = ids_in(store)
            assert ids.issuperset(range(2, 1000))
            assert all(n ^ 1 in ids for n in ids)
            assert store.count() == len(ids)


def test_a_killed_backup_is_removed_at_the_next_start_and_nothing_else(path):
    SqliteStore(path).close()
    leftover = path.with_name("registry.db.backup-abc")
    others = [path.with_name(name) for name in ("registry.db.backup", "other.db.backup-abc")]
    for file in (leftover, *others):
        file.write_bytes(b"half")
    SqliteStore(path).close()
    assert not leftover.exists()
    assert all(file.exists() for file in others)


def test_what_the_registry_was_is_kept_with_its_wal(path, backup_of):
    """Restored over a killed controller's files: its last commits are in the WAL alone."""
    with closing(SqliteStore(path)) as store:
        put(store, 1)
        backup = backup_of(store)
        put(store, 2)
        before = path.with_name("before")
        before.mkdir()
        for file in path.parent.glob("registry.db*"):
            shutil.copy(file, before)
    for file in before.iterdir():
        shutil.copy(file, path.parent)
    assert path.with_name("registry.db-wal").stat().st_size > 0
    done = restored(backup, path)
    assert (done.droplets, done.kept) == (1, path.with_name("registry.db.replaced-1"))
    with closing(SqliteStore(done.kept)) as store:
        assert ids_in(store) == {1, 2}
    assert restored(backup, path).kept == path.with_name("registry.db.replaced-2")


def test_a_damaged_registry_is_kept_as_it_is_and_replaced(path, backup_of):
    with closing(SqliteStore(path)) as store:
        put(store, 1)
        backup = backup_of(store)
    path.write_bytes(b"\0" * 5000)
    with pytest.raises(StoreRefused, match="dropletctl restore"):
        SqliteStore(path)
    kept = restored(backup, path).kept
    assert kept.read_bytes() == b"\0" * 5000
    with closing(SqliteStore(path)) as store:
        assert ids_in(store) == {1}


def test_a_registry_that_a_controller_has_open_is_not_replaced(path, backup_of):
    with closing(SqliteStore(path)) as store:
        backup = backup_of(store)
        put(store, 1)
        before = names(path)
        with pytest.raises(StoreRefused, match="another controller has it open"):
            restored(backup, path)
        assert names(path) == before
        assert ids_in(store) == {1}


@pytest.mark.parametrize("damage", ["cut", "overwritten", "text", "other", "newer", "missing"])
def test_a_backup_that_is_no_good_is_refused_and_nothing_is_touched(path, backup_of, damage):
    with closing(SqliteStore(path)) as store:
        put(store, *range(1, 300), note="x" * 1000)
        backup = backup_of(store)
    match damage:
        case "cut":
            os.truncate(backup, backup.stat().st_size // 2)
        case "overwritten":
            with backup.open("r+b") as file:
                file.seek(3 * 4096)
                file.write(os.urandom(30 * 4096))
        case "text":
            backup.write_text("droplets\n" * 1000)
        case "other":
            backup.unlink()
            with closing(sqlite3.connect(backup)) as connection:
                connection.execute("CREATE TABLE theirs (x)")
        case "newer":
            with closing(sqlite3.connect(backup)) as connection:
                connection.execute("PRAGMA user_version = 99")
        case "missing":
            backup.unlink()
    before = {name: path.with_name(name).read_bytes() for name in names(path)}
    with pytest.raises(StoreRefused, match=str(backup)):
        check_backup(backup)
    with pytest.raises(StoreRefused, match=str(backup)):
        restored(backup, path)
    assert {name: path.with_name(name).read_bytes() for name in names(path)} == before


def test_the_registry_is_no_backup_of_itself(path):
    SqliteStore(path).close()
    with pytest.raises(StoreRefused, match="is the registry itself"):
        restored(path, path)


def test_a_backup_of_an_earlier_version_is_restored(tmp_path, path):
    restored(written_by(1, tmp_path / "old.db"), path)
    with closing(SqliteStore(path)) as store:
        assert {n: r.revision for n, r in store.get_many(REVISIONS).items()} == {
            n: revision for n, (revision, _) in REVISIONS.items()
        }
        assert store.boot_count > 2
        assert store.settled() == frozenset()


@pytest.mark.parametrize("step", range(7))
def test_a_restore_that_is_broken_off_loses_nothing_and_serves_nothing_by_halves(
    path, backup_of, monkeypatch, step
):
    """Killed before any of its renames: the old registry, the new one, or a refusal to start."""
    with closing(SqliteStore(path)) as store:
        put(store, 1)
        backup = backup_of(store)
        put(store, 2)
        old = path.with_name("old")
        old.mkdir()
        for file in path.parent.glob("registry.db*"):
            shutil.copy(file, old)
    for file in old.iterdir():
        shutil.copy(file, path.parent)
    calls = iter(range(100))

    class Killed(BaseException):
        pass

    def rename(source, target):
        if next(calls) == step:
            raise Killed
        os.replace(source, target)

    monkeypatch.setattr(sqlite_copy.os, "rename", rename)
    try:
        restored(backup, path)
    except Killed:
        try:
            with closing(SqliteStore(path)) as store:
                assert ids_in(store) == {1, 2}
                put(store, 3)
        except StoreRefused as error:
            assert "dropletctl restore" in str(error)
        restored(backup, path)
    with closing(SqliteStore(path)) as store:
        assert ids_in(store) == {1}
    kept = set()
    for file in path.parent.glob("registry.db.replaced-?"):
        with closing(SqliteStore(file)) as store:
            kept |= ids_in(store)
    assert kept >= {1, 2}


class Life:
    """What was handed out so far; the registry is opened again and again."""

    def __init__(self, path):
        self.path = path
        self.boots, self.revisions = [], []

    def live(self, *, writes=3, backup_of=None):
        """Open, write, and perhaps make a backup in the middle of it."""
        with closing(SqliteStore(self.path)) as store:
            backup = backup_of(store, f"{len(self.boots)}.db") if backup_of else None
            self.boots.append(store.boot_count)
            for n in range(writes):
                self.revisions.append(put(store, n + 1))
        return backup

    def check(self):
        assert self.boots == sorted(set(self.boots))
        assert self.revisions == sorted(set(self.revisions))
        # As the first revision of a watch stream it must stay exact as a JSON number.
        assert self.boots[-1] << 32 < 2**53


@pytest.mark.parametrize("way", ["restored", "by hand", "from nothing", "over a damaged one"])
def test_no_boot_count_and_no_revision_is_given_twice(path, backup_of, way):
    """The same backup, however it comes back, as often as one likes."""
    life = Life(path)
    life.live()
    backup = life.live(backup_of=backup_of)
    for _ in range(4):
        for _ in range(3):
            life.live(writes=50)
        match way:
            case "by hand":
                shutil.copy(backup, path)
            case "from nothing":
                path.unlink()
            case "over a damaged one":
                path.write_bytes(b"\0" * 5000)
                restored(backup, path)
            case "restored":
                restored(backup, path)
        life.live()
        life.check()


def test_a_file_copied_back_by_other_tools_than_ours_counts_on_too(path, tmp_path):
    life = Life(path)
    life.live()
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as from_, closing(sqlite3.connect(copy)) as to:
        from_.backup(to)
    life.live(writes=50)
    shutil.copy(copy, path)
    life.live()
    life.check()


def test_on_another_host_it_counts_on_above_what_the_first_one_may_have_come_to(
    tmp_path, backup_of
):
    first = Life(tmp_path / "first.db")
    backup = first.live(backup_of=backup_of)
    for _ in range(20):
        first.live()
    second = Life(tmp_path / "second" / "registry.db")
    restored(backup, second.path)
    second.boots, second.revisions = first.boots, first.revisions
    second.live()
    second.check()


def test_a_lock_that_holds_no_number_is_refused(path):
    SqliteStore(path).close()
    Path(f"{path}.lock").write_text("not a number")
    with pytest.raises(StoreRefused, match=r"registry\.db\.lock is damaged"):
        SqliteStore(path)


def test_a_backup_without_room_is_refused_and_its_room_given_back(path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with closing(SqliteStore(path)) as store:
        monkeypatch.setattr(sqlite_copy.tempfile, "mkstemp", full)
        with pytest.raises(StoreFull, match="cannot make a backup"):
            store.backup()
        put(store, 1)
