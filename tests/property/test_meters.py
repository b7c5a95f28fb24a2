"""The meters a switch tells, read without Ryu, beside what Ryu makes of them: the same."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.meter import Meter
from ryu_apps.southbound import meters
from tests.property.effort import effort

OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)
OURS = ofp.OFPMF_PKTPS | ofp.OFPMF_BURST

u32 = st.integers(0, 2**32 - 1)
numbers = u32 | st.integers(0, 1)
drop = st.builds(parser.OFPMeterBandDrop, numbers, numbers)
remark = st.builds(parser.OFPMeterBandDscpRemark, numbers, numbers, st.integers(0, 7))
flags = st.sampled_from((OURS, OURS | ofp.OFPMF_STATS, OURS | ofp.OFPMF_KBPS)) | st.integers(0, 15)
told = st.tuples(flags, st.integers(1, 0xFFFF0000), st.lists(drop | remark, max_size=2))


def encoded(flags: int, meter_id: int, bands: list[parser.OFPMeterBandHeader]) -> bytes:
    """struct ofp_meter_config."""
    body = bytearray()
    for band in bands:
        band.serialize(body, len(body))
    length = struct.calcsize(ofp.OFP_METER_CONFIG_PACK_STR) + len(body)
    return struct.pack(ofp.OFP_METER_CONFIG_PACK_STR, length, flags, meter_id) + body


def plainly(message: bytes) -> list[tuple[int, Meter | None]]:
    """The meters by Ryu's own decoding."""
    header = (ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, len(message), 1)
    reply = parser.msg_parser(OPENFLOW_13, *header, bytearray(message))
    return [(stats.meter_id, meter(stats)) for stats in reply.body]


def meter(stats: parser.OFPMeterConfigStats) -> Meter | None:
    """As it says what it is."""
    if stats.flags & ~ofp.OFPMF_STATS != OURS or len(stats.bands) != 1:
        return None
    (band,) = stats.bands
    if not isinstance(band, parser.OFPMeterBandDrop) or not (band.rate and band.burst_size):
        return None
    return Meter(stats.meter_id, band.rate, band.burst_size)


@given(configs=st.lists(told, max_size=5), more=st.booleans())
@effort(60)
def test_meters_are_those_of_ryu(configs: list, more: bool):
    data = struct.pack("!HH4x", ofp.OFPMP_METER_CONFIG, more)
    data += b"".join(encoded(*config) for config in configs)
    length = ofp.OFP_HEADER_SIZE + len(data)
    header = struct.pack("!BBHI", ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, length, 1)
    assert meters.meters(header + data) == plainly(header + data)
