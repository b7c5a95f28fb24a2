"""Many droplets that are served nowhere are told a page at a time, and nobody is held up."""

from itertools import pairwise
from types import SimpleNamespace

import eventlet
import pytest

from ryu_apps.binding.views import PortState, PortView, SwitchState, SwitchView
from ryu_apps.northbound import standing_calls, turns

DROPLETS = [(7919 * number) % 1009 for number in range(1, 1001)]
SERVED = range(500, 600)
SWITCH = SwitchView(1, True, SwitchState.IN_SYNC, None, 0, 0, 0, "100.127.0.0/16")


@pytest.fixture
def call():
    claims = SimpleNamespace(droplet_ids=lambda: list(DROPLETS))
    registry = SimpleNamespace(claims=claims, whereabouts=None)
    return SimpleNamespace(context=SimpleNamespace(registry=registry))


@pytest.fixture
def switches():
    views = [PortView(n, f"t{n}", "100.127.0.1", n, PortState.SERVING) for n in SERVED]
    return [(SWITCH, SimpleNamespace(views=lambda: views))]


def test_the_unserved_are_found_in_order_while_others_have_their_turn(call, switches, monkeypatch):
    monkeypatch.setattr(turns, "SLICE_SECONDS", 0)
    monkeypatch.setattr(standing_calls, "_IDS_AT_ONCE", 10)
    had = []

    def look():
        while True:
            had.append(1)
            eventlet.sleep(0)

    looking = eventlet.spawn(look)
    runs = standing_calls._unserved(call, switches)
    looking.kill()
    # One for each port, and one for each ten droplets.
    assert len(had) >= len(SERVED) + len(DROPLETS) / 10
    assert max(map(len, runs)) <= 10
    assert all(a < b for run in runs for a, b in pairwise(run))
    assert sorted(n for run in runs for n in run) == sorted(set(DROPLETS) - set(SERVED))


def test_a_page_of_them_is_merged_from_after_where_the_last_one_ended(call, switches, monkeypatch):
    monkeypatch.setattr(standing_calls, "_IDS_AT_ONCE", 10)
    runs = standing_calls._unserved(call, switches)
    wanted = sorted(n for n in set(DROPLETS) - set(SERVED) if n > 300)
    assert list(standing_calls._after(runs, 300)) == wanted
