"""Who leads a switch to which several controllers are connected: one of them (OpenFlow 1.3, 6.3.5).

The registry says who *should*: one controller at a time has a switch's key in it, in a term that
grows. The switch says who *does*: the term is the generation id of the role request, so that it
refuses a leader of an earlier term, and while it has a master it takes writes from nobody else.
Whoever leads asks the switch again before it vouches for anything (`leads`), for the registry may
be out of its reach and another have been made leader.

Green threads; every call of the registry waits on a native one.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from eventlet.event import Event
from eventlet.timeout import Timeout
from ryu.controller.controller import Datapath
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding import balance

LOG = logging.getLogger(__name__)

_ANSWER_S = 3.0
"""Seconds for a switch's answer to a role request."""

_AGAIN_S = 1.0
"""Seconds after which a switch is claimed again that nobody leads, though it could not be had."""

_FAIR_S = 5.0
"""Seconds between looks at whether we should lead a switch of another controller."""

_T = TypeVar("_T")

Pending = tuple[Datapath, int]
"""A request, by the connection it went to and its xid."""


class Leader(Protocol):
    """Who should lead a switch, and in which term."""

    controller: int
    term: int


class Leadership(Protocol):
    """The shared registry, as far as it says who should lead. Calls may block the green thread
    and raise RegistryError."""

    me: int
    controllers: Mapping[int, object]
    """Those that show signs of life."""

    def leads(self) -> Mapping[int, int]:
        """How many switches each controller should lead; those that lead none may be left out."""

    def leader(self, dpid: int) -> Leader | None:
        """Who should lead the switch."""

    def take_wish(self, dpid: int) -> int | None:
        """The controller that would lead it, told once."""

    def name(self, controller: int) -> str:
        """A controller's name for people."""

    def claim(self, dpid: int) -> int | None:
        """Lead it, if nobody does: our term."""

    def resign(self, dpid: int, term: int) -> None:
        """Lead it no more."""

    def wish(self, dpid: int) -> None:
        """Tell its leader that we would lead it."""


class Switches(Protocol):
    """The switchboard, as far as it is told who leads."""

    def prepare(self, dpid: int) -> None:
        """The switch is about to be ours to lead. May block, and raise RegistryError."""

    def connected(self, datapath: Datapath, term: int) -> None:
        """The switch is ours to lead."""

    def stand_by(self, datapath: Datapath, reason: str) -> None:
        """The switch is connected, and not ours to lead."""

    def disconnected(self, datapath: Datapath) -> None:
        """Its connection has ended."""


class Roles:
    """Leads the switches that are connected here and that the registry gives us.

    `failure` is the exception with which calls of `leadership` fail.
    """

    def __init__(
        self, leadership: Leadership, switches: Switches, failure: type[Exception]
    ) -> None:
        self._leadership = leadership
        self._switches = switches
        self._failure = failure
        self._datapaths: dict[int, Datapath] = {}
        self._leading: dict[int, int] = {}
        # Switches that are being settled, and those of them of which there was news meanwhile.
        self._busy: set[int] = set()
        self._again: set[int] = set()
        self._pending: dict[Pending, Event] = {}

    @property
    def counts(self) -> tuple[int, int]:
        """How many switches are connected here, and how many of them we lead."""
        return len(self._datapaths), len(self._leading)

    # -- from the switches ------------------------------------------------------------------------

    def connected(self, datapath: Datapath) -> None:
        """A switch has finished its handshake."""
        earlier = self._datapaths.get(datapath.id)
        if earlier is not None:
            self._forget(earlier)
            earlier.close()
        self._datapaths[datapath.id] = datapath
        self._switches.stand_by(datapath, "it is not known yet who leads it")
        self.look([datapath.id])

    def disconnected(self, datapath: Datapath) -> None:
        """The connection of a switch has ended: whoever is connected to it may lead it."""
        if self._datapaths.get(datapath.id) is datapath:
            self._forget(datapath)
        self._switches.disconnected(datapath)

    def replied(self, datapath: Datapath, xid: int, role: int) -> None:
        """The switch says which role we have."""
        if pending := self._pending.pop((datapath, xid), None):
            pending.send(role)

    def refused(self, datapath: Datapath, xid: int) -> None:
        """The switch refuses a request, perhaps one of ours."""
        if pending := self._pending.pop((datapath, xid), None):
            pending.send(None)

    # -- from the registry and the northbound -----------------------------------------------------

    def look(self, dpids: Iterable[int]) -> None:
        """The registry has news of who should lead these switches, or would."""
        for dpid in dpids:
            if dpid in self._busy:
                self._again.add(dpid)
            elif dpid in self._datapaths:
                self._busy.add(dpid)
                hub.spawn(self._settle, dpid)

    def elsewhere(self, dpid: int) -> str | None:
        """Who else leads the switch, for people; None where nobody else does."""
        leader = self._leadership.leader(dpid)
        if leader is None or leader.controller == self._leadership.me:
            return None
        return f"{self._leadership.name(leader.controller)} leads it"

    def leads(self, dpid: int) -> bool:
        """Whether we lead the switch, by its own word of just now."""
        datapath = self._datapaths.get(dpid)
        if datapath is None or dpid not in self._leading:
            return False
        if self._ask(datapath, ofp.OFPCR_ROLE_NOCHANGE, 0) == ofp.OFPCR_ROLE_MASTER:
            return True
        say(LOG, events.LEADER_LOST, dpid=dpid)
        self._stand_by(dpid, "it does not take us for its leader any more")
        self.look([dpid])
        return False

    def share_out(self) -> None:
        """Now and then ask for switches of those who lead more than we do; never returns."""
        while True:
            hub.sleep(_FAIR_S * random.uniform(0.7, 1.3))
            leads = self._leadership.leads()
            others = [
                (dpid, leader.controller)
                for dpid in self._datapaths
                if (leader := self._leadership.leader(dpid)) is not None
                and leader.controller != self._leadership.me
            ]
            random.shuffle(others)
            for dpid in balance.wishes(dict(others), leads, len(self._leading)):
                self._try(self._leadership.wish, dpid)

    # -- one switch -------------------------------------------------------------------------------

    def _settle(self, dpid: int) -> None:
        """Do what follows from who should lead the switch, until nothing does any more."""
        try:
            again = True
            while again:
                self._again.discard(dpid)
                again = dpid in self._datapaths and (self._step(dpid) or dpid in self._again)
        except Exception:  # noqa: BLE001 - logged, with its trace
            say(LOG, events.LEADER_UNSETTLED, trace=True, dpid=dpid)
            hub.spawn_after(_AGAIN_S, self.look, [dpid])
        finally:
            self._busy.discard(dpid)

    def _step(self, dpid: int) -> bool:
        """The next step; whether there may be another."""
        leader, term = self._leadership.leader(dpid), self._leading.get(dpid)
        if leader is None:
            self._stand_by(dpid, "nobody leads it yet")
            return self._claim(dpid)
        if leader.controller != self._leadership.me:
            self._stand_by(dpid, f"{self._leadership.name(leader.controller)} leads it")
            # As far as it is known; a switch that knows of a later term refuses, and rightly so.
            self._ask(self._datapaths[dpid], ofp.OFPCR_ROLE_SLAVE, leader.term)
            return False
        if leader.term != term:
            return self._lead(dpid, leader.term)
        return self._give_up_to(self._leadership.take_wish(dpid), dpid, leader.term)

    def _claim(self, dpid: int) -> bool:
        connected, leads = self.counts
        hub.sleep(balance.patience(leads, connected) + random.uniform(0, 0.05))
        if self._leadership.leader(dpid) is not None or dpid not in self._datapaths:
            return True
        term = self._try(self._leadership.claim, dpid)
        if term is None:
            # Somebody was quicker, of which there will be news; or the registry is away.
            hub.sleep(_AGAIN_S)
            return True
        return self._lead(dpid, term)

    def _lead(self, dpid: int, term: int) -> bool:
        datapath = self._datapaths.get(dpid)
        if datapath is None:
            self._try(self._leadership.resign, dpid, term)
            return False
        if self._ask(datapath, ofp.OFPCR_ROLE_MASTER, term) != ofp.OFPCR_ROLE_MASTER:
            say(LOG, events.LEADER_REFUSED, dpid=dpid, term=term)
            self._try(self._leadership.resign, dpid, term)
            hub.sleep(_AGAIN_S)
            return True
        self._stand_by(dpid, "it begins a new term")
        try:
            self._switches.prepare(dpid)
        except self._failure as error:
            # It stays ours in the registry, and is led as soon as that answers.
            say(LOG, events.STORE_AWAY, reason=error)
            hub.sleep(_AGAIN_S)
            return True
        if self._datapaths.get(dpid) is not datapath:
            return True
        say(LOG, events.LEADING, dpid=dpid, term=term)
        self._switches.connected(datapath, term)
        self._leading[dpid] = term
        return False

    def _give_up_to(self, controller: int | None, dpid: int, term: int) -> bool:
        """Whether another is to lead a switch of ours, since it leads so many fewer."""
        if controller is None or controller not in self._leadership.controllers:
            return False
        if not balance.is_fairer(len(self._leading), self._leadership.leads().get(controller, 0)):
            return False
        say(LOG, events.GIVEN_UP, dpid=dpid, who=self._leadership.name(controller))
        self._stand_by(dpid, "given up to another controller")
        self._ask(self._datapaths[dpid], ofp.OFPCR_ROLE_SLAVE, term)
        self._try(self._leadership.resign, dpid, term)
        hub.sleep(_AGAIN_S)
        return True

    def _stand_by(self, dpid: int, reason: str) -> None:
        if self._leading.pop(dpid, None) is not None:
            say(LOG, events.NOT_LEADING, dpid=dpid, reason=reason)
        datapath = self._datapaths.get(dpid)
        if datapath is not None:
            self._switches.stand_by(datapath, reason)

    def _forget(self, datapath: Datapath) -> None:
        del self._datapaths[datapath.id]
        term = self._leading.pop(datapath.id, None)
        if term is not None:
            hub.spawn(self._try, self._leadership.resign, datapath.id, term)
        for key in [key for key in self._pending if key[0] is datapath]:
            self._pending.pop(key).send(None)

    def _ask(self, datapath: Datapath, role: int, term: int) -> int | None:
        """Request a role; the one the switch says we have, None where it does not or refuses."""
        request = parser.OFPRoleRequest(datapath, role, term)
        datapath.set_xid(request)
        key = (datapath, request.xid)
        answer = self._pending[key] = Event()
        datapath.send_msg(request)
        try:
            with Timeout(_ANSWER_S):
                return answer.wait()
        except Timeout:
            self._pending.pop(key, None)
            return None

    def _try(self, call: Callable[..., _T], *arguments: Any) -> _T | None:
        """The result of a call of the registry; None where it fails, which is said."""
        try:
            return call(*arguments)
        except self._failure as error:
            say(LOG, events.STORE_AWAY, reason=error)
            return None
