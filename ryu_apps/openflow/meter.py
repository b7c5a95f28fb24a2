"""A meter as a value: what it lets through of the packets that flows send through it."""

from dataclasses import dataclass

# OFPM_MAX (OpenFlow 1.3.5, A.3.4.4): ids above it are virtual.
MAX_METER_ID = 0xFFFF0000
_MOST = 0xFFFFFFFF


def checked_meter_id(value: int) -> int:
    """Return `value` if it is a meter's id; raise ValueError where it is not."""
    if not 1 <= value <= MAX_METER_ID:
        raise ValueError(f"meter {value} is not in 1..{MAX_METER_ID}")
    return value


@dataclass(frozen=True, slots=True)
class Meter:
    """Drops what is more than `burst` packets at once and `rate` packets a second from then on.

    Raises ValueError for a value out of range.
    """

    meter_id: int
    rate: int
    burst: int

    def __post_init__(self) -> None:
        checked_meter_id(self.meter_id)
        for name in ("rate", "burst"):
            if not 1 <= getattr(self, name) <= _MOST:
                raise ValueError(f"{name} {getattr(self, name)} of a meter is not in 1..{_MOST}")
