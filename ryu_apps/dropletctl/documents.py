"""Droplet documents out of a file: NDJSON or one JSON array, and cutting them into batches.

Pure over a text stream. What a droplet must look like is for the controller to say; here only the
file's own form counts, and where in it each document stands.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

BATCH_BYTES = 16 << 20
"""A batch ends at this size even with few documents; the controller takes four times as much."""

_SPACE = " \t\r\n"


class BadFile(Exception):
    """The file is neither NDJSON nor a JSON array; the text says where it stops being one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document, as JSON on one line, and where it stands in its file."""

    place: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive documents."""

    entries: tuple[Entry, ...]

    @property
    def span(self) -> str:
        """Where in the file it stands."""
        first, last = self.entries[0].place, self.entries[-1].place
        return first if first == last else f"{first} to {last}"


def read_entries(file: TextIO) -> Iterator[Entry]:
    """The documents of a file, read as they are asked for. Raises BadFile.

    A file whose first character is `[` is one JSON array; any other is NDJSON, where lines without
    text are passed over.
    """
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        if line.lstrip(_SPACE).startswith("["):
            yield from _elements(line + file.read(), number)
            return
        yield Entry(f"line {number}", line.strip().encode())


def read_document(text: str) -> dict[str, Any]:
    """The one droplet document in `text`. Raises BadFile."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadFile(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadFile("a droplet is a JSON object; `dropletctl import` takes many of them")
    return document


def batches(entries: Iterable[Entry], size: int) -> Iterator[Batch]:
    """Cut into batches of at most `size` documents and about BATCH_BYTES."""
    pending: list[Entry] = []
    total = 0
    for entry in entries:
        if pending and (len(pending) == size or total + len(entry.text) > BATCH_BYTES):
            yield Batch(tuple(pending))
            pending, total = [], 0
        pending.append(entry)
        total += len(entry.text)
    if pending:
        yield Batch(tuple(pending))


def _elements(text: str, first_line: int) -> Iterator[Entry]:
    """The elements of a JSON array, each as it stands but on one line."""
    decoder = json.JSONDecoder()
    at = _after_space(text, text.index("[") + 1)
    if text[at : at + 1] == "]":
        return
    number = 0
    while True:
        number += 1
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError as error:
            line = first_line + text.count("\n", 0, getattr(error, "pos", at))
            raise BadFile(f"element {number} (line {line}): not JSON: {error}") from error
        # A line break inside a JSON string is written \n, so those there are stand between values.
        one_line = text[at:end].replace("\r", " ").replace("\n", " ")
        yield Entry(f"element {number}", one_line.encode())
        at = _after_space(text, end)
        if text[at : at + 1] == "]":
            return
        if text[at : at + 1] != ",":
            line = first_line + text.count("\n", 0, at)
            raise BadFile(f"line {line}: ',' or ']' expected after element {number}")
        at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at
