"""What can happen on a connection: the values in a session's inbox."""

from collections.abc import Callable
from dataclasses import dataclass

from ryu_apps.binding.port import SwitchPort
from ryu_apps.openflow.meter import Meter


@dataclass(frozen=True, slots=True)
class PortNews:
    """PORT_STATUS: a port came, changed or went; `reason` is OpenFlow's OFPPR_*."""

    port: SwitchPort
    reason: int


@dataclass(frozen=True, slots=True)
class PortList:
    """A part of the answer to our request for all ports."""

    xid: int
    ports: tuple[SwitchPort, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class FlowList:
    """A part of the answer to a request of ours for flows: the message as it came."""

    xid: int
    message: bytes
    more: bool


@dataclass(frozen=True, slots=True)
class MeterLimit:
    """The answer to how many meters the switch can have; one part is all of it."""

    xid: int
    limit: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class MeterList:
    """A part of the answer to our request for all meters, whoever's; None for a strange one."""

    xid: int
    meters: tuple[tuple[int, Meter | None], ...]
    more: bool


@dataclass(frozen=True, slots=True)
class FlowCount:
    """The answer to a request of ours for how many flows there are."""

    xid: int
    count: int


@dataclass(frozen=True, slots=True)
class FlowChanges:
    """The flow monitor tells of changes that are not ours: the message as it came."""

    message: bytes


@dataclass(frozen=True, slots=True)
class BarrierDone:
    """The switch has finished everything before the barrier of this xid."""

    xid: int


@dataclass(frozen=True, slots=True)
class Proof:
    """Somebody wants `then` called if the switch is still there."""

    then: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """OFPErrorMsg: the switch refused the message of this xid."""

    xid: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reconsider:
    """The registry or the fleet may want something else on the ports of these names."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Flows that were left alone may be mended now."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A follower acknowledged, came or went."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is gone."""
