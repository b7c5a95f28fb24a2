"""A record as one line, of text or of JSON, that nobody's words can turn into two. Pure.

Text is RFC 5424's idea: the event and its fields in brackets, quoted, and then the sentence, which
is free of form but never ends the line. What a terminal or a reader of lines could take for more
than a letter is written as an escape: control characters, separators of lines, marks that turn the
direction of writing, halves of surrogate pairs.

    2026-11-25T22:49:48.123Z INFO 4711 ryu_apps.southbound.roles [leading dpid="..." term="4"] ...
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ovs_metadata_logs.fields import Plain, shortened

MAX_TRACE = 16_000
MAX_SENTENCE = 4000

OWN_NAMES = ("time", "level", "logger", "process", "event", "message", "trace")
"""Of every line; no field is called so."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says. `at` is in seconds since 1970, UTC."""

    at: float
    level: str
    logger: str
    process: int
    event: str
    message: str
    fields: Mapping[str, Plain]
    trace: str | None = None


def as_json(line: Line) -> str:
    """One JSON object (RFC 8259), in ASCII alone."""
    told: dict[str, Plain] = {
        "time": rfc3339(line.at),
        "level": line.level,
        "logger": _sound(line.logger),
        "process": line.process,
        "event": line.event,
        "message": _sound(shortened(line.message, MAX_SENTENCE)),
        **{name: _sound(value) for name, value in line.fields.items()},
    }
    if line.trace is not None:
        told["trace"] = _sound(shortened(line.trace, MAX_TRACE))
    return json.dumps(told, separators=(",", ":"))


def _sound(value: Plain) -> Plain:
    """The value without halves of surrogate pairs, which not every reader of JSON takes."""
    if isinstance(value, list):
        return [_sound(each) for each in value]
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def as_text(line: Line) -> str:
    """One line for people, and for grep."""
    fields = "".join(f" {name}={_quoted(value)}" for name, value in line.fields.items())
    trace = "" if line.trace is None else f" trace={_quoted(shortened(line.trace, MAX_TRACE))}"
    head = f"{rfc3339(line.at)} {line.level} {line.process} {visible(line.logger)}"
    return f"{head} [{line.event}{fields}{trace}] {visible(shortened(line.message, MAX_SENTENCE))}"


def rfc3339(at: float) -> str:
    """The time in UTC, in milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _quoted(value: Plain) -> str:
    """RFC 5424, 6.3.3: quotes, brackets and backslashes in a value get a backslash before."""
    if isinstance(value, list):
        value = ",".join(map(str, value))
    elif isinstance(value, bool):
        value = str(value).lower()
    text = visible(str(value)).replace('"', '\\"').replace("]", "\\]")
    return f'"{text}"'


def visible(text: str) -> str:
    """The text with an escape for all that is not to be seen, and a second backslash for each."""
    if text.isprintable():
        return text.replace("\\", "\\\\")
    return "".join(map(_letter, text))


def _letter(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    if letter.isprintable():
        return letter
    if letter in _SHORT:
        return _SHORT[letter]
    number = ord(letter)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
