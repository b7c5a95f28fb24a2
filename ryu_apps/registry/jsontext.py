"""JSON text to values and back, with limits. Knows nothing of droplets.

Two rules for what may live here: bytes in, plain values out; and a text that would be read
differently by two readers (a key twice, NaN, half a surrogate pair) is refused, not guessed.
"""

import codecs
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from ryu_apps.registry.faults import Fault, Findings, InvalidDocument, Place, shown

MAX_DEPTH = 32
"""Levels of nesting. v1.json needs six; the bound keeps every recursive reader safe."""

_SPACE = " \t\r\n"


class _Repeated(Exception):
    """An object holds a key twice. Carries the key."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _Repeated(next(key for key in keys if keys.count(key) > 1))
    return value


class _NoJson(ValueError):
    """A constant that Python's reader takes and JSON does not have."""


def _no_constant(name: str) -> NoReturn:
    raise _NoJson(f"not JSON: {name}")


class _Huge(Exception):
    """A number is too large for a double."""


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Huge
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_FINITE = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite
)


def _refusal(reason: str) -> InvalidDocument:
    return InvalidDocument([Fault("", reason)])


def decode_utf8(data: bytes) -> str:
    """The text of `data`. Raises `InvalidDocument` where it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(f"not UTF-8: {error.reason} at byte {error.start}") from None


def _value_at(text: str, start: int, decoder: json.JSONDecoder = _DECODER) -> tuple[Any, int]:
    """The value that begins at `start` and the offset after it. Raises `JSONDecodeError` too."""
    try:
        return decoder.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except _Repeated as error:
        raise _refusal(f"the key {shown(str(error))} occurs twice in one object") from None
    except RecursionError:
        raise _refusal(f"nested deeper than {MAX_DEPTH} levels") from None
    except _NoJson as error:
        raise _refusal(str(error)) from None
    except ValueError:  # Python's bound on the digits of an integer.
        raise _refusal("a number has thousands of digits") from None


def _not_json(error: json.JSONDecodeError, lines: int = 0, column: int = 0) -> InvalidDocument:
    """The refusal of a text of which so many line ends, and characters after the last, are gone."""
    at = f"line {lines + error.lineno} column {error.colno + (error.lineno == 1) * column}"
    return _refusal(f"not JSON: {error.msg} at {at}")


def _require_sound(value: Any) -> None:
    """Raise `InvalidDocument` for what Python's reader takes but JSON or UTF-8 cannot carry."""
    findings = Findings()
    _check_tree(value, Place(findings), 1)
    findings.raise_if_any()


def _check_tree(value: Any, place: Place, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value, place)
    elif isinstance(value, float):
        if not math.isfinite(value):
            place.fault("the number is too large")
    elif isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            place.fault(f"nested deeper than {MAX_DEPTH} levels")
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(key, str):
                _check_text(key, place)
            if isinstance(item, (str, float, dict, list)):
                _check_tree(item, place / key, depth + 1)


def _check_text(text: str, place: Place) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        place.fault("holds half a surrogate pair, which is no text")


def _after_space(text: str, start: int) -> int:
    while start < len(text) and text[start] in _SPACE:
        start += 1
    return start


def parse(data: bytes) -> Any:
    """The one JSON value in `data`. Raises `InvalidDocument`."""
    text = decode_utf8(data)
    start = _after_space(text, 0)
    plain = _is_plain(text)
    try:
        value, end = _value_at(text, start, _FINITE if plain else _DECODER)
    except _Huge:
        plain = False
        value, end = _value_at(text, start)
    except json.JSONDecodeError as error:
        raise _not_json(error) from None
    end = _after_space(text, end)
    if end != len(text):
        raise _refusal(f"not JSON: more text after the value, at character {end}")
    if not plain:
        _require_sound(value)
    return value


def _is_plain(text: str) -> bool:
    """Whether nothing in the JSON value that `text` is can be unsound, huge numbers apart.

    Most documents are plain, and looking at the text costs a tenth of looking at every value: half
    a surrogate pair comes from an escape alone, and no nesting is deeper than there are brackets.
    """
    return text.count("{") + text.count("[") <= MAX_DEPTH and "\\u" not in text


Element = tuple[int | None, Any | InvalidDocument]
"""One document of a batch: its line where the batch has lines, and its value or its faults."""


def array_elements(pieces: Iterable[bytes], *, max_bytes: int) -> Iterator[Element]:
    """The elements of the JSON array that comes in `pieces`, read one at a time.

    Each is a value, or the `InvalidDocument` that says what is wrong with it. Raises
    `InvalidDocument` where the array itself cannot be followed any further, as where an element
    has more than `max_bytes`. No more than an element and a piece are held at a time.
    """
    text = _Window(pieces, max_bytes)
    if not text.take("["):
        raise _refusal("a batch is a JSON array of droplets (or application/x-ndjson)")
    if text.take("]"):
        text.expect_end()
        return
    while True:
        yield None, _value_or_faults(text.value())
        if text.take("]"):
            text.expect_end()
            return
        if not text.take(","):
            raise _refusal(f"not JSON: ',' or ']' expected at character {text.position}")


def _value_or_faults(value: Any) -> Any | InvalidDocument:
    try:
        _require_sound(value)
    except InvalidDocument as error:
        return error
    return value


class _Window:
    """A text that comes in pieces: what has come of it and is not done with."""

    def __init__(self, pieces: Iterable[bytes], max_bytes: int) -> None:
        self._pieces = iter(pieces)
        self._max_bytes = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._bytes = 0
        self._text = ""
        self._at = 0
        # Of what is done with: characters, line ends, and characters after the last of them.
        self._characters = self._lines = self._column = 0

    @property
    def position(self) -> int:
        """The offset in the whole text, in characters, of what comes next."""
        return self._characters + self._at

    def take(self, character: str) -> bool:
        """Go on behind this character if it is the next after spaces, else to where it is not."""
        self._at = _after_space(self._text, self._at)
        while self._at == len(self._text):
            if not self._more():
                return False
            self._at = _after_space(self._text, 0)
        found = self._text[self._at] == character
        self._at += found
        return found

    def expect_end(self) -> None:
        """Raise `InvalidDocument` where anything but spaces follows."""
        self.take("")
        if self._at < len(self._text):
            raise _refusal(f"not JSON: more text after the array, at character {self.position}")

    def value(self) -> Any:
        """The value that is next. Raises `InvalidDocument`."""
        self.take("")
        while True:
            there = len(self._text) - self._at
            try:
                value, end = _value_at(self._text, self._at)
            except json.JSONDecodeError as error:
                if there > self._max_bytes:
                    raise self._too_large() from None
                # Twice as much before the next attempt: else small pieces would make many.
                if not self._more(there):
                    raise _not_json(error, self._lines, self._column) from None
                continue
            if self._may_go_on(value, end) and there <= self._max_bytes and self._more(there):
                continue
            if _is_longer(self._text[self._at : end], self._max_bytes):
                raise self._too_large()
            self._at = end
            return value

    def _may_go_on(self, value: Any, end: int) -> bool:
        """Whether what has not come yet may belong to the value: a number says no end of itself."""
        is_number = isinstance(value, (int, float))
        return is_number and self._text[end : end + 1] not in (*_SPACE, ",", "]")

    def _too_large(self) -> InvalidDocument:
        return _refusal(f"the document is larger than {self._max_bytes} bytes")

    def _more(self, characters: int = 1) -> bool:
        """Let go what is done with and take in so many characters or all that are left.

        False, and nothing has changed, where none are.
        """
        taken: list[str] = []
        count = 0
        while count < characters and (piece := next(self._pieces, None)) is not None:
            taken.append(self._decoded(piece))
            count += len(taken[-1])
        if count < characters:
            self._decoded(b"", final=True)
        if not count:
            return False
        done = self._text[: self._at]
        self._characters += self._at
        self._lines += done.count("\n")
        self._column = len(done) - done.rfind("\n") - 1 + ("\n" not in done) * self._column
        self._text, self._at = self._text[self._at :] + "".join(taken), 0
        return True

    def _decoded(self, piece: bytes, *, final: bool = False) -> str:
        begin = self._bytes - len(self._decoder.getstate()[0])
        self._bytes += len(piece)
        try:
            return self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise _refusal(f"not UTF-8: {error.reason} at byte {begin + error.start}") from None


def _is_longer(text: str, size: int) -> bool:
    """Whether `text` has more than `size` bytes."""
    return len(text) > size or (len(text) > size // 4 and len(text.encode()) > size)


def ndjson_elements(lines: Iterable[bytes]) -> Iterator[Element]:
    """The documents of NDJSON `lines`; empty lines are passed over but counted.

    Each is a value, or the `InvalidDocument` that says what is wrong with its line: one bad
    line does not hide the faults of the others.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, parse(line)
        except InvalidDocument as error:
            yield number, error


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode(value: Any) -> bytes:
    """`value` as JSON on one line, without spaces, in UTF-8 (metadata-api: as on the wire)."""
    return _ENCODER.encode(value).encode()


def decode_trusted(data: bytes) -> Any:
    """The value `encode` wrote; without the checks, and faster."""
    return json.loads(data)
