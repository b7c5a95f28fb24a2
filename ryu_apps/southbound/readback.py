"""What a switch tells of itself, as values of the core: its ports and our flows on it."""

import struct

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_v1_3_parser import OFPErrorMsg, OFPPort

from ryu_apps.binding.port import SwitchPort
from ryu_apps.southbound.encode import Image, image_at

# struct ofp_flow_stats up to its counters: length, table_id, priority and cookie.
_FLOW_STATS = struct.Struct("!HBx8xH10xQ")


def switch_port(port: OFPPort) -> SwitchPort:
    """A port description. Names that are no text keep their bytes as escapes."""
    name = port.name
    if isinstance(name, bytes):
        name = name.rstrip(b"\0").decode("ascii", "backslashreplace")
    return SwitchPort(port.port_no, name, port.hw_addr.lower())


def flow_images(reply: bytes) -> list[tuple[int, Image]]:
    """The (cookie, image) of each flow in one multipart reply."""
    flows = []
    position, end = ofp.OFP_MULTIPART_REPLY_SIZE, len(reply)
    while position < end:
        length, table, priority, cookie = _FLOW_STATS.unpack_from(reply, position)
        match_at = position + ofp.OFP_FLOW_STATS_0_SIZE
        flows.append((cookie, image_at(reply, match_at, position + length, table, priority)))
        position += length
    return flows


def refusal_reason(error: OFPErrorMsg) -> str:
    """OpenFlow's own names for what the switch did not like."""
    if error.type == ofp.OFPET_EXPERIMENTER:
        return f"experimenter error {error.experimenter:#x}/{error.exp_type}"
    kind = ofp.ofp_error_type_to_str(error.type)
    return f"{kind}/{ofp.ofp_error_code_to_str(error.type, error.code)}"
