"""What the core asks a switch to do, as values; the southbound turns them into messages."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace

from ryu_apps.binding.images import Image
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.meter import Meter
from ryu_apps.pipeline.port_flows import Flows, PortFlows


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ordered piece of work for a switch.

    First the meters of `set_meters` come, or become so, and a barrier: what the switch refuses of
    them does not hold up the rest (`without_meters`). Then, in one atomic bundle: every flow with a
    cookie of `delete_cookies` goes, and each single flow of `remove`, a (cookie, image); then `add`
    comes. Then a barrier, then the ct zones of `flush_zones` are emptied, then a barrier, then the
    meters of `drop_meters` go, and a barrier. When the last is answered the ports of `ofports` have
    taken a step (`Bridge.completed`); SHARED_OFPORT among them stands for the shared flows.
    """

    delete_cookies: tuple[int, ...] = ()
    add: Flows = field(default_factory=Flows)
    flush_zones: tuple[int, ...] = ()
    ofports: tuple[int, ...] = ()
    remove: tuple[tuple[int, Image], ...] = ()
    set_meters: tuple[Meter, ...] = ()
    drop_meters: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.add, Flows):
            object.__setattr__(self, "add", Flows(self.add))

    @property
    def changes_flows(self) -> bool:
        """Whether there is anything to do before the zones."""
        return bool(self.delete_cookies or self.add.parts or self.remove)

    def without_meters(self, meter_ids: Container[int]) -> "Transaction":
        """The same with flows that do not use these meters."""
        return replace(self, add=Flows(_without(part, meter_ids) for part in self.add.parts))


def _without(part: Flow | PortFlows, meter_ids: Container[int]) -> Flow | PortFlows:
    if isinstance(part, Flow):
        return replace(part, meter=None) if part.meter in meter_ids else part
    if part.settings.cookie.meter_of(part.ofport) in meter_ids:
        return replace(part, settings=replace(part.settings, meter_pps=0))
    return part


class TransactionDraft:
    """Collects the steps of several ports into one Transaction."""

    def __init__(self) -> None:
        self._deletes: list[int] = []
        self._removes: list[tuple[int, Image]] = []
        self._adds: list[Flow | PortFlows] = []
        self._zones: list[int] = []
        self._ofports: list[int] = []
        self._set_meters: list[Meter] = []
        self._drop_meters: list[int] = []

    def delete(self, cookies: Iterable[int]) -> None:
        """All flows of `cookies` go."""
        self._deletes.extend(cookies)

    def remove(self, cookie: int, images: Iterable[Image]) -> None:
        """These flows of `cookie` go, and no others."""
        self._removes.extend((cookie, image) for image in images)

    def add(self, flows: Iterable[Flow | PortFlows]) -> None:
        """These flows come, each in place of the one with its key if there is one."""
        self._adds.extend(flows)

    def flush(self, zone: int) -> None:
        """The ct zone is emptied after the flows are in place."""
        self._zones.append(zone)

    def set_meter(self, meter: Meter) -> None:
        """The meter is so before any flow of the transaction comes."""
        self._set_meters.append(meter)

    def drop_meter(self, meter_id: int) -> None:
        """The meter goes when all else is done."""
        self._drop_meters.append(meter_id)

    def step(self, ofport: int) -> None:
        """The port takes a step when the transaction is done."""
        self._ofports.append(ofport)

    def take(self) -> Transaction | None:
        """The transaction so far, and start a new one; None if there is nothing to do."""
        deletes, adds, zones, ofports = self._deletes, self._adds, self._zones, self._ofports
        removes, meters, drops = self._removes, self._set_meters, self._drop_meters
        self.__init__()  # type: ignore[misc]
        if not (deletes or removes or adds or zones or ofports or meters or drops):
            return None
        return Transaction(
            tuple(deletes),
            Flows(adds),
            tuple(zones),
            tuple(ofports),
            tuple(removes),
            tuple(meters),
            tuple(drops),
        )
