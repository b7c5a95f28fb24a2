"""The tables of log events in operations.md, between their marks: of each process, and of both.

Written by docs/generate.py from the tables of events, `ryu_apps/events.py` and
`metadata_http/events.py`.
"""

import logging
import re
from collections.abc import Iterable, Iterator

import metadata_http.events
import ryu_apps.events
from ovs_metadata_logs.event import Event
from ovs_metadata_logs.fields import FIELDS
from ovs_metadata_logs.own import OWN

_TABLES = {
    "controller": ryu_apps.events.EVENTS,
    "server": metadata_http.events.EVENTS,
    "both": OWN,
}


def with_events(page: str) -> str:
    """The page with the tables as they are now. Raises ValueError where a mark is missing."""
    for name, events in _TABLES.items():
        page = _between(page, f"events of {name}", _events(events))
    return _between(page, "fields", _fields())


def _between(page: str, name: str, lines: Iterable[str]) -> str:
    marks = re.compile(rf"(<!-- {name} -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise ValueError(f"docs/operations.md has no place, or several, for: {name}")
    return marks.sub(lambda found: found[1] + "\n".join(lines) + found[2], page)


def _events(events: Iterable[Event]) -> Iterator[str]:
    yield "| event | level | its sentence | fields | |"
    yield "|---|---|---|---|---|"
    for event in events:
        text = event.text.replace("!r", "").replace("|", "\\|")
        fields = ", ".join(sorted(event.fields))
        level = logging.getLevelName(event.level)
        yield f"| `{event.name}` | {level} | {text} | {fields} | {event.about} |"


def _fields() -> Iterator[str]:
    yield "| field | |"
    yield "|---|---|"
    for name, field in sorted(FIELDS.items()):
        yield f"| `{name}` | {field.about} |"
