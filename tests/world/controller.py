"""One life of the controller without Ryu: the core, led by the same steps as `southbound.session`.

Each session has one inbox and takes one piece of news at a time, as the real one; the messages on
the wire are those of `ReferenceSwitch`.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.drift import Mend
from ryu_apps.binding.fleet import Claims, Fleet
from ryu_apps.binding.transaction import Transaction
from ryu_apps.pipeline.layout import SHARED_OFPORT, BridgeSettings, CookieMark
from tests.world.codec import CODEC
from tests.world.switch import (
    Appeared,
    Changed,
    Commit,
    Discard,
    Fence,
    Fenced,
    Flush,
    Proof,
    ReferenceSwitch,
    Refused,
    Stage,
    Tell,
    Told,
    Vanished,
)


@dataclass(frozen=True)
class Reconsider:
    """The claims on these names may have changed."""

    names: tuple[str, ...]


class _Step(Enum):
    STAGED = auto()
    COMMITTED = auto()
    FLUSHED = auto()


@dataclass
class _Work:
    """A transaction under way."""

    transaction: Transaction
    step: _Step = _Step.FLUSHED
    refusals: dict[int, str] = field(default_factory=dict)
    done: bool = False


class SimulatedController:
    """The fleet and its sessions."""

    def __init__(
        self,
        claims: Claims,
        settings_of: Callable[[int], BridgeSettings],
        first_revision: int,
        servers_of: Callable[[int], Iterable[str]],
        forget: Callable[[int, str], None],
    ) -> None:
        self._forget = forget
        self.fleet = Fleet(claims, settings_of, first_revision, servers_of)
        self.bridges: dict[int, Bridge] = {}
        self._wires: dict[int, ReferenceSwitch] = {}
        self._inboxes: dict[int, deque[Reconsider]] = {}
        self._transactions: dict[int, _Work] = {}
        # What mends an inherited switch, and the ports to be looked at after it; None: that is all.
        self._mending: dict[int, _Work] = {}
        self._newcomers: dict[int, deque[int | None]] = {}
        self._looking: dict[int, Mend] = {}
        # How much of what others did has been found out and mended, by switch.
        self.mended: dict[int, int] = {}
        self._number = 0

    # -- connections -----------------------------------------------------------------------------

    def connected(self, wire: ReferenceSwitch, now: float) -> None:
        """The handshake is done; the switch has yet to be asked what it has."""
        switch = self.fleet.switch(wire.dpid, now)
        switch.host = "hypervisor"
        self.fleet.expect_servers(switch, now)
        wire.connect()
        self._wires[wire.dpid] = wire
        self._inboxes[wire.dpid] = deque()

    def disconnected(self, dpid: int) -> None:
        """The connection is lost."""
        if dpid not in self._wires:
            return
        self._wires.pop(dpid).disconnect()
        del self._inboxes[dpid]
        self._looking.pop(dpid, None)
        self.bridges.pop(dpid, None)
        switch = self.fleet.switches[dpid]
        self.fleet.disconnected(switch)
        self.reconsider(switch.port_names)

    def take_over(self, dpid: int, now: float) -> None:
        """The switch has told its flows and ports; news from before that is void."""
        wire, switch = self._wires[dpid], self.fleet.switches[dpid]
        wire.to_controller.clear()
        self._inboxes[dpid].clear()
        installed: dict[int, set[object]] = {}
        for flow in wire.ours():
            installed.setdefault(flow.cookie, set()).add(CODEC.image(flow))
        bridge = Bridge(
            switch.settings,
            switch.feed,
            lambda port: self.fleet.assign(switch, port),
            installed,
            CODEC,
        )
        bridge.learn_ports(wire.ports.values())
        self.fleet.connected(switch, bridge)
        self.bridges[dpid] = bridge
        self._sight_all(dpid)
        bridge.adopt_shared()
        for ofport in bridge.inherited:
            bridge.adopt(ofport)
        self._newcomers[dpid] = deque((*bridge.newcomers, None))
        number = self._number
        self._flush_out(dpid, now)
        self._mending[dpid] = self._transactions.get(number + 1, _Work(Transaction(), done=True))

    def begin_one(self, dpid: int, now: float) -> None:
        """The session looks at the next port that is new to the switch, if it may yet."""
        if not self._newcomers[dpid] or not self._mending[dpid].done:
            return
        ofport = self._newcomers[dpid].popleft()
        if ofport is None:
            self._switch(dpid).feed.mark_in_sync()
        else:
            self.bridges[dpid].begin(ofport)
        self._flush_out(dpid, now)

    def taken_over(self, dpid: int) -> bool:
        """Whether the switch is connected and its bridge in charge."""
        return dpid in self.bridges

    def awaiting(self, dpid: int) -> bool:
        """Whether a switch is connected and still to be taken over."""
        return dpid in self._wires and dpid not in self.bridges

    def has_work(self, dpid: int) -> bool:
        """Whether anything is on its way between this session and its switch or the registry."""
        wire = self._wires[dpid]
        newcomers = self._newcomers[dpid] and self._mending[dpid].done
        return bool(wire.busy or wire.to_controller or self._inboxes[dpid] or newcomers)

    # -- news ------------------------------------------------------------------------------------

    def reconsider(self, names: Iterable[str]) -> None:
        """The registry changed the claims on these names."""
        for dpid, here in self.fleet.switches_with(names).items():
            self._tell([dpid], *here)

    def take_news(self, dpid: int, now: float) -> None:
        """The session takes one piece of news from the switch."""
        wire, bridge = self._wires[dpid], self.bridges[dpid]
        match wire.to_controller.popleft():
            case Appeared(port):
                self._tell(self.fleet.sight(self._switch(dpid), port.name, live=True), port.name)
                bridge.port_changed(port)
            case Changed(port):
                bridge.port_changed(port)
            case Vanished(port):
                bridge.port_removed(port.ofport)
                self._tell(self.fleet.lose_sight(self._switch(dpid), port.name), port.name)
            case Refused(number, ofport):
                self._transactions[number].refusals[ofport] = "OFPFMFC_TABLE_FULL"
            case Fenced(number):
                self._go_on(dpid, number)
            case Told() as told:
                self._compare(dpid, told)
            case Proof(asked_at):
                for server in self._switch(dpid).followers.forget(asked_at):
                    self._forget(dpid, server)
        self._flush_out(dpid, now)

    def take_registrations(self, dpid: int, now: float) -> None:
        """The session takes one piece of news from the registry or the fleet."""
        news = self._inboxes[dpid].popleft()
        self.bridges[dpid].reconsider(news.names)
        self._flush_out(dpid, now)

    def has_registrations(self, dpid: int) -> bool:
        """Whether the session has such news."""
        return bool(self._inboxes[dpid])

    def ask_for_proof(self, dpid: int, now: float) -> None:
        """Servers are forgotten only where the switch was connected all the time they counted."""
        if self._switch(dpid).followers.lapsed(now):
            self._wires[dpid].send(Proof(now))

    def inspect(self, dpid: int, mend: Mend) -> None:
        """The session begins to look whether its flows are there; one look at a time.

        Not before it has taken the switch over.
        """
        if dpid not in self._looking and not self._newcomers[dpid]:
            self._looking[dpid] = mend
            self.bridges[dpid].begin_check()
            self._wires[dpid].send(Tell())

    def _compare(self, dpid: int, told: Told) -> None:
        bridge, mend = self.bridges[dpid], self._looking.pop(dpid)
        found: dict[int, dict[int, set[object]]] = {}
        for flow in told.flows:
            ofport, _ = CookieMark.owner(flow.cookie)
            of_port = found.setdefault(ofport, {})
            of_port.setdefault(flow.cookie, set()).add(CODEC.image(flow))
        moved = bridge.moved
        ofports = {*bridge.ofports, SHARED_OFPORT, *found}
        wrong = [bridge.check(ofport, found.get(ofport, {}), mend) for ofport in sorted(ofports)]
        if not moved and not any(wrong):
            self.mended[dpid] = told.meddled

    def look_at_leases(self, dpid: int, now: float) -> None:
        """The session wakes because somebody acknowledged, or to see whose lease is over."""
        self._flush_out(dpid, now)

    # --------------------------------------------------------------------------------------------

    def _flush_out(self, dpid: int, now: float) -> None:
        bridge = self.bridges[dpid]
        if bridge.awaits_acknowledgement:
            followers = self._switch(dpid).followers
            followers.opened(bridge.acknowledged(followers.acknowledged(now)))
        transaction = bridge.take()
        if transaction is not None:
            self._begin(dpid, transaction)

    # -- sending: each step of a transaction waits for the barrier after the one before -----------

    def _begin(self, dpid: int, transaction: Transaction) -> None:
        self._number += 1
        work = self._transactions[self._number] = _Work(transaction)
        if transaction.changes_flows:
            work.step = _Step.STAGED
            self._wires[dpid].send(Stage(self._number, transaction), Fence(self._number))
        else:
            self._flush(dpid, self._number)

    def _go_on(self, dpid: int, number: int) -> None:
        work, wire = self._transactions[number], self._wires[dpid]
        if work.refusals:
            if work.step is _Step.STAGED:
                wire.send(Discard(number))
            work.done = True
            self.bridges[dpid].failed(work.transaction, work.refusals)
        elif work.step is _Step.STAGED:
            work.step = _Step.COMMITTED
            wire.send(Commit(number), Fence(number))
        elif work.step is _Step.COMMITTED:
            self._flush(dpid, number)
        else:
            work.done = True
            self.bridges[dpid].completed(work.transaction)

    def _flush(self, dpid: int, number: int) -> None:
        work = self._transactions[number]
        if work.transaction.flush_zones:
            work.step = _Step.FLUSHED
            flushes = map(Flush, work.transaction.flush_zones)
            self._wires[dpid].send(*flushes, Fence(number))
        else:
            work.done = True
            self.bridges[dpid].completed(work.transaction)

    def _sight_all(self, dpid: int) -> None:
        switch, names = self._switch(dpid), set(self.bridges[dpid].port_names())
        for name in sorted(switch.port_names - names):
            self._tell(self.fleet.lose_sight(switch, name), name)
        for name in sorted(names):
            self._tell(self.fleet.sight(switch, name, live=False), name)

    def _tell(self, dpids: Iterable[int], *names: str) -> None:
        for dpid in dpids:
            if dpid in self._inboxes:
                self._inboxes[dpid].append(Reconsider(names))

    def _switch(self, dpid: int):
        return self.fleet.switches[dpid]
