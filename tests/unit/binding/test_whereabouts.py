"""Where names are, as one of several leaders knows it, and which switch serves them for that."""

import pytest

from ryu_apps.binding.fleet import Fleet
from ryu_apps.binding.port import Denied, SwitchPort, Tenant
from ryu_apps.binding.whereabouts import Moment, Whereabouts
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.registry.claims import Claim

MAC = "a6:a4:8e:4a:e8:70"


class Bridge:
    """What a fleet asks of a bridge."""

    def __init__(self, *names, with_flows=False):
        self.names, self.with_flows = names, with_flows

    def port_names(self):
        return list(self.names)

    def had_flows_of(self, _name, _droplet_id):
        return self.with_flows


class Leader:
    """A controller; others lead `elsewhere`."""

    def __init__(self):
        self.seconds, self.elsewhere = 100.0, {}
        self.whereabouts = Whereabouts(
            lambda: Moment(self.seconds, self.whereabouts.revision), self.elsewhere.get
        )
        self.claims = {"tap7": Claim(7, "tap7", MAC, None, 1)}
        self.fleet = Fleet(
            self.claims,
            lambda _dpid: BridgeSettings(),
            1,
            lambda _dpid: (),
            whereabouts=self.whereabouts,
        )

    def take_over(self, dpid, *names, **how):
        switch = self.fleet.switch(dpid, 0)
        self.fleet.connected(switch, Bridge(*names, **how))
        for name in names:
            self.fleet.sight(switch, name, live=False)
        return switch

    def come(self, dpid, name="tap7"):
        return self.fleet.sight(self.fleet.switches[dpid], name, live=True)

    def go(self, dpid, name="tap7"):
        return self.fleet.lose_sight(self.fleet.switches[dpid], name)

    def wanted(self, dpid, name="tap7"):
        return self.fleet.assign(self.fleet.switches[dpid], SwitchPort(1, name, MAC))

    def told(self):
        """What is due, as (name, dpid, age_ms), age_ms "gone" where it is; it is done by now."""
        due = self.whereabouts.due(99)
        self.whereabouts.settle(due, self.whereabouts.revision)
        found = [each.placement(self.seconds) for each in due]
        return [(p.name, p.dpid, p.sighting.age_ms if p.sighting else "gone") for p in found]

    def hear(self, revision=1, **places):
        return self.whereabouts.hear(places, revision)


@pytest.fixture
def leader():
    return Leader()


class TestWhoServes:
    def test_a_newer_port_of_another_leader_is_named_with_him(self, leader):
        leader.take_over(1, "tap7")
        leader.told()
        leader.elsewhere[2] = "hv9:123"
        assert leader.hear(tap7=(2, 1)) == {"tap7"}
        assert leader.wanted(1) == Denied(
            "droplet 7: a newer port tap7 is on switch 0000000000000002, which hv9:123 leads",
            elsewhere=True,
        )

    def test_a_switch_that_nobody_leads_has_no_say(self, leader):
        leader.take_over(1, "tap7")
        leader.told()
        leader.hear(tap7=(2, 1))
        assert isinstance(leader.wanted(1), Tenant)
        assert leader.whereabouts.contested_at(2) == {"tap7"}

    def test_what_came_here_counts_before_it_is_written(self, leader):
        leader.take_over(1)
        leader.elsewhere[2] = "hv9:123"
        leader.hear(tap7=(2,))
        leader.come(1)
        assert isinstance(leader.wanted(1), Tenant)
        assert leader.told() == [("tap7", 1, 0)]

    def test_and_no_more_once_the_registry_says_otherwise(self, leader):
        leader.take_over(1)
        leader.elsewhere[2] = "hv9:123"
        leader.come(1)
        leader.told()
        assert leader.hear(revision=5, tap7=(2, 1)) == {"tap7"}
        assert isinstance(leader.wanted(1), Denied)

    def test_a_claim_for_one_switch_decides_whatever_is_newer(self, leader):
        leader.claims["tap7"] = Claim(7, "tap7", MAC, 1, 1)
        leader.take_over(1, "tap7")
        leader.told()
        leader.elsewhere[2] = "hv9:123"
        leader.hear(tap7=(2, 1))
        assert isinstance(leader.wanted(1), Tenant)


class TestWhatIsTold:
    def test_nothing_of_ports_that_are_known_or_that_nobody_claims(self, leader):
        leader.hear(tap7=(1,))
        leader.take_over(1, "tap7", "eth0")
        leader.wanted(1), leader.wanted(1, "eth0")
        assert leader.told() == []

    def test_a_port_that_was_there_is_newer_only_than_where_nobody_leads(self, leader):
        leader.elsewhere[2] = "hv9:123"
        leader.claims |= {f"tap{n}": Claim(n, f"tap{n}", MAC, None, 1) for n in (8, 9)}
        leader.hear(tap7=(2,), tap8=(3,))
        leader.take_over(1, "tap7", "tap8", "tap9")
        assert leader.told() == [("tap7", 1, None), ("tap8", 1, 0), ("tap9", 1, None)]

    def test_one_with_the_droplets_flows_is_new(self, leader):
        leader.elsewhere[2] = "hv9:123"
        leader.hear(tap7=(2,))
        leader.take_over(1, "tap7", with_flows=True)
        assert leader.told() == [("tap7", 1, 0)]

    def test_a_port_that_came_before_its_claim_with_its_age(self, leader):
        claim = leader.claims.pop("tap7")
        leader.take_over(1)
        leader.come(1)
        assert leader.told() == []
        leader.seconds += 3
        leader.claims["tap7"] = claim
        assert isinstance(leader.wanted(1), Tenant)
        assert leader.told() == [("tap7", 1, 3000)]

    def test_what_is_gone_when_a_switch_is_taken_over(self, leader):
        leader.hear(tap7=(1, 2), tap8=(2,))
        leader.take_over(1)
        assert leader.told() == [("tap7", 1, "gone")]

    def test_the_last_word_of_a_port_that_comes_and_goes(self, leader):
        leader.take_over(1)
        leader.come(1)
        leader.go(1)
        leader.come(1)
        leader.go(1)
        assert leader.told() == [("tap7", 1, "gone")]

    def test_nothing_of_a_switch_that_is_not_ours_any_more(self, leader):
        switch = leader.take_over(1)
        leader.come(1)
        leader.fleet.disconnected(switch)
        assert (leader.told(), leader.whereabouts.waiting) == ([], 0)

    def test_the_end_of_its_claim(self, leader):
        leader.hear(tap7=(1,))
        leader.take_over(1, "tap7")
        del leader.claims["tap7"]
        leader.wanted(1)
        assert leader.told() == [("tap7", 1, "gone")]


def test_what_is_done_is_forgotten_once_it_is_heard(leader):
    leader.take_over(1)
    leader.come(1)
    (errand,) = leader.whereabouts.due(9)
    leader.whereabouts.settle([errand], 8)
    assert leader.hear(revision=7) == set()
    assert leader.whereabouts.waiting == 1
    assert leader.hear(revision=8, tap7=(1,)) == set()
    assert leader.whereabouts.waiting == 0
    assert leader.whereabouts.order("tap7") == (1,)


def test_where_a_name_is_that_another_has(leader):
    leader.hear(tap7=(3, 2, 1))
    leader.elsewhere[2] = "hv9:123"
    assert leader.whereabouts.elsewhere("tap7", {1}) == (2, "hv9:123")
    assert leader.whereabouts.elsewhere("tap7", {3}) is None
    assert leader.whereabouts.elsewhere("tap8", {1}) is None
