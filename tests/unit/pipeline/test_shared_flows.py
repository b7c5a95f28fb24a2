"""The flows that belong to no port: which there are on which kind of bridge."""

from dataclasses import replace

import pytest

from ryu_apps.openflow.actions import Normal, Resubmit
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import Match
from ryu_apps.pipeline.layout import BridgeSettings, Priority
from ryu_apps.pipeline.shared_flows import shared_flows
from tests.droplets import ALL_SETTINGS, EMBEDDED, META, MOVED, OWN_ARP_TABLE, STANDALONE

every_bridge = pytest.mark.parametrize("settings", ALL_SETTINGS.values(), ids=ALL_SETTINGS)


def drops(flows: tuple[Flow, ...], table: int) -> list[Match]:
    """What the guards of a table drop."""
    assert all(
        flow.priority == Priority.GUARD for flow in flows if not flow.actions and flow.priority
    )
    return [f.match for f in flows if f.table == table and not f.actions and f.priority]


@every_bridge
def test_no_cookie_names_a_port(settings: BridgeSettings):
    flows = shared_flows(settings, META)
    assert {flow.cookie for flow in flows} == {settings.cookie.shared}


@every_bridge
def test_nobody_else_speaks_to_or_as_the_metadata_address(settings: BridgeSettings):
    flows, metadata = shared_flows(settings, META), settings.metadata_net
    hv_local = settings.addressing.hv_local_subnet
    guarded = drops(flows, settings.tables.classifier)
    for match in (
        Match(protocol="ip", nw_dst=metadata),
        Match(protocol="ip", nw_src=metadata),
        Match(protocol="ip", nw_src=hv_local),
    ):
        assert match in guarded
    for match in (
        Match(protocol="arp", arp_tpa=metadata),
        Match(protocol="arp", arp_spa=metadata),
        Match(protocol="arp", arp_spa=hv_local),
        Match(dl_vlan=4095),
    ):
        assert match in guarded
        assert match in drops(flows, settings.tables.arp_responder)
    assert Match(protocol="ip", nw_dst=metadata) in drops(flows, settings.tables.l2_rewrite)


@every_bridge
def test_meta0_gets_and_gives_nothing_by_itself(settings: BridgeSettings):
    flows, tables = shared_flows(settings, META), settings.tables
    for table in (tables.arp_responder, tables.classifier, tables.forwarding):
        assert Match(in_port=META.ofport) in drops(flows, table)
    for table in (tables.arp_responder, tables.classifier):
        assert Match(dl_dst=META.mac) in drops(flows, table)
        assert Match(dl_src=META.mac) in drops(flows, table)


@every_bridge
def test_only_the_server_s_replies_come_from_meta0_to_the_forwarding_table(
    settings: BridgeSettings,
):
    tables = settings.tables
    ways = [
        flow
        for flow in shared_flows(settings, META)
        if flow.actions == (Resubmit(tables.forwarding),)
    ]
    (way,) = ways
    assert (way.table, way.priority) == (tables.classifier, Priority.PATH)
    assert way.match == Match(
        protocol="tcp",
        in_port=META.ofport,
        untagged=True,
        dl_src=META.mac,
        nw_src=settings.metadata_net,
        tp_src=settings.metadata_port,
    )


@every_bridge
def test_without_meta0_the_addresses_are_guarded_all_the_same(settings: BridgeSettings):
    without = shared_flows(settings, None)
    assert set(without) < set(shared_flows(settings, META))
    assert not [flow for flow in without if flow.match.in_port is not None]
    assert Match(protocol="ip", nw_dst=settings.metadata_net) in drops(
        without, settings.tables.classifier
    )


def test_a_standalone_bridge_is_a_plain_switch_for_the_rest():
    misses = {f.table: f.actions for f in shared_flows(STANDALONE, META) if f.match == Match()}
    assert misses == {0: (Normal(),), 25: (), 65: ()}


def test_an_arp_table_of_its_own_is_part_of_that_switch():
    flows = shared_flows(OWN_ARP_TABLE, META)
    misses = {flow.table: flow.actions for flow in flows if flow.match == Match()}
    assert misses == {0: (Normal(),), 10: (Normal(),), 25: (), 65: ()}
    (arp,) = (flow for flow in flows if flow.match == Match(protocol="arp"))
    assert (arp.table, arp.priority, arp.actions) == (0, Priority.ARP, (Resubmit(10),))


@pytest.mark.parametrize("settings", [EMBEDDED, MOVED], ids=["embedded", "moved"])
def test_an_embedded_pipeline_leaves_misses_and_other_tables_alone(settings: BridgeSettings):
    flows, tables = shared_flows(settings, META), settings.tables
    assert not [flow for flow in flows if flow.match == Match()]
    assert not [flow for flow in flows if Normal() in flow.actions]
    assert {flow.table for flow in flows} <= {
        tables.arp_responder,
        tables.classifier,
        tables.l2_rewrite,
        tables.forwarding,
    }


def test_guards_are_below_every_way_through():
    flows = shared_flows(STANDALONE, META)
    assert {flow.priority for flow in flows} == {Priority.PATH, Priority.GUARD, Priority.MISS}
    assert Priority.ARP > Priority.PATH > Priority.GUARD > Priority.MISS


def test_meta0_s_address_and_port_are_the_only_things_it_depends_on():
    moved = replace(META, ofport=7)
    assert shared_flows(STANDALONE, META) == shared_flows(BridgeSettings(), META)
    assert set(shared_flows(STANDALONE, moved)) != set(shared_flows(STANDALONE, META))
