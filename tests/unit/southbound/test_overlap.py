"""Which flows of others stand before ours, on the images of real flows."""

import pytest

from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.text import parse_flow
from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.southbound.encode import image
from ryu_apps.southbound.overlap import captures, fields_of, meet, shapes
from tests.droplets import META, STANDALONE, TALK, TWIN

OURS = shapes(
    *([image(flow) for flow in droplet_flows(STANDALONE, META, port)] for port in (TALK, TWIN)),
    STANDALONE.addressing.hv_local_subnet,
)
OFPORTS = (META.ofport, TALK.ofport, TWIN.ofport)


def foreign(text: str) -> Flow:
    """A flow of others, in the words of ovs-ofctl."""
    return parse_flow(f"{text} actions=drop")


@pytest.mark.parametrize(
    "text",
    [
        "priority=5000",
        "priority=5000,tcp",
        "priority=4010,tcp,tp_dst=80",
        "priority=5000,in_port=602",
        "priority=5000,arp,arp_tpa=100.127.9.9",
        "priority=5000,arp,arp_tpa=169.254.0.0/16",
        "priority=5000,tcp,nw_dst=169.254.169.254,in_port=603",
        "table=25, priority=65535",
        "table=65, priority=5000,in_port=1000",
    ],
)
def test_what_takes_traffic_of_ours(text: str):
    assert captures(image(foreign(text)), OURS, OFPORTS)


@pytest.mark.parametrize(
    "text",
    [
        "priority=4008",
        "priority=5000,in_port=5",
        "priority=5000,arp,arp_tpa=10.0.0.1",
        "priority=5000,tcp,tp_dst=443",
        "priority=5000,tcp,nw_dst=10.0.0.0/8",
        "priority=5000,dl_vlan=7",
        "table=7, priority=5000",
    ],
)
def test_what_does_not(text: str):
    assert not captures(image(foreign(text)), OURS, OFPORTS)


def test_flows_of_two_ports_do_not_meet_and_each_meets_itself():
    for one, other in zip(
        droplet_flows(STANDALONE, META, TALK)[:3],
        droplet_flows(STANDALONE, META, TWIN)[:3],
        strict=True,
    ):
        assert meet(fields_of(image(one).match), fields_of(image(one).match))
        assert not meet(fields_of(image(one).match), fields_of(image(other).match))
