"""One connected switch: from what is wanted on each port to the next thing to ask of the switch.

Every public method takes news (a port, a registration, an answer from the switch) and adds to the
Transaction that `take` gives. Nothing here sends, waits or reads a clock. A Bridge lives as long as
one connection; the PortFeed it writes to outlives it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.images import (
    NO_DIFFERENCE,
    Codec,
    Difference,
    Image,
    Installed,
    difference,
    picked,
)
from ryu_apps.binding.meters import NO_METERS, MeterTable, PortMeters
from ryu_apps.binding.port import (
    Denied,
    Lobby,
    Nobody,
    Phase,
    PortRecord,
    SwitchPort,
    Tenant,
    Wanted,
)
from ryu_apps.binding.transaction import Transaction, TransactionDraft
from ryu_apps.binding.views import PortState, PortView
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.addressing import MAX_OFPORT, OfportOutOfRange
from ryu_apps.pipeline.layout import SHARED_OFPORT, BridgeSettings, MetaPort
from ryu_apps.pipeline.port_flows import REQUEST, PortFlows
from ryu_apps.pipeline.shared_flows import shared_flows


class Bridge:
    """The bindings of one switch, for one connection.

    `assign(port)` tells who belongs on a port. `installed` is what was found on the switch and
    `codec` gives the same form of flows that are wanted; `meters` is what the switch tells of its
    meters. A switch is taken over by `learn_ports`,
    then `adopt_shared`, then `adopt` for each of `ofports`.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        feed: PortFeed,
        assign: Callable[[SwitchPort], Wanted],
        installed: Installed,
        codec: Codec,
        meters: MeterTable = NO_METERS,
    ) -> None:
        self.settings = settings
        self.meters = PortMeters(settings, meters)
        self.feed = feed
        self.meta: MetaPort | None = None
        self.shared_failure: str | None = None
        self._assign = assign
        self._codec = codec
        self._found: dict[int, dict[int, Set[Image]]] = {}
        for cookie, images in installed.items():
            ofport, _ = settings.cookie.owner(cookie)
            self._found.setdefault(ofport, {})[cookie] = images
        self._records: dict[int, PortRecord] = {}
        self._ofports_by_name: dict[str, int] = {}
        self._announced: set[int] = set()
        self._shared: tuple[Flow, ...] = ()
        self._shared_coming: deque[tuple[Flow, ...]] = deque()
        self._moved: set[int] = set()
        self._draft = TransactionDraft()

    # -- what readers ask ------------------------------------------------------------------------

    @property
    def ofports(self) -> list[int]:
        """Every ofport that has a port, or still has flows or a published view from earlier."""
        return sorted(self._records)

    @property
    def flow_count(self) -> int:
        """How many flows of ours the switch has acknowledged."""
        ports = sum(record.flows is not None for record in self._records.values())
        return len(self._shared) + ports * PortFlows.COUNT

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether a published binding waits for its followers before it opens."""
        return bool(self._announced)

    def port_names(self) -> list[str]:
        """The names of the ports the switch has now, meta0 and reserved ports left out."""
        return list(self._ofports_by_name)

    def had_flows_of(self, name: str, droplet_id: int) -> bool:
        """Whether the switch came with flows that bind this droplet to the port of this name."""
        ofport = self._ofports_by_name.get(name, SHARED_OFPORT)
        return self.settings.cookie.of_port(ofport, droplet_id) in self._found.get(ofport, {})

    def take(self) -> Transaction | None:
        """What is to be asked of the switch now, once; None if nothing is."""
        return self._draft.take()

    # -- taking over -----------------------------------------------------------------------------

    def learn_ports(self, ports: Iterable[SwitchPort]) -> None:
        """The switch's own list of its ports, complete."""
        for port in ports:
            self._note(port)
        for ofport in self._found.keys() - {SHARED_OFPORT}:
            self._record(ofport)
        for ofport in self.meters.held:
            self._record(ofport)
        for view in self.feed.ports():
            self._record(view.ofport)

    def adopt_shared(self) -> None:
        """Keep the shared flows found on the switch as far as they are right, mend the others."""
        shared = shared_flows(self.settings, self.meta)
        self._mend_shared(shared, self._found.pop(SHARED_OFPORT, {}))

    def adopt(self, ofport: int) -> None:
        """Keep the port's flows found on the switch if they are right, else begin to mend them.

        Flows of the same droplet on the same port, with the address and zone it has now, are
        mended in place, only those that are wrong, and its connections live on; flows of anyone
        else are taken away first, and the port starts anew.
        """
        record = self._records[ofport]
        found = self._found.pop(ofport, {})
        record.held = tuple(found)
        wanted = self._wanted(record)
        if wanted.identity is None or set(found) != {self._cookie(ofport, wanted)}:
            self._advance(record)
            return
        flows = self._flows(ofport, wanted)
        images = self._codec.port_images(flows)
        (on_switch,) = found.values()
        if not self._opens(on_switch, flows, images):
            self._advance(record)
            return
        record.occupant = wanted
        if not self._mend(record, flows, images, on_switch):
            record.flows, record.phase = flows, Phase.OPEN
            if not self.meters.right(ofport):
                self._begin_opening(record, flows)
        self._publish(record, new_binding=self._bound_otherwise(record))

    def _opens(self, found: Set[Image], flows: PortFlows, images: Sequence[Image]) -> bool:
        """Whether N1 of `flows` is among those found, be it with its meter or without."""
        unlike = replace(flows, settings=self.meters.other_settings(flows.ofport))
        return images[REQUEST] in found or self._codec.port_images(unlike)[REQUEST] in found

    # -- news ------------------------------------------------------------------------------------

    def port_changed(self, port: SwitchPort) -> None:
        """A port came, or its name or address changed."""
        before = self.meta
        if not self._note(port):
            return
        if self.meta != before:
            self._meta_changed()
        elif port.ofport in self._records:
            self._advance(self._records[port.ofport])

    def port_removed(self, ofport: int) -> None:
        """The port went. Its flows stay on the switch until they are deleted."""
        if self.meta is not None and self.meta.ofport == ofport:
            self.meta = None
            self._meta_changed()
        record = self._records.get(ofport)
        if record is not None and record.port is not None:
            self._forget_name(record)
            record.port = None
            self._advance(record)

    def reconsider(self, names: Iterable[str]) -> None:
        """The registry, or the fleet, may want something else on the ports of these names."""
        for name in names:
            ofport = self._ofports_by_name.get(name)
            if ofport is not None:
                self._advance(self._records[ofport])

    def acknowledged(self, revision: int | None) -> int:
        """All followers answer from views up to `revision`; None: there is no follower.

        Returns the newest revision that told of a port which opens now; 0 if none does.
        """
        opened = 0
        for ofport in sorted(self._announced):
            record = self._records[ofport]
            if revision is None or record.announced <= revision:
                opened = max(opened, record.announced)
                self._install(record, self._flows(ofport, record.occupant))
                self._publish(record)
        return opened

    def completed(self, done: Transaction) -> None:
        """The switch has carried the transaction out."""
        for ofport in done.ofports:
            if ofport == SHARED_OFPORT:
                self._shared = self._shared_coming.popleft()
                continue
            record = self._records[ofport]
            if record.phase is Phase.CLOSING:
                self.meters.closed(ofport)
                record.flows, record.held = None, ()
                record.zone_clean, record.phase = True, Phase.IDLE
                if record.failure and self._wanted(record).identity == record.occupant.identity:
                    self._publish(record)
                    continue
                record.occupant = Nobody()
            record.failure = None
            if record.phase is Phase.FLUSHING:
                record.phase, record.zone_clean = Phase.IDLE, True
            elif record.phase is Phase.OPENING:
                self.meters.served(ofport)
                record.flows, record.coming, record.phase = record.coming, None, Phase.OPEN
                record.held = (self._cookie(ofport, record.occupant),)
            self._advance(record)

    def failed(
        self, refused: Transaction, reasons: Mapping[int, str], *, undone: bool = True
    ) -> None:
        """The switch refused the transaction, for flows of these ofports.

        The named ports stay as they were, with the reason to be seen, until there is news of
        them; the work of the others is begun again. Where it is not `undone` (the switch has no
        bundles) nobody knows what of it was done: its ports are closed, as what they were and as
        what they were to become.
        """
        if SHARED_OFPORT in refused.ofports:
            self._shared_coming.popleft()
        if SHARED_OFPORT in reasons:
            self.shared_failure = reasons[SHARED_OFPORT]
        elif SHARED_OFPORT in refused.ofports:
            self._install_shared()
        for ofport in refused.ofports:
            if ofport == SHARED_OFPORT:
                continue
            record = self._records[ofport]
            if not undone and record.coming is not None:
                self._close_uncertain(record, reasons.get(ofport))
                continue
            record.coming = None
            record.phase = Phase.OPEN if record.flows else Phase.IDLE
            record.failure = reasons.get(ofport)
            if record.failure is None:
                self._advance(record)
            else:
                self._publish(record)
        if self.shared_failure is not None:
            for record in list(self._records.values()):
                self._advance(record)

    def meters_refused(self, reasons: Mapping[int, str]) -> None:
        """The switch takes no meters for these ofports; what comes on them comes without."""
        self.meters.refuse(reasons)
        for ofport in reasons:
            record = self._records[ofport]
            if record.coming is not None:
                record.coming = replace(record.coming, settings=self.meters.settings(ofport))

    # -- drift -----------------------------------------------------------------------------------

    def begin_check(self) -> None:
        """The switch is about to tell flows: those of a port that moves meanwhile tell nothing."""
        still = (Phase.OPEN, Phase.IDLE)
        self._moved = {o for o, record in self._records.items() if record.phase not in still}
        if self._shared_coming:
            self._moved.add(SHARED_OFPORT)

    @property
    def moved(self) -> bool:
        """Whether any port has moved since then."""
        return bool(self._moved)

    def cookie_at(self, ofport: int) -> int | None:
        """The cookie under which the switch should have flows of this ofport."""
        if ofport == SHARED_OFPORT:
            return self.settings.cookie.shared
        record = self._records.get(ofport)
        return record.flows.cookie if record is not None and record.flows is not None else None

    def port_flows(self) -> list[PortFlows]:
        """The flows of every open port."""
        return [record.flows for record in self._records.values() if record.flows is not None]

    def check(self, ofport: int, found: Installed, *, repair: bool = True) -> Difference:
        """Mend what others did to the flows of one ofport, of which the switch has `found`.

        What is wrong with a binding's own flows is mended in place; flows that name somebody else
        on its port are taken away with everything of the port, which then starts anew.
        """
        if ofport in self._moved:
            return NO_DIFFERENCE
        if ofport == SHARED_OFPORT:
            return self._check_shared(found, repair=repair)
        record = self._records.get(ofport)
        if record is not None and record.phase is Phase.OPEN:
            return self._check_open(record, found, repair=repair)
        if found and repair:
            record = self._record(ofport)
            record.held = tuple(found)
            self._advance(record)
        return NO_DIFFERENCE.and_strays(sum(map(len, found.values())))

    def _check_shared(self, found: Installed, *, repair: bool) -> Difference:
        if self.shared_failure is not None:
            return NO_DIFFERENCE
        if repair:
            return self._mend_shared(self._shared, found)
        own = found.get(self.settings.cookie.shared, frozenset())
        return difference([*map(self._codec.image, self._shared)], own)

    def _check_open(self, record: PortRecord, found: Installed, *, repair: bool) -> Difference:
        flows = record.flows
        own = found.get(flows.cookie, frozenset())
        strays = [cookie for cookie in found if cookie != flows.cookie]
        images = self._codec.port_images(flows)
        if strays:
            if repair:
                record.held = (flows.cookie, *strays)
                self._close(record)
            count = sum(len(found[cookie]) for cookie in strays)
            return difference(images, own).and_strays(count)
        if repair:
            return self._mend(record, flows, images, own)
        return difference(images, own)

    # -- one step of one port --------------------------------------------------------------------

    def _advance(self, record: PortRecord) -> None:
        """Begin the next step towards what is wanted on the port, if none is under way."""
        wanted = self._wanted(record)
        if record.phase is Phase.ANNOUNCED and wanted.identity != record.occupant.identity:
            self._announced.discard(record.ofport)
            record.phase, record.occupant = Phase.IDLE, Nobody()
        if record.phase is Phase.OPEN and wanted.identity != record.occupant.identity:
            record.failure = None
            self._close(record)
        elif record.phase is Phase.OPEN:
            self._refresh(record, wanted)
        elif record.phase is Phase.ANNOUNCED:
            # A reader may see only the newest entry of a port, so that one must be acknowledged.
            record.occupant = wanted
            record.announced = self._publish(record)
        elif record.phase is Phase.IDLE and (record.held or self.meters.holds(record.ofport)):
            record.failure = None
            self._close(record)
        elif record.phase is Phase.IDLE:
            self._start(record, wanted)

    def _start(self, record: PortRecord, wanted: Wanted) -> None:
        """From IDLE: announce the newcomer, or flush its zone first; or show that nobody comes."""
        record.occupant = wanted
        record.failure = None
        if wanted.identity is None:
            if record.port is None:
                del self._records[record.ofport]
                self.feed.remove(record.ofport)
            else:
                self._publish(record)
        elif record.zone_clean:
            record.phase = Phase.ANNOUNCED
            record.announced = self._publish(record, new_binding=True)
            self._announced.add(record.ofport)
        else:
            record.phase = Phase.FLUSHING
            self._draft.flush(self.settings.addressing.zone(record.ofport))
            self._step(record.ofport)
            self._publish(record)

    def _refresh(self, record: PortRecord, wanted: Wanted) -> None:
        """From OPEN, for the same droplet: its MAC, meta0 or its record may have changed."""
        flows = self._flows(record.ofport, wanted)
        record.failure = None
        if flows != record.flows:
            self._install(record, flows)
        record.occupant = wanted
        self._publish(record)

    def _install(self, record: PortRecord, flows: PortFlows) -> None:
        """The port's flows become `flows`; those it has already stay as they are."""
        if record.flows is None:
            self._draft.delete(record.held)
            self._draft.add([flows])
            self._begin_opening(record, flows)
        else:
            images = self._codec.port_images(flows)
            if not self._mend(record, flows, images, set(self._codec.port_images(record.flows))):
                record.flows = flows

    def _mend(
        self, record: PortRecord, flows: PortFlows, images: Sequence[Image], found: Set[Image]
    ) -> Difference:
        """From the flows `found` under the cookie of `flows` to `flows`; what there was to do."""
        wrong = difference(images, found)
        if wrong:
            self._draft.remove(flows.cookie, wrong.stale)
            self._draft.add(picked(flows.flows(), wrong.missing))
            self._begin_opening(record, flows)
        return wrong

    def _begin_opening(self, record: PortRecord, flows: PortFlows) -> None:
        self._announced.discard(record.ofport)
        record.phase, record.coming, record.zone_clean = Phase.OPENING, flows, False
        self.meters.serve(record.ofport, self._draft)
        self._step(record.ofport)

    def _install_shared(self) -> None:
        """The shared flows become what they must be, whatever they are."""
        shared = shared_flows(self.settings, self.meta)
        self._draft.delete([self.settings.cookie.shared])
        self._draft.add(shared)
        self._begin_shared(shared)

    def _mend_shared(self, shared: tuple[Flow, ...], found: Installed) -> Difference:
        """From the flows `found` that belong to no port to `shared`; what there was to do."""
        cookie = self.settings.cookie.shared
        strange = [other for other in found if other != cookie]
        wrong = difference([*map(self._codec.image, shared)], found.get(cookie, frozenset()))
        if wrong or strange:
            self._draft.delete(strange)
            self._draft.remove(cookie, wrong.stale)
            self._draft.add(picked(shared, wrong.missing))
            self._begin_shared(shared)
        else:
            self._shared = shared
        return wrong.and_strays(sum(len(found[other]) for other in strange))

    def _begin_shared(self, shared: tuple[Flow, ...]) -> None:
        self._shared_coming.append(shared)
        self._step(SHARED_OFPORT)

    def _step(self, ofport: int) -> None:
        self._draft.step(ofport)
        self._moved.add(ofport)

    def _close(self, record: PortRecord) -> None:
        record.phase = Phase.CLOSING
        self._draft.delete(record.held)
        self.meters.drop(record.ofport, self._draft)
        if record.ofport in self.settings.addressing.ofports:
            self._draft.flush(self.settings.addressing.zone(record.ofport))
        self._step(record.ofport)

    def _close_uncertain(self, record: PortRecord, failure: str | None) -> None:
        """Close a port that may have any of its old and new flows."""
        record.held = tuple({*record.held, record.coming.cookie})
        record.flows, record.coming, record.failure = None, None, failure
        self._close(record)

    # -- what follows from what ------------------------------------------------------------------

    def _wanted(self, record: PortRecord) -> Wanted:
        """Who belongs on the port, if the bridge can serve anyone there at all."""
        if record.port is None:
            return Nobody()
        wanted = self._assign(record.port)
        if wanted.identity is None:
            return wanted
        if self.shared_failure is not None:
            return Denied(f"the switch refused the shared flows: {self.shared_failure}")
        if self.meta is None:
            return Denied(f"the bridge has no port {self.settings.meta_port_name}")
        try:
            self.settings.addressing.hv_local(record.ofport)
        except OfportOutOfRange as error:
            return Denied(str(error))
        return wanted

    def _flows(self, ofport: int, occupant: Wanted) -> PortFlows:
        if self.meta is None:
            raise RuntimeError(f"ofport {ofport} was to be opened on a bridge without meta0")
        settings = self.meters.settings(ofport)
        if isinstance(occupant, Tenant):
            claim = occupant.claim
            who = (claim.droplet_id, claim.mac, claim.hop_limit)
            return PortFlows(settings, self.meta, ofport, *who)
        return PortFlows(settings, self.meta, ofport)

    def _cookie(self, ofport: int, occupant: Tenant | Lobby) -> int:
        droplet_id, _ = occupant.identity
        return self.settings.cookie.of_port(ofport, droplet_id)

    def _meta_changed(self) -> None:
        """meta0 came, went or changed: the shared flows and every port depend on it."""
        self._install_shared()
        for record in list(self._records.values()):
            self._advance(record)

    # -- ports and views -------------------------------------------------------------------------

    def _note(self, port: SwitchPort) -> bool:
        """Take the port's description over; False for a reserved port such as LOCAL."""
        if not 1 <= port.ofport <= MAX_OFPORT:
            return False
        if port.name == self.settings.meta_port_name:
            self.meta = MetaPort(port.ofport, port.mac)
            return True
        record = self._record(port.ofport)
        self._forget_name(record)
        record.port = port
        self._ofports_by_name[port.name] = port.ofport
        return True

    def _record(self, ofport: int) -> PortRecord:
        return self._records.setdefault(ofport, PortRecord(ofport))

    def _forget_name(self, record: PortRecord) -> None:
        name = record.port.name if record.port is not None else None
        if name is not None and self._ofports_by_name.get(name) == record.ofport:
            del self._ofports_by_name[name]

    def _bound_otherwise(self, record: PortRecord) -> bool:
        """Whether the feed does not yet tell of this droplet on this port."""
        known = self.feed.port(record.ofport)
        view = self._view(record)
        return known is None or (known.droplet_id, known.name) != (view.droplet_id, view.name)

    def _publish(self, record: PortRecord, *, new_binding: bool = False) -> int:
        return self.feed.publish(self._view(record), new_binding=new_binding)

    def _view(self, record: PortRecord) -> PortView:
        known = self.feed.port(record.ofport)
        try:
            address = str(self.settings.addressing.hv_local(record.ofport))
        except OfportOutOfRange:
            address = None
        published = record.phase in (Phase.ANNOUNCED, Phase.OPENING, Phase.OPEN)
        claim = record.occupant.claim if isinstance(record.occupant, Tenant) else None
        mapped = claim if published else None
        return PortView(
            ofport=record.ofport,
            name=record.port.name if record.port else known.name if known else "",
            hv_local_ip=address,
            droplet_id=mapped.droplet_id if mapped else None,
            state=_state(record),
            reason=_reason(record),
            droplet_revision=mapped.revision if mapped else None,
            binding=known.binding if known and published else None,
            elsewhere=isinstance(record.occupant, Denied) and record.occupant.elsewhere,
        )


def _state(record: PortRecord) -> PortState:
    if record.failure is not None or isinstance(record.occupant, Denied):
        return PortState.ERROR
    if not isinstance(record.occupant, Tenant):
        return PortState.UNREGISTERED
    return PortState.SERVING if record.phase is Phase.OPEN else PortState.BINDING


def _reason(record: PortRecord) -> str | None:
    if record.failure is not None:
        return record.failure
    return record.occupant.reason if isinstance(record.occupant, Denied) else None
