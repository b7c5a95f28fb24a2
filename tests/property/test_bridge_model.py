"""The core against a world that delays, loses, cuts and reorders: hypothesis looks for the order
of steps in which a droplet could be taken for another. What must hold is in `World.check`.

There are few rules, each with many forms, so that rare steps stay rare beside deliveries.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ryu_apps.binding.drift import Mend
from ryu_apps.binding.followers import LEASE
from tests.property.effort import effort
from tests.world.world import META, META_MACS, META_OFPORT, World

dpids = st.sampled_from((1, 1, 1, 2))
ofports = st.sampled_from((1, 2))
names = st.sampled_from(("tap1", "tap2", "eth0"))
droplets = st.sampled_from((1, 2))
macs = st.sampled_from(("a6:a4:8e:4a:e8:71", "a6:a4:8e:4a:e8:72"))
servers = st.sampled_from((0, 0, 0, 1, 2))


class BridgeModel(RuleBasedStateMachine):
    """Every step that can happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(bare=st.sampled_from((False, False, False, True)), settled=st.booleans())
    def begin(self, bare: bool, settled: bool) -> None:
        """Bridges with a droplet or bare ones, in sync or with everything still to be learnt."""
        if not bare:
            self.world.add_port(1, META_OFPORT, META)
            self.world.add_port(2, META_OFPORT, META)
            self.world.add_port(1, 1, "tap1")
            self.world.register("tap1", 1, mac="a6:a4:8e:4a:e8:71")
        if settled:
            self.world.settle()

    # -- ports and registrations -----------------------------------------------------------------

    @rule(dpid=dpids, ofport=ofports, name=names, pull=st.booleans(), plug=st.booleans())
    def change_port(self, dpid: int, ofport: int, name: str, pull: bool, plug: bool) -> None:
        """A port goes, or comes, or another takes its ofport at once."""
        if pull:
            self.world.del_port(dpid, ofport)
        if plug:
            self.world.add_port(dpid, ofport, name)

    @rule(name=names, droplet=droplets, mac=macs, dpid=st.sampled_from((None,) * 4 + (1, 2)))
    def register(self, name: str, droplet: int, mac: str, dpid: int | None) -> None:
        self.world.register(name, droplet, mac=mac, dpid=dpid)

    @rule(droplet=droplets)
    def unregister(self, droplet: int) -> None:
        self.world.unregister(droplet)

    @rule(mac=macs)
    def hand_over(self, mac: str) -> None:
        """In one batch a droplet goes and the other takes its port over."""
        if self.world.claims:
            old = next(iter(self.world.claims.values())).droplet_id
            self.world.replace(old, 3 - old, mac=mac)

    # -- trouble ---------------------------------------------------------------------------------

    @rule(dpid=dpids, mac=st.sampled_from(META_MACS), gone=st.booleans(), back=st.booleans())
    def change_meta(self, dpid: int, mac: str, gone: bool, back: bool) -> None:
        """meta0 changes in place, or goes, or comes, or goes and is back at once."""
        if gone:
            self.world.del_port(dpid, META_OFPORT)
        if back:
            self.world.add_port(dpid, META_OFPORT, META, mac)
        if not gone and not back:
            self.world.change_meta(dpid, mac)

    @rule(
        dpid=dpids,
        refused=st.sets(st.sampled_from((0, 1, 2)), max_size=1),
        at_commit=st.booleans(),
    )
    def refuse(self, dpid: int, refused: set[int], at_commit: bool) -> None:
        """From now on the switch refuses flows of these ofports."""
        self.world.switches[dpid].refused = refused
        self.world.switches[dpid].has_refused |= bool(refused)
        self.world.switches[dpid].at_commit = at_commit

    @rule(mac=macs, socket=st.sampled_from(("broken", "full", "idle")), name=st.none() | names)
    def hand_over_behind_the_back(self, mac: str, socket: str, name: str | None) -> None:
        """The same while a lease and more goes by without a word from the metadata servers.

        A server's socket may be broken, or hold lines it has not read. Another port may come.
        """
        world, server = self.world, self.world.servers[0]
        if socket == "broken":
            world.lose_connection(server)
        if socket == "full":
            world.pull(server)
        self.hand_over(mac)
        world.catch_up(1)
        if name is not None:
            world.add_port(1, 2, name)
        self.talk_to_switch_at_leisure(1, LEASE + 1)

    @rule(
        dpid=dpids,
        ofport=st.sampled_from((0, 1, 1, 2)),
        kind=st.sampled_from(("delete", "change", "surplus", "stray")),
        mend=st.sampled_from((Mend.ALL, Mend.ALL, Mend.MISSING, Mend.NOTHING)),
    )
    def meddle(self, dpid: int, ofport: int, kind: str, mend: Mend) -> None:
        """Somebody else changes flows of ours, and the controller begins to look."""
        self.world.meddle(dpid, ofport, kind)
        self.world.inspect(dpid, mend)

    @rule(dpid=dpids, ports=st.dictionaries(ofports, names, max_size=2))
    def restart_switch(self, dpid: int, ports: dict[int, str]) -> None:
        """Open vSwitch is back with its ports at other ofports."""
        distinct = {name: ofport for ofport, name in ports.items()}
        renumbered = {ofport: name for name, ofport in distinct.items()}
        self.world.restart_switch(dpid, {**renumbered, META_OFPORT: META})

    @rule(dpid=dpids, noticed=st.booleans())
    def disconnect(self, dpid: int, noticed: bool) -> None:
        """The connection breaks; the controller may not have noticed yet."""
        if noticed:
            self.world.disconnect(dpid)
        else:
            self.world.cut(dpid)

    @rule()
    def kill_controller(self) -> None:
        if self.world.controller is not None:
            self.world.kill_controller()

    @rule(dpid=dpids, restarted=st.booleans())
    def connect(self, dpid: int, restarted: bool) -> None:
        """A switch finds the controller, which may have been killed and started before that."""
        if restarted or self.world.controller is None:
            self.world.kill_controller()
            self.world.start_controller()
        self.world.connect(dpid)

    @rule(seconds=st.sampled_from((0.5, 0.6 * LEASE, LEASE + 1)))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    # -- what networks deliver, and when ---------------------------------------------------------

    @rule(
        dpid=dpids,
        registrations=st.integers(0, 2),
        messages=st.integers(0, 3),
        news=st.integers(0, 3),
        newcomers=st.integers(0, 3),
        leases=st.booleans(),
    )
    def talk_to_switch(
        self,
        dpid: int,
        registrations: int,
        messages: int,
        news: int,
        newcomers: int,
        leases: bool,
    ) -> None:
        """Controller and switch get some of their messages and news."""
        world = self.world
        world.take_over(dpid)
        for deliver, count in (
            (world.take_registrations, registrations),
            (world.carry_out_one, messages),
            (world.take_news, news),
            (world.begin_one, newcomers),
            (world.look_at_leases, leases),
        ):
            for _ in range(count):
                deliver(dpid)
                world.check()

    @rule(dpid=dpids, silence=st.sampled_from((0.0, 0.0, LEASE + 1)))
    def talk_to_switch_at_leisure(self, dpid: int, silence: float) -> None:
        """Controller and switch get all of it, perhaps while no metadata server is heard."""
        for _ in range(3):
            self.world.catch_up(dpid)
            self.world.now += silence

    @rule(
        server=servers,
        pull=st.booleans(),
        lines=st.integers(0, 2),
        delivered=st.booleans(),
        answered=st.booleans(),
    )
    def talk_to_server(
        self, server: int, pull: bool, lines: int, delivered: bool, answered: bool
    ) -> None:
        """Controller and metadata server get some of their messages."""
        world, follower = self.world, self.world.servers[server]
        if follower.stream is None:
            world.open_stream(follower)
        if pull:
            world.pull(follower)
        if lines:
            world.apply(follower, lines)
        if delivered:
            world.deliver_acknowledgement(follower)
            world.check()
        if answered:
            world.answer_acknowledgement(follower)

    @rule(server=servers)
    def talk_to_server_at_leisure(self, server: int) -> None:
        """Controller and metadata server get all of it."""
        self.world.follow(self.world.servers[server])

    @rule(server=servers, kind=st.sampled_from(("lose", "lose", "leave")))
    def lose_server(self, server: int, kind: str) -> None:
        """A metadata server's connections break, or it stops cleanly."""
        if kind == "lose":
            self.world.lose_connection(self.world.servers[server])
        else:
            self.world.leave(self.world.servers[server])

    @rule(server=servers, age=st.sampled_from((0.0, 3.0)))
    def read_ovsdb(self, server: int, age: float) -> None:
        self.world.read_ovsdb(self.world.servers[server], age)

    @rule(dpid=dpids)
    def forget_lapsed(self, dpid: int) -> None:
        self.world.forget_lapsed(dpid)

    @rule()
    def deliver_late(self) -> None:
        self.world.deliver_late()

    @rule()
    def settle(self) -> None:
        """Everything arrives."""
        self.world.settle()

    @invariant()
    def promises_hold(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.settle()


TestBridgeModel = BridgeModel.TestCase
TestBridgeModel.settings = settings(effort(100), stateful_step_count=40)
