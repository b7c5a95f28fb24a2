"""Log lines of odd requests: quoted, cut, and counted out."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest

from metadata_http.identity import Caller, Verdict
from metadata_http.oddities import Oddities
from metadata_http.respond import Request, plain

INSIDE = Caller(Verdict.WAIT, "no such port")
OUTSIDE = Caller(Verdict.REFUSED, "outside 100.127.0.0/16")
NOT_FOUND = plain(HTTPStatus.NOT_FOUND)


@pytest.fixture
def note(caplog):
    caplog.set_level(logging.INFO)
    oddities = Oddities()

    def note(now, peer="100.127.0.1", caller=INSIDE, path="/nowhere", times=1):
        before = len(caplog.records)
        for _ in range(times):
            oddities.note(now, peer, caller, Request("GET", path, {}), NOT_FOUND)
        return [record.getMessage() for record in caplog.records[before:]]

    return note


def test_the_guests_words_are_quoted_and_cut(note):
    (line,) = note(0.0, path="/a\nb\x1b[31m" + "x" * 9999)
    assert line.startswith("404 to 100.127.0.1 (no such port): 'GET' '/a\\nb\\x1b[31mxxx")
    assert len(line) < 300


def test_a_flood_is_counted_and_told_later(note):
    assert len(note(0.0, times=1000)) == 20
    assert note(0.0) == []
    (line,) = note(100.0)
    assert line.endswith("; before it 981 of 100.127.0.1 not logged")
    assert note(200.0)[0].endswith("'/nowhere'")


def test_one_who_floods_hides_nobody_else(note):
    note(0.0, times=1000)
    assert len(note(0.0, peer="100.127.0.2")) == 1


def test_all_together_are_bounded(note):
    lines = [line for n in range(1000) for line in note(0.0, peer=f"100.127.1.{n}")]
    assert len(lines) == 200
    (line,) = note(100.0)
    assert line.endswith("; before it 800 of everybody not logged")


def test_addresses_outside_share_one_count(note):
    lines = [line for n in range(100) for line in note(0.0, f"10.0.0.{n}", OUTSIDE)]
    assert len(lines) == 20


def test_threads_that_log_at_once_do_not_break_each_other(caplog):
    """More addresses than are remembered, so that each line makes another be forgotten."""
    caplog.set_level(logging.CRITICAL)
    oddities = Oddities()

    def flood(thread):
        for number in range(3000):
            peer, now = f"{thread}.{number}", number * 0.005
            oddities.note(now, peer, INSIDE, Request("GET", "/", {}), NOT_FOUND)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(flood, range(4)))
    finally:
        sys.setswitchinterval(before)
