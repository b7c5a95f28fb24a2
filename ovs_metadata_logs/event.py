"""An event: what a process may say, declared once. Pure."""

import string
from dataclasses import dataclass
from typing import Any

from ovs_metadata_logs.fields import FIELDS, Plain


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line. `text` is its sentence, with the names of fields in braces.

    `more` are fields that the sentence has not, `key` those by which a line is the like of another:
    of these, `burst` come at once and then one in `every` seconds, which tells how many did not
    (0: all come). Of all of the event together `total` come at once, and then so many in ten times
    `every` seconds (0: no bound). `about` is for the table of events: what it means and what to do.
    """

    name: str
    level: int
    text: str
    about: str
    more: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    burst: int = 20
    every: float = 10.0
    total: int = 0

    def __post_init__(self) -> None:
        unknown = self.fields - FIELDS.keys()
        if unknown or not set(self.key) <= self.fields:
            raise ValueError(f"event {self.name}: no such field: {unknown or self.key}")

    @property
    def fields(self) -> frozenset[str]:
        """The names of all of its fields."""
        named = (name for _, name, _, _ in string.Formatter().parse(self.text) if name)
        return frozenset(named) | frozenset(self.more)

    def sentence(self, told: dict[str, Plain]) -> str:
        """The sentence with the fields in it; a text that somebody else chose is in quotes."""
        return self.text.format_map(_Shown(told))


class _Shown(dict[str, Plain]):
    """Fields as the sentence has them; one that is not known is a dash."""

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if isinstance(value, list):
            return ", ".join(map(str, value)) or "none"
        return "-" if value is None else value
