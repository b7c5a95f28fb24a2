"""Where ports are, in a real etcd: who may write it, in which order, and what news there are."""

from functools import partial

import pytest

from ryu_apps.registry.droplet import read_droplet
from ryu_apps.registry.places import Placement, Sighting
from ryu_apps.store import open_store
from ryu_apps.store.interface import MAX_PLACEMENTS, Delete, Entry, Presence, Put
from tests.cluster.test_store import at_once

pytestmark = pytest.mark.root


class Leaders:
    """Two controllers; the first leads switches 1 and 3, the second 2."""

    def __init__(self, url):
        self.stores = [open_store(url), open_store(url)]
        self.followers = [store.follow() for store in self.stores]
        for number, follower in enumerate(self.followers):
            follower.beat(Presence(f"c{number}"))
        self.terms = {
            dpid: self.followers[who].claim(dpid) for who, dpid in ((0, 1), (1, 2), (0, 3))
        }
        self.ears = self.stores[0].follow()
        self.ears.read()

    def register(self, droplet_id, *names):
        ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in names]
        document = {"ports": ports, "metadata": {"region": "r"}}
        self.stores[0].write([Put((Entry.of(read_droplet(document, droplet_id)),))])

    def say(self, who, name, dpid, sighting=None):
        return self.followers[who].place([Placement(name, dpid, sighting)])

    def places(self):
        return dict(self.stores[1].follow().read().places)


@pytest.fixture
def leaders(etcd_url):
    found = Leaders(etcd_url)
    found.register(7, "tap7")
    return found


def came(since, age_ms=0):
    return Sighting(since, age_ms)


FOUND = Sighting(0, None)


def test_the_newest_is_first_and_all_are_told(leaders):
    first = leaders.say(0, "tap7", 1, FOUND)
    assert leaders.places() == {"tap7": (1,)}
    second = leaders.say(1, "tap7", 2, came(first))
    assert leaders.places() == {"tap7": (2, 1)}
    assert second > first
    leaders.say(1, "tap7", 2)
    leaders.say(0, "tap7", 1)
    assert leaders.places() == {}
    while leaders.ears.read().places != {"tap7": ()}:
        pass


def test_one_that_nobody_saw_come_is_the_oldest_and_known_ones_stay(leaders):
    leaders.say(0, "tap7", 1, FOUND)
    leaders.say(1, "tap7", 2, FOUND)
    assert leaders.places() == {"tap7": (1, 2)}
    before = leaders.stores[0].follow().read().revision
    leaders.say(0, "tap7", 1, FOUND)
    assert leaders.stores[0].follow().read().revision == before, "nothing was written"


def test_what_waited_for_the_registry_comes_behind_what_was_seen_later(leaders):
    since = leaders.say(0, "tap7", 1, FOUND)
    leaders.say(1, "tap7", 2, came(since, 2_000))
    # Seen at the same state of the registry, but longer ago.
    leaders.say(0, "tap7", 3, came(since, 5_000))
    assert leaders.places() == {"tap7": (2, 3, 1)}
    leaders.say(0, "tap7", 1, came(since, 1_000))
    assert leaders.places() == {"tap7": (1, 2, 3)}


def test_who_does_not_lead_a_switch_says_nothing_of_it(leaders):
    leaders.say(0, "tap7", 2, came(0))
    assert leaders.places() == {}
    leaders.say(0, "tap7", 1, came(0))
    leaders.followers[0].resign(1, leaders.terms[1])
    assert leaders.followers[1].claim(1) == leaders.terms[1] + 1
    # As one does that stood still meanwhile.
    leaders.say(0, "tap7", 1)
    assert leaders.places() == {"tap7": (1,)}
    leaders.say(1, "tap7", 1)
    assert leaders.places() == {}


def test_who_loses_its_switch_between_reading_and_writing_writes_nothing(leaders, monkeypatch):
    late, other = leaders.followers
    read = late._gateway.read
    taken = []

    def read_and_lose(*ranges, **options):
        found = read(*ranges, **options)
        if not taken:
            taken.append(1)
            leaders.stores[0].follow().read()
            late.resign(1, leaders.terms[1])
            taken.append(other.claim(1))
        return found

    monkeypatch.setattr(late._gateway, "read", read_and_lose)
    leaders.say(0, "tap7", 1, came(0))
    assert taken[1] == leaders.terms[1] + 1
    assert leaders.places() == {}


def test_a_dead_leaders_word_stays_and_who_comes_after_may_take_it_back(leaders):
    leaders.say(0, "tap7", 1, came(0))
    leaders.followers[0].leave()
    leaders.say(0, "tap7", 1)
    assert leaders.places() == {"tap7": (1,)}
    assert leaders.followers[1].claim(1)
    leaders.say(1, "tap7", 1)
    assert leaders.places() == {}


def test_names_that_nobody_claims_are_not_written_but_can_be_taken_back(leaders):
    leaders.say(0, "eth0", 1, came(0))
    assert leaders.places() == {}
    leaders.say(0, "tap7", 1, came(0))
    leaders.stores[0].write([Delete(7)])
    leaders.say(0, "tap7", 3, came(0))
    assert leaders.places() == {"tap7": (1,)}
    leaders.say(0, "tap7", 1)
    assert leaders.places() == {}


def test_many_at_once_are_one_write(leaders):
    names = [f"m{n}" for n in range(MAX_PLACEMENTS)]
    leaders.register(8, *names)
    revision = leaders.followers[0].place([Placement(name, 1, came(0)) for name in names])
    assert set(leaders.places()) == set(names)
    assert leaders.stores[0].follow().read().revision == revision


def test_both_write_at_once_and_nothing_is_lost(leaders):
    names = [f"m{n}" for n in range(20)]
    leaders.register(8, *names)
    calls = [
        partial(leaders.followers[who].place, [Placement(name, dpid, came(0)) for name in names])
        for who, dpid in ((0, 1), (1, 2))
    ]
    at_once(*calls)
    assert {frozenset(dpids) for dpids in leaders.places().values()} == {frozenset({1, 2})}
