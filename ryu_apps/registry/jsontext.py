"""JSON text to values and back, with limits. Knows nothing of droplets.

Two rules for what may live here: bytes in, plain values out; and a text that would be read
differently by two readers (a key twice, NaN, half a surrogate pair) is refused, not guessed.
"""

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
    """The value that begins at `start` and the offset after it."""
    try:
        return decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _refusal(
            f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except _Repeated as error:
        raise _refusal(f"the key {shown(str(error))} occurs twice in one object") from None
    except RecursionError:
        raise _refusal(f"nested deeper than {MAX_DEPTH} levels") from None
    except _NoJson as error:
        raise _refusal(str(error)) from None
    except ValueError:  # Python's bound on the digits of an integer.
        raise _refusal("a number has thousands of digits") from None


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


def array_elements(data: bytes) -> Iterator[Element]:
    """The elements of the JSON array in `data`, read one at a time.

    Each is a value, or the `InvalidDocument` that says what is wrong with it. Raises
    `InvalidDocument` where the array itself cannot be followed any further.
    """
    text = decode_utf8(data)
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        raise _refusal("a batch is a JSON array of droplets (or application/x-ndjson)")
    at = _after_space(text, at + 1)
    if text[at : at + 1] == "]":
        _expect_end(text, at + 1)
        return
    while True:
        value, at = _value_at(text, at)
        yield None, _value_or_faults(value)
        at = _after_space(text, at)
        separator = text[at : at + 1]
        if separator == "]":
            _expect_end(text, at + 1)
            return
        if separator != ",":
            raise _refusal(f"not JSON: ',' or ']' expected at character {at}")
        at = _after_space(text, at + 1)


def _value_or_faults(value: Any) -> Any | InvalidDocument:
    try:
        _require_sound(value)
    except InvalidDocument as error:
        return error
    return value


def _expect_end(text: str, at: int) -> None:
    end = _after_space(text, at)
    if end != len(text):
        raise _refusal(f"not JSON: more text after the array, at character {end}")


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
