"""The watch stream: one switch's ports as NDJSON, first whole, then each change as it happens.

Strategy: a stream pulls. It remembers the revision it has told and asks the feed, which keeps
the newest entry of each port only, for what came after. A slow reader so gets fewer, newer
changes, and nothing piles up for it; it blocks its own green thread alone. The feed's call-back
does no more than wake the stream.

The events are described in docs/rest.md; metadata servers depend on them.
"""

import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eventlet.patcher import original
from eventlet.queue import Empty, LightQueue
from eventlet.wsgi import WSGI_LOCAL

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding.feed import Change, PortFeed
from ryu_apps.binding.figures import Figures
from ryu_apps.binding.followers import LEASE, NotLeading
from ryu_apps.binding.hops import PortHops
from ryu_apps.binding.requests import PortCounts, ServerView
from ryu_apps.binding.views import PortView, SwitchView
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.turns import in_turns
from ryu_apps.registry import jsontext
from ryu_apps.store.interface import StoreError

# The real module: eventlet's own select has no poll, and is bounded to 1024 descriptors.
select = original("select")

LOG = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 3.0
"""How often a stream says that it is alive."""

_SEND_SECONDS = 30
"""A reader that takes nothing for so long is given up; it can come back and catch up."""

_AT_ONCE = 32
"""Ports whose droplets are read from the store, encoded and sent together."""


class Switchboard(Protocol):
    """What the interface needs of the controller's core."""

    figures: Figures

    def switches(self) -> list[SwitchView]:
        """All switches that are or were connected."""

    def feed(self, dpid: int) -> PortFeed | None:
        """The feed of this switch; None where it is not known."""

    def hops(self, dpid: int, ofport: int) -> PortHops:
        """The flows of a port with their counters, asked of the switch now.

        Blocks the calling green thread, within bounds. Raises FlowsUnavailable.
        """

    def follow(self, dpid: int, server: str) -> None:
        """From now on wait for `server` before a binding on this switch is opened.

        Makes the switch known, for a server may come before its switch. May block the calling
        green thread, for the server's name is kept durably. Raises StoreUnavailable, TooMany.
        """

    def counts(self) -> Mapping[str, int]:
        """How many `switches`, `followers` and `news_waiting` there are."""

    def unfollow(self, dpid: int, server: str) -> None:
        """Do not wait for `server` any longer."""

    def acknowledge(self, dpid: int, server: str, revision: int) -> bool:
        """`server` has applied all up to `revision`; False if that is too old to be served.

        Raises TooMany.
        """

    def elsewhere(self, dpid: int) -> str | None:
        """Who else leads the switch, of several controllers; None where nobody else does."""

    def count_requests(
        self, dpid: int, server: str, counts: Iterable[PortCounts], view_age: float | None
    ) -> bool:
        """Keep what `server` counted; False where it does not follow this switch."""

    def requests(self, dpid: int) -> tuple[list[ServerView], list[PortCounts]]:
        """Who told what droplets asked on this switch, and what all of them counted."""


Show = Callable[[PortView], PortView]
"""A port as the reader of a stream may see it."""


class TooManyWatchers(Exception):
    """There are as many streams as there may be; the text says of what."""


class NoSuchSwitch(Exception):
    """There is no feed for this switch."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of a stream in seconds, apart so that tests need not wait."""

    heartbeat: float = HEARTBEAT_SECONDS
    send: float = _SEND_SECONDS


class Watchers:
    """All streams of this controller, at most `limit` at a time, and `per_switch` of one switch.

    So a token that is bound to one switch cannot take all.
    """

    def __init__(
        self,
        registry: Registry,
        switchboard: Switchboard,
        *,
        limit: int,
        per_switch: int,
        pace: Pace | None = None,
    ) -> None:
        self.count = 0
        self.limit = limit
        self.per_switch = per_switch
        self._of_switch: Counter[int] = Counter()
        self.registry = registry
        self.switchboard = switchboard
        self.pace = pace or Pace()

    def open(
        self,
        dpid: int,
        *,
        since: int | None,
        server: str | None,
        connection: socket.socket,
        show: Show,
    ) -> "WatchStream":
        """A stream of the switch's feed as `show` has it, to be closed by the WSGI server.

        With `server` the reader is a follower from before the first line on, so that no binding
        slips past it. Raises `TooManyWatchers`, `NoSuchSwitch`, `NotLeading`, `StoreUnavailable`,
        `TooMany`.
        """
        if self.count >= self.limit:
            raise TooManyWatchers(f"{self.limit} watch streams are open, which is the limit")
        if self._of_switch[dpid] >= self.per_switch:
            raise TooManyWatchers(f"{self.per_switch} watch streams of one switch are the limit")
        if (leader := self.switchboard.elsewhere(dpid)) is not None:
            raise NotLeading(leader)
        self._opened(dpid)
        try:
            if server is not None:
                self.switchboard.follow(dpid, server)
            feed = self.switchboard.feed(dpid)
            if feed is None:
                raise NoSuchSwitch
        except BaseException:
            self.closed(dpid)
            raise
        bound_sending(connection, self.pace.send)
        return WatchStream(self, dpid, feed, since, connection, show)

    def _opened(self, dpid: int) -> None:
        self.count += 1
        self._of_switch[dpid] += 1

    def closed(self, dpid: int) -> None:
        """A stream of this switch has ended."""
        self.count -= 1
        self._of_switch -= Counter({dpid: 1})

    def is_current(self, dpid: int, feed: PortFeed) -> bool:
        """Whether `feed` still is the feed of this switch, and ours to tell."""
        return self.switchboard.feed(dpid) is feed and self.switchboard.elsewhere(dpid) is None


class WatchStream:
    """The lines of one stream: an iterable as WSGI wants it, closed by the server at its end."""

    def __init__(
        self,
        watchers: Watchers,
        dpid: int,
        feed: PortFeed,
        since: int | None,
        connection: socket.socket,
        show: Show,
    ) -> None:
        self._watchers: Watchers | None = watchers
        self._registry = watchers.registry
        self._heartbeat = watchers.pace.heartbeat
        self._dpid = dpid
        self._feed = feed
        self._told = since
        self._connection = connection
        self._show = show
        # One place: however many changes come before the stream looks, it is woken once.
        self._woken: LightQueue = LightQueue(1)
        feed.subscribe(self._wake)

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._events()
        except StoreError as error:
            # The reader comes back and asks for what it missed.
            say(LOG, events.WATCH_ENDED, dpid=self._dpid, reason=error)

    def _events(self) -> Iterator[bytes]:
        while not self._feed.in_sync:
            yield self._event("waiting", dpid=f"{self._dpid:016x}")
            self._wait()
            if self._is_over():
                return
        yield from self._catch_up()
        while not self._is_over():
            if not self._wait():
                yield self._event("heartbeat", revision=self._told)
            elif (changes := self._changes()) is None:
                yield from self._snapshot()
            else:
                yield from self._tell(changes)

    def close(self) -> None:
        """Give the stream's place back; called by the WSGI server whatever ended it."""
        if self._watchers is not None:
            self._watchers.closed(self._dpid)
            self._watchers = None
            self._feed.unsubscribe(self._wake)

    def _wake(self) -> None:
        if not self._woken.full():
            self._woken.put_nowait(None)

    def _wait(self) -> bool:
        """Wait for a change, at most until the next heartbeat is due; whether there was one."""
        try:
            self._woken.get(timeout=self._heartbeat)
        except Empty:
            return False
        return True

    def _is_over(self) -> bool:
        """Whether the reader has gone, the stream was closed, or the switch has another feed."""
        if self._watchers is None or not self._watchers.is_current(self._dpid, self._feed):
            return True
        if _has_hung_up(self._connection):
            # Spares eventlet the attempt to end the chunked coding, and the log its failure.
            WSGI_LOCAL.already_handled = True
            return True
        return False

    def _catch_up(self) -> Iterator[bytes]:
        """Bring the reader to now: by what changed since it left, or by a full view."""
        changes = None if self._told is None else self._changes()
        if changes is None:
            yield from self._snapshot()
        else:
            yield from self._tell(changes)
            yield self._event("in-sync", revision=self._told)

    def _changes(self) -> Sequence[Change] | None:
        """What came after what was told, all of which counts as told from here on."""
        changes = self._feed.changes_since(self._told) if self._told is not None else None
        self._told = self._feed.revision
        return changes

    def _snapshot(self) -> Iterator[bytes]:
        """A full view, as of the revision at its beginning; what changes meanwhile comes after."""
        revision = self._told = self._feed.revision
        yield self._event(
            "snapshot",
            dpid=f"{self._dpid:016x}",
            revision=revision,
            hv_local_subnet=self._feed.hv_local_subnet,
            lease=LEASE,
        )
        yield from self._tell([(revision, view.ofport, view) for view in self._feed.ports()])
        yield self._event("in-sync", revision=revision)

    def _tell(self, changes: Sequence[Change]) -> Iterator[bytes]:
        for start in range(0, len(changes), _AT_ONCE):
            some = [
                (revision, ofport, view and self._show(view))
                for revision, ofport, view in changes[start : start + _AT_ONCE]
            ]
            droplets = self._droplets(view for _, _, view in some if view is not None)
            # Thirty-two droplets may have 16 MiB of documents.
            yield b"".join(self._change(*change, droplets) for change in in_turns(some))

    def _change(
        self, revision: int, ofport: int, view: PortView | None, droplets: dict[int, Any]
    ) -> bytes:
        if view is None:
            return self._event("gone", revision=revision, ofport=ofport)
        return self._event("port", revision=revision, port=port_entry(view, droplets))

    def _droplets(self, views: Iterable[PortView]) -> dict[int, Any]:
        ids = {view.droplet_id for view in views if view.droplet_id is not None}
        if not ids:
            return {}
        records = self._registry.get_many(ids)
        served = ((key, self._registry.served(record)) for key, record in records.items())
        return dict(in_turns(served))

    @staticmethod
    def _event(event: str, **members: Any) -> bytes:
        return jsontext.encode({"event": event, **members}) + b"\n"


def port_entry(view: PortView, droplets: dict[int, Any]) -> dict[str, Any]:
    """The port of a `port` event, with its droplet's documents.

    A droplet deleted since the port was published is told as none: the core's own word on the
    port follows.
    """
    droplet = None if view.droplet_id is None else droplets.get(view.droplet_id)
    return {
        "ofport": view.ofport,
        "name": view.name,
        "hv_local_ip": view.hv_local_ip,
        "droplet_id": view.droplet_id if droplet is not None else None,
        "state": view.state,
        "reason": view.reason,
        "binding": view.binding,
        "droplet": droplet,
    }


def bound_sending(connection: socket.socket, seconds: float) -> None:
    """Give up on a peer that takes nothing, or is not there any more, after `seconds`."""
    connection.settimeout(seconds)
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        milliseconds = int(seconds * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _has_hung_up(connection: socket.socket) -> bool:
    """Whether the peer has closed its side: then nobody reads what we send."""
    poll = select.poll()
    try:
        poll.register(connection.fileno(), select.POLLRDHUP)
    except ValueError:  # Closed on our side.
        return True
    return bool(poll.poll(0))
