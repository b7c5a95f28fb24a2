"""When the service manager hears that the service is ready, and that it lives. Values only."""

import pytest

from metadata_http.supervision import PATIENCE, Beat, Pulse, judge, watchdog_seconds

STARTED, SILENCE = 100.0, 15.0


def test_it_is_ready_when_every_worker_is_sure():
    news = judge([Beat(101.0, True), Beat(101.0, False)], 101.0, STARTED, SILENCE)
    assert not news.ready
    news = judge([Beat(101.0, True), Beat(101.0, True)], 101.0, STARTED, SILENCE)
    assert news.ready
    assert news.status == "serving"


def test_nobody_is_waited_for_for_ever():
    """No controller, no bridge: droplets are to be told 503 rather than nothing."""
    news = judge([Beat(101.0, False)], STARTED + PATIENCE + 0.1, STARTED, SILENCE)
    assert news.ready
    assert "503" in news.status


def test_a_worker_that_has_shown_nothing_is_not_ready():
    now = STARTED + PATIENCE + 0.1
    news = judge([Beat()], now, STARTED, SILENCE)
    assert (news.ready, news.status) == (False, "starting")


def test_it_lives_while_every_worker_does():
    later = STARTED + 1000
    assert judge([Beat(later - 1, True), Beat(later - 14, True)], later, STARTED, SILENCE).alive
    news = judge([Beat(later - 1, True), Beat(later - 16, True)], later, STARTED, SILENCE)
    assert not news.alive
    assert news.status == "worker 2 shows no life"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_how_long_the_manager_waits(environ: dict[str, str], seconds: float | None):
    assert watchdog_seconds(environ, 7) == seconds


def test_a_pulse_is_seen_by_all_that_share_it():
    pulse = Pulse(2)
    assert pulse.beats() == [Beat(), Beat()]
    pulse.beat_for_ever(1, lambda: True)
    while not pulse.beats()[1].sure:
        pass
    assert pulse.beats()[0] == Beat()
