"""What the core asks a switch to do, as values; the southbound turns them into messages."""

from collections.abc import Iterable
from dataclasses import dataclass

from ryu_apps.openflow.flow import Flow


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ordered piece of work for a switch.

    First, in one atomic bundle: every flow with a cookie of `delete_cookies` goes, then `add`
    comes. Then a barrier, then the ct zones of `flush_zones` are emptied, then a barrier. When the
    last is answered the ports of `ofports` have taken a step (`Bridge.completed`); SHARED_OFPORT
    among them stands for the shared flows.
    """

    delete_cookies: tuple[int, ...] = ()
    add: tuple[Flow, ...] = ()
    flush_zones: tuple[int, ...] = ()
    ofports: tuple[int, ...] = ()


class TransactionDraft:
    """Collects the steps of several ports into one Transaction."""

    def __init__(self) -> None:
        self._deletes: list[int] = []
        self._adds: list[Flow] = []
        self._zones: list[int] = []
        self._ofports: list[int] = []

    def replace(self, cookies: Iterable[int], flows: tuple[Flow, ...]) -> None:
        """All flows of `cookies` go and `flows` come."""
        self._deletes.extend(cookies)
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
        self.__init__()  # type: ignore[misc]
        if not (deletes or adds or zones or ofports):
            return None
        return Transaction(tuple(deletes), tuple(adds), tuple(zones), tuple(ofports))
