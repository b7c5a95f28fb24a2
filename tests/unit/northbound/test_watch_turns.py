"""What a watch stream encodes on the one green thread leaves the others their turn."""

import json
import socket
from contextlib import closing

import eventlet
import pytest

from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.views import PortState, PortView
from ryu_apps.northbound import turns
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.watch import Watchers
from ryu_apps.registry.droplet import read_droplet
from ryu_apps.store.interface import Entry
from ryu_apps.store.sqlite import SqliteStore

IDS = range(1, 31)


class OneSwitch:
    """The part of a switchboard that a stream without a server's name asks."""

    def __init__(self, feed):
        self._feed = feed

    def feed(self, dpid):
        return self._feed

    def elsewhere(self, _dpid):
        return None


@pytest.fixture
def watchers(tmp_path):
    store = SqliteStore(tmp_path / "registry.db")
    registry = Registry(store, offload=lambda call, *arguments: call(*arguments))
    feed = PortFeed(1, "100.127.0.0/16", 1)
    for n in IDS:
        feed.publish(PortView(n, f"tap{n}", None, droplet_id=n, state=PortState.SERVING))
    documents = [{"droplet_id": n, "ports": [], "metadata": {"region": "r"}} for n in IDS]
    registry.put_many([Entry.of(read_droplet(document)) for document in documents])
    feed.mark_in_sync()
    yield Watchers(registry, OneSwitch(feed), limit=1, per_switch=1)
    store.close()


def test_others_have_their_turn_while_a_view_is_encoded(watchers, monkeypatch):
    monkeypatch.setattr(turns, "SLICE_SECONDS", 0)
    ours, theirs = socket.socketpair()
    turns_of_others = []

    def count():
        while True:
            turns_of_others.append(1)
            eventlet.sleep(0)

    with ours, theirs:
        stream = watchers.open(1, since=None, server=None, connection=ours, show=lambda view: view)
        with closing(stream):
            lines = iter(stream)
            assert json.loads(next(lines))["event"] == "snapshot"
            other = eventlet.spawn(count)
            told = [json.loads(line) for line in next(lines).splitlines()]
            other.kill()
    assert [port["port"]["droplet"]["metadata"]["droplet_id"] for port in told] == [*IDS]
    assert len(turns_of_others) >= 2 * len(IDS) - 2
