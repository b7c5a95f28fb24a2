"""The registry's SQLite file: what is refused, what is left untouched, what survives."""

import hashlib
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store import StoreRefused, open_store
from ryu_apps.store.interface import Entry, Put, StoreFull, StoreUnavailable
from ryu_apps.store.schema import VERSION
from ryu_apps.store.sqlite import SqliteStore


def entry(droplet_id, note=""):
    metadata = {"region": "nyc3", "note": note}
    ports = [{"name": f"tap{droplet_id}", "mac": "02:00:00:00:00:01"}]
    return Entry.of(read_droplet({"ports": ports, "metadata": metadata}, droplet_id))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.db"


@pytest.fixture
def filled(path):
    """The path of a closed registry with droplets."""
    store = SqliteStore(path)
    store.write([Put(tuple(entry(n, "x" * 2000) for n in range(1, 200)))])
    store.close()
    return path


def contents(directory):
    """What the files hold; SQLite's shared memory holds nothing of its own, nor an empty WAL."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in Path(directory).iterdir()
        if not file.name.endswith((".lock", "-shm"))
        and (file.stat().st_size or not file.name.endswith("-wal"))
    }


def refuses_and_leaves(path, words):
    before = contents(path.parent)
    with pytest.raises(StoreRefused, match=words) as refused:
        SqliteStore(path)
    assert str(path) in str(refused.value)
    assert contents(path.parent) == before


def test_commits_wait_for_the_disk(path):
    with closing(SqliteStore(path)) as store:
        assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._writer.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_the_files_are_the_owners_alone(tmp_path):
    path = tmp_path / "new" / "state" / "registry.db"
    with closing(SqliteStore(path)) as store:
        store.write([Put((entry(1),))])
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert set(modes) == {"registry.db", "registry.db-wal", "registry.db-shm", "registry.db.lock"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite://{}/a.db", "a.db"),
        ("sqlite:///{}/a.db", "a.db"),
        ("sqlite:///{}/with%20space%3F%25.db", "with space?%.db"),
    ],
)
def test_urls_name_absolute_paths(tmp_path, url, file):
    with closing(open_store(url.format(tmp_path))) as store:
        assert store.path == tmp_path / file
        assert (tmp_path / file).exists()


@pytest.mark.parametrize(
    "url", ["etcd://h:1", "sqlite://", "sqlite:///", "sqlite://host/x", "/x.db", "sqlite:///x?y=1"]
)
def test_other_urls_are_refused_with_the_url(url):
    with pytest.raises(StoreRefused, match="registry_url"):
        open_store(url)


@pytest.mark.parametrize(
    ("bytes_", "words"),
    [
        (b"", "is empty, which a registry never is"),
        (b"not a database at all, but long enough to be one" * 100, "may be damaged"),
        (b"SQLite format 3\x00" + b"\xff" * 5000, "may be damaged"),
    ],
)
def test_a_file_that_is_no_registry_is_refused_and_left(path, bytes_, words):
    path.write_bytes(bytes_)
    refuses_and_leaves(path, words)


def test_another_programs_database_is_refused_and_left(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    refuses_and_leaves(path, "not a registry")


def test_a_newer_schema_is_refused_and_left(filled):
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    refuses_and_leaves(filled, f"schema version {VERSION + 1} .* up to {VERSION}.* newer release")


def test_a_refused_registry_keeps_its_wal(filled):
    """A killed controller leaves a WAL; refusing must not move it into the file either."""
    process = start_crasher(filled)
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    program = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None);"
        f"connection.execute('PRAGMA user_version = {VERSION + 1}'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, filled], check=True)
    assert Path(f"{filled}-wal").stat().st_size > 0
    refuses_and_leaves(filled, "newer release")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_registry_is_refused_and_left(filled, share):
    os.truncate(filled, int(filled.stat().st_size * share))
    refuses_and_leaves(filled, "dropletctl restore FILE")


def test_a_registry_with_overwritten_pages_is_refused_and_left(filled):
    with filled.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096 * 20))
    refuses_and_leaves(filled, "may be damaged")


def break_documents(path, droplet_ids):
    """Overwrite the pages that these droplets' documents are on, and nothing that a start reads."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT document FROM content WHERE droplet_id = ?"
        texts = [connection.execute(query, (n,)).fetchone()[0] for n in droplet_ids]
    data = bytearray(path.read_bytes())
    for page in {data.index(text[:200]) // size for text in texts}:
        data[page * size : (page + 1) * size] = b"\xff" * size
    path.write_bytes(data)


def test_a_start_reads_no_document_and_damage_there_is_found_by_looking(filled):
    with closing(SqliteStore(filled)) as store:
        assert store.damage() is None
    break_documents(filled, range(20, 200))
    with closing(SqliteStore(filled)) as store:
        assert len(store.claims()) == store.count() == 199
        assert "Page " in store.damage()
        assert store.get_many([7]).keys() == {7}
        with pytest.raises(StoreUnavailable, match="malformed"):
            store.get_many([100])


def test_a_missing_registry_whose_wal_is_there_is_not_replaced_by_an_empty_one(path):
    Path(f"{path}-wal").write_bytes(b"droplets")
    refuses_and_leaves(path, "registry.db-wal is there")


def test_an_unfinished_creation_is_done_again(path):
    Path(f"{path}.new").write_bytes(b"half")
    with closing(SqliteStore(path)) as store:
        assert store.boot_count == 1
    assert not Path(f"{path}.new").exists()


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreRefused, match="cannot open"):
        SqliteStore(tmp_path / "file" / "registry.db")


def test_a_registry_that_is_open_is_refused_to_others(path):
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StoreRefused, match="another controller has it open"):
            SqliteStore(path)
        store.write([Put((entry(1),))])
    SqliteStore(path).close()


def test_a_refused_registry_is_not_locked(path):
    path.write_bytes(b"")
    for _ in range(2):
        refuses_and_leaves(path, "is empty")


def test_a_failed_write_is_undone_and_the_next_one_works(path):
    with closing(SqliteStore(path)) as store:
        store.write([Put((entry(1),))])
        size = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count = {size}")
        with pytest.raises(StoreFull, match="SQLITE_FULL"):
            store.write([Put((entry(2),)), Put((entry(3, "x" * 100_000),))])
        assert store.get_many([1, 2, 3]).keys() == {1}
        store._writer.execute("PRAGMA max_page_count = 1000000")
        store.write([Put((entry(2),))])
        assert (store.count(), len(store.claims())) == (2, 2)


def test_a_registry_whose_pages_break_while_open_says_so(filled):
    with closing(SqliteStore(filled)) as store:
        with filled.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(filled.stat().st_size - 4096))
        with pytest.raises(StoreUnavailable, match=str(filled)):
            store.get_many([100])


CRASHER = Path(__file__).with_name("crasher.py")


def start_crasher(path):
    """A process that writes pairs of droplets and says so after each; see there."""
    environment = os.environ | {"PYTHONPATH": str(CRASHER.parents[3])}
    return subprocess.Popen(
        [sys.executable, CRASHER, path], stdout=subprocess.PIPE, text=True, env=environment
    )


KILLS = int(os.environ.get("OVS_METADATA_STORE_KILLS", "60"))
SEED = int(os.environ.get("OVS_METADATA_SOAK_SEED", "0")) or random.SystemRandom().getrandbits(32)


@pytest.mark.slow
@pytest.mark.timeout(120 + KILLS)
def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_there(path, capsys):
    """Killed at a different point of its work each time, in the first start included."""
    environment = os.environ | {"PYTHONPATH": str(CRASHER.parents[3])}
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            CRASHER.with_name("kills.py"),
            path,
            str(KILLS),
            str(SEED),
        ],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    with capsys.disabled():
        print(f"\nstore with OVS_METADATA_SOAK_SEED={SEED}: {done.stdout.strip()}")
    assert done.returncode == 0, done.stderr
