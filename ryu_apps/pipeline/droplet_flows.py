"""The flows of one bound port: A1, A2, N1, L1, R1, R2 of the talk, and R1s, with its gaps closed.

Beyond the slides: only untagged frames match; N1 recirculates from conntrack, and L1 lets through
to meta0 only what really carries the port's own hv-local address; R2 names the ct zone, since two
ports may have the same MAC.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from ryu_apps.openflow.actions import (
    Action,
    Ct,
    InPort,
    Load,
    Move,
    Nat,
    Output,
    SetDlDst,
    SetDlSrc,
    Subfield,
)
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.mac import mac_to_int
from ryu_apps.openflow.match import CtState, Match, TcpFlags
from ryu_apps.pipeline.layout import REPLY_TRACKED, BridgeSettings, MetaPort, Priority

ARP_REQUEST = 1
ARP_REPLY = 2

_LOAD_REPLY = Load(ARP_REPLY, Subfield("NXM_OF_ARP_OP"))


@dataclass(frozen=True, slots=True)
class BoundPort:
    """A droplet on a switch port: what its flows depend on beside bridge and meta0.

    `hop_limit` is the TTL with which replies enter the droplet; None: as they come.
    """

    ofport: int
    mac: str
    droplet_id: int
    hop_limit: int | None = None


def droplet_flows(settings: BridgeSettings, meta: MetaPort, port: BoundPort) -> tuple[Flow, ...]:
    """The flows of a droplet's port, in the order of the talk.

    Raises OfportOutOfRange where the port has no hv-local address.
    """
    cookie = settings.cookie.of_port(port.ofport, port.droplet_id)
    mark = Load(port.droplet_id, Subfield("NXM_NX_CT_MARK"))
    return (
        _arp_for_droplet(settings, meta, port, cookie),
        arp_for_host(settings, meta, port.ofport, port.mac, cookie),
        nat_request(settings, port.ofport, port.mac, mark, cookie),
        known_request(settings, port.ofport, port.mac, mark, cookie),
        fenced_request(settings, meta, port.ofport, cookie),
        reply_to_conntrack(settings, meta, port.ofport, port.mac, cookie),
        reply_to_stale_mac(settings, meta, port.ofport, port.mac, cookie),
        reply_to_port(settings, meta, port.ofport, port.mac, _into_droplet(port), cookie),
    )


def _into_droplet(port: BoundPort) -> tuple[Action, ...]:
    """R2's actions. A hop limit keeps the reply from going on behind a router in the droplet.

    After conntrack, where the packet is as it arrives; every packet of the connection has it, so
    who is behind the router cannot even connect.
    """
    if port.hop_limit is None:
        return (Output(port.ofport),)
    return (Load(port.hop_limit, Subfield("NXM_NX_IP_TTL")), Output(port.ofport))


def _arp_for_droplet(
    settings: BridgeSettings, meta: MetaPort, port: BoundPort, cookie: int
) -> Flow:
    """A1: the droplet asks who has the metadata address; the switch answers with meta0's MAC."""
    return Flow(
        settings.tables.arp_responder,
        Priority.ARP,
        Match(
            protocol="arp",
            in_port=port.ofport,
            untagged=True,
            dl_src=port.mac,
            arp_tpa=settings.metadata_net,
            arp_op=ARP_REQUEST,
        ),
        (
            _LOAD_REPLY,
            SetDlSrc(meta.mac),
            SetDlDst(port.mac),
            Load(mac_to_int(meta.mac), Subfield("NXM_NX_ARP_SHA")),
            Load(mac_to_int(port.mac), Subfield("NXM_NX_ARP_THA")),
            Move(Subfield("NXM_OF_ARP_SPA"), Subfield("NXM_OF_ARP_TPA")),
            Load(int(settings.metadata_ip), Subfield("NXM_OF_ARP_SPA")),
            InPort(),
        ),
        cookie,
    )


def arp_for_host(
    settings: BridgeSettings, meta: MetaPort, ofport: int, mac: str, cookie: int
) -> Flow:
    """A2: the host asks who has the port's hv-local address; the switch answers with `mac`."""
    hv_local = settings.addressing.hv_local(ofport)
    return Flow(
        settings.tables.arp_responder,
        Priority.ARP,
        Match(
            protocol="arp",
            in_port=meta.ofport,
            untagged=True,
            dl_src=meta.mac,
            arp_spa=settings.metadata_net,
            arp_tpa=IPv4Network(hv_local),
            arp_op=ARP_REQUEST,
        ),
        (
            _LOAD_REPLY,
            SetDlSrc(mac),
            SetDlDst(meta.mac),
            Load(mac_to_int(mac), Subfield("NXM_NX_ARP_SHA")),
            Load(mac_to_int(meta.mac), Subfield("NXM_NX_ARP_THA")),
            Load(int(hv_local), Subfield("NXM_OF_ARP_SPA")),
            Load(int(settings.metadata_ip), Subfield("NXM_OF_ARP_TPA")),
            InPort(),
        ),
        cookie,
    )


def nat_request(
    settings: BridgeSettings, ofport: int, mac: str | None, note: Load | Move, cookie: int
) -> Flow:
    """N1: the droplet opens a connection: its hv-local source, and tracked to L1's table.

    `note` is what conntrack remembers of the connection's owner; `mac` None takes any source MAC.
    Only a SYN may open one: conntrack would pick a connection up in its middle, and so hand over
    to whoever has the ofport now what the host still has to send to the droplet before.
    """
    return Flow(
        settings.tables.classifier,
        Priority.PATH,
        Match(
            protocol="tcp",
            in_port=ofport,
            untagged=True,
            dl_src=mac,
            nw_dst=settings.metadata_net,
            tp_dst=settings.metadata_port,
            tcp_flags=TcpFlags(set=frozenset({"syn"}), clear=frozenset({"ack"})),
        ),
        (
            Ct(
                zone=settings.addressing.zone(ofport),
                commit=True,
                table=settings.tables.l2_rewrite,
                nat=Nat(settings.addressing.hv_local(ofport)),
                exec=(note,),
            ),
        ),
        cookie,
    )


def known_request(
    settings: BridgeSettings, ofport: int, mac: str | None, note: Load | Move, cookie: int
) -> Flow:
    """N1k: N1 for the rest of a connection that conntrack knows; L1 drops what it does not know."""
    opening = nat_request(settings, ofport, mac, note, cookie)
    ct = Ct(zone=settings.addressing.zone(ofport), table=settings.tables.l2_rewrite, nat=Nat())
    return replace(
        opening,
        priority=Priority.REQUEST_KNOWN,
        match=replace(opening.match, tcp_flags=None),
        actions=(ct,),
    )


def fenced_request(settings: BridgeSettings, meta: MetaPort, ofport: int, cookie: int) -> Flow:
    """L1: to meta0, but only what conntrack did translate.

    A packet that conntrack calls invalid, or cannot commit since the zone is full, leaves `ct`
    untranslated with whatever source address the droplet wrote.
    """
    return Flow(
        settings.tables.l2_rewrite,
        Priority.PATH,
        Match(
            protocol="tcp",
            in_port=ofport,
            ct_state=CtState(set=frozenset({"trk"}), clear=frozenset({"inv"})),
            ct_zone=settings.addressing.zone(ofport),
            nw_src=IPv4Network(settings.addressing.hv_local(ofport)),
            nw_dst=settings.metadata_net,
            tp_dst=settings.metadata_port,
        ),
        (SetDlDst(meta.mac), Output(meta.ofport)),
        cookie,
    )


def reply_to_conntrack(
    settings: BridgeSettings, meta: MetaPort, ofport: int, mac: str, cookie: int
) -> Flow:
    """R1: the server's reply goes through conntrack, which puts the droplet's own address back."""
    return Flow(
        settings.tables.forwarding,
        Priority.REPLY_UNTRACKED,
        Match(
            protocol="tcp",
            metadata=0,
            in_port=meta.ofport,
            dl_dst=mac,
            nw_src=settings.metadata_net,
            nw_dst=IPv4Network(settings.addressing.hv_local(ofport)),
            tp_src=settings.metadata_port,
        ),
        (
            Load(REPLY_TRACKED, Subfield("OXM_OF_METADATA")),
            Ct(
                zone=settings.addressing.zone(ofport),
                table=settings.tables.forwarding,
                nat=Nat(),
            ),
        ),
        cookie,
    )


def reply_to_stale_mac(
    settings: BridgeSettings, meta: MetaPort, ofport: int, mac: str, cookie: int
) -> Flow:
    """R1s: R1 for a host whose neighbour table still has another MAC for the hv-local address.

    After the ofport went to another droplet, or its droplet got another MAC, the host goes on
    with the old one until it asks again, which may take it a minute.
    """
    reply = reply_to_conntrack(settings, meta, ofport, mac, cookie)
    return replace(
        reply,
        priority=Priority.REPLY_STALE_MAC,
        match=replace(reply.match, dl_dst=None),
        actions=(SetDlDst(mac), *reply.actions),
    )


def reply_to_port(
    settings: BridgeSettings,
    meta: MetaPort,
    ofport: int,
    mac: str,
    actions: tuple[Action, ...],
    cookie: int,
) -> Flow:
    """R2: the reply, with the droplet's address again, goes out of the droplet's port."""
    return Flow(
        settings.tables.forwarding,
        Priority.PATH,
        Match(
            protocol="tcp",
            metadata=REPLY_TRACKED,
            in_port=meta.ofport,
            ct_state=CtState(set=frozenset({"est", "trk"})),
            ct_zone=settings.addressing.zone(ofport),
            dl_dst=mac,
            nw_src=settings.metadata_net,
            tp_src=settings.metadata_port,
        ),
        actions,
        cookie,
    )
