"""A real switch takes our flows, as text and as messages, and tells them back as they were."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.binding.transaction import Transaction
from ryu_apps.openflow.actions import Output
from ryu_apps.openflow.flow import Flow
from ryu_apps.openflow.match import Match
from ryu_apps.openflow.text import format_flow, parse_flow
from ryu_apps.pipeline.droplet_flows import droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark
from ryu_apps.pipeline.shared_flows import shared_flows
from ryu_apps.pipeline.waiting_flows import waiting_flows
from ryu_apps.southbound.encode import image
from ryu_apps.southbound.readback import refusal_reason
from tests.droplets import ALL_SETTINGS, LIMITED, META, TALK, TWIN, WAITING
from tests.property.effort import effort
from tests.property.vocabulary import flow_tables
from tests.trace.conftest import MakeBridge
from tests.trace.dummy_ovs import DummyBridge
from tests.trace.openflow13 import OpenFlow13

every_bridge = pytest.mark.parametrize("settings", ALL_SETTINGS.values(), ids=ALL_SETTINGS)


@pytest.fixture(scope="module")
def bridge(make_bridge: MakeBridge) -> DummyBridge:
    return make_bridge([TALK.ofport, TWIN.ofport, LIMITED.ofport, WAITING])


@pytest.fixture
def connection(bridge: DummyBridge) -> Iterator[OpenFlow13]:
    bridge.clear()
    with OpenFlow13(bridge.management) as connection:
        yield connection


def rendered(settings: BridgeSettings) -> list[Flow]:
    """A bridge with two droplets and a port that waits for one."""
    return [
        *shared_flows(settings, META),
        *droplet_flows(settings, META, TALK),
        *droplet_flows(settings, META, TWIN),
        *droplet_flows(settings, META, LIMITED),
        *waiting_flows(settings, META, WAITING),
    ]


@every_bridge
def test_the_text_is_what_the_switch_prints(bridge: DummyBridge, settings: BridgeSettings):
    bridge.clear()
    bridge.load(rendered(settings))
    assert bridge.dump() == sorted(map(format_flow, rendered(settings)))


@every_bridge
def test_the_messages_mean_the_same_as_the_text(
    bridge: DummyBridge, connection: OpenFlow13, settings: BridgeSettings
):
    connection.add(*rendered(settings))
    assert bridge.dump() == sorted(map(format_flow, rendered(settings)))


@every_bridge
def test_the_switch_echoes_the_image_of_each_flow(connection: OpenFlow13, settings: BridgeSettings):
    flows = rendered(settings)
    connection.add(*flows)
    told = connection.images(settings.cookie.shared, CookieMark.MASK)
    assert sorted(told) == sorted((flow.cookie, image(flow)) for flow in flows)


@given(flows=flow_tables)
@effort(25)
def test_whatever_flow_the_language_can_say_survives_the_switch(
    bridge: DummyBridge, flows: list[Flow]
):
    bridge.clear()
    with OpenFlow13(bridge.management) as connection:
        connection.add(*flows)
        told = connection.images()
    assert sorted(told) == sorted((flow.cookie, image(flow)) for flow in flows)
    assert bridge.dump() == sorted(map(format_flow, flows))
    assert set(map(parse_flow, bridge.dump())) == set(flows)


def test_a_transaction_deletes_by_exact_cookie_and_adds_at_once(connection: OpenFlow13):
    settings = ALL_SETTINGS["standalone"]
    foreign = Flow(0, 1, Match(in_port=7), cookie=0x77)
    shared, talk = shared_flows(settings, META), droplet_flows(settings, META, TALK)
    twin = droplet_flows(settings, META, TWIN)
    connection.add(foreign, *shared, *talk)
    refused = connection.carry_out(Transaction((talk[0].cookie,), twin, (602,), (602, 603)))
    assert refused == []
    assert sorted(connection.images()) == sorted(
        (flow.cookie, image(flow)) for flow in (foreign, *shared, *twin)
    )


KEPT = Flow(0, 1, Match(in_port=7), cookie=0x77)
IMPOSSIBLE = Flow(0, 2, Match(in_port=7), (Output(0xFFFFFF01),), cookie=0x78)


def test_a_refused_flow_is_named_and_nothing_of_its_transaction_is_done(connection: OpenFlow13):
    connection.add(KEPT)
    (error,) = connection.carry_out(Transaction((KEPT.cookie,), (IMPOSSIBLE,)))
    assert refusal_reason(error) == "OFPET_BAD_ACTION(2)/OFPBAC_BAD_OUT_PORT(4)"
    assert connection.images() == [(KEPT.cookie, image(KEPT))]


def test_a_flow_refused_as_it_is_added_does_not_stop_a_commit(connection: OpenFlow13):
    """A fact of Open vSwitch: a bundle is atomic only in what it took in."""
    connection.add(KEPT)
    connection.errors(
        connection.control(ofp.ONF_BCT_OPEN_REQUEST),
        *connection.adds(Transaction((KEPT.cookie,), (IMPOSSIBLE,))),
        connection.control(ofp.ONF_BCT_COMMIT_REQUEST),
    )
    assert connection.images() == []


def test_a_flow_refused_at_the_commit_is_named_and_nothing_is_done(
    bridge: DummyBridge, connection: OpenFlow13
):
    connection.add(KEPT)
    flows = tuple(Flow(65, 1, Match(in_port=port), cookie=port) for port in (1, 2, 3))
    adds = connection.adds(Transaction((KEPT.cookie,), flows))
    with bridge.table_limit(table=65, flows=2):
        connection.errors(connection.control(ofp.ONF_BCT_OPEN_REQUEST), *adds)
        errors = connection.errors(connection.control(ofp.ONF_BCT_COMMIT_REQUEST))
    assert [refusal_reason(error) for error in errors] == [
        "OFPET_FLOW_MOD_FAILED(5)/OFPFMFC_TABLE_FULL(1)",
        # ONF extension 230: ONFBFC_MSG_FAILED, which is the answer to the commit.
        "experimenter error 0x4f4e4600/2313",
    ]
    assert errors[0].xid == adds[-1].xid
    assert connection.images() == [(KEPT.cookie, image(KEPT))]


def test_flushing_a_zone_is_taken_without_a_word(connection: OpenFlow13):
    assert connection.carry_out(Transaction(flush_zones=(602, 65535))) == []
