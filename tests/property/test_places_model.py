"""Two leaders, three switches, one registry: which switch serves a name that is on several.

The leaders are real (`Fleet` with `Whereabouts`), and so is what they write (`store.etcd.placing`).
Around them all that can happen: ports come and go, news lag, leaders stand still, go on and die,
leases end, the registry has no quorum. However it went, once it is quiet one switch serves each
name, one that has it; and the newest, where somebody saw which that is.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ryu_apps.binding.fleet import Fleet
from ryu_apps.binding.port import SwitchPort, Tenant
from ryu_apps.binding.whereabouts import Moment, Whereabouts
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.registry.claims import Claim
from ryu_apps.store.etcd import placing
from ryu_apps.store.etcd.follow import news_of
from ryu_apps.store.etcd.layout import (
    CLAIMS,
    LEADER,
    PLACE,
    PORT,
    Summary,
    droplet_key,
    encode_values,
    leader,
    places,
    switch_key,
)
from ryu_apps.store.etcd.values import Event, Kv
from ryu_apps.store.interface import Leader
from tests.property.effort import effort

MAC = "02:00:00:00:00:01"
NAMES = {"tap1": 1, "tap2": 2}
SWITCHES = (1, 2, 3)
BASE = 1000


class Etcd:
    """Keys with revisions, and every change of them in order."""

    def __init__(self) -> None:
        self.revision = 0
        self.kvs: dict[str, Kv] = {}
        self.log: list[list[Event]] = []
        self.quorum = True

    def write(self, write) -> int | None:
        if any(self.mod(key) != wanted for key, wanted in write.expected.items()):
            return None
        self.revision += 1
        events = []
        for key, value in write.puts.items():
            created = self.kvs[key].created if key in self.kvs else self.revision
            self.kvs[key] = Kv(key, value, self.revision, created)
            events.append(Event(key, value, self.revision, created))
        for key in write.deletes & self.kvs.keys():
            del self.kvs[key]
            events.append(Event(key, None, self.revision, 0))
        self.log.append(events)
        return self.revision

    def mod(self, key: str) -> int:
        return self.kvs[key].revision if key in self.kvs else 0

    def put(self, key: str, value: bytes) -> None:
        self.write(placing.Write(puts={key: value}))

    def delete(self, key: str) -> None:
        self.write(placing.Write(deletes=frozenset({key})))


class StubBridge:
    """What a fleet asks of a bridge: its ports."""

    def __init__(self, names) -> None:
        self.names = set(names)

    def port_names(self):
        return list(self.names)

    def had_flows_of(self, _name, _droplet_id) -> bool:
        return False


class Controller:
    """One controller: it hears the log as far as it comes, and leads the switches it claimed."""

    def __init__(self, number: int, world: "World") -> None:
        self.number, self.world = number, world
        self.running = True
        self.heard = 0
        self.claims: dict[str, Claim] = {}
        self.leaders: dict[int, int | None] = {}
        self.inboxes: dict[int, list] = {}
        self.whereabouts = Whereabouts(self._now, self._other)
        self.fleet = Fleet(
            self.claims, lambda _dpid: BridgeSettings(), 1, lambda _dpid: (), lambda: True,
            self.whereabouts,
        )  # fmt: skip
        self.hear(len(world.etcd.log))

    def _now(self) -> Moment:
        return Moment(self.world.seconds, self.whereabouts.revision)

    def _other(self, dpid: int) -> str | None:
        number = self.leaders.get(dpid)
        return None if number in (None, self.number) else f"controller {number}"

    def hear(self, count: int) -> None:
        """As many of the writes that it has not heard of yet."""
        for events in self.world.etcd.log[self.heard : self.heard + count]:
            self.heard += 1
            news = news_of(events, BASE)
            for dpid, found in news.leaders.items():
                self.leaders[dpid] = found and found.controller
                if (found is None or found.controller != self.number) and dpid in self.inboxes:
                    self.stand_by(dpid)
            moved = self.whereabouts.hear(news.places, BASE + self.heard)
            touched = moved.union(*map(self.whereabouts.contested_at, news.leaders))
            for droplet_id, claims in news.claims.items():
                for name in [n for n, c in self.claims.items() if c.droplet_id == droplet_id]:
                    del self.claims[name]
                    touched.add(name)
                self.claims.update({claim.port_name: claim for claim in claims})
                touched |= {claim.port_name for claim in claims}
            self.reconsider(touched)

    def lead(self, dpid: int) -> None:
        """It was given the switch: take over what it has."""
        switch = self.fleet.switch(dpid, 0.0)
        self.leaders[dpid] = self.number
        self.inboxes[dpid] = []
        names = {name for name in NAMES if dpid in self.world.ports[name]}
        bridge = StubBridge(names)
        self.fleet.connected(switch, bridge)
        self.world.served[dpid].clear()
        for name in switch.port_names - names:
            self.tell(self.fleet.lose_sight(switch, name), name)
        for name in names:
            self.tell(self.fleet.sight(switch, name, live=False), name)
            self.consider(dpid, name)
        self.reconsider(self.whereabouts.contested_at(dpid))

    def stand_by(self, dpid: int) -> None:
        del self.inboxes[dpid]
        self.fleet.disconnected(self.fleet.switches[dpid])
        self.reconsider(self.fleet.switches[dpid].port_names)

    def work(self) -> None:
        """Take all the news of ports that its switches sent."""
        for dpid, inbox in self.inboxes.items():
            switch = self.fleet.switches[dpid]
            while inbox:
                name, came = inbox.pop(0)
                if came:
                    switch.bridge.names.add(name)
                    self.tell(self.fleet.sight(switch, name, live=True), name)
                else:
                    switch.bridge.names.discard(name)
                    self.tell(self.fleet.lose_sight(switch, name), name)
                self.consider(dpid, name)

    def tell(self, dpids, name: str) -> None:
        for dpid in dpids:
            self.consider(dpid, name)

    def reconsider(self, names) -> None:
        for dpid, here in self.fleet.switches_with(names).items():
            for name in here:
                self.consider(dpid, name)

    def consider(self, dpid: int, name: str) -> None:
        """Serve the port or not; a switch of which another is master takes no orders."""
        switch = self.fleet.switches[dpid]
        if switch.bridge is None:
            return
        there = name in switch.bridge.names
        wanted = self.fleet.assign(switch, SwitchPort(1, name, MAC)) if there else None
        if self.world.masters.get(dpid) is not self:
            return
        if isinstance(wanted, Tenant):
            self.world.served[dpid][name] = wanted.claim.droplet_id
        else:
            self.world.served[dpid].pop(name, None)

    def write(self) -> bool:
        """Tell the registry of what is due."""
        errands = self.whereabouts.due(40)
        if not errands or not self.world.etcd.quorum:
            return False
        placements = [errand.placement(self.world.seconds) for errand in errands]
        etcd = self.world.etcd
        wanted = placing.keys(placements)
        kvs = {key: etcd.kvs[key] for key in wanted if key in etcd.kvs}
        generation = BASE + etcd.revision
        write = placing.work_out(placements, kvs, self.number, generation)
        for key in {*write.puts, *write.deletes}:
            before = {p.dpid for p in places(etcd.kvs[key].value if key in etcd.kvs else None)}
            after = {p.dpid for p in places(write.puts.get(key))}
            for dpid in before ^ after:
                found = etcd.kvs[switch_key(LEADER, dpid)]
                assert leader(found.value).controller == self.number, "it leads what it writes of"
        revision = etcd.revision if not write.expected else etcd.write(write)
        self.whereabouts.settle(errands, BASE + revision)
        return True


class World(RuleBasedStateMachine):
    """What happens, and what must hold when it is quiet again."""

    def __init__(self) -> None:
        super().__init__()
        self.etcd = Etcd()
        self.seconds = 0.0
        self.terms = 0
        self.numbers = 0
        self.ports: dict[str, set[int]] = {name: set() for name in NAMES}
        self.served: dict[int, dict[str, int]] = {dpid: {} for dpid in SWITCHES}
        self.masters: dict[int, Controller] = {}
        # Where a name came last, as far as somebody saw it and told.
        self.newest: dict[str, int | None] = dict.fromkeys(NAMES)
        for name in NAMES:
            self.register(name)
        self.controllers = [self._controller(), self._controller()]
        for number, dpid in enumerate(SWITCHES):
            self._claim(self.controllers[number % 2], dpid)
        self._hear_all()

    def _controller(self) -> Controller:
        self.numbers += 1
        return Controller(self.numbers, self)

    name = st.sampled_from(sorted(NAMES))
    dpid = st.sampled_from(SWITCHES)
    which = st.integers(0, 1)

    # -- ports --------------------------------------------------------------------------------

    @rule(name=name, dpid=dpid)
    def plug(self, name: str, dpid: int) -> None:
        if dpid not in self.ports[name]:
            self.ports[name].add(dpid)
            self.newest[name] = None
            self._port_news(dpid, name, True)

    @rule(name=name, dpid=dpid)
    def plug_and_tell(self, name: str, dpid: int) -> None:
        """As it nearly always is: everybody is there and hears of it."""
        chief = self.masters.get(dpid)
        if chief and chief.running:
            chief.work()
        self.plug(name, dpid)
        claimed = droplet_key(CLAIMS, NAMES[name]) in self.etcd.kvs
        if not (chief and chief.running and self._leader(dpid) == chief.number and claimed):
            return
        if not self.etcd.quorum:
            return
        was_new = (name, True) in chief.inboxes.get(dpid, ())
        self._hear_all()
        chief.work()
        while chief.write():
            pass
        if was_new:
            unseen = [box for each in self.controllers for box in each.inboxes.values() if box]
            self.newest[name] = None if unseen else dpid
            assert places(self.etcd.kvs[PLACE + name].value)[0].dpid == dpid
            assert self.served[dpid].get(name) == NAMES[name]

    @rule(name=name, dpid=dpid)
    def unplug(self, name: str, dpid: int) -> None:
        if dpid in self.ports[name]:
            self.ports[name].discard(dpid)
            self.served[dpid].pop(name, None)
            if self.newest[name] == dpid:
                self.newest[name] = None
            self._port_news(dpid, name, False)

    def _port_news(self, dpid: int, name: str, came: bool) -> None:
        self._tick()
        for each in self.controllers:
            if dpid in each.inboxes:
                each.inboxes[dpid].append((name, came))

    # -- the registry -------------------------------------------------------------------------

    @rule(name=name)
    def register(self, name: str) -> None:
        self.newest[name] = None
        self._tick()
        summary = Summary(((name, MAC, None),), None, "", (), "")
        key = droplet_key(CLAIMS, NAMES[name])
        self.etcd.write(
            placing.Write(puts={key: summary.encode(), PORT + name: b"%d" % NAMES[name]})
        )

    @rule(name=name)
    def delete(self, name: str) -> None:
        self.newest[name] = None
        self._tick()
        gone = frozenset({droplet_key(CLAIMS, NAMES[name]), PORT + name})
        self.etcd.write(placing.Write(deletes=gone))

    @rule(there=st.booleans())
    def quorum(self, there: bool) -> None:
        self.etcd.quorum = there

    # -- controllers --------------------------------------------------------------------------

    @rule(which=which)
    def work(self, which: int) -> None:
        if self.controllers[which].running:
            self._tick()
            self.controllers[which].work()

    @rule(which=which, count=st.integers(1, 4))
    def hear(self, which: int, count: int) -> None:
        if self.controllers[which].running:
            self._tick()
            self.controllers[which].hear(count)

    @rule(which=which)
    def write(self, which: int) -> None:
        if self.controllers[which].running:
            self._tick()
            self.controllers[which].write()

    @rule(which=which)
    def stand_still(self, which: int) -> None:
        self.controllers[which].running = False

    @rule(which=which)
    def go_on(self, which: int) -> None:
        self.controllers[which].running = True

    @rule(which=which)
    def kill(self, which: int) -> None:
        for dpid in [d for d, each in self.masters.items() if each is self.controllers[which]]:
            del self.masters[dpid]
        self.controllers[which] = self._controller()

    @precondition(lambda self: self.etcd.quorum)
    @rule(dpid=dpid)
    def lease_ends(self, dpid: int) -> None:
        """Of a leader that stands still, or is dead."""
        alive = {each.number for each in self.controllers if each.running}
        if self._leader(dpid) not in alive | {None}:
            self.etcd.delete(switch_key(LEADER, dpid))

    @rule(which=which, dpid=dpid)
    def claim(self, which: int, dpid: int) -> None:
        if self.controllers[which].running and self.etcd.quorum:
            self._claim(self.controllers[which], dpid)

    def _claim(self, controller: Controller, dpid: int) -> None:
        if self._leader(dpid) is not None or controller.leaders.get(dpid) is not None:
            return  # As far as it knows.
        self._tick()
        self.terms += 1
        key = switch_key(LEADER, dpid)
        self.etcd.put(key, encode_values(Leader(controller.number, self.terms)))
        self.masters[dpid] = controller
        for name, found in self.ports.items():
            told = (
                places(self.etcd.kvs[PLACE + name].value) if PLACE + name in self.etcd.kvs else ()
            )
            if dpid in found and dpid not in {place.dpid for place in told}:
                self.newest[name] = None  # Nobody saw it come.
        controller.lead(dpid)

    def _leader(self, dpid: int) -> int | None:
        found = self.etcd.kvs.get(switch_key(LEADER, dpid))
        return leader(found.value).controller if found else None

    def _tick(self) -> None:
        self.seconds += 1.0

    def _hear_all(self) -> None:
        for each in self.controllers:
            if each.running:
                each.hear(len(self.etcd.log))

    # -- what must hold -----------------------------------------------------------------------

    def teardown(self) -> None:
        self.quiet()

    @rule()
    def quiet(self) -> None:
        """All are there again; nothing is under way any more."""
        self.etcd.quorum = True
        for each in self.controllers:
            each.running = True
        for _ in range(20):
            for dpid in SWITCHES:
                self.lease_ends(dpid)
                self._claim(self.controllers[dpid % 2], dpid)
            self._hear_all()
            for each in self.controllers:
                each.work()
                each.write()
            # A sign of life: whatever is settled is heard.
            self.etcd.put("follow/controller/1", b'{"name": ""}')
        self._hear_all()
        assert not any(each.whereabouts.waiting for each in self.controllers)
        for name, droplet_id in NAMES.items():
            self._judge(name, droplet_id)

    def _judge(self, name: str, droplet_id: int) -> None:
        serving = {dpid: served[name] for dpid, served in self.served.items() if name in served}
        found = self.etcd.kvs.get(PLACE + name)
        told = [place.dpid for place in places(found.value)] if found else []
        registered = droplet_key(CLAIMS, droplet_id) in self.etcd.kvs
        assert sorted(told) == (sorted(self.ports[name]) if registered else [])
        assert serving == ({told[0]: droplet_id} if told else {})
        if told and self.newest[name] is not None:
            assert told[0] == self.newest[name]
        for each in self.controllers:
            assert each.whereabouts.order(name) == tuple(told)


TestPlacesModel = World.TestCase
TestPlacesModel.settings = settings(effort(200), stateful_step_count=40)
