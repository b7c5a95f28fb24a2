"""Others delete, change and add flows under traffic; the controller mends its own, and says so."""

import re
import time
from collections.abc import Iterator
from functools import partial
from itertools import count

import pytest

from lab.hypervisor import BRIDGE
from ryu_apps.binding.drift import QUARREL
from ryu_apps.pipeline.layout import CookieMark, Priority
from tests.system.cloud import Cloud, secret
from tests.system.probe import Prober, probing
from tests.system.stage import Stage, plugged, staged

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = pytest.mark.root

# For each test its own: on a used one droplets would meet the host's memory of connections before
# (docs/operations.md, "Known").
OFPORTS = count(3100, 10)

OURS = f"cookie={CookieMark().shared:#x}/{CookieMark.MASK:#x}"


@pytest.fixture
def stage(cloud: Cloud) -> Iterator[Stage]:
    with staged(cloud, cloud.host, "dtap", 300) as made:
        yield made


@pytest.fixture
def probers(stage: Stage) -> Iterator[dict[str, Prober]]:
    """Two droplets that are served, and ask all the time; only what never comes is a failure."""
    a, b, _ = stage.ids
    ofport = next(OFPORTS)
    stage.vsctl(*plugged(a, ofport), *plugged(b, ofport + 1))
    stage.serving(a, b)
    with probing(stage.ledger, stage.cast(), partial(Prober, patience=10.0)) as made:
        for name in list(stage.ids)[:2]:
            made[name].wait_for(200, 4)
        stage.cloud.wait(lambda: stage.cloud.rest.state(stage.host.dpid) == "in-sync", "in-sync")
        yield made


def entry(stage: Stage) -> dict:
    """What REST tells of the switch; of one that has not connected yet, nothing to say."""
    _, answer = stage.cloud.rest.call("GET", "/v1/switches")
    known = {one["dpid"]: one for one in answer["switches"]}
    return known.get(stage.host.dpid, {"warnings": []})


def flows(stage: Stage) -> list[str]:
    """All flows, in order."""
    return sorted(stage.host.ovs.dump_flows(BRIDGE))


def meters(stage: Stage) -> list[str]:
    """All meters with their bands, which are on lines of their own."""
    told = stage.host.ovs.ofctl("-OOpenFlow13", "dump-meters", BRIDGE)
    return sorted(" ".join(one.split()) for one in re.split(r"^(?=meter=)", told, flags=re.M)[1:])


def durations(stage: Stage) -> dict[str, tuple[float, int]]:
    """Of each flow the seconds it has been there and the packets it has seen."""
    told = {}
    for line in stage.host.ovs.dump_flows(BRIDGE, stats=True):
        seconds, packets = re.search(r"duration=([\d.]+)s.*?n_packets=(\d+)", line).groups()
        flow = re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, ", "", line)
        told[flow] = float(seconds), int(packets)
    return told


def mended(stage: Stage, whole: list[str], since: int) -> dict:
    """Wait until the flows are `whole` again and that has been counted; the switch's entry."""
    stage.cloud.wait(lambda: flows(stage) == whole, "the flows to be whole again")
    stage.cloud.wait(lambda: entry(stage)["drift"]["repaired"] > since, "the repair to be counted")
    return entry(stage)


def test_deleted_flows_come_back(stage: Stage, probers: dict[str, Prober]) -> None:
    whole, since = flows(stage), entry(stage)["drift"]["repaired"]
    stage.host.ovs.ofctl("del-flows", BRIDGE, OURS)
    told = mended(stage, whole, since)
    assert "missing" in told["drift"]["last_reason"]
    assert told["drift"]["last_at"].endswith("Z")
    for name in list(stage.ids)[:2]:
        probers[name].wait_for(200, 4)


def test_a_changed_flow_and_one_too_many_are_mended_and_the_others_stay(
    stage: Stage, probers: dict[str, Prober]
) -> None:
    whole, since, began = flows(stage), entry(stage)["drift"]["repaired"], time.monotonic()
    a, b, _ = stage.ids
    cookie = CookieMark().of_port(stage.ofport(a), stage.ids[a])
    stage.host.ovs.ofctl("mod-flows", BRIDGE, f"cookie={cookie:#x}/-1,table=25,actions=drop")
    told = mended(stage, whole, since)
    assert "1 changed" in told["drift"]["last_reason"]
    extra = f"cookie={cookie:#x},table=0,priority=9,in_port={stage.ofport(a)},actions=drop"
    stage.host.ovs.ofctl("add-flow", BRIDGE, extra)
    told = mended(stage, whole, told["drift"]["repaired"])
    assert "1 too many" in told["drift"]["last_reason"]
    since = time.monotonic() - began
    younger = [flow for flow, (age, _) in durations(stage).items() if age < since]
    assert len(younger) == 1, "only the changed flow was replaced"
    probers[a].wait_for(200, 4)
    assert probers[b].answers[None] == 0


def test_a_flow_of_others_before_ours_is_said_and_left_alone(
    stage: Stage, probers: dict[str, Prober]
) -> None:
    a, b, _ = stage.ids
    foreign = f"priority={Priority.ARP + 1000},tcp,in_port={stage.ofport(a)}"
    stage.host.ovs.ofctl("add-flow", BRIDGE, f"cookie=0xf00,{foreign},actions=drop")
    harmless = "cookie=0xf01,priority=60000,in_port=60001,actions=drop"
    stage.host.ovs.ofctl("add-flow", BRIDGE, harmless)
    try:
        stage.cloud.wait(
            lambda: any("cookie 0xf00" in one for one in entry(stage)["warnings"]), "the warning"
        )
        (warning,) = [one for one in entry(stage)["warnings"] if "0xf0" in one]
        assert f"priority {Priority.ARP + 1000}" in warning
        probers[a].wait_for(None, 1, seconds=40)
        assert any("cookie=0xf00" in flow for flow in flows(stage)), "it is not ours to delete"
        controller = stage.host.services.controller
        controller.kill()
        controller.start()
        stage.cloud.wait(
            lambda: any("cookie 0xf00" in one for one in entry(stage)["warnings"]),
            "a new controller to find it",
        )
    finally:
        stage.host.ovs.ofctl("del-flows", BRIDGE, "cookie=0xf00/-1")
        stage.host.ovs.ofctl("del-flows", BRIDGE, "cookie=0xf01/-1")
    stage.cloud.wait(lambda: not [w for w in entry(stage)["warnings"] if "0xf0" in w], "no warning")
    probers[a].wait_for(200, 4)
    assert probers[b].answers[None] == 0


def test_a_flow_of_ours_that_others_replace_comes_back(
    stage: Stage, probers: dict[str, Prober]
) -> None:
    """With another cookie at the very same match, which no event names as ours."""
    whole, since = flows(stage), entry(stage)["drift"]["repaired"]
    (l1,) = [
        flow
        for flow in whole
        if f"ct_zone={stage.ofport(next(iter(stage.ids)))}," in flow and "table=25" in flow
    ]
    match = re.search(r"(table=25, priority=.*) actions=", l1).group(1)
    stage.host.ovs.ofctl("add-flow", BRIDGE, f"cookie=0xf00,{match},actions=drop")
    mended(stage, whole, since)
    probers[next(iter(stage.ids))].wait_for(200, 4)


def test_lost_meters_come_back_with_the_flows_that_used_them(
    stage: Stage, probers: dict[str, Prober]
) -> None:
    """Open vSwitch deletes with a meter the flows that use it."""
    whole, since, had = flows(stage), entry(stage)["drift"]["repaired"], meters(stage)
    assert len(had) == 2
    stage.host.ovs.ofctl("-OOpenFlow13", "del-meters", BRIDGE)
    mended(stage, whole, since)
    assert meters(stage) == had
    for name in list(stage.ids)[:2]:
        probers[name].wait_for(200, 4)


def test_a_meter_of_another_rate_becomes_what_it_was(
    stage: Stage, probers: dict[str, Prober]
) -> None:
    """Nobody tells of it: it is found with the next count."""
    since, had = entry(stage)["drift"]["repaired"], meters(stage)
    first = re.match(r"meter=(\d+)", had[0]).group(1)
    weak = f"meter={first} pktps burst bands=type=drop rate=3 burst_size=3"
    stage.host.ovs.ofctl("-OOpenFlow13", "mod-meter", BRIDGE, weak)
    assert meters(stage) != had
    stage.cloud.wait(lambda: meters(stage) == had, "the meter to be what it was")
    stage.cloud.wait(lambda: entry(stage)["drift"]["repaired"] > since, "the repair to be counted")
    assert "1 meters changed" in entry(stage)["drift"]["last_reason"]
    for name in list(stage.ids)[:2]:
        probers[name].wait_for(200, 4)


def test_a_quarrel_is_said_clearly_and_not_fought(stage: Stage, probers: dict[str, Prober]) -> None:
    whole, start = flows(stage), time.monotonic()
    a, *_ = stage.ids
    cookie = CookieMark().of_port(stage.ofport(a), stage.ids[a])
    while "another controller or tool" not in (entry(stage)["reason"] or ""):
        stage.host.ovs.ofctl("del-flows", BRIDGE, f"cookie={cookie:#x}/-1")
        assert time.monotonic() - start < 60, f"no word of it: {entry(stage)}"
    assert f"mended {QUARREL} times" in entry(stage)["reason"]
    stage.cloud.wait(lambda: flows(stage) == whole, "the flows to be whole again")
    probers[next(iter(stage.ids))].wait_for(200, 4)


def test_counters_survive_the_controller_and_other_droplets(
    stage: Stage, probers: dict[str, Prober]
) -> None:
    a, b, _ = stage.ids
    before = durations(stage)
    controller = stage.host.services.controller
    controller.kill()
    controller.start()
    stage.serving(a, b)
    stage.droplets[b].namespace.run("ip", "link", "set", "eth0", "address", "a6:00:00:00:30:77")
    stage.cloud.rest.put(stage.ids[b], b, "a6:00:00:00:30:77")
    cookie_b = f"{CookieMark().of_port(stage.ofport(b), stage.ids[b]):#x}"
    stage.cloud.wait(
        lambda: any("a6:00:00:00:30:77" in flow for flow in flows(stage)), "the other's new MAC"
    )
    after = durations(stage)
    kept = {flow: told for flow, told in before.items() if cookie_b not in flow}
    assert len(kept) > 16
    for flow, (age, packets) in kept.items():
        assert after[flow][0] >= age, f"replaced: {flow}"
        assert after[flow][1] >= packets, flow
    assert probers[a].answers[None] == 0
    assert probers[a].answers[503] == 0


def test_an_older_pipeline_is_replaced_without_a_gap(
    stage: Stage, probers: dict[str, Prober]
) -> None:
    """Flows as an earlier release might have had them: other priorities, one too many."""
    a, b, _ = stage.ids
    conversation = stage.talk(a)
    conversation.ask()
    assert secret(stage.ids[a]).encode() in conversation.read(5)
    whole, controller = flows(stage), stage.host.services.controller
    controller.kill()
    try:
        for flow in whole:
            if f"priority={Priority.REPLY_UNTRACKED}," in flow or "table=25, priority=4010" in flow:
                older = re.sub(r"priority=(\d+)", lambda m: f"priority={int(m[1]) + 50}", flow)
                stage.host.ovs.ofctl("add-flow", BRIDGE, older)
                head = re.search(r"(table=.*) actions=", flow).group(1)
                stage.host.ovs.ofctl("--strict", "del-flows", BRIDGE, head)
        assert flows(stage) != whole
        answered = {name: probers[name].answers[200] for name in (a, b)}
    finally:
        controller.start()
    stage.cloud.wait(lambda: flows(stage) == whole, "today's pipeline")
    for name in (a, b):
        probers[name].wait_for(200, 4)
        assert probers[name].answers[200] > answered[name]
        assert set(probers[name].answers) == {200}, dict(probers[name].answers)
    conversation.ask()
    assert secret(stage.ids[a]).encode() in conversation.read(5)
    conversation.close()
