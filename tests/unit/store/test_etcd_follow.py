"""What a controller tells etcd of its life, whatever it hears of it."""

import pytest

from ryu_apps.store.etcd.follow import EtcdFollower
from ryu_apps.store.etcd.values import Read
from ryu_apps.store.interface import Presence, StoreUnavailable


class Deaf:
    """A cluster that does what it is asked; `deaf`: the answer is lost."""

    def __init__(self):
        self.deaf = False
        self.kept_alive = 0

    def _answer(self, value):
        if self.deaf:
            raise StoreUnavailable("no answer in time")
        return value

    def read(self, *_ranges):
        return self._answer(Read((), 1, 1))

    def grant(self, _seconds):
        return self._answer(7)

    def keep_alive(self, _lease):
        self.kept_alive += 1
        return self._answer(True)

    def write(self, _write):
        return self._answer(1)


def test_what_is_heard_and_hears_nothing_does_not_keep_its_lease():
    """Else nobody would lead its switches for as long as its requests arrive."""
    cluster = Deaf()
    follower = EtcdFollower(cluster, 0, lambda: None, 1)
    for _ in range(3):
        follower.beat(Presence("x"))
    cluster.deaf, before = True, cluster.kept_alive
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            follower.beat(Presence("x"))
    assert cluster.kept_alive <= before + 1
    cluster.deaf = False
    follower.beat(Presence("x"))
    assert cluster.kept_alive == before + 2
