"""The meters of one switch's ports: which it has, which it should have, which it refused.

Pure. A meter comes before the flows that use it and goes after them, for a switch takes no flow
with a meter it does not have, and with a meter deletes the flows that use it (OpenFlow 1.3.5,
6.4). Meters cannot be in a bundle (Open vSwitch 3.1 answers ONF's OFPBFC_MSG_UNSUP), so barriers
keep the order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ryu_apps.binding.transaction import TransactionDraft
from ryu_apps.openflow.meter import Meter
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.pipeline.metering import port_meter


@dataclass(frozen=True, slots=True)
class MeterTable:
    """What a switch tells of its meters.

    `limit` is how many it can have. `ours` are those that carry our mark, by ofport; None for one
    that this project would not have made.
    """

    limit: int = 0
    ours: Mapping[int, Meter | None] = field(default_factory=dict)


NO_METERS = MeterTable()
"""A switch without any."""


class PortMeters:
    """The meters of a `Bridge`'s ports, for one connection.

    What was drafted counts as there: a meter stays whether or not the flows after it are taken.
    """

    def __init__(self, settings: BridgeSettings, table: MeterTable) -> None:
        self._settings = settings
        self._unmetered = replace(settings, meter_pps=0)
        self._metered = replace(settings, meter_pps=settings.meter_pps or 1)
        self._limit = table.limit
        self._held = dict(table.ours)
        self._refused: dict[int, str] = {}

    @property
    def held(self) -> dict[int, Meter | None]:
        """The meters there should be on the switch now, by ofport."""
        return dict(self._held)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Whose packets are not metered though they should be, and why, for the operator."""
        pps = self._settings.meter_pps
        if pps and not self._limit:
            return (f"the switch has no meters: droplets are served without meter_pps = {pps}",)
        if not self._refused:
            return ()
        ofport, reason = next(iter(self._refused.items()))
        return (
            f"ports served without meter_pps = {pps}: {len(self._refused)}; the switch, which has "
            f"room for {self._limit} meters, refused that of ofport {ofport}: {reason}",
        )

    def settings(self, ofport: int) -> BridgeSettings:
        """The bridge's settings as they are for this port: with its meter or without."""
        refused = not self._limit or ofport in self._refused
        return self._unmetered if refused else self._settings

    def other_settings(self, ofport: int) -> BridgeSettings:
        """The same, without where it is with and with where it is without."""
        return self._unmetered if self.settings(ofport).meter_pps else self._metered

    def holds(self, ofport: int) -> bool:
        """Whether the switch has a meter of the port's."""
        return ofport in self._held

    def right(self, ofport: int) -> bool:
        """Whether the port has the meter it should have while it is served."""
        return self._held.get(ofport) == self._wanted(ofport)

    def learn(self, ofport: int, found: Meter | None, *, there: bool) -> bool:
        """The switch has this meter of the port's, or none; whether it should have another."""
        if there:
            self._held[ofport] = found
        else:
            self._held.pop(ofport, None)
        return not self.right(ofport)

    def serve(self, ofport: int, draft: TransactionDraft) -> None:
        """Draft the meter of a port that gets flows, whatever the switch has of it."""
        wanted = self._wanted(ofport)
        if wanted is not None:
            draft.set_meter(wanted)
            self._held[ofport] = wanted
        elif self.holds(ofport):
            self.drop(ofport, draft)

    def drop(self, ofport: int, draft: TransactionDraft) -> None:
        """Draft that the port's meter goes after its flows, if it has one."""
        if self.holds(ofport):
            draft.drop_meter(self._settings.cookie.meter_of(ofport))

    def served(self, ofport: int) -> None:
        """What `serve` drafted is done."""
        if self._wanted(ofport) is None:
            self._held.pop(ofport, None)

    def closed(self, ofport: int) -> None:
        """The port has neither flows nor a meter any more; the next one's may be taken."""
        self._held.pop(ofport, None)
        self._refused.pop(ofport, None)

    def refuse(self, reasons: Mapping[int, str]) -> None:
        """The switch did not take the meters of these ofports: serve them without."""
        for ofport, reason in reasons.items():
            self._held.pop(ofport, None)
            self._refused[ofport] = reason

    def _wanted(self, ofport: int) -> Meter | None:
        return port_meter(self.settings(ofport), ofport)
