"""Meters as OpenFlow 1.3 messages of Ryu, and what a switch tells of its meters.

Open vSwitch numbers its datapath's meters by itself, so an id may be any that OpenFlow allows;
only how many there are is limited.
"""

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.meter import Meter

_PACKETS = ofp.OFPMF_PKTPS | ofp.OFPMF_BURST


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


def meters(reply: parser.OFPMeterConfigStatsReply) -> list[tuple[int, Meter | None]]:
    """The meters of one multipart reply by id; None for one that we would not have made."""
    return [(stats.meter_id, _meter(stats)) for stats in reply.body]


def _meter(stats: parser.OFPMeterConfigStats) -> Meter | None:
    if stats.flags & ~ofp.OFPMF_STATS != _PACKETS or len(stats.bands) != 1:
        return None
    (band,) = stats.bands
    if not isinstance(band, parser.OFPMeterBandDrop) or not (band.rate and band.burst_size):
        return None
    return Meter(stats.meter_id, band.rate, band.burst_size)


def _meter_mod(
    datapath: ProtocolDesc, command: int, meter_id: int, bands: list[parser.OFPMeterBand]
) -> parser.OFPMeterMod:
    return parser.OFPMeterMod(datapath, command, _PACKETS, meter_id, bands)


def _band(meter: Meter) -> parser.OFPMeterBandDrop:
    return parser.OFPMeterBandDrop(meter.rate, meter.burst)
