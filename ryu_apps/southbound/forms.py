"""The fast way to flow-mods and images: Ryu's own bytes with holes, filled for each port.

Ryu makes about 2,500 flow-mods a second. Here it makes those of one port once for each kind of
bridge and port; where its bytes differ when one value differs is where that value belongs. A single
flow is made by Ryu, and kept: many bridges have the same. What is made here equals what `encode`
makes, byte for byte (tests/property/test_forms.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address
from operator import itemgetter

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.mac import mac_from_int
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort
from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.southbound import encode
from ryu_apps.southbound.encode import Image

_OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)

# What differs between two ports, or bridges, with two values of each that have no byte in common:
# an ofport is in 1..0xfeff, and a MAC address one of a station.
_PROBES: Mapping[str, tuple[bytes, bytes]] = {
    "ofport": (bytes.fromhex("1234"), bytes.fromhex("5678")),
    "zone": (bytes.fromhex("2345"), bytes.fromhex("6789")),
    "hv_local": (bytes.fromhex("0a0b0c0d"), bytes.fromhex("4a4b4c4d")),
    "mac": (bytes.fromhex("021122334455"), bytes.fromhex("0666778899aa")),
    "droplet_id": (bytes.fromhex("01020304"), bytes.fromhex("05060708")),
    "meta_ofport": (bytes.fromhex("3a3b"), bytes.fromhex("7a7b")),
    "meta_mac": (bytes.fromhex("0a4142434445"), bytes.fromhex("0e8182838485")),
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


class Form:
    """Bytes with holes: each (offset, width, which of the values goes there)."""

    def __init__(self, constant: bytes, holes: Sequence[tuple[int, int, int]]) -> None:
        parts, values, position = [], [], 0
        for offset, width, value in sorted(holes):
            if offset < position:
                raise ValueError(f"two values at byte {offset}")
            parts.append(constant[position:offset])
            values.append(value)
            position = offset + width
        parts.append(constant[position:])
        self._template = b"%b".join(part.replace(b"%", b"%%") for part in parts)
        # Of a single value it gives the value itself, which the template takes as well.
        self._filling = itemgetter(*values) if values else lambda _: ()

    def fill(self, values: Sequence[bytes]) -> bytes:
        """The bytes with these values in the holes."""
        return self._template % self._filling(values)


class Codec:
    """Images and bundle-add messages of one bridge's flows (`binding.images.Codec`)."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._forms: dict[tuple[bool, bool, int | None], _PortForms] = {}

    def image(self, flow: Flow) -> Image:
        """The image of one flow."""
        return _image(flow)

    def port_images(self, flows: PortFlows) -> list[Image]:
        """The images of a port's flows, in their order; raises OfportOutOfRange."""
        return self._form(flows).images(self._values(flows))

    def message(self, flow: Flow, bundle_id: int, xid: int) -> bytes:
        """One flow-mod as a message of a bundle."""
        return _message(flow).fill([xid.to_bytes(4, "big"), bundle_id.to_bytes(4, "big")])

    def bundled(self, flows: PortFlows, bundle_id: int, first_xid: int) -> bytes:
        """The port's flow-mods as messages of a bundle, with xids from `first_xid` on."""
        values = self._values(flows)
        values += [flows.cookie.to_bytes(8, "big"), bundle_id.to_bytes(4, "big")]
        values += [
            (xid & 0xFFFFFFFF).to_bytes(4, "big")
            for xid in range(first_xid, first_xid + PortFlows.COUNT)
        ]
        return self._form(flows).messages.fill(values)

    def _form(self, flows: PortFlows) -> "_PortForms":
        kind = flows.mac is None, bool(flows.settings.meter_pps), flows.hop_limit
        form = self._forms.get(kind)
        if form is None:
            form = self._forms[kind] = _port_forms(_like(flows.settings), *kind)
        return form

    def _values(self, flows: PortFlows) -> list[bytes]:
        """In the order of _NAMES."""
        ofport, addressing, meta = flows.ofport, self._settings.addressing, flows.meta
        return [
            ofport.to_bytes(2, "big"),
            addressing.zone(ofport).to_bytes(2, "big"),
            addressing.hv_local(ofport).packed,
            b"" if flows.mac is None else bytes.fromhex(flows.mac.replace(":", "")),
            flows.droplet_id.to_bytes(4, "big"),
            meta.ofport.to_bytes(2, "big"),
            bytes.fromhex(meta.mac.replace(":", "")),
        ]


@lru_cache(1024)
def _image(flow: Flow) -> Image:
    return encode.image(flow)


@lru_cache(1024)
def _message(flow: Flow) -> Form:
    """Its holes: xid, bundle id."""
    places = [(_XID_AT, 4, 0), (_BUNDLE_AT, 4, 1), (_INNER + _XID_AT, 4, 0)]
    return Form(_bundled(flow), places)


def _like(settings: BridgeSettings) -> BridgeSettings:
    """What the bridges with the same forms have in common: all but what is in the holes."""
    addressing = Addressing(settings.addressing.hv_local_subnet)
    return replace(settings, addressing=addressing, meta_port_name="", droplet_port_names=())


@lru_cache(64)
def _port_forms(
    settings: BridgeSettings, waits: bool, is_metered: bool, hop_limit: int | None
) -> "_PortForms":
    """Those of one kind of port; hop limits are few, and change a length."""
    settings = replace(settings, meter_pps=settings.meter_pps if is_metered else 0)
    return _PortForms(*_probed(settings, waits, hop_limit))


class _PortForms:
    """The forms of one kind of port."""

    def __init__(self, constant: Sequence[Flow], varied: Mapping[str, Sequence[Flow]]) -> None:
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
    settings: BridgeSettings, waits: bool, hop_limit: int | None
) -> tuple[tuple[Flow, ...], dict[str, tuple[Flow, ...]]]:
    """The flows with the first value of everything, and those with the other of each name."""
    first = {name: values[0] for name, values in _PROBES.items()}

    def flows(values: Mapping[str, bytes]) -> tuple[Flow, ...]:
        probed = replace(settings, addressing=_Probe(settings, values))
        number = {name: int.from_bytes(value, "big") for name, value in values.items()}
        mac = None if waits else mac_from_int(number["mac"])
        droplet_id = 0 if waits else number["droplet_id"]
        meta = MetaPort(number["meta_ofport"], mac_from_int(number["meta_mac"]))
        made = PortFlows(probed, meta, number["ofport"], droplet_id, mac, hop_limit).flows()
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
