"""The flows of a port as a switch tells them, against those it should have."""

from dataclasses import replace

import pytest

from ryu_apps.binding.hops import HOPS, Counters, FlowState, hop_flows
from ryu_apps.pipeline.port_flows import REQUEST, PortFlows
from tests.droplets import META, STANDALONE
from tests.world.codec import CODEC

WANTED = CODEC.port_images(PortFlows(STANDALONE, META, 602, 7889371, "a6:a4:8e:4a:e8:70"))
COUNTED = {image: Counters(n, n * 64, 1.0) for n, image in enumerate(WANTED, 1)}


def test_each_flow_has_its_own_counters_and_the_name_of_the_talk():
    told = hop_flows(WANTED, COUNTED)
    assert (
        [flow.name for flow in told]
        == list(HOPS)
        == ["A1", "A2", "N1", "N1k", "L1", "R1", "R1s", "R2"]
    )
    assert [flow.counters.packets for flow in told] == list(range(1, 9))
    assert {flow.state for flow in told} == {FlowState.PRESENT}
    assert HOPS[REQUEST] == "N1"
    assert told[0].table == STANDALONE.tables.arp_responder
    assert [flow.priority for flow in told] == [4030, 4030, 4010, 4009, 4010, 4012, 4011, 4010]


@pytest.mark.parametrize("place", range(len(HOPS)))
def test_a_flow_that_is_not_there_is_missing_and_counts_nothing(place):
    found = {image: counters for image, counters in COUNTED.items() if image != WANTED[place]}
    told = hop_flows(WANTED, found)
    states = [flow.state for flow in told]
    assert states.pop(place) is FlowState.MISSING
    assert set(states) == {FlowState.PRESENT}
    assert told[place].counters == Counters(0, 0, 0.0)


def test_a_flow_that_does_something_else_is_changed():
    found = dict(COUNTED)
    counters = found.pop(WANTED[REQUEST])
    found[replace(WANTED[REQUEST], actions=())] = counters
    flow = hop_flows(WANTED, found)[REQUEST]
    assert (flow.state, flow.counters) == (FlowState.CHANGED, counters)
