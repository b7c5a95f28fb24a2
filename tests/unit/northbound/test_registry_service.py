"""The registry's service: the index equals what is acknowledged, in the order of the commits."""

import eventlet
import pytest

from ryu_apps.northbound import turns
from ryu_apps.northbound.registry import Registry
from ryu_apps.registry.completion import Defaults
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store.interface import (
    Entry,
    NoSuchDroplet,
    PortNamesTaken,
    Precondition,
    PreconditionFailed,
    Records,
    StoreUnavailable,
)
from ryu_apps.store.sqlite import SqliteStore


def droplet(droplet_id, *names):
    ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in names]
    return read_droplet({"ports": ports, "metadata": {"region": "r"}}, droplet_id)


class SlowDisk:
    """A real store whose writes wait until the test lets them go on, as on a busy disk."""

    def __init__(self, store):
        self.store = store
        self.groups = []
        self.gate = None

    def offload(self, call, *arguments):
        """In place of a thread: waits on the hub, as tpool.execute does."""
        if call.__name__ == "_commit":
            self.groups.append(len(arguments[0]))
            if self.gate is not None:
                self.gate.wait()
        return call(*arguments)


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "registry.db")
    yield store
    store.close()


@pytest.fixture
def disk(store):
    return SlowDisk(store)


@pytest.fixture
def registry(store, disk):
    return Registry(store, offload=disk.offload)


def test_a_put_is_durable_indexed_and_told_in_this_order(store, registry):
    seen = []

    def on_change(names):
        seen.append((names, registry.claims.get("a"), store.get_many([1])))

    registry.on_change = on_change
    record, created = registry.put(droplet(1, "a"))
    assert created
    ((names, claim, records),) = seen
    assert names == {"a"}
    assert claim.revision == record.revision
    assert records == {1: record} == {1: registry.get(1)}
    assert registry.count == 1


def test_names_of_the_old_and_the_new_record_are_told(registry):
    seen = []
    registry.on_change = seen.append
    registry.put(droplet(1, "a", "b"))
    registry.put(droplet(1, "b", "c"))
    registry.delete(1)
    registry.put(droplet(2))
    assert seen == [{"a", "b"}, {"a", "b", "c"}, {"b", "c"}]
    assert registry.claims.count == 0
    assert registry.count == 1


def test_a_batch_is_told_once(registry):
    seen = []
    registry.put(droplet(1, "a"))
    registry.on_change = seen.append
    created = registry.put_many([Entry.of(droplet(1, "b")), Entry.of(droplet(2, "a"))])
    assert created == 1
    assert seen == [{"a", "b"}]
    assert registry.claims.get("a").droplet_id == 2


def test_refusals_are_raised_and_change_nothing(registry):
    registry.put(droplet(1, "a"))
    seen = []
    registry.on_change = seen.append
    with pytest.raises(PortNamesTaken):
        registry.put(droplet(2, "a"))
    with pytest.raises(PreconditionFailed):
        registry.put(droplet(1, "b"), Precondition(none_match=frozenset()))
    with pytest.raises(NoSuchDroplet):
        registry.delete(5)
    assert seen == []
    assert registry.claims.get("a").droplet_id == 1
    assert registry.claims.count == 1


def test_the_index_is_there_after_a_restart(store, registry):
    registry.put(droplet(1, "a", "b"))
    registry.put(droplet(2, "c"))
    again = Registry(store, offload=lambda call, *arguments: call(*arguments))
    assert sorted(again.claims.all(), key=str) == sorted(registry.claims.all(), key=str)
    assert again.count == 2


def test_writes_that_wait_share_a_commit_and_are_told_in_its_order(registry, disk):
    told = []
    registry.on_change = lambda names: told.append(sorted(names))
    disk.gate = eventlet.event.Event()
    acknowledged = []

    def write(n):
        registry.put(droplet(1 + n % 3, f"t{n}"))
        acknowledged.append(n)

    threads = [eventlet.spawn(write, n) for n in range(20)]
    eventlet.sleep(0)
    assert registry.claims.count == 0
    assert acknowledged == []
    disk.gate.send()
    for thread in threads:
        thread.wait()
    assert sum(disk.groups) == 20
    assert len(disk.groups) == 2
    assert [f"t{n}" in names for n, names in enumerate(told)] == [True] * 20
    assert {claim.port_name for claim in registry.claims.all()} == {"t17", "t18", "t19"}


def test_a_change_that_fails_does_not_touch_those_it_shares_a_commit_with(registry, disk):
    disk.gate = eventlet.event.Event()
    threads = [
        eventlet.spawn(registry.put, droplet(*arguments))
        for arguments in ((9, "x"), (1, "a"), (2, "a"), (3, "c"))
    ]
    eventlet.sleep(0)
    disk.gate.send()
    assert [threads[n].wait()[0].droplet_id for n in (0, 1, 3)] == [9, 1, 3]
    with pytest.raises(PortNamesTaken):
        threads[2].wait()
    assert registry.claims.count == 3


def test_a_store_that_fails_fails_all_that_waited_and_leaves_the_index(registry, disk):
    registry.put(droplet(1, "a"))
    registry.on_change = lambda names: pytest.fail(f"told of {names}")
    fault = StoreUnavailable("registry: cannot write")

    def broken(call, *arguments):
        eventlet.sleep(0)
        raise fault

    registry._offload = broken
    threads = [eventlet.spawn(registry.put, droplet(n, f"t{n}")) for n in (1, 2, 3)]
    for thread in threads:
        with pytest.raises(StoreUnavailable):
            thread.wait()
    assert registry.last_error == "registry: cannot write"
    assert [claim.port_name for claim in registry.claims.all()] == ["a"]
    registry._offload, registry.on_change = disk.offload, None
    registry.put(droplet(2, "b"))
    assert registry.last_error is None


def test_a_fault_of_ours_in_a_commit_leaves_nobody_waiting(registry):
    def broken(call, *arguments):
        eventlet.sleep(0)
        raise ZeroDivisionError

    registry._offload = broken
    threads = [eventlet.spawn(registry.put, droplet(n)) for n in (1, 2)]
    with pytest.raises(ZeroDivisionError):
        threads[0].wait()
    with pytest.raises((ZeroDivisionError, StoreUnavailable)):
        threads[1].wait()


def test_a_listener_that_fails_does_not_undo_the_write(registry, caplog):
    def on_change(names):
        raise RuntimeError("listener")

    registry.on_change = on_change
    registry.put(droplet(1, "a"))
    assert registry.claims.get("a") is not None
    assert "listener failed for ports a" in caplog.text


def test_what_is_served_is_complete(store):
    registry = Registry(
        store,
        defaults=Defaults(nameservers=("192.0.2.53",)),
        offload=lambda call, *arguments: call(*arguments),
    )
    record, _ = registry.put(droplet(1))
    served = registry.served(record)
    assert served["metadata"]["dns"] == {"nameservers": ["192.0.2.53"]}
    assert served["user_data_base64"] is None


RUNNING = {"agent": {"dotty_status": "running"}}


def test_a_patched_status_is_durable_indexed_and_told(store, registry):
    registry.put(droplet(1, "a", "b"))
    registry.put(droplet(2, "c"))
    seen = []

    def on_change(names):
        claims = {name: registry.claims.get(name).revision for name in "abc"}
        seen.append((names, claims, store.get_many([1])[1].latest))

    other = registry.claims.get("c").revision
    registry.on_change = on_change
    revision = registry.patch_status(1, RUNNING)
    assert seen == [({"a", "b"}, {"a": revision, "b": revision, "c": other}, revision)]
    assert registry.served(registry.get(1))["revision"] == revision
    again = Registry(store, offload=lambda call, *arguments: call(*arguments))
    assert sorted(again.claims.all(), key=str) == sorted(registry.claims.all(), key=str)


def test_a_repeated_patch_takes_no_turn_of_the_writer(registry, disk):
    registry.put(droplet(1, "a"))
    revision = registry.patch_status(1, RUNNING)
    registry.on_change = lambda names: pytest.fail(f"told of {names}")
    writes = list(disk.groups)
    assert registry.patch_status(1, RUNNING) == revision
    assert registry.patch_status(1, {}) == revision
    assert disk.groups == writes


def test_of_the_same_patch_twice_at_once_one_is_written(registry, disk):
    registry.put(droplet(1, "a"))
    seen = []
    registry.on_change = seen.append
    disk.gate = eventlet.event.Event()
    threads = [eventlet.spawn(registry.patch_status, 1, RUNNING) for _ in range(3)]
    eventlet.sleep(0)
    disk.gate.send()
    assert len({thread.wait() for thread in threads}) == 1
    assert seen == [{"a"}]


def test_a_patch_that_waits_behind_a_put_or_a_delete_follows_it(registry, disk):
    registry.put(droplet(1, "a"))
    registry.put(droplet(2, "x"))
    disk.gate = eventlet.event.Event()
    put = eventlet.spawn(registry.put, droplet(1, "b"))
    patch = eventlet.spawn(registry.patch_status, 1, RUNNING)
    delete = eventlet.spawn(registry.delete, 2)
    late = eventlet.spawn(registry.patch_status, 2, RUNNING)
    eventlet.sleep(0)
    disk.gate.send()
    assert patch.wait() > put.wait()[0].revision
    assert registry.claims.get("b").revision == patch.wait()
    assert registry.claims.get("a") is None
    delete.wait()
    with pytest.raises(NoSuchDroplet):
        late.wait()
    assert registry.claims.get("x") is None


def test_no_status_of_a_droplet_that_is_not_there(registry):
    with pytest.raises(NoSuchDroplet):
        registry.patch_status(5, RUNNING)


def test_a_put_answers_with_the_record_there_is_now(registry):
    registry.put(droplet(1, "a"))
    registry.patch_status(1, RUNNING)
    record, _ = registry.put(droplet(1, "b"))
    assert record == registry.get(1)
    assert record.status is not None


def test_by_default_the_store_is_called_on_a_thread_and_the_hub_goes_on(store):
    registry = Registry(store)
    turns = []

    def count():
        while True:
            turns.append(1)
            eventlet.sleep(0)

    counter = eventlet.spawn(count)
    try:
        for n in range(1, 20):
            registry.put(droplet(n, f"t{n}"))
        assert registry.get(19).droplet_id == 19
    finally:
        counter.kill()
    assert len(turns) >= 19


def test_others_have_their_turn_while_a_large_batch_is_indexed_and_see_all_of_it_or_none(
    registry, monkeypatch
):
    monkeypatch.setattr(turns, "SLICE_SECONDS", 0)
    registry.put(droplet(1, "a"))
    told = []
    registry.on_change = told.append
    seen = []

    def look():
        while True:
            holders = [claim and claim.droplet_id for claim in map(registry.claims.get, "ab")]
            seen.append((*holders, len(told)))
            eventlet.sleep(0)

    looking = eventlet.spawn(look)
    others = [Entry.of(droplet(n, f"t{n}")) for n in range(3, 3000)]
    registry.put_many([Entry.of(droplet(1, "b")), *others, Entry.of(droplet(2, "a"))])
    looking.kill()
    assert len(seen) > 2000
    assert {(a, b) for a, b, _ in seen} == {(1, None), (2, 1)}
    assert len({count for *_, count in seen}) > 2  # and it is told of in pieces
    assert frozenset.union(*told) == {"a", "b", *(f"t{n}" for n in range(3, 3000))}


class OneNode(SqliteStore):
    """A store that may be asked when it has no quorum: then what one node has, which is `old`."""

    old = None

    def get_many(self, droplet_ids, certain=False):
        if self.old is None:
            return super().get_many(droplet_ids)
        assert not certain
        found = Records({one: self.old[one] for one in droplet_ids if one in self.old})
        found.stale = True
        return found


@pytest.fixture
def node(tmp_path):
    store = OneNode(tmp_path / "node.db")
    yield store
    store.close()


def test_what_one_node_has_is_not_told_where_the_index_has_later_news(node):
    registry = Registry(node, offload=lambda call, *arguments: call(*arguments))
    registry.put(droplet(7, "tap7"))
    registry.put(droplet(8, "tap8"))
    first = dict(node.get_many([7, 8]))
    node.old = first
    assert registry.get_many([7, 8]) == first
    node.old = None
    registry.put(droplet(7, "tap7"))
    # A droplet's ports would be served by the former record until it changes again ...
    node.old = first
    with pytest.raises(StoreUnavailable, match="droplet 7"):
        registry.get_many([8, 7])
    assert registry.get(8) == first[8]
    # ... or, where the node has none at all, by nobody's.
    node.old = {}
    with pytest.raises(StoreUnavailable, match="droplet 8"):
        registry.get(8)
    assert registry.get(9) is None


def test_a_report_is_not_answered_by_what_one_node_has(node):
    registry = Registry(node, offload=lambda call, *arguments: call(*arguments))
    registry.put(droplet(7))
    registry.patch_status(7, {"agent": {"dotty_status": "running"}})
    running = dict(node.get_many([7]))
    revision = registry.patch_status(7, {"agent": {"dotty_status": "stopped"}})
    # That node would have it that nothing changes, or that there is no such droplet.
    for node.old in (running, {}):
        assert registry.patch_status(7, {"agent": {"dotty_status": "running"}}) > revision
        revision = registry.patch_status(7, {"agent": {"dotty_status": "stopped"}})
