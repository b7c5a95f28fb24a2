"""How each step of a port's binding is begun: what the switch is asked for, what readers are told.

Which step comes when is `bridge.py`'s to say. A part of `Bridge`, for one connection, and like it
without I/O: what a step wants done it writes into the bridge's draft.
"""

from collections.abc import Sequence, Set
from dataclasses import replace

from ryu_apps.binding.drift import Mend
from ryu_apps.binding.feed import PortFeed
from ryu_apps.binding.images import Codec, Difference, Image, Installed, difference, picked
from ryu_apps.binding.meters import PortMeters
from ryu_apps.binding.port import Lobby, Phase, PortRecord, Tenant, Wanted
from ryu_apps.binding.showing import shown
from ryu_apps.binding.transaction import TransactionDraft
from ryu_apps.binding.views import PortView
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort
from ryu_apps.pipeline.port_flows import REQUEST, PortFlows


class PortSteps:
    """The steps of one bridge's ports.

    `announced` are the ofports whose binding is published and waits for its followers; `moved`
    those that took a step since it was emptied last.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        feed: PortFeed,
        codec: Codec,
        meters: PortMeters,
        draft: TransactionDraft,
    ) -> None:
        self.announced: set[int] = set()
        self.moved: set[int] = set()
        self._settings = settings
        self._feed = feed
        self._codec = codec
        self._meters = meters
        self._draft = draft

    def cookie(self, ofport: int, occupant: Tenant | Lobby) -> int:
        """The cookie of the flows that bind `occupant` to `ofport`."""
        droplet_id, _ = occupant.identity
        return self._settings.cookie.of_port(ofport, droplet_id)

    def flows(self, ofport: int, occupant: Wanted, meta: MetaPort | None) -> PortFlows:
        """The flows that `occupant` should have on `ofport`."""
        if meta is None:
            raise RuntimeError(f"ofport {ofport} was to be opened on a bridge without meta0")
        settings = self._meters.settings(ofport)
        if isinstance(occupant, Tenant):
            claim = occupant.claim
            return PortFlows(settings, meta, ofport, claim.droplet_id, claim.mac, claim.hop_limit)
        return PortFlows(settings, meta, ofport)

    def opens(self, found: Set[Image], flows: PortFlows, images: Sequence[Image]) -> bool:
        """Whether N1 of `flows` is among those found, be it with its meter or without."""
        unlike = replace(flows, settings=self._meters.other_settings(flows.ofport))
        return images[REQUEST] in found or self._codec.port_images(unlike)[REQUEST] in found

    # -- the steps, in the order of a binding's life ---------------------------------------------

    def invite(self, record: PortRecord) -> None:
        """From IDLE: announce the occupant, or flush its zone first."""
        if record.zone_clean:
            record.phase = Phase.ANNOUNCED
            record.announced = self.publish(record, new_binding=True)
            self.announced.add(record.ofport)
        else:
            record.phase = Phase.FLUSHING
            self._draft.flush(self._settings.addressing.zone(record.ofport))
            self._step(record.ofport)
            self.publish(record)

    def install(self, record: PortRecord, flows: PortFlows) -> None:
        """The port's flows become `flows`; those it has already stay as they are."""
        if record.flows is None:
            self._draft.delete(record.held)
            self._draft.add([flows])
            self.begin_opening(record, flows)
        else:
            images = self._codec.port_images(flows)
            if not self.mend(record, flows, images, set(self._codec.port_images(record.flows))):
                record.flows = flows

    def begin_opening(self, record: PortRecord, flows: PortFlows) -> None:
        """The draft has what makes the port's flows `flows`: it opens with them."""
        self.announced.discard(record.ofport)
        record.phase, record.coming, record.zone_clean = Phase.OPENING, flows, False
        self._meters.serve(record.ofport, self._draft)
        self._step(record.ofport)

    def refresh(self, record: PortRecord, wanted: Wanted, flows: PortFlows) -> None:
        """From OPEN, for the same droplet: its MAC, meta0 or its record may have changed."""
        record.failure = None
        if flows != record.flows:
            self.install(record, flows)
        record.occupant = wanted
        self.publish(record)

    def mend(
        self, record: PortRecord, flows: PortFlows, images: Sequence[Image], found: Set[Image]
    ) -> Difference:
        """From the flows `found` under the cookie of `flows` to `flows`; what there was to do."""
        wrong = difference(images, found)
        if wrong:
            self._draft.remove(flows.cookie, wrong.stale)
            self._add_missing(record, flows, wrong)
        return wrong

    def check(self, record: PortRecord, found: Installed, mend: Mend) -> Difference:
        """From OPEN: what others did to its flows, of which the switch has `found`.

        What is wrong with its own is mended in place. Flows that name somebody else on the port
        are taken away with everything of it, and it starts anew; where that may not be now they
        are remembered, to go with the port's own.
        """
        flows = record.flows
        own = found.get(flows.cookie, frozenset())
        images = self._codec.port_images(flows)
        strays = tuple(cookie for cookie in found if cookie != flows.cookie)
        wrong = difference(images, own)
        record.strays = strays
        if mend is Mend.ALL and strays:
            self.close(record)
        elif mend is Mend.ALL:
            self.mend(record, flows, images, own)
        elif mend is Mend.MISSING and wrong.missing:
            self._add_missing(record, flows, wrong)
        return wrong.and_strays(sum(len(found[cookie]) for cookie in strays))

    def _add_missing(self, record: PortRecord, flows: PortFlows, wrong: Difference) -> None:
        self._draft.add(picked(flows.flows(), wrong.missing))
        self.begin_opening(record, flows)

    def close(self, record: PortRecord) -> None:
        """All flows of the port go, and its zone is emptied."""
        record.phase = Phase.CLOSING
        self._draft.delete(dict.fromkeys((*record.held, *record.strays)))
        self._meters.drop(record.ofport, self._draft)
        if record.ofport in self._settings.addressing.ofports:
            self._draft.flush(self._settings.addressing.zone(record.ofport))
        self._step(record.ofport)

    def close_uncertain(self, record: PortRecord, failure: str | None) -> None:
        """Close a port that may have any of its old and new flows."""
        record.held = tuple({*record.held, record.coming.cookie})
        record.flows, record.coming, record.failure = None, None, failure
        self.close(record)

    # -- what readers are told -------------------------------------------------------------------

    def publish(self, record: PortRecord, *, new_binding: bool = False) -> int:
        """Tell readers of the port as it is now; the feed's revision that has it."""
        return self._feed.publish(self._shown(record), new_binding=new_binding)

    def binds_anew(self, record: PortRecord) -> bool:
        """Whether the feed does not yet tell of this droplet on this port."""
        known = self._feed.port(record.ofport)
        view = self._shown(record)
        return known is None or (known.droplet_id, known.name) != (view.droplet_id, view.name)

    def _shown(self, record: PortRecord) -> PortView:
        return shown(record, self._settings.addressing, self._feed.port(record.ofport))

    def _step(self, ofport: int) -> None:
        self._draft.step(ofport)
        self.moved.add(ofport)
