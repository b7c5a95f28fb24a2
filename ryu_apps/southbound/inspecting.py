"""Whether a switch still has our flows: asks and listens; what it means is `binding.drift`'s.

Where the switch has ONF's flow monitor (extension 187, as Open vSwitch has it on OpenFlow 1.3) it
tells of every change by others as it happens. What it says is only a reason to read back the
bindings concerned; a count by cookie now and then, and a full read-back more rarely, find the rest.
"""

import logging
import struct
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from time import monotonic

from ryu.controller.controller import Datapath
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_common import ONF_EXPERIMENTER_ID

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding.bridge import Bridge
from ryu_apps.binding.drift import Check, Look, Mend, Watch
from ryu_apps.binding.fleet import Switch
from ryu_apps.binding.images import Difference
from ryu_apps.openflow.meter import Meter
from ryu_apps.pipeline.layout import SHARED_OFPORT, CookieMark
from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.southbound import encode
from ryu_apps.southbound.encode import Image
from ryu_apps.southbound.forms import Codec
from ryu_apps.southbound.meters import meters_request
from ryu_apps.southbound.news import FlowChanges, FlowCount, FlowList, MeterList
from ryu_apps.southbound.overlap import captures, shapes
from ryu_apps.southbound.raw import ONFST_FLOW_MONITOR, expect_bytes
from ryu_apps.southbound.readback import (
    FlowEvent,
    flow_changes,
    flow_images,
    match_text,
)
from ryu_apps.southbound.series import counts
from ryu_apps.southbound.stream import next_xid, write
from ryu_apps.southbound.turns import TURNS

LOG = logging.getLogger(__name__)

# How many ports are compared before other green threads get their turn.
_SLICE = 16

# Up to so many meters are read back with each count, more with each full comparison only.
_FEW_METERS = range(1, 2049)

# Flows of others that are remembered, and that are told one by one.
_FOREIGN_KEPT = 2048
_FOREIGN_TOLD = 8

# openflow-1.3.h of Open vSwitch: struct onf_flow_monitor_request with an empty match behind it,
# and the flags for changes of all kinds; those of our own are abbreviated unless asked for.
_MONITOR = struct.Struct("!IHHIB3x")
_ANY_MATCH = struct.pack("!HH4x", ofp.OFPMT_OXM, 4)
_ADD_DELETE_MODIFY = 0b1110


@dataclass(slots=True)
class _Inquiry:
    """Questions under way, by xid, and what has been answered of them."""

    check: Check
    foreign: bool = False
    waiting: set[int] = field(default_factory=set)
    found: dict[int, set[Image]] = field(default_factory=lambda: defaultdict(set))
    counts: dict[int, int] = field(default_factory=dict)
    ours_xid: int = 0
    meters_xid: int = 0
    meters: dict[int, Meter | None] = field(default_factory=dict)


class Inspector:
    """Watches the flows of one connection."""

    def __init__(self, datapath: Datapath, switch: Switch, codec: Codec) -> None:
        self._datapath = datapath
        self._switch = switch
        self._codec = codec
        self._watch = Watch(monotonic(), _share(switch.dpid))
        self._inquiry: _Inquiry | None = None
        self._left = 0  # So many flows under cookies of ours are others' and left alone for now.
        self._foreign: dict[object, tuple[int, Image]] = {}
        self._monitor_xid = 0
        tables = switch.settings.tables
        names = (tables.arp_responder, tables.classifier, tables.l2_rewrite, tables.forwarding)
        self._tables = sorted(set(names))

    def start(self) -> None:
        """Ask to be told of changes. A switch that cannot refuses."""
        requests = b"".join(
            _MONITOR.pack(table + 1, _ADD_DELETE_MODIFY, len(_ANY_MATCH), ofp.OFPP_ANY, table)
            + _ANY_MATCH
            for table in self._tables
        )
        request = parser.OFPExperimenterStatsRequest(
            self._datapath, 0, ONF_EXPERIMENTER_ID, ONFST_FLOW_MONITOR, requests
        )
        self._datapath.set_xid(request)
        self._monitor_xid = request.xid
        self._watch.monitor(monotonic())
        self._datapath.send_msg(request)

    def wait(self) -> float | None:
        """Seconds until `poll` has something to do; None while answers are awaited."""
        return None if self._inquiry is not None else self._watch.wait(monotonic())

    def refused(self, xid: int, reason: str) -> bool:
        """The switch refused a message; False if it is none of ours."""
        if xid == self._monitor_xid:
            say(LOG, events.NO_FLOW_MONITOR, dpid=self._switch.dpid, reason=reason)
            self._watch.unmonitor(monotonic())
            return True
        if self._inquiry is None or xid not in self._inquiry.waiting:
            return False
        say(LOG, events.FLOWS_NOT_TOLD, dpid=self._switch.dpid, reason=reason)
        self._inquiry = None
        return True

    def poll(self, bridge: Bridge) -> None:
        """Begin what is due."""
        if self._inquiry is not None:
            return
        check = self._watch.due(monotonic())
        if check is None:
            return
        bridge.begin_check()
        self._inquiry = _Inquiry(check)
        if check.look is Look.ALL or len(bridge.meters.held) in _FEW_METERS:
            self._ask_meters()
        if check.look is Look.COUNT:
            self._ask_counts()
        elif check.look is Look.ALL:
            self._ask_flows(self._switch.settings.cookie.shared, CookieMark.MASK)
        else:
            for cookie in self._with_their_bindings(bridge, check.cookies):
                self._ask_flows(cookie, CookieMark.EXACT)

    def look_again(self) -> None:
        """All flows are to be read back now."""
        self._watch.read_at(monotonic())

    def changes(self, bridge: Bridge, news: FlowChanges) -> None:
        """Others changed flows in our tables."""
        now, mark = monotonic(), self._switch.settings.cookie.shared
        foreign = False
        for event, cookie, image in flow_changes(news.message):
            if cookie & CookieMark.MASK == mark:
                self._watch.changed(cookie, now)
                continue
            foreign = True
            if event is FlowEvent.DELETED:
                self._foreign.pop(image.key, None)
            else:
                self._note_foreign(cookie, image)
            if event is FlowEvent.MODIFIED:
                # The flow was there before, perhaps as one of ours.
                self._watch.suspect(now)
        if foreign:
            self._warn(bridge)

    def count(self, bridge: Bridge, news: FlowCount) -> None:
        """A part of what was asked by `_ask_counts`."""
        inquiry = self._answered(news.xid, more=False)
        if inquiry is None:
            return
        inquiry.counts[news.xid] = news.count
        if inquiry.waiting:
            return
        self._inquiry = None
        if bridge.moved:
            return
        ours = inquiry.counts.pop(inquiry.ours_xid)
        left = self._left if self._switch.repairs.yields(monotonic()) else 0
        if ours != bridge.flow_count + left:
            self._watch.miscounted()
        elif sum(inquiry.counts.values()) - ours != len(self._foreign):
            self._ask_foreign()

    def meters(self, bridge: Bridge, news: MeterList) -> None:
        """A part of what was asked by `_ask_meters`."""
        inquiry = self._inquiry
        if inquiry is None or news.xid != inquiry.meters_xid:
            return
        inquiry.meters.update(news.meters)
        now = monotonic()
        if news.more or self._switch.repairs.may(now) is Mend.NOTHING:
            return
        ofport_of = self._switch.settings.cookie.metered_ofport
        ours = {ofport_of(meter_id): meter for meter_id, meter in inquiry.meters.items()}
        wrong = bridge.check_meters({o: m for o, m in ours.items() if o is not None})
        if wrong:
            self._tell(wrong, f"{wrong} meters changed", now)

    def flows(self, bridge: Bridge, news: FlowList) -> None:
        """A part of what was asked by `_ask_flows`."""
        inquiry = self._answered(news.xid, more=news.more)
        if inquiry is None:
            return
        for cookie, image in flow_images(news.message):
            inquiry.found[cookie].add(image)
        if inquiry.waiting:
            return
        self._inquiry = None
        if inquiry.foreign:
            self._foreign.clear()
            for cookie, images in inquiry.found.items():
                for image in images:
                    self._note_foreign(cookie, image)
            self._warn(bridge)
        else:
            self._compare(bridge, inquiry)

    # -- questions -------------------------------------------------------------------------------

    def _answered(self, xid: int, *, more: bool) -> _Inquiry | None:
        inquiry = self._inquiry
        if inquiry is None or xid not in inquiry.waiting:
            return None
        if not more:
            inquiry.waiting.discard(xid)
        return inquiry

    def _ask_flows(self, cookie: int, mask: int, table: int = ofp.OFPTT_ALL) -> None:
        request = encode.flows_request(self._datapath, cookie, mask, table)
        self._datapath.set_xid(request)
        expect_bytes(self._datapath, request.xid)
        self._inquiry.waiting.add(request.xid)
        self._datapath.send_msg(request)

    def _ask_meters(self) -> None:
        """Before the flows, so that the answer comes while the inquiry goes on."""
        request = meters_request(self._datapath)
        self._datapath.set_xid(request)
        expect_bytes(self._datapath, request.xid)
        self._inquiry.meters_xid = request.xid
        self._datapath.send_msg(request)

    def _ask_counts(self) -> None:
        """How many flows there are of ours, and how many in each of our tables of anybody's."""
        shared, inquiry = self._switch.settings.cookie.shared, self._inquiry
        asked = [(shared, CookieMark.MASK, ofp.OFPTT_ALL)]
        asked += [(0, 0, table) for table in self._tables]
        requests = b""
        for cookie, mask, table in asked:
            xid = next_xid(self._datapath)
            inquiry.waiting.add(xid)
            inquiry.ours_xid = inquiry.ours_xid or xid
            requests += counts(cookie, mask, table).message(xid)
        write(self._datapath, requests)

    def _ask_foreign(self) -> None:
        """All flows in our tables that are not ours, without ours.

        No mask says "another cookie". But any other differs from our mark in some bit of sixteen:
        for each, those that differ there and agree above it.
        """
        self._inquiry = _Inquiry(Check(Look.COUNT), foreign=True)
        mark = self._switch.settings.cookie.shared
        for table in self._tables:
            for bit in range(48, 64):
                mask = CookieMark.EXACT >> bit << bit
                self._ask_flows((mark ^ 1 << bit) & mask, mask, table)

    @staticmethod
    def _with_their_bindings(bridge: Bridge, cookies: Iterable[int]) -> set[int]:
        """These cookies, and those that the same ofports should have."""
        wanted = set(cookies)
        for cookie in cookies:
            own = bridge.cookie_at(CookieMark.owner(cookie)[0])
            if own is not None:
                wanted.add(own)
        return wanted

    # -- answers ---------------------------------------------------------------------------------

    def _compare(self, bridge: Bridge, inquiry: _Inquiry) -> None:
        """Have what is wrong mended, as far as that may be now."""
        by_port: dict[int, dict[int, set[Image]]] = defaultdict(dict)
        for cookie, images in inquiry.found.items():
            by_port[CookieMark.owner(cookie)[0]][cookie] = images
        if inquiry.check.look is Look.ALL:
            ofports = {*bridge.ofports, SHARED_OFPORT, *by_port}
        else:
            ofports = {CookieMark.owner(cookie)[0] for cookie in inquiry.check.cookies}
        now, repairs = monotonic(), self._switch.repairs
        mend = repairs.may(now)
        total = Difference()
        for count, ofport in enumerate(sorted(ofports), 1):
            wrong = bridge.check(ofport, by_port.get(ofport, {}), mend)
            total = total.plus(wrong)
            if count % _SLICE == 0:
                TURNS.wait()
        if mend is not Mend.ALL:
            if inquiry.check.look is Look.ALL:
                self._left = len(total.stale) + total.strays
            self._watch.read_at(repairs.all_at)
            total = replace(total, stale=(), strays=0)
        if total and mend is Mend.NOTHING:
            self._watch.put_off(repairs.next(now))
        elif total:
            self._tell(total.count, total.text(), now)

    def _tell(self, count: int, reason: str, now: float) -> None:
        self._switch.repairs.note(count, reason, now, time.time())
        say(LOG, events.FLOWS_MENDED, dpid=self._switch.dpid, reason=reason)
        complaint = self._switch.repairs.complaint(now)
        if complaint is not None:
            say(LOG, events.FLOWS_CONTESTED, dpid=self._switch.dpid, reason=complaint)

    # -- flows of others -------------------------------------------------------------------------

    def _note_foreign(self, cookie: int, image: Image) -> None:
        if image.key in self._foreign or len(self._foreign) < _FOREIGN_KEPT:
            self._foreign[image.key] = cookie, image

    def _warn(self, bridge: Bridge) -> None:
        """Say which flows of others stand before ours."""
        told = [
            f"a flow of others takes traffic of ours: cookie {cookie:#x}, table {image.table}, "
            f"priority {image.priority}, {match_text(image.match)}"
            for cookie, image in self._capturing(bridge)
        ]
        if len(told) > _FOREIGN_TOLD:
            told[_FOREIGN_TOLD:] = [f"and {len(told) - _FOREIGN_TOLD} more such flows"]
        for warning in set(told) - set(self._switch.foreign):
            say(LOG, events.SWITCH_WARNING, dpid=self._switch.dpid, reason=warning)
        self._switch.foreign = tuple(told)

    def _capturing(self, bridge: Bridge) -> list[tuple[int, Image]]:
        ports = bridge.port_flows()
        if not ports or not self._foreign:
            return []
        one = ports[0]
        two = map(self._codec.port_images, (one, self._another(one)))
        alike = shapes(*two, self._switch.settings.addressing.hv_local_subnet)
        ofports = [one.meta.ofport, *(flows.ofport for flows in ports)]
        return [
            (cookie, image)
            for cookie, image in self._foreign.values()
            if captures(image, alike, ofports)
        ]

    def _another(self, flows: PortFlows) -> PortFlows:
        """The flows of a port that has nothing in common with this one but the bridge."""
        ofports = self._switch.settings.addressing.ofports
        other = ofports.start if flows.ofport != ofports.start else ofports.stop - 1
        mac = None if flows.mac is None else _OTHER_MAC[flows.mac == _OTHER_MAC[0]]
        return replace(flows, ofport=other, droplet_id=flows.droplet_id ^ 1, mac=mac)


def _share(dpid: int) -> float:
    """A number in 0..1 for each switch, spread evenly: the golden ratio's multiples are."""
    return dpid * 0.6180339887 % 1


_OTHER_MAC = ("02:00:00:00:00:01", "02:00:00:00:00:02")
