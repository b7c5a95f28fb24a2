"""The fast encoding beside the plain one: equal byte for byte, whatever the bridge and port."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import assume, given
from hypothesis import strategies as st
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps.openflow.mac import mac_from_int
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark, MetaPort, Pipeline, Tables
from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.southbound import encode
from ryu_apps.southbound.forms import Codec
from tests.droplets import META, STANDALONE
from tests.property.effort import effort

OPENFLOW_13 = ProtocolDesc(ofp.OFP_VERSION)

macs = st.integers(0, 2**48 - 1).map(mac_from_int)
u32 = st.integers(0, 2**32 - 1)


limits = st.none() | st.integers(1, 64)


@st.composite
def bridges(draw: st.DrawFn) -> BridgeSettings:
    """Settings of every kind that `ryu_apps.settings` can read."""
    arp, classifier, l2_rewrite, forwarding = draw(
        st.sampled_from(((0, 0, 25, 65), (10, 0, 25, 65), (11, 12, 13, 14), (253, 253, 0, 1)))
    )
    prefix = draw(st.integers(16, 30))
    network = IPv4Network((draw(u32), prefix), strict=False)
    ip = draw(u32.map(IPv4Address).filter(lambda ip: ip not in network))
    return BridgeSettings(
        addressing=Addressing(network, draw(st.integers(0, 0xFFFE))),
        metadata_ip=ip,
        metadata_port=draw(st.integers(1, 0xFFFF)),
        pipeline=Pipeline.STANDALONE if classifier == 0 else Pipeline.EMBEDDED,
        tables=Tables(arp, classifier, l2_rewrite, forwarding),
        cookie=CookieMark(draw(st.integers(1, 0xFFFE))),
        meter_pps=draw(st.sampled_from((0, 2000))),
    )


@st.composite
def port_flows(draw: st.DrawFn) -> PortFlows:
    """A droplet's port, or one that waits, at any ofport its bridge has an address for."""
    settings = draw(bridges())
    ofports = settings.addressing.ofports
    ofport = draw(st.integers(ofports.start, ofports.stop - 1))
    # meta0 is another port: metering tells by the ofport which flows take the droplet's packets.
    elsewhere = st.integers(1, 0xFEFF).filter(lambda other: other != ofport)
    meta = MetaPort(draw(elsewhere), draw(macs))
    if draw(st.booleans()):
        return PortFlows(settings, meta, ofport)
    who = (draw(st.integers(1, 2**32 - 1)), draw(macs), draw(limits))
    return PortFlows(settings, meta, ofport, *who)


def plainly(flows: PortFlows, bundle_id: int, first_xid: int) -> bytes:
    """The messages as Ryu alone makes them."""
    sent = b""
    for n, flow in enumerate(flows.flows()):
        message = encode.bundled(OPENFLOW_13, bundle_id, encode.add_flow(OPENFLOW_13, flow))
        message.set_xid((first_xid + n) % 2**32)
        message.serialize()
        sent += message.buf
    return sent


@given(flows=port_flows(), bundle_id=u32, first_xid=u32)
@effort(40)
def test_messages_are_those_of_ryu(flows: PortFlows, bundle_id: int, first_xid: int):
    codec = Codec(flows.settings)
    assert codec.bundled(flows, bundle_id, first_xid) == plainly(flows, bundle_id, first_xid)


@given(flows=port_flows())
@effort(25)
def test_images_are_those_of_ryu_s_messages(flows: PortFlows):
    images = Codec(flows.settings).port_images(flows)
    assert images == [encode.image(flow) for flow in flows.flows()]
    assert len(images) == PortFlows.COUNT


@given(
    one=port_flows(),
    ofport=st.integers(1, 0xFEFF),
    meta=st.builds(MetaPort, st.integers(1, 0xFEFF), macs),
    mac=macs,
    waits=st.booleans(),
    limit=limits,
    zone_base=st.integers(0, 9),
)
@effort(25)
def test_a_form_made_for_one_port_serves_the_others(
    one: PortFlows,
    ofport: int,
    meta: MetaPort,
    mac: str,
    waits: bool,
    limit: int | None,
    zone_base: int,
):
    """Forms are kept: the second port, of another bridge, is made from what the first taught."""
    Codec(one.settings).bundled(one, 1, 1)
    addressing = replace(one.settings.addressing, zone_base=zone_base)
    settings = replace(one.settings, addressing=addressing, meta_port_name="other0")
    ofports = addressing.ofports
    ofport = ofports[ofport % len(ofports)]
    assume(ofport != meta.ofport)
    other = (
        PortFlows(settings, meta, ofport)
        if waits
        else PortFlows(settings, meta, ofport, 7, mac, limit)
    )
    codec = Codec(settings)
    assert codec.bundled(other, 2, 9) == plainly(other, 2, 9)
    assert codec.port_images(other) == [encode.image(flow) for flow in other.flows()]


@given(bundle_id=u32, first=u32, again=u32)
@effort(10)
def test_single_flows_are_those_of_ryu_the_second_time_too(bundle_id: int, first: int, again: int):
    codec = Codec(STANDALONE)
    for flow in shared_flows(STANDALONE, META):
        assert codec.image(flow) == codec.image(flow) == encode.image(flow)
        for xid in (first, again):
            message = encode.bundled(OPENFLOW_13, bundle_id, encode.add_flow(OPENFLOW_13, flow))
            message.set_xid(xid)
            message.serialize()
            assert codec.message(flow, bundle_id, xid) == message.buf
