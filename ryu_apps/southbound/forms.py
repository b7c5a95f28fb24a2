"""The fast way to a port's flow-mods and images: Ryu's own bytes with holes, filled per port.

Ryu makes about 2,500 flow-mods a second. Here it makes those of one port once for each meta0 and
kind of port; where its bytes differ when one value differs is where that value belongs. What is
made here equals what `encode` makes, byte for byte (tests/property/test_forms.py).
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.mac import mac_from_int
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort
from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.southbound import encode
from ryu_apps.southbound.encode import Image

_OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)

# What differs between two ports of a bridge, with two values of each that have no byte in common:
# an ofport is in 1..0xfeff, and a MAC address one of a station.
_PROBES: Mapping[str, tuple[bytes, bytes]] = {
    "ofport": (bytes.fromhex("1234"), bytes.fromhex("5678")),
    "zone": (bytes.fromhex("2345"), bytes.fromhex("6789")),
    "hv_local": (bytes.fromhex("0a0b0c0d"), bytes.fromhex("4a4b4c4d")),
    "mac": (bytes.fromhex("021122334455"), bytes.fromhex("0666778899aa")),
    "droplet_id": (bytes.fromhex("01020304"), bytes.fromhex("05060708")),
}
_NAMES = tuple(_PROBES)

# Where in a bundle-add message: its xid, the bundle's id, and in the flow-mod inside xid and
# cookie. Their values come behind those of _NAMES: cookie, bundle id, then an xid a flow.
_INNER = ofp.OFP_EXPERIMENTER_HEADER_SIZE + ofp.ONF_BUNDLE_ADD_MSG_SIZE
_XID_AT = 4
_BUNDLE_AT = ofp.OFP_EXPERIMENTER_HEADER_SIZE
_COOKIE = len(_NAMES)
_BUNDLE = _COOKIE + 1
_FIRST_XID = _BUNDLE + 1

_XIDS = struct.Struct(f"!{PortFlows.COUNT}I")


class Form:
    """Bytes with holes: each (offset, width, which of the values goes there)."""

    def __init__(self, constant: bytes, holes: Sequence[tuple[int, int, int]]) -> None:
        self._parts: list[bytes] = []
        self._fillings: list[tuple[int, int]] = []
        position = 0
        for offset, width, value in sorted(holes):
            if offset < position:
                raise ValueError(f"two values at byte {offset}")
            self._parts += [constant[position:offset], b""]
            self._fillings.append((len(self._parts) - 1, value))
            position = offset + width
        self._parts.append(constant[position:])

    def fill(self, values: Sequence[bytes]) -> bytes:
        """The bytes with these values in the holes."""
        parts = self._parts.copy()
        for part, value in self._fillings:
            parts[part] = values[value]
        return b"".join(parts)


class Codec:
    """Images and bundle-add messages of one bridge's flows (`binding.images.Codec`)."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._forms: dict[_Kind, _PortForms] = {}

    def image(self, flow: Flow) -> Image:
        """The image of one flow, by Ryu."""
        return encode.image(flow)

    def port_images(self, flows: PortFlows) -> list[Image]:
        """The images of a port's flows, in their order; raises OfportOutOfRange."""
        return self._form(flows).images(self._values(flows))

    def bundled(self, flows: PortFlows, bundle_id: int, first_xid: int) -> bytes:
        """The port's flow-mods as messages of a bundle, with xids from `first_xid` on."""
        values = self._values(flows)
        xids = [(first_xid + n) & 0xFFFFFFFF for n in range(PortFlows.COUNT)]
        words = _XIDS.pack(*xids)
        values += [flows.cookie.to_bytes(8, "big"), bundle_id.to_bytes(4, "big")]
        values += [words[at : at + 4] for at in range(0, len(words), 4)]
        return self._form(flows).messages.fill(values)

    def _form(self, flows: PortFlows) -> "_PortForms":
        waits, is_metered = flows.mac is None, bool(flows.settings.meter_pps)
        kind = _Kind(flows.meta, waits, is_metered, flows.hop_limit)
        form = self._forms.get(kind)
        if form is None:
            form = self._forms[kind] = _PortForms(flows.settings, kind)
        return form

    def _values(self, flows: PortFlows) -> list[bytes]:
        """In the order of _NAMES."""
        ofport, addressing = flows.ofport, self._settings.addressing
        return [
            ofport.to_bytes(2, "big"),
            addressing.zone(ofport).to_bytes(2, "big"),
            addressing.hv_local(ofport).packed,
            b"" if flows.mac is None else bytes.fromhex(flows.mac.replace(":", "")),
            flows.droplet_id.to_bytes(4, "big"),
        ]


class _Kind(NamedTuple):
    """What ports with the same forms have in common; hop limits are few, and change a length."""

    meta: MetaPort
    waits: bool
    is_metered: bool
    hop_limit: int | None


class _PortForms:
    """The forms of one kind of port."""

    def __init__(self, settings: BridgeSettings, kind: _Kind) -> None:
        probes = _probed(settings, kind)
        constant, varied = probes
        messages = [_bundled(flow) for flow in constant]
        holes, start = [], 0
        for n, message in enumerate(messages):
            others = {name: _bundled(flows[n]) for name, flows in varied.items()}
            inside = [*_differences(message, others), *_ours(n)]
            holes += [(start + offset, width, value) for offset, width, value in inside]
            start += len(message)
        self.messages = Form(b"".join(messages), holes)
        self._images = [
            (flow.table, flow.priority, *_image_forms(flow, varied, n))
            for n, flow in enumerate(constant)
        ]

    def images(self, values: Sequence[bytes]) -> list[Image]:
        return [
            Image(table, priority, match.fill(values), instructions.fill(values))
            for table, priority, match, instructions in self._images
        ]


def _ours(n: int) -> list[tuple[int, int, int]]:
    """The holes in a bundle-add message that are no part of the flow; `n`: which message."""
    return [
        (_XID_AT, 4, _FIRST_XID + n),
        (_BUNDLE_AT, 4, _BUNDLE),
        (_INNER + _XID_AT, 4, _FIRST_XID + n),
        (_INNER + ofp.OFP_HEADER_SIZE, 8, _COOKIE),
    ]


def _image_forms(flow: Flow, varied: Mapping[str, Sequence[Flow]], n: int) -> tuple[Form, Form]:
    one = encode.image(flow)
    others = {name: encode.image(flows[n]) for name, flows in varied.items()}
    matches = {name: other.match for name, other in others.items()}
    instructions = {name: other.instructions for name, other in others.items()}
    return (
        Form(one.match, _differences(one.match, matches)),
        Form(one.instructions, _differences(one.instructions, instructions)),
    )


def _differences(one: bytes, others: Mapping[str, bytes]) -> list[tuple[int, int, int]]:
    """Where `one` differs from what has another value of each name: (offset, width, value)."""
    holes = []
    for name, other in others.items():
        if len(one) != len(other):
            raise ValueError(f"another {name} makes a message of another length")
        width, offset = len(_PROBES[name][0]), 0
        while offset < len(one):
            if one[offset] == other[offset]:
                offset += 1
                continue
            if one[offset : offset + width] != _PROBES[name][0]:
                raise ValueError(f"{name} is not written as it is")
            holes.append((offset, width, _NAMES.index(name)))
            offset += width
    return holes


def _bundled(flow: Flow) -> bytes:
    message = encode.bundled(_OPENFLOW_13, 0, encode.add_flow(_OPENFLOW_13, flow))
    message.set_xid(0)
    message.serialize()
    return bytes(message.buf)


def _probed(
    settings: BridgeSettings, kind: _Kind
) -> tuple[tuple[Flow, ...], dict[str, tuple[Flow, ...]]]:
    """The flows with the first value of everything, and those with the other of each name."""
    first = {name: values[0] for name, values in _PROBES.items()}

    def flows(values: Mapping[str, bytes]) -> tuple[Flow, ...]:
        probed = replace(settings, addressing=_Probe(settings, values))
        mac = None if kind.waits else mac_from_int(int.from_bytes(values["mac"], "big"))
        droplet_id = 0 if kind.waits else int.from_bytes(values["droplet_id"], "big")
        ofport = int.from_bytes(values["ofport"], "big")
        made = PortFlows(probed, kind.meta, ofport, droplet_id, mac, kind.hop_limit).flows()
        return tuple(replace(flow, cookie=0) for flow in made)

    varied = {name: flows({**first, name: _PROBES[name][1]}) for name in _NAMES}
    return flows(first), varied


class _Probe:
    """Addresses and zones as if they had nothing to do with the ofport."""

    def __init__(self, settings: BridgeSettings, values: Mapping[str, bytes]) -> None:
        self.hv_local_subnet = settings.addressing.hv_local_subnet
        self._values = values

    def hv_local(self, _: int) -> IPv4Address:
        return IPv4Address(self._values["hv_local"])

    def zone(self, _: int) -> int:
        return int.from_bytes(self._values["zone"], "big")
