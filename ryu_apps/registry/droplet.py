"""A droplet as it is registered: the value, and the reading of its document.

Reading checks a whole document and reports every fault; what comes out is normalised and can
be served. The rules for `metadata`, the droplet's v1.json, are in `metadata.py`.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from ryu_apps.registry import jsontext
from ryu_apps.registry.checks import check_items, check_mac
from ryu_apps.registry.faults import Findings, Place, json_type, shown
from ryu_apps.registry.metadata import read_metadata
from ryu_apps.registry.metadata_options import (
    MetadataOptions,
    read_metadata_options,
    stored_metadata_options,
)

MAX_DROPLET_ID = 2**32 - 1
"""The id must fit ct_mark, 32 bits wide; 0 is ct_mark's "none"."""

MAX_PORTS = 64
"""Ports of one droplet: a bound far above what a droplet has."""

_MAX_NAME_BYTES = 15
"""IFNAMSIZ of Linux, less the terminating zero."""

FORMATS = ("digitalocean", "ec2", "openstack")
"""The forms in which a droplet's metadata can be served, in the order they are told."""

_KEYS = (
    *("droplet_id", "ports", "metadata", "user_data_base64", "formats"),
    *("metadata_options", "status"),
)
_PORT_KEYS = ("name", "mac", "dpid")
_PRINTABLE = re.compile(r"[!-~]*", re.ASCII)
_DPID = re.compile(r"[0-9a-fA-F]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Port:
    """The droplet's side of a switch port.

    `name` is the switch port's (the TAP's), `mac` the droplet's own MAC behind it, lower case
    with colons. With `dpid` the port counts on that switch only.
    """

    name: str
    mac: str
    dpid: int | None = None


@dataclass(frozen=True, slots=True)
class Droplet:
    """A registered droplet. `metadata` is its normalised v1.json and must not be changed.

    `user_data_base64` holds user data that is no text; None where there is none, or where it
    is text in `metadata`. `formats` are some of `FORMATS`, in their order; None: the default, as
    with `metadata_options`.
    """

    droplet_id: int
    ports: tuple[Port, ...]
    metadata: dict[str, Any]
    user_data_base64: str | None = None
    formats: tuple[str, ...] | None = None
    metadata_options: MetadataOptions | None = None

    @property
    def region(self) -> str:
        """The region's slug; never empty."""
        return self.metadata["region"]

    @property
    def hostname(self) -> str:
        """The hostname it is served with."""
        return self.metadata.get("hostname") or f"droplet-{self.droplet_id}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The droplet's tags, each once."""
        return tuple(dict.fromkeys(self.metadata.get("tags") or ()))

    @property
    def hop_limit(self) -> int | None:
        """The TTL with which replies enter the droplet; None: as they come."""
        options = self.metadata_options
        return None if options is None else options.http_put_response_hop_limit

    def document(self) -> dict[str, Any]:
        """The droplet as JSON values, as `GET /v1/droplets/{id}` gives it."""
        document: dict[str, Any] = {
            "droplet_id": self.droplet_id,
            "ports": [_port_document(port) for port in self.ports],
            "metadata": self.metadata,
        }
        if self.user_data_base64 is not None:
            document["user_data_base64"] = self.user_data_base64
        if self.formats is not None:
            document["formats"] = list(self.formats)
        if self.metadata_options is not None:
            document["metadata_options"] = self.metadata_options.document()
        return document

    def encode(self) -> bytes:
        """The document as JSON text: what is stored and answered."""
        return jsontext.encode(self.document())


def decode_stored(data: bytes) -> Droplet:
    """The droplet that `Droplet.encode` wrote. It checks nothing: not for outside documents."""
    document = jsontext.decode_trusted(data)
    ports = tuple(
        Port(port["name"], port["mac"], int(port["dpid"], 16) if "dpid" in port else None)
        for port in document["ports"]
    )
    formats = tuple(document["formats"]) if "formats" in document else None
    options = document.get("metadata_options")
    return Droplet(
        document["droplet_id"],
        ports,
        document["metadata"],
        document.get("user_data_base64"),
        formats,
        None if options is None else stored_metadata_options(options),
    )


def read_droplet(
    document: Any, droplet_id: int | None = None, *, default_region: str | None = None
) -> Droplet:
    """The droplet that `document`, JSON values as `jsontext` reads them, describes.

    `droplet_id` is the id the sender addressed it by; without one the document must name it.
    `default_region` stands in for a region the document does not give. A `status` is passed over:
    it is shown with a droplet, and a droplet as it is shown can be sent back. Raises
    `InvalidDocument` with every fault.
    """
    findings = Findings()
    place = Place(findings)
    if not isinstance(document, dict):
        place.fault(f"a droplet is an object, not {json_type(document)}")
        findings.raise_if_any()
    for key in document:
        if key not in _KEYS:
            (place / key).fault(
                f"unknown key; a droplet has {', '.join(_KEYS)}, and the rest is in metadata"
            )
    found_id = _read_id(document, droplet_id, place)
    ports = _read_ports(document, place)
    metadata = read_metadata(
        document.get("metadata"), found_id, place / "metadata", default_region=default_region
    )
    user_data = _read_user_data_base64(document, place)
    formats = _read_formats(document.get("formats"), place / "formats")
    options = read_metadata_options(document.get("metadata_options"), place / "metadata_options")
    findings.raise_if_any()
    return Droplet(found_id, ports, metadata, user_data, formats, options)


def check_droplet_id(value: Any, place: Place) -> bool:
    """Whether `value` can be a droplet's id; reports where it cannot."""
    if isinstance(value, bool) or not isinstance(value, int):
        place.fault(f"must be a number, not {json_type(value)}")
        return False
    if not 1 <= value <= MAX_DROPLET_ID:
        place.fault(f"{value} is out of range: 1 to {MAX_DROPLET_ID}, it must fit ct_mark")
        return False
    return True


def _read_id(document: dict[str, Any], addressed: int | None, place: Place) -> int:
    here = place / "droplet_id"
    if addressed is not None and not check_droplet_id(addressed, here):
        return 0
    if "droplet_id" not in document:
        if addressed is None:
            here.fault("required: each droplet of a batch names its id")
        return addressed or 0
    given = document["droplet_id"]
    if not check_droplet_id(given, here):
        return addressed or 0
    if addressed is not None and given != addressed:
        here.fault(f"{given} differs from the id in the path, {addressed}")
    return given


def _read_ports(document: dict[str, Any], place: Place) -> tuple[Port, ...]:
    here = place / "ports"
    if "ports" not in document:
        here.fault('required: [{"name": ..., "mac": ...}], or [] for a droplet without a port')
        return ()
    given = document["ports"]
    if not isinstance(given, list):
        here.fault(f"must be an array, not {json_type(given)}")
        return ()
    if len(given) > MAX_PORTS:
        here.fault(f"{len(given)} ports; a droplet has at most {MAX_PORTS}")
        return ()
    ports = [_read_port(port, here / index) for index, port in enumerate(given)]
    first_at: dict[str, int] = {}
    for index, port in enumerate(ports):
        first = first_at.setdefault(port.name, index)
        if port.name and first != index:
            (here / index / "name").fault(
                f"{shown(port.name)} is named twice, first by port {first}"
            )
    return tuple(ports)


def _read_port(value: Any, place: Place) -> Port:
    if not isinstance(value, dict):
        place.fault(f"a port is an object, not {json_type(value)}")
        return Port("", "")
    for key in value:
        if key not in _PORT_KEYS:
            (place / key).fault(f"unknown key; a port has {', '.join(_PORT_KEYS)}")
    name = _read_name(value, place / "name")
    mac = check_mac(value.get("mac"), place / "mac") or ""
    return Port(name, mac, _read_dpid(value, place / "dpid"))


def _read_name(port: dict[str, Any], place: Place) -> str:
    if "name" not in port:
        place.fault("required: the name of the switch port")
        return ""
    name = port["name"]
    if not isinstance(name, str):
        place.fault(f"must be a string, not {json_type(name)}")
        return ""
    for wrong, reason in (
        (not name, "is empty"),
        (len(name.encode()) > _MAX_NAME_BYTES, f"is longer than {_MAX_NAME_BYTES} bytes"),
        (not _PRINTABLE.fullmatch(name), "must be printable ASCII without spaces"),
        ("/" in name or name in (".", ".."), "is no name of a network device"),
    ):
        if wrong:
            place.fault(f"{shown(name)} {reason}")
    return name


def _read_dpid(port: dict[str, Any], place: Place) -> int | None:
    if "dpid" not in port or port["dpid"] is None:
        return None
    dpid = port["dpid"]
    if not isinstance(dpid, str) or not _DPID.fullmatch(dpid):
        place.fault(f"must be a string of 16 hex digits, not {shown(dpid)}")
        return None
    return int(dpid, 16)


def _read_user_data_base64(document: dict[str, Any], place: Place) -> str | None:
    given = document.get("user_data_base64")
    if given is None:
        return None
    here = place / "user_data_base64"
    metadata = document.get("metadata")
    if isinstance(metadata, dict) and metadata.get("user_data") is not None:
        here.fault("given beside metadata.user_data: give one of them")
    if not isinstance(given, str):
        here.fault(f"must be a string, not {json_type(given)}")
        return None
    try:
        # Line breaks come from base64(1), which wraps its output.
        data = base64.b64decode("".join(given.split()), validate=True)
    except (binascii.Error, ValueError):
        here.fault("is not base64 (RFC 4648 section 4, with padding)")
        return None
    return base64.b64encode(data).decode()


def _read_formats(value: Any, place: Place) -> tuple[str, ...] | None:
    if value is None:
        return None
    if value == []:
        place.fault("is empty: leave it out for the default")
    names = check_items(value, place, _check_format)
    return tuple(name for name in FORMATS if isinstance(names, list) and name in names)


def _check_format(value: Any, place: Place) -> Any:
    if value not in FORMATS:
        place.fault(f"{shown(value)} is none of {', '.join(FORMATS)}")
    return value


def _port_document(port: Port) -> dict[str, str]:
    document = {"name": port.name, "mac": port.mac}
    if port.dpid is not None:
        document["dpid"] = f"{port.dpid:016x}"
    return document
