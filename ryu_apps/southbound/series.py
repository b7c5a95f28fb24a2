"""Messages that go out by the thousand and differ in one number: Ryu's bytes with holes.

Ryu needs 10 to 50 us for each. Here it makes two, and where they differ is where the number
belongs. What is made here equals what Ryu makes, byte for byte (tests/property/test_series.py).
"""

from collections.abc import Callable
from functools import lru_cache

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_protocol import ProtocolDesc
from ryu.ofproto.ofproto_v1_3_parser import OFPBarrierRequest

from ryu_apps.openflow.meter import Meter
from ryu_apps.southbound import encode, meters
from ryu_apps.southbound.forms import Form

_OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)

# Two numbers that have no byte in common, and an xid's place in every message.
_PROBES = (bytes.fromhex("12345678"), bytes.fromhex("9abcdef1"))
_XID_AT, _XID_WIDTH = 4, 4


class Series:
    """The messages of `make(number)` for all numbers of `width` bytes; raises ValueError for one
    that does not write its number as it is, once."""

    def __init__(self, make: Callable[[int], MsgBase], width: int) -> None:
        probes = [probe[:width] for probe in _PROBES]
        one, other = (_bytes(make(int.from_bytes(probe, "big"))) for probe in probes)
        at = one.find(probes[0])
        if at < 0 or one[:at] + probes[1] + one[at + width :] != other:
            raise ValueError("the number is not written as it is, once")
        self._form = Form(one, [(_XID_AT, _XID_WIDTH, 0), (at, width, 1)])
        self._width = width

    def message(self, number: int, xid: int) -> bytes:
        """The message of this number."""
        return self._form.fill((xid.to_bytes(4, "big"), number.to_bytes(self._width, "big")))


class Repeated:
    """A message of which only the xid differs from one time to the next."""

    def __init__(self, message: MsgBase) -> None:
        self._form = Form(_bytes(message), [(_XID_AT, _XID_WIDTH, 0)])

    def message(self, xid: int) -> bytes:
        """The message with this xid."""
        return self._form.fill((xid.to_bytes(4, "big"),))


def _bytes(message: MsgBase) -> bytes:
    message.set_xid(0)
    message.serialize()
    return bytes(message.buf)


FLUSHES = Series(lambda zone: encode.flush_zone(_OPENFLOW_13, zone), 2)
"""NXT_CT_FLUSH_ZONE of each ct zone."""

DELETED_METERS = Series(lambda meter_id: meters.delete_meter(_OPENFLOW_13, meter_id), 4)
"""`meters.delete_meter` of each id."""

BARRIERS = Repeated(OFPBarrierRequest(_OPENFLOW_13))
"""OFPBarrierRequest."""


@lru_cache(8)
def controls(kind: int) -> Series:
    """`encode.bundle_control` of this kind for each bundle."""
    return Series(lambda bundle_id: encode.bundle_control(_OPENFLOW_13, bundle_id, kind), 4)


@lru_cache(64)
def counts(cookie: int, mask: int, table: int) -> Repeated:
    """`encode.count_request` of these; bridges have them in common."""
    return Repeated(encode.count_request(_OPENFLOW_13, cookie, mask, table))


@lru_cache(16)
def set_meters(rate: int, burst: int) -> tuple[Series, Series]:
    """`meters.add_meter` and `meters.change_meter` of each id, with this rate and burst."""
    return (
        Series(lambda one: meters.add_meter(_OPENFLOW_13, Meter(one, rate, burst)), 4),
        Series(lambda one: meters.change_meter(_OPENFLOW_13, Meter(one, rate, burst)), 4),
    )
