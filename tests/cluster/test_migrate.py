"""A registry from SQLite to etcd and back: all of it, above what was, and again after a break."""

import json

import pytest

from ryu_apps.store import migrate, open_store
from ryu_apps.store.interface import (
    Delete,
    PageQuery,
    PatchStatus,
    Put,
    StoreRefused,
    StoreUnavailable,
)
from tests.cluster.entries import entry
from tests.http.real_controller import RealController, dropletctl

pytestmark = pytest.mark.root


@pytest.fixture
def sqlite_url(tmp_path):
    """A registry of 1200 droplets, some with a status, written over and deleted."""
    url = f"sqlite://{tmp_path}/registry.db"
    store = open_store(url)
    store.write([Put(tuple(entry(n, f"t{n}", tags=["x"]) for n in range(1, 1301)))])
    store.write([Delete(n) for n in range(1201, 1301)])
    store.write([PatchStatus(n, {"maintenance_event": "live_migrate"}) for n in range(1, 1200, 7)])
    store.write([Put((entry(1, "t1", note="again"),))])
    store.remember_server(5, "one")
    store.close()
    return url


def content(url):
    """All that a registry holds, and its highest revision and boot count."""
    store = open_store(url)
    try:
        records = store.page(PageQuery(limit=5000)).records
        claims = {(c.droplet_id, c.port_name, c.mac, c.dpid, c.hop_limit) for c in store.claims()}
        held = {r.droplet_id: (r.document, r.status) for r in records}
        return (
            (held, claims, store.count(), store.servers()),
            {r.droplet_id: r.latest for r in records},
            store.boot_count,
        )
    finally:
        store.close()


def test_there_and_back_nothing_is_lost_and_everything_goes_on_above(
    sqlite_url, etcd_url, tmp_path
):
    held, revisions, boot = content(sqlite_url)
    seen = []
    done = migrate(sqlite_url, etcd_url, progress=lambda *step: seen.append(step))
    assert (done.droplets, done.written, done.kept) == (1200, 1200, None)
    assert seen[-1] == (1200, 1200)
    there, etcd_revisions, etcd_boot = content(etcd_url)
    assert there == held
    assert all(etcd_revisions[n] > revisions[n] for n in revisions)
    assert etcd_boot > boot
    back = f"sqlite://{tmp_path}/back.db"
    migrate(etcd_url, back)
    again, back_revisions, back_boot = content(back)
    assert again == held
    assert all(back_revisions[n] > etcd_revisions[n] for n in revisions)
    assert back_boot > etcd_boot


def test_what_is_there_is_not_replaced_in_etcd_and_kept_in_sqlite(sqlite_url, etcd_url, tmp_path):
    there = open_store(etcd_url)
    there.write([Put((entry(9, "t9"),))])
    with pytest.raises(StoreRefused, match="replaces none"):
        migrate(sqlite_url, etcd_url)
    assert there.count() == 1
    target = tmp_path / "target.db"
    store = open_store(f"sqlite://{target}")
    store.write([Put((entry(9, "t9"),))])
    store.close()
    kept = migrate(sqlite_url, f"sqlite://{target}").kept
    assert content(f"sqlite://{kept}")[0][0].keys() == {9}
    assert content(f"sqlite://{target}")[0] == content(sqlite_url)[0]


def test_a_migration_that_is_broken_off_is_no_registry_and_goes_on(sqlite_url, etcd_url):
    def break_off(done, _total):
        if done == 1000:
            raise StoreUnavailable("broken off")

    with pytest.raises(StoreUnavailable, match="broken off"):
        migrate(sqlite_url, etcd_url, progress=break_off)
    with pytest.raises(StoreRefused, match="a migration into it was broken off"):
        open_store(etcd_url)
    # The source goes on meanwhile: names move, droplets go.
    source = open_store(sqlite_url)
    source.write([Put((entry(2, "t3"), entry(3, "t2"))), Delete(4)])
    source.close()
    done = migrate(sqlite_url, etcd_url)
    assert done.droplets == 1199
    assert done.written == 1200 - 1000 + 2
    assert content(etcd_url)[0] == content(sqlite_url)[0]


def test_nothing_moves_while_a_controller_has_either_open(sqlite_url, etcd_url, tmp_path):
    folder = tmp_path / "controller"
    folder.mkdir()
    with RealController(folder, registry_url=sqlite_url):
        done = dropletctl("migrate", sqlite_url, etcd_url)
        assert done.returncode == 1
        assert "another controller" in done.stderr or "open" in done.stderr, done.stderr
    done = dropletctl("migrate", sqlite_url, etcd_url, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"droplets": 1200, "written": 1200, "kept": None}
    with RealController(folder, registry_url=etcd_url) as controller:
        assert controller.request("GET", "/v1/droplets/7").status == 200
        done = dropletctl("migrate", etcd_url, f"sqlite://{tmp_path}/back.db")
        assert done.returncode == 1
        assert "1 controllers have it open" in done.stderr
    assert not (tmp_path / "back.db").exists()


def test_the_same_place_is_refused(sqlite_url):
    with pytest.raises(StoreRefused, match="source and the target"):
        migrate(sqlite_url, sqlite_url + "/")
