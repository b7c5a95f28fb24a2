"""What the core asks a switch to do, as values; the southbound turns them into messages."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ryu_apps.binding.images import Image
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.port_flows import Flows, PortFlows


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ordered piece of work for a switch.

    First, in one atomic bundle: every flow with a cookie of `delete_cookies` goes, and each single
    flow of `remove`, a (cookie, image); then `add` comes. Then a barrier, then the ct zones of
    `flush_zones` are emptied, then a barrier. When the last is answered the ports of `ofports`
    have taken a step (`Bridge.completed`); SHARED_OFPORT among them stands for the shared flows.
    """

    delete_cookies: tuple[int, ...] = ()
    add: Flows = field(default_factory=Flows)
    flush_zones: tuple[int, ...] = ()
    ofports: tuple[int, ...] = ()
    remove: tuple[tuple[int, Image], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.add, Flows):
            object.__setattr__(self, "add", Flows(self.add))

    @property
    def changes_flows(self) -> bool:
        """Whether there is anything to do before the zones."""
        return bool(self.delete_cookies or self.add.parts or self.remove)


class TransactionDraft:
    """Collects the steps of several ports into one Transaction."""

    def __init__(self) -> None:
        self._deletes: list[int] = []
        self._removes: list[tuple[int, Image]] = []
        self._adds: list[Flow | PortFlows] = []
        self._zones: list[int] = []
        self._ofports: list[int] = []

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

    def step(self, ofport: int) -> None:
        """The port takes a step when the transaction is done."""
        self._ofports.append(ofport)

    def take(self) -> Transaction | None:
        """The transaction so far, and start a new one; None if there is nothing to do."""
        deletes, adds, zones, ofports = self._deletes, self._adds, self._zones, self._ofports
        removes = self._removes
        self.__init__()  # type: ignore[misc]
        if not (deletes or removes or adds or zones or ofports):
            return None
        return Transaction(
            tuple(deletes), Flows(adds), tuple(zones), tuple(ofports), tuple(removes)
        )
