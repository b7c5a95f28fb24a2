"""Switches that connect at once, and the places in which they are taken over."""

import eventlet
import pytest

from ryu_apps.southbound.admission import Admission


def test_no_more_than_there_are_places_and_in_the_order_in_which_they_came():
    admission, inside, most, order = Admission(3, 60), set(), [], []

    def take_over(number):
        with admission.place():
            inside.add(number)
            order.append(number)
            most.append(len(inside))
            for _ in range(5):
                eventlet.sleep(0)
            inside.remove(number)

    threads = [eventlet.spawn(take_over, number) for number in range(20)]
    for thread in threads:
        thread.wait()
    assert max(most) == 3
    assert order == list(range(20))
    assert not admission.is_full


def test_whoever_hangs_or_fails_makes_room():
    admission, entered = Admission(1, 0.01), []

    def hang(number):
        with admission.place():
            entered.append(number)
            eventlet.Event().wait()

    def fail():
        with admission.place():
            raise ValueError("its switch has gone")

    hanging = [eventlet.spawn(hang, number) for number in range(3)]
    failing = eventlet.spawn(fail)
    with pytest.raises(ValueError, match="has gone"):
        failing.wait()
    assert entered == [0, 1, 2]
    for thread in hanging:
        thread.kill()
    # Nobody's place was given back twice.
    assert not admission.is_full
    with admission.place():
        assert admission.is_full


def test_one_that_is_killed_while_it_waits_takes_no_place():
    admission = Admission(1, 60)

    def pass_through():
        with admission.place():
            pass

    with admission.place():
        waiting = eventlet.spawn(pass_through)
        eventlet.sleep(0)
        waiting.kill()
    with admission.place():
        assert admission.is_full
    assert not admission.is_full
