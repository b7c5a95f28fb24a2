"""A batch of droplets: read them all, and report the faults of all.

What cannot be seen in one document alone is checked here: an id or a port name twice.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ryu_apps.registry.droplet import Droplet, read_droplet
from ryu_apps.registry.faults import Fault, Findings, InvalidDocument
from ryu_apps.registry.jsontext import Element

_Kept = TypeVar("_Kept")


class BatchReader(Generic[_Kept]):
    """Reads the elements of one batch, one at a time, so that the caller may pause between.

    `kept` is what `keep` makes of each droplet: the droplets themselves are let go, for their
    values take several times the room of their text.
    """

    def __init__(
        self,
        keep: Callable[[Droplet], _Kept],
        *,
        max_droplets: int,
        default_region: str | None = None,
    ) -> None:
        self.kept: list[_Kept] = []
        self._keep = keep
        self._max_droplets = max_droplets
        self._default_region = default_region
        self._findings = Findings()
        self._read = 0
        # Of each id and port name: the line, or else the element, that first had it.
        self._first: dict[int | str, int] = {}

    def read(self, elements: Iterable[Element]) -> Iterator[int]:
        """Read `elements`; yields how many were read after each.

        Raises `InvalidDocument` with all faults once the elements are over, or at once where
        they cannot be followed further or are too many.
        """
        try:
            for line, value in elements:
                if self._read == self._max_droplets:
                    raise InvalidDocument([Fault("", f"more than {self._max_droplets} droplets")])
                self._read_element(line, value)
                self._read += 1
                yield self._read
        except InvalidDocument as error:
            self._findings.add_invalid(error, element=self._read, line=None)
        self._findings.raise_if_any()

    def _read_element(self, line: int | None, value: object) -> None:
        try:
            if isinstance(value, InvalidDocument):
                raise value
            droplet = read_droplet(value, default_region=self._default_region)
        except InvalidDocument as error:
            self._findings.add_invalid(error, element=self._read, line=line)
            return
        self._claim(droplet.droplet_id, "/droplet_id", line)
        for index, port in enumerate(droplet.ports):
            self._claim(port.name, f"/ports/{index}/name", line)
        self.kept.append(self._keep(droplet))

    def _claim(self, key: int | str, pointer: str, line: int | None) -> None:
        here = self._read if line is None else line
        first = self._first.setdefault(key, here)
        if first != here:
            kind = "element" if line is None else "line"
            reason = f"{key} occurs twice in the batch, first in {kind} {first}"
            self._findings.add(Fault(pointer, reason, self._read, line))
