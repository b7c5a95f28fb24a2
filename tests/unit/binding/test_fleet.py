"""Several switches: whose port a claim means, and which switches cannot stand side by side."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from ryu_apps.binding import fleet
from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.fleet import Fleet, Switch
from ryu_apps.binding.followers import TooMany
from ryu_apps.binding.port import Denied, Lobby, Nobody, SwitchPort, Tenant
from ryu_apps.binding.views import PortState, PortView, SwitchState
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import Match
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort
from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.registry.claims import Claim
from tests.world.codec import CODEC

MAC = "a6:a4:8e:4a:e8:70"
NOW = 1000.0

SETTINGS = {
    1: BridgeSettings(addressing=Addressing(IPv4Network("100.127.0.0/24"), 0)),
    2: BridgeSettings(addressing=Addressing(IPv4Network("100.127.1.0/24"), 1000)),
    3: BridgeSettings(addressing=Addressing(IPv4Network("100.127.0.0/16"), 40000)),
    4: BridgeSettings(addressing=Addressing(IPv4Network("100.64.0.0/24"), 100)),
}


class World:
    """A fleet with its claims; switches of one host unless told otherwise."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self.current = True
        self.fleet = Fleet(
            self.claims,
            SETTINGS.__getitem__,
            1 << 32,
            lambda dpid: [f"s{dpid}"],
            lambda: self.current,
        )

    def claim(self, name: str, droplet_id: int = 7, dpid: int | None = None) -> None:
        self.claims[name] = Claim(droplet_id, name, MAC, dpid, 1)

    def connect(
        self,
        dpid: int,
        *names: str,
        cookies: tuple[int, ...] = (),
        flows: tuple[PortFlows, ...] = (),
    ) -> Switch:
        """A switch connects with these ports, a flow of each of these cookies, and these flows."""
        switch = self.fleet.switch(dpid, NOW)
        installed = {cookie: {Flow(0, 1, Match(), cookie=cookie)} for cookie in cookies}
        installed |= {each.cookie: set(CODEC.port_images(each)) for each in flows}
        bridge = Bridge(switch.settings, switch.feed, self.assigner(switch), installed, CODEC)
        ports = [SwitchPort(number, name, MAC) for number, name in enumerate(names, 1)]
        bridge.learn_ports(ports)
        self.fleet.connected(switch, bridge)
        for name in names:
            self.fleet.sight(switch, name, live=False)
        return switch

    def assigner(self, switch: Switch):
        return lambda port: self.fleet.assign(switch, port)

    def wanted(self, switch: Switch, name: str):
        return self.fleet.assign(switch, SwitchPort(1, name, MAC))


@pytest.fixture
def world() -> World:
    return World()


class TestWhoBelongsOnAPort:
    def test_the_droplet_that_claims_it(self, world: World):
        world.claim("tap1")
        switch = world.connect(1, "tap1")
        assert world.wanted(switch, "tap1") == Tenant(world.claims["tap1"])

    def test_nobody_without_a_claim(self, world: World):
        switch = world.connect(1, "eth0")
        assert world.wanted(switch, "eth0") == Nobody()

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [("tap1", Lobby()), ("vnet7", Lobby()), ("TAP1", Nobody()), ("xtap1", Nobody())],
    )
    def test_a_waiting_droplet_by_the_port_s_name(self, world: World, name: str, wanted: object):
        switch = world.connect(1, name)
        switch.settings = replace(switch.settings, droplet_port_names=("tap*", "vnet?"))
        assert world.wanted(switch, name) == wanted

    def test_a_claim_on_another_switch_only_is_denied_with_the_reason(self, world: World):
        world.claim("tap1", dpid=2)
        switch = world.connect(1, "tap1")
        denied = world.wanted(switch, "tap1")
        reason = "droplet 7 claims tap1 on switch 0000000000000002 only"
        assert denied == Denied(reason, elsewhere=True)


class TestAPortOfTheSameNameOnTwoSwitches:
    def test_the_one_that_appears_later_wins(self, world: World):
        world.claim("tap1")
        old, new = world.connect(1, "tap1"), world.connect(2)
        assert world.fleet.sight(new, "tap1", live=True) == [1]
        assert world.wanted(new, "tap1") == Tenant(world.claims["tap1"])
        denied = world.wanted(old, "tap1")
        reason = "droplet 7: a newer port tap1 is on switch 0000000000000002"
        assert denied == Denied(reason, elsewhere=True)

    def test_when_it_goes_the_older_one_is_back(self, world: World):
        world.claim("tap1")
        old, new = world.connect(1, "tap1"), world.connect(2)
        world.fleet.sight(new, "tap1", live=True)
        assert world.fleet.lose_sight(new, "tap1") == [1]
        assert world.wanted(old, "tap1") == Tenant(world.claims["tap1"])

    def test_a_disconnected_switch_has_no_say(self, world: World):
        world.claim("tap1")
        old, new = world.connect(1, "tap1"), world.connect(2)
        world.fleet.sight(new, "tap1", live=True)
        world.fleet.disconnected(new)
        assert world.wanted(old, "tap1") == Tenant(world.claims["tap1"])
        assert new.port_names == {"tap1"}

    def test_a_reconnecting_switch_keeps_its_place(self, world: World):
        world.claim("tap1")
        old, new = world.connect(1, "tap1"), world.connect(2)
        world.fleet.sight(new, "tap1", live=True)
        world.fleet.disconnected(old)
        old = world.connect(1, "tap1")
        assert isinstance(world.wanted(old, "tap1"), Denied)
        assert world.wanted(new, "tap1") == Tenant(world.claims["tap1"])

    def test_at_first_sight_the_one_that_serves_the_droplet_has_it(self, world: World):
        """A controller starts anew: who connects first means nothing, flows of the droplet do."""
        world.claim("tap1")
        cookie = SETTINGS[2].cookie.of_port(1, 7)
        first, serving = world.connect(1, "tap1"), world.connect(2, "tap1", cookies=(cookie,))
        assert isinstance(world.wanted(first, "tap1"), Denied)
        assert world.wanted(serving, "tap1") == Tenant(world.claims["tap1"])

    def test_flows_of_another_droplet_prove_nothing(self, world: World):
        world.claim("tap1")
        cookie = SETTINGS[2].cookie.of_port(1, 8)
        first, other = world.connect(1, "tap1"), world.connect(2, "tap1", cookies=(cookie,))
        assert world.wanted(first, "tap1") == Tenant(world.claims["tap1"])
        assert isinstance(world.wanted(other, "tap1"), Denied)

    def test_a_claim_for_one_switch_decides_whatever_is_newer(self, world: World):
        world.claim("tap1", dpid=1)
        old, new = world.connect(1, "tap1"), world.connect(2)
        world.fleet.sight(new, "tap1", live=True)
        assert world.wanted(old, "tap1") == Tenant(world.claims["tap1"])
        assert isinstance(world.wanted(new, "tap1"), Denied)

    def test_names_are_looked_up_where_they_are(self, world: World):
        world.connect(1, "tap1", "tap2")
        world.connect(2, "tap2")
        found = world.fleet.switches_with(["tap1", "tap2", "tap3"])
        assert found == {1: ["tap1", "tap2"], 2: ["tap2"]}


class TestClashes:
    def of_one_host(self, world: World, *dpids: int) -> list[Switch]:
        switches = [world.connect(dpid) for dpid in dpids]
        for switch in switches:
            switch.host = "10.0.0.1"
        return switches

    def test_bridges_with_room_for_each_other_do_not_clash(self, world: World):
        one, other = self.of_one_host(world, 1, 2)
        assert world.fleet.clash(one) is None
        assert world.fleet.clash(other) is None

    def test_a_clash_says_what_where_and_what_to_do(self, world: World):
        _, clashing = self.of_one_host(world, 1, 3)
        assert world.fleet.clash(clashing) == (
            "hv_local_subnet 100.127.0.0/16 overlaps 100.127.0.0/24 of switch 0000000000000001, "
            "which also connects from 10.0.0.1: give each its own hv_local_subnet and zone_base "
            "in [bridge:0000000000000003]"
        )

    def test_zones_clash_too(self, world: World):
        _, clashing = self.of_one_host(world, 1, 4)
        assert "ct zones 101..354 overlap 1..254" in world.fleet.clash(clashing)

    def test_hosts_share_nothing(self, world: World):
        one, other = self.of_one_host(world, 1, 3)
        other.host = "10.0.0.2"
        assert world.fleet.clash(one) is world.fleet.clash(other) is None

    def test_a_switch_that_is_still_being_taken_over_counts(self, world: World):
        one, other = (world.fleet.switch(dpid, NOW) for dpid in (1, 3))
        one.host = other.host = "10.0.0.1"
        one.state = SwitchState.SYNCING
        assert world.fleet.clash(other) is not None

    @pytest.mark.parametrize("state", [SwitchState.DISCONNECTED, SwitchState.REFUSED])
    def test_one_that_is_not_served_does_not(self, world: World, state: SwitchState):
        one, other = self.of_one_host(world, 1, 3)
        one.state = state
        assert world.fleet.clash(other) is None


class TestWhatReadersSee:
    def test_a_switch_is_known_from_its_first_connection_on(self, world: World):
        switch = world.connect(1, "tap1")
        assert world.fleet.switch(1, NOW) is switch
        assert switch.feed.revision == 1 << 32
        assert switch.followers.acknowledged(NOW) == 0, "s1 is known from before"

    def test_the_view_counts_ports_and_flows(self, world: World):
        switch = world.connect(1, "tap1")
        switch.feed.publish(PortView(1, "tap1", "100.127.0.1", 7, PortState.SERVING))
        switch.feed.publish(PortView(2, "eth0", "100.127.0.2"))
        view = switch.view()
        assert (view.dpid, view.connected, view.state) == (1, True, SwitchState.SYNCING)
        assert (view.ports, view.serving, view.flows) == (2, 1, 0)
        assert view.hv_local_subnet == "100.127.0.0/24"

    def test_a_disconnected_switch_keeps_its_ports(self, world: World):
        switch = world.connect(1, "tap1")
        switch.feed.publish(PortView(1, "tap1", "100.127.0.1"))
        world.fleet.disconnected(switch)
        view = switch.view()
        assert (view.connected, view.state, view.ports) == (False, SwitchState.DISCONNECTED, 1)


def test_the_number_of_switches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "MAX_SWITCHES", 2)
    world = World()
    world.connect(1)
    world.connect(2)
    with pytest.raises(TooMany, match="2 switches are known"):
        world.connect(3)
    assert world.fleet.switch(1, NOW) is world.fleet.switches[1]


def bound(ofport: int, droplet_id: int) -> PortFlows:
    """The right flows of a droplet on switch 1, whose meta0 is port 3."""
    return PortFlows(SETTINGS[1], MetaPort(3, MAC), ofport, droplet_id, MAC)


def test_while_the_registry_is_not_heard_of_nobody_comes_and_nobody_goes(world):
    world.claim("tap1", 7)
    world.claim("tap2", 8)
    switch = world.connect(1, "tap1", "tap2", "meta0", flows=(bound(1, 7),))
    world.current = False
    switch.bridge.adopt(1)
    switch.bridge.adopt(2)
    assert isinstance(world.fleet.assign(switch, SwitchPort(1, "tap1", MAC)), Tenant)
    denied = world.fleet.assign(switch, SwitchPort(2, "tap2", MAC))
    assert isinstance(denied, Denied)
    assert denied.reason.startswith("droplet 8: nothing was heard of the registry")
    assert world.fleet.held_back() == {"tap2"}
    assert world.fleet.held_back() == frozenset()
    world.current = True
    assert isinstance(world.fleet.assign(switch, SwitchPort(2, "tap2", MAC)), Tenant)


def test_a_port_that_came_anew_is_no_old_binding_when_the_registry_is_not_heard_of(world):
    world.claim("tap1", 7)
    switch = world.connect(1, "tap1", "tap2", "meta0", flows=(bound(1, 7),))
    switch.bridge.adopt(1)
    world.current = False
    assert isinstance(world.fleet.assign(switch, SwitchPort(1, "tap1", MAC)), Tenant)
    switch.bridge.port_removed(1)
    assert isinstance(world.fleet.assign(switch, SwitchPort(1, "tap1", MAC)), Denied)
