"""Meters as OpenFlow 1.3 messages of Ryu, and what a switch tells of its meters.

Open vSwitch numbers its datapath's meters by itself, so an id may be any that OpenFlow allows;
only how many there are is limited.
"""

import struct

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.meter import Meter

_PACKETS = ofp.OFPMF_PKTPS | ofp.OFPMF_BURST

_CONFIG = struct.Struct(ofp.OFP_METER_CONFIG_PACK_STR)
_DROP = struct.Struct(ofp.OFP_METER_BAND_DROP_PACK_STR)
_WITH_ONE_BAND = _CONFIG.size + _DROP.size


def add_meter(datapath: ProtocolDesc, meter: Meter) -> parser.OFPMeterMod:
    """Make the meter; refused where there is one of its id."""
    return _meter_mod(datapath, ofp.OFPMC_ADD, meter.meter_id, [_band(meter)])


def change_meter(datapath: ProtocolDesc, meter: Meter) -> parser.OFPMeterMod:
    """The meter of this id becomes this one, flows that use it stay; refused where there is none.

    After `add_meter` the meter is there as it should be, unless this one is refused.
    """
    return _meter_mod(datapath, ofp.OFPMC_MODIFY, meter.meter_id, [_band(meter)])


def delete_meter(datapath: ProtocolDesc, meter_id: int) -> parser.OFPMeterMod:
    """The meter goes, and with it every flow that uses it; one that is not there is no error."""
    return _meter_mod(datapath, ofp.OFPMC_DELETE, meter_id, [])


def features_request(datapath: ProtocolDesc) -> parser.OFPMeterFeaturesStatsRequest:
    """Ask how many meters the switch can have."""
    return parser.OFPMeterFeaturesStatsRequest(datapath, 0)


def meters_request(datapath: ProtocolDesc) -> parser.OFPMeterConfigStatsRequest:
    """Ask for every meter there is, whoever's."""
    return parser.OFPMeterConfigStatsRequest(datapath, 0, ofp.OFPM_ALL)


def limit(reply: parser.OFPMeterFeaturesStatsReply) -> int:
    """How many meters of our kind the switch can have; 0 where it has none that drop packets."""
    (features,) = reply.body
    kinds = 1 << ofp.OFPMBT_DROP
    able = features.band_types & kinds and features.capabilities & _PACKETS == _PACKETS
    return features.max_meter if able else 0


def meters(reply: bytes) -> list[tuple[int, Meter | None]]:
    """The meters of one multipart reply by id; None for one that we would not have made.

    Without Ryu, which takes 12 us to decode one: they are read back every some seconds. The same as
    by Ryu's own decoding (tests/property/test_meters.py). Raises struct.error, ValueError.
    """
    found, position, end = [], ofp.OFP_MULTIPART_REPLY_SIZE, len(reply)
    while position < end:
        length, flags, meter_id = _CONFIG.unpack_from(reply, position)
        if length < _CONFIG.size:
            raise ValueError(f"a meter of {length} bytes")
        meter = None
        if length == _WITH_ONE_BAND and flags & ~ofp.OFPMF_STATS == _PACKETS:
            meter = _meter(meter_id, *_DROP.unpack_from(reply, position + _CONFIG.size))
        found.append((meter_id, meter))
        position += length
    return found


def _meter(meter_id: int, kind: int, length: int, rate: int, burst: int) -> Meter | None:
    if kind != ofp.OFPMBT_DROP or length != _DROP.size or not (rate and burst):
        return None
    return Meter(meter_id, rate, burst)


def _meter_mod(
    datapath: ProtocolDesc, command: int, meter_id: int, bands: list[parser.OFPMeterBand]
) -> parser.OFPMeterMod:
    return parser.OFPMeterMod(datapath, command, _PACKETS, meter_id, bands)


def _band(meter: Meter) -> parser.OFPMeterBandDrop:
    return parser.OFPMeterBandDrop(meter.rate, meter.burst)
