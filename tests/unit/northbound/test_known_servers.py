"""The names of metadata servers over restarts of the controller, in a real store."""

import pytest

from ryu_apps.binding.followers import LEASE, Followers
from ryu_apps.northbound.servers import STRANGER, KnownServers
from ryu_apps.store import open_store
from ryu_apps.store.interface import StoreUnavailable


def at_once(function, *arguments):
    return function(*arguments)


@pytest.fixture
def reopen(tmp_path):
    """Open the store as a fresh controller would; the one before is closed."""
    stores = []

    def open_again():
        if stores:
            stores.pop().close()
        stores.append(open_store(f"sqlite://{tmp_path}/registry.db"))
        return KnownServers(stores[0], offload=at_once)

    yield open_again
    stores.pop().close()


def test_a_server_is_known_after_a_restart(reopen):
    reopen().remember(0xFF00000000000001, "vm-0")
    assert list(reopen().of(0xFF00000000000001)) == ["vm-0"]


def test_servers_are_known_by_switch(reopen):
    servers = reopen()
    servers.remember(1, "a")
    servers.remember(2, "b")
    assert (list(servers.of(1)), list(servers.of(2)), list(servers.of(3))) == (["a"], ["b"], [])


def test_one_that_stopped_is_not_waited_for_after_a_restart(reopen):
    servers = reopen()
    servers.remember(1, "a")
    servers.forget(1, "a")
    assert list(reopen().of(1)) == []


def test_one_that_came_back_is_not_forgotten(reopen):
    servers = reopen()
    servers.remember(1, "a")
    servers.forget(1, "a", unless=lambda: True)
    assert list(reopen().of(1)) == ["a"]


def test_a_name_that_cannot_be_kept_is_not_followed(reopen, monkeypatch):
    servers = reopen()

    def fail(dpid, name):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(servers._store, "remember_server", fail)
    with pytest.raises(StoreUnavailable):
        servers.remember(1, "a")
    assert list(servers.of(1)) == []


def test_a_name_that_cannot_be_forgotten_stays(reopen, monkeypatch):
    servers = reopen()
    servers.remember(1, "a")

    def fail(dpid, name):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(servers._store, "forget_server", fail)
    servers.forget(1, "a")
    assert list(servers.of(1)) == ["a"]


def test_a_restored_registry_has_every_switch_wait_once_for_servers_it_may_not_know(
    reopen, tmp_path
):
    """Its server may have come to the switch after the backup: nobody can tell."""
    reopen().remember(1, "a")
    (tmp_path / "registry.db.lock").write_text("100\n")  # A later life, which the file is before.
    servers = reopen()
    assert list(servers.of(1)) == ["a", STRANGER]
    assert list(servers.of(2)) == [STRANGER]
    servers.forget(1, STRANGER)
    servers.forget(2, STRANGER, unless=lambda: True)
    assert list(servers.of(1)) == ["a"]
    again = reopen()
    assert (list(again.of(1)), list(again.of(2))) == (["a"], [STRANGER])


def test_a_binding_waits_a_lease_for_servers_that_a_restored_registry_may_not_know(
    reopen, tmp_path
):
    reopen()
    (tmp_path / "registry.db.lock").write_text("100\n")
    servers = reopen()
    followers = Followers(servers.of(1), now=0.0)
    followers.follow("b", now=1.0)
    followers.acknowledge("b", 7, now=1.0)
    assert followers.acknowledged(now=LEASE - 0.1) == 0
    assert followers.acknowledged(now=LEASE + 0.1) == 7
    for server in followers.forget(now=LEASE + 0.1):
        servers.forget(1, server)
    assert list(servers.of(1)) == []
