"""Clients of two controllers at once: what they are answered could have been one after the other.

Over a sound cluster; over one that falls apart it is tests/system/test_fleet_faults.py.
"""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.http.real_controller import RealController
from tests.linear.clients import Book, Door, Subject, clients, contradictions

pytestmark = pytest.mark.root

FLAW = Path(__file__).with_name("flawed_store.py")
CALLS = 400


@pytest.fixture
def busy(etcd_url, tmp_path):
    """Has clients be busy with one droplet at two controllers; what came of it."""
    with ExitStack() as stack:

        def run(*words):
            controllers = []
            for name in ("one", "other"):
                folder = tmp_path / name
                folder.mkdir()
                controller = RealController(folder, registry_url=etcd_url, words=words)
                controllers.append((name, stack.enter_context(controller)))
            doors = [Door(n, ("127.0.0.1", c.port), c.token()) for n, c in controllers]
            book, subjects = Book(), [Subject(1, "tap1")]
            with clients(book, [doors[n % 2 :][:1] for n in range(6)], subjects, "quiet", 30):
                deadline = time.monotonic() + 60
                while len(book.history[1]) < CALLS and time.monotonic() < deadline:
                    time.sleep(0.05)
            assert len(book.history[1]) >= CALLS
            assert not book.refused and not book.unheard
            return contradictions(book, subjects)

        yield run


def test_answers_of_two_controllers_have_an_order(busy):
    assert busy() == []


def test_without_the_comparison_in_its_transactions_they_have_none(busy):
    """The check finds what it is for: two writes with one ETag, a status that comes to nothing."""
    assert busy(FLAW) != []
