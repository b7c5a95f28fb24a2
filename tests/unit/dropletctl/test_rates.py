"""Rates out of counters: between reports, over restarts, in the order that is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_metadata_client import DropletRequests, SwitchRequests
from ryu_apps.dropletctl.rates import Meter, Order, Rates, Row, ordered, total

DPID = "00000000000000aa"


def counted(droplet_id: int, requests: int, errors: int = 0, limited: int = 0) -> DropletRequests:
    return DropletRequests(
        droplet_id=droplet_id,
        ofport=droplet_id,
        requests=requests,
        errors=errors,
        rate_limited=limited,
        unsure=0,
        without_token=0,
        last_status=200,
        last_request_s=float(droplet_id),
    )


def told(*droplets: DropletRequests, age: float = 0.0) -> SwitchRequests:
    server = {"server": "a", "age_s": age, "view_age_s": 0.0}
    return SwitchRequests(dpid=DPID, servers=[server], droplets=list(droplets))


def rates(rows: list[Row]) -> dict[int, Rates | None]:
    return {row.counted["droplet_id"]: row.rates for row in rows}


def test_the_first_look_knows_no_rate_and_the_second_does() -> None:
    meter = Meter()
    assert rates(meter.look(told(counted(1, 100)), 50.0)) == {1: None}
    found = rates(meter.look(told(counted(1, 110, 4, 2), counted(2, 9)), 52.0))
    assert found == {1: Rates(5.0, 2.0, 1.0), 2: None}


def test_a_rate_is_by_the_time_between_reports_not_between_looks() -> None:
    meter = Meter()
    meter.look(told(counted(1, 0), age=1.0), 10.0)
    assert rates(meter.look(told(counted(1, 30), age=0.0), 12.0)) == {1: Rates(10.0, 0.0, 0.0)}


def test_the_same_report_seen_again_leaves_the_rate_as_it_is() -> None:
    meter = Meter()
    meter.look(told(counted(1, 0)), 10.0)
    meter.look(told(counted(1, 30)), 12.0)
    again = meter.look(told(counted(1, 30), age=1.0), 13.0)
    assert rates(again) == {1: Rates(15.0, 0.0, 0.0)}
    assert rates(meter.look(told(counted(1, 30)), 14.0)) == {1: Rates(0.0, 0.0, 0.0)}


def test_a_droplet_at_two_ports_has_a_rate_at_each() -> None:
    meter = Meter()
    at = [counted(1, 10), counted(1, 50) | {"ofport": 9}]
    meter.look(told(*at), 10.0)
    later = [at[0] | {"requests": 12}, at[1] | {"requests": 58}]
    found = [row.rates for row in meter.look(told(*later), 12.0)]
    assert found == [Rates(1.0, 0.0, 0.0), Rates(4.0, 0.0, 0.0)]


def test_a_server_that_started_anew_counts_from_nothing() -> None:
    meter = Meter()
    meter.look(told(counted(1, 1000, 10)), 10.0)
    assert rates(meter.look(told(counted(1, 8, 2)), 12.0)) == {1: Rates(4.0, 1.0, 0.0)}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), max_size=8))
def test_no_rate_is_negative_whatever_the_counters_do(counters: list[tuple[int, int, int]]) -> None:
    meter = Meter()
    for now, each in enumerate(counters):
        for row in meter.look(told(counted(1, *each)), float(now)):
            assert (
                row.rates is None
                or min(row.rates.requests, row.rates.errors, row.rates.rate_limited) >= 0
            )


ROWS = [
    Row(DPID, counted(1, 5), Rates(1, 9, 3)),
    Row(DPID, counted(2, 9), None),
    Row(DPID, counted(3, 7) | {"last_request_s": 0.5}, Rates(8, 0, 3)),
]


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        (Order.REQUESTS, [3, 1, 2]),
        (Order.ERRORS, [1, 3, 2]),
        (Order.RATE_LIMITED, [1, 3, 2]),
        (Order.TOTAL, [2, 3, 1]),
        (Order.LAST, [3, 1, 2]),
        (Order.ID, [1, 2, 3]),
    ],
)
def test_rows_are_ordered_and_those_without_a_value_are_last(order: Order, ids: list[int]) -> None:
    for rows in (ROWS, ROWS[::-1]):
        assert [row.counted["droplet_id"] for row in ordered(rows, order)] == ids


def test_every_order_is_tested() -> None:
    assert len(Order) == 6


def test_sums_are_of_what_is_known() -> None:
    assert total(ROWS) == Rates(9, 9, 6)
