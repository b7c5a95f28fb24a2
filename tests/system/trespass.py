"""A wire that shows only what must never come out of meta0: the kernel sorts out the rest.

The sorting is a program of classic BPF, so that watching costs nothing under load.
"""

from ipaddress import IPv4Address

from tests.system.cloud import HV_LOCAL, META, Host
from tests.system.packets import HTTP_PORT, METADATA_IP
from tests.system.wire import BpfStep, Wire

# linux/bpf_common.h: load a word, half-word or byte of the frame; the IP header's length to the
# index register; a half-word behind the index register; and, compare, return.
_WORD, _HALF, _BYTE, _INDEX_IHL, _HALF_INDEXED = 0x20, 0x28, 0x30, 0xB1, 0x48
_AND, _JUMP_EQUAL, _RETURN = 0x54, 0x15, 0x06
# linux/filter.h: SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT, for the kernel takes tags out of frames.
_TAG_PRESENT = 0xFFFFF000 + 48

_SHOW, _PASS_OVER = BpfStep(_RETURN, 0, 0, 0xFFFF), BpfStep(_RETURN, 0, 0, 0)


def trespassers(host: Host) -> Wire:
    """What comes out of the host's meta0 beside what is legitimate.

    Legitimate are untagged, whole TCP packets to port 80 of the metadata address, from an hv-local
    address to meta0's MAC, and ARP answers for hv-local addresses.
    """
    mac = bytes.fromhex(host.meta_mac.replace(":", ""))
    return Wire(host.namespace, META, keep_only=_program(mac))


def _program(meta_mac: bytes) -> list[BpfStep]:
    network, metadata = int(HV_LOCAL.network_address), int(IPv4Address(METADATA_IP))
    tcp = [
        *_require(_WORD, 0, int.from_bytes(meta_mac[:4])),
        *_require(_HALF, 4, int.from_bytes(meta_mac[4:])),
        *_require(_BYTE, 23, 6),
        # Flags and offset of a fragment.
        *_require(_HALF, 20, 0, mask=0x3FFF),
        *_require(_WORD, 26, network, mask=0xFFFF0000),
        *_require(_WORD, 30, metadata),
        BpfStep(_INDEX_IHL, 0, 0, 14),
        *_require(_HALF_INDEXED, 16, HTTP_PORT),
    ]
    arp = [*_require(_HALF, 20, 2), *_require(_WORD, 28, network, mask=0xFFFF0000)]
    untagged = _require(_WORD, _TAG_PRESENT, 0)
    return [*untagged, *_if_ethertype(0x0800, tcp), *_if_ethertype(0x0806, arp), _SHOW]


def _require(load: int, at: int, value: int, mask: int | None = None) -> list[BpfStep]:
    """Show the frame unless what is loaded equals `value`."""
    masked = [] if mask is None else [BpfStep(_AND, 0, 0, mask)]
    return [BpfStep(load, 0, 0, at), *masked, BpfStep(_JUMP_EQUAL, 1, 0, value), _SHOW]


def _if_ethertype(ethertype: int, requirements: list[BpfStep]) -> list[BpfStep]:
    """For frames of this type: pass over those that meet all requirements."""
    body = [*requirements, _PASS_OVER]
    return [BpfStep(_HALF, 0, 0, 12), BpfStep(_JUMP_EQUAL, 0, len(body), ethertype), *body]
