"""Worlds that the system tests share: each is a real Open vSwitch with this project's processes.

A world is made once for all tests that can live in it together; a test that breaks something of it
mends it again. Every world is gone when the session ends, however it ends.
"""

import itertools
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from lab.hypervisor import Hypervisor
from lab.lab import Lab
from tests.system.world import World

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _sigterm_cleans_up() -> Iterator[None]:
    """A session that is told to end takes its worlds away as one that is interrupted does."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A hypervisor set up by the real commands, with both processes running."""
    with Lab() as lab:
        yield World(lab)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """What owns everything that a module's tests make beside the world."""
    with Lab() as made:
        yield made


@pytest.fixture
def host(lab: Lab) -> Iterator[Hypervisor]:
    """A hypervisor of this test's own: Open vSwitch, no bridge yet."""
    made = lab.hypervisor(f"host{next(_numbers)}")
    yield made
    made.stop()
