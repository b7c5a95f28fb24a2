"""Messages made from two of Ryu's beside Ryu's own: equal byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_parser import MsgBase
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.meter import MAX_METER_ID, Meter
from ryu_apps.southbound import encode, meters, series
from tests.property.effort import effort

OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
rates = st.integers(1, 2**32 - 1)
meters_of_any_kind = st.builds(Meter, st.integers(1, MAX_METER_ID), rates, rates)


def plainly(message: MsgBase, xid: int) -> bytes:
    """The message as Ryu alone makes it."""
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


@given(zone=st.integers(0, 0xFFFF), xid=u32)
@effort(40)
def test_flushes(zone: int, xid: int):
    plain = plainly(encode.flush_zone(OPENFLOW_13, zone), xid)
    assert series.FLUSHES.message(zone, xid) == plain


@given(bundle_id=u32, xid=u32)
@effort(40)
def test_bundles_and_barriers(bundle_id: int, xid: int):
    for kind in (ofp.ONF_BCT_OPEN_REQUEST, ofp.ONF_BCT_COMMIT_REQUEST):
        plain = plainly(encode.bundle_control(OPENFLOW_13, bundle_id, kind), xid)
        assert series.controls(kind).message(bundle_id, xid) == plain
    plain = plainly(parser.OFPBarrierRequest(OPENFLOW_13), xid)
    assert series.BARRIERS.message(xid) == plain


@given(cookie=u64, mask=u64, table=st.integers(0, 255), xid=u32)
@effort(40)
def test_counts(cookie: int, mask: int, table: int, xid: int):
    plain = plainly(encode.count_request(OPENFLOW_13, cookie, mask, table), xid)
    assert series.counts(cookie, mask, table).message(xid) == plain


@given(meter=meters_of_any_kind, xid=u32)
@effort(40)
def test_meters(meter: Meter, xid: int):
    add, change = series.set_meters(meter.rate, meter.burst)
    one = meter.meter_id
    assert add.message(one, xid) == plainly(meters.add_meter(OPENFLOW_13, meter), xid)
    assert change.message(one, xid) == plainly(meters.change_meter(OPENFLOW_13, meter), xid)
    plain = plainly(meters.delete_meter(OPENFLOW_13, one), xid)
    assert series.DELETED_METERS.message(one, xid) == plain


def test_a_number_written_twice_is_refused():
    with pytest.raises(ValueError, match="not written as it is, once"):
        series.Series(lambda n: meters.add_meter(OPENFLOW_13, Meter(n, n, 1)), 4)
