"""The snapshot file: the view on disk, in the watch stream's own words.

Shell. A full view, then each change appended as its line arrived, and after each acknowledgement
until when the view may be served. Changes are written before they are acknowledged, so whatever a
new process loads is at least what the controller was told; the time in it, on the machine's boot
clock, ends on its own. Loading is the same code that follows the stream.

A changed line needs no fsync: what survives a killed process is enough, for after a power cut the
switch has no flows until a controller is heard again.
"""

import ctypes
import fcntl
import json
import logging
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import IO, Any

from metadata_http import events
from metadata_http.boot import boot_id
from metadata_http.lease import Lease
from metadata_http.view import Following, View, advance, snapshot
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

_SLOT_PAUSE = 0.02
_CHUNK = 1 << 16  # bytes written at a time of a whole view
# 2: with the droplets' metadata options. A file without them would have droplets served that are
# not to be, for the controller tells only what changed since.
_VERSION = 2


class Journal:
    """The snapshot file of one server. Raises OSError where the disk does.

    Whoever has the lock file locked owns the journal; `Journal` itself does not lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._lines = 0
        self._limit = 0

    def load(self, dpid: str, now: float) -> tuple[View | None, Lease]:
        """The view as last written, and how long it may be served; (None, over) without one."""
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
        except FileNotFoundError:
            return None, Lease()
        if mode & 0o077:
            say(log, events.SNAPSHOT_OPEN, file=self.path, mode=mode)
        confirmed: list[dict[str, Any]] = []  # the last one alone
        try:
            with self.path.open("rb") as file, _memory_given_back():
                header, told = _read(file)
                following = advance(Following(), _without_confirmed(told, confirmed), now)
        except ValueError as fault:
            say(log, events.SNAPSHOT_UNUSABLE, file=self.path, reason=fault)
            return None, Lease()
        view = following.view
        if view is None or view.dpid != dpid:
            reason = f"it holds no view of bridge {dpid}"
            say(log, events.SNAPSHOT_UNUSABLE, file=self.path, reason=reason)
            return None, Lease()
        if not isinstance(header, dict) or header.get("version") != _VERSION:
            say(log, events.SNAPSHOT_OTHER_VERSION, file=self.path)
            return None, Lease()
        if not confirmed or header != _header():
            return view, Lease()
        until, at = confirmed[-1]["until"], confirmed[-1].get("at", "-inf")
        return view, Lease(float(until), float(at))

    def rewrite(self, view: View, lease: Lease) -> None:
        """Replace the file by `view` alone: whole or not at all, also over a power cut."""
        told = chain([_header()], snapshot(view), [_confirmed(lease)])
        temporary = self.path.with_name(f"{self.path.name}.new")
        temporary.unlink(missing_ok=True)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            with _memory_given_back(), os.fdopen(file, "wb", _CHUNK, closefd=False) as buffer:
                for event in told:
                    buffer.write(_line(event))
            os.fsync(file)
            os.rename(temporary, self.path)
        except OSError:
            os.close(file)
            raise
        self._close()
        self._file, self._lines, self._limit = file, 0, 2 * len(view.ports) + 256
        _sync_folder(self.path.parent)

    def append(self, lines: Iterable[bytes], view: View, lease: Lease) -> None:
        """Add changes as they came; `view` is what they lead to."""
        data = [line + b"\n" for line in lines]
        self._lines += len(data)
        if self._file is None or self._lines > self._limit:
            self.rewrite(view, lease)
            return
        try:
            _write(self._file, b"".join(data))
        except OSError:
            self._close()  # the last line may be half there: the next write starts anew
            raise

    def confirm(self, view: View, lease: Lease) -> None:
        """The view in the file may be served as long as `lease` holds."""
        self.append([_line(_confirmed(lease))[:-1]], view, lease)

    def discard(self) -> None:
        """Take the file away: better none than one that is behind."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def claim_slot(base: Path, workers: int = 1, patience: float = 0.0) -> tuple[int, Path, int]:
    """Take the lowest free slot of the servers that share `base`: (slot, journal path, lock).

    A slot is a server's name with the controller and its snapshot file. It is free again the
    moment its process is gone, however it went, so the next process carries on in its place.
    One that was just killed may take a moment to go: a new name would have the controller wait a
    whole lease for the old one. So a slot beyond those of `workers` is taken only after `patience`
    seconds. Keep the lock (a file descriptor) open for as long as the slot is used.
    """
    base.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    deadline = time.monotonic() + patience
    while True:
        limit = workers if time.monotonic() < deadline else sys.maxsize
        for slot in range(limit):
            path = base if slot == 0 else base.with_name(f"{base.name}.{slot}")
            lock = _lock(path.with_name(f"{path.name}.lock"))
            if lock is not None:
                return slot, path, lock
        time.sleep(_SLOT_PAUSE)


def _lock(path: Path) -> int | None:
    """The lock of this file, or None where another process has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _header() -> dict[str, Any]:
    return {"event": "journal", "version": _VERSION, "boot_id": boot_id()}


def _confirmed(lease: Lease) -> dict[str, Any]:
    # JSON has no infinity; zero is over as well.
    at = {"at": lease.confirmed} if isfinite(lease.confirmed) else {}
    return {"event": "confirmed", "until": max(lease.until, 0.0), **at}


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"


def _read(file: IO[bytes]) -> tuple[Any, Iterator[Any]]:
    """Header and events, each parsed when it is asked for. Raises ValueError, and they do."""
    # A line cut short was not acted on.
    parsed = (json.loads(line) for line in file if line.endswith(b"\n"))
    header = next(parsed, None)
    if header is None:
        raise ValueError("it is empty")
    return header, parsed


def _without_confirmed(told: Iterable[Any], last: list[dict[str, Any]]) -> Iterator[Any]:
    """The rest of the events; of those that confirm, the last is left in `last`."""
    for event in told:
        if isinstance(event, dict) and event.get("event") == "confirmed":
            last[:] = [event]
        else:
            yield event


@contextmanager
def _memory_given_back() -> Iterator[None]:
    """What was taken for a whole view in passing is not kept for the next time, hours from now."""
    try:
        yield
    finally:
        ctypes.CDLL(None).malloc_trim(0)  # malloc_trim(3)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
