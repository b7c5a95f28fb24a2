"""Requests that wait: who is asked again, when, and how many there may be."""

import threading

import pytest

from metadata_http.app import clock
from metadata_http.view import Droplet, Port, View
from metadata_http.waits import TooMany, Wait, Waits

SEVEN = Droplet(7, "{}", None)
EIGHT = Droplet(8, "{}", None)


class Room:
    """Waits, and what they asked: (peer, over) in order."""

    def __init__(self, limit=10, per_droplet=5):
        self.waits = Waits(clock, limit, per_droplet)
        self.view = view(a=SEVEN, b=EIGHT)
        self.waits.changed(self.view)
        self.asked = []
        self.answers = True
        self.changed = threading.Condition()

    def add(self, peer="a", droplet=SEVEN, seconds=60.0, seen=None):
        wait = Wait(peer, droplet, clock() + seconds, self.again)
        self.waits.add(wait, seen or self.view)
        return wait

    def again(self, wait, over):
        with self.changed:
            self.asked.append((wait.peer, over))
            self.changed.notify_all()
            return self.answers  # as it is now, not as the test has it once it is told

    def wait_asked(self, *expected):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= len(expected), 20)
        assert sorted(self.asked) == sorted(expected)


def view(**droplets):
    ports = {
        n: Port(n, f"tap{n}", address, n, droplet, None)
        for n, (address, droplet) in enumerate(droplets.items())
    }
    by_address = {port.hv_local_ip: port for port in ports.values()}
    return View("0" * 16, None, 10.0, 1, ports, by_address)


def gone(waits):
    """Until nobody waits any more; a net for a hang, no measure."""
    for _ in range(2000):
        if len(waits) == 0:
            return True
        threading.Event().wait(0.01)
    return False


def test_time_is_up():
    room = Room()
    room.add(seconds=0.02)
    room.wait_asked(("a", True))
    assert gone(room.waits)


def test_only_whose_droplet_changed_is_asked():
    room = Room()
    room.add("a", SEVEN)
    room.add("b", EIGHT)
    room.waits.changed(view(a=Droplet(7, '{"a":1}', None), b=EIGHT))
    room.wait_asked(("a", False))
    assert len(room.waits) == 1


def test_a_view_that_changes_nothing_asks_nobody():
    room = Room()
    room.add("a", SEVEN)
    room.waits.changed(view(a=SEVEN, c=EIGHT))
    room.add("b", EIGHT, seconds=0.0)
    room.wait_asked(("b", True))


@pytest.mark.parametrize("after", [view(b=EIGHT), view(a=EIGHT), None])
def test_a_port_that_is_gone_or_anothers(after):
    room = Room()
    room.add("a", SEVEN)
    room.waits.changed(after)
    room.wait_asked(("a", False))


def test_a_change_beside_the_adding_is_not_missed():
    """The request was answered from a view that is no longer the newest."""
    room = Room()
    room.add("a", SEVEN, seen=view(a=SEVEN))
    room.wait_asked(("a", False))


def test_who_is_not_answered_goes_on_waiting():
    room = Room()
    room.answers = False
    room.add("a", SEVEN)
    room.waits.changed(view(a=Droplet(7, '{"a":2}', None)))
    room.wait_asked(("a", False))
    assert len(room.waits) == 1
    room.answers = True
    room.waits.stop()
    room.wait_asked(("a", False), ("a", True))
    assert gone(room.waits)


def test_bounds():
    room = Room(limit=3, per_droplet=2)
    room.add("a", SEVEN)
    room.add("a", SEVEN)
    with pytest.raises(TooMany) as fault:
        room.add("a", SEVEN)
    assert fault.value.of_droplet
    room.add("b", EIGHT)
    with pytest.raises(TooMany) as fault:
        room.add("b", EIGHT)
    assert not fault.value.of_droplet
    room.waits.changed(view(a=SEVEN))
    room.wait_asked(("b", False))
    for _ in range(200):  # its place is free once it was answered
        if len(room.waits) == 2:
            break
        threading.Event().wait(0.01)
    room.add("b", EIGHT, seen=room.waits._view)


def test_stopping_ends_all_and_each_that_comes_after():
    room = Room()
    room.add("a", SEVEN)
    room.add("b", EIGHT)
    room.waits.stop()
    room.wait_asked(("a", True), ("b", True))
    room.add("a", SEVEN)
    room.wait_asked(("a", True), ("a", True), ("b", True))


def test_a_fault_of_one_is_not_the_others(caplog):
    room = Room()

    def broken(wait, over):
        raise RuntimeError("a fault of ours")

    room.waits.add(Wait("a", SEVEN, clock(), broken), room.view)
    room.add("b", EIGHT, seconds=0.05)
    room.wait_asked(("b", True))
    assert gone(room.waits)
    assert "a fault of ours" in caplog.text


def test_deadlines_of_those_answered_early_do_not_pile_up():
    room = Room(limit=1000, per_droplet=1000)
    for _ in range(5):
        for _ in range(200):
            room.add("a", SEVEN, seen=room.waits._view)
        room.waits.changed(view(a=Droplet(7, "{}", None)))
        assert gone(room.waits)
    assert len(room.waits._deadlines) <= 200
