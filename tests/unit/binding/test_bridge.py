"""The life of a port on one connection: each step, in the order that keeps droplets apart."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from ryu_apps.binding.port import SwitchPort
from ryu_apps.binding.transaction import Transaction
from ryu_apps.binding.views import PortState
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.layout import SHARED_OFPORT, BridgeSettings, MetaPort
from ryu_apps.pipeline.shared_flows import shared_flows
from tests.droplets import META, STANDALONE
from tests.unit.binding.driven_bridge import (
    FIRST,
    HOST_MAC,
    LOCAL,
    MAC,
    META_PORT,
    OTHER_MAC,
    DrivenBridge,
    cookie_of,
    flows_of,
    tap,
)


@pytest.fixture
def driven() -> DrivenBridge:
    return DrivenBridge()


@pytest.fixture
def serving(driven: DrivenBridge) -> DrivenBridge:
    """Droplet 7 on ofport 1, open; nothing under way."""
    driven.register("tap1", 7)
    driven.connect_ready(tap(1))
    assert driven.state(1) == (PortState.SERVING, 7)
    return driven


class TestBinding:
    def test_flush_then_announce_then_open(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        first = driven.connect(META_PORT, tap(1))
        assert first.flush_zones == (1,)
        assert not [flow for flow in first.add if flow.cookie != STANDALONE.cookie.shared]
        assert driven.state(1) == (PortState.BINDING, None), "told before the zone was clean"

        assert driven.done(first) is None
        assert driven.state(1) == (PortState.BINDING, 7)
        assert driven.view(1).binding == driven.feed.revision
        assert driven.bridge.awaits_acknowledgement

        opening = driven.acknowledged(driven.feed.revision)
        assert opening == Transaction(add=flows_of(1, 7), ofports=(1,))
        assert driven.state(1) == (PortState.BINDING, 7)

        assert driven.done(opening) is None
        assert driven.state(1) == (PortState.SERVING, 7)

    def test_it_waits_for_the_acknowledgement_of_its_own_announcement(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.done(driven.connect(META_PORT, tap(1)))
        assert driven.acknowledged(driven.feed.revision - 1) is None
        assert driven.acknowledged(0) is None
        assert driven.acknowledged(driven.feed.revision) is not None
        assert not driven.bridge.awaits_acknowledgement

    def test_what_opens_is_told_for_those_who_were_not_waited_for(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.done(driven.connect(META_PORT, tap(1)))
        assert driven.bridge.acknowledged(0) == 0
        assert driven.bridge.acknowledged(None) == driven.feed.revision

    def test_an_announcement_that_changes_must_be_acknowledged_as_it_is_now(
        self, driven: DrivenBridge
    ):
        driven.register("tap1", 7)
        driven.done(driven.connect(META_PORT, tap(1)))
        announced = driven.feed.revision
        driven.register("tap1", 7, revision=2)
        assert driven.news("tap1") is None
        assert driven.acknowledged(announced) is None
        assert driven.acknowledged(driven.feed.revision) is not None
        assert driven.view(1).binding == announced, "it is the same binding"

    def test_a_port_that_comes_later(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.connect_ready()
        flush = driven.appeared(tap(1))
        assert flush == Transaction(flush_zones=(1,), ofports=(1,))
        driven.settle(flush)
        assert driven.state(1) == (PortState.SERVING, 7)

    def test_a_registration_that_comes_later(self, driven: DrivenBridge):
        driven.connect_ready(tap(1))
        assert driven.state(1) == (PortState.UNREGISTERED, None)
        driven.register("tap1", 7)
        driven.settle(driven.news("tap1"))
        assert driven.state(1) == (PortState.SERVING, 7)

    def test_several_ports_in_one_go(self, driven: DrivenBridge):
        for ofport in (1, 2, 3):
            driven.register(f"tap{ofport}", 10 + ofport)
        first = driven.connect(META_PORT, tap(1), tap(2), tap(3))
        assert first.flush_zones == (1, 2, 3)
        driven.done(first)
        opening = driven.acknowledged()
        assert opening.ofports == (1, 2, 3)
        assert opening.add == flows_of(1, 11) + flows_of(2, 12) + flows_of(3, 13)

    def test_a_droplet_that_goes_before_it_is_bound_leaves_nothing(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.done(driven.connect(META_PORT, tap(1)))
        del driven.claims["tap1"]
        assert driven.news("tap1") is None
        assert driven.state(1) == (PortState.UNREGISTERED, None)
        assert driven.acknowledged() is None

    def test_a_port_that_goes_before_it_is_bound_leaves_nothing(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.done(driven.connect(META_PORT, tap(1)))
        assert driven.vanished(1) is None
        assert driven.feed.port(1) is None
        assert driven.acknowledged() is None

    def test_another_droplet_may_overtake_one_that_is_announced(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.done(driven.connect(META_PORT, tap(1)))
        announced = driven.feed.revision
        driven.register("tap1", 8)
        driven.bridge.reconsider(["tap1"])
        assert driven.acknowledged(announced) is None, "opened on a word about another droplet"
        assert driven.acknowledged(driven.feed.revision).add == flows_of(1, 8)
        assert driven.view(1).binding > announced

    def test_another_droplet_may_overtake_while_the_zone_is_flushed(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        flush = driven.connect(META_PORT, tap(1))
        driven.register("tap1", 8)
        assert driven.news("tap1") is None
        driven.settle(flush)
        assert driven.state(1) == (PortState.SERVING, 8)


class TestUnbinding:
    def test_delete_then_flush_then_retract(self, serving: DrivenBridge):
        del serving.claims["tap1"]
        told = serving.feed.revision
        closing = serving.news("tap1")
        assert closing == Transaction((cookie_of(1, 7),), (), (1,), (1,))
        assert serving.feed.revision == told, "retracted while the port was open"
        assert serving.done(closing) is None
        assert serving.state(1) == (PortState.UNREGISTERED, None)

    def test_a_port_that_goes_is_retracted_when_it_is_closed(self, serving: DrivenBridge):
        closing = serving.vanished(1)
        assert closing.delete_cookies == (cookie_of(1, 7),)
        assert serving.view(1).droplet_id == 7
        assert serving.done(closing) is None
        assert serving.feed.port(1) is None
        assert serving.bridge.ofports == []

    def test_the_ofport_s_next_port_waits_for_that(self, serving: DrivenBridge):
        serving.register("tap2", 8)
        closing = serving.vanished(1)
        assert serving.appeared(tap(1, "tap2")) is None
        assert serving.view(1).droplet_id == 7
        assert serving.done(closing) is None, "the zone is clean: nothing was open since the flush"
        assert (serving.view(1).name, *serving.state(1)) == ("tap2", PortState.BINDING, 8)
        opening = serving.acknowledged(serving.feed.revision)
        assert opening == Transaction(add=flows_of(1, 8), ofports=(1,))

    def test_a_replaced_port_that_was_only_named_anew_is_another_one(self, serving: DrivenBridge):
        """PORT_STATUS that replaces a port without a word of the old one's end."""
        serving.register("tap2", 8)
        closing = serving.appeared(tap(1, "tap2"))
        assert closing.delete_cookies == (cookie_of(1, 7),)
        serving.settle(closing)
        assert serving.state(1) == (PortState.SERVING, 8)
        assert serving.bridge.port_names() == ["tap2"]

    def test_a_droplet_replaced_by_another_is_closed_first(self, serving: DrivenBridge):
        first_binding = serving.view(1).binding
        serving.register("tap1", 8)
        closing = serving.news("tap1")
        assert closing == Transaction((cookie_of(1, 7),), (), (1,), (1,))
        assert serving.done(closing) is None
        assert serving.state(1) == (PortState.BINDING, 8)
        assert serving.view(1).binding > first_binding
        assert serving.acknowledged().add == flows_of(1, 8)

    def test_the_same_droplet_bound_again_is_another_binding(self, serving: DrivenBridge):
        first_binding = serving.view(1).binding
        closing = serving.vanished(1)
        serving.appeared(tap(1))
        serving.settle(closing)
        assert serving.state(1) == (PortState.SERVING, 7)
        assert serving.view(1).binding > first_binding

    def test_a_droplet_whose_port_moves_to_another_ofport(self, serving: DrivenBridge):
        closing = serving.vanished(1)
        flush = serving.appeared(tap(2, "tap1"))
        assert flush == Transaction(flush_zones=(2,), ofports=(2,))
        serving.settle(closing)
        serving.settle(flush)
        assert serving.feed.port(1) is None
        assert serving.state(2) == (PortState.SERVING, 7)

    def test_a_new_home_told_before_the_old_one_is_gone(self, serving: DrivenBridge):
        flush = serving.appeared(tap(2, "tap1"))
        closing = serving.vanished(1)
        serving.settle(flush)
        serving.settle(closing)
        assert serving.bridge.port_names() == ["tap1"]
        assert serving.state(2) == (PortState.SERVING, 7)
        assert serving.feed.port(1) is None

    def test_what_goes_while_it_is_opened_is_closed_when_it_is_open(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.done(driven.connect(META_PORT, tap(1)))
        opening = driven.acknowledged()
        assert driven.vanished(1) is None
        closing = driven.done(opening)
        assert closing == Transaction((cookie_of(1, 7),), (), (1,), (1,))
        assert driven.done(closing) is None
        assert driven.feed.port(1) is None


class TestInPlace:
    def test_a_new_mac_replaces_the_flows_and_leaves_the_zone_alone(self, serving: DrivenBridge):
        binding = serving.view(1).binding
        serving.register("tap1", 7, OTHER_MAC, revision=2)
        change = serving.news("tap1")
        same = set(flows_of(1, 7)) & set(flows_of(1, 7, OTHER_MAC))
        assert set(change.add) == set(flows_of(1, 7, OTHER_MAC)) - same
        assert len(same) == 1, "L1 does not know the MAC: it stays, with its counters"
        keys = {flow.key for flow in change.add}
        gone = {flow.key for flow in flows_of(1, 7)} - keys - {flow.key for flow in same}
        assert {(cookie, image.key) for cookie, image in change.remove} == {
            (cookie_of(1, 7), key) for key in gone
        }
        assert (change.delete_cookies, change.flush_zones, change.ofports) == ((), (), (1,))
        assert serving.done(change) is None
        assert serving.state(1) == (PortState.SERVING, 7)
        assert serving.view(1).binding == binding

    def test_a_new_hop_limit_replaces_r2_alone_and_connections_live_on(self, serving: DrivenBridge):
        binding = serving.view(1).binding
        for revision, limit in ((2, 1), (3, 64), (4, None)):
            serving.register("tap1", 7, revision=revision, hop_limit=limit)
            change = serving.news("tap1")
            limited = flows_of(1, 7, hop_limit=limit)
            assert change == Transaction(add=limited[-1:], ofports=(1,))
            assert serving.done(change) is None
            assert serving.view(1).binding == binding

    def test_a_new_record_of_the_droplet_is_told_and_nothing_else(self, serving: DrivenBridge):
        serving.register("tap1", 7, revision=2)
        assert serving.news("tap1") is None
        assert serving.view(1).droplet_revision == 2
        assert serving.state(1) == (PortState.SERVING, 7)

    def test_news_without_a_change_changes_nothing(self, serving: DrivenBridge):
        told = serving.feed.revision
        assert serving.news("tap1") is None
        assert serving.news("tap99") is None
        assert serving.appeared(tap(1)) is None
        assert serving.feed.revision == told

    def test_the_host_side_s_mac_means_nothing(self, serving: DrivenBridge):
        assert serving.appeared(SwitchPort(1, "tap1", "fe:00:00:00:00:99")) is None


class TestMeta0:
    def test_without_it_nobody_is_served_and_readers_are_told_why(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        first = driven.connect(tap(1))
        assert first.add == shared_flows(STANDALONE, None)
        driven.settle(first)
        assert driven.view(1).state is PortState.ERROR
        assert driven.view(1).reason == "the bridge has no port meta0"

    def test_when_it_comes_everybody_is_bound(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        driven.settle(driven.connect(tap(1)))
        came = driven.appeared(META_PORT)
        assert came.add == shared_flows(STANDALONE, META)
        assert came.flush_zones == (1,)
        driven.settle(came)
        assert driven.state(1) == (PortState.SERVING, 7)

    def test_when_it_goes_everybody_is_closed(self, serving: DrivenBridge):
        gone = serving.vanished(META.ofport)
        assert set(gone.delete_cookies) == {STANDALONE.cookie.shared, cookie_of(1, 7)}
        assert gone.add == shared_flows(STANDALONE, None)
        assert gone.flush_zones == (1,)
        serving.settle(gone)
        assert serving.view(1).state is PortState.ERROR

    def test_a_new_mac_of_it_replaces_every_flow_in_place(self, serving: DrivenBridge):
        new = MetaPort(META.ofport, OTHER_MAC)
        change = serving.appeared(SwitchPort(new.ofport, "meta0", new.mac))
        assert change.add[: len(serving.shared())] == shared_flows(STANDALONE, new)
        assert {flow.cookie for flow in change.add} == {STANDALONE.cookie.shared, cookie_of(1, 7)}
        assert change.flush_zones == ()
        serving.settle(change)
        assert serving.state(1) == (PortState.SERVING, 7)

    def test_a_change_that_is_none_asks_nothing(self, serving: DrivenBridge):
        assert serving.appeared(META_PORT) is None

    def test_it_is_no_port_for_a_droplet(self, driven: DrivenBridge):
        driven.register("meta0", 7)
        driven.settle(driven.connect(META_PORT))
        assert driven.bridge.ofports == []
        assert driven.bridge.port_names() == []
        assert driven.feed.ports() == []


class TestPortsThatAreNoDroplet_s:
    def test_they_get_no_flows(self, driven: DrivenBridge):
        first = driven.connect(META_PORT, LOCAL, tap(5, "uplink"), tap(6, "patch0"))
        assert {flow.cookie for flow in first.add} == {STANDALONE.cookie.shared}
        assert first.flush_zones == ()
        assert driven.done(first) is None
        assert [view.name for view in driven.feed.ports()] == ["uplink", "patch0"]
        assert driven.state(5) == (PortState.UNREGISTERED, None)

    def test_reserved_ports_are_not_even_seen(self, driven: DrivenBridge):
        driven.register("br0", 7)
        driven.settle(driven.connect(META_PORT, LOCAL))
        assert driven.feed.ports() == []
        assert driven.appeared(LOCAL) is None
        assert driven.vanished(LOCAL.ofport) is None

    def test_an_ofport_without_an_address_is_told_with_the_reason(self):
        small = replace(STANDALONE, addressing=Addressing(IPv4Network("100.127.0.0/29")))
        driven = DrivenBridge(small)
        driven.register("tap7", 7)
        driven.register("tap6", 6)
        driven.settle(driven.connect(META_PORT, tap(6), tap(7)))
        assert driven.state(6) == (PortState.SERVING, 6)
        assert driven.view(7).state is PortState.ERROR
        assert "ofport 7 is not in 1..6" in driven.view(7).reason
        assert driven.view(7).hv_local_ip is None
        assert driven.vanished(7) is None
        assert driven.feed.port(7) is None


class TestTheLobby:
    def test_a_waiting_port_is_open_for_nobody(self, driven: DrivenBridge):
        driven.settle(driven.connect(META_PORT, tap(1, "tapw1")))
        assert driven.state(1) == (PortState.UNREGISTERED, None)
        assert driven.bridge.flow_count == len(driven.shared()) + len(flows_of(1, 7))

    def test_it_is_closed_before_its_droplet_is_bound(self, driven: DrivenBridge):
        driven.settle(driven.connect(META_PORT, tap(1, "tapw1")))
        driven.register("tapw1", 7)
        closing = driven.news("tapw1")
        assert closing == Transaction((cookie_of(1),), (), (1,), (1,))
        assert driven.done(closing) is None
        assert driven.acknowledged().add == flows_of(1, 7)

    def test_a_droplet_that_is_deleted_leaves_its_port_waiting(self, driven: DrivenBridge):
        driven.register("tapw1", 7)
        driven.settle(driven.connect(META_PORT, tap(1, "tapw1")))
        del driven.claims["tapw1"]
        closing = driven.news("tapw1")
        assert closing.delete_cookies == (cookie_of(1, 7),)
        assert driven.done(closing) is None
        assert driven.state(1) == (PortState.UNREGISTERED, None)
        opening = driven.acknowledged(driven.feed.revision)
        assert {flow.cookie for flow in opening.add} == {cookie_of(1)}

    def test_even_that_waits_until_nobody_takes_it_for_the_droplet(self, driven: DrivenBridge):
        driven.register("tapw1", 7)
        driven.settle(driven.connect(META_PORT, tap(1, "tapw1")))
        del driven.claims["tapw1"]
        told = driven.feed.revision
        driven.done(driven.news("tapw1"))
        assert driven.acknowledged(told) is None


class TestRefusals:
    def refused(self, driven: DrivenBridge) -> tuple[Transaction, Transaction | None]:
        """Two droplets are opened, the switch refuses a flow of ofport 1; what comes next."""
        driven.register("tap1", 7)
        driven.register("tap2", 8)
        driven.settle(driven.connect(META_PORT))
        driven.appeared(tap(1))
        driven.bridge.port_changed(tap(2))
        flush = Transaction(flush_zones=(1, 2), ofports=(1, 2))
        driven.bridge.take()
        driven.bridge.completed(flush)
        opening = driven.acknowledged()
        assert opening.ofports == (1, 2)
        driven.bridge.failed(opening, {1: "OFPFMFC_TABLE_FULL"})
        return opening, driven.bridge.take()

    def test_the_reason_is_at_the_port_whose_flow_it_was(self, driven: DrivenBridge):
        self.refused(driven)
        assert driven.state(1) == (PortState.ERROR, None)
        assert driven.view(1).reason == "OFPFMFC_TABLE_FULL"

    def test_the_others_are_served_all_the_same(self, driven: DrivenBridge):
        _, again = self.refused(driven)
        assert again.ofports == (2,)
        assert again.flush_zones == (2,)
        driven.settle(again)
        assert driven.state(2) == (PortState.SERVING, 8)
        assert driven.state(1) == (PortState.ERROR, None)

    def test_news_of_the_port_are_a_new_try(self, driven: DrivenBridge):
        _, again = self.refused(driven)
        driven.settle(again)
        driven.register("tap1", 7, revision=2)
        driven.settle(driven.news("tap1"))
        assert driven.state(1) == (PortState.SERVING, 7)
        assert driven.view(1).reason is None

    def test_a_refused_change_leaves_the_old_flows_with_the_reason(self, serving: DrivenBridge):
        serving.register("tap1", 7, OTHER_MAC, revision=2)
        change = serving.news("tap1")
        serving.bridge.failed(change, {1: "OFPBAC_BAD_OUT_PORT"})
        assert serving.bridge.take() is None
        assert serving.state(1) == (PortState.ERROR, 7)
        assert serving.vanished(1).delete_cookies == (cookie_of(1, 7),)

    def test_refused_shared_flows_stop_everything_and_say_so(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        first = driven.connect(META_PORT, tap(1))
        driven.bridge.failed(first, {SHARED_OFPORT: "OFPFMFC_TABLE_FULL"})
        assert driven.bridge.shared_failure == "OFPFMFC_TABLE_FULL"
        assert driven.bridge.take() is None
        assert driven.view(1).state is PortState.ERROR
        assert "the switch refused the shared flows" in driven.view(1).reason

    def test_a_port_s_refusal_at_the_beginning_does_not_lose_the_shared_flows(
        self, driven: DrivenBridge
    ):
        driven.register("tap1", 7)
        stale = flows_of(7, 70)
        first = driven.connect(META_PORT, tap(1), installed=[*flows_of(1, 7)[2:], *stale])
        driven.bridge.failed(first, {1: "OFPFMFC_TABLE_FULL"})
        again = driven.bridge.take()
        assert STANDALONE.cookie.shared in {flow.cookie for flow in again.add}
        assert stale[0].cookie in again.delete_cookies

    def test_a_port_s_refusal_does_not_lose_the_shared_flows_of_a_new_meta0(
        self, serving: DrivenBridge
    ):
        new = MetaPort(META.ofport, OTHER_MAC)
        change = serving.appeared(SwitchPort(new.ofport, "meta0", new.mac))
        serving.bridge.failed(change, {1: "OFPFMFC_TABLE_FULL"})
        assert serving.bridge.take().add == shared_flows(STANDALONE, new)

    def test_what_was_to_be_closed_is_closed_after_another_s_refusal(self, serving: DrivenBridge):
        serving.vanished(1)
        closing = Transaction((cookie_of(1, 7),), flows_of(2, 8), (1,), (1, 2))
        serving.bridge.failed(replace(closing, ofports=(1,)), {2: "OFPFMFC_TABLE_FULL"})
        again = serving.bridge.take()
        assert again.delete_cookies == (cookie_of(1, 7),)
        serving.settle(again)
        assert serving.feed.port(1) is None


class TestWhatReadersAsk:
    def test_flows_are_counted_when_the_switch_has_them(self, driven: DrivenBridge):
        driven.register("tap1", 7)
        first = driven.connect(META_PORT, tap(1))
        assert driven.bridge.flow_count == 0
        driven.done(first)
        assert driven.bridge.flow_count == len(driven.shared())
        driven.done(driven.acknowledged())
        assert driven.bridge.flow_count == len(driven.shared()) + len(flows_of(1, 7))

    def test_transactions_are_taken_once(self, driven: DrivenBridge):
        assert driven.connect(META_PORT) is not None
        assert driven.bridge.take() is None

    def test_a_view_tells_address_name_and_record(self, serving: DrivenBridge):
        view = serving.view(1)
        assert (view.name, view.hv_local_ip, view.droplet_revision) == ("tap1", "100.127.0.1", 1)
        assert FIRST < view.binding <= serving.feed.revision


def test_the_mac_of_a_droplet_comes_from_its_claim(driven: DrivenBridge):
    driven.register("tap1", 7, OTHER_MAC)
    driven.done(driven.connect(META_PORT, SwitchPort(1, "tap1", HOST_MAC)))
    macs = {flow.match.dl_src for flow in driven.acknowledged().add}
    assert OTHER_MAC in macs
    assert HOST_MAC not in macs
    assert MAC not in macs


def test_settings_are_those_of_the_bridge():
    settings = BridgeSettings(meta_port_name="md0")
    driven = DrivenBridge(settings)
    driven.connect(META_PORT, SwitchPort(9, "md0", META.mac))
    assert driven.bridge.meta == MetaPort(9, META.mac)
    assert driven.view(META.ofport).name == "meta0"
