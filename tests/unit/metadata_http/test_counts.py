"""What is counted of a droplet's requests, and which of it the controller is still to be told."""

import pytest

from metadata_http.counts import Untold, entries
from metadata_http.tally import Tally
from metadata_http.view import Following, advance

BEGIN = {
    "event": "snapshot",
    "dpid": "00000000000000a1",
    "revision": 1,
    "hv_local_subnet": "100.127.0.0/16",
    "lease": 10,
}
END = {"event": "in-sync", "revision": 1}


def port(ofport, droplet_id=None, *, binding=1, hostname="h", name=None):
    given = None if droplet_id is None else {"metadata": {"hostname": hostname}}
    port = {"ofport": ofport, "name": name or f"tap{ofport}", "binding": binding}
    port |= {"hv_local_ip": f"100.127.0.{ofport}", "droplet_id": droplet_id, "droplet": given}
    return {"event": "port", "revision": 1, "port": port}


def following(*ports, after=None):
    return advance(after or Following(), [BEGIN, *ports, END], 0.0)


def test_each_answer_counts_where_it_belongs():
    tally = Tally()
    for now, status in enumerate((200, 404, 429, 503, 304)):
        tally.count(status, float(now))
    assert tally.told(6.5) == {
        "requests": 5,
        "errors": 2,
        "rate_limited": 1,
        "unsure": 1,
        "without_token": 0,
        "last_status": 304,
        "last_request_s": 2.5,
    }


CHANGES = {
    "another record": (port(5, 7, hostname="new"), True),
    "a new binding of the same droplet": (port(5, 7, binding=9), True),
    "another droplet": (port(5, 8), False),
    "no droplet": (port(5), False),
    "another port of that number": (port(5, 7, name="tap9"), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_counts_stay_with_the_droplet_on_its_port(change):
    event, stays = CHANGES[change]
    before = following(port(5, 7))
    before.view.ports[5].droplet.tally.count(200, 0.0)
    after = advance(before, [event], 0.0).view.ports[5].droplet
    assert (after is not None and after.tally.requests == 1) is stays


def test_a_droplet_that_was_away_begins_anew():
    state = following(port(5, 7))
    state.view.ports[5].droplet.tally.count(200, 0.0)
    state = advance(state, [port(5)], 0.0)
    assert advance(state, [port(5, 7)], 0.0).view.ports[5].droplet.tally.requests == 0


def asked(view, *ofports):
    for ofport in ofports:
        view.ports[ofport].droplet.tally.count(200, 0.0)


def tell(untold, view, limit=10):
    """What is told now, as the controller gets it."""
    ports = untold.some(view.ports.values(), limit)
    told = entries(ports, 0.0)
    untold.told(zip(ports, (each["requests"] for each in told), strict=True))
    return [each["ofport"] for each in told]


def test_only_what_changed_is_told():
    view, untold = following(port(5, 7), port(6, 8), port(7)).view, Untold()
    assert tell(untold, view) == []
    asked(view, 5)
    assert tell(untold, view) == [5]
    assert tell(untold, view) == []
    asked(view, 5, 6)
    assert sorted(tell(untold, view)) == [5, 6]


def test_what_was_not_heard_is_told_again():
    view, untold = following(port(5, 7)).view, Untold()
    asked(view, 5)
    assert untold.some(view.ports.values(), 10)
    assert tell(untold, view) == [5]


def test_a_new_binding_is_told_anew_though_nothing_was_asked():
    state, untold = following(port(5, 7)), Untold()
    asked(state.view, 5)
    tell(untold, state.view)
    assert tell(untold, advance(state, [port(5, 7, binding=2)], 0.0).view) == [5]


def test_every_port_has_its_turn():
    view, untold = following(*(port(ofport, ofport) for ofport in range(1, 8))).view, Untold()
    told = []
    for _ in range(4):
        asked(view, *range(1, 8))
        told += tell(untold, view, limit=2)
    assert told == [1, 2, 3, 4, 5, 6, 7, 1]


def test_ports_that_are_gone_are_not_remembered():
    state, untold = following(port(5, 7)), Untold()
    asked(state.view, 5)
    tell(untold, state.view)
    untold.keep([])
    assert tell(untold, state.view) == [5]
