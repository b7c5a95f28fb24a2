"""One flow entry as a value."""

from dataclasses import dataclass
from typing import NamedTuple

from ryu_apps.openflow.actions import Action
from ryu_apps.openflow.match import Match
from ryu_apps.openflow.meter import checked_meter_id


class FlowKey(NamedTuple):
    """What tells one flow entry of a switch from another (OpenFlow 1.3.5, section 5.2)."""

    table: int
    priority: int
    match: Match


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow entry. No actions means drop. Raises ValueError for a value out of range.

    `meter` is the id of the meter that packets must pass before the actions (OpenFlow's meter
    instruction), None for none.
    """

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...] = ()
    cookie: int = 0
    meter: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.table <= 254:
            raise ValueError(f"table {self.table} is not in 0..254")
        if not 0 <= self.priority <= 0xFFFF:
            raise ValueError(f"priority {self.priority} is not in 0..65535")
        if not 0 <= self.cookie < 1 << 64:
            raise ValueError(f"cookie {self.cookie:#x} does not fit 64 bits")
        if self.meter is not None:
            checked_meter_id(self.meter)

    @property
    def key(self) -> FlowKey:
        """The part that a later flow must share to replace this one."""
        return FlowKey(self.table, self.priority, self.match)
