"""Meters in the life of a binding: before the flows that use them, after those that used them."""

from dataclasses import replace

import pytest

from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.meters import MeterTable
from ryu_apps.binding.transaction import Transaction
from ryu_apps.binding.views import PortState
from ryu_apps.openflow.meter import Meter
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.pipeline.metering import port_meter
from tests.unit.binding.driven_bridge import META_PORT, DrivenBridge, tap

SETTINGS = BridgeSettings(meter_pps=2000, meter_burst=4000)
UNMETERED = replace(SETTINGS, meter_pps=0)
TABLE = MeterTable(limit=100)
FULL = "OFPET_METER_MOD_FAILED(12)/OFPMMFC_OUT_OF_METERS(9)"


def meter(ofport: int) -> Meter:
    found = port_meter(SETTINGS, ofport)
    assert found is not None
    return found


@pytest.fixture
def driven() -> DrivenBridge:
    made = DrivenBridge(SETTINGS)
    made.meters = TABLE
    made.register("tap1", 7)
    return made


def opening(driven: DrivenBridge, *ports: int) -> Transaction:
    """Everything up to the transaction that opens these ports."""
    transaction = driven.connect(META_PORT, *map(tap, ports))
    while transaction is None or not any(flow.meter for flow in transaction.add):
        if transaction is not None:
            driven.bridge.completed(transaction)
        driven.bridge.acknowledged(None)
        transaction = driven.bridge.take()
    return transaction


def used(transaction: Transaction) -> set[int]:
    return {flow.meter for flow in transaction.add if flow.meter is not None}


def test_a_meter_comes_with_the_flows_that_use_it(driven):
    transaction = opening(driven, 1)
    assert transaction.set_meters == (meter(1),)
    assert used(transaction) == {meter(1).meter_id}
    assert transaction.drop_meters == ()
    driven.settle(transaction)
    assert driven.state(1) == (PortState.SERVING, 7)
    assert driven.bridge.meters.held == {1: meter(1)}


def test_it_goes_with_the_port_and_comes_anew_with_the_next(driven):
    driven.settle(opening(driven, 1))
    closing = driven.vanished(1)
    assert closing is not None
    assert closing.drop_meters == (meter(1).meter_id,)
    assert closing.set_meters == ()
    driven.settle(closing)
    assert driven.bridge.meters.held == {}
    driven.register("tap9", 9)
    driven.settle(driven.appeared(tap(1, "tap9")))
    assert driven.state(1) == (PortState.SERVING, 9)
    assert driven.bridge.meters.held == {1: meter(1)}


def test_a_port_that_waits_for_its_droplet_has_one_too(driven):
    driven.settle(opening(driven, 1))
    driven.settle(driven.appeared(tap(2, "tapw2")))
    assert driven.bridge.meters.held == {1: meter(1), 2: meter(2)}


def test_what_the_switch_refuses_is_served_without_and_said(driven):
    driven.register("tap2", 8)
    transaction = opening(driven, 1, 2)
    driven.bridge.meters_refused({2: FULL})
    transaction = transaction.without_meters({meter(2).meter_id})
    assert used(transaction) == {meter(1).meter_id}
    driven.settle(transaction)
    assert driven.state(2) == (PortState.SERVING, 8)
    (warning,) = driven.bridge.meters.warnings
    assert FULL in warning
    assert "100 meters" in warning
    # The registry's news of it change nothing; the next on the port is tried again.
    assert driven.news("tap2") is None
    driven.settle(driven.vanished(2))
    assert driven.bridge.meters.warnings == ()


def test_a_switch_without_meters_serves_and_says_so(driven):
    driven.meters = MeterTable()
    driven.connect_ready(tap(1))
    assert driven.state(1) == (PortState.SERVING, 7)
    assert driven.bridge.meters.warnings == (
        "the switch has no meters: droplets are served without meter_pps = 2000",
    )


def test_without_the_option_there_is_nothing_to_say():
    driven = DrivenBridge(UNMETERED)
    driven.meters = MeterTable()
    driven.register("tap1", 7)
    driven.connect_ready(tap(1))
    assert driven.bridge.meters.warnings == ()


def again(
    driven: DrivenBridge, settings: BridgeSettings, ours: dict[int, Meter | None]
) -> tuple[DrivenBridge, Transaction | None]:
    """A controller that knows nothing, with these settings, takes the switch over."""
    flows = [*driven.shared(), *driven.bridge.port_flows()[0].flows()]
    fresh = DrivenBridge(settings, PortFeed(1, "100.127.0.0/16", 2 << 32))
    fresh.meters = MeterTable(100, ours)
    fresh.register("tap1", 7)
    return fresh, fresh.connect(META_PORT, tap(1), installed=flows)


def test_taking_over_what_is_right_sends_nothing(driven):
    driven.settle(opening(driven, 1))
    _, transaction = again(driven, SETTINGS, {1: meter(1)})
    assert transaction is None


def test_taking_over_another_rate_changes_the_meter_alone(driven):
    driven.settle(opening(driven, 1))
    fresh, transaction = again(driven, SETTINGS, {1: Meter(meter(1).meter_id, 5, 5)})
    assert transaction is not None
    assert transaction.set_meters == (meter(1),)
    assert not transaction.changes_flows
    fresh.settle(transaction)
    assert fresh.state(1) == (PortState.SERVING, 7)


def test_a_meter_that_others_changed_or_deleted_becomes_what_it_was(driven):
    driven.settle(opening(driven, 1))
    driven.bridge.begin_check()
    assert driven.bridge.check_meters({1: meter(1)}) == 0
    assert driven.bridge.take() is None
    for found in ({1: Meter(meter(1).meter_id, 5, 5)}, {1: None}, {}):
        driven.bridge.begin_check()
        assert driven.bridge.check_meters(found) == 1
        mend = driven.bridge.take()
        assert (mend.set_meters, mend.changes_flows) == ((meter(1),), False)
        assert driven.bridge.check_meters(found) == 0, "asked before that"
        driven.settle(mend)
        assert driven.state(1) == (PortState.SERVING, 7)


@pytest.mark.parametrize("to", [SETTINGS, UNMETERED], ids=["on", "off"])
def test_turning_meters_on_or_off_closes_no_port(to):
    """Its connections live on: no zone is flushed, and N1 is replaced in place."""
    before = DrivenBridge(UNMETERED if to is SETTINGS else SETTINGS)
    before.meters = TABLE
    before.register("tap1", 7)
    before.connect_ready(tap(1))
    fresh, transaction = again(before, to, before.bridge.meters.held)
    assert transaction is not None
    assert (transaction.delete_cookies, transaction.flush_zones) == ((), ())
    assert len(transaction.add) == 3
    assert transaction.set_meters == ((meter(1),) if to is SETTINGS else ())
    assert transaction.drop_meters == (() if to is SETTINGS else (meter(1).meter_id,))
    fresh.settle(transaction)
    assert fresh.bridge.meters.held == ({1: meter(1)} if to is SETTINGS else {})


def test_taking_over_drops_the_meter_of_a_port_that_has_gone(driven):
    driven.settle(opening(driven, 1))
    fresh, transaction = again(driven, SETTINGS, {1: meter(1), 5: meter(5), 6: None})
    assert transaction is not None
    assert set(transaction.drop_meters) == {meter(5).meter_id, meter(6).meter_id}
    fresh.settle(transaction)
    assert fresh.bridge.meters.held == {1: meter(1)}


def test_a_meter_stays_known_where_the_flows_after_it_are_refused(driven):
    """And goes with the port: none is left behind."""
    transaction = opening(driven, 1)
    driven.bridge.failed(transaction, {1: "refused"})
    assert driven.state(1)[0] is PortState.ERROR
    closing = driven.vanished(1)
    assert closing is not None
    assert closing.drop_meters == (meter(1).meter_id,)
    driven.settle(closing)
    assert driven.bridge.meters.held == {}
