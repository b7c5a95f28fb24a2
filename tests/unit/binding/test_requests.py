"""What metadata servers counted: the last word of each, of droplets that are still there."""

from dataclasses import replace

import pytest

from ryu_apps.binding.requests import MAX_COUNT, PortCounts, RequestCounts, ServerView
from ryu_apps.binding.views import PortView

NOW = 100.0
SEVEN = PortCounts(602, 7, 12, 2, 1, 1, 9, 200, 3.0)


@pytest.fixture
def ports():
    return {
        602: PortView(602, "tap7", None, droplet_id=7, binding=1),
        603: PortView(603, "tap8", None, droplet_id=8, binding=2),
        604: PortView(604, "up", None),
    }


@pytest.fixture
def counts():
    return RequestCounts()


def test_the_last_word_counts_and_grows_old(counts, ports):
    counts.tell("s1", [SEVEN], 0.5, ports.get, NOW)
    counts.tell("s1", [replace(SEVEN, requests=20)], 0.1, ports.get, NOW + 3)
    assert counts.servers(NOW + 5) == [ServerView("s1", 2.0, 0.1)]
    assert counts.droplets(ports.get, NOW + 5) == [replace(SEVEN, requests=20, last_request_s=5.0)]


def test_what_a_report_does_not_name_stays(counts, ports):
    counts.tell("s1", [SEVEN], 0.5, ports.get, NOW)
    counts.tell("s1", [replace(SEVEN, ofport=603, droplet_id=8)], None, ports.get, NOW + 3)
    assert [each.droplet_id for each in counts.droplets(ports.get, NOW + 3)] == [7, 8]
    assert counts.servers(NOW + 3) == [ServerView("s1", 0.0, None)]


def test_servers_are_added_up_and_the_newest_says_the_status(counts, ports):
    counts.tell("s1", [SEVEN], 0.5, ports.get, NOW)
    later = replace(SEVEN, requests=3, errors=0, last_status=404, last_request_s=1.0)
    counts.tell("s2", [later], 0.5, ports.get, NOW)
    (both,) = counts.droplets(ports.get, NOW)
    assert (both.requests, both.errors, both.rate_limited, both.unsure) == (15, 2, 2, 2)
    assert (both.last_status, both.last_request_s) == (404, 1.0)
    counts.forget("s1")
    assert counts.droplets(ports.get, NOW) == [later]


def test_sums_stay_numbers_that_json_readers_have(counts, ports):
    for name in ("s1", "s2"):
        counts.tell(name, [replace(SEVEN, requests=MAX_COUNT)], 0.5, ports.get, NOW)
    assert counts.droplets(ports.get, NOW)[0].requests == MAX_COUNT


@pytest.mark.parametrize(
    "lie",
    [
        {"droplet_id": 8},
        {"ofport": 603},
        {"ofport": 604},
        {"ofport": 605},
        {"droplet_id": 9},
    ],
    ids=str,
)
def test_a_server_is_believed_for_droplets_that_are_there_only(counts, ports, lie):
    counts.tell("s1", [replace(SEVEN, **lie)], 0.5, ports.get, NOW)
    assert counts.droplets(ports.get, NOW) == []


@pytest.mark.parametrize("change", [{"droplet_id": 9, "binding": 5}, {"binding": 5}, None], ids=str)
def test_counts_go_with_the_binding(counts, ports, change):
    counts.tell("s1", [SEVEN], 0.5, ports.get, NOW)
    before = ports.pop(602)
    if change is not None:
        ports[602] = before._replace(**change)
    assert counts.droplets(ports.get, NOW) == []
    counts.tell("s1", [], 0.5, ports.get, NOW)
    ports[602] = before
    assert counts.droplets(ports.get, NOW) == [], "it was kept after its binding was gone"
