"""A real switch takes our meters, as messages and as text, and the flows that use them."""

from collections.abc import Iterable, Iterator

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.openflow.meter import Meter
from ryu_apps.openflow.text import format_flow, format_meter, parse_meter
from ryu_apps.pipeline.layout import BridgeSettings
from ryu_apps.pipeline.metering import port_meter
from ryu_apps.pipeline.port_flows import PortFlows
from ryu_apps.southbound import encode, meters
from ryu_apps.southbound.readback import refusal_reason
from tests.droplets import META, TALK
from tests.trace.conftest import MakeBridge
from tests.trace.dummy_ovs import DummyBridge
from tests.trace.openflow13 import OpenFlow13

SETTINGS = BridgeSettings(meter_pps=2000, meter_burst=4000)
METER = port_meter(SETTINGS, TALK.ofport)
FLOWS = PortFlows(SETTINGS, META, TALK.ofport, TALK.droplet_id, TALK.mac).flows()


@pytest.fixture(scope="module")
def bridge(make_bridge: MakeBridge) -> DummyBridge:
    return make_bridge([TALK.ofport])


@pytest.fixture
def connection(bridge: DummyBridge) -> Iterator[OpenFlow13]:
    bridge.clear()
    with OpenFlow13(bridge.management) as connection:
        for meter_id in present(connection):
            connection.ask(meters.delete_meter(connection.datapath, meter_id))
        yield connection


def present(connection: OpenFlow13) -> dict[int, Meter | None]:
    """The switch's meters by id."""
    answers = connection.ask(meters.meters_request(connection.datapath))
    return dict(one for answer in answers for one in meters.meters(answer.buf))


def refusals(connection: OpenFlow13, *messages: object) -> list[str]:
    return [refusal_reason(error) for error in connection.errors(*messages)]


def put(connection: OpenFlow13, meter: Meter) -> list[str]:
    """Set a meter as the sender does; what the switch objects to."""
    make = (meters.add_meter, meters.change_meter)
    return refusals(connection, *(one(connection.datapath, meter) for one in make))


def test_a_meter_is_set_whatever_there_was_of_it(connection: OpenFlow13):
    assert put(connection, METER) == []
    assert present(connection) == {0x6D64025A: METER}
    other = Meter(METER.meter_id, 1, 2)
    assert put(connection, other) == ["OFPET_METER_MOD_FAILED(12)/OFPMMFC_METER_EXISTS(1)"]
    assert present(connection) == {METER.meter_id: other}


def test_the_text_is_what_the_switch_prints(bridge: DummyBridge, connection: OpenFlow13):
    ofctl = ("ovs-ofctl", "-O", "OpenFlow13")
    run = bridge.ovs.run
    run(*ofctl, "add-meter", str(bridge.management), format_meter(METER))
    dumped = run(*ofctl, "dump-meters", str(bridge.management)).partition("\n")[2]
    assert parse_meter(dumped) == METER


def test_flows_with_a_meter_are_told_back_as_they_were(connection: OpenFlow13):
    put(connection, METER)
    connection.add(*FLOWS)
    assert {image for _, image in connection.images()} == set(map(encode.image, FLOWS))
    assert len(metered(map(encode.image, FLOWS))) == 3, "A1, N1 and N1k"


def test_their_text_means_the_same(bridge: DummyBridge, connection: OpenFlow13):
    """OpenFlow 1.0, which `ovs-ofctl dump-flows` speaks unasked, has no word for meters."""
    put(connection, METER)
    text = "".join(f"{format_flow(flow)}\n" for flow in FLOWS)
    command = ("ovs-ofctl", "-OOpenFlow13", "add-flows", str(bridge.management), "-")
    bridge.ovs.run(*command, text=text)
    assert metered(image for _, image in connection.images()) == metered(map(encode.image, FLOWS))


def metered(images: Iterable[encode.Image]) -> dict[object, bytes]:
    """The meter instruction of each flow that has one: OFPIT_METER (6), 8 bytes, the id."""
    return {one.key: one.instructions[:8] for one in images if one.instructions[:2] == b"\0\6"}


def test_a_flow_comes_after_its_meter_and_goes_before_it(connection: OpenFlow13):
    """The order in which a transaction does it; here is what happens in any other."""
    assert "METER" in refusals(connection, encode.add_flow(connection.datapath, FLOWS[2]))[0]
    put(connection, METER)
    connection.add(*FLOWS)
    connection.ask(meters.delete_meter(connection.datapath, METER.meter_id))
    assert len(connection.images()) == len(FLOWS) - 3


def test_a_meter_goes_into_no_bundle(connection: OpenFlow13):
    """Should this fail one day, meters and flows can be changed in one step."""
    connection.ask(connection.control(ofp.ONF_BCT_OPEN_REQUEST))
    add = meters.add_meter(connection.datapath, METER)
    assert len(refusals(connection, encode.bundled(connection.datapath, 1, add))) == 1
    connection.ask(connection.control(ofp.ONF_BCT_DISCARD_REQUEST))
    assert present(connection) == {}


def test_how_many_meters_there_can_be(connection: OpenFlow13):
    (answer,) = connection.ask(meters.features_request(connection.datapath))
    assert meters.limit(answer) > SETTINGS.addressing.ofports.stop


def test_a_meter_of_another_kind_is_told_apart(bridge: DummyBridge, connection: OpenFlow13):
    command = ("ovs-ofctl", "-O", "OpenFlow13", "add-meter", str(bridge.management))
    bridge.ovs.run(*command, "meter=7,kbps,bands=type=drop,rate=5")
    assert present(connection) == {7: None}
