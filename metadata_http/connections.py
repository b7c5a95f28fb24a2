"""The droplets' connections below the WSGI server: how many each has, and how one is ended.

Shell: the sockets of this very process, found through /proc. A WSGI server tells nothing of a
connection before its request is whole and has no way to end one, so both happen beside it.
"""

import contextlib
import ctypes
import logging
import os
import socket
import stat
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from ipaddress import IPv4Address, IPv4Network

from metadata_http import events
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

_SCANNING = threading.Lock()  # one at a time: each looks at all there are
_PAUSE = 0.5  # seconds between two looks of the guard
_SHARE = 20  # looking takes at most one part in so many of one processor
# struct tcp_info (linux/tcp.h): eight bytes, then 32-bit fields; both in milliseconds.
_LAST_DATA_SENT = 8 + 4 * 9
_LAST_DATA_RECEIVED = 8 + 4 * 11
_UNSPECIFIED = bytes(16)  # a struct sockaddr of family AF_UNSPEC
_LIBC = ctypes.CDLL(None)


class Guard(threading.Thread):
    """Holds each droplet to `most` connections of this process, be they busy, slow or silent.

    `subnet()` tells where droplets' addresses are; what comes from elsewhere is none of theirs.
    Between two looks a droplet may have more. Then those go that have been silent for longest,
    and `ended` is told how many that were.
    """

    def __init__(
        self,
        most: int,
        subnet: Callable[[], IPv4Network | None],
        ended: Callable[[int], None],
    ) -> None:
        super().__init__(name="connections", daemon=True)
        self._seen = self._most_seen = 0
        self._most = most
        self._subnet = subnet
        self._ended = ended

    def run(self) -> None:
        """Look again and again, more rarely where there is much to look at."""
        while True:
            began = time.thread_time()
            try:
                self.look()
            except Exception:  # noqa: BLE001 - logged, with its trace
                say(log, events.CROWDING_FAULT, trace=True)
            time.sleep(max(_PAUSE, _SHARE * (time.thread_time() - began)))

    def report(self) -> dict[str, int]:
        """What the last look found, for /readyz: of all droplets, and of the one that had most."""
        return {"connections": self._seen, "most_connections_of_a_droplet": self._most_seen}

    def look(self) -> None:
        """Count all connections and end those that are too many."""
        subnet = self._subnet()
        counts = {} if subnet is None else _of_droplets(count(), subnet)
        self._seen, self._most_seen = sum(counts.values()), max(counts.values(), default=0)
        for peer, number in counts.items():
            if number > self._most:
                ended = end_longest_silent(peer, leave=self._most)
                self._ended(ended)
                say(log, events.CROWDING, peer=peer, connections=number, ended=ended)


def _of_droplets(counts: dict[str, int], subnet: IPv4Network) -> dict[str, int]:
    return {peer: number for peer, number in counts.items() if IPv4Address(peer) in subnet}


def count() -> dict[str, int]:
    """How many TCP connections over IPv4 this process has, by the peer's address."""
    found: Counter[str] = Counter()
    with _SCANNING:
        for name in os.listdir("/proc/self/fd"):
            try:
                peek = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=int(name))
            except OSError:
                continue  # no socket, or closed meanwhile
            peer = _peer(peek)
            peek.detach()
            if peer is not None:
                found[peer] += 1
    return dict(found)


def end(peers: Collection[str]) -> int:
    """End this process's connections from `peers` at once; how many there were.

    Nothing is sent any more, not even what waits for its acknowledgement: shutting down alone
    would leave a connection with such data in FIN_WAIT1 for minutes.
    """
    with _connections(peers) as found:
        return sum(map(_abort, found))


def end_longest_silent(peer: str, leave: int) -> int:
    """End all but `leave` connections from `peer`; how many there were."""
    with _connections({peer}) as found:
        found.sort(key=lambda each: _milliseconds_since(_LAST_DATA_RECEIVED, each))
        return sum(map(_abort, found[leave:]))


def shut_down(peer: str, *, sent_within: int | None = None) -> int:
    """Shut connections from `peer` down, after what was sent on them; how many there were.

    With `sent_within` only those on which something was sent within so many milliseconds.
    """
    with _connections({peer}) as found:
        return sum(
            _shut_down(each)
            for each in found
            if sent_within is None or _milliseconds_since(_LAST_DATA_SENT, each) <= sent_within
        )


@contextlib.contextmanager
def _connections(peers: Collection[str]) -> Iterator[list[socket.socket]]:
    """This process's TCP sockets whose other end is one of `peers`, by descriptors of their own."""
    with _SCANNING, contextlib.ExitStack() as copies:
        found: dict[int, socket.socket] = {}
        for name in os.listdir("/proc/self/fd"):
            # A copy may have got a number of the list that was free again.
            copy = None if int(name) in found else _copy(int(name))
            if copy is None:
                continue
            if _peer(copy) in peers:
                found[copy.fileno()] = copies.enter_context(copy)
            else:
                copy.close()
        yield list(found.values())


def _copy(descriptor: int) -> socket.socket | None:
    """A descriptor of its own for this one's socket, if it is a TCP one."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        copy = os.dup(descriptor)
    except OSError:
        return None  # closed meanwhile
    try:
        return socket.socket(fileno=copy)
    except OSError:  # closed meanwhile, and something else in its place
        os.close(copy)
        return None


def _peer(connection: socket.socket) -> str | None:
    """The other end's IPv4 address, of a socket of whatever kind."""
    try:
        name = connection.getpeername()
    except OSError:
        return None  # a listening or a half-closed one
    # Of another family it is a path, a pair of numbers, an address with colons.
    address = name[0] if isinstance(name, tuple) else None
    return address if isinstance(address, str) and "." in address else None


def _milliseconds_since(what: int, connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, what + 4)
    (ago,) = struct.unpack_from("I", info, what)
    return ago


def _abort(connection: socket.socket) -> bool:
    # connect(2): AF_UNSPEC dissolves the association, which Python's socket cannot be told.
    return _LIBC.connect(connection.fileno(), _UNSPECIFIED, len(_UNSPECIFIED)) == 0


def _shut_down(connection: socket.socket) -> bool:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False  # it had ended by itself
    return True
