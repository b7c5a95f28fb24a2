"""Transactions on their way to one switch: messages out, barriers and refusals in.

A transaction is a sequence of stages; each begins when the switch has answered the barrier after
the one before without having refused anything.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ryu.controller.controller import Datapath
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_parser import MsgBase

from ryu_apps.binding.transaction import Transaction
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.layout import SHARED_OFPORT, CookieMark
from ryu_apps.pipeline.port_flows import REQUEST, PortFlows
from ryu_apps.southbound import encode
from ryu_apps.southbound.forms import Codec
from ryu_apps.southbound.series import (
    BARRIERS,
    DELETED_METERS,
    FLUSHES,
    Series,
    controls,
    set_meters,
)
from ryu_apps.southbound.stream import next_xid, write
from ryu_apps.southbound.turns import TURNS

# Bytes written at once. Ryu queues 16 messages a connection, whatever their size, and hands each
# to the socket by itself: one for each flow-mod costs more than making it. After each write other
# green threads get their turn.
_WRITE = 32 << 10

_MAX_XID = 0xFFFFFFFF


class SwitchFault(Exception):
    """The switch refused what it must accept; the connection is closed and begun anew."""


@dataclass(frozen=True, slots=True)
class _MeterOf:
    """Whose a meter-mod is. Of the two that set a meter only the last one `decides`."""

    ofport: int
    decides: bool


_Owner = int | _MeterOf | None


@dataclass(slots=True, eq=False)
class _Sent:
    """A transaction under way.

    `ranges` are the xids of its messages: (the first, whose flow each one's is); None stands for
    a message that is nobody's in particular. `meters` are objections that decide nothing, and
    `unmetered` those that do. `bundle_id` is 0 where no bundle is open.
    """

    transaction: Transaction
    stages: Iterator[Callable[[], None]]
    bundle_id: int = 0
    ranges: list[tuple[int, list[_Owner]]] = field(default_factory=list)
    refusals: dict[int, str] = field(default_factory=dict)
    meters: dict[int, str] = field(default_factory=dict)
    unmetered: dict[int, str] = field(default_factory=dict)
    fault: str | None = None
    partly_done: bool = False

    @property
    def refused(self) -> bool:
        """Whether the switch refused any message of it so far."""
        return bool(self.refusals) or self.fault is not None


class Sender:
    """The transactions of one connection.

    `completed(transaction)` is called when the switch has carried one out, and `failed(transaction,
    reasons, undone)` when it refused flows of the ofports in `reasons`: `undone` tells whether
    nothing of it was done. `meters_refused(reasons)` is called before that for meters, by ofport,
    and the transaction goes on without them. `refused` counts what was refused by its kind.
    `bundles` False: the switch has no ONF bundles.
    """

    def __init__(
        self,
        datapath: Datapath,
        codec: Codec,
        cookie: CookieMark,
        completed: Callable[[Transaction], None],
        failed: Callable[[Transaction, dict[int, str], bool], None],
        meters_refused: Callable[[dict[int, str]], None],
        refused: Counter[str],
    ) -> None:
        self.bundles = True
        self._datapath = datapath
        self._codec = codec
        self._cookie = cookie
        self._completed = completed
        self._failed = failed
        self._meters_refused = meters_refused
        self._refused = refused
        self._barriers: dict[int, _Sent] = {}
        self._under_way: list[_Sent] = []
        self._bundle_id = 0
        self._probes: set[int] = set()
        self._buffer = bytearray()

    @property
    def busy(self) -> bool:
        """Whether a transaction is under way."""
        return bool(self._under_way)

    def probe(self) -> None:
        """Find out whether the switch has bundles, by an empty one; a refusal comes back soon."""
        self._bundle_id = self._bundle_id % _MAX_XID + 1
        for kind in (ofp.ONF_BCT_OPEN_REQUEST, ofp.ONF_BCT_DISCARD_REQUEST):
            self._probes.add(self._now(self._bundle_id, kind))

    def send(self, transaction: Transaction) -> None:
        """Begin the transaction."""
        sent = _Sent(transaction, iter(()))
        sent.stages = self._in_bundle(sent) if self.bundles else self._one_by_one(sent)
        self._under_way.append(sent)
        self._next_stage(sent)

    def barrier_done(self, xid: int) -> None:
        """The switch has answered a barrier. Raises SwitchFault."""
        sent = self._barriers.pop(xid, None)
        if sent is None:
            return
        if sent.unmetered and sent.bundle_id and sent.fault is None:
            self._stage_again(sent)
            return
        if not sent.refused:
            self._next_stage(sent)
            return
        self._under_way.remove(sent)
        if sent.bundle_id:
            self._now(sent.bundle_id, ofp.ONF_BCT_DISCARD_REQUEST)
        if not sent.refusals:
            raise SwitchFault(sent.fault)
        self._failed(sent.transaction, sent.refusals, not sent.partly_done)

    def refused(self, xid: int, reason: str) -> bool:
        """The switch refused a message; False if it is none of ours."""
        if xid in self._probes:
            self.bundles = False
            return True
        for sent in self._under_way:
            for first, owners in sent.ranges:
                index = (xid - first) & _MAX_XID
                if index < len(owners):
                    self._note(sent, owners[index], reason)
                    return True
        return False

    def _note(self, sent: _Sent, owner: _Owner, reason: str) -> None:
        match owner:
            case None:
                self._refused["bundle"] += 1
                sent.fault = reason
            case _MeterOf(ofport, decides=False):
                sent.meters[ofport] = reason
            case _MeterOf(ofport):
                self._refused["meter"] += 1
                sent.unmetered[ofport] = sent.meters.get(ofport, reason)
            case _:
                self._refused["flow"] += 1
                sent.refusals[owner] = reason

    def _next_stage(self, sent: _Sent) -> None:
        if sent.unmetered:
            self._do_without(sent)
        stage = next(sent.stages, None)
        if stage is None:
            self._under_way.remove(sent)
            self._completed(sent.transaction)
            return
        self._begin(sent, stage)

    def _begin(self, sent: _Sent, stage: Callable[[], None]) -> None:
        stage()
        xid = self._barrier()
        self._barriers[xid] = sent
        self._flush()

    def _do_without(self, sent: _Sent) -> None:
        """Go on without the meters that were refused."""
        self._meters_refused(sent.unmetered)
        meters = {self._cookie.meter_of(ofport) for ofport in sent.unmetered}
        sent.transaction = sent.transaction.without_meters(meters)
        sent.unmetered = {}

    def _stage_again(self, sent: _Sent) -> None:
        """The bundle has flows with meters that the switch refused, and refused them, too."""
        self._now(sent.bundle_id, ofp.ONF_BCT_DISCARD_REQUEST)
        self._do_without(sent)
        sent.refusals = {}
        self._bundle_id = sent.bundle_id = self._bundle_id % _MAX_XID + 1
        self._begin(sent, lambda: self._stage(sent))

    # -- what a transaction consists of ----------------------------------------------------------

    def _in_bundle(self, sent: _Sent) -> Iterator[Callable[[], None]]:
        """All flow-mods in one atomic, ordered bundle (ONF extension 230), then the zones.

        A message that is refused as it is added is only left out of the bundle, so the bundle must
        not be committed before the switch has looked at each. Their meters go before them without
        a pause, as a switch hardly ever refuses one; where it does they are sent once more.
        """
        if not sent.transaction.changes_flows:
            yield from self._meters(sent)
        else:
            self._bundle_id = sent.bundle_id = self._bundle_id % _MAX_XID + 1
            yield lambda: self._stage(sent, with_meters=True)
            yield lambda: self._commit(sent)
        yield from self._zones(sent)
        yield from self._dropped_meters(sent)

    def _one_by_one(self, sent: _Sent) -> Iterator[Callable[[], None]]:
        """Without bundles: what closes first, then what serves, N1 last of all, then what is stale.

        So no port is open before all else of it is there, and an old flow stays until the one that
        does its work is there.
        """
        yield from self._meters(sent)
        transaction, messages = sent.transaction, self._datapath
        closing = [
            (encode.delete_flows(messages, cookie, CookieMark.EXACT), None)
            for cookie in transaction.delete_cookies
        ]
        shared, opening, rest = [], [], []
        for flow, is_request in _told_apart(transaction.add.parts):
            ofport, _ = self._cookie.owner(flow.cookie)
            kind = shared if ofport == SHARED_OFPORT else opening if is_request else rest
            kind.append((encode.add_flow(messages, flow), ofport))
        stale = [
            (encode.remove_flow(messages, cookie, image), None)
            for cookie, image in transaction.remove
        ]
        for stage in filter(None, (closing, shared, rest, opening, stale)):
            yield lambda stage=stage: self._loose(sent, stage)
        yield from self._zones(sent)
        yield from self._dropped_meters(sent)

    def _zones(self, sent: _Sent) -> Iterator[Callable[[], None]]:
        if zones := sent.transaction.flush_zones:
            yield lambda: self._series(sent, FLUSHES, zones)

    def _meters(self, sent: _Sent) -> Iterator[Callable[[], None]]:
        """Each is added and then changed, so that it is right whatever there was of it."""
        if sent.transaction.set_meters:
            yield lambda: self._set_meters(sent)

    def _dropped_meters(self, sent: _Sent) -> Iterator[Callable[[], None]]:
        if dropped := sent.transaction.drop_meters:
            yield lambda: self._series(sent, DELETED_METERS, dropped)

    # -- messages --------------------------------------------------------------------------------

    def _stage(self, sent: _Sent, *, with_meters: bool = False) -> None:
        if with_meters and sent.transaction.set_meters:
            self._set_meters(sent)
            self._barrier()
        self._control(sent, ofp.ONF_BCT_OPEN_REQUEST)
        transaction, dp = sent.transaction, self._datapath
        for cookie in transaction.delete_cookies:
            self._bundled(sent, encode.delete_flows(dp, cookie, CookieMark.EXACT), None)
        for cookie, image in transaction.remove:
            self._bundled(sent, encode.remove_flow(dp, cookie, image), None)
        for part in transaction.add.parts:
            if isinstance(part, PortFlows):
                first = self._numbers(sent, [part.ofport] * part.COUNT)
                self._write(self._codec.bundled(part, sent.bundle_id, first))
            else:
                ofport, _ = self._cookie.owner(part.cookie)
                xid = self._numbers(sent, [ofport])
                self._write(self._codec.message(part, sent.bundle_id, xid))

    def _set_meters(self, sent: _Sent) -> None:
        for meter in sent.transaction.set_meters:
            ofport = self._cookie.metered_ofport(meter.meter_id)
            owners: list[_Owner] = [_MeterOf(ofport, False), _MeterOf(ofport, True)]
            first = self._numbers(sent, owners)
            for n, kind in enumerate(set_meters(meter.rate, meter.burst)):
                self._write(kind.message(meter.meter_id, (first + n) & _MAX_XID))

    def _series(self, sent: _Sent, series: Series, numbers: Sequence[int]) -> None:
        first = self._numbers(sent, [None] * len(numbers))
        for n, number in enumerate(numbers):
            self._write(series.message(number, (first + n) & _MAX_XID))
            sent.partly_done = True

    def _commit(self, sent: _Sent) -> None:
        self._control(sent, ofp.ONF_BCT_COMMIT_REQUEST)
        sent.bundle_id = 0

    def _control(self, sent: _Sent, kind: int) -> None:
        xid = self._numbers(sent, [None])
        self._write(controls(kind).message(sent.bundle_id, xid))

    def _barrier(self) -> int:
        xid = next_xid(self._datapath)
        self._write(BARRIERS.message(xid))
        return xid

    def _bundled(self, sent: _Sent, inner: parser.OFPFlowMod, ofport: int | None) -> None:
        self._numbered(sent, encode.bundled(self._datapath, sent.bundle_id, inner), ofport)

    def _loose(self, sent: _Sent, messages: Iterable[tuple[MsgBase, int | None]]) -> None:
        for message, ofport in messages:
            self._numbered(sent, message, ofport)
            sent.partly_done = True

    def _numbered(self, sent: _Sent, message: MsgBase, owner: _Owner) -> None:
        message.set_xid(self._numbers(sent, [owner]))
        self._write_message(message)

    def _numbers(self, sent: _Sent, owners: list[_Owner]) -> int:
        """The first of as many consecutive xids as there are owners."""
        first = next_xid(self._datapath, len(owners))
        if sent.ranges:
            start, known = sent.ranges[-1]
            if (start + len(known)) & _MAX_XID == first:
                known += owners
                return first
        sent.ranges.append((first, owners))
        return first

    def _now(self, bundle_id: int, kind: int) -> int:
        """Send a bundle's control message of its own; returns its xid."""
        xid = next_xid(self._datapath)
        self._write(controls(kind).message(bundle_id, xid))
        self._flush()
        return xid

    def _write_message(self, message: MsgBase) -> None:
        message.serialize()
        self._write(message.buf)

    def _write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _WRITE:
            self._flush()
            # First whoever hands it to the socket.
            hub.sleep(0)
            TURNS.wait()

    def _flush(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        write(self._datapath, data)


def _told_apart(parts: Iterable[Flow | PortFlows]) -> Iterator[tuple[Flow, bool]]:
    """Each flow, and whether it is the one that opens a port."""
    for part in parts:
        if isinstance(part, PortFlows):
            flows = part.flows()
            yield from ((flow, n == REQUEST) for n, flow in enumerate(flows))
        else:
            yield part, False
