"""What every store of droplets promises: one suite, each backend a parameter."""

import threading

import pytest

from ryu_apps.registry.claims import Claim
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store import open_store
from ryu_apps.store.interface import (
    Delete,
    Deleted,
    Entry,
    NameConflict,
    NoSuchDroplet,
    PageQuery,
    PortNamesTaken,
    Precondition,
    PreconditionFailed,
    Put,
    Record,
    Stored,
)


@pytest.fixture(params=["sqlite"])
def reopen(request, tmp_path):
    """Opens the store of this test; closes the one opened before."""
    opened = []

    def open_again():
        while opened:
            opened.pop().close()
        opened.append(open_store({"sqlite": f"sqlite://{tmp_path}/registry.db"}[request.param]))
        return opened[0]

    yield open_again
    while opened:
        opened.pop().close()


@pytest.fixture
def store(reopen):
    return reopen()


def entry(droplet_id, *names, region="nyc3", tags=None, dpid=None, note=None):
    ports = [{"name": name, "mac": "02:00:00:00:00:01", "dpid": dpid} for name in names]
    metadata = {"region": region, "tags": tags, "note": note}
    return Entry.of(read_droplet({"ports": ports, "metadata": metadata}, droplet_id))


def put(*entries, **conditions):
    return Put(entries, Precondition(**conditions))


def ids(page):
    return [record.droplet_id for record in page.records]


def test_a_droplet_is_found_as_it_was_put(store):
    given = entry(7, "tap7", dpid="f" * 16)
    (outcome,) = store.write([put(given)])
    revision = outcome.revisions[7]
    assert outcome == Stored({7: revision}, frozenset({7}))
    assert store.get_many([7, 8]) == {7: Record(7, revision, given.document)}
    assert store.claims() == [Claim(7, "tap7", "02:00:00:00:00:01", 2**64 - 1, revision)]
    assert store.count() == 1


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
    assert len(set(stored.revisions.values())) == 3
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


def test_a_page_is_bounded_in_bytes_but_never_empty(store):
    store.write([put(*(entry(n, note="x" * 1000) for n in range(1, 6)))])
    page = store.page(PageQuery(max_bytes=2500))
    assert (ids(page), page.more) == ([1, 2], True)
    page = store.page(PageQuery(after=3, max_bytes=1))
    assert (ids(page), page.more) == ([4], True)
    assert not store.page(PageQuery(after=4, max_bytes=1)).more


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
