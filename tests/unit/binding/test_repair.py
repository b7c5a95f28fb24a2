"""What others did to our flows is mended: by the least that makes it right, and safely."""

from dataclasses import replace

import pytest

from ryu_apps.binding.drift import Mend
from ryu_apps.binding.images import Installed
from ryu_apps.binding.transaction import Transaction
from ryu_apps.binding.views import PortState
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.layout import SHARED_OFPORT
from tests.unit.binding.driven_bridge import (
    META_PORT,
    OTHER_MAC,
    DrivenBridge,
    cookie_of,
    flows_of,
    tap,
)
from tests.world.codec import CODEC


@pytest.fixture
def serving() -> DrivenBridge:
    """Droplet 7 is served on ofport 1."""
    driven = DrivenBridge()
    driven.register("tap1", 7)
    driven.connect_ready(tap(1))
    driven.bridge.begin_check()
    return driven


def found(*flows: Flow) -> Installed:
    """What a switch tells."""
    told: dict[int, set[Flow]] = {}
    for flow in flows:
        told.setdefault(flow.cookie, set()).add(CODEC.image(flow))
    return told


def asked(driven: DrivenBridge, ofport: int, *flows: Flow) -> tuple[int, Transaction | None]:
    """How many flows are wrong with `flows` at `ofport`, and what is asked for that."""
    wrong = driven.bridge.check(ofport, found(*flows))
    return wrong.count, driven.bridge.take()


def test_what_is_right_is_left_alone(serving: DrivenBridge):
    assert asked(serving, 1, *flows_of(1, 7)) == (0, None)
    assert asked(serving, SHARED_OFPORT, *serving.shared()) == (0, None)


def test_what_is_gone_comes_back_and_the_port_stays_open(serving: DrivenBridge):
    told, flows = serving.feed.revision, flows_of(1, 7)
    count, mend = asked(serving, 1, *flows[2:])
    assert (count, mend) == (2, Transaction(add=flows[:2], ofports=(1,)))
    assert serving.done(mend) is None
    assert serving.state(1) == (PortState.SERVING, 7)
    assert serving.feed.revision == told, "nobody needs to know"


def test_all_of_it_gone_is_no_reason_to_close(serving: DrivenBridge):
    assert asked(serving, 1) == (8, Transaction(add=flows_of(1, 7), ofports=(1,)))


def test_a_changed_flow_is_replaced(serving: DrivenBridge):
    flows = flows_of(1, 7)
    changed = replace(flows[4], actions=())
    assert asked(serving, 1, *flows[:4], changed, *flows[5:]) == (
        1,
        Transaction(add=flows[4:5], ofports=(1,)),
    )


def test_a_flow_too_many_goes_alone(serving: DrivenBridge):
    extra = replace(flows_of(1, 7)[0], priority=5000)
    count, mend = asked(serving, 1, *flows_of(1, 7), extra)
    assert (count, mend.delete_cookies, tuple(mend.add)) == (1, (), ())
    assert mend.remove == ((cookie_of(1, 7), CODEC.image(extra)),)


def test_flows_of_somebody_else_close_the_port_first(serving: DrivenBridge):
    count, closing = asked(serving, 1, *flows_of(1, 7), *flows_of(1, 8))
    assert count == 8
    assert set(closing.delete_cookies) == {cookie_of(1, 7), cookie_of(1, 8)}
    assert (tuple(closing.add), closing.flush_zones) == ((), (1,))
    serving.settle(closing)
    assert serving.state(1) == (PortState.SERVING, 7)


@pytest.mark.parametrize("port", [None, tap(3, "uplink")], ids=["no port", "no droplet's port"])
def test_flows_where_there_should_be_none_go_with_their_connections(
    serving: DrivenBridge, port: object
):
    if port is not None:
        serving.settle(serving.appeared(port))
        serving.bridge.begin_check()
    count, sweep = asked(serving, 3, *flows_of(3, 9))
    assert (count, sweep) == (8, Transaction((cookie_of(3, 9),), (), (3,), (3,)))
    serving.settle(sweep)
    assert serving.bridge.cookie_at(3) is None


def test_shared_flows_are_mended_one_by_one(serving: DrivenBridge):
    shared = serving.shared()
    stray = replace(shared[0], cookie=cookie_of(0, 5), priority=9)
    count, mend = asked(serving, SHARED_OFPORT, *shared[1:], stray)
    assert count == 2
    assert mend == Transaction((stray.cookie,), shared[:1], (), (SHARED_OFPORT,))
    assert serving.done(mend) is None
    serving.bridge.begin_check()
    assert asked(serving, SHARED_OFPORT, *shared) == (0, None)


def test_a_port_that_moved_since_it_was_asked_about_tells_nothing(serving: DrivenBridge):
    serving.register("tap1", 7, OTHER_MAC, revision=2)
    change = serving.news("tap1")
    assert asked(serving, 1) == (0, None)
    serving.settle(change)
    assert asked(serving, 1) == (0, None), "asked before the change"
    serving.bridge.begin_check()
    assert asked(serving, 1)[0] == 8


def test_a_port_that_was_moving_when_it_was_asked_about_tells_nothing(serving: DrivenBridge):
    serving.register("tap1", 7, OTHER_MAC, revision=2)
    change = serving.news("tap1")
    serving.bridge.begin_check()
    serving.settle(change)
    assert asked(serving, 1) == (0, None)


def test_what_may_not_be_mended_yet_is_only_counted(serving: DrivenBridge):
    for ofport, flows in ((1, flows_of(1, 8)), (1, ()), (3, flows_of(3, 9)), (SHARED_OFPORT, ())):
        assert serving.bridge.check(ofport, found(*flows), Mend.NOTHING)
    assert serving.bridge.take() is None
    assert serving.state(1) == (PortState.SERVING, 7)


class TestWhileOthersAreLeftAlone:
    """In a quarrel nothing of others is taken away, and what they took away comes back."""

    def missing(self, driven: DrivenBridge, ofport: int, *flows: Flow) -> Transaction | None:
        driven.bridge.begin_check()
        assert driven.bridge.check(ofport, found(*flows), Mend.MISSING)
        return driven.bridge.take()

    def test_a_binding_gets_back_what_it_lacks_and_no_more(self, serving: DrivenBridge):
        flows, extra = flows_of(1, 7), replace(flows_of(1, 7)[0], priority=5000)
        assert self.missing(serving, 1, *flows, *flows_of(1, 8)) is None
        assert self.missing(serving, 1, *flows, extra) is None
        mend = self.missing(serving, 1, *flows[1:], extra, *flows_of(1, 8))
        assert mend == Transaction(add=flows[:1], ofports=(1,))
        assert serving.done(mend) is None
        assert serving.state(1) == (PortState.SERVING, 7)

    def test_shared_flows_likewise(self, serving: DrivenBridge):
        shared = serving.shared()
        stray = replace(shared[0], cookie=cookie_of(0, 5), priority=9)
        assert self.missing(serving, SHARED_OFPORT, *shared, stray) is None
        mend = self.missing(serving, SHARED_OFPORT, *shared[1:], stray)
        assert mend == Transaction(add=shared[:1], ofports=(SHARED_OFPORT,))

    @pytest.mark.parametrize("port", [None, tap(3, "uplink")], ids=["no port", "nobody's port"])
    def test_where_nobody_belongs_they_stay(self, serving: DrivenBridge, port: object):
        if port is not None:
            serving.settle(serving.appeared(port))
        assert self.missing(serving, 3, *flows_of(3, 9)) is None

    def test_they_go_before_somebody_comes_there(self, serving: DrivenBridge):
        serving.settle(serving.appeared(tap(3)))
        assert self.missing(serving, 3, *flows_of(3, 9)) is None
        serving.register("tap3", 8)
        closing = serving.news("tap3")
        assert closing == Transaction((cookie_of(3, 9),), (), (3,), (3,))
        serving.settle(closing)
        assert serving.state(3) == (PortState.SERVING, 8)

    def test_they_go_with_whoever_goes(self, serving: DrivenBridge):
        assert self.missing(serving, 1, *flows_of(1, 7), *flows_of(1, 8)) is None
        closing = serving.vanished(1)
        assert set(closing.delete_cookies) == {cookie_of(1, 7), cookie_of(1, 8)}


def test_a_refused_repair_leaves_the_port_as_it_was_and_is_tried_again(serving: DrivenBridge):
    _, mend = asked(serving, 1)
    serving.bridge.failed(mend, {1: "OFPFMFC_TABLE_FULL"})
    assert serving.view(1).reason == "OFPFMFC_TABLE_FULL"
    serving.bridge.begin_check()
    count, again = asked(serving, 1)
    assert count == 8
    serving.settle(again)
    assert serving.state(1) == (PortState.SERVING, 7)


class TestWithoutBundles:
    """A transaction that was refused half way: nobody knows what the switch has of it."""

    def test_a_port_is_closed_as_both_and_not_tried_again_until_there_is_news(
        self, serving: DrivenBridge
    ):
        serving.register("tap1", 7, OTHER_MAC, revision=2)
        serving.bridge.failed(serving.news("tap1"), {1: "OFPFMFC_TABLE_FULL"}, undone=False)
        closing = serving.bridge.take()
        assert closing == Transaction((cookie_of(1, 7),), (), (1,), (1,))
        assert serving.done(closing) is None
        assert serving.view(1).state is PortState.ERROR
        assert serving.view(1).reason == "OFPFMFC_TABLE_FULL"
        assert not serving.bridge.awaits_acknowledgement
        serving.settle(serving.news("tap1"))
        assert serving.state(1) == (PortState.SERVING, 7)

    def test_the_others_of_it_start_anew(self, serving: DrivenBridge):
        serving.register("tap2", 8)
        serving.done(serving.appeared(tap(2)))
        opening = serving.acknowledged()
        serving.bridge.failed(opening, {9: "somebody else's"}, undone=False)
        closing = serving.bridge.take()
        assert closing.delete_cookies == (cookie_of(2, 8),)
        serving.settle(closing)
        assert serving.state(2) == (PortState.SERVING, 8)

    def test_one_that_goes_meanwhile_is_forgotten(self, serving: DrivenBridge):
        serving.register("tap1", 7, OTHER_MAC, revision=2)
        serving.bridge.failed(serving.news("tap1"), {1: "OFPFMFC_TABLE_FULL"}, undone=False)
        closing = serving.bridge.take()
        assert serving.vanished(1) is None
        assert serving.done(closing) is None
        assert serving.feed.port(1) is None


def test_meta0_is_needed_to_know_what_is_shared(serving: DrivenBridge):
    serving.settle(serving.vanished(META_PORT.ofport))
    serving.bridge.begin_check()
    assert asked(serving, SHARED_OFPORT, *serving.shared()) == (0, None)
