"""A port changes hands while servers lag, stall and come back: scenes that once went wrong, or that
are easily got wrong. `World.check` runs after each step; the model in tests/property finds more."""

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from ryu_apps.binding.followers import LEASE
from ryu_apps.binding.views import PortState
from tests.world.server import SimulatedServer
from tests.world.world import META, META_OFPORT, SETTINGS, World

MAC, OTHER_MAC = "a6:a4:8e:4a:e8:71", "a6:a4:8e:4a:e8:72"
ADDRESS: IPv4Address = SETTINGS[1].addressing.hv_local(1)


@pytest.fixture
def world() -> Iterator[World]:
    """Droplet 1 is served on ofport 1 of the first bridge; both of its servers know."""
    world = World()
    for dpid in (1, 2):
        world.add_port(dpid, META_OFPORT, META)
    world.add_port(1, 1, "tap1")
    world.register("tap1", 1, mac=MAC)
    world.settle()
    assert [server.answers(ADDRESS, world.now) for server in world.servers] == [1, 1, None]
    yield world
    world.check()
    world.settle()


def opened_for(world: World, dpid: int = 1) -> set[int]:
    """The droplets for which a switch has a port open."""
    return {flow.cookie & 0xFFFFFFFF for flow, _ in world.switches[dpid].translations()}


def carry_out(world: World, *dpids: int) -> None:
    """Switch and controller do all they can without the servers."""
    for dpid in dpids or (1,):
        for _ in range(3):
            world.catch_up(dpid)


def hear(world: World, *servers: SimulatedServer) -> None:
    """These servers and the controller exchange all they have."""
    for server in servers:
        world.follow(server)
        world.check()


def test_the_next_droplet_waits_for_every_server(world: World):
    prompt, slow, _ = world.servers
    world.replace(1, 2, mac=OTHER_MAC)
    carry_out(world)
    assert opened_for(world) == set()
    hear(world, prompt)
    carry_out(world)
    assert opened_for(world) == set(), "one server still answers for droplet 1"
    hear(world, slow)
    carry_out(world)
    assert opened_for(world) == {2}


def test_a_silent_server_is_waited_for_as_long_as_it_may_answer(world: World):
    prompt, silent, _ = world.servers
    world.replace(1, 2, mac=OTHER_MAC)
    carry_out(world)
    for _ in range(3):
        hear(world, prompt)
        world.now += LEASE / 3
        carry_out(world)
        assert opened_for(world) == set() or not silent.lease.holds(world.now)
    world.now += LEASE / 3
    hear(world, prompt)
    carry_out(world)
    assert opened_for(world) == {2}
    assert silent.answers(ADDRESS, world.now) is None


def test_a_server_that_wakes_with_an_old_line_in_its_socket_gets_no_lease(world: World):
    """It would acknowledge the heartbeat it slept through, and answer from the view of then."""
    sleeper = world.servers[0]
    world.pull(sleeper)
    assert [line["event"] for line in sleeper.stream.lines] == ["heartbeat"]
    world.replace(1, 2, mac=OTHER_MAC)
    carry_out(world)
    world.now += LEASE
    carry_out(world)
    assert opened_for(world) == {2}
    world.apply(sleeper, 1)
    world.deliver_acknowledgement(sleeper)
    world.answer_acknowledgement(sleeper)
    world.check()
    assert sleeper.answers(ADDRESS, world.now) is None
    hear(world, sleeper)
    assert sleeper.answers(ADDRESS, world.now) == 2


def test_half_a_batch_is_no_acknowledgement_of_what_was_left_out_of_it(world: World):
    """A port's entry moves to a newer revision, so an older one may be reached without it."""
    behind = world.servers[0]
    world.replace(1, 2, mac=OTHER_MAC)
    world.add_port(1, 2, "tap2")
    carry_out(world)
    world.now += LEASE
    carry_out(world)
    assert 2 in opened_for(world)
    world.pull(behind)
    while behind.stream.lines:
        world.apply(behind, 1)
        world.deliver_acknowledgement(behind)
        world.answer_acknowledgement(behind)
        world.check()


def test_an_announcement_that_moved_on_is_not_reached_by_the_lines_before_it(world: World):
    behind, prompt, _ = world.servers
    world.replace(1, 2, mac=OTHER_MAC)
    carry_out(world)
    world.add_port(1, 2, "eth0")
    carry_out(world)
    world.register("tap1", 2, mac=OTHER_MAC)
    carry_out(world)
    hear(world, prompt)
    world.pull(behind)
    world.apply(behind, 1)
    world.deliver_acknowledgement(behind)
    carry_out(world)
    assert opened_for(world) == set()
    assert behind.answers(ADDRESS, world.now) == 1


def test_waiting_for_a_switch_revives_no_lease(world: World):
    """A controller that starts anew can vouch for no view before its switch is there."""
    absent = world.servers[0]
    world.lose_connection(absent)
    world.replace(1, 2, mac=OTHER_MAC)
    world.now += LEASE
    carry_out(world)
    assert opened_for(world) == {2}
    world.kill_controller()
    world.start_controller()
    world.connect(1)
    hear(world, absent)
    assert absent.answers(ADDRESS, world.now) is None
    carry_out(world)
    hear(world, absent)
    assert absent.answers(ADDRESS, world.now) == 2


def test_waiting_for_a_switch_keeps_a_lease_that_holds(world: World):
    follower = world.servers[0]
    world.kill_controller()
    world.start_controller()
    world.connect(1)
    for _ in range(5):
        hear(world, follower)
        world.now += LEASE / 3
        assert follower.answers(ADDRESS, world.now) == 1


def test_a_dead_controller_keeps_nobody_from_being_served(world: World):
    world.kill_controller()
    for _ in range(9):
        for server in world.servers:
            world.open_stream(server)
        world.now += LEASE / 3
        assert world.servers[0].answers(ADDRESS, world.now) == 1
    assert opened_for(world) == {1}


def test_a_new_controller_waits_for_the_servers_of_the_old_one(world: World):
    world.kill_controller()
    world.replace(1, 2, mac=OTHER_MAC)
    world.start_controller()
    world.connect(1)
    carry_out(world)
    assert opened_for(world) == set(), "droplet 1's servers were not asked"
    hear(world, *world.servers)
    carry_out(world)
    assert opened_for(world) == {2}


def test_an_ofport_that_is_reused_at_once(world: World):
    world.register("tap2", 2, mac=OTHER_MAC)
    world.del_port(1, 1)
    world.add_port(1, 1, "tap2")
    carry_out(world)
    assert opened_for(world) == set()
    hear(world, *world.servers)
    carry_out(world)
    assert opened_for(world) == {2}
    assert world.switches[1].zones[1] == {
        flow.cookie for flow, _ in world.switches[1].translations()
    }


def test_ports_that_change_places_in_a_restart_of_the_switch(world: World):
    world.register("tap2", 2, mac=OTHER_MAC)
    world.add_port(1, 2, "tap2")
    world.settle()
    world.restart_switch(1, {1: "tap2", 2: "tap1", META_OFPORT: META})
    world.connect(1)
    carry_out(world)
    assert opened_for(world) == set()
    world.settle()
    assert opened_for(world) == {1, 2}


def test_a_connection_that_breaks_between_any_two_steps(world: World):
    for steps in range(12):
        world.replace(1 + steps % 2, 2 - steps % 2, mac=MAC)
        world.take_registrations(1)
        for _ in range(steps):
            world.carry_out_one(1)
            world.take_news(1)
            world.check()
            hear(world, *world.servers)
            world.look_at_leases(1)
        world.connect(1)
        world.settle()
        assert opened_for(world) == {2 - steps % 2}


def test_a_refused_flow_stays_with_the_droplet_it_is_for(world: World):
    world.register("tap2", 2, mac=OTHER_MAC)
    world.switches[1].refused = {2}
    world.add_port(1, 2, "tap2")
    for _ in range(3):
        carry_out(world)
        hear(world, *world.servers)
    feed = world.controller.fleet.switches[1].feed
    assert (feed.port(2).state, feed.port(2).droplet_id) == (PortState.ERROR, None)
    assert feed.port(2).reason == "OFPFMFC_TABLE_FULL"
    assert feed.port(1).state is PortState.SERVING
    assert opened_for(world) == {1}


def test_a_droplet_that_moves_to_another_switch(world: World):
    """Live migration: the port appears there before it goes here."""
    world.add_port(2, 5, "tap1")
    for _ in range(3):
        carry_out(world, 1, 2)
        hear(world, *world.servers)
    assert (opened_for(world, 1), opened_for(world, 2)) == (set(), {1})
    feed = world.controller.fleet.switches[1].feed
    assert "a newer port tap1 is on switch 0000000000000002" in feed.port(1).reason
    alone = feed.port(1).without_others()
    assert (alone.state, alone.reason, alone.droplet_id) == (PortState.UNREGISTERED, None, None)
    world.del_port(1, 1)
    world.settle()
    assert opened_for(world, 2) == {1}


def test_a_migration_that_is_called_off(world: World):
    world.add_port(2, 5, "tap1")
    world.settle()
    world.del_port(2, 5)
    world.settle()
    assert (opened_for(world, 1), opened_for(world, 2)) == ({1}, set())


def test_a_server_that_leaves_cleanly_is_not_waited_for(world: World):
    leaving, staying, _ = world.servers
    world.leave(leaving)
    world.replace(1, 2, mac=OTHER_MAC)
    carry_out(world)
    hear(world, staying)
    carry_out(world)
    assert opened_for(world) == {2}


def test_a_port_without_a_droplet_is_open_for_nobody(world: World):
    world.unregister(1)
    carry_out(world)
    assert opened_for(world) == set(), "the servers still answer for droplet 1"
    hear(world, *world.servers)
    carry_out(world)
    assert opened_for(world) == {0}
    assert world.servers[0].answers(ADDRESS, world.now) is None


def test_a_server_that_counts_on_the_switch_s_absence_is_waited_for_when_it_is_back(world: World):
    """While the bridge has no controller nobody opens anything: the server goes on serving."""
    alone, other, _ = world.servers
    world.leave(other)
    world.lose_connection(alone)
    world.cut(1)
    for _ in range(8):
        world.now += LEASE / 4
        world.read_ovsdb(alone, age=2.0)
        world.look_at_leases(1)
        world.forget_lapsed(1)
        assert alone.answers(ADDRESS, world.now) == 1
    world.replace(1, 2, mac=OTHER_MAC)
    world.connect(1)
    carry_out(world)
    assert opened_for(world) == set(), "the server may still answer for droplet 1"
    world.now += LEASE
    carry_out(world)
    assert opened_for(world) == {2}


def test_a_port_that_was_refused_new_flows_changes_hands_all_the_same(world: World):
    """The next droplet was registered while the switch was about to refuse the last one's MAC."""
    world.switches[1].refused = {1}
    world.register("tap1", 1, mac=OTHER_MAC)
    world.take_registrations(1)
    world.replace(1, 2, mac=MAC)
    carry_out(world)
    assert opened_for(world) == set()
    hear(world, *world.servers)
    assert world.servers[0].answers(ADDRESS, world.now) != 1


def test_a_controller_that_stood_still_waits_anew_before_it_opens_anything(world: World):
    """Open vSwitch has given it up meanwhile, which the server counts on, and it does not know."""
    alone, other, _ = world.servers
    world.leave(other)
    world.replace(1, 2, mac=OTHER_MAC)  # The last thing it heard, and has yet to look at.
    world.now += 8
    world.cut(1)
    for _ in range(12):
        world.now += 5
        world.read_ovsdb(alone, age=2.0)
        assert alone.answers(ADDRESS, world.now) == 1
    world.look_at_leases(1)
    world.catch_up(1)
    world.now += LEASE
    world.catch_up(1)
    assert opened_for(world) == {1}, "whatever it says, nobody hears it"
    world.connect(1)
    carry_out(world)
    assert opened_for(world) == set(), "the server may still answer for droplet 1"
    world.now += LEASE
    carry_out(world)
    assert opened_for(world) == {2}


def test_a_silent_server_is_forgotten_once_the_connection_has_outlived_its_lease(world: World):
    assert world.known_servers[1] == {"s1", "s1b"}
    world.now += LEASE
    world.forget_lapsed(1)
    carry_out(world)
    assert world.known_servers[1] == set()
    world.settle()
    assert world.known_servers[1] == {"s1", "s1b"}
