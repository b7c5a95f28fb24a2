"""What the service manager is told (sd_notify(3)), and the pulse of the workers it depends on.

The process that the manager started answers nobody itself, so its own life proves little. Each
worker shows its pulse in memory that all share; the parent says that the service lives while
every one of them has one. Pure but for the two classes at the end, which own memory and a socket.
"""

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sdnotify import SystemdNotifier

PATIENCE = 5.0
"""Seconds a start may take until every worker has a view that may be served. Then the service
counts as ready without: droplets are answered 503, and whoever waits for us waits no longer."""

_SIGNS = 4  # signs of life in the time after which the manager gives up on us
_BEAT_EVERY = 1.0  # seconds
_BEAT = struct.Struct("=d?")  # when, on the monotonic clock of all processes; whether it is sure


@dataclass(frozen=True, slots=True)
class Beat:
    """One worker's last pulse. `sure`: it has had a view that may be served; `at` 0: none yet."""

    at: float = 0.0
    sure: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What the manager should hear now."""

    ready: bool
    alive: bool
    status: str


def judge(beats: list[Beat], now: float, started: float, silence: float) -> News:
    """Whether the service is ready and lives; `silence` is how long a worker may show no pulse."""
    late = [number for number, beat in enumerate(beats, 1) if now - beat.at > silence]
    waiting = [number for number, beat in enumerate(beats, 1) if not beat.sure]
    ready = not late and (not waiting or now - started > PATIENCE)
    # A worker that has only just been started has shown nothing yet.
    starting = now - started <= silence
    status = "serving"
    if waiting:
        status = "without a view that may be served: droplets are answered 503, see /readyz"
    if late:
        numbers = ", ".join(map(str, late))
        status = "starting" if starting else f"worker {numbers} shows no life"
    return News(ready, not late or starting, status)


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How long the manager waits for a sign of life of process `pid`; None: for ever.

    sd_watchdog_enabled(3).
    """
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    return microseconds / 1e6 if microseconds > 0 else None


class Pulse:
    """The workers' beats, in memory that they inherit."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * _BEAT.size)

    def beats(self) -> list[Beat]:
        """The last one of each worker."""
        return [Beat(*_BEAT.unpack_from(self._memory, at)) for at in self._places()]

    def beat_for_ever(self, worker: int, is_sure: Callable[[], bool]) -> None:
        """Show `worker`'s pulse, 0 the first, on a thread of its own that ends with the process.

        `is_sure` has to take what an answer to a droplet takes: where that hangs, so does this.
        """
        at = self._places()[worker]

        def beat() -> None:
            sure = False
            while True:
                sure = is_sure() or sure
                _BEAT.pack_into(self._memory, at, time.monotonic(), sure)
                time.sleep(_BEAT_EVERY)

        threading.Thread(target=beat, name="pulse", daemon=True).start()

    def _places(self) -> list[int]:
        return [number * _BEAT.size for number in range(self._workers)]


class Manager:
    """The service manager's ear; without one (no NOTIFY_SOCKET) nothing is said."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._watchdog = watchdog_seconds(os.environ, os.getpid())
        # `debug`, or it would swallow what goes wrong.
        self._notifier = SystemdNotifier(debug=True) if "NOTIFY_SOCKET" in os.environ else None
        self._said: str | None = None
        self._ready = False

    def wait_for(self, what: str) -> None:
        """Say what the service still waits for before it has any worker, again and again."""
        ready = time.monotonic() - self._started > PATIENCE
        self._tell(News(ready, True, f"waiting: {what}"))

    def watch(self, pulse: Pulse) -> None:
        """Keep the manager informed from now on, on a thread that ends with the process."""
        if self._notifier is not None:
            self._started = time.monotonic()
            threading.Thread(target=self._watch, args=(pulse,), name="manager", daemon=True).start()

    def tell_stopping(self) -> None:
        """Say that the end was asked for."""
        if self._notifier is not None:
            self._notifier.notify("STOPPING=1")

    def _watch(self, pulse: Pulse) -> None:
        silence = self._watchdog or 30.0
        while True:
            self._tell(judge(pulse.beats(), time.monotonic(), self._started, silence / 2))
            # Until the start is over somebody waits for every tenth of a second.
            time.sleep(min(_BEAT_EVERY, silence / _SIGNS) if self._ready else 0.05)

    def _tell(self, news: News) -> None:
        if self._notifier is None:
            return
        words = []
        if news.ready and not self._ready:
            self._ready = True
            words.append("READY=1")
        if news.status != self._said:
            self._said = news.status
            words.append(f"STATUS={news.status}")
        if news.alive and self._ready and self._watchdog is not None:
            words.append("WATCHDOG=1")
        if words:
            self._notifier.notify("\n".join(words))
