"""The droplets and bridges that the tests of flows have in common: the talk's own among them."""

from ipaddress import IPv4Address, IPv4Network

from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.droplet_flows import BoundPort
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort, Pipeline, Tables

META = MetaPort(1000, "c2:91:25:64:d0:5d")

# The talk's: tapext7889371.
TALK = BoundPort(602, "a6:a4:8e:4a:e8:70", 7889371)
# Another on the same bridge with the same MAC address.
TWIN = BoundPort(603, "a6:a4:8e:4a:e8:70", 42)
# One whose replies must not travel on behind it.
LIMITED = BoundPort(606, "a6:a4:8e:4a:e8:71", 43, hop_limit=1)
# A port that waits for its droplet to be registered.
WAITING = 604
UPLINK = 5

STANDALONE = BridgeSettings()
EMBEDDED = BridgeSettings(pipeline=Pipeline.EMBEDDED)
OWN_ARP_TABLE = BridgeSettings(tables=Tables(arp_responder=10))
OTHER_TABLES = BridgeSettings(
    pipeline=Pipeline.EMBEDDED,
    tables=Tables(arp_responder=11, classifier=12, l2_rewrite=13, forwarding=14),
)
MOVED = BridgeSettings(
    addressing=Addressing(IPv4Network("198.18.0.0/22"), 5000),
    metadata_ip=IPv4Address("169.254.42.42"),
    metadata_port=8775,
    pipeline=Pipeline.EMBEDDED,
    tables=Tables(arp_responder=11, classifier=12, l2_rewrite=13, forwarding=14),
)

# With a meter for each port, which a switch must have before it takes such flows.
METERED = BridgeSettings(meter_pps=2000, meter_burst=4000)

ALL_SETTINGS = {
    "standalone": STANDALONE,
    "embedded": EMBEDDED,
    "own-arp-table": OWN_ARP_TABLE,
    "moved": MOVED,
}
