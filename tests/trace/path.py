"""Bridges with the flows of a small world on them, and the packets that are sent through them."""

from ryu_apps.openflow.actions import Normal, Resubmit
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import Match
from ryu_apps.openflow.trace import Trace
from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.pipeline.waiting_flows import waiting_flows
from tests.droplets import (
    EMBEDDED,
    LIMITED,
    META,
    OTHER_TABLES,
    OWN_ARP_TABLE,
    STANDALONE,
    TALK,
    TWIN,
    UPLINK,
    WAITING,
)
from tests.trace.dummy_ovs import DummyBridge

BROADCAST = "ff:ff:ff:ff:ff:ff"
PLAIN = 605
"""A droplet's port that nobody registered and that is not known to be one."""
PORTS = [TALK.ofport, TWIN.ofport, LIMITED.ofport, WAITING, PLAIN, UPLINK]
LOCAL = 65534
OTHERS = [*PORTS, LOCAL]
"""Everything that NORMAL may flood to: all ports but meta0."""

BRIDGES = {
    "standalone": STANDALONE,
    "own-arp-table": OWN_ARP_TABLE,
    "embedded": EMBEDDED,
    "other-tables": OTHER_TABLES,
}
OWNER = {
    "other-tables": [
        Flow(0, 1, Match(protocol="arp"), (Resubmit(11),)),
        Flow(0, 0, Match(), (Resubmit(12),)),
        *(Flow(table, 0, Match(), (Normal(),)) for table in (11, 12, 13, 14)),
    ]
}
"""What the owner of an embedded bridge has installed: it shares our tables and is generous."""


class Path:
    """A bridge with the flows of these settings for two droplets and a waiting port."""

    def __init__(self, bridge: DummyBridge, settings: BridgeSettings, owner: list[Flow]) -> None:
        self._bridge = bridge
        self._tables = settings.tables
        self.trace = bridge.trace
        bridge.load(
            [
                *owner,
                *shared_flows(settings, META),
                *droplet_flows(settings, META, TALK),
                *droplet_flows(settings, META, TWIN),
                *droplet_flows(settings, META, LIMITED),
                *waiting_flows(settings, META, WAITING),
            ]
        )

    def trace_behind_nat(self, packet: str) -> Trace:
        """A droplet's packet as it comes back from conntrack."""
        return self._bridge.trace_at_table(packet, self._tables.l2_rewrite)

    def trace_tracked_reply(self, packet: str) -> Trace:
        """A reply as it comes back from conntrack."""
        return self._bridge.trace_at_table(packet, self._tables.forwarding)


def packet(protocol: str = "tcp", **fields: object) -> str:
    """A request of the talk's droplet, but for what `fields` say."""
    request: dict[str, object] = {
        "in_port": TALK.ofport,
        "dl_src": TALK.mac,
        "dl_dst": META.mac,
    }
    if protocol in ("tcp", "udp", "icmp"):
        request |= {"nw_src": "10.0.0.5", "nw_dst": "169.254.169.254", "nw_ttl": 64}
    if protocol == "tcp":
        request |= {"tp_src": 4444, "tp_dst": 80, "tcp_flags": "syn"}
    return ",".join([protocol, *(f"{name}={value}" for name, value in (request | fields).items())])


def reply(**fields: object) -> str:
    """The metadata server's reply to the talk's droplet, but for what `fields` say."""
    server = {
        "in_port": META.ofport,
        "dl_src": META.mac,
        "dl_dst": TALK.mac,
        "nw_src": "169.254.169.254",
        "nw_dst": "100.127.2.90",
        "tp_src": 80,
        "tp_dst": 4444,
        "tcp_flags": "syn|ack",
        "nw_ttl": 64,
    }
    return packet(**(server | fields))


def arp(**fields: object) -> str:
    """The talk's droplet asking for the metadata address, but for what `fields` say."""
    question = {
        "dl_dst": BROADCAST,
        "arp_op": 1,
        "arp_spa": "10.0.0.5",
        "arp_tpa": "169.254.169.254",
        "arp_sha": TALK.mac,
    }
    return packet("arp", **(question | fields))
