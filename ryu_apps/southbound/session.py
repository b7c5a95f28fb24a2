"""One connection to one switch: news in, transactions out, in one green thread of its own.

Everything that concerns the switch passes through the session's inbox, so the Bridge never sees
two things at once although sending may yield to other green threads.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from ryu.controller.controller import Datapath
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_v1_3_parser import OFPMultipartRequest

from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.fleet import Fleet, Switch
from ryu_apps.binding.port import SwitchPort
from ryu_apps.binding.transaction import Transaction
from ryu_apps.binding.views import SwitchState
from ryu_apps.pipeline.layout import CookieMark
from ryu_apps.southbound import encode
from ryu_apps.southbound.news import (
    Acknowledged,
    BarrierDone,
    Closed,
    FlowList,
    PortList,
    PortNews,
    Proof,
    Reconsider,
    Refusal,
)

LOG = logging.getLogger(__name__)

# How much is computed or encoded before other green threads get their turn.
SLICE = 16

_ATOMIC_ORDERED = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED

# How often leases of silent followers are looked at while a binding waits for them, in seconds.
LEASE_CHECK = 0.5


Part = TypeVar("Part", FlowList, PortList)


class SwitchFault(Exception):
    """The switch refused what it must accept; the connection is closed and begun anew."""


class _ConnectionGone(Exception):
    """Ends the session's thread."""


@dataclass(slots=True)
class _Sent:
    """A transaction under way.

    `culprits` maps the xid of each flow-mod to the ofport whose flow it adds; a refusal of any
    other message of the transaction is nobody's in particular.
    """

    transaction: Transaction
    bundle_id: int = 0
    xids: list[int] = field(default_factory=list)
    culprits: dict[int, int] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)
    fault: str | None = None

    @property
    def refused(self) -> bool:
        """Whether the switch refused any message of it so far."""
        return bool(self.refusals) or self.fault is not None


class Session:
    """Leads `bridge` of one connection. `tell(dpid, names)` makes other switches reconsider."""

    def __init__(
        self,
        datapath: Datapath,
        switch: Switch,
        fleet: Fleet,
        tell: Callable[[Iterable[int], str], None],
    ) -> None:
        self.datapath = datapath
        self.switch = switch
        self.bridge: Bridge | None = None
        self._fleet = fleet
        self._tell = tell
        self._inbox: hub.Queue = hub.Queue()
        self._under_way: dict[int, tuple[_Sent, Callable[[_Sent], None]]] = {}
        self._sent_by_xid: dict[int, _Sent] = {}
        self._proofs: dict[int, Callable[[], None]] = {}
        self._bundle_id = 0
        self._thread = hub.spawn(self._run)

    def deliver(self, news: object) -> None:
        """Queue news for the session; never blocks."""
        self._inbox.put(news)

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether a binding waits for its followers."""
        return self.bridge is not None and self.bridge.awaits_acknowledgement

    # -- the session's thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._take_over()
            while True:
                self._flush_out()
                self._handle(self._next())
        except _ConnectionGone:
            pass
        except Exception as error:
            # Whatever went wrong, a fresh connection begins from what the switch really has.
            LOG.exception("switch %016x: session failed, reconnecting", self.switch.dpid)
            self.switch.reason = f"session failed: {error}"
            self.datapath.close()

    def _next(self) -> object:
        """The next news; Acknowledged now and then while leases may run out."""
        try:
            news = self._inbox.get(timeout=LEASE_CHECK if self.awaits_acknowledgement else None)
        except hub.QueueEmpty:
            return Acknowledged()
        if isinstance(news, Closed):
            raise _ConnectionGone
        return news

    def _flush_out(self) -> None:
        """Open what is acknowledged already, then send what the bridge has drafted."""
        bridge = self._bridge()
        if bridge.awaits_acknowledgement:
            followers = self.switch.followers
            followers.opened(bridge.acknowledged(followers.acknowledged(monotonic())))
        transaction = bridge.take()
        if transaction is not None:
            self._send(transaction)
        busy = self._under_way or bridge.awaits_acknowledgement
        self.switch.state = SwitchState.SYNCING if busy else SwitchState.IN_SYNC
        self.switch.reason = bridge.shared_failure

    def _handle(self, news: object) -> None:
        bridge = self._bridge()
        match news:
            case PortNews(port, reason):
                self._port_news(port, reason)
            case Reconsider(names):
                bridge.reconsider(names)
            case BarrierDone(xid):
                self._barrier_done(xid)
            case Proof(then):
                barrier = parser.OFPBarrierRequest(self.datapath)
                self.datapath.set_xid(barrier)
                self._proofs[barrier.xid] = then
                self.datapath.send_msg(barrier)
            case Refusal(xid, reason):
                self._refused(xid, reason)

    def _bridge(self) -> Bridge:
        if self.bridge is None:
            raise RuntimeError("no bridge before the switch was taken over")
        return self.bridge

    # -- taking over -----------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Learn what the switch has, keep what is right of it and draft the rest."""
        installed = self._ask_flows()
        ports = self._ask_ports()
        switch = self.switch
        self.bridge = bridge = Bridge(
            switch.settings,
            switch.feed,
            lambda port: self._fleet.assign(switch, port),
            installed,
            encode.image,
        )
        bridge.learn_ports(ports)
        self._fleet.connected(switch, bridge)
        self._sight_all(bridge)
        bridge.adopt_shared()
        for count, ofport in enumerate(bridge.ofports):
            bridge.adopt(ofport)
            if count % SLICE == 0:
                hub.sleep(0)
        switch.feed.mark_in_sync()

    def _ask_flows(self) -> dict[int, set[encode.Image]]:
        shared = self.switch.settings.cookie.shared
        request = encode.flows_request(self.datapath, shared, CookieMark.MASK)
        installed: dict[int, set[encode.Image]] = defaultdict(set)
        for part in self._ask(request, FlowList):
            for cookie, image in part.flows:
                installed[cookie].add(image)
        return installed

    def _ask_ports(self) -> list[SwitchPort]:
        request = parser.OFPPortDescStatsRequest(self.datapath, 0)
        return [port for part in self._ask(request, PortList) for port in part.ports]

    def _ask(self, request: OFPMultipartRequest, kind: type[Part]) -> list[Part]:
        """Send a multipart request and collect its parts.

        News of ports that comes before the list of ports is older than the list; registrations
        are looked up when the ports are adopted. So nothing else is kept meanwhile.
        """
        self.datapath.send_msg(request)
        parts: list[Part] = []
        while not parts or parts[-1].more:
            news = self._next()
            if isinstance(news, kind) and news.xid == request.xid:
                parts.append(news)
            elif isinstance(news, Refusal) and news.xid == request.xid:
                raise SwitchFault(f"refused {type(request).__name__}: {news.reason}")
        return parts

    def _sight_all(self, bridge: Bridge) -> None:
        names = set(bridge.port_names())
        for name in self.switch.port_names - names:
            self._tell(self._fleet.lose_sight(self.switch, name), name)
        for name in names:
            self._tell(self._fleet.sight(self.switch, name, live=False), name)

    # -- news ------------------------------------------------------------------------------------

    def _port_news(self, port: SwitchPort, reason: int) -> None:
        bridge, fleet, switch = self._bridge(), self._fleet, self.switch
        if reason == ofp.OFPPR_DELETE:
            bridge.port_removed(port.ofport)
            self._tell(fleet.lose_sight(switch, port.name), port.name)
            return
        if reason == ofp.OFPPR_ADD or port.name not in switch.port_names:
            self._tell(fleet.sight(switch, port.name, live=True), port.name)
        bridge.port_changed(port)

    def _barrier_done(self, xid: int) -> None:
        if xid in self._proofs:
            self._proofs.pop(xid)()
        sent, then = self._under_way.pop(xid, (None, None))
        if sent is not None and then is not None:
            then(sent)

    def _refused(self, xid: int, reason: str) -> None:
        sent = self._sent_by_xid.get(xid)
        if sent is None:
            LOG.error("switch %016x: refused xid %#x: %s", self.switch.dpid, xid, reason)
        elif xid in sent.culprits:
            sent.refusals[sent.culprits[xid]] = reason
        else:
            sent.fault = reason

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, transaction: Transaction) -> None:
        """Begin the transaction; each step waits for the barrier after the one before."""
        LOG.info(
            "switch %016x: %d bindings deleted, %d flows added, %d zones flushed, for ofports %s",
            self.switch.dpid,
            len(transaction.delete_cookies),
            len(transaction.add),
            len(transaction.flush_zones),
            _shortened(transaction.ofports),
        )
        sent = _Sent(transaction)
        if transaction.delete_cookies or transaction.add:
            self._stage(sent)
        else:
            self._flush(sent)

    def _stage(self, sent: _Sent) -> None:
        """Put all flow-mods into one atomic, ordered bundle (ONF extension 230).

        A message that is refused as it is added is only left out of the bundle, so the bundle must
        not be committed before the switch has looked at each.
        """
        dp, transaction, cookie = self.datapath, sent.transaction, self.switch.settings.cookie
        self._bundle_id = sent.bundle_id = self._bundle_id % 0xFFFFFFFF + 1
        self._send_control(sent, ofp.ONF_BCT_OPEN_REQUEST)
        for cookie_gone in transaction.delete_cookies:
            message = encode.delete_flows(dp, cookie_gone, CookieMark.EXACT)
            self._send_bundled(sent, message, None)
        for count, flow in enumerate(transaction.add):
            ofport, _ = cookie.owner(flow.cookie)
            self._send_bundled(sent, encode.add_flow(dp, flow), ofport)
            if count % SLICE == 0:
                hub.sleep(0)
        self._fence(sent, self._commit)

    def _commit(self, sent: _Sent) -> None:
        if sent.refused:
            self._send_control(sent, ofp.ONF_BCT_DISCARD_REQUEST)
            self._fail(sent)
        else:
            self._send_control(sent, ofp.ONF_BCT_COMMIT_REQUEST)
            self._fence(sent, self._flush)

    def _flush(self, sent: _Sent) -> None:
        if sent.refused:
            self._fail(sent)
        elif sent.transaction.flush_zones:
            for zone in sent.transaction.flush_zones:
                self._send_part_of(sent, encode.flush_zone(self.datapath, zone))
            self._fence(sent, self._complete)
        else:
            self._complete(sent)

    def _complete(self, sent: _Sent) -> None:
        if sent.refused:
            self._fail(sent)
        else:
            self._forget(sent)
            self._bridge().completed(sent.transaction)

    def _fail(self, sent: _Sent) -> None:
        self._forget(sent)
        if not sent.refusals:
            raise SwitchFault(sent.fault)
        for ofport, reason in sent.refusals.items():
            LOG.error("switch %016x: ofport %d: flow refused: %s", self.switch.dpid, ofport, reason)
        self._bridge().failed(sent.transaction, sent.refusals)

    def _forget(self, sent: _Sent) -> None:
        for xid in sent.xids:
            del self._sent_by_xid[xid]

    def _fence(self, sent: _Sent, then: Callable[[_Sent], None]) -> None:
        """Go on with `then` when the switch has done all so far."""
        barrier = parser.OFPBarrierRequest(self.datapath)
        self.datapath.set_xid(barrier)
        self._under_way[barrier.xid] = (sent, then)
        self.datapath.send_msg(barrier)

    def _send_control(self, sent: _Sent, kind: int) -> None:
        message = parser.ONFBundleCtrlMsg(self.datapath, sent.bundle_id, kind, _ATOMIC_ORDERED, [])
        self._send_part_of(sent, message)

    def _send_bundled(self, sent: _Sent, inner: parser.OFPFlowMod, ofport: int | None) -> None:
        message = parser.ONFBundleAddMsg(self.datapath, sent.bundle_id, _ATOMIC_ORDERED, inner, [])
        self._send_part_of(sent, message)
        if ofport is not None:
            sent.culprits[message.xid] = ofport

    def _send_part_of(self, sent: _Sent, message: MsgBase) -> None:
        self.datapath.set_xid(message)
        sent.xids.append(message.xid)
        self._sent_by_xid[message.xid] = sent
        self.datapath.send_msg(message)


def _shortened(ofports: tuple[int, ...]) -> str:
    text = ", ".join(map(str, ofports[:8]))
    return f"{text} and {len(ofports) - 8} more" if len(ofports) > 8 else text or "none"
