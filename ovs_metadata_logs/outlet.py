"""A queue and the operating system's thread that writes from it: whoever logs never waits.

Shell. What is written to may stand still: a pipe that nobody reads, a slow disk, journald. So a
line is put into a bounded queue and the thread alone waits. Where the queue is full the line is
dropped and counted, and once the queue is empty again a line tells how many were.

Under eventlet the modules of the standard library are its own, and its locks and threads run on
the one thread that must not wait. So nothing of them is used here: threads come from `native`,
which is given; queues are C's (`_queue`), which eventlet leaves alone, as it does io.FileIO.
"""

import io
import logging
import logging.handlers
import os
import threading
from _queue import Empty, SimpleQueue
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

MAX_LINES = 4000
MAX_BYTES = 8 << 20
"""Of lines that wait: some thousands, or fewer where they have traces."""

_BATCH = 64 << 10
_TICK = 1.0  # seconds
_FULL = 0.05  # seconds until a pipe that does not block is tried again


class Sink(Protocol):
    """Where lines end; may block."""

    def write(self, level: int, data: bytes) -> None:
        """Write lines, each with its end. Raises OSError."""


class Descriptor:
    """A file descriptor, most of all that of standard error."""

    def __init__(self, number: int) -> None:
        self._file = io.FileIO(number, "w", closefd=False)

    def write(self, _level: int, data: bytes) -> None:
        """Write all of it, however long that takes."""
        rest = memoryview(data)
        while rest:
            done = self._file.write(rest)
            if done is None:  # It was made not to block, by whoever shares it.
                _pause(_FULL)
            else:
                rest = rest[done:]


class WatchedFile:
    """A file that is appended to; one that was moved or removed is made anew.

    So logrotate needs to tell nobody, and may truncate it as well. A new one has these permissions.
    """

    def __init__(self, path: str | Path, mode: int = 0o640) -> None:
        self.path = Path(path)
        self._mode = mode
        self._number: int | None = None
        self._open()

    def write(self, level: int, data: bytes) -> None:
        """Append. Raises OSError."""
        try:
            now = os.stat(self.path)
            moved = (now.st_dev, now.st_ino) != self._which
        except FileNotFoundError:
            moved = True
        if moved:
            self._open()
        self._descriptor.write(level, data)

    def _open(self) -> None:
        number = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, self._mode
        )
        opened = os.fstat(number)
        if self._number is not None:
            os.close(self._number)
        self._number, self._which = number, (opened.st_dev, opened.st_ino)
        self._descriptor = Descriptor(number)


class Syslog:
    """The handler of the standard library, which knows syslog's form; for one thread alone."""

    def __init__(self, handler: logging.handlers.SysLogHandler) -> None:
        self._handler = handler
        handler.setFormatter(logging.Formatter("%(message)s"))

    def write(self, level: int, data: bytes) -> None:
        """Send each line. A fault is printed by the handler, as is its way."""
        for line in data.decode("utf-8").splitlines():
            name = logging.getLevelName(level)
            self._handler.emit(
                logging.makeLogRecord({"msg": line, "levelno": level, "levelname": name})
            )


class Outlet:
    """Lines on their way to one sink. `put` may be called from any thread, green or not.

    `tick` is called on the writing thread about once a second, `lost` when lines were dropped and
    all others are written.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        *,
        native: Any = threading,
        tick: Callable[[], None] = lambda: None,
        lost: Callable[[str, int], None] = lambda _name, _count: None,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.name = name
        self.dropped = 0
        self.tick, self.lost = tick, lost
        self._sink = sink
        self._native = native
        self._max_lines, self._max_bytes = max_lines, max_bytes
        self.start()

    def start(self) -> None:
        """Begin with an empty queue and a thread: also in a child, which inherits neither."""
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._put_bytes = self._taken_bytes = 0
        self._told = self.dropped
        self._native.Thread(target=self._run, name=f"log-{self.name}", daemon=True).start()

    def put(self, level: int, line: str) -> None:
        """Have the line written, or count it; never waits."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        waiting = self._put_bytes - self._taken_bytes
        if self._queue.qsize() >= self._max_lines or waiting + len(data) > self._max_bytes:
            self.dropped += 1
            return
        self._put_bytes += len(data)
        self._queue.put((level, data))

    def flush(self, seconds: float) -> bool:
        """Wait until what was put is written, so long at the most; whether it is."""
        done: SimpleQueue[bool] = SimpleQueue()
        self._queue.put(done)
        try:
            return done.get(timeout=seconds)
        except Empty:
            return False

    def _run(self) -> None:
        queue = self._queue
        while True:
            try:
                item = queue.get(timeout=_TICK)
            except Empty:
                self.tick()
                continue
            while item is not None:
                item = self._write(queue, item)
            self._tell_lost(queue)

    def _write(self, queue: "SimpleQueue[Any]", item: Any) -> Any:
        """Write the line and those after it that are there, of one level; what comes next."""
        if isinstance(item, SimpleQueue):
            item.put(True)
            return None
        level, data = item
        lines, size, after = [data], len(data), None
        while size < _BATCH and after is None:
            try:
                after = queue.get_nowait()
            except Empty:
                break
            if not isinstance(after, SimpleQueue) and after[0] == level:
                lines.append(after[1])
                size += len(after[1])
                after = None
        try:
            self._sink.write(level, b"".join(lines))
        except (OSError, ValueError):
            self.dropped += len(lines)
            _pause(_FULL)
        self._taken_bytes += size
        return after

    def _tell_lost(self, queue: "SimpleQueue[Any]") -> None:
        lost = self.dropped - self._told
        if lost and queue.empty():
            self._told += lost
            self.lost(self.name, lost)


def _pause(seconds: float) -> None:
    """Sleep on this thread alone: eventlet's time.sleep is another."""
    try:
        SimpleQueue().get(timeout=seconds)
    except Empty:
        return
