"""What a port's flows depend on, and on what they do not. Their exact text is in tests/golden,
what packets make of them in tests/trace."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from ryu_apps.openflow.actions import Action, Ct, InPort, Load, Move, Output, SetDlDst
from ryu_apps.openflow.flow import Flow
from ryu_apps.pipeline.addressing import Addressing, OfportOutOfRange
from ryu_apps.pipeline.droplet_flows import BoundPort, droplet_flows
from ryu_apps.pipeline.layout import BridgeSettings, MetaPort, Pipeline, Priority
from ryu_apps.pipeline.port_flows import REQUEST
from ryu_apps.pipeline.waiting_flows import waiting_flows
from tests.droplets import ALL_SETTINGS, EMBEDDED, META, MOVED, STANDALONE, TALK

every_bridge = pytest.mark.parametrize("settings", ALL_SETTINGS.values(), ids=ALL_SETTINGS)

NAMES = ("A1", "A2", "N1", "N1 known", "L1", "R1", "R1 stale", "R2")


def droplet(
    settings: BridgeSettings = STANDALONE, meta: MetaPort = META, port: BoundPort = TALK
) -> dict[str, Flow]:
    """A droplet's flows by the talk's names."""
    return dict(zip(NAMES, droplet_flows(settings, meta, port), strict=True))


def waiting(settings: BridgeSettings = STANDALONE, meta: MetaPort = META) -> dict[str, Flow]:
    """The same port's flows while its droplet is not registered."""
    return dict(zip(NAMES, waiting_flows(settings, meta, TALK.ofport), strict=True))


def the(kind: type[Action], flow: Flow) -> Action:
    """The only action of its kind in a flow."""
    (action,) = (action for action in flow.actions if isinstance(action, kind))
    return action


@every_bridge
@pytest.mark.parametrize("flows", [droplet, waiting])
def test_each_flow_is_in_its_stage(settings: BridgeSettings, flows: object):
    tables = settings.tables
    assert {name: flow.table for name, flow in flows(settings).items()} == {
        "A1": tables.arp_responder,
        "A2": tables.arp_responder,
        "N1": tables.classifier,
        "N1 known": tables.classifier,
        "L1": tables.l2_rewrite,
        "R1": tables.forwarding,
        "R1 stale": tables.forwarding,
        "R2": tables.forwarding,
    }


@pytest.mark.parametrize("flows", [droplet, waiting])
def test_priorities_are_the_talk_s_and_above_the_guards(flows: object):
    priorities = {name: flow.priority for name, flow in flows().items()}
    assert priorities == {
        **{"A1": 4030, "A2": 4030, "N1": 4010, "N1 known": 4009, "L1": 4010},
        **{"R1": 4012, "R1 stale": 4011, "R2": 4010},
    }
    assert min(priorities.values()) > Priority.GUARD > Priority.MISS


@every_bridge
def test_a_port_goes_by_one_address_and_one_zone(settings: BridgeSettings):
    address, zone = settings.addressing.hv_local(602), settings.addressing.zone(602)
    for flows in (droplet(settings), waiting(settings)):
        translation = the(Ct, flows["N1"])
        assert (translation.zone, translation.nat.src) == (zone, address)
        assert translation.commit
        assert translation.table == settings.tables.l2_rewrite
        assert flows["L1"].match.ct_zone == flows["R2"].match.ct_zone == zone
        assert flows["L1"].match.nw_src == IPv4Network(address)
        assert flows["A2"].match.arp_tpa == IPv4Network(address)
        for name in ("R1", "R1 stale"):
            assert flows[name].match.nw_dst == IPv4Network(address)
            assert the(Ct, flows[name]).zone == zone
            assert the(Ct, flows[name]).table == settings.tables.forwarding
            assert not the(Ct, flows[name]).commit


@every_bridge
@pytest.mark.parametrize("flows", [droplet, waiting])
def test_only_the_metadata_address_and_port_are_reached(settings: BridgeSettings, flows: object):
    flows = flows(settings)
    for name in ("N1", "L1"):
        assert flows[name].match.protocol == "tcp"
        assert flows[name].match.nw_dst == settings.metadata_net
        assert flows[name].match.tp_dst == settings.metadata_port
    for name in ("R1", "R1 stale", "R2"):
        assert flows[name].match.nw_src == settings.metadata_net
        assert flows[name].match.tp_src == settings.metadata_port
    assert flows["A1"].match.arp_tpa == settings.metadata_net
    assert flows["A2"].match.arp_spa == settings.metadata_net


@pytest.mark.parametrize("flows", [droplet, waiting])
def test_frames_come_in_untagged_by_the_port_they_belong_to(flows: object):
    flows = flows()
    for name, port in {"A1": TALK.ofport, "N1": TALK.ofport, "A2": META.ofport}.items():
        assert flows[name].match.untagged, name
        assert flows[name].match.in_port == port
    assert flows["L1"].match.in_port == TALK.ofport
    for name in ("R1", "R1 stale", "R2"):
        assert flows[name].match.in_port == META.ofport


def test_a_droplet_is_known_by_its_mac_and_marked_by_its_id():
    flows = droplet()
    assert flows["A1"].match.dl_src == flows["N1"].match.dl_src == TALK.mac
    (mark,) = the(Ct, flows["N1"]).exec
    assert isinstance(mark, Load)
    assert (mark.value, mark.into.field) == (7889371, "NXM_NX_CT_MARK")
    assert {flow.cookie for flow in flows.values()} == {0x6D64025A007861DB}


def test_a_waiting_port_has_any_mac_and_no_mark():
    flows = waiting()
    assert flows["A1"].match.dl_src is flows["N1"].match.dl_src is None
    (memory,) = the(Ct, flows["N1"]).exec
    assert isinstance(memory, Move)
    assert memory.into.field == "NXM_NX_CT_LABEL"
    assert {flow.cookie for flow in flows.values()} == {0x6D64025A00000000}


def test_a_waiting_port_s_stand_in_mac_is_its_own_and_local():
    reply = NAMES.index("R1")
    macs = {waiting_flows(STANDALONE, META, p)[reply].match.dl_dst for p in range(1, 500)}
    assert len(macs) == 499
    for mac in macs:
        assert int(mac[:2], 16) & 0b11 == 0b10, "locally administered, unicast"


def test_the_fence_lets_only_what_conntrack_knows_reach_meta0():
    for flows in (droplet(), waiting()):
        state = flows["L1"].match.ct_state
        assert (state.set, state.clear) == ({"trk"}, {"inv"})
        assert flows["L1"].actions == (SetDlDst(META.mac), Output(META.ofport))


def test_a_reply_goes_through_conntrack_once_and_then_to_the_port():
    flows = droplet()
    for name in ("R1", "R1 stale"):
        assert flows[name].match.metadata == 0
        assert the(Load, flows[name]).into.field == "OXM_OF_METADATA"
        assert the(Load, flows[name]).value == flows["R2"].match.metadata == 1
    assert flows["R2"].match.ct_state.set == {"est", "trk"}
    assert flows["R2"].actions == (Output(TALK.ofport),)


def test_a_stale_mac_is_put_right_before_conntrack():
    flows = droplet()
    assert flows["R1 stale"].match == replace(flows["R1"].match, dl_dst=None)
    assert flows["R1 stale"].actions == (SetDlDst(TALK.mac), *flows["R1"].actions)


def test_arp_is_answered_out_of_the_port_it_came_by():
    for flows in (droplet(), waiting()):
        for name in ("A1", "A2"):
            assert flows[name].match.arp_op == 1
            assert the(InPort, flows[name]) == flows[name].actions[-1]


def test_the_pipeline_makes_no_difference_to_a_port():
    assert droplet(EMBEDDED) == droplet(STANDALONE)
    assert waiting(EMBEDDED) == waiting(STANDALONE)


def test_other_settings_go_all_the_way_through():
    flows = droplet(MOVED)
    assert MOVED.pipeline is Pipeline.EMBEDDED
    assert the(Ct, flows["N1"]).nat.src == IPv4Address("198.18.2.90")
    assert the(Ct, flows["N1"]).zone == 5602
    assert str(flows["N1"].match.nw_dst) == "169.254.42.42/32"
    assert flows["N1"].match.tp_dst == 8775


def test_n1_is_told_from_the_others():
    assert droplet_flows(STANDALONE, META, TALK)[REQUEST] == droplet()["N1"]
    assert waiting_flows(STANDALONE, META, TALK.ofport)[REQUEST] == waiting()["N1"]


def test_n1_tells_the_droplet_the_address_and_the_zone_apart():
    """Taking over rests on it: the same N1 means the same droplet with the same address."""
    n1 = droplet()["N1"]
    other_subnet = Addressing(IPv4Network("100.126.0.0/16"))
    other_zone = Addressing(IPv4Network("100.127.0.0/16"), 1)
    assert droplet(port=replace(TALK, droplet_id=1))["N1"] != n1
    assert droplet(replace(STANDALONE, addressing=other_subnet))["N1"] != n1
    assert droplet(replace(STANDALONE, addressing=other_zone))["N1"] != n1
    assert droplet(meta=MetaPort(7, "02:00:00:00:00:07"))["N1"] == n1


@pytest.mark.parametrize("ofport", [0, 65280])
def test_a_port_without_an_address_gets_no_flows(ofport: int):
    with pytest.raises(OfportOutOfRange):
        droplet_flows(STANDALONE, META, replace(TALK, ofport=ofport))
    with pytest.raises(OfportOutOfRange):
        waiting_flows(STANDALONE, META, ofport)


@pytest.mark.parametrize("droplet_id", [1, 2**32 - 1])
def test_any_droplet_id_fits_ct_mark(droplet_id: int):
    (mark,) = the(Ct, droplet(port=replace(TALK, droplet_id=droplet_id))["N1"]).exec
    assert mark.value == droplet_id
