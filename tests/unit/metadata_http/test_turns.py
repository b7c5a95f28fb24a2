"""Which threads answer: as many as are to, always one of them, and nobody rests for ever."""

import threading

import pytest

from metadata_http.turns import Body, Turns
from tests.http.fake_controller import wait_until


class Thread(threading.Thread):
    """Answers a call whenever the test has one for it, as granian's threads do from a queue."""

    def __init__(self, turns):
        super().__init__(daemon=True)
        self.work = lambda: None
        self.at_queue = False
        self._turns = turns
        self._calls = threading.Semaphore(0)
        self._ending = False
        self.start()

    def run(self):
        while True:
            self.at_queue = True
            self._calls.acquire()
            if self._ending:
                return
            self.work()
            self._turns.rest()

    def call(self):
        assert self.at_queue
        self.at_queue = False
        self._calls.release()

    def end(self):
        self._ending = True
        self.call()
        self.join(30)
        assert not self.is_alive()


@pytest.fixture
def turns():
    made = Turns(1)
    yield made
    made.end()


def called(turns, number):
    """So many threads, each of which has been called once, one after the other."""
    made = [Thread(turns) for _ in range(number)]
    for each in made:
        wait_until(lambda each=each: each.at_queue, "a thread at its queue")
        each.call()
        wait_until(lambda each=each: each.at_queue or turns.resting, "it to answer")
        wait_until(lambda: sum(t.at_queue for t in made) + turns.resting == number, "all settled")
    return made


def test_one_answers_and_the_others_rest(turns):
    first, *others = called(turns, 5)
    for _ in range(3):
        first.call()
        wait_until(lambda: first.at_queue, "it back at its queue")
    assert turns.resting == 4
    assert not any(each.at_queue for each in others)


def test_as_many_answer_as_are_to():
    turns = Turns(2)
    threads = called(turns, 5)
    assert [each.at_queue for each in threads] == [True, True, False, False, False]
    turns.end()


def test_who_reads_a_body_is_replaced_and_rests_when_it_has_come(turns):
    reader, other = called(turns, 2)
    came = threading.Event()
    body = Body(lambda size: came.wait() and b"x" * size, turns)
    reader.work = lambda: body.read(1)
    reader.call()
    wait_until(lambda: other.at_queue, "the other in its place")
    other.call()
    wait_until(lambda: other.at_queue, "an answer beside the body")
    came.set()
    wait_until(lambda: turns.resting == 1, "the reader at rest")
    assert not reader.at_queue


def test_who_reads_a_body_while_nobody_rests_goes_on(turns):
    (only,) = called(turns, 1)
    only.work = lambda: Body(lambda size: b"", turns).read(1)
    for _ in range(2):
        only.call()
        wait_until(lambda: only.at_queue, "it back at its queue")


def test_who_ends_is_replaced(turns):
    """granian ends a thread that had nothing to do for half a minute."""
    first, second, third = called(turns, 3)
    first.end()
    wait_until(lambda: second.at_queue or third.at_queue, "another in its place")
    assert turns.resting == 1
    now = second if second.at_queue else third
    now.end()
    wait_until(lambda: turns.resting == 0, "the last in its place")


def test_at_the_end_nobody_rests(turns):
    threads = called(turns, 4)
    turns.end()
    for _ in range(2):
        wait_until(lambda: all(each.at_queue for each in threads), "all at their queue")
        for each in threads:
            each.call()
