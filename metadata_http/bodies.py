"""Request bodies from guests: how long one may take, and how few are read at a time.

Shell: timers. A WSGI server's `read` waits for the body for as long as its sender likes and cannot
be told to stop, so a late body is answered from beside it and its connection ended below the
server (`connections.py`), which ends the read.
"""

import itertools
import logging
import threading
from collections.abc import Callable

from metadata_http import connections, events
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

AT_ONCE = 16
SECONDS = 2.0
_PATIENCE = 0.3  # seconds for an answer to go out, and for a connection's end to be noticed
_JUST_NOW = 1000  # milliseconds


class Busy(Exception):
    """So many bodies are being read that this one cannot be."""


class Late(Exception):
    """The body did not come in time; its sender has been told so."""


class Bodies:
    """Reads bodies on the caller's thread, at most AT_ONCE, each for SECONDS at most."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(AT_ONCE)

    def read(
        self, read: Callable[[int], bytes], length: int, peer: str, say_late: Callable[[], None]
    ) -> bytes:
        """`length` bytes, fewer if the sender stopped there. Raises Busy, Late.

        When time is up `say_late` is called, on another thread, and must answer the request.
        """
        if length == 0:
            return b""
        if not self._places.acquire(blocking=False):
            raise Busy
        over = _Once()

        def expire() -> None:
            if over.claim():
                say_late()
                _end(peer, over.finished)

        timer = threading.Timer(SECONDS, expire)
        timer.daemon = True
        timer.start()
        try:
            body = read(length)
        finally:
            in_time = over.claim()
            over.finished.set()
            timer.cancel()
            self._places.release()
        if not in_time:
            raise Late
        return body


class _Once:
    """Which of the two came first: the body or the time's end."""

    def __init__(self) -> None:
        self.finished = threading.Event()
        self._lock = threading.Lock()
        self._claimed = False

    def claim(self) -> bool:
        """True to the first who asks."""
        with self._lock:
            first, self._claimed = not self._claimed, True
        return first


def _end(peer: str, finished: threading.Event) -> None:
    """End the connection whose read has not `finished`: one of `peer`'s, which alone is known.

    First those that were just sent something, as it was; should that not be it, all of them.
    """
    for attempt in itertools.count():
        if finished.wait(_PATIENCE):
            return
        ended = connections.shut_down(peer, sent_within=_JUST_NOW if attempt == 0 else None)
        say(log, events.BODY_MISSING, peer=peer, ended=ended)
