"""What every store of droplets promises: one suite, each backend a parameter."""

import json
import threading

import pytest

from ryu_apps.registry.claims import Claim
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.registry.search import needle
from ryu_apps.store import open_store
from ryu_apps.store.interface import (
    Delete,
    Deleted,
    Entry,
    NameConflict,
    NoSuchDroplet,
    PageQuery,
    PatchStatus,
    PortNamesTaken,
    Precondition,
    PreconditionFailed,
    Put,
    Record,
    StatusPatched,
    Stored,
)


@pytest.fixture(params=["sqlite", pytest.param("etcd", marks=pytest.mark.root)])
def reopen(request, tmp_path):
    """Opens the store of this test; closes the one opened before."""
    opened = []
    if request.param == "sqlite":
        url = f"sqlite://{tmp_path}/registry.db"
    else:
        url = request.getfixturevalue("etcd_url")

    def open_again():
        while opened:
            opened.pop().close()
        opened.append(open_store(url))
        return opened[0]

    yield open_again
    while opened:
        opened.pop().close()


@pytest.fixture
def store(reopen):
    return reopen()


def entry(droplet_id, *names, region="nyc3", dpid=None, options=None, **metadata):
    ports = [{"name": name, "mac": "02:00:00:00:00:01", "dpid": dpid} for name in names]
    document = {"ports": ports, "metadata": {"tags": None, **metadata, "region": region}}
    return Entry.of(read_droplet(document | {"metadata_options": options}, droplet_id))


def put(*entries, **conditions):
    return Put(entries, Precondition(**conditions))


def ids(page):
    return [record.droplet_id for record in page.records]


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_a_batch_is_stored_whole_whatever_its_size_and_so_when_repeated(store, count):
    for round_ in "ab":
        given = [
            entry(n, f"{round_}{n}", hostname=f"{round_}-{n}", tags=["all", f"{round_}{n}"])
            for n in range(1, count + 1)
        ]
        (stored,) = store.write([put(*given)])
        assert stored.created == frozenset(stored.revisions if round_ == "a" else ())
        records = store.get_many(range(1, count + 1))
        assert {n: record.document for n, record in records.items()} == {
            each.droplet_id: each.document for each in given
        }
        assert {n: record.revision for n, record in records.items()} == stored.revisions
    assert [claim.port_name for claim in store.claims()] == [f"b{n}" for n in range(1, count + 1)]
    last = f"b{count}"
    assert len(ids(store.page(PageQuery(limit=count, tag="all")))) == count
    assert ids(store.page(PageQuery(tag=last))) == [count]
    assert ids(store.page(PageQuery(text=needle(f"b-{count}")))) == [count]
    assert ids(store.page(PageQuery(tag=f"a{count}"))) == []


def test_a_droplet_is_found_as_it_was_put(store):
    given = entry(7, "tap7", dpid="f" * 16)
    (outcome,) = store.write([put(given)])
    revision = outcome.revisions[7]
    assert outcome == Stored({7: revision}, frozenset({7}))
    assert store.get_many([7, 8]) == {7: Record(7, revision, given.document)}
    assert store.claims() == [Claim(7, "tap7", "02:00:00:00:00:01", 2**64 - 1, revision)]
    assert store.count() == 1


def test_a_claim_tells_the_hop_limit_of_its_droplets_last_record(store):
    def limits():
        return {claim.port_name: claim.hop_limit for claim in store.claims()}

    limited = {"http_put_response_hop_limit": 1}
    store.write([put(entry(7, "tap7", "tap8", options=limited), entry(9, "tap9"))])
    assert limits() == {"tap7": 1, "tap8": 1, "tap9": None}
    store.write([put(entry(7, "tap7", options={"http_put_response_hop_limit": 64}))])
    assert limits() == {"tap7": 64, "tap9": None}
    store.write([put(entry(7, "tap7"))])
    assert limits() == {"tap7": None, "tap9": None}


def test_all_is_there_after_reopening_and_each_opening_counts(reopen):
    store = reopen()
    (outcome,) = store.write([put(entry(2**32 - 1, "a", "b"))])
    boot = store.boot_count
    again = reopen()
    assert again.boot_count == boot + 1
    assert again.get_many([2**32 - 1])[2**32 - 1].revision == outcome.revisions[2**32 - 1]
    assert {claim.port_name for claim in again.claims()} == {"a", "b"}
    assert again.count() == 1


def test_putting_again_replaces_with_a_greater_revision(store):
    first = store.write([put(entry(7, "a", "b", tags=["x"]))])[0]
    second = store.write([put(entry(7, "b", "c", region="ams3", tags=["y"]))])[0]
    assert second.created == frozenset()
    assert second.revisions[7] > first.revisions[7]
    assert {c.port_name: c.revision for c in store.claims()} == dict.fromkeys(
        "bc", second.revisions[7]
    )
    assert store.count() == 1
    assert ids(store.page(PageQuery(tag="x"))) == ids(store.page(PageQuery(region="nyc3"))) == []
    assert ids(store.page(PageQuery(tag="y", region="ams3"))) == [7]


def test_revisions_grow_over_deletes_and_reopening(reopen):
    store = reopen()
    first = store.write([put(entry(7))])[0].revisions[7]
    store.write([Delete(7)])
    assert reopen().write([put(entry(7))])[0].revisions[7] > first


def test_deleting_forgets_all(store):
    store.write([put(entry(7, "a", tags=["x"]))])
    assert store.write([Delete(7)]) == [Deleted()]
    assert (store.get_many([7]), store.claims(), store.count()) == ({}, [], 0)
    assert store.page(PageQuery(tag="x")).records == []
    assert store.write([Delete(7)]) == [NoSuchDroplet(7)]
    assert isinstance(store.write([put(entry(8, "a"))])[0], Stored)


def test_a_name_another_droplet_holds_is_refused_with_its_holder(store):
    store.write([put(entry(1, "a", "b"))])
    before = store.get_many([1, 2])
    outcome = store.write([put(entry(2, "x", "b", "a"))])[0]
    assert isinstance(outcome, PortNamesTaken)
    assert set(outcome.conflicts) == {NameConflict(2, "a", 1), NameConflict(2, "b", 1)}
    assert store.get_many([1, 2]) == before
    assert {claim.port_name for claim in store.claims()} == {"a", "b"}


@pytest.mark.parametrize(
    ("there", "conditions", "happens"),
    [
        (False, {}, True),
        (False, {"none_match": frozenset()}, True),
        (True, {"none_match": frozenset()}, False),
        (False, {"match": frozenset()}, False),
        (True, {"match": frozenset()}, True),
        (True, {"match": "current"}, True),
        (True, {"match": frozenset({0})}, False),
        (False, {"match": frozenset({1})}, False),
        (True, {"none_match": "current"}, False),
        (True, {"none_match": frozenset({0})}, True),
        (True, {"match": "current", "none_match": frozenset()}, False),
    ],
)
def test_preconditions(store, there, conditions, happens):
    revision = store.write([put(entry(7))])[0].revisions[7] if there else None
    conditions = {k: frozenset({revision}) if v == "current" else v for k, v in conditions.items()}
    (outcome,) = store.write([put(entry(7, "a"), **conditions)])
    if happens:
        assert isinstance(outcome, Stored)
    else:
        assert outcome == PreconditionFailed(revision)
        assert store.claims() == []
    if there:
        (outcome,) = store.write([Delete(7, Precondition(match=frozenset({0})))])
        assert isinstance(outcome, PreconditionFailed)
        assert store.count() == 1


def test_the_changes_of_a_write_stand_alone_and_take_effect_in_order(store):
    outcomes = store.write(
        [
            put(entry(1, "a")),
            put(entry(2, "a")),
            Delete(3),
            put(entry(1, "b"), none_match=frozenset()),
            Delete(1),
            put(entry(2, "a")),
        ]
    )
    assert [type(outcome) for outcome in outcomes] == [
        Stored, PortNamesTaken, NoSuchDroplet, PreconditionFailed, Deleted, Stored,
    ]  # fmt: skip
    assert [(c.droplet_id, c.port_name) for c in store.claims()] == [(2, "a")]
    assert store.count() == 1


def test_a_batch_happens_whole_or_not_at_all(store):
    store.write([put(entry(9, "held"))])
    (refused,) = store.write([put(entry(1, "a"), entry(2, "held"), entry(3, "c"))])
    assert refused.conflicts == (NameConflict(2, "held", 9),)
    assert store.count() == 1
    (stored,) = store.write([put(entry(1, "a"), entry(9, "b"), entry(3, "held"))])
    assert stored.created == {1, 3}
    assert {c.port_name: c.droplet_id for c in store.claims()} == {"a": 1, "b": 9, "held": 3}
    assert store.count() == 3


def test_names_move_within_a_batch(store):
    store.write([put(entry(1, "a"), entry(2, "b"))])
    store.write([put(entry(1, "b"), entry(2, "a"))])
    assert {c.port_name: c.droplet_id for c in store.claims()} == {"a": 2, "b": 1}


def test_an_empty_batch_is_stored(store):
    assert store.write([Put(())]) == [Stored({}, frozenset())]
    assert store.write([]) == []


def test_pages_follow_each_other_in_id_order(store):
    store.write([put(*(entry(n, tags=["even"] if n % 2 == 0 else None) for n in range(25, 0, -1)))])
    seen, after, more = [], 0, True
    while more:
        page = store.page(PageQuery(after=after, limit=10))
        seen += ids(page)
        after, more = seen[-1], page.more
    assert seen == list(range(1, 26))
    assert ids(store.page(PageQuery(after=4, limit=3, tag="even"))) == [6, 8, 10]
    assert not store.page(PageQuery(after=20, limit=5)).more
    assert store.page(PageQuery(after=19, limit=5)).more
    assert store.page(PageQuery(after=25)).records == []


def test_tag_and_region_narrow_a_page_together(store):
    places = [("nyc3", ["a"]), ("ams3", ["a", "b"]), ("nyc3", ["a", "b"]), ("nyc3", None)]
    store.write([put(*(entry(n, region=r, tags=t) for n, (r, t) in enumerate(places, 1)))])
    assert ids(store.page(PageQuery(tag="a"))) == [1, 2, 3]
    assert ids(store.page(PageQuery(region="nyc3"))) == [1, 3, 4]
    assert ids(store.page(PageQuery(tag="b", region="nyc3"))) == [3]
    assert ids(store.page(PageQuery(tag="a' OR 1", region="nyc3"))) == []


ADDRESS = {"ip_address": "104.131.20.105", "netmask": "255.255.192.0", "gateway": "104.131.0.1"}


def test_a_text_finds_ids_hostnames_ports_macs_and_addresses(store):
    nic = {"mac": "04:01:2a:0f:2a:01", "ipv4": ADDRESS}
    first = entry(701, "tap701", hostname="Web-1.example", interfaces={"public": [nic]})
    second = entry(702, "tapext702", hostname="db", tags=["x"])
    store.write([put(first, second, entry(9, "tap9", region="ams3", tags=["x"]))])
    found = {
        "701": [701],
        "70": [701, 702],
        "web-1.EXAMPLE": [701],
        " ext70 ": [702],
        "104.131.20.": [701],
        "02:00:00:00:00:01": [9, 701, 702],
        "droplet-9": [9],
        "droplet-70": [],
        "%": [],
        "x": [701, 702],
        "": [9, 701, 702],
    }
    for text, expected in found.items():
        assert ids(store.page(PageQuery(text=needle(text)))) == expected, text
    tap = needle("tap")
    assert ids(store.page(PageQuery(text=tap, after=9, limit=1))) == [701]
    assert ids(store.page(PageQuery(text=tap, tag="x"))) == [9, 702]
    assert ids(store.page(PageQuery(text="tapext", tag="x"))) == [702]
    assert ids(store.page(PageQuery(text=tap, region="ams3"))) == [9]
    assert ids(store.page(PageQuery(text=tap, region="ams3", tag="x"))) == [9]


def test_a_text_finds_what_a_droplet_is_now(store):
    store.write([put(entry(7, "tapold", hostname="old"))])
    store.write([put(entry(7, "tapnew", hostname="new"))])
    assert ids(store.page(PageQuery(text="old"))) == []
    assert ids(store.page(PageQuery(text="new"))) == [7]
    store.write([Delete(7)])
    assert ids(store.page(PageQuery(text="new"))) == []


def test_a_page_is_bounded_in_bytes_but_never_empty(store):
    store.write([put(*(entry(n, note="x" * 1000) for n in range(1, 6)))])
    page = store.page(PageQuery(max_bytes=2500))
    assert (ids(page), page.more) == ([1, 2], True)
    page = store.page(PageQuery(after=3, max_bytes=1))
    assert (ids(page), page.more) == ([4], True)
    assert not store.page(PageQuery(after=4, max_bytes=1)).more


RUNNING = {"agent": {"dotty_status": "running", "ssh_info": {"port": 22}}}
MIGRATION = {"maintenance_event": "live_migrate"}


def patch(store, droplet_id, change):
    """Patch the status; the outcome."""
    return store.write([PatchStatus(droplet_id, change)])[0]


def status(store, droplet_id=7):
    text = store.get_many([droplet_id])[droplet_id].status
    return None if text is None else json.loads(text)


def test_a_status_is_merged_kept_and_tells_a_new_revision(reopen):
    store = reopen()
    document = store.write([put(entry(7, "a"))])[0].revisions[7]
    assert store.get_many([7])[7].latest == document
    first = patch(store, 7, RUNNING)
    second = patch(store, 7, MIGRATION | {"agent": {"ssh_info": None}})
    assert first.changed and second.changed
    assert document < first.latest < second.latest
    store = reopen()
    assert status(store) == {"agent": {"dotty_status": "running"}} | MIGRATION
    record = store.get_many([7])[7]
    assert record == store.page(PageQuery()).records[0]
    assert (record.revision, record.status_revision) == (document, second.latest)
    assert [claim.revision for claim in store.claims()] == [second.latest]
    assert store.write([put(entry(7, "a"))])[0].revisions[7] > second.latest


def test_a_patch_that_changes_nothing_writes_nothing(store):
    document = store.write([put(entry(7))])[0].revisions[7]
    assert patch(store, 7, {"agent": {"dotty_status": None}}) == StatusPatched(document, False)
    revision = patch(store, 7, RUNNING).latest
    assert patch(store, 7, RUNNING) == StatusPatched(revision, changed=False)
    assert patch(store, 7, {}) == StatusPatched(revision, changed=False)
    assert store.write([put(entry(8))])[0].revisions[8] == revision + 1


def test_a_status_in_which_nothing_is_left_is_none_but_has_been(store):
    document = store.write([put(entry(7))])[0].revisions[7]
    patch(store, 7, MIGRATION)
    last = patch(store, 7, {"maintenance_event": None})
    assert store.get_many([7])[7].status is None
    assert store.get_many([7])[7].latest == last.latest > document


def test_a_status_outlives_a_put_but_for_what_that_says_itself(store):
    store.write([put(entry(7, "a"), entry(8))])
    patch(store, 7, RUNNING | MIGRATION)
    patch(store, 8, RUNNING)
    before = store.get_many([7])[7]
    (stored,) = store.write([put(entry(7, "b"), entry(9))])
    assert stored.statuses == {7: (before.status, before.status_revision)}
    assert status(store) == RUNNING | MIGRATION
    (stored,) = store.write([put(entry(7, dotty_status="x"), entry(8, ssh_info={}))])
    assert status(store, 7) == {"agent": {"ssh_info": {"port": 22}}} | MIGRATION
    assert status(store, 8) == {"agent": {"dotty_status": "running"}}
    for droplet_id, record in store.get_many([7, 8]).items():
        assert stored.statuses[droplet_id] == (record.status, record.status_revision)
        assert record.latest == record.revision == stored.revisions[droplet_id]


def test_a_refused_put_leaves_the_status(store):
    store.write([put(entry(1, "held"), entry(7))])
    patch(store, 7, RUNNING)
    before = store.get_many([7])
    store.write([put(entry(7, "held", dotty_status="x"))])
    (outcome,) = store.write([put(entry(7, dotty_status="x"), match=frozenset({0}))])
    assert outcome == PreconditionFailed(before[7].revision, before[7].status_revision)
    assert store.get_many([7]) == before


def test_a_patch_does_not_count_for_preconditions(store):
    revision = store.write([put(entry(7))])[0].revisions[7]
    patch(store, 7, RUNNING)
    (outcome,) = store.write([put(entry(7), match=frozenset({revision}))])
    assert isinstance(outcome, Stored)
    patch(store, 7, MIGRATION)
    current = frozenset({outcome.revisions[7]})
    assert store.write([Delete(7, Precondition(match=current))]) == [Deleted()]


def test_a_status_ends_with_its_droplet(store):
    assert patch(store, 7, RUNNING) == NoSuchDroplet(7)
    store.write([put(entry(7))])
    patch(store, 7, RUNNING)
    store.write([Delete(7)])
    assert patch(store, 7, RUNNING) == NoSuchDroplet(7)
    (stored,) = store.write([put(entry(7))])
    record = store.get_many([7])[7]
    assert (record.status, record.latest) == (None, stored.revisions[7])


def test_statuses_count_towards_the_size_of_a_page(store):
    store.write([put(*(entry(n) for n in range(1, 4)))])
    patch(store, 2, {"agent": {"ssh_info": {"host_keys": ["k" * 5000]}}})
    page = store.page(PageQuery(max_bytes=2000))
    assert (ids(page), page.more) == ([1], True)


def test_texts_of_all_sorts_come_back(store):
    given = entry(1, "a", tags=["é\U0001f600'\"", "b\\"], note="\x00 \u2028 \ufffd")
    store.write([put(given)])
    assert store.get_many([1])[1].document == given.document
    assert ids(store.page(PageQuery(tag="é\U0001f600'\""))) == [1]


def test_several_threads_write_and_read_at_once(store):
    failures = []

    def work(base):
        try:
            for n in range(base, base + 25):
                assert isinstance(store.write([put(entry(n, f"t{n}"))])[0], Stored)
                assert store.get_many([n])[n].droplet_id == n
        except BaseException as error:  # To be shown by the test's own thread.
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.count() == 100
    assert len({claim.revision for claim in store.claims()}) == 100
