"""What is rendered for a bridge with any ports: no flow in another's way, each of them ours."""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.openflow.actions import Ct
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.mac import mac_from_int
from ryu_apps.openflow.match import Match
from ryu_apps.openflow.text import format_flow, parse_flow
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.droplet_flows import BoundPort, droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark, MetaPort, Pipeline, Tables
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.pipeline.waiting_flows import waiting_flows
from ryu_apps.southbound.encode import image
from tests.property.effort import effort

META_OFPORT = 0xFEFF

# From few, so that ports with the same MAC, and a droplet with meta0's, come up often.
macs = st.sampled_from([mac_from_int(0x020000000000 + number) for number in range(4)])


@st.composite
def tables(draw: st.DrawFn, *, classifier: st.SearchStrategy[int]) -> Tables:
    """Any tables that fit together."""
    first = draw(classifier)
    others = st.integers(0, 253).filter(lambda table: table != first)
    inner, outer = draw(st.lists(others, min_size=2, max_size=2, unique=True))
    arp = draw(st.just(first) | others.filter(lambda table: table not in (inner, outer)))
    return Tables(arp, first, inner, outer)


@st.composite
def bridge_settings(draw: st.DrawFn) -> BridgeSettings:
    """Any settings of a bridge."""
    pipeline = draw(st.sampled_from(Pipeline))
    classifier = st.integers(0, 253) if pipeline is Pipeline.EMBEDDED else st.just(0)
    return BridgeSettings(
        addressing=Addressing(
            draw(st.sampled_from([IPv4Network("100.127.0.0/16"), IPv4Network("10.64.0.0/20")])),
            draw(st.sampled_from([0, 1000, 60000])),
        ),
        metadata_ip=draw(st.sampled_from([IPv4Address("169.254.169.254"), IPv4Address("1.1.1.1")])),
        metadata_port=draw(st.sampled_from([80, 8775])),
        pipeline=pipeline,
        tables=draw(tables(classifier=classifier)),
        cookie=CookieMark(draw(st.integers(1, 0xFFFF))),
    )


@st.composite
def bridges(draw: st.DrawFn) -> tuple[BridgeSettings, MetaPort, list[Flow]]:
    """A bridge with some droplets and some ports that wait for one."""
    settings = draw(bridge_settings())
    meta = MetaPort(META_OFPORT, draw(macs))
    ofports = settings.addressing.ofports
    mine = st.sampled_from(ofports).filter(lambda ofport: ofport != META_OFPORT)
    ports = draw(st.dictionaries(mine, st.none() | st.tuples(macs, st.integers(1, 2**32 - 1))))
    flows = list(shared_flows(settings, meta))
    for ofport, droplet in ports.items():
        if droplet is None:
            flows += waiting_flows(settings, meta, ofport)
        else:
            flows += droplet_flows(settings, meta, BoundPort(ofport, *droplet))
    return settings, meta, flows


@given(bridge=bridges())
@effort(80)
def test_no_flow_replaces_another(bridge: tuple[BridgeSettings, MetaPort, list[Flow]]):
    _, _, flows = bridge
    assert len({flow.key for flow in flows}) == len(flows)


@given(bridge=bridges())
@effort(80)
def test_every_flow_names_its_owner(bridge: tuple[BridgeSettings, MetaPort, list[Flow]]):
    settings, meta, flows = bridge
    for flow in flows:
        assert flow.cookie & CookieMark.MASK == settings.cookie.shared
        ofport, droplet_id = CookieMark.owner(flow.cookie)
        assert (ofport == 0) <= (droplet_id == 0)
        assert flow.match.in_port in (None, meta.ofport, ofport)


@given(bridge=bridges())
@effort(80)
def test_every_port_goes_through_its_own_zone_to_its_own_address(
    bridge: tuple[BridgeSettings, MetaPort, list[Flow]],
):
    settings, _, flows = bridge
    for flow in flows:
        ofport, _ = CookieMark.owner(flow.cookie)
        for ct in (action for action in flow.actions if isinstance(action, Ct)):
            assert settings.addressing.ofport_of_zone(ct.zone) == ofport
            if ct.nat is not None and ct.nat.src is not None:
                assert settings.addressing.ofport_of(ct.nat.src) == ofport
                assert flow.match.in_port == ofport
                assert flow.match.untagged


@given(bridge=bridges())
@effort(80)
def test_only_an_embedded_pipeline_stays_within_its_tables_and_has_no_miss(
    bridge: tuple[BridgeSettings, MetaPort, list[Flow]],
):
    settings, _, flows = bridge
    tables = settings.tables
    ours = {tables.arp_responder, tables.classifier, tables.l2_rewrite, tables.forwarding}
    assert {flow.table for flow in flows} <= ours
    misses = {flow.table for flow in flows if flow.match == Match()}
    assert misses == (set() if settings.pipeline is Pipeline.EMBEDDED else ours)


@given(bridge=bridges())
@effort(40)
def test_text_and_image_tell_rendered_flows_apart(
    bridge: tuple[BridgeSettings, MetaPort, list[Flow]],
):
    _, _, flows = bridge
    assert [parse_flow(format_flow(flow)) for flow in flows] == flows
    assert len({image(flow) for flow in flows}) == len(flows)
