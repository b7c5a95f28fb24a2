"""All connections of this controller, and what the registry and the northbound ask of them."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary

from ryu.controller.controller import Datapath
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3_parser as parser

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.fleet import Fleet, Switch
from ryu_apps.binding.followers import LEASE, NotLeading, TooMany
from ryu_apps.binding.hops import FlowsUnavailable, PortHops
from ryu_apps.binding.requests import PortCounts, ServerView
from ryu_apps.binding.views import SwitchState, SwitchView
from ryu_apps.pipeline.layout import CookieMark, Pipeline
from ryu_apps.southbound import encode, ovsdb
from ryu_apps.southbound.counting import FlowQuestion
from ryu_apps.southbound.news import Acknowledged, Closed, LookAgain, Proof, Reconsider
from ryu_apps.southbound.roles import Roles
from ryu_apps.southbound.session import Session
from ryu_apps.southbound.stream import Stream

LOG = logging.getLogger(__name__)

# How often it is asked whether another controller is still there, in seconds.
_RIVALS_EVERY = 2.0


TERM_BITS = 32
"""A leader of a switch gives fewer revisions than 2^32; 2^21 terms of a switch fit JSON's 2^53."""


class ServerNames(Protocol):
    """Where the names of followers are kept over restarts."""

    def refresh(self, dpid: int) -> None:
        """Another controller may have led this switch: find out anew who follows it."""

    def remember(self, dpid: int, name: str) -> None:
        """This server follows this switch: durable when this returns."""

    def forget(self, dpid: int, name: str, *, unless: Callable[[], bool]) -> None:
        """It does not any more, `unless` it came back meanwhile."""


class Switchboard:
    """The sessions by datapath. `ovsdb_url` is where bridges of this host are looked up."""

    def __init__(self, fleet: Fleet, servers: ServerNames, ovsdb_url: str) -> None:
        self._fleet = fleet
        self.figures = fleet.figures
        self._servers = servers
        self._ovsdb_url = ovsdb_url
        self._ovsdb = ovsdb.Database(ovsdb_url)
        # Leases of servers from an earlier life count from here.
        self._started = monotonic()
        self._sessions: dict[Datapath, Session] = {}
        self._by_dpid: dict[int, Session] = {}
        self._refused: dict[Datapath, Switch] = {}
        self._standby: dict[Datapath, Switch] = {}
        self.roles: Roles | None = None
        """Where the registry is shared: who leads which switch."""
        self._accepted: WeakKeyDictionary[Datapath, float] = WeakKeyDictionary()

    # -- from the switches -----------------------------------------------------------------------

    def accepted(self, datapath: Datapath) -> None:
        """Somebody connected; the handshake begins."""
        self._accepted[datapath] = monotonic()
        Stream(datapath)

    def prepare(self, dpid: int) -> None:
        """Another controller may have led the switch: find out who follows it by now.

        Raises StoreUnavailable.
        """
        self._servers.refresh(dpid)

    def connected(self, datapath: Datapath, term: int | None = None) -> None:
        """A switch has finished its handshake and is ours to lead.

        Where it may be others' as well it is so for a `term`, after `prepare`: revisions go on
        above those of all terms before.
        """
        switch = self._admitted(datapath)
        if switch is None:
            return
        if term is not None:
            self._fleet.begin_term(switch, term << TERM_BITS)
        earlier = self._by_dpid.get(datapath.id)
        if earlier is not None:
            say(LOG, events.SWITCH_CONNECTED_TWICE, dpid=switch.dpid)
            self.disconnected(earlier.datapath)
            earlier.datapath.close()
        switch.host = str(datapath.address[0])
        clash = self._fleet.clash(switch)
        if clash is not None:
            self._refuse(datapath, switch, clash)
            return
        self.figures.connections["connected"] += 1
        datapath.send_msg(parser.OFPDescStatsRequest(datapath, 0))
        say(LOG, events.SWITCH_CONNECTED, dpid=switch.dpid, peer=switch.host)
        self._fleet.expect_servers(switch, monotonic())
        switch.state, switch.reason = SwitchState.SYNCING, None
        accepted = self._accepted.get(datapath, monotonic())
        quarrels = partial(hub.spawn, self._watch_rivals, datapath, switch)
        session = Session(datapath, switch, self._fleet, self._tell, accepted, quarrels)
        self._sessions[datapath] = self._by_dpid[switch.dpid] = session
        hub.spawn(self._check_fail_mode, datapath, switch)

    def stand_by(self, datapath: Datapath, reason: str) -> None:
        """The switch is connected, and not, or not any more, ours to lead."""
        switch = self._admitted(datapath)
        if switch is None:
            return
        if datapath in self._sessions or datapath in self._refused:
            self.disconnected(datapath)
        switch.host = str(datapath.address[0])
        switch.state, switch.reason = SwitchState.STANDBY, reason
        switch.feed.in_sync = False
        self._standby[datapath] = switch

    def disconnected(self, datapath: Datapath) -> None:
        """The connection of a switch has ended, or it is not ours to lead any more."""
        for idle in (self._refused.pop(datapath, None), self._standby.pop(datapath, None)):
            if idle is not None and idle.state is not SwitchState.DISCONNECTED:
                self._fleet.disconnected(idle)
        session = self._sessions.pop(datapath, None)
        if session is None:
            return
        del self._by_dpid[session.switch.dpid]
        self.figures.connections["disconnected"] += 1
        self.figures.releases.pop(session.switch.dpid, None)
        say(LOG, events.SWITCH_DISCONNECTED, dpid=session.switch.dpid)
        session.deliver(Closed())
        self._fleet.disconnected(session.switch)
        self.reconsider(session.switch.port_names)
        for waiting in list(self._refused):
            # It may have been refused because of this one: let it try again.
            waiting.close()

    def deliver(self, datapath: Datapath, news: object) -> None:
        """News of a switch for its session; a switch without one (refused) has no news."""
        session = self._sessions.get(datapath)
        if session is not None:
            session.deliver(news)

    def described(self, datapath: Datapath, release: str) -> None:
        """A switch says which release of its software it is."""
        if datapath in self._sessions:
            self.figures.release(self._sessions[datapath].switch.dpid, release)

    # -- from the registry -----------------------------------------------------------------------

    def reconsider(self, names: Iterable[str]) -> None:
        """The claims on ports of these names may have changed."""
        for dpid, here in self._fleet.switches_with(names).items():
            self._tell([dpid], *here)

    # -- from the northbound ---------------------------------------------------------------------

    def switches(self) -> list[SwitchView]:
        """All switches seen so far, in dpid order."""
        return [switch.view() for _, switch in sorted(self._fleet.switches.items())]

    def counts(self) -> dict[str, int]:
        """What there is a bound to, for /metrics."""
        return {
            "switches": len(self._fleet.switches),
            "followers": sum(len(each.followers) for each in self._fleet.switches.values()),
            "news_waiting": sum(session.waiting for session in self._sessions.values()),
        }

    def is_taking_over(self) -> bool:
        """Whether any switch is not in sync yet."""
        return any(each.switch.state is SwitchState.SYNCING for each in self._sessions.values())

    def feed(self, dpid: int) -> PortFeed | None:
        """The ports of a switch; None for one that is not known."""
        switch = self._fleet.switches.get(dpid)
        return switch.feed if switch is not None else None

    def hops(self, dpid: int, ofport: int) -> PortHops:
        """The flows of a port with what the switch counted of them, asked now.

        Waits for the switch, within bounds. Raises FlowsUnavailable.
        """
        session = self._by_dpid.get(dpid)
        if session is None:
            raise FlowsUnavailable("the switch is not connected, or is refused")
        if session.bridge is None:
            raise FlowsUnavailable("the switch is being taken over")
        question = FlowQuestion(ofport)
        session.deliver(question)
        return question.wait()

    def follow(self, dpid: int, server: str) -> None:
        """A metadata server follows the switch, known or still to come.

        Returns when its name is kept; raises StoreUnavailable, and TooMany before it is kept.
        """
        self._switch(dpid).followers.admit(server)
        self._servers.remember(dpid, server)
        switch = self._switch(dpid)
        switch.followers.follow(server, monotonic())
        switch.requests.forget(server)

    def require_lead(self, dpid: int) -> None:
        """Raise NotLeading unless it is us who lead the switch, by its own word of just now."""
        if self.roles is not None and not self.roles.leads(dpid):
            raise NotLeading(self.roles.elsewhere(dpid) or "nobody leads it at the moment")

    def elsewhere(self, dpid: int) -> str | None:
        """Who else leads this switch, for people; None where nobody else does."""
        return None if self.roles is None else self.roles.elsewhere(dpid)

    def unfollow(self, dpid: int, server: str) -> None:
        """A metadata server has stopped serving."""
        switch = self._switch(dpid)
        switch.followers.unfollow(server)
        switch.requests.forget(server)
        self._wake(dpid)
        self._servers.forget(dpid, server, unless=_is_back(switch, server))

    def acknowledge(self, dpid: int, server: str, revision: int) -> bool:
        """A metadata server answers from a view that has all changes up to `revision`.

        False: that view is too old to be served. Raises TooMany, and NotLeading where another
        controller leads the switch, or may: then the server must ask that one.
        """
        self.require_lead(dpid)
        current = self._switch(dpid).followers.acknowledge(server, revision, monotonic())
        self._wake(dpid)
        return current

    def count_requests(
        self, dpid: int, server: str, counts: Iterable[PortCounts], view_age: float | None
    ) -> bool:
        """A metadata server tells what droplets asked of it; False if it does not follow."""
        switch = self._switch(dpid)
        if server not in switch.followers:
            return False
        switch.requests.tell(server, counts, view_age, switch.feed.port, monotonic())
        return True

    def requests(self, dpid: int) -> tuple[list[ServerView], list[PortCounts]]:
        """What the metadata servers of a switch counted."""
        switch, now = self._switch(dpid), monotonic()
        return switch.requests.servers(now), switch.requests.droplets(switch.feed.port, now)

    def forget_lapsed_servers(self) -> None:
        """Forget the followers that have been silent for longer than a lease; never returns.

        Not those of a switch that is away, or may be without our having noticed: they count on
        its absence, and are waited for when it is back.
        """
        while True:
            hub.sleep(LEASE)
            for session in list(self._sessions.values()):
                now = monotonic()
                if session.switch.followers.lapsed(now):
                    forget = partial(self._forget_lapsed, session.switch, now)
                    session.deliver(Proof(partial(hub.spawn, forget)))

    def _forget_lapsed(self, switch: Switch, then: float) -> None:
        for server in switch.followers.forget(then):
            say(LOG, events.SERVER_SILENT, dpid=switch.dpid, server=server)
            switch.requests.forget(server)
            self._servers.forget(switch.dpid, server, unless=_is_back(switch, server))

    # --------------------------------------------------------------------------------------------

    def _admitted(self, datapath: Datapath) -> Switch | None:
        """The record of the switch; None where there are too many: it is sent away."""
        try:
            return self._switch(datapath.id)
        except TooMany as error:
            peer = datapath.address[0]
            say(LOG, events.SWITCH_SENT_AWAY, dpid=datapath.id, peer=peer, reason=error)
            datapath.close()
            return None

    def _switch(self, dpid: int) -> Switch:
        return self._fleet.switch(dpid, self._started)

    def _tell(self, dpids: Iterable[int], *names: str) -> None:
        for dpid in dpids:
            session = self._by_dpid.get(dpid)
            if session is not None:
                session.deliver(Reconsider(names))

    def _wake(self, dpid: int) -> None:
        session = self._by_dpid.get(dpid)
        if session is not None and session.awaits_acknowledgement:
            session.deliver(Acknowledged())

    def _refuse(self, datapath: Datapath, switch: Switch, reason: str) -> None:
        """Serve nobody on this switch: what an earlier controller left there could mislead."""
        say(LOG, events.SWITCH_REFUSED, dpid=switch.dpid, reason=reason)
        switch.state, switch.reason = SwitchState.REFUSED, reason
        self.figures.connections["refused"] += 1
        self._refused[datapath] = switch
        mark = switch.settings.cookie.shared
        datapath.send_msg(encode.delete_flows(datapath, mark, CookieMark.MASK))
        datapath.send_msg(parser.OFPBarrierRequest(datapath))

    def _watch_rivals(self, datapath: Datapath, switch: Switch) -> None:
        """While somebody undoes our flows: say whether it is another controller, and see it go.

        Only where the bridge's database is at hand; elsewhere time has to tell.
        """
        had = False
        try:
            while datapath in self._sessions and switch.repairs.contested(monotonic()):
                bridge = self._ovsdb.find_bridge(switch.dpid)
                if bridge is None:
                    return
                connected = [one.target for one in bridge.controllers if one.connected]
                switch.rivals = _rivals(bridge, connected)
                if had and not switch.rivals:
                    say(LOG, events.RIVAL_GONE, dpid=switch.dpid)
                    switch.repairs.rival_left(monotonic())
                    self._look_again(datapath)
                had = bool(switch.rivals)
                hub.sleep(_RIVALS_EVERY)
        except ovsdb.OvsdbError as error:
            say(LOG, events.RIVALS_UNKNOWN, dpid=switch.dpid, reason=error)

    def _look_again(self, datapath: Datapath) -> None:
        session = self._sessions.get(datapath)
        if session is not None:
            session.deliver(LookAgain())

    def _check_fail_mode(self, datapath: Datapath, switch: Switch) -> None:
        """See to fail_mode where the bridge's database is at hand; say so where it is not."""
        try:
            bridge = self._ovsdb.find_bridge(switch.dpid)
            if bridge is None:
                switch.warnings = (f"not in {self._ovsdb_url}: {_FAIL_MODE_UNKNOWN}",)
                return
            if bridge.fail_mode != "secure":
                say(
                    LOG,
                    events.FAIL_MODE_MENDED,
                    dpid=switch.dpid,
                    bridge=bridge.name,
                    fail_mode=bridge.fail_mode or "none",
                )
            meta_port = switch.settings.meta_port_name
            switch.warnings = tuple(self._ovsdb.secure(bridge, meta_port))
            if switch.settings.pipeline is Pipeline.STANDALONE and self.roles is None:
                switch.rivals = _rivals(bridge, [one.target for one in bridge.controllers])
        except ovsdb.OvsdbError as error:
            switch.warnings = (f"{error}: {_FAIL_MODE_UNKNOWN}",)
        for warning in switch.warnings:
            say(LOG, events.SWITCH_WARNING, dpid=switch.dpid, reason=warning)


def _rivals(bridge: ovsdb.BridgeRow, targets: Sequence[str]) -> tuple[str, ...]:
    if len(targets) < 2:
        return ()
    return (
        f"bridge {bridge.name} has {len(targets)} controllers, {', '.join(targets)}: two of this "
        "kind undo each other's flows; let `ovs-vsctl set-controller` name one",
    )


def _is_back(switch: Switch, server: str) -> Callable[[], bool]:
    return lambda: server in switch.followers


_FAIL_MODE_UNKNOWN = (
    "whether the bridge has fail_mode secure and its meta port in the dead VLAN is not known; "
    "see to it with `dropletctl host-setup` on its host"
)
