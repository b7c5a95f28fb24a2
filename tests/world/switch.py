"""A reference switch: flows, conntrack zones and a connection, no cleverer than OpenFlow says.

It applies what a controller sends one message at a time and in order, so that a test can stop,
cut or delay between any two of them. Traffic is not simulated but assumed: whatever conntrack
entries the installed flows let a port make, it makes at once.
"""

from collections import deque
from dataclasses import dataclass, replace

from ryu_apps.binding.port import SwitchPort
from ryu_apps.binding.transaction import Transaction
from ryu_apps.openflow.actions import Ct
from ryu_apps.openflow.flow import Flow, FlowKey
from ryu_apps.openflow.match import Match
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark

FOREIGN = Flow(0, 77, Match(in_port=4711), cookie=0xF00)
"""A flow of somebody else's: nobody may touch it."""


@dataclass(frozen=True)
class Appeared:
    """PORT_STATUS: a port was added."""

    port: SwitchPort


@dataclass(frozen=True)
class Changed:
    """PORT_STATUS: a port's description changed."""

    port: SwitchPort


@dataclass(frozen=True)
class Vanished:
    """PORT_STATUS: a port was deleted."""

    port: SwitchPort


@dataclass(frozen=True)
class Refused:
    """An error: the switch does not take a flow of this ofport."""

    number: int
    ofport: int


@dataclass(frozen=True)
class Fenced:
    """A barrier is answered: everything of transaction `number` so far is done."""

    number: int


@dataclass(frozen=True)
class Proof:
    """A barrier that asks, at this time, whether the connection lives; and the answer to it."""

    asked_at: float


@dataclass(frozen=True)
class Told:
    """The answer to `Tell`: our flows, and how often others had changed any until then."""

    flows: frozenset[Flow]
    meddled: int


News = Appeared | Changed | Vanished | Refused | Fenced | Proof | Told


@dataclass(frozen=True)
class Stage:
    """All flow-mods of a transaction into a bundle."""

    number: int
    transaction: Transaction


@dataclass(frozen=True)
class Commit:
    """Carry the bundle out."""

    number: int


@dataclass(frozen=True)
class Discard:
    """Forget the bundle."""

    number: int


@dataclass(frozen=True)
class Flush:
    """Empty a ct zone."""

    zone: int


@dataclass(frozen=True)
class Fence:
    """A barrier."""

    number: int


@dataclass(frozen=True)
class Tell:
    """Which flows of ours are there?"""


Message = Stage | Commit | Discard | Flush | Fence | Proof | Tell


class ReferenceSwitch:
    """One switch with its ports, flows and conntrack zones.

    `refused` holds the ofports whose flows it refuses (0: the shared ones), as they are added to a
    bundle or, if `at_commit`, as it is committed. `meddled` counts what others did to flows of
    ours. `zones` maps each ct zone to the cookies under
    which its entries were made.
    """

    def __init__(self, dpid: int, settings: BridgeSettings) -> None:
        self.dpid = dpid
        self.settings = settings
        self.ports: dict[int, SwitchPort] = {}
        self.flows: dict[FlowKey, Flow] = {FOREIGN.key: FOREIGN}
        self.zones: dict[int, set[int]] = {}
        self.refused: set[int] = set()
        self.has_refused = False
        self.at_commit = False
        self.meddled = 0
        self.connected = False
        self.to_controller: deque[News] = deque()
        self._received: deque[Message] = deque()
        self._bundles: dict[int, Transaction] = {}

    # -- the operator ----------------------------------------------------------------------------

    def add_port(self, ofport: int, name: str, mac: str) -> None:
        """Plug a port in at a free ofport."""
        assert ofport not in self.ports, "ofports are unique"
        self.ports[ofport] = SwitchPort(ofport, name, mac)
        self._tell(Appeared(self.ports[ofport]))

    def del_port(self, ofport: int) -> None:
        """Pull a port out."""
        self._tell(Vanished(self.ports.pop(ofport)))

    def change_port(self, ofport: int, mac: str) -> None:
        """Give a port another MAC address."""
        self.ports[ofport] = replace(self.ports[ofport], mac=mac)
        self._tell(Changed(self.ports[ofport]))

    def meddle(self, ofport: int, kind: str) -> None:
        """Somebody else deletes, changes or adds flows under cookies of ours of this ofport.

        Nothing that is added opens a port: who opens one behind the controller's back may break
        any promise.
        """
        own = sorted(
            (flow for flow in self.ours() if CookieMark.owner(flow.cookie)[0] == ofport), key=repr
        )
        for flow in own[:2]:
            if kind == "delete":
                del self.flows[flow.key]
            elif kind == "change":
                self.flows[flow.key] = replace(flow, actions=())
            else:
                cookie = flow.cookie if kind == "surplus" else flow.cookie ^ 4
                stray = replace(flow, priority=flow.priority + 7, cookie=cookie, actions=())
                self.flows[stray.key] = stray
        self.meddled += bool(own)

    def restart(self) -> None:
        """Open vSwitch restarts: no flow, no connection to a controller; conntrack may stay."""
        self.flows = {FOREIGN.key: FOREIGN}
        self.disconnect()

    # -- the connection --------------------------------------------------------------------------

    def connect(self) -> None:
        """A fresh connection to a controller; nothing of an earlier one is under way."""
        self.disconnect()
        self.connected = True

    def disconnect(self) -> None:
        """The connection is lost, with everything on its way in either direction."""
        self.connected = False
        self.to_controller.clear()
        self._received.clear()
        self._bundles.clear()

    def send(self, *messages: Message) -> None:
        """What the controller writes to the connection, which may be dead without its knowing."""
        if self.connected:
            self._received.extend(messages)

    @property
    def busy(self) -> bool:
        """Whether messages wait to be carried out."""
        return bool(self._received)

    def carry_out_one(self) -> None:
        """Carry the next message out; nothing happens where there is none."""
        if not self._received:
            return
        match self._received.popleft():
            case Stage(number, transaction):
                self._bundles[number] = self._taken(number, transaction)
            case Commit(number):
                self._commit(number, self._bundles.pop(number))
            case Discard(number):
                del self._bundles[number]
            case Flush(zone):
                self.zones[zone] = set()
            case Fence(number):
                self._tell(Fenced(number))
            case Proof() as proof:
                self._tell(proof)
            case Tell():
                self._tell(Told(frozenset(self.ours()), self.meddled))
        self._fill_zones()

    def _taken(self, number: int, transaction: Transaction) -> Transaction:
        """The bundle without what is refused as it is added, as Open vSwitch has it."""
        if self.at_commit:
            return transaction
        kept = []
        for flow in transaction.add:
            ofport, _ = CookieMark.owner(flow.cookie)
            if ofport in self.refused:
                self._tell(Refused(number, ofport))
            else:
                kept.append(flow)
        return replace(transaction, add=tuple(kept))

    def _commit(self, number: int, bundle: Transaction) -> None:
        """All or nothing, in order; the error names the first flow-mod that cannot be done."""
        for flow in bundle.add:
            ofport, _ = CookieMark.owner(flow.cookie)
            if self.at_commit and ofport in self.refused:
                self._tell(Refused(number, ofport))
                return
        for cookie in bundle.delete_cookies:
            self.flows = {key: flow for key, flow in self.flows.items() if flow.cookie != cookie}
        for cookie, image in bundle.remove:
            if image.key in self.flows and self.flows[image.key].cookie == cookie:
                del self.flows[image.key]
        for flow in bundle.add:
            self.flows[flow.key] = flow

    def _tell(self, news: News) -> None:
        if self.connected:
            self.to_controller.append(news)

    # -- what the flows let happen ---------------------------------------------------------------

    def translations(self) -> list[tuple[Flow, Ct]]:
        """Every N1 installed, with its `ct` action: ports that reach the metadata server."""
        return [
            (flow, action)
            for flow in self.flows.values()
            for action in flow.actions
            if isinstance(action, Ct) and action.nat is not None and action.nat.src is not None
        ]

    def ours(self) -> set[Flow]:
        """The flows that carry the project's mark."""
        mark = self.settings.cookie.shared
        return {flow for flow in self.flows.values() if flow.cookie & CookieMark.MASK == mark}

    def _fill_zones(self) -> None:
        for flow, ct in self.translations():
            self.zones.setdefault(ct.zone, set()).add(flow.cookie)
