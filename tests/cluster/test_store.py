"""The store on real etcd clusters: several controllers' worth of it, sound and damaged."""

import json
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from lab.etcd import TOKEN
from lab.wait import wait_for
from ryu_apps.store import EtcdLogin, open_store
from ryu_apps.store.etcd.gateway import Gateway
from ryu_apps.store.etcd.layout import DROPLET, PORT, droplet_key
from ryu_apps.store.etcd.values import Range, Write, etcd_access
from ryu_apps.store.interface import (
    BrokenOff,
    Delete,
    Leader,
    NameConflict,
    PageQuery,
    PatchStatus,
    PortNamesTaken,
    Precondition,
    PreconditionFailed,
    Presence,
    Put,
    Stored,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooLargeForStore,
)
from tests.cluster.entries import entry
from tests.etcd_fixtures import running_cluster
from tests.packaging.certificates import Authority

pytestmark = pytest.mark.root


def put(*entries, **conditions):
    return Put(entries, Precondition(**conditions))


def names(store):
    return {claim.port_name: claim.droplet_id for claim in store.claims()}


def at_once(*calls):
    """The results of the calls, each in a thread of its own."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [done.result() for done in [threads.submit(call) for call in calls]]


# -- two controllers at one registry ------------------------------------------------------------


@pytest.fixture
def two(etcd_url):
    return open_store(etcd_url), open_store(etcd_url)


def test_every_opening_has_a_boot_count_of_its_own(etcd_url):
    stores = at_once(*[lambda: open_store(etcd_url)] * 8)
    assert sorted(store.boot_count for store in stores) == list(range(1, 9))


def test_a_name_is_given_once_whoever_asks(two):
    for attempt in range(20):
        name = f"tap{attempt}"
        calls = [
            partial(store.write, [put(entry(2 * attempt + n, name))])
            for n, store in enumerate(two, 1)
        ]
        results = [outcome for (outcome,) in at_once(*calls)]
        winners = [r for r in results if isinstance(r, Stored)]
        losers = [r for r in results if isinstance(r, PortNamesTaken)]
        assert (len(winners), len(losers)) == (1, 1), results
        (winner,) = winners[0].revisions
        assert names(two[1])[name] == winner == losers[0].conflicts[0].holder


def test_of_writes_with_one_etag_one_happens(two):
    revision = two[0].write([put(entry(7))])[0].revisions[7]
    for attempt in range(10):
        condition = {"match": frozenset({revision})}
        calls = [
            partial(two[n % 2].write, [put(entry(7, note=f"{attempt}-{n}"), **condition)])
            for n in range(4)
        ]
        results = [outcome for (outcome,) in at_once(*calls)]
        (winner,) = [r for r in results if isinstance(r, Stored)]
        assert sum(isinstance(r, PreconditionFailed) for r in results) == 3
        revision = winner.revisions[7]
        assert two[1].get_many([7])[7].revision == revision


def test_patches_of_one_status_by_many_are_all_kept(two):
    two[0].write([put(entry(7))])
    calls = [
        lambda n=n: two[n % 2].write([PatchStatus(7, {"agent": {f"k{n}": n}})])[0] for n in range(8)
    ]
    results = at_once(*calls)
    assert all(r.changed for r in results), results
    assert json.loads(two[0].get_many([7])[7].status)["agent"] == {f"k{n}": n for n in range(8)}


def test_a_follower_hears_what_another_wrote(two):
    two[0].write([put(entry(1, "a"))])
    follower = two[1].follow()
    first = follower.read()
    assert (first.whole, first.count, set(first.claims)) == (True, 1, {1})
    (stored,) = two[0].write([put(entry(1, "b"), entry(2, "a"))])
    news = follower.read()
    assert (news.whole, news.count) == (False, 1)
    assert news.revision == stored.revisions[2]
    assert {n: [c.port_name for c in claims] for n, claims in news.claims.items()} == {
        1: ["b"],
        2: ["a"],
    }
    (patched,) = two[0].write([PatchStatus(2, {"maintenance_event": "live_migrate"})])
    assert follower.read().latest == {2: patched.latest}
    (deleted,) = two[0].write([Delete(2)])
    news = follower.read()
    assert (news.claims, news.count, news.revision) == ({2: ()}, -1, deleted.revision)
    beat = two[0].follow().beat(Presence("one"))
    assert follower.read().revision == beat


# -- who leads a switch ---------------------------------------------------------------------------


def test_a_switch_has_one_leader_and_each_a_term_of_its_own(two):
    followers = [store.follow() for store in two]
    for follower in followers:
        follower.read()
        assert follower.claim(5) is None  # Nobody leads before a sign of life.
        follower.beat(Presence("x"))
    terms = at_once(*(partial(follower.claim, 5) for follower in followers))
    assert sorted(terms, key=str) == [1, None]
    first = terms.index(1)
    leader, other = followers[first], followers[1 - first]
    assert other.claim(5) is None
    assert news_until(other, lambda news: news.leaders)[5] == Leader(two[first].boot_count, 1)
    other.resign(5, 1)
    assert other.claim(5) is None
    leader.resign(5, 1)
    assert news_until(other, lambda news: news.leaders) == {5: None}
    assert other.claim(5) == 2
    assert leader.claim(6) == 1
    leader.leave()
    assert news_until(other, lambda news: news.leaders.get(6, 0) is None)
    whole = two[0].follow().read()
    assert whole.leaders == {5: Leader(two[1 - first].boot_count, 2)}
    assert set(whole.controllers) == {two[1 - first].boot_count}


def test_what_a_silent_controller_led_is_free_again(two):
    silent, other = (store.follow() for store in two)
    other.read()
    silent.beat(Presence("silent"))
    assert silent.claim(5) == 1
    assert news_until(other, lambda news: 5 in news.leaders and news.leaders)[5].term == 1
    assert news_until(other, lambda news: 5 in news.leaders and news.leaders)[5] is None
    other.beat(Presence("other"))
    assert other.claim(5) == 2


def news_until(follower, wanted):
    """What `wanted` makes of the first news of which it makes anything."""
    for _ in range(100):
        if found := wanted(follower.read()):
            return found
    raise AssertionError("no such news")


# -- more than a transaction ----------------------------------------------------------------------


def test_a_batch_beyond_a_transaction_is_stored_and_can_be_repeated(etcd_url):
    store = open_store(etcd_url)
    batch = put(*(entry(n, f"t{n}", tags=["x"]) for n in range(1, 501)))
    (first,) = store.write([batch])
    assert first.created == set(range(1, 501)) == first.revisions.keys()
    assert len(set(first.revisions.values())) > 1
    (second,) = store.write([batch])
    assert second.created == frozenset()
    assert all(second.revisions[n] > first.revisions[n] for n in first.revisions)
    assert names(store) == {f"t{n}": n for n in range(1, 501)}
    assert store.count() == 500
    page = store.page(PageQuery(after=400, limit=50, tag="x"))
    assert ([r.droplet_id for r in page.records], page.more) == (list(range(401, 451)), True)


def test_of_a_batch_with_a_taken_name_nothing_is_stored(etcd_url):
    store = open_store(etcd_url)
    store.write([put(entry(1000, "t499"))])
    (refused,) = store.write([put(*(entry(n, f"t{n}") for n in range(1, 501)))])
    assert refused.conflicts == (NameConflict(499, "t499", 1000),)
    assert store.count() == 1


def test_a_batch_that_another_gets_into_says_how_far_it_came(two, monkeypatch):
    writer, other = two
    written = []
    write = Gateway.write

    def meddling(gateway, transaction):
        if gateway is writer._gateway:
            written.append(transaction)
            if len(written) == 3:
                other.write([put(entry(1000, "t499"))])
        return write(gateway, transaction)

    monkeypatch.setattr(Gateway, "write", meddling)
    (outcome,) = writer.write([put(*(entry(n, f"t{n}") for n in range(1, 501)))])
    assert isinstance(outcome, BrokenOff)
    assert outcome.cause.conflicts == (NameConflict(499, "t499", 1000),)
    assert outcome.stored == other.count() - 1 > 0


def test_names_that_move_round_a_large_batch_move_together(etcd_url):
    store = open_store(etcd_url)
    store.write([put(*(entry(n, f"t{n}") for n in range(1, 201)))])
    swapped = {1: 200, 200: 1}
    store.write([put(*(entry(n, f"t{swapped.get(n, n)}") for n in range(1, 201)))])
    assert names(store) == {f"t{swapped.get(n, n)}": n for n in range(1, 201)}
    ring = put(*(entry(n, f"t{n % 200 + 1}") for n in range(1, 201)))
    (refused,) = store.write([ring])
    assert isinstance(refused, TooLargeForStore)
    assert "too many operations" in refused.reason
    assert names(store)["t1"] == 200


def test_a_change_of_all_of_many_names_is_refused_with_the_reason(etcd_url):
    store = open_store(etcd_url)
    store.write([put(entry(1, *(f"a{n}" for n in range(64))))])
    (refused,) = store.write([put(entry(1, *(f"b{n}" for n in range(64))))])
    assert isinstance(refused, TooLargeForStore)
    assert store.count() == 1
    assert set(names(store)) == {f"a{n}" for n in range(64)}


# -- a cluster that is not what it was ----------------------------------------------------------


@pytest.fixture
def fragile():
    with running_cluster() as cluster:
        yield cluster


def test_reads_and_writes_go_on_without_any_one_node(fragile):
    store = open_store(fragile.url("r"))
    follower = store.follow()
    follower.read()
    for round_, node in enumerate(fragile.nodes, 1):
        node.kill()

        def written(n=round_):
            return isinstance(store.write([put(entry(n, f"t{n}"))])[0], Stored)

        # The leader may have been it; a write under way then is refused.
        wait_for(written, "a write", not_yet=(StoreUnavailable,))
        assert round_ in store.get_many([round_])
        assert heard(follower, round_), "the follower goes on at another node"
        node.start()
        fragile.wait()
    assert store.count() == 3


def heard(follower, droplet_id):
    """Whether the follower tells of the droplet, whatever it tells before."""
    for _ in range(50):
        try:
            if droplet_id in follower.read().claims:
                return True
        except StoreUnavailable:
            time.sleep(0.1)
    return False


def test_without_a_quorum_reads_go_on_and_writes_are_refused(fragile):
    store = open_store(fragile.url("r"))
    store.write([put(entry(1, "a"))])
    follower = store.follow()
    for node in fragile.nodes[:2]:
        node.kill()
    with pytest.raises(StoreUnavailable, match=fragile.nodes[0].endpoint):
        store.write([put(entry(2, "b"))])
    assert store.get_many([1])[1].document == entry(1, "a").document
    assert [r.droplet_id for r in store.page(PageQuery()).records] == [1]
    assert follower.read().claims.keys() == {1}
    with pytest.raises(StoreUnavailable):
        store.probe()
    fragile.nodes[0].start()

    def probed():
        store.probe()
        return True

    wait_for(probed, "a quorum again", not_yet=(StoreUnavailable,))
    assert isinstance(store.write([put(entry(2, "b"))])[0], Stored)
    assert heard(follower, 2)


def test_a_follower_that_was_away_too_long_hears_everything_anew(etcd_cluster, etcd_url):
    store = open_store(etcd_url)
    store.write([put(entry(1, "a"), entry(2, "b"))])
    follower = store.follow()
    follower.read()
    store.write([Delete(1)])
    (stored,) = store.write([put(entry(3, "c"))])
    etcdctl(etcd_cluster.nodes[0].endpoint, "compaction", str(stored.revisions[3]))
    news = follower.read()
    assert (news.whole, news.count, set(news.claims)) == (True, 2, {2, 3})


def etcdctl(endpoint, *words, **environment):
    return subprocess.run(
        ["etcdctl", f"--endpoints={endpoint}", *words],
        env={"PATH": "/usr/bin", "ETCDCTL_API": "3", **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_an_etcd_made_anew_from_a_snapshot_goes_on_above_all_that_was(tmp_path):
    with running_cluster(1) as cluster:
        store = open_store(cluster.url("r"))
        store.write([put(entry(1, "a"))])
        store.remember_server(5, "one")
        snapshot = tmp_path / "snapshot"
        etcdctl(cluster.nodes[0].endpoint, "snapshot", "save", str(snapshot))
        later = store.write([put(entry(1, "b"))])[0].revisions[1]
        boot = store.boot_count
        assert store.settled() is None
    with running_cluster(1, snapshot=snapshot) as cluster:
        store = open_store(cluster.url("r"))
        assert names(store) == {"a": 1}
        assert store.get_many([1])[1].revision > later
        assert store.boot_count > boot
        assert (store.servers(), store.settled()) == ([(5, "one")], frozenset())
        store.settle(5)
        again = open_store(cluster.url("r"))
        assert again.settled() == {5}
        assert again.boot_count == store.boot_count + 1


@pytest.mark.parametrize("token", ["another", TOKEN])
def test_a_store_does_not_go_on_at_a_cluster_that_was_made_anew(tmp_path, token):
    with running_cluster(1) as cluster:
        store = open_store(cluster.url("r"))
        store.write([put(entry(1, "a"))])
        snapshot = tmp_path / "snapshot"
        etcdctl(cluster.nodes[0].endpoint, "snapshot", "save", str(snapshot))
        store.write([put(entry(1, "b"))])
        cluster.stop()
        cluster.remake(snapshot, token)
        cluster.start()
        with pytest.raises(StoreUnavailable, match="Restart the controller"):
            store.write([put(entry(2, "b"))])


def test_what_etcd_does_not_take_is_refused_and_a_full_one_says_so():
    options = ("--max-request-bytes=65536", f"--quota-backend-bytes={4 << 20}")
    with running_cluster(1, options) as cluster:
        store = open_store(cluster.url("r"))
        (refused,) = store.write([put(entry(1, "a", note="x" * 100_000))])
        assert isinstance(refused, TooLargeForStore)
        assert "request is too large" in refused.reason
        outcomes = store.write([put(entry(n, note="x" * 30_000)) for n in range(2, 6)])
        assert all(isinstance(outcome, Stored) for outcome in outcomes)
        assert store.count() == 4
        with pytest.raises(StoreFull, match="space exceeded"):
            for n in range(10, 1000):
                store.write([put(entry(n, note="x" * 50_000))])
        assert store.count() > 4
        with pytest.raises(StoreFull):
            store.probe()


def test_a_damaged_or_unfinished_registry_is_refused_and_left_alone(etcd_url):
    gateway = Gateway(etcd_access(etcd_url))
    for meta, complaint in (
        (b"?", "not ours"),
        (b'{"format": 7}', "later one"),
        (b'{"format": 1, "cluster_id": CLUSTER, "unfinished": true}', "migration"),
    ):
        cluster_id = b"%d" % gateway.read(Range("meta")).cluster_id
        value = meta.replace(b"CLUSTER", cluster_id)
        gateway.write(Write(puts={"meta": value}))
        with pytest.raises(StoreRefused, match=complaint):
            open_store(etcd_url)
        assert gateway.read(Range("meta")).found[0].kvs[0].value == value


def test_registries_in_one_cluster_do_not_see_each_other(etcd_cluster, etcd_url):
    one, other = open_store(etcd_url), open_store(f"{etcd_url}x")
    one.write([put(entry(1, "a"))])
    assert isinstance(other.write([put(entry(2, "a"))])[0], Stored)
    assert (names(one), names(other)) == ({"a": 1}, {"a": 2})
    keys = Gateway(etcd_access(etcd_url)).read(Range.under(PORT)).found[0].kvs
    assert [kv.key for kv in keys] == [f"{PORT}a"]
    assert droplet_key(DROPLET, 1) in {
        kv.key for kv in Gateway(etcd_access(etcd_url)).read(Range.under(DROPLET)).found[0].kvs
    }


# -- who may --------------------------------------------------------------------------------------


def test_with_authentication_one_needs_the_password(tmp_path):
    password = tmp_path / "password"
    password.write_text("right\n")
    login = EtcdLogin(username="root", password_file=str(password))
    with running_cluster(1) as cluster:
        endpoint = cluster.nodes[0].endpoint
        etcdctl(endpoint, "user", "add", "root:right")
        etcdctl(endpoint, "auth", "enable")
        store = open_store(cluster.url("r"), login)
        store.write([put(entry(1, "a"))])
        # Its tokens are gone with the process.
        cluster.nodes[0].kill()
        cluster.nodes[0].start()
        cluster.wait()
        assert 1 in store.get_many([1])
        with pytest.raises(StoreRefused, match="does not let us in"):
            open_store(cluster.url("r"))
        password.write_text("wrong")
        with pytest.raises(StoreRefused, match="does not let us in") as refusal:
            open_store(cluster.url("r"), login)
        assert "wrong" not in str(refusal.value)
        with pytest.raises(StoreRefused, match="etcd_password_file"):
            open_store(
                cluster.url("r"), EtcdLogin(username="root", password_file=str(tmp_path / "no"))
            )


def test_over_tls_both_sides_show_themselves(tmp_path):
    authority = Authority(tmp_path, "authority")
    server, ours = authority.issue("server"), authority.issue("ours")
    options = (
        *("--cert-file", str(server.certificate), "--key-file", str(server.key)),
        *("--client-cert-auth", "--trusted-ca-file", str(authority.certificate)),
    )
    login = EtcdLogin(*map(str, (authority.certificate, ours.certificate, ours.key)))
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(ours.certificate, ours.key)
    with running_cluster(1, options, tls=context) as cluster:
        store = open_store(cluster.url("r"), login)
        follower = store.follow()
        follower.read()
        store.write([put(entry(1, "a"))])
        assert heard(follower, 1)
        for wrong in (EtcdLogin(), EtcdLogin(str(authority.certificate))):
            with pytest.raises(StoreUnavailable):
                open_store(cluster.url("r"), wrong)
        stranger = Authority(tmp_path, "stranger")
        with pytest.raises(StoreUnavailable, match="certificate"):
            open_store(cluster.url("r"), EtcdLogin(str(stranger.certificate)))
