"""The ports of one bridge with a revision for each change: what watchers follow.

Only the newest entry of each ofport is kept (and a tombstone where a port went), so the feed's
size is bounded by the number of ofports, however long a reader stays away. Waiting is left to
whoever owns the thread: `subscribe` calls back on each change and must not block.
"""

from collections.abc import Callable
from itertools import takewhile

from ryu_apps.binding.views import PortView

Change = tuple[int, int, PortView | None]


class PortFeed:
    """The published ports of one bridge.

    Revisions start at `first_revision` and grow by one with each change. The caller makes
    `first_revision` grow over controller restarts, so that a revision never names two states.
    """

    def __init__(self, dpid: int, hv_local_subnet: str, first_revision: int) -> None:
        self.dpid = dpid
        self.hv_local_subnet = hv_local_subnet
        self.revision = first_revision
        self.in_sync = False
        self.first_revision = first_revision
        # In the order of their revisions: what changed last is found without a look at the rest.
        self._entries: dict[int, tuple[int, PortView | None]] = {}
        self._subscribers: set[Callable[[], None]] = set()

    def publish(self, view: PortView, *, new_binding: bool = False) -> int:
        """Make `view` the newest of its ofport and return the revision that says so.

        With `new_binding` the view's `binding` becomes that revision. A view equal to the
        one published changes nothing and returns the revision it already has.
        """
        known = self._entries.get(view.ofport)
        if known is not None and known[1] == view and not new_binding:
            return known[0]
        if new_binding:
            view = view._replace(binding=self.revision + 1)
        return self._record(view.ofport, view)

    def remove(self, ofport: int) -> int:
        """The port has gone; return the revision that says so."""
        known = self._entries.get(ofport)
        if known is None or known[1] is None:
            return self.revision
        return self._record(ofport, None)

    def mark_in_sync(self) -> None:
        """From now on the feed tells the whole bridge: a full view may replace an older one."""
        if not self.in_sync:
            self.in_sync = True
            self._notify()

    def port(self, ofport: int) -> PortView | None:
        """The newest view of `ofport`, or None where there is no such port."""
        return self._entries.get(ofport, (0, None))[1]

    def ports(self) -> list[PortView]:
        """All ports in the order of their ofports."""
        return [view for _, (_, view) in sorted(self._entries.items()) if view is not None]

    def views(self) -> list[PortView]:
        """All ports as of now, in no order."""
        return [view for _, view in self._entries.values() if view is not None]

    def changes_since(self, revision: int) -> list[Change] | None:
        """What changed after `revision`, oldest first; None where the feed cannot know.

        It cannot for a revision of an earlier controller or one it has not reached. Each change
        comes with the revision that a reader has once it has taken it: an older change of a port
        is left out where a newer one follows, so that is `revision` until the last one is taken.
        """
        if not self.first_revision <= revision <= self.revision:
            return None
        newest_first = takewhile(lambda one: one[1][0] > revision, reversed(self._entries.items()))
        changes: list[Change] = [(revision, ofport, view) for ofport, (_, view) in newest_first]
        if changes:
            changes[0] = (self.revision, *changes[0][1:])
        changes.reverse()
        return changes

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each change, until `unsubscribe`."""
        self._subscribers.add(callback)

    def unsubscribe(self, callback: Callable[[], None]) -> None:
        """Stop calling `callback`; one that was never subscribed is no error."""
        self._subscribers.discard(callback)

    def _record(self, ofport: int, view: PortView | None) -> int:
        self.revision += 1
        self._entries.pop(ofport, None)
        self._entries[ofport] = (self.revision, view)
        self._notify()
        return self.revision

    def _notify(self) -> None:
        for callback in tuple(self._subscribers):
            callback()
