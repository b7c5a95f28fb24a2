"""Registries of every version there was, as their files were then, are taken over by this one.

`tests/data/registry/N.sql` is a registry that was written by version N of the schema, dumped with
`iterdump` and never changed since. A new migration needs a new one.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ryu_apps.registry.claims import Claim
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store import StoreRefused, schema, sqlite_file
from ryu_apps.store.interface import Delete, Deleted, Entry, PageQuery, Put
from ryu_apps.store.schema import VERSION
from ryu_apps.store.sqlite import SqliteStore

FIXTURES = Path(__file__).parents[2] / "data" / "registry"
SAMPLES = Path(__file__).parents[2] / "data" / "v1"
VERSIONS = range(1, VERSION + 1)

REVISIONS = {1: (8, 0), 2: (3, 9), 7889371: (1, 5), 2**32 - 1: (7, 0)}
MAC = "a6:a4:8e:4a:e8:70"
CLAIMS = {
    Claim(1, "tap3", MAC, None, 8),
    Claim(2, "tap2a", "02:00:00:00:00:02", None, 9),
    Claim(2, "tap2b", "02:00:00:00:00:03", 2**64 - 1, 9),
    Claim(7889371, "tapext7889371", MAC, None, 5),
    Claim(2**32 - 1, "tapmax", MAC, None, 7),
}
FOUND = {
    "droplet-2": [2],
    "web-1": [7889371],
    "tap2b": [2],
    "02:00:00:00:00:03": [2],
    "tapm": [2**32 - 1],
}
SERVERS = {(0x95217CB0FBCD, "meta-1"), (2**64 - 1, "meta-2")}


def written_by(version, path):
    """The registry that this version left, at `path`."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((FIXTURES / f"{version}.sql").read_text())
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_a_registry_of_every_version_is_taken_over_with_all_that_is_in_it(tmp_path, version):
    path = written_by(version, tmp_path / "registry.db")
    with closing(SqliteStore(path)) as store:
        records = {record.droplet_id: record for record in store.page(PageQuery()).records}
        assert {n: (r.revision, r.status_revision) for n, r in records.items()} == REVISIONS
        assert '"note":"zwölf"'.encode() in records[2].document
        assert b"echo 'it's; BEGIN'" in records[7889371].document
        assert b'"host_keys":["ssh-ed25519 AAAA"]' in records[7889371].status
        assert [r.status for n, r in records.items() if n != 7889371] == [None] * 3
        assert set(store.claims()) == CLAIMS
        assert set(store.servers()) == SERVERS
        assert (store.count(), store.boot_count, store.settled()) == (4, 3, None)
        assert [r.droplet_id for r in store.page(PageQuery(tag="web")).records] == [2, 7889371]
        for text, found in FOUND.items():
            page = store.page(PageQuery(text=text))
            assert [record.droplet_id for record in page.records] == found, text
        assert store.write([Delete(7889371)]) == [Deleted()]
    with closing(SqliteStore(path)) as store:
        assert {claim.droplet_id for claim in store.claims()} == {1, 2, 2**32 - 1}


def tables_of(connection):
    """What the schema is, without the order it came about in."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    counters = connection.execute("SELECT name FROM counter")
    return sorted(map(str, rows)), sorted(counters)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_makes_the_tables_that_it_was_released_with(tmp_path, version):
    """A migration changed afterwards would leave two kinds of registries of one version."""
    with closing(sqlite3.connect(":memory:")) as made:
        for statements in schema.MIGRATIONS[:version]:
            made.executescript(statements)
        path = written_by(version, tmp_path / "registry.db")
        with closing(sqlite3.connect(path)) as released:
            assert released.execute("PRAGMA user_version").fetchone() == (version,)
            assert tables_of(made) == tables_of(released)


def test_the_migration_fills_in_the_words_that_a_write_does(tmp_path):
    """The same lines, in SQL for what was there and in Python for what comes."""
    path = tmp_path / "registry.db"
    # But for one that no registry takes: its IPv6 addresses are IPv4.
    samples = [file for file in sorted(SAMPLES.iterdir()) if "gometadata" not in file.name]
    documents = [json.loads(file.read_text()) for file in samples]
    with closing(SqliteStore(path)) as store:
        for number, metadata in enumerate(documents, 1):
            metadata.pop("droplet_id", None)
            ports = [{"name": f"tap{number}{side}", "mac": MAC} for side in "ab"]
            document = {"ports": ports[: number % 3], "metadata": metadata}
            store.write([Put((Entry.of(read_droplet(document, number, default_region="x")),))])
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT droplet_id, words FROM search ORDER BY droplet_id"
        written = connection.execute(query).fetchall()
        connection.executescript("DROP TABLE search;" + schema.MIGRATIONS[4])
        filled = connection.execute(query).fetchall()
    assert [sorted(words.split("\n")) for _, words in written] == [
        sorted(words.split("\n")) for _, words in filled
    ]
    assert len(filled) == len(documents)
    assert sum(words.count("\n") for _, words in filled) > 20


def test_there_is_a_registry_of_every_version_and_no_other():
    names = {file.name for file in FIXTURES.iterdir()}
    assert names == {f"{version}.sql" for version in VERSIONS}


def contents(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump()), connection.execute("PRAGMA user_version").fetchone()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path, monkeypatch, version):
    """The second of two is broken in its middle: the first is done, the second not at all."""
    path = written_by(version, tmp_path / "registry.db")
    more = ("CREATE TABLE extra (x);", "DELETE FROM droplet; CREATE TABLE droplet (x);")
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*schema.MIGRATIONS, *more))
    monkeypatch.setattr(sqlite_file, "VERSION", VERSION + 2)
    with pytest.raises(StoreRefused, match="droplet already exists"):
        SqliteStore(path)
    dump, reached = contents(path)
    assert reached == (VERSION + 1,)
    assert sum(line.startswith('INSERT INTO "droplet"') for line in dump) == 4
    assert "CREATE TABLE extra (x);" in dump
