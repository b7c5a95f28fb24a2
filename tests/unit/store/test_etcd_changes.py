"""What changes do to a registry in etcd, worked out without one."""

import pytest

from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store.etcd.changes import PENDING, Seen, Transaction
from ryu_apps.store.etcd.layout import CLAIMS, DROPLET, PORT, STATUS, Summary, droplet_key
from ryu_apps.store.etcd.parts import beginning, fits, parts
from ryu_apps.store.etcd.values import MAX_BYTES, MAX_OPERATIONS, Kv
from ryu_apps.store.interface import (
    Delete,
    Entry,
    PatchStatus,
    PortNamesTaken,
    Precondition,
    Put,
    Stored,
)


def entry(droplet_id, *names, **metadata):
    ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in names]
    document = {"ports": ports, "metadata": {"region": "r", **metadata}}
    return Entry.of(read_droplet(document, droplet_id))


def put(*entries, **conditions):
    return Put(entries, Precondition(**conditions))


def seen(*entries, status=(), base=0):
    """As if these droplets were registered, at revision 100 + id, with a status of 200 + id."""
    kvs = {}
    for each in entries:
        droplet_id = each.droplet_id
        revision = 100 + droplet_id
        key = droplet_key(CLAIMS, droplet_id)
        kvs[key] = Kv(key, Summary.of(each).encode(), revision, revision)
        for port in each.ports:
            kvs[PORT + port.name] = Kv(PORT + port.name, b"%d" % droplet_id, revision, revision)
        if droplet_id in status:
            key = droplet_key(STATUS, droplet_id)
            kvs[key] = Kv(key, b'{"maintenance_event":"live_migrate"}', 200 + droplet_id, 1)
    return Seen(kvs, base)


def worked_out(there, *changes):
    transaction = Transaction(there)
    added = [transaction.add(change) for change in changes]
    return transaction, added


def test_a_new_droplet_is_written_where_nothing_was():
    given = entry(7, "a")
    transaction, _ = worked_out(seen(), put(given))
    assert transaction.expected == {
        droplet_key(CLAIMS, 7): 0,
        droplet_key(STATUS, 7): 0,
        PORT + "a": 0,
    }
    assert transaction.puts.keys() == {
        droplet_key(DROPLET, 7), droplet_key(CLAIMS, 7), PORT + "a",
    }  # fmt: skip
    assert transaction.outcomes_at(5) == [Stored({7: 5}, frozenset({7}))]


def test_what_is_written_over_must_be_as_it_was_seen():
    transaction, _ = worked_out(seen(entry(7, "a", "b"), status={7}), put(entry(7, "b", "c")))
    assert transaction.expected == {
        droplet_key(CLAIMS, 7): 107,
        droplet_key(STATUS, 7): 207,
        PORT + "c": 0,
    }
    assert transaction.deletes == {PORT + "a"}
    assert PORT + "b" not in transaction.puts


def test_a_name_that_moves_within_a_batch_is_guarded_by_its_former_holder():
    there = seen(entry(1, "a"), entry(2, "b"))
    transaction, _ = worked_out(there, put(entry(1, "b"), entry(2, "a")))
    assert transaction.expected[droplet_key(CLAIMS, 2)] == 102
    assert transaction.puts[PORT + "b"] == b"1"
    assert transaction.puts[PORT + "a"] == b"2"
    assert transaction.deletes == set()


def test_a_deleted_droplet_takes_all_its_keys_along():
    transaction, _ = worked_out(seen(entry(7, "a", "b"), status={7}), Delete(7))
    assert transaction.deletes == {
        *(droplet_key(area, 7) for area in (DROPLET, CLAIMS, STATUS)), PORT + "a", PORT + "b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (put(entry(1, "x")), Delete(1)),
        (put(entry(1, "x")), put(entry(3, "x"))),
        (put(entry(1)), put(entry(3, "a"))),
        (Delete(2), put(entry(3, "b"))),
        (PatchStatus(1, {"agent": {}}), put(entry(1))),
    ],
)
def test_a_change_of_what_another_touched_waits_for_the_next_transaction(first, second):
    transaction, added = worked_out(seen(entry(1, "a"), entry(2, "b")), first, second)
    assert added == [True, False]
    assert len(transaction.outcomes) == 1


def test_changes_that_have_nothing_in_common_go_together():
    there = seen(entry(1, "a"), entry(2, "b"))
    transaction, added = worked_out(there, put(entry(3, "c")), Delete(1), put(entry(4, "b")))
    assert added == [True, True, True]
    assert isinstance(transaction.outcomes[2], PortNamesTaken)
    assert PORT + "b" not in transaction.expected
    assert droplet_key(DROPLET, 4) not in transaction.puts


def test_revisions_are_etcds_above_what_was_given_before():
    transaction, _ = worked_out(seen(entry(7), status={7}, base=1000), put(entry(7)))
    assert transaction.outcomes_at(5)[0].revisions == {7: 1005}
    assert transaction.outcomes[0].statuses[7][1] == 1207
    patched, _ = worked_out(seen(entry(7), base=1000), PatchStatus(7, {"maintenance_event": "x"}))
    assert patched.outcomes[0].latest == PENDING
    assert patched.outcomes_at(5)[0].latest == 1005


def test_as_many_changes_are_tried_as_a_transaction_may_hold():
    changes = [put(entry(n, f"t{n}")) for n in range(1, 200)]
    assert len(beginning(changes)) == MAX_OPERATIONS // 4
    large = [put(entry(n, note="x" * (MAX_BYTES // 3))) for n in range(1, 5)]
    assert len(beginning(large)) == 2
    assert len(beginning([put(*(entry(n, f"t{n}") for n in range(1, 200))), Delete(1)])) == 1


def test_the_parts_of_a_batch_fit_and_are_the_batch():
    batch = put(*(entry(n, f"t{n}", f"u{n}") for n in range(1, 301)), match=frozenset({1}))
    there = seen(*(entry(n, f"old{n}") for n in range(1, 301)))
    divided = list(parts(batch, there))
    assert [e for part in divided for e in part.entries] == list(batch.entries)
    assert divided[0].precondition == batch.precondition
    assert all(part.precondition == Precondition() for part in divided[1:])
    for part in divided[1:]:
        transaction, _ = worked_out(there, part)
        assert fits(transaction.write)
    assert len(divided) == 15


def test_droplets_that_exchange_names_stay_together():
    there = seen(*(entry(n, f"t{n}") for n in range(1, 301)))
    ring = {1: "t300", 300: "t150", 150: "t1"}
    batch = put(*(entry(n, ring.get(n, f"t{n}")) for n in range(1, 301)))
    divided = list(parts(batch, there))
    homes = {e.droplet_id: at for at, part in enumerate(divided) for e in part.entries}
    assert homes[1] == homes[150] == homes[300]
    assert sorted(homes) == list(range(1, 301))
    assert len(divided) > 1
