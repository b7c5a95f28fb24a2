"""Droplets that ask for their metadata all the time, and the oracle that judges every answer.

The oracle: every byte of a droplet's secret that anyone gets was that one's to have, at some moment
between question and answer. What is allowed changes with the registry; the tests say when.
"""

import http.client
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from lab.namespace import Namespace
from tests.system.packets import HTTP_PORT, METADATA_IP

PATH = "/metadata/v1/user-data"
_SECRET = re.compile(rb"<<secret of droplet (\d+)>>")
_PATIENCE = 0.25
"""Seconds; a net for ports that are closed. How long an answer takes is nobody's matter here."""
_PAUSE = 0.012
"""Seconds between two pairs of requests; a droplet may have 200 requests a second by default."""


def secrets_in(data: bytes) -> set[int]:
    """The droplets whose secret is in `data`."""
    return {int(droplet_id) for droplet_id in _SECRET.findall(data)}


@dataclass(slots=True)
class _Right:
    droplet_id: int
    since: float
    until: float = float("inf")


class Ledger:
    """Who may see whose secret, and since when; and who saw one that was not theirs."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self._rights: dict[str, list[_Right]] = {}
        self._lock = threading.Lock()

    def allow(self, who: str, droplet_id: int) -> None:
        """From now on `who` may be this droplet."""
        with self._lock:
            self._rights.setdefault(who, []).append(_Right(droplet_id, time.monotonic()))

    def forbid(self, who: str, droplet_id: int) -> None:
        """From now on `who` is not this droplet any more."""
        with self._lock:
            for right in self._rights.get(who, []):
                if right.droplet_id == droplet_id:
                    right.until = min(right.until, time.monotonic())

    def judge(self, who: str, data: bytes, asked: float, how: str) -> None:
        """`who` got `data`, having asked at the time `asked`, and has it now."""
        now = time.monotonic()
        for droplet_id in secrets_in(data):
            with self._lock:
                entitled = any(
                    right.droplet_id == droplet_id and right.since <= now and asked <= right.until
                    for right in self._rights.get(who, [])
                )
            if not entitled:
                self.violations.append(f"{who} got droplet {droplet_id}'s data ({how})")


@dataclass(eq=False)
class Prober:
    """A thread inside a droplet's namespace that asks on, by new and by kept connections.

    It gives up a request after `patience` seconds, and waits for `pause` between two pairs.
    `answers` counts statuses, and `None` for a request without an answer.
    """

    who: str
    namespace: Namespace
    ledger: Ledger
    patience: float = _PATIENCE
    pause: float = field(default=_PAUSE, kw_only=True)
    answers: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._seen = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=self.who, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join()

    def wait_for(self, status: int | None, more: int = 1, seconds: float = 40.0) -> None:
        """Wait until there were `more` answers of this status than now."""
        with self._seen:
            wanted = self.answers[status] + more
            came = self._seen.wait_for(lambda: self.answers[status] >= wanted, seconds)
        assert came, f"{self.who} waits for {status}, got {dict(self.answers)}"

    def ask_times(self, times: int) -> None:
        """Wait until it has asked so many times more, whatever came of it."""
        with self._seen:
            wanted = self.answers.total() + times
            assert self._seen.wait_for(lambda: self.answers.total() >= wanted, 60)

    def _run(self) -> None:
        with self.namespace.entered():
            kept: http.client.HTTPConnection | None = None
            while not self._over.wait(self.pause):
                _, fresh = self._ask(None)
                if fresh is not None:
                    fresh.close()
                _, kept = self._ask(kept, keep=True)
            if kept is not None:
                kept.close()

    def _ask(
        self, connection: http.client.HTTPConnection | None, keep: bool = False
    ) -> tuple[int | None, http.client.HTTPConnection | None]:
        """The status, None without an answer; and the connection while it lives."""
        asked, how = time.monotonic(), "kept connection" if connection else "new connection"
        connection = connection or http.client.HTTPConnection(
            METADATA_IP, HTTP_PORT, timeout=self.patience
        )
        try:
            connection.request("GET", PATH, headers={} if keep else {"Connection": "close"})
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        except http.client.IncompleteRead as cut:
            status, body, connection = None, cut.partial, None
        except (OSError, http.client.HTTPException):
            connection.close()
            status, body, connection = None, b"", None
        self.ledger.judge(self.who, body, asked, how)
        if connection is not None and connection.sock is None:
            connection = None
        with self._seen:
            self.answers[status] += 1
            self._seen.notify_all()
        return status, connection


class Conversation:
    """One connection of a droplet that is kept open whatever happens, written and read by hand."""

    def __init__(
        self, namespace: Namespace, receive_buffer: int | None = None, patience: float = 5
    ) -> None:
        """Connect, within `patience` seconds. Raises OSError."""
        with namespace.entered():
            self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(patience)
        self.socket.connect((METADATA_IP, HTTP_PORT))

    @property
    def port(self) -> int:
        """The droplet's end."""
        return self.socket.getsockname()[1]

    def ask(self, path: str = PATH) -> None:
        """Send a request, and read nothing yet."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {METADATA_IP}\r\n\r\n".encode())

    def read(self, seconds: float) -> bytes:
        """What comes in this time; also nothing, when the connection is dead."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1 << 16)
        except OSError:
            return b""

    def close(self) -> None:
        """Give it up."""
        self.socket.close()


P = TypeVar("P", bound=Prober)


@contextmanager
def probing(
    ledger: Ledger,
    droplets: dict[str, tuple[Namespace, int | None]],
    prober: Callable[[str, Namespace, Ledger], P] = Prober,
) -> Iterator[dict[str, P]]:
    """Probers by name meanwhile; each may see its own droplet's secret. Judged at the end."""
    probers = {}
    for who, (namespace, droplet_id) in droplets.items():
        if droplet_id is not None:
            ledger.allow(who, droplet_id)
        probers[who] = prober(who, namespace, ledger)
    try:
        yield probers
    finally:
        for prober in probers.values():
            prober.stop()
    found = ledger.violations
    assert not found, f"{len(found)} answers to the wrong one, the first: {found[:4]}"
