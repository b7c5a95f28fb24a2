"""Follows the controller on a thread and publishes the bridge's view to the application.

Shell: connection, order of steps and logging; what events mean is `view`'s, how long a view may
be served is `lease`'s. The order is the promise: apply, write to the journal, publish, and only
then acknowledge, for the controller opens a port for a new droplet on that word.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Sequence

from metadata_http import events
from metadata_http.controller import Controller, Refused, Stream, Unavailable
from metadata_http.journal import Journal
from metadata_http.lease import Lease
from metadata_http.view import EventError, Following, View, advance
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

Publish = Callable[[View | None, Lease], None]

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_GOODBYE = 3.0
# A controller that says nothing for so long, though it has to say a heartbeat every 3 s, or for
# half a lease where that is less, is given up: there must be time to make another connection.
_PATIENCE = 5.0
# Events that change nothing on disk.
_PASSING = ("heartbeat", "waiting")


class Replica(threading.Thread):
    """The thread that keeps `publish`ed what the controller says about bridge `dpid`.

    `clock` is the one that `publish`'s reader compares the lease with.
    """

    def __init__(
        self,
        dpid: str,
        server: str,
        controllers: Sequence[Controller],
        journal: Journal,
        publish: Publish,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name="replica", daemon=True)
        self.dpid = dpid
        self.server = server
        self.connected_to: str | None = None
        self._connections = 0
        self.certain = threading.Event()  # set once there has been a view that may be served
        self._controllers = controllers
        self._journal = journal
        self._publish = publish
        self._clock = clock
        self._lease = Lease()
        self._following = Following()
        self._resume = True
        self._journal_behind = False
        self._reached = False
        self._stream: Stream | None = None
        # View, lease and journal belong together; `quiet` is called on another thread.
        self._together = threading.Lock()
        self._stopping = threading.Event()
        self._said = ""

    def load(self) -> None:
        """Take over the journal's view; call before `start`. Raises OSError."""
        view, self._lease = self._journal.load(self.dpid, self._clock())
        self._following = Following(view)
        self._publish(view, self._lease)
        certain = self._lease.holds(self._clock())
        if certain:
            self.certain.set()
        if view is not None:
            say(
                log,
                events.SNAPSHOT_LOADED,
                revision=view.revision,
                ports=len(view.ports),
                file=self._journal.path,
                reason="serving" if certain else "too old to serve without the controller",
            )

    @property
    def connection(self) -> tuple[int, str | None]:
        """How often a controller was reached, and the URL of the one that is followed now."""
        return self._connections, self.connected_to

    @property
    def trouble(self) -> str:
        """Why no controller is followed, as the last one tried had it; empty while one is."""
        return self._said

    def run(self) -> None:
        """Follow one controller after the other until told to stop."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            self._reached = False
            refused = [self._follow(controller) for controller in self._controllers]
            if all(refused) and all(each.on_this_host for each in self._controllers):
                self._change_lease(lambda lease, now, length: lease.refused(now, length))
            pause = _FIRST_PAUSE if self._reached else min(pause * 2, self._longest_pause())
            # Servers cut off together must not come back together.
            self._stopping.wait(pause * random.uniform(0.7, 1.0))

    def quiet(self, since: float) -> None:
        """No controller was connected to the bridge at some moment after `since`."""
        self._change_lease(lambda lease, now, length: lease.quiet(now, since, length))

    def leave(self) -> None:
        """Stop following and tell the controller so, when no request is answered any more."""
        self._stopping.set()
        stream = self._stream
        if stream is not None:
            stream.abort()
        self.join(_GOODBYE)
        if self.is_alive():
            say(log, events.LEAVING_UNHEARD, reason="the controller does not answer")
            return
        with self._together:
            held = self._lease
            self._lease = Lease(confirmed=held.confirmed)
        if self._following.view is None:
            return
        try:
            # From the controller's next step on the file may be behind, so it goes out of force
            # first; only where the controller is dead does it stay in force.
            self._journal.confirm(self._following.view, self._lease)
            refused = [self._say_goodbye(controller) for controller in self._controllers]
            if all(refused):
                self._journal.confirm(self._following.view, held)
        except OSError as fault:
            say(log, events.FILE_NOT_WRITTEN, file=self._journal.path, reason=fault)

    def discard(self) -> None:
        """Take the snapshot file of a bridge that is no more away; call after `leave`."""
        try:
            self._journal.discard()
        except OSError as fault:
            say(
                log,
                events.FILE_NOT_WRITTEN,
                file=self._journal.path,
                reason=f"not removed: {fault}",
            )

    def _say_goodbye(self, controller: Controller) -> bool:
        """Whether the controller refused the connection."""
        try:
            controller.leave(self.dpid, self.server)
        except Refused:
            return True
        except Unavailable as fault:
            say(log, events.LEAVING_UNHEARD, reason=fault)
        return False

    def _follow(self, controller: Controller) -> bool:
        """Follow until the stream ends; whether nobody listened there in the first place."""
        try:
            view = self._following.view
            since = view.revision if view is not None and self._resume else None
            self._stream = controller.watch(self.dpid, self.server, since)
            self._resume = self._reached = True
            self._said = ""
            self._connections += 1
            self.connected_to = controller.url
            say(log, events.FOLLOWING, dpid=self.dpid, url=controller.url, source=since)
            for lines in self._stream.batches():
                self._take(controller, lines)
                if self._stopping.is_set():
                    break
        except Refused as fault:
            self._say(str(fault))
            return self._stream is None
        except Unavailable as fault:
            if not self._stopping.is_set():
                self._say(str(fault))
        except (EventError, json.JSONDecodeError) as fault:
            self._resume = False
            say(log, events.STREAM_REFUSED, url=controller.url, reason=fault)
        except Exception:  # noqa: BLE001 - logged, with its trace
            self._resume = False
            say(log, events.STREAM_FAULT, trace=True, url=controller.url)
        finally:
            self._disconnect()
            controller.forget_connections()
        return False

    def _disconnect(self) -> None:
        self._following = self._following.disconnected()
        self.connected_to = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _take(self, controller: Controller, lines: list[bytes]) -> None:
        """Apply what arrived, and acknowledge it once it is safe against a kill."""
        events = [json.loads(line) for line in lines]
        kinds = [event["event"] for event in events]
        changes = [line for line, kind in zip(lines, kinds, strict=True) if kind not in _PASSING]
        with self._together:
            self._following = advance(self._following, events, self._clock())
            self._journal_behind |= "snapshot" in kinds
            view = self._following.view
            if view is None or self._following.incoming is not None:
                return
            if view.dpid != self.dpid:
                raise EventError(f"a view of bridge {view.dpid}, not of {self.dpid}")
            if changes:
                self._record(changes, view)
            self._publish(view, self._lease)
        # A controller that waits for its switch cannot vouch for the view: its answer may keep a
        # lease that holds, but not bring back one that is over.
        waits = "waiting" in kinds and self._lease.holds(self._clock())
        if self._following.in_sync or waits:
            self._acknowledge(controller, view)

    def _record(self, changes: list[bytes], view: View) -> None:
        try:
            if self._journal_behind:
                self._journal.rewrite(view, self._lease)
                say(log, events.IN_SYNC, revision=view.revision, ports=len(view.ports))
            else:
                self._journal.append(changes, view, self._lease)
            self._journal_behind = False
        except OSError as fault:
            # Serving goes on without a file, but never beside one that is behind.
            say(log, events.FILE_NOT_WRITTEN, file=self._journal.path, reason=fault)
            self._journal.discard()

    def _acknowledge(self, controller: Controller, view: View) -> None:
        sent_at = self._clock()
        controller.timeout = min(view.lease / 2, _PATIENCE)
        controller.acknowledge(self.dpid, self.server, view.revision)
        self._change_lease(lambda lease, _, length: lease.acknowledged(sent_at, length))

    def _change_lease(self, changed: Callable[[Lease, float, float], Lease]) -> None:
        """Let `changed(lease, now, length)` say what the lease is now."""
        with self._together:
            view = self._following.view
            lease = self._lease if view is None else changed(self._lease, self._clock(), view.lease)
            if view is None or lease == self._lease:
                return
            self._lease = lease
            self._publish(view, lease)
            self.certain.set()
            try:
                self._journal.confirm(view, lease)
            except OSError as fault:
                say(log, events.FILE_NOT_WRITTEN, file=self._journal.path, reason=fault)

    def _longest_pause(self) -> float:
        """Tries must be many within a lease, for a refusal extends it by a part only."""
        view = self._following.view
        return _LONGEST_PAUSE if view is None else min(_LONGEST_PAUSE, view.lease / 10)

    def _say(self, text: str) -> None:
        """Log a state once, not once a try."""
        if text != self._said:
            say(log, events.CONTROLLER_AWAY, reason=text)
            self._said = text
