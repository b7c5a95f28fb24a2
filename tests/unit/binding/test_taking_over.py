"""A (re)connected switch: what is right stays untouched, what is wrong goes in a safe order."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from ryu_apps.binding.transaction import Transaction
from ryu_apps.binding.views import PortState
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import Match
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.droplet_flows import BoundPort, droplet_flows
from ryu_apps.pipeline.layout import SHARED_OFPORT, MetaPort
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.pipeline.waiting_flows import waiting_flows
from tests.droplets import META, STANDALONE
from tests.unit.binding.driven_bridge import (
    MAC,
    META_PORT,
    OTHER_MAC,
    DrivenBridge,
    cookie_of,
    flows_of,
    tap,
)

SHARED = shared_flows(STANDALONE, META)


@pytest.fixture
def driven() -> DrivenBridge:
    """A controller that has just started; the registry has droplet 7 on tap1."""
    driven = DrivenBridge()
    driven.register("tap1", 7)
    return driven


class TestAfterARestartOfTheController:
    def test_what_is_right_is_not_touched(self, driven: DrivenBridge):
        asked = driven.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 7)])
        assert asked is None
        assert driven.state(1) == (PortState.SERVING, 7)
        assert driven.feed.in_sync
        assert driven.bridge.flow_count == len(SHARED) + len(flows_of(1, 7))
        assert not driven.bridge.awaits_acknowledgement

    def test_what_was_taken_over_can_be_unbound(self, driven: DrivenBridge):
        driven.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 7)])
        assert driven.vanished(1) == Transaction((cookie_of(1, 7),), (), (1,), (1,))

    def test_wrong_shared_flows_are_replaced_in_one_go_and_the_others_stay(
        self, driven: DrivenBridge
    ):
        other = shared_flows(STANDALONE, MetaPort(META.ofport, OTHER_MAC))
        asked = driven.connect(META_PORT, installed=other)
        assert set(asked.add) == set(SHARED) - set(other)
        gone = {flow.key for flow in other} - {flow.key for flow in SHARED}
        assert {image.key for _, image in asked.remove} == gone
        assert {cookie for cookie, _ in asked.remove} == {STANDALONE.cookie.shared}
        assert (asked.delete_cookies, asked.flush_zones) == ((), ())

    def test_a_missing_shared_flow_is_noticed(self, driven: DrivenBridge):
        asked = driven.connect(META_PORT, installed=SHARED[1:])
        assert asked == Transaction(add=SHARED[:1], ofports=(SHARED_OFPORT,))

    @pytest.mark.parametrize("broken", [lambda f: f[:-1], lambda f: (f[0], *f[2:])])
    def test_a_droplet_s_own_flows_are_mended_in_place(self, driven: DrivenBridge, broken: object):
        found = broken(flows_of(1, 7))
        asked = driven.connect(META_PORT, tap(1), installed=[*SHARED, *found])
        lost = tuple(flow for flow in flows_of(1, 7) if flow not in found)
        assert asked == Transaction((), lost, (), (1,))
        assert driven.done(asked) is None
        assert driven.state(1) == (PortState.SERVING, 7)

    def test_a_hop_limit_that_changed_meanwhile_is_set_in_place(self, driven: DrivenBridge):
        driven.register("tap1", 7, hop_limit=1)
        asked = driven.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 7)])
        limited = flows_of(1, 7, hop_limit=1)
        assert asked == Transaction(add=limited[-1:], ofports=(1,))
        assert driven.done(asked) is None
        assert driven.state(1) == (PortState.SERVING, 7)

    def test_a_droplet_with_a_new_mac_starts_anew(self, driven: DrivenBridge):
        driven.register("tap1", 7, OTHER_MAC)
        asked = driven.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 7, MAC)])
        assert asked == Transaction((cookie_of(1, 7),), (), (1,), (1,))

    def test_another_droplet_s_flows_go_with_their_connections_first(self, driven: DrivenBridge):
        asked = driven.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 8)])
        assert asked == Transaction((cookie_of(1, 8),), (), (1,), (1,))
        assert driven.feed.port(1) is None, "nobody may be told before the other is gone"
        assert driven.done(asked) is None
        assert driven.state(1) == (PortState.BINDING, 7)
        assert driven.acknowledged(driven.feed.revision).add == flows_of(1, 7)

    def test_so_do_those_of_both(self, driven: DrivenBridge):
        found = [*SHARED, *flows_of(1, 8), *flows_of(1, 7)[:2]]
        asked = driven.connect(META_PORT, tap(1), installed=found)
        assert set(asked.delete_cookies) == {cookie_of(1, 7), cookie_of(1, 8)}
        assert asked.add == ()
        assert asked.flush_zones == (1,)

    def test_flows_of_a_port_that_is_gone_are_swept(self, driven: DrivenBridge):
        asked = driven.connect(META_PORT, installed=[*SHARED, *flows_of(602, 9)])
        assert asked == Transaction((cookie_of(602, 9),), (), (602,), (602,))
        assert driven.done(asked) is None
        assert driven.feed.port(602) is None
        assert driven.bridge.ofports == []

    def test_flows_of_a_port_that_is_no_droplet_s_now_are_swept(self, driven: DrivenBridge):
        found = [*SHARED, *flows_of(5, 9)]
        asked = driven.connect(META_PORT, tap(5, "uplink"), installed=found)
        assert asked.delete_cookies == (cookie_of(5, 9),)
        driven.settle(asked)
        assert driven.state(5) == (PortState.UNREGISTERED, None)

    def test_flows_at_an_ofport_that_has_no_zone_any_more_are_swept(self):
        small = replace(STANDALONE, addressing=Addressing(IPv4Network("100.127.0.0/29")))
        driven = DrivenBridge(small)
        asked = driven.connect(META_PORT, installed=flows_of(602, 9))
        assert cookie_of(602, 9) in asked.delete_cookies
        assert asked.flush_zones == ()
        driven.settle(asked)
        assert driven.bridge.ofports == []

    def test_flows_of_meta0_s_ofport_are_swept(self, driven: DrivenBridge):
        asked = driven.connect(META_PORT, installed=[*SHARED, *flows_of(META.ofport, 9)])
        assert asked.delete_cookies == (cookie_of(META.ofport, 9),)

    def test_a_waiting_port_s_flows_stay(self, driven: DrivenBridge):
        found = [*SHARED, *waiting_flows(STANDALONE, META, 3)]
        assert driven.connect(META_PORT, tap(3, "tapw3"), installed=found) is None
        assert driven.state(3) == (PortState.UNREGISTERED, None)

    def test_a_waiting_port_whose_droplet_came_meanwhile(self, driven: DrivenBridge):
        driven.register("tapw3", 9)
        found = [*SHARED, *waiting_flows(STANDALONE, META, 3)]
        asked = driven.connect(META_PORT, tap(3, "tapw3"), installed=found)
        assert asked == Transaction((cookie_of(3),), (), (3,), (3,))
        driven.settle(asked)
        assert driven.state(3) == (PortState.SERVING, 9)

    def test_a_droplet_that_was_deleted_meanwhile(self, driven: DrivenBridge):
        driven.claims.clear()
        asked = driven.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 7)])
        assert asked == Transaction((cookie_of(1, 7),), (), (1,), (1,))

    def test_without_meta0_the_found_flows_go(self, driven: DrivenBridge):
        asked = driven.connect(tap(1), installed=[*SHARED, *flows_of(1, 7)])
        assert asked.delete_cookies == (cookie_of(1, 7),)
        assert {image.key for _, image in asked.remove} == {
            flow.key for flow in set(SHARED) - set(shared_flows(STANDALONE, None))
        }
        driven.settle(asked)
        assert driven.view(1).state is PortState.ERROR

    @pytest.mark.parametrize(
        "moved",
        [Addressing(IPv4Network("100.127.128.0/17")), Addressing(IPv4Network("100.127.0.0/17"), 7)],
        ids=["subnet", "zone base"],
    )
    def test_a_droplet_whose_address_or_zone_moved_starts_anew(self, moved: Addressing):
        driven = DrivenBridge(replace(STANDALONE, addressing=moved))
        driven.register("tap1", 7)
        asked = driven.connect(META_PORT, tap(1), installed=flows_of(1, 7))
        assert cookie_of(1, 7) in asked.delete_cookies
        assert asked.flush_zones == (moved.zone(1),)
        assert {flow.cookie for flow in asked.add} == {STANDALONE.cookie.shared}

    def test_a_strange_cookie_of_ours_that_names_no_port_goes(self, driven: DrivenBridge):
        stray = Flow(0, 1, Match(), cookie=STANDALONE.cookie.of_port(0, 77))
        asked = driven.connect(META_PORT, installed=[*SHARED, stray])
        assert stray.cookie in asked.delete_cookies


class TestAfterAReconnection:
    @pytest.fixture
    def served(self, driven: DrivenBridge) -> DrivenBridge:
        """Droplet 7 was served on ofport 1 before the connection broke."""
        driven.connect_ready(tap(1))
        return driven

    def test_what_is_still_right_is_not_touched_and_told_as_it_was(self, served: DrivenBridge):
        told, binding = served.feed.revision, served.view(1).binding
        assert served.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 7)]) is None
        assert served.feed.revision == told
        assert served.view(1).binding == binding

    def test_an_empty_switch_gets_everything_again(self, served: DrivenBridge):
        binding = served.view(1).binding
        asked = served.connect(META_PORT, tap(1))
        assert asked.add == SHARED
        assert asked.flush_zones == (1,)
        assert served.state(1) == (PortState.BINDING, None)
        served.settle(asked)
        assert served.state(1) == (PortState.SERVING, 7)
        assert served.view(1).binding > binding

    def test_ports_at_other_ofports(self, served: DrivenBridge):
        served.register("tap2", 8)
        asked = served.connect(META_PORT, tap(1, "tap2"), tap(2, "tap1"))
        assert served.state(1) == (PortState.BINDING, None), "still told as droplet 7's"
        served.settle(asked)
        assert served.state(1) == (PortState.SERVING, 8)
        assert served.state(2) == (PortState.SERVING, 7)

    def test_a_port_that_went_meanwhile_is_retracted_after_its_flows(self, served: DrivenBridge):
        asked = served.connect(META_PORT, installed=[*SHARED, *flows_of(1, 7)])
        assert asked.delete_cookies == (cookie_of(1, 7),)
        assert served.view(1).droplet_id == 7
        assert served.done(asked) is None
        assert served.feed.port(1) is None

    def test_a_port_that_went_with_its_flows_is_retracted_at_once(self, served: DrivenBridge):
        assert served.connect(META_PORT, installed=SHARED) is None
        assert served.feed.port(1) is None

    def test_work_that_was_lost_is_done_again(self, served: DrivenBridge):
        served.register("tap1", 8)
        assert served.news("tap1") is not None
        asked = served.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 7)])
        assert asked.delete_cookies == (cookie_of(1, 7),)
        served.settle(asked)
        assert served.state(1) == (PortState.SERVING, 8)

    def test_work_whose_answer_was_lost_is_not_done_twice(self, served: DrivenBridge):
        served.register("tap1", 8)
        served.done(served.news("tap1"))
        assert served.acknowledged().add == flows_of(1, 8)
        assert served.connect(META_PORT, tap(1), installed=[*SHARED, *flows_of(1, 8)]) is None
        assert served.state(1) == (PortState.SERVING, 8)


def test_flows_say_which_droplet_a_switch_came_with():
    driven = DrivenBridge()
    port = BoundPort(1, MAC, 7)
    bridge = driven._bridge(droplet_flows(STANDALONE, META, port))
    bridge.learn_ports([META_PORT, tap(1), tap(2)])
    assert bridge.had_flows_of("tap1", 7)
    assert not bridge.had_flows_of("tap1", 8)
    assert not bridge.had_flows_of("tap2", 7)
    assert not bridge.had_flows_of("tap9", 7)
