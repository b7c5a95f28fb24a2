"""A batch of droplets: read them all, and report the faults of all.

What cannot be seen in one document alone is checked here: an id or a port name twice.
"""

from collections.abc import Iterable, Iterator

from ryu_apps.registry.droplet import Droplet, read_droplet
from ryu_apps.registry.faults import Fault, Findings, InvalidDocument
from ryu_apps.registry.jsontext import Element


class BatchReader:
    """Reads the elements of one batch, one at a time, so that the caller may pause between."""

    def __init__(self, *, max_droplets: int, default_region: str | None = None) -> None:
        self.droplets: list[Droplet] = []
        self._max_droplets = max_droplets
        self._default_region = default_region
        self._findings = Findings()
        self._read = 0
        self._places: dict[int | str, str] = {}

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
        here = f"element {self._read}" if line is None else f"line {line}"
        self._claim(droplet.droplet_id, "/droplet_id", here, line)
        for index, port in enumerate(droplet.ports):
            self._claim(port.name, f"/ports/{index}/name", here, line)
        self.droplets.append(droplet)

    def _claim(self, key: int | str, pointer: str, here: str, line: int | None) -> None:
        first = self._places.setdefault(key, here)
        if first != here:
            reason = f"{key} occurs twice in the batch, first in {first}"
            self._findings.add(Fault(pointer, reason, self._read, line))
