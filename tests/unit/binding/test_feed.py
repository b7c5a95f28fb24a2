"""The feed of one bridge's ports: revisions, generations, and what a reader that was away gets."""

import pytest

from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.views import PortState, PortView

FIRST = 7 << 32


@pytest.fixture
def feed() -> PortFeed:
    return PortFeed(0xAA, "100.127.0.0/16", FIRST)


def view(ofport: int, droplet_id: int | None = None, name: str = "") -> PortView:
    return PortView(ofport, name or f"tap{ofport}", f"100.127.0.{ofport}", droplet_id)


def test_each_change_has_the_next_revision(feed: PortFeed):
    assert feed.revision == FIRST
    assert feed.publish(view(1)) == FIRST + 1
    assert feed.publish(view(2)) == FIRST + 2
    assert feed.publish(view(1, 11)) == FIRST + 3
    assert feed.revision == FIRST + 3


def test_what_is_published_already_is_no_change(feed: PortFeed):
    feed.publish(view(1))
    feed.publish(view(2))
    assert feed.publish(view(1)) == FIRST + 1
    assert feed.revision == FIRST + 2


def test_a_new_binding_has_a_generation_that_never_names_another(feed: PortFeed):
    first = feed.publish(view(1, 11), new_binding=True)
    assert feed.port(1).binding == first
    again = feed.publish(view(1, 11), new_binding=True)
    assert feed.port(1).binding == again > first
    feed.publish(feed.port(1)._replace(state=PortState.SERVING))
    assert feed.port(1).binding == again


def test_ports_come_in_the_order_of_their_ofports(feed: PortFeed):
    for ofport in (602, 3, 32768):
        feed.publish(view(ofport))
    assert [port.ofport for port in feed.ports()] == [3, 602, 32768]
    assert feed.port(602) == view(602)
    assert feed.port(4) is None


def test_a_port_that_has_gone_leaves_a_word_for_those_away(feed: PortFeed):
    known = feed.publish(view(1))
    gone = feed.remove(1)
    assert gone == known + 1
    assert feed.port(1) is None
    assert feed.ports() == []
    assert feed.changes_since(known) == [(gone, 1, None)]


def test_a_port_that_was_not_there_cannot_go(feed: PortFeed):
    assert feed.remove(1) == FIRST
    feed.publish(view(1))
    feed.remove(1)
    assert feed.remove(1) == feed.revision == FIRST + 2


def test_a_reader_gets_the_newest_of_each_port_oldest_first(feed: PortFeed):
    start = feed.publish(view(1))
    feed.publish(view(2))
    feed.publish(view(3))
    feed.publish(view(2, 22))
    changes = feed.changes_since(start)
    assert [(ofport, port) for _, ofport, port in changes] == [(3, view(3)), (2, view(2, 22))]


def test_what_a_reader_has_before_the_last_change_is_what_it_came_with(feed: PortFeed):
    """An older change of a port is left out where a newer one follows, so half a batch is none."""
    start = feed.publish(view(1))
    announced = feed.publish(view(2, 22), new_binding=True)
    feed.publish(view(3))
    feed.publish(feed.port(2)._replace(state=PortState.SERVING))
    reached = [revision for revision, _, _ in feed.changes_since(start)]
    assert reached == [start, feed.revision]
    assert reached[0] < announced


def test_a_reader_that_has_everything_gets_nothing(feed: PortFeed):
    feed.publish(view(1))
    assert feed.changes_since(feed.revision) == []


@pytest.mark.parametrize("revision", [0, FIRST - 1, FIRST + 2, FIRST << 1])
def test_revisions_the_feed_cannot_know_call_for_a_full_view(feed: PortFeed, revision: int):
    feed.publish(view(1))
    assert feed.changes_since(revision) is None


def test_subscribers_are_called_after_each_change_and_not_otherwise(feed: PortFeed):
    seen: list[int] = []

    def notice() -> None:
        seen.append(feed.revision)

    feed.subscribe(notice)
    feed.publish(view(1))
    feed.publish(view(1))
    feed.remove(1)
    feed.remove(1)
    assert seen == [FIRST + 1, FIRST + 2]
    feed.unsubscribe(notice)
    feed.unsubscribe(notice)
    feed.publish(view(1))
    assert len(seen) == 2


def test_a_subscriber_may_leave_while_it_is_called(feed: PortFeed):
    feed.subscribe(lambda: feed.unsubscribe(other))

    def other() -> None:
        """Only comes and goes."""

    feed.subscribe(other)
    feed.publish(view(1))
    feed.publish(view(2))
    assert feed.revision == FIRST + 2


def test_being_in_sync_is_told_once(feed: PortFeed):
    told: list[bool] = []
    feed.subscribe(lambda: told.append(feed.in_sync))
    assert not feed.in_sync
    feed.mark_in_sync()
    feed.mark_in_sync()
    assert told == [True]


def test_the_feed_does_not_grow_with_its_readers_absence(feed: PortFeed):
    for droplet_id in range(1000):
        feed.publish(view(1, droplet_id))
        feed.remove(2)
    assert len(feed.changes_since(FIRST)) == 1
