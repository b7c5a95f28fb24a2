"""Values of the core as OpenFlow 1.3 messages of Ryu. Messages are made fresh, never kept.

A flow's image, the form in which flows are compared with what a switch holds, is made here too.
"""

import struct
from ipaddress import IPv4Network
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_common import NX_EXPERIMENTER_ID
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow import actions as act
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import PROTOCOLS, Match
from ryu_apps.pipeline.layout import CookieMark

# nicira-ext.h: NXT_CT_FLUSH_ZONE. It has no reply; a barrier tells when it is done.
NXT_CT_FLUSH_ZONE = 29

# nicira-ext.h: enum nx_conntrack_flags, and "no recirculation" where NXAST_CT names a table.
NX_CT_F_COMMIT = 1 << 0
NX_CT_RECIRC_NONE = 0xFF
# nicira-ext.h: enum nx_nat_flags.
NX_NAT_F_SRC = 1 << 0

# All flow-mods of a bundle take effect at once, as if one after the other.
BUNDLE_FLAGS = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED

_FLOW_MOD_FIXED = ofp.OFP_FLOW_MOD_SIZE - ofp.OFP_MATCH_SIZE

# A datapath of no connection: Ryu's codec asks it for the version only.
_OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)

_FIELD_NAMES = {
    "NXM_OF_ETH_DST": "eth_dst_nxm",
    "NXM_OF_ETH_SRC": "eth_src_nxm",
    "NXM_OF_ARP_OP": "arp_op_nxm",
    "NXM_OF_ARP_SPA": "arp_spa_nxm",
    "NXM_OF_ARP_TPA": "arp_tpa_nxm",
    "NXM_NX_ARP_SHA": "arp_sha_nxm",
    "NXM_NX_ARP_THA": "arp_tha_nxm",
    "NXM_NX_IP_TTL": "nw_ttl",
    "NXM_NX_CT_MARK": "ct_mark",
    "NXM_NX_CT_LABEL": "ct_label",
    "OXM_OF_METADATA": "metadata",
}
"""Ryu's names of the fields that `load` and `move` name."""


class Image(NamedTuple):
    """A flow entry as bytes, the same whether it was encoded here or told by a switch.

    `match` are its OXM fields in the order of their bytes.
    """

    table: int
    priority: int
    match: bytes
    instructions: bytes

    @property
    def key(self) -> tuple[int, int, bytes]:
        """What tells the entry from others of its switch."""
        return self[:3]


def image(flow: Flow) -> Image:
    """The image of a flow that is wanted."""
    message = add_flow(_OPENFLOW_13, flow)
    message.set_xid(0)
    message.serialize()
    buffer = bytes(message.buf)
    return image_at(buffer, _FLOW_MOD_FIXED, len(buffer), flow.table, flow.priority)


def image_at(buffer: bytes, match_at: int, end: int, table: int, priority: int) -> Image:
    """The image of an entry whose ofp_match begins at `match_at` and whose instructions follow.

    The order of OXM fields carries no meaning (OpenFlow 1.3.5, 7.2.3.6), so they are sorted.
    """
    (length,) = struct.unpack_from("!H", buffer, match_at + 2)
    fields, position, fields_end = [], match_at + 4, match_at + length
    while position < fields_end:
        following = position + 4 + buffer[position + 3]
        fields.append(buffer[position:following])
        position = following
    instructions = buffer[match_at + (length + 7) // 8 * 8 : end]
    fields.sort()
    return Image(table, priority, b"".join(fields), instructions)


def add_flow(datapath: ProtocolDesc, flow: Flow) -> parser.OFPFlowMod:
    """Add the flow, or replace the one with its key."""
    actions = [_action(action) for action in flow.actions]
    # In the order in which Open vSwitch tells them.
    instructions = [] if flow.meter is None else [parser.OFPInstructionMeter(flow.meter)]
    if actions:
        instructions.append(parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions))
    return parser.OFPFlowMod(
        datapath,
        command=ofp.OFPFC_ADD,
        table_id=flow.table,
        priority=flow.priority,
        cookie=flow.cookie,
        match=_match(flow.match),
        instructions=instructions,
    )


def delete_flows(datapath: ProtocolDesc, cookie: int, mask: int) -> parser.OFPFlowMod:
    """Delete every flow, in all tables, whose cookie equals `cookie` under `mask`."""
    return parser.OFPFlowMod(
        datapath,
        command=ofp.OFPFC_DELETE,
        table_id=ofp.OFPTT_ALL,
        cookie=cookie,
        cookie_mask=mask,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
        match=parser.OFPMatch(),
    )


def remove_flow(datapath: ProtocolDesc, cookie: int, image: Image) -> parser.OFPFlowMod:
    """Delete the one flow with the key of `image`, if it has this cookie."""
    message = _Removal(
        datapath,
        command=ofp.OFPFC_DELETE_STRICT,
        table_id=image.table,
        priority=image.priority,
        cookie=cookie,
        cookie_mask=CookieMark.EXACT,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
        match=parser.OFPMatch(),
    )
    message.fields = image.match
    return message


class _Removal(parser.OFPFlowMod):
    """A flow-mod whose match is given as OXM fields, as they are on the wire."""

    fields = b""

    def _serialize_body(self) -> None:
        super()._serialize_body()
        length = 4 + len(self.fields)
        head = struct.pack("!HH", ofp.OFPMT_OXM, length)
        self.buf[_FLOW_MOD_FIXED:] = head + self.fields + bytes(-length % 8)


def bundled(
    datapath: ProtocolDesc, bundle_id: int, message: parser.OFPFlowMod
) -> parser.ONFBundleAddMsg:
    """The message as one of a bundle."""
    return parser.ONFBundleAddMsg(datapath, bundle_id, BUNDLE_FLAGS, message, [])


def bundle_control(datapath: ProtocolDesc, bundle_id: int, kind: int) -> parser.ONFBundleCtrlMsg:
    """Open, commit or discard a bundle: `kind` is ONF extension 230's ONF_BCT_*."""
    return parser.ONFBundleCtrlMsg(datapath, bundle_id, kind, BUNDLE_FLAGS, [])


def flows_request(
    datapath: ProtocolDesc, cookie: int, mask: int, table: int = ofp.OFPTT_ALL
) -> parser.OFPFlowStatsRequest:
    """Ask for every flow whose cookie equals `cookie` under `mask`."""
    return parser.OFPFlowStatsRequest(
        datapath, 0, table, ofp.OFPP_ANY, ofp.OFPG_ANY, cookie, mask, parser.OFPMatch()
    )


def count_request(
    datapath: ProtocolDesc, cookie: int, mask: int, table: int = ofp.OFPTT_ALL
) -> parser.OFPAggregateStatsRequest:
    """Ask how many such flows there are."""
    return parser.OFPAggregateStatsRequest(
        datapath, 0, table, ofp.OFPP_ANY, ofp.OFPG_ANY, cookie, mask, parser.OFPMatch()
    )


def flush_zone(datapath: ProtocolDesc, zone: int) -> parser.OFPExperimenter:
    """Forget every connection of a ct zone."""
    body = struct.pack("!6xH", zone)
    return parser.OFPExperimenter(datapath, NX_EXPERIMENTER_ID, NXT_CT_FLUSH_ZONE, body)


def _match(match: Match) -> parser.OFPMatch:
    fields: dict[str, object] = {}
    if match.protocol:
        fields["eth_type"], nw_proto = PROTOCOLS[match.protocol]
        if nw_proto is not None:
            fields["ip_proto"] = nw_proto
    if match.untagged:
        fields["vlan_vid"] = ofp.OFPVID_NONE
    if match.dl_vlan is not None:
        fields["vlan_vid"] = ofp.OFPVID_PRESENT | match.dl_vlan
    if match.ct_state is not None:
        fields["ct_state"] = match.ct_state.value_mask()
    if match.tcp_flags is not None:
        fields["tcp_flags"] = match.tcp_flags.value_mask()
    for ours, theirs in _MATCH_NAMES.items():
        value = getattr(match, ours)
        if isinstance(value, IPv4Network):
            fields[theirs] = _network(value)
        elif value is not None:
            fields[theirs] = value
    return parser.OFPMatch(**fields)


def _network(network: IPv4Network) -> str | tuple[str, str]:
    if network.prefixlen == 32:
        return str(network.network_address)
    return str(network.network_address), str(network.netmask)


_MATCH_NAMES = {
    "in_port": "in_port",
    "metadata": "metadata",
    "ct_zone": "ct_zone",
    "dl_src": "eth_src",
    "dl_dst": "eth_dst",
    "nw_src": "ipv4_src",
    "nw_dst": "ipv4_dst",
    "arp_spa": "arp_spa",
    "arp_tpa": "arp_tpa",
    "arp_op": "arp_op",
    "tp_src": "tcp_src",
    "tp_dst": "tcp_dst",
}


def _action(action: act.Action) -> parser.OFPAction:
    match action:
        case act.Load(value, into):
            field = _FIELD_NAMES[into.field]
            return parser.NXActionRegLoad(_ofs_nbits(into), dst=field, value=value)
        case act.Move(source, into):
            return parser.NXActionRegMove(
                _FIELD_NAMES[source.field],
                _FIELD_NAMES[into.field],
                source.bits,
                source.start,
                into.start,
            )
        case act.SetDlSrc(mac):
            return parser.OFPActionSetField(eth_src=mac)
        case act.SetDlDst(mac):
            return parser.OFPActionSetField(eth_dst=mac)
        case act.Output(ofport):
            return parser.OFPActionOutput(ofport)
        case act.InPort():
            return parser.OFPActionOutput(ofp.OFPP_IN_PORT)
        case act.Normal():
            return parser.OFPActionOutput(ofp.OFPP_NORMAL)
        case act.Resubmit(table):
            return parser.NXActionResubmitTable(table_id=table)
        case act.Ct():
            return _ct(action)
    raise TypeError(f"{action!r} is no action")


def _ct(ct: act.Ct) -> parser.NXActionCT:
    inner = [_nat(ct.nat)] if ct.nat is not None else []
    return parser.NXActionCT(
        flags=NX_CT_F_COMMIT if ct.commit else 0,
        zone_src="",
        zone_ofs_nbits=ct.zone,
        recirc_table=NX_CT_RECIRC_NONE if ct.table is None else ct.table,
        alg=0,
        actions=inner + [_action(action) for action in ct.exec],
    )


def _nat(nat: act.Nat) -> parser.NXActionNAT:
    if nat.src is None:
        return parser.NXActionNAT(flags=0)
    # Both ends are given: with range_ipv4_min alone Ryu writes a length that Open vSwitch refuses
    # (OFPBAC_BAD_LEN) as soon as another action follows inside ct.
    address = str(nat.src)
    return parser.NXActionNAT(NX_NAT_F_SRC, range_ipv4_min=address, range_ipv4_max=address)


def _ofs_nbits(subfield: act.Subfield) -> int:
    """nicira-ext.h: the first bit in the upper 10 bits, the number of bits - 1 in the lower 6."""
    return subfield.start << 6 | (subfield.bits - 1)
