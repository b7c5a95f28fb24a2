"""From the standard library's records to lines in outlets; what else would write comes here too.

Shell. `say` is how our own code logs: an event and its fields. Everything else, Ryu's, eventlet's
and granian's lines, traces on standard error and faults nobody caught, becomes a line of the same
form. No lock that another thread may hold for longer than a few instructions is taken here.
"""

import atexit
import io
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, ClassVar

from ovs_metadata_logs import own as events
from ovs_metadata_logs.event import Event
from ovs_metadata_logs.fields import FIELDS, Plain, spelled
from ovs_metadata_logs.lines import Line, as_json, as_text
from ovs_metadata_logs.outlet import Outlet, Sink
from ovs_metadata_logs.repeats import Held, Repeats

AUDIT = "ovs_metadata.audit"
"""The logger of writes to the registry; its lines are JSON whatever the others are."""

LOG_FORMATS: dict[str, Callable[[Line], str]] = {"text": as_text, "json": as_json}
LOG_LEVELS = ("debug", "info", "warning", "error")
EXIT_SECONDS = 2.0
"""How long an ending process waits for its last lines to be taken."""

_OWN = "ovs_metadata.logs"


def say(log: logging.Logger, event: Event, /, *, trace: Any = None, **fields: Any) -> None:
    """Log an event with all of its fields; `trace` True has that of the exception being handled.

    A field that is None is left out. Raises KeyError for a field that there is none.
    """
    if log.isEnabledFor(event.level):
        logs = Logs.of_process
        # Asked first: whoever repeats itself often is to cost little.
        more = None if logs is None else logs.passes(event, fields)
        if logs is not None and more is None:
            return
        told = spelled(fields)
        extra = {"ovs_event": event, "ovs_fields": told, "ovs_more": more}
        sentence = _Sentence(event, told)
        log.log(event.level, "%s", sentence, exc_info=trace, extra=extra, stacklevel=2)


class _Sentence:
    """An event's sentence, made only where a line of it is."""

    __slots__ = ("_event", "_told")

    def __init__(self, event: Event, told: dict[str, Plain]) -> None:
        self._event, self._told = event, told

    def __str__(self) -> str:
        return self._event.sentence(self._told)


def lines_dropped() -> dict[str, int]:
    """How many lines each outlet of this process dropped."""
    return {} if Logs.of_process is None else Logs.of_process.dropped()


class Logs(logging.Handler):
    """The one handler of a process, on its root logger.

    `native` is the module `threading` as the operating system has it.
    """

    of_process: ClassVar["Logs | None"] = None

    def __init__(self, form: str = "text", *, native: Any = threading) -> None:
        super().__init__()
        self._form = LOG_FORMATS[form]
        self._native = native
        self._outlets: dict[str, Outlet] = {}
        self._audit: Outlet | None = None
        self._repeats = Repeats()
        self._events = {each.name: each for each in events.OWN}
        self._lock = native.Lock()
        os.register_at_fork(after_in_child=self._forked)
        atexit.register(self.finish)

    # -- setting up ------------------------------------------------------------------------------

    def createLock(self) -> None:
        """None: eventlet's would be handed from one thread's hub to another's."""
        self.lock = None

    def to(self, name: str, sink: Sink) -> None:
        """Write to this sink too."""
        self._outlets[name] = self._outlet(name, sink)

    def audit_to(self, sink: Sink) -> None:
        """Write what the logger AUDIT says there, and only there."""
        self._audit = self._outlet("audit", sink)

    def take_over(self) -> None:
        """Be the root logger's handler, standard error, and who hears of faults nobody caught."""
        Logs.of_process = self
        logging.getLogger().addHandler(self)
        logging.getLogger(AUDIT).setLevel(logging.INFO)
        logging.captureWarnings(True)
        sys.stderr = _Stderr(self)
        sys.excepthook = self._crashed
        threading.excepthook = lambda args: self._crashed(
            args.exc_type, args.exc_value, args.exc_traceback
        )

    def _outlet(self, name: str, sink: Sink) -> Outlet:
        tick = self._tell_held if not self._outlets else lambda: None
        return Outlet(name, sink, native=self._native, tick=tick, lost=self._tell_lost)

    def _forked(self) -> None:
        self._lock = self._native.Lock()
        for outlet in self._all():
            outlet.start()

    def _all(self) -> Iterable[Outlet]:
        return [*self._outlets.values(), *([self._audit] if self._audit else [])]

    # -- logging.Handler -------------------------------------------------------------------------

    def handle(self, record: logging.LogRecord) -> bool:
        """As the standard library's, without a lock."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record on as a line, unless it is one of too many; never waits, never raises."""
        event = getattr(record, "ovs_event", events.LIBRARY)
        fields = dict(getattr(record, "ovs_fields", {}))
        more = getattr(record, "ovs_more", None)
        if more is None and event is events.LIBRARY:
            text = str(record.msg)
            # Of a trace the end tells what it is of.
            more = self._pass(event, (record.name, text[:100], text[100:][-100:]))
        elif more is None:
            more = self.passes(event, fields)
        if more is None:
            return
        message = _message(record)
        if more:
            fields["more"] = more
            message += f"; before it {more} more like this"
        self._put(_line(record, event.name, message, fields), record.levelno)

    def flush(self) -> None:
        """Nothing: whoever asks would wait, which nobody may. See `finish`."""

    def finish(self, seconds: float = EXIT_SECONDS) -> None:
        """Wait until all lines are taken, for so long at the most: the process ends."""
        for held in self._held(float("inf")):
            self._tell(held)
        until = time.monotonic() + seconds
        for outlet in self._all():
            outlet.flush(max(until - time.monotonic(), 0.01))

    def close(self) -> None:
        """Nothing ends: whoever configures logging anew closes all handlers there are."""

    def dropped(self) -> dict[str, int]:
        """How many lines each outlet dropped."""
        return {outlet.name: outlet.dropped for outlet in self._all()}

    def _put(self, line: Line, level: int) -> None:
        if line.logger == AUDIT:
            text = as_json(line)
            outlets = [self._audit] if self._audit else self._outlets.values()
        else:
            text, outlets = self._form(line), self._outlets.values()
        for outlet in outlets:
            outlet.put(level, text)

    # -- lines that are too many -----------------------------------------------------------------

    def passes(self, event: Event, fields: Mapping[str, Any]) -> int | None:
        """How many of the likes of an event were held back before it; None: so is it."""
        key = (FIELDS[name].spell(fields[name]) if name in fields else None for name in event.key)
        return self._pass(event, tuple(map(str, key)))

    def _pass(self, event: Event, key: tuple[str, ...]) -> int | None:
        """How many of its kind were held back before; None: it is held back itself."""
        if not event.burst:
            return 0
        with self._lock:
            self._events[event.name] = event
            return self._repeats.take(
                event.name,
                key,
                time.monotonic(),
                burst=event.burst,
                every=event.every,
                total=event.total,
            )

    def _held(self, now: float) -> list[Held]:
        with self._lock:
            return list(self._repeats.quiet(now))

    def _tell_held(self) -> None:
        for held in self._held(time.monotonic()):
            self._tell(held)

    def _tell(self, held: Held) -> None:
        event = self._events[held.event]
        fields: dict[str, Any] = {"more": held.count, "source": held.event}
        key = held.key if isinstance(held.key, tuple) else ()
        if event is events.LIBRARY:
            reason = " ".join(key)
        else:
            named = dict(zip(event.key, key, strict=False))
            reason = " ".join([held.event, *(f"{name}={value}" for name, value in named.items())])
        self._say(events.MORE_LIKE_THIS, event.level, spelled({**fields, "reason": reason}))

    def _tell_lost(self, name: str, count: int) -> None:
        told = spelled({"count": count, "source": name})
        self._say(events.LINES_DROPPED, events.LINES_DROPPED.level, told)

    def _say(
        self, event: Event, level: int, told: dict[str, Plain], trace: str | None = None
    ) -> None:
        """A line of our own, past the loggers, whose locks are eventlet's."""
        message = told.pop("message", None) or event.sentence(told)
        record = logging.LogRecord(_OWN, level, "", 0, "%s", (message,), None)
        line = _line(record, event.name, str(message), told)
        self._put(line if trace is None else _with_trace(line, trace), level)

    # -- what would write by itself --------------------------------------------------------------

    def stray(self, text: str) -> None:
        """A line that something wrote to standard error."""
        event = events.STDERR
        more = self._pass(event, ())
        if more is not None:
            told: dict[str, Plain] = {"message": text} | ({"more": more} if more else {})
            self._say(event, event.level, told)

    def _crashed(
        self,
        kind: type[BaseException],
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if issubclass(kind, (KeyboardInterrupt, SystemExit)):
            return
        text = "".join(traceback.format_exception(kind, value, trace))
        self._say(events.CRASHED, events.CRASHED.level, {}, text)


class _Stderr(io.TextIOBase):
    """What stands for standard error: lines in the form of all others, and nobody waits."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs
        self._begun = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The real one's, for what writes past us: a trace of the interpreter's own."""
        return 2

    def write(self, text: str) -> int:
        """Hand on each line that is complete."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self._logs.stray(line)
        return len(text)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - a library's arguments, of any kind
        return f"{record.msg} (its arguments do not fit: {type(error).__name__})"


def _line(record: logging.LogRecord, event: str, message: str, fields: dict[str, Plain]) -> Line:
    trace = None
    if record.exc_info and record.exc_info[0] is not None:
        trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    elif record.exc_text:
        trace = record.exc_text
    return Line(
        record.created,
        record.levelname,
        record.name,
        record.process or 0,
        event,
        message.rstrip("\n"),
        fields,
        trace,
    )


def _with_trace(line: Line, trace: str) -> Line:
    return Line(
        *(line.at, line.level, line.logger, line.process, line.event, line.message, line.fields),
        trace.rstrip("\n"),
    )
