"""A shared registry's news reach the index in turns with others, and all at once for who looks."""

from itertools import pairwise

import eventlet
import pytest

from ryu_apps.northbound import turns
from ryu_apps.northbound.registry import Registry
from ryu_apps.registry.claims import Claim, ClaimsDirectory, Replacement
from ryu_apps.store.interface import News

MANY = 2000


def claims(*names_by_id, revision=1):
    """Claims by droplet id from (id, name) pairs."""
    mac = "02:00:00:00:00:01"
    return {number: (Claim(number, name, mac, None, revision),) for number, name in names_by_id}


class Told:
    """A store that others write to, and their news as the test has them."""

    boot_count = 1

    def __init__(self, *news):
        self._news = list(news)

    def follow(self):
        return self

    def read(self):
        while not self._news:
            eventlet.sleep(0)
        return self._news.pop(0)

    def tell(self, news):
        self._news.append(news)


@pytest.fixture
def work(monkeypatch):
    """How many droplets were looked at or prepared until now."""
    done = [0]
    monkeypatch.setattr(turns, "SLICE_SECONDS", 0)
    for owner, name in ((ClaimsDirectory, "names_of"), (Replacement, "add")):
        original = getattr(owner, name)

        def counted(*arguments, original=original):
            done[0] += 1
            return original(*arguments)

        monkeypatch.setattr(owner, name, counted)
    return done


def heard(before, news, work):
    """An index that had `before` hears `news`: who holds a and b, and the work done, each time that
    somebody else has a turn; and what was told."""
    store, told, seen = Told(News(1, before, count=len(before), whole=True)), [], []
    registry = Registry(store, offload=lambda call, *arguments: call(*arguments))
    registry.on_change = told.append

    def look():
        while True:
            holders = [claim and claim.droplet_id for claim in map(registry.claims.get, "ab")]
            seen.append((*holders, work[0]))
            eventlet.sleep(0)

    threads = [eventlet.spawn(look), eventlet.spawn(registry.following.read_forever)]
    store.tell(news)
    while registry.following.revision < news.revision:
        eventlet.sleep(0)
    for thread in threads:
        thread.kill()
    return registry, seen, frozenset().union(*told)


OTHERS = [(number, f"t{number}") for number in range(10, 10 + MANY)]


@pytest.mark.parametrize("whole", [True, False])
def test_news_of_many_droplets_hold_nobody_up_and_take_effect_at_once(work, whole):
    before = claims((1, "a"), *OTHERS)
    after = claims((1, "b"), (2, "a"), *OTHERS, revision=2)
    registry, seen, told = heard(before, News(2, after, count=1, whole=whole), work)
    assert {(a, b) for a, b, _ in seen} == {(1, None), (2, 1)}
    # Of all that was done never more than two droplets' share between two turns of others.
    assert max(later - earlier for (*_, earlier), (*_, later) in pairwise(seen)) <= 2
    assert told == {"a", "b", *(name for _, name in OTHERS)}
    assert registry.claims.count == MANY + 2


def test_new_statuses_of_many_droplets_hold_nobody_up(work):
    news = News(9, latest={number: 9 for number, _ in OTHERS})
    registry, seen, told = heard(claims((1, "a"), *OTHERS), news, work)
    assert max(later - earlier for (*_, earlier), (*_, later) in pairwise(seen)) <= 2
    assert told == {name for _, name in OTHERS}
    assert registry.claims.get("t10").revision == 9
    assert registry.claims.get("a").revision == 1


def test_what_is_not_there_any_more_goes_and_what_is_the_same_is_not_told(work):
    before = claims((1, "a"), (3, "b"), (4, "c"))
    registry, _, told = heard(before, News(2, claims((1, "a"), (5, "c")), whole=True), work)
    assert told == {"b", "c"}
    assert registry.claims.get("b") is None
    assert registry.claims.get("c").droplet_id == 5
    assert sorted(registry.claims.droplet_ids()) == [1, 5]
