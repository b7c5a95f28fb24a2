"""What a switch tells of itself, as values of the core: its ports and our flows on it."""

import struct
from collections.abc import Iterator
from enum import IntEnum

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_v1_3_parser import OFPErrorMsg, OFPMatch, OFPPort

from ryu_apps.binding.hops import Counters
from ryu_apps.binding.port import SwitchPort
from ryu_apps.southbound.encode import Image, image_at

# struct ofp_flow_stats up to its match: length, table_id, duration in s and ns, priority, cookie,
# packets and bytes.
_FLOW_STATS = struct.Struct("!HBxIIH10xQQQ")


# openflow-1.3.h of Open vSwitch: struct onf_flow_update_full up to its match: length, event,
# priority, table_id and cookie; behind the headers of the reply and of the experimenter.
_FLOW_UPDATE = struct.Struct("!HH2xH6xBxQ")
_UPDATES_AT = ofp.OFP_MULTIPART_REPLY_SIZE + ofp.OFP_EXPERIMENTER_MULTIPART_HEADER_SIZE


def switch_port(port: OFPPort) -> SwitchPort:
    """A port description. Names that are no text keep their bytes as escapes."""
    name = port.name
    if isinstance(name, bytes):
        name = name.rstrip(b"\0").decode("ascii", "backslashreplace")
    return SwitchPort(port.port_no, name, port.hw_addr.lower())


def flow_images(reply: bytes) -> list[tuple[int, Image]]:
    """The (cookie, image) of each flow in one multipart reply."""
    return [(cookie, image) for cookie, image, _ in _flows(reply)]


def flow_counters(reply: bytes) -> list[tuple[Image, Counters]]:
    """What each flow in one multipart reply counted."""
    return [
        (image, Counters(packets, octets, seconds + nanoseconds / 1e9))
        for _, image, (seconds, nanoseconds, packets, octets) in _flows(reply)
    ]


def _flows(reply: bytes) -> Iterator[tuple[int, Image, tuple[int, int, int, int]]]:
    """Cookie, image and counters as they are told of each flow in one multipart reply."""
    position, end = ofp.OFP_MULTIPART_REPLY_SIZE, len(reply)
    while position < end:
        told = _FLOW_STATS.unpack_from(reply, position)
        length, table, seconds, nanoseconds, priority, cookie, packets, octets = told
        image = image_at(reply, position + _FLOW_STATS.size, position + length, table, priority)
        yield cookie, image, (seconds, nanoseconds, packets, octets)
        position += length


class FlowEvent(IntEnum):
    """openflow-1.3.h of Open vSwitch: enum onf_flow_update_event."""

    ADDED = 0
    DELETED = 1
    MODIFIED = 2
    ABBREVIATED = 3


def flow_changes(update: bytes) -> list[tuple[FlowEvent, int, Image]]:
    """The (event, cookie, image) of each change a flow monitor tells, our own left out.

    The images have no instructions: they are not asked for.
    """
    changes = []
    position, end = _UPDATES_AT, len(update)
    while position < end:
        length, kind = struct.unpack_from("!HH", update, position)
        event = FlowEvent(kind)
        if event is not FlowEvent.ABBREVIATED:
            _, _, priority, table, cookie = _FLOW_UPDATE.unpack_from(update, position)
            match_at = position + _FLOW_UPDATE.size
            image = image_at(update, match_at, position + length, table, priority)
            changes.append((event, cookie, image))
        position += length
    return changes


def match_text(match: bytes) -> str:
    """OXM fields for people, in Ryu's names."""
    head = struct.pack("!HH", ofp.OFPMT_OXM, 4 + len(match))
    try:
        fields = OFPMatch.parser(head + match + bytes(-(4 + len(match)) % 8), 0)
    except (KeyError, ValueError, struct.error) as error:  # A field Ryu does not know.
        return f"match {match.hex()} ({error!r})"
    return ", ".join(f"{name}={value}" for name, value in fields.items()) or "any packet"


def refusal_reason(error: OFPErrorMsg) -> str:
    """OpenFlow's own names for what the switch did not like."""
    if error.type == ofp.OFPET_EXPERIMENTER:
        return f"experimenter error {error.experimenter:#x}/{error.exp_type}"
    kind = ofp.ofp_error_type_to_str(error.type)
    return f"{kind}/{ofp.ofp_error_code_to_str(error.type, error.code)}"
