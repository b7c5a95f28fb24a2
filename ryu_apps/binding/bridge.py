"""One connected switch: from what is wanted on each port to the next thing to ask of the switch.

Every public method takes news (a port, a registration, an answer from the switch) and adds to the
Transaction that `take` gives. Nothing here sends, waits or reads a clock. A Bridge lives as long as
one connection; the PortFeed it writes to outlives it.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace

from ryu_apps.binding.drift import Mend
from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.images import (
    NO_DIFFERENCE,
    Codec,
    Difference,
    Image,
    Installed,
)
from ryu_apps.binding.meters import NO_METERS, MeterTable, PortMeters
from ryu_apps.binding.port import (
    Denied,
    Nobody,
    Phase,
    PortRecord,
    SwitchPort,
    Wanted,
)
from ryu_apps.binding.shared import SharedFlows
from ryu_apps.binding.steps import PortSteps
from ryu_apps.binding.transaction import Transaction, TransactionDraft
from ryu_apps.openflow.meter import Meter
from ryu_apps.pipeline.addressing import MAX_OFPORT
from ryu_apps.pipeline.layout import SHARED_OFPORT, BridgeSettings, MetaPort
from ryu_apps.pipeline.port_flows import PortFlows


class Bridge:
    """The bindings of one switch, for one connection.

    `assign(port)` tells who belongs on a port. `installed` is what was found on the switch and
    `codec` gives the same form of flows that are wanted; `meters` is what the switch tells of its
    meters. A switch is taken over by `learn_ports`, then `adopt_shared`, then `adopt` for each of
    `inherited`, then, when what these drafted is done, `begin` for each of `newcomers`; from then
    on there may be news in between.
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
        self._assign = assign
        self._codec = codec
        self._found: dict[int, dict[int, Set[Image]]] = {}
        for cookie, images in installed.items():
            ofport, _ = settings.cookie.owner(cookie)
            self._found.setdefault(ofport, {})[cookie] = images
        self._records: dict[int, PortRecord] = {}
        self._ofports_by_name: dict[str, int] = {}
        self._draft = TransactionDraft()
        self._shared = SharedFlows(settings, codec, self._draft)
        self._steps = PortSteps(settings, feed, codec, self.meters, self._draft)

    # -- what readers ask ------------------------------------------------------------------------

    @property
    def ofports(self) -> list[int]:
        """Every ofport that has a port, or still has flows or a published view from earlier."""
        return sorted(self._records)

    @property
    def inherited(self) -> list[int]:
        """The ofports of which the switch still has flows or a meter, from before it connected."""
        return sorted(self._found.keys() - {SHARED_OFPORT} | self.meters.held.keys())

    @property
    def newcomers(self) -> list[int]:
        """The ofports that it has nothing of."""
        return sorted(self._records.keys() - self._found.keys() - self.meters.held.keys())

    @property
    def flow_count(self) -> int:
        """How many flows of ours the switch has acknowledged."""
        ports = sum(record.flows is not None for record in self._records.values())
        return len(self._shared.installed) + ports * PortFlows.COUNT

    @property
    def wanted_flow_count(self) -> int:
        """How many flows of ours the switch should have, refused ones included."""
        ports = sum(each.occupant.identity is not None for each in self._records.values())
        return len(self._shared.wanted) + ports * PortFlows.COUNT

    @property
    def shared_failure(self) -> str | None:
        """Why the switch refused the shared flows, without which no port is served."""
        return self._shared.failure

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether a published binding waits for its followers before it opens."""
        return bool(self._steps.announced)

    def port_names(self) -> list[str]:
        """The names of the ports the switch has now, meta0 and reserved ports left out."""
        return list(self._ofports_by_name)

    def had_flows_of(self, name: str, droplet_id: int) -> bool:
        """Whether the switch came with flows that bind this droplet to the port of this name."""
        ofport = self._ofports_by_name.get(name, SHARED_OFPORT)
        return self.settings.cookie.of_port(ofport, droplet_id) in self._found.get(ofport, {})

    def has_flows_of(self, port: SwitchPort, droplet_id: int) -> bool:
        """Whether the switch has flows that bind this droplet to the port, and they are to stay."""
        record = self._records.get(port.ofport)
        if record is None or record.phase is Phase.CLOSING:
            return False
        return self.settings.cookie.of_port(port.ofport, droplet_id) in record.held

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
        self._shared.adopt(self.meta, self._found.pop(SHARED_OFPORT, {}))

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
        if wanted.identity is None or set(found) != {self._steps.cookie(ofport, wanted)}:
            self._advance(record)
            return
        flows = self._steps.flows(ofport, wanted, self.meta)
        images = self._codec.port_images(flows)
        (on_switch,) = found.values()
        if not self._steps.opens(on_switch, flows, images):
            self._advance(record)
            return
        record.occupant = wanted
        if not self._steps.mend(record, flows, images, on_switch):
            record.flows, record.phase = flows, Phase.OPEN
            if not self.meters.right(ofport):
                self._steps.begin_opening(record, flows)
        self._steps.publish(record, new_binding=self._steps.binds_anew(record))

    def begin(self, ofport: int) -> None:
        """Look at a port that the switch came with nothing of, if no news has had us do so."""
        record = self._records.get(ofport)
        if record is not None and record.phase is Phase.IDLE and record.failure is None:
            self._advance(record)

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
        for ofport in sorted(self._steps.announced):
            record = self._records[ofport]
            if revision is None or record.announced <= revision:
                opened = max(opened, record.announced)
                self._steps.install(record, self._steps.flows(ofport, record.occupant, self.meta))
                self._steps.publish(record)
        return opened

    def completed(self, done: Transaction) -> None:
        """The switch has carried the transaction out."""
        for ofport in done.ofports:
            if ofport == SHARED_OFPORT:
                self._shared.completed()
                continue
            record = self._records[ofport]
            if record.phase is Phase.CLOSING:
                self.meters.closed(ofport)
                record.flows, record.held, record.strays = None, (), ()
                record.zone_clean, record.phase = True, Phase.IDLE
                if record.failure and self._wanted(record).identity == record.occupant.identity:
                    self._steps.publish(record)
                    continue
                record.occupant = Nobody()
            record.failure = None
            if record.phase is Phase.FLUSHING:
                record.phase, record.zone_clean = Phase.IDLE, True
            elif record.phase is Phase.OPENING:
                self.meters.served(ofport)
                record.flows, record.coming, record.phase = record.coming, None, Phase.OPEN
                record.held = (self._steps.cookie(ofport, record.occupant),)
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
            self._shared.refused(reasons.get(SHARED_OFPORT), self.meta)
        for ofport in refused.ofports:
            if ofport == SHARED_OFPORT:
                continue
            record = self._records[ofport]
            if not undone and record.coming is not None:
                self._steps.close_uncertain(record, reasons.get(ofport))
                continue
            record.coming = None
            record.phase = Phase.OPEN if record.flows else Phase.IDLE
            record.failure = reasons.get(ofport)
            if record.failure is None or self._wanted(record) != record.occupant:
                # What came while it was under way was not looked at.
                self._advance(record)
            else:
                self._steps.publish(record)
        if self._shared.failure is not None:
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
        self._steps.moved = {o for o, record in self._records.items() if record.phase not in still}
        self._shared.begin_check()

    @property
    def moved(self) -> bool:
        """Whether any port has moved since then."""
        return bool(self._steps.moved) or self._shared.moved

    def cookie_at(self, ofport: int) -> int | None:
        """The cookie under which the switch should have flows of this ofport."""
        if ofport == SHARED_OFPORT:
            return self.settings.cookie.shared
        record = self._records.get(ofport)
        return record.flows.cookie if record is not None and record.flows is not None else None

    def flows_at(self, ofport: int) -> PortFlows | None:
        """The flows of this port, if it is open."""
        record = self._records.get(ofport)
        return record.flows if record is not None else None

    def port_flows(self) -> list[PortFlows]:
        """The flows of every open port."""
        return [record.flows for record in self._records.values() if record.flows is not None]

    def check(self, ofport: int, found: Installed, mend: Mend = Mend.ALL) -> Difference:
        """What others did to the flows of one ofport, of which the switch has `found`.

        It is mended as far as `mend` says.
        """
        if ofport == SHARED_OFPORT:
            return self._shared.check(found, mend)
        if ofport in self._steps.moved:
            return NO_DIFFERENCE
        record = self._records.get(ofport)
        if record is not None and record.phase is Phase.OPEN:
            return self._steps.check(record, found, mend)
        if found and (record is not None or mend is Mend.ALL):
            record = self._record(ofport)
            record.strays = tuple(found)
            if mend is Mend.ALL:
                self._advance(record)
        return NO_DIFFERENCE.and_strays(sum(map(len, found.values())))

    def check_meters(self, found: Mapping[int, Meter | None]) -> int:
        """Mend the meters of open ports that others changed; how many, of those `found`."""
        wrong = 0
        for ofport, record in self._records.items():
            if record.phase is not Phase.OPEN or ofport in self._steps.moved:
                continue
            if self.meters.learn(ofport, found.get(ofport), there=ofport in found):
                self._steps.begin_opening(record, record.flows)
                wrong += 1
        return wrong

    # -- what comes next on one port -------------------------------------------------------------

    def _advance(self, record: PortRecord) -> None:
        """Begin the next step towards what is wanted on the port, if none is under way."""
        wanted = self._wanted(record)
        if record.phase is Phase.ANNOUNCED and wanted.identity != record.occupant.identity:
            self._steps.announced.discard(record.ofport)
            record.phase, record.occupant = Phase.IDLE, Nobody()
        if record.phase is Phase.OPEN and wanted.identity != record.occupant.identity:
            record.failure = None
            self._steps.close(record)
        elif record.phase is Phase.OPEN:
            self._steps.refresh(record, wanted, self._steps.flows(record.ofport, wanted, self.meta))
        elif record.phase is Phase.ANNOUNCED:
            # A reader may see only the newest entry of a port, so that one must be acknowledged.
            record.occupant = wanted
            record.announced = self._steps.publish(record)
        elif record.phase is Phase.IDLE and self._is_soiled(record):
            record.failure = None
            self._steps.close(record)
        elif record.phase is Phase.IDLE:
            self._start(record, wanted)

    def _is_soiled(self, record: PortRecord) -> bool:
        """Whether the switch has anything at the ofport that must go before somebody comes."""
        return bool(record.held or record.strays or self.meters.holds(record.ofport))

    def _start(self, record: PortRecord, wanted: Wanted) -> None:
        """From IDLE: invite the newcomer, or show that nobody comes."""
        record.occupant = wanted
        record.failure = None
        if wanted.identity is None:
            if record.port is None:
                del self._records[record.ofport]
                self.feed.remove(record.ofport)
            else:
                self._steps.publish(record)
        else:
            self._steps.invite(record)

    # -- what follows from what ------------------------------------------------------------------

    def _wanted(self, record: PortRecord) -> Wanted:
        """Who belongs on the port, if the bridge can serve anyone there at all."""
        if record.port is None:
            return Nobody()
        wanted = self._assign(record.port)
        if wanted.identity is None:
            return wanted
        if self._shared.failure is not None:
            return Denied(f"the switch refused the shared flows: {self._shared.failure}")
        if self.meta is None:
            return Denied(f"the bridge has no port {self.settings.meta_port_name}")
        refusal = self.settings.addressing.refusal(record.ofport)
        return wanted if refusal is None else Denied(refusal)

    def _meta_changed(self) -> None:
        """meta0 came, went or changed: the shared flows and every port depend on it."""
        self._shared.install(self.meta)
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
