"""One connection to one switch: news in, transactions out, in one green thread of its own.

Everything that concerns the switch passes through the session's inbox, so the Bridge never sees
two things at once although sending may yield to other green threads.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TypeVar

from ryu.controller.controller import Datapath
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_v1_3_parser import OFPMultipartRequest

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.fleet import Fleet, Switch
from ryu_apps.binding.meters import NO_METERS, MeterTable
from ryu_apps.binding.port import SwitchPort, Tenant
from ryu_apps.binding.transaction import Transaction
from ryu_apps.binding.views import PortState, SwitchState
from ryu_apps.pipeline.layout import CookieMark
from ryu_apps.southbound import encode, meters
from ryu_apps.southbound.admission import ADMISSION
from ryu_apps.southbound.counting import FlowQuestion, FlowReader
from ryu_apps.southbound.forms import Codec
from ryu_apps.southbound.inspecting import Inspector
from ryu_apps.southbound.news import (
    Acknowledged,
    BarrierDone,
    Closed,
    FlowChanges,
    FlowCount,
    FlowList,
    LookAgain,
    MeterLimit,
    MeterList,
    PortList,
    PortNews,
    Proof,
    Reconsider,
    Refusal,
)
from ryu_apps.southbound.raw import expect_bytes
from ryu_apps.southbound.readback import flow_images
from ryu_apps.southbound.sending import Sender, SwitchFault
from ryu_apps.southbound.turns import TURNS

LOG = logging.getLogger(__name__)

# How much is computed or encoded before other green threads get their turn.
SLICE = 16

# How many bindings are begun before the switch is asked for their first step: it works on these
# while we are at the next.
AT_ONCE = 4096

# How often leases of silent followers are looked at while a binding waits for them, in seconds.
LEASE_CHECK = 0.5

INBOX_LIMIT = 1 << 16
"""News that wait for a session: as many as a switch has ofports, for it may tell of each."""


_PORT_EVENTS = {ofp.OFPPR_ADD: "add", ofp.OFPPR_DELETE: "delete"}


Part = TypeVar("Part", FlowList, PortList, MeterLimit, MeterList)


class _ConnectionGone(Exception):
    """Ends the session's thread."""


class Session:
    """Leads `bridge` of one connection. `tell(dpid, names)` makes other switches reconsider.

    `quarrels()` is called when somebody begins to undo what is done on the switch.
    """

    def __init__(
        self,
        datapath: Datapath,
        switch: Switch,
        fleet: Fleet,
        tell: Callable[[Iterable[int], str], None],
        accepted: float,
        quarrels: Callable[[], None],
    ) -> None:
        self.datapath = datapath
        self.switch = switch
        self.bridge: Bridge | None = None
        self._fleet = fleet
        self._tell = tell
        self._accepted: float | None = accepted
        self._quarrels = quarrels
        self._quarrelled = False
        self._inbox: hub.Queue = hub.Queue()
        self._overrun = False
        self._taken_over = False
        self._ended = False
        self._proofs: dict[int, Callable[[], None]] = {}
        self._codec = Codec(switch.settings)
        self._sender = Sender(
            datapath,
            self._codec,
            switch.settings.cookie,
            self._completed,
            self._failed,
            self._meters_refused,
            fleet.figures.refused,
        )
        self._inspector = Inspector(datapath, switch, self._codec)
        self._reader = FlowReader(datapath, self._codec)
        # When droplets' ports came that are not served yet.
        self._arrived: dict[int, float] = {}
        self._thread = hub.spawn(self._run)

    def deliver(self, news: object) -> None:
        """Queue news for the session; never blocks.

        Of a switch that brings news faster than they can be dealt with, or that takes nothing so
        that they pile up, the connection is ended: a fresh one begins from what it really has.
        Closed ends the session at its next step, whatever waits before it.
        """
        self._ended |= isinstance(news, Closed)
        if self._inbox.qsize() >= INBOX_LIMIT and not isinstance(news, Closed):
            if not self._overrun:
                self._overrun = True
                say(LOG, events.NEWS_OVERFLOW, dpid=self.switch.dpid)
                self.datapath.close()
            return
        self._inbox.put(news)

    @property
    def waiting(self) -> int:
        """How many news wait to be dealt with."""
        return self._inbox.qsize()

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether a binding waits for its followers."""
        return self.bridge is not None and self.bridge.awaits_acknowledgement

    # -- the session's thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if ADMISSION.is_full:
                self.switch.reason = "others that connected before are being taken over"
            with ADMISSION.place():
                self._require_open()
                self._take_over()
            while True:
                self._flush_out()
                self._handle(self._next())
        except _ConnectionGone:
            pass
        except Exception as error:  # noqa: BLE001 - logged, with its trace
            # Whatever went wrong, a fresh connection begins from what the switch really has.
            say(LOG, events.SESSION_FAILED, trace=True, dpid=self.switch.dpid)
            self.switch.reason = f"session failed: {error}"
            self.datapath.close()
        finally:
            self._reader.close()

    def _next(self) -> object:
        """The next news; Acknowledged now and then while leases may run out or checks are due."""
        waits = [self._inspector.wait() if self.bridge is not None else None]
        waits.append(LEASE_CHECK if self.awaits_acknowledgement else None)
        try:
            news = self._inbox.get(timeout=min((w for w in waits if w is not None), default=None))
        except hub.QueueEmpty:
            return Acknowledged()
        if isinstance(news, Closed):
            raise _ConnectionGone
        TURNS.wait()
        return news

    def _flush_out(self) -> None:
        """Open what is acknowledged already, then send what the bridge has drafted."""
        self._require_open()
        bridge = self._bridge()
        if bridge.awaits_acknowledgement:
            followers = self.switch.followers
            followers.opened(bridge.acknowledged(followers.acknowledged(monotonic())))
        transaction = bridge.take()
        if transaction is not None:
            self._send(transaction)
        self._inspector.poll(bridge)
        self._require_open()
        busy = not self._taken_over or self._sender.busy or bridge.awaits_acknowledgement
        self.switch.state = SwitchState.SYNCING if busy else SwitchState.IN_SYNC
        complaint = self.switch.repairs.complaint(monotonic())
        self.switch.reason = bridge.shared_failure or complaint
        if complaint and not self._quarrelled:
            self._quarrels()
        self._quarrelled = bool(complaint)
        if not busy and self._accepted is not None:
            seconds = monotonic() - self._accepted
            dpid, flows = self.switch.dpid, bridge.flow_count
            say(LOG, events.SWITCH_IN_SYNC, dpid=dpid, seconds=seconds, flows=flows)
            self._fleet.figures.in_sync.observe(seconds)
            self._accepted = None

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
            case FlowList():
                if not self._reader.flows(news):
                    self._inspector.flows(bridge, news)
            case FlowQuestion():
                self._reader.ask(bridge, news)
            case MeterList():
                self._inspector.meters(bridge, news)
            case FlowCount():
                self._inspector.count(bridge, news)
            case LookAgain():
                self._inspector.look_again()
            case FlowChanges():
                self._inspector.changes(bridge, news)

    def _require_open(self) -> None:
        """Nothing is said of a switch any more, nor to it, that may be another's by now."""
        if self._ended:
            raise _ConnectionGone

    def _bridge(self) -> Bridge:
        if self.bridge is None:
            raise RuntimeError("no bridge before the switch was taken over")
        return self.bridge

    # -- taking over -----------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Learn what the switch has, keep what is right of it, mend the rest, begin what is new."""
        installed = self._ask_flows()
        table = self._ask_meters()
        self._sender.probe()
        ports = self._ask_ports()
        if not self._sender.bundles:
            say(LOG, events.NO_BUNDLES, dpid=self.switch.dpid)
        switch = self.switch
        self.bridge = bridge = Bridge(
            switch.settings,
            switch.feed,
            lambda port: self._fleet.assign(switch, port),
            installed,
            self._codec,
            table,
        )
        for warning in bridge.meters.warnings:
            say(LOG, events.SWITCH_WARNING, dpid=switch.dpid, reason=warning)
        bridge.learn_ports(ports)
        self._fleet.connected(switch, bridge)
        self._sight_all(bridge)
        bridge.adopt_shared()
        for count, ofport in enumerate(bridge.inherited):
            bridge.adopt(ofport)
            if count % SLICE == 0:
                TURNS.wait()
                self._require_open()
        self._inspector.start()
        self._flush_out()
        while self._sender.busy:
            self._handle(self._next())
            self._flush_out()
        self._bring_in(bridge)
        switch.feed.mark_in_sync()
        self._taken_over = True

    def _bring_in(self, bridge: Bridge) -> None:
        """Begin the bindings that are new to the switch, some at a time."""
        for count, ofport in enumerate(bridge.newcomers, 1):
            bridge.begin(ofport)
            if count % SLICE == 0:
                TURNS.wait()
            if count % AT_ONCE == 0:
                self._flush_out()
                while not self._inbox.empty():
                    self._handle(self._next())
                    self._flush_out()

    def _ask_flows(self) -> dict[int, set[encode.Image]]:
        shared = self.switch.settings.cookie.shared
        request = encode.flows_request(self.datapath, shared, CookieMark.MASK)
        self.datapath.set_xid(request)
        expect_bytes(self.datapath, request.xid)
        installed: dict[int, set[encode.Image]] = defaultdict(set)
        for part in self._ask(request, FlowList):
            for cookie, image in flow_images(part.message):
                installed[cookie].add(image)
            TURNS.wait()
        return installed

    def _ask_ports(self) -> list[SwitchPort]:
        request = parser.OFPPortDescStatsRequest(self.datapath, 0)
        return [port for part in self._ask(request, PortList) for port in part.ports]

    def _ask_meters(self) -> MeterTable:
        """Of a switch without meters (OFPMP_METER_FEATURES refused, or 0) none."""
        cookie = self.switch.settings.cookie
        try:
            (features,) = self._ask(meters.features_request(self.datapath), MeterLimit)
            if not features.limit:
                return NO_METERS
            request = meters.meters_request(self.datapath)
            self.datapath.set_xid(request)
            expect_bytes(self.datapath, request.xid)
            found = [one for part in self._ask(request, MeterList) for one in part.meters]
        except SwitchFault as fault:
            say(LOG, events.NO_METERS, dpid=self.switch.dpid, reason=fault)
            return NO_METERS
        ours = {cookie.metered_ofport(meter_id): meter for meter_id, meter in found}
        return MeterTable(features.limit, {o: m for o, m in ours.items() if o is not None})

    def _ask(self, request: OFPMultipartRequest, kind: type[Part]) -> Iterator[Part]:
        """Send a multipart request; the parts of its answer as they come.

        News of ports that comes before the list of ports is older than the list; registrations
        are looked up when the ports are adopted. So nothing else is kept meanwhile.
        """
        self.datapath.send_msg(request)
        more = True
        while more:
            news = self._next()
            if isinstance(news, kind) and news.xid == request.xid:
                more = news.more
                yield news
            elif isinstance(news, Refusal) and news.xid == request.xid:
                raise SwitchFault(f"refused {type(request).__name__}: {news.reason}")
            elif isinstance(news, Refusal):
                self._refused(news.xid, news.reason)

    def _sight_all(self, bridge: Bridge) -> None:
        names = set(bridge.port_names())
        for name in self.switch.port_names - names:
            self._tell(self._fleet.lose_sight(self.switch, name), name)
        for name in names:
            self._tell(self._fleet.sight(self.switch, name, live=False), name)

    # -- news ------------------------------------------------------------------------------------

    def _port_news(self, port: SwitchPort, reason: int) -> None:
        bridge, fleet, switch = self._bridge(), self._fleet, self.switch
        fleet.figures.port_events[_PORT_EVENTS.get(reason, "modify")] += 1
        if reason == ofp.OFPPR_DELETE:
            self._arrived.pop(port.ofport, None)
            bridge.port_removed(port.ofport)
            self._tell(fleet.lose_sight(switch, port.name), port.name)
            return
        if reason == ofp.OFPPR_ADD or port.name not in switch.port_names:
            self._tell(fleet.sight(switch, port.name, live=True), port.name)
            if isinstance(fleet.assign(switch, port), Tenant):
                self._arrived[port.ofport] = monotonic()
        bridge.port_changed(port)

    def _barrier_done(self, xid: int) -> None:
        if xid in self._proofs:
            self._proofs.pop(xid)()
        self._sender.barrier_done(xid)

    def _refused(self, xid: int, reason: str) -> None:
        if self._sender.refused(xid, reason):
            return
        refused = self._fleet.figures.refused
        if self._inspector.refused(xid, reason) or self._reader.refused(xid, reason):
            refused["question"] += 1
        else:
            refused["other"] += 1
            dpid = self.switch.dpid
            say(LOG, events.MESSAGE_REFUSED, dpid=dpid, xid=xid, reason=reason)

    def _send(self, transaction: Transaction) -> None:
        say(
            LOG,
            events.FLOWS_SENT,
            dpid=self.switch.dpid,
            bindings=len(transaction.delete_cookies),
            deleted=len(transaction.remove),
            added=len(transaction.add),
            zones=len(transaction.flush_zones),
            ofports=transaction.ofports,
        )
        self._sender.send(transaction)

    def _completed(self, transaction: Transaction) -> None:
        self._bridge().completed(transaction)
        for ofport in transaction.ofports if self._arrived else ():
            view = self.switch.feed.port(ofport)
            if ofport in self._arrived and view is not None and view.state is PortState.SERVING:
                self._fleet.figures.serving.observe(monotonic() - self._arrived.pop(ofport))

    def _meters_refused(self, reasons: dict[int, str]) -> None:
        bridge = self._bridge()
        bridge.meters_refused(reasons)
        for warning in bridge.meters.warnings:
            say(LOG, events.SWITCH_WARNING, dpid=self.switch.dpid, reason=warning)

    def _failed(self, transaction: Transaction, reasons: dict[int, str], undone: bool) -> None:
        for ofport, reason in reasons.items():
            dpid = self.switch.dpid
            say(LOG, events.FLOW_REFUSED, dpid=dpid, ofport=ofport, reason=reason)
        self._bridge().failed(transaction, reasons, undone=undone)
