"""The flows of a port that is known to be a droplet's while the droplet is not registered yet.

They carry no identity (ct_mark stays 0): the server sees a known port without a droplet and
answers 503 with Retry-After, where silence would cost the droplet a time-out. The droplet's MAC is
not known, so conntrack keeps the one it used in ct_label, and the host talks to a stand-in MAC.
"""

from ryu_apps.openflow.actions import InPort, Load, Move, Output, SetDlSrc, Subfield
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.mac import mac_from_int, mac_to_int
from ryu_apps.openflow.match import Match
from ryu_apps.pipeline.droplet_flows import (
    ARP_REPLY,
    ARP_REQUEST,
    arp_for_host,
    fenced_request,
    known_request,
    nat_request,
    reply_to_conntrack,
    reply_to_port,
    reply_to_stale_mac,
)
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort, Priority

_LABEL = Subfield("NXM_NX_CT_LABEL", 0, 48)

# A locally administered unicast prefix (IEEE 802c) before the four octets of the address.
_STAND_IN = 0x0200_0000_0000


def waiting_flows(settings: BridgeSettings, meta: MetaPort, ofport: int) -> tuple[Flow, ...]:
    """The flows of a port that waits for its droplet; raises OfportOutOfRange."""
    cookie = settings.cookie.of_port(ofport)
    mac = mac_from_int(_STAND_IN | int(settings.addressing.hv_local(ofport)))
    remember = Move(Subfield("NXM_OF_ETH_SRC"), _LABEL)
    restore = (Move(_LABEL, Subfield("NXM_OF_ETH_DST")), Output(ofport))
    return (
        _arp_for_any(settings, meta, ofport, cookie),
        arp_for_host(settings, meta, ofport, mac, cookie),
        nat_request(settings, ofport, None, remember, cookie),
        known_request(settings, ofport, None, remember, cookie),
        fenced_request(settings, meta, ofport, cookie),
        reply_to_conntrack(settings, meta, ofport, mac, cookie),
        reply_to_stale_mac(settings, meta, ofport, mac, cookie),
        reply_to_port(settings, meta, ofport, mac, restore, cookie),
    )


def _arp_for_any(settings: BridgeSettings, meta: MetaPort, ofport: int, cookie: int) -> Flow:
    """A1 for a MAC that is not known: the reply takes it from the request."""
    return Flow(
        settings.tables.arp_responder,
        Priority.ARP,
        Match(
            protocol="arp",
            in_port=ofport,
            untagged=True,
            arp_tpa=settings.metadata_net,
            arp_op=ARP_REQUEST,
        ),
        (
            Load(ARP_REPLY, Subfield("NXM_OF_ARP_OP")),
            Move(Subfield("NXM_OF_ETH_SRC"), Subfield("NXM_OF_ETH_DST")),
            SetDlSrc(meta.mac),
            Move(Subfield("NXM_NX_ARP_SHA"), Subfield("NXM_NX_ARP_THA")),
            Load(mac_to_int(meta.mac), Subfield("NXM_NX_ARP_SHA")),
            Move(Subfield("NXM_OF_ARP_SPA"), Subfield("NXM_OF_ARP_TPA")),
            Load(int(settings.metadata_ip), Subfield("NXM_OF_ARP_SPA")),
            InPort(),
        ),
        cookie,
    )
