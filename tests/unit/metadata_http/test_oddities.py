"""Log lines of odd requests: quoted, cut, and counted out."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest

from metadata_http import oddities
from metadata_http.identity import Caller, Verdict
from metadata_http.respond import Request, plain
from ovs_metadata_logs import handler
from ovs_metadata_logs.handler import Logs

INSIDE = Caller(Verdict.WAIT, "no such port")
OUTSIDE = Caller(Verdict.REFUSED, "outside 100.127.0.0/16")
NOT_FOUND = plain(HTTPStatus.NOT_FOUND)


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self):
        self.text = b""

    def write(self, _level, data):
        self.text += data


@pytest.fixture
def logs(monkeypatch):
    """The handler of the process for this module's lines, with a clock of the test's."""
    made, kept = Logs(), Kept()
    made.now = 0.0
    monkeypatch.setattr(handler.time, "monotonic", lambda: made.now)
    made.to("stderr", kept)
    log = logging.getLogger(oddities.__name__)
    log.addHandler(made)
    log.setLevel(logging.INFO)
    made.kept = kept
    yield made
    log.removeHandler(made)
    log.setLevel(logging.NOTSET)


@pytest.fixture
def note(logs):
    (outlet,) = logs._all()

    def note(now, peer="100.127.0.1", caller=INSIDE, path="/nowhere", times=1):
        logs.now, before = now, len(logs.kept.text)
        for _ in range(times):
            oddities.note(peer, caller, Request("GET", path, {}), NOT_FOUND)
        assert outlet.flush(60.0)
        return logs.kept.text[before:].decode().splitlines()

    return note


def test_the_guests_words_are_quoted_and_cut(note):
    (line,) = note(0.0, path="/a\nb\x1b[31m" + "x" * 9999)
    assert "404 to 100.127.0.1 (no such port): 'GET' '/a\\\\nb\\\\x1b[31mxxx" in line
    assert len(line) < 700


def test_a_flood_is_counted_and_told_later(note):
    assert len(note(0.0, times=1000)) == 20
    assert note(0.0) == []
    (line,) = note(100.0)[-1:]
    assert line.endswith("; before it 981 more like this")
    assert note(200.0)[-1].endswith("'/nowhere'")


def test_a_flood_that_is_over_is_told_of(note, logs):
    note(0.0, times=1000)
    logs.now = 2.0
    logs._tell_held()
    assert note(2.0)[0].endswith("980 more like this: request_odd peer=100.127.0.1")


def test_one_who_floods_hides_nobody_else(note):
    note(0.0, times=1000)
    assert len(note(0.0, peer="100.127.0.2")) == 1


def test_all_together_are_bounded(note):
    lines = [line for n in range(1000) for line in note(0.0, peer=f"100.127.1.{n}")]
    assert len(lines) == 200


def test_addresses_outside_share_one_count(note):
    lines = [line for n in range(100) for line in note(0.0, f"10.0.0.{n}", OUTSIDE)]
    assert len(lines) == 20


def test_threads_that_log_at_once_do_not_break_each_other(logs):
    """More addresses than are remembered, so that each line makes another be forgotten."""

    def flood(thread):
        for number in range(3000):
            logs.now = number * 0.005
            oddities.note(f"{thread}.{number}", INSIDE, Request("GET", "/", {}), NOT_FOUND)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(flood, range(4)))
    finally:
        sys.setswitchinterval(before)
