"""The world: two bridges of one host, metadata servers, a registry, at most one controller.

The steps are methods; `check` has the promises that hold after each of them, `settle` delivers all
that is under way and then has those that hold in the end.
"""

from collections import defaultdict
from functools import cache
from ipaddress import IPv4Network

from ryu_apps.binding.drift import Mend
from ryu_apps.binding.followers import LEASE
from ryu_apps.binding.views import PortState
from ryu_apps.openflow.actions import Output
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark, MetaPort
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.registry.claims import Claim
from tests.world.controller import SimulatedController
from tests.world.server import SimulatedServer, Stream
from tests.world.switch import FOREIGN, ReferenceSwitch

META = "meta0"
META_OFPORT = 9
META_MACS = ("c2:91:25:64:d0:5d", "c2:91:25:64:d0:5e")

# Small subnets with room for ofports 1..13; the lobby is open on the first bridge only.
SETTINGS = {
    1: BridgeSettings(
        addressing=Addressing(IPv4Network("100.127.0.0/28"), 0), droplet_port_names=("tap*",)
    ),
    2: BridgeSettings(addressing=Addressing(IPv4Network("100.127.1.0/28"), 100)),
}


@cache
def _shared_flows(dpid: int, meta: MetaPort | None) -> frozenset[Flow]:
    return frozenset(shared_flows(SETTINGS[dpid], meta))


class World:
    """All of it. Broken promises are AssertionErrors."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.boots = 0
        self.revision = 0
        self.claims: dict[str, Claim] = {}
        self.known_servers: dict[int, set[str]] = defaultdict(set)
        self.switches = {dpid: ReferenceSwitch(dpid, SETTINGS[dpid]) for dpid in SETTINGS}
        self.servers = [
            SimulatedServer("s1", 1),
            SimulatedServer("s1b", 1),
            SimulatedServer("s2", 2),
        ]
        self.controller: SimulatedController | None = None
        # When each switch last had no controller, as it knows; while it has none, always now.
        self.last_alone = dict.fromkeys(SETTINGS, self.now)
        self.late: list[tuple[SimulatedServer, int]] = []
        self.start_controller()

    # -- the controller --------------------------------------------------------------------------

    def start_controller(self) -> None:
        """A new life: the registry and the names of the followers are all it knows."""
        self.boots += 1
        self.controller = SimulatedController(
            self.claims,
            SETTINGS.__getitem__,
            self.boots << 32,
            lambda dpid: sorted(self.known_servers[dpid]),
            lambda dpid, server: self.known_servers[dpid].discard(server),
        )

    def kill_controller(self) -> None:
        """kill -9."""
        self.controller = None
        for switch in self.switches.values():
            switch.disconnect()
        for server in self.servers:
            server.hang_up()
        self.late.clear()

    def connect(self, dpid: int) -> None:
        """The switch finds the controller (again)."""
        if self.controller is not None:
            self.controller.disconnected(dpid)
            self.last_alone[dpid] = self.now
            self.controller.connected(self.switches[dpid], self.now)

    def disconnect(self, dpid: int) -> None:
        """The OpenFlow connection is lost."""
        if self.controller is not None:
            self.controller.disconnected(dpid)

    def cut(self, dpid: int) -> None:
        """The OpenFlow connection dies; the switch has noticed, the controller has not."""
        self.switches[dpid].disconnect()

    def forget_lapsed(self, dpid: int) -> None:
        """The controller begins to forget servers that have been silent for a lease."""
        if self._in_charge(dpid):
            self.controller.ask_for_proof(dpid, self.now)

    def read_ovsdb(self, server: SimulatedServer, age: float) -> None:
        """The server reads whether its bridge has a controller: a word that is `age` old."""
        since = self.now - age
        if not self.switches[server.dpid].connected or self.last_alone[server.dpid] >= since:
            server.quiet(self.now, since)

    def restart_switch(self, dpid: int, ports: dict[int, str]) -> None:
        """Open vSwitch restarts with its ports at other ofports."""
        self.disconnect(dpid)
        switch = self.switches[dpid]
        switch.restart()
        switch.ports.clear()
        for ofport, name in ports.items():
            self.add_port(dpid, ofport, name)

    def take_over(self, dpid: int) -> None:
        """The controller learns what the switch has."""
        if self.controller is not None and self.controller.awaiting(dpid):
            self.controller.take_over(dpid, self.now)

    def carry_out_one(self, dpid: int) -> None:
        """The switch carries out one message."""
        self.switches[dpid].carry_out_one()

    def take_news(self, dpid: int) -> None:
        """The controller takes one piece of news from the switch."""
        if self._in_charge(dpid) and self.switches[dpid].to_controller:
            self.controller.take_news(dpid, self.now)

    def take_registrations(self, dpid: int) -> None:
        """The session of the switch takes one piece of news from the registry."""
        if self._in_charge(dpid) and self.controller.has_registrations(dpid):
            self.controller.take_registrations(dpid, self.now)

    def begin_one(self, dpid: int) -> None:
        """The session of the switch looks at a port that is new to it."""
        if self._in_charge(dpid):
            self.controller.begin_one(dpid, self.now)

    def look_at_leases(self, dpid: int) -> None:
        """The session of the switch sees what is acknowledged and whose lease is over."""
        if self._in_charge(dpid):
            self.controller.look_at_leases(dpid, self.now)

    def meddle(self, dpid: int, ofport: int, kind: str) -> None:
        """Somebody else changes flows of ours; the controller may get to know, or have to look."""
        self.switches[dpid].meddle(ofport, kind)

    def inspect(self, dpid: int, mend: Mend) -> None:
        """The controller begins to look whether its flows are as they should be."""
        if self._in_charge(dpid):
            self.controller.inspect(dpid, mend)

    def _is_whole(self, dpid: int) -> bool:
        """Whether the controller has found out and mended all that others did."""
        return self.controller.mended.get(dpid, 0) >= self.switches[dpid].meddled

    def _in_charge(self, dpid: int) -> bool:
        return self.controller is not None and self.controller.taken_over(dpid)

    # -- ports and registrations -----------------------------------------------------------------

    def add_port(self, dpid: int, ofport: int, name: str, mac: str = META_MACS[0]) -> None:
        """Plug a port in, unless its name or ofport is taken."""
        switch = self.switches[dpid]
        if ofport in switch.ports or name in {port.name for port in switch.ports.values()}:
            return
        switch.add_port(ofport, name, mac)

    def del_port(self, dpid: int, ofport: int) -> None:
        """Pull a port out, if there is one."""
        if ofport in self.switches[dpid].ports:
            self.switches[dpid].del_port(ofport)

    def change_meta(self, dpid: int, mac: str) -> None:
        """meta0 gets another MAC address, if it is there."""
        if META_OFPORT in self.switches[dpid].ports:
            self.switches[dpid].change_port(META_OFPORT, mac)

    def register(self, name: str, droplet_id: int, *, mac: str, dpid: int | None = None) -> None:
        """PUT a droplet with this one port; any other port of it is not its own any more."""
        holder = self.claims.get(name)
        if holder is not None and holder.droplet_id != droplet_id:
            return
        self.revision += 1
        touched = self._forget(droplet_id) | {name}
        self.claims[name] = Claim(droplet_id, name, mac, dpid, self.revision)
        self._registry_changed(touched)

    def unregister(self, droplet_id: int) -> None:
        """DELETE a droplet."""
        self._registry_changed(self._forget(droplet_id))

    def replace(self, old: int, new: int, *, mac: str) -> None:
        """One batch: a droplet goes and another takes its port's name over."""
        names = self._forget(old) | self._forget(new)
        self.revision += 1
        for name in sorted(names)[:1]:
            self.claims[name] = Claim(new, name, mac, None, self.revision)
        self._registry_changed(names)

    def _forget(self, droplet_id: int) -> set[str]:
        names = {name for name, claim in self.claims.items() if claim.droplet_id == droplet_id}
        for name in names:
            del self.claims[name]
        return names

    def _registry_changed(self, names: set[str]) -> None:
        if self.controller is not None and names:
            self.controller.reconsider(sorted(names))

    # -- metadata servers ------------------------------------------------------------------------

    def open_stream(self, server: SimulatedServer) -> None:
        """The server begins to follow; refused where no controller listens, 404 where unknown."""
        server.hang_up()
        if self.controller is None:
            server.refused(self.now)
            return
        switch = self.controller.fleet.switches.get(server.dpid)
        if switch is None:
            return
        self.known_servers[server.dpid].add(server.name)
        switch.followers.follow(server.name, self.now)
        server.stream = Stream(server.dpid, switch.feed, server.since)

    def pull(self, server: SimulatedServer) -> None:
        """The controller's end of the stream gets its turn."""
        if server.stream is not None:
            ids = {claim.droplet_id for claim in self.claims.values()}
            server.stream.pull(ids.__contains__)

    def apply(self, server: SimulatedServer, count: int) -> None:
        """The server takes some lines, unless it waits for the answer to an acknowledgement."""
        if server.stream is not None and server.stream.lines and server.acknowledgement is None:
            server.apply(count, self.now)

    def deliver_acknowledgement(self, server: SimulatedServer) -> None:
        """The server's PUT reaches the controller."""
        put = server.acknowledgement
        if put is not None and put.accepted is None and self.controller is not None:
            put.accepted = self._acknowledge(server, put.revision)

    def answer_acknowledgement(self, server: SimulatedServer) -> None:
        """The controller's answer to the PUT reaches the server."""
        if server.acknowledgement is not None and server.acknowledgement.accepted is not None:
            server.answered(self.now)

    def lose_connection(self, server: SimulatedServer) -> None:
        """The server's connections break; a PUT that was sent may still arrive later."""
        put = server.acknowledgement
        if put is not None and put.accepted is None and self.controller is not None:
            self.late.append((server, put.revision))
        server.hang_up()

    def deliver_late(self) -> None:
        """A PUT nobody waits for any more reaches the controller."""
        if self.late and self.controller is not None:
            server, revision = self.late.pop(0)
            self._acknowledge(server, revision)

    def leave(self, server: SimulatedServer) -> None:
        """The server stops cleanly: it answers nobody, then says so."""
        server.hang_up()
        server.lease = type(server.lease)()
        if self.controller is not None and server.dpid in self.controller.fleet.switches:
            self.known_servers[server.dpid].discard(server.name)
            self.controller.fleet.switches[server.dpid].followers.unfollow(server.name)

    def _acknowledge(self, server: SimulatedServer, revision: int) -> bool:
        followers = self.controller.fleet.switches[server.dpid].followers
        self.known_servers[server.dpid].add(server.name)
        return followers.acknowledge(server.name, revision, self.now)

    # -- what must hold always -------------------------------------------------------------------

    def check(self) -> None:
        """The promises that no delay, loss or order may break."""
        for dpid, switch in self.switches.items():
            self._check_identity(dpid, switch)
            self._check_zones(switch)
            assert switch.flows.get(FOREIGN.key) == FOREIGN, "a flow of somebody else was touched"
            quiet = switch.connected and self._in_charge(dpid)
            if quiet and not self.controller.has_work(dpid) and self._is_whole(dpid):
                self._check_quiet(dpid, switch)

    def _check_identity(self, dpid: int, switch: ReferenceSwitch) -> None:
        """Whom the flows take a port for, no live server takes for somebody else."""
        for flow, ct in switch.translations():
            ofport, droplet_id = CookieMark.owner(flow.cookie)
            for server in self.servers:
                if server.dpid != dpid:
                    continue
                answered = server.answers(ct.nat.src, self.now)
                assert answered in (None, droplet_id), (
                    f"switch {dpid}: ofport {ofport} is open for droplet {droplet_id} while "
                    f"{server.name} answers it with the data of droplet {answered}"
                )

    @staticmethod
    def _check_zones(switch: ReferenceSwitch) -> None:
        """A reply goes to a port only through connections of that port's own binding."""
        for flow in switch.flows.values():
            # One without actions, as others may add, delivers nothing.
            if flow.match.ct_zone is None or flow.match.in_port != META_OFPORT or not flow.actions:
                continue
            made_by = switch.zones.get(flow.match.ct_zone, set())
            assert made_by <= {flow.cookie}, (
                f"{flow} can deliver connections of {[hex(cookie) for cookie in made_by]}"
            )

    def _check_quiet(self, dpid: int, switch: ReferenceSwitch) -> None:
        """With nothing under way the switch has what the ports and claims of now call for."""
        meta = self._meta(switch)
        shared = {flow for flow in switch.ours() if CookieMark.owner(flow.cookie)[0] == 0}
        refused = self.controller.bridges[dpid].shared_failure is not None
        if not refused:
            assert shared == _shared_flows(dpid, meta), "wrong shared flows"
        for flow in switch.ours() - shared:
            ofport, droplet_id = CookieMark.owner(flow.cookie)
            port = switch.ports.get(ofport)
            claim = self.claims.get(port.name) if port is not None else None
            assert port is not None, f"flows on ofport {ofport}, which is gone: {flow}"
            assert port.name != META, f"droplet flows on {META}: {flow}"
            claimed = claim.droplet_id if claim is not None else 0
            assert droplet_id == claimed, f"{port} is droplet {claimed}'s but has {flow}"
            assert not refused, f"shared flows are not there but {flow}"

    @staticmethod
    def _meta(switch: ReferenceSwitch) -> MetaPort | None:
        for port in switch.ports.values():
            if port.name == META:
                return MetaPort(port.ofport, port.mac)
        return None

    # -- what must hold in the end ---------------------------------------------------------------

    def settle(self) -> None:
        """Everything arrives, nothing else happens; then every droplet is served, nobody else."""
        if self.controller is None:
            self.start_controller()
        for dpid, switch in self.switches.items():
            # What a switch refused it is not asked for again before there is news of it.
            refused = switch.refused or switch.has_refused
            if refused or not switch.connected or not self._in_charge(dpid):
                switch.refused, switch.has_refused = set(), False
                self.connect(dpid)
        for _ in range(40):
            if not self._deliver_everything():
                break
            self.check()
        else:
            raise AssertionError("it never comes to rest")
        for dpid in self.switches:
            self._check_served(dpid)

    def _deliver_everything(self) -> bool:
        """One round of deliveries; whether anything is left to do after it."""
        for dpid in self.switches:
            self.catch_up(dpid)
            if not self._is_whole(dpid):
                self.inspect(dpid, Mend.ALL)
        for server in self.servers:
            self.follow(server)
        self.now += LEASE / 4
        return any(
            self.controller.has_work(dpid)
            or self.controller.bridges[dpid].awaits_acknowledgement
            or not self._is_whole(dpid)
            for dpid in self.switches
        ) or any(server.stream is None or not server.following.in_sync for server in self.servers)

    def catch_up(self, dpid: int) -> None:
        """Controller and switch exchange all they have for each other, if they are connected."""
        self.take_over(dpid)
        while self._in_charge(dpid) and self.controller.has_work(dpid):
            self.carry_out_one(dpid)
            self.take_news(dpid)
            self.take_registrations(dpid)
            self.begin_one(dpid)
            self.check()
        self.look_at_leases(dpid)

    def follow(self, server: SimulatedServer) -> None:
        """Controller and server exchange all they have for each other."""
        if server.stream is None:
            self.open_stream(server)
        self.pull(server)
        while server.stream is not None and (server.stream.lines or server.acknowledgement):
            self.apply(server, 1)
            self.deliver_acknowledgement(server)
            self.answer_acknowledgement(server)
            self.check()

    def _check_served(self, dpid: int) -> None:
        """Each port as its claim has it: flows, the feed and every server's view agree."""
        switch, settings = self.switches[dpid], SETTINGS[dpid]
        feed = self.controller.fleet.switches[dpid].feed
        meta = self._meta(switch)
        open_ports = {CookieMark.owner(flow.cookie)[0] for flow, _ in switch.translations()}
        for port in switch.ports.values():
            if port.name == META:
                continue
            claim = self.claims.get(port.name)
            served = claim is not None and meta is not None and self._is_here(claim, dpid)
            view = feed.port(port.ofport)
            assert view is not None and view.name == port.name, f"{port} is not in the feed"
            if served:
                assert view.state is PortState.SERVING, f"{port} is {view}, claimed by {claim}"
                assert port.ofport in open_ports, f"{port} is closed, claimed by {claim}"
            elif claim is not None or meta is None or not settings.droplet_port_names:
                assert port.ofport not in open_ports, f"{port} is open and not claimed here"
            address = settings.addressing.hv_local(port.ofport)
            for server in (server for server in self.servers if server.dpid == dpid):
                answered = server.answers(address, self.now)
                assert answered == (claim.droplet_id if served else None), f"{port}: {answered}"
        wanted = {
            flow for flows in self.controller.bridges[dpid].port_flows() for flow in flows.flows()
        }
        assert switch.ours() == wanted | _shared_flows(dpid, meta), "not the flows it should have"
        known = {view.ofport for view in feed.ports()}
        assert known == {p.ofport for p in switch.ports.values() if p.name != META}, known

    def _is_here(self, claim: Claim, dpid: int) -> bool:
        """Whether the claim is on this switch's port. Among several, the fleet says which."""
        if claim.dpid is not None:
            return claim.dpid == dpid
        holders = [
            other
            for other, switch in self.switches.items()
            if claim.port_name in {port.name for port in switch.ports.values()}
        ]
        if len(holders) == 1:
            return holders == [dpid]
        outputs = {
            other
            for other in holders
            for flow in self.switches[other].ours()
            if CookieMark.owner(flow.cookie)[1] == claim.droplet_id
            and any(isinstance(action, Output) for action in flow.actions)
        }
        assert len(outputs) <= 1, f"{claim} is served on switches {outputs}"
        return dpid in outputs
