"""The main path for real: droplets on a real Open vSwitch ask 169.254.169.254 and get their own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.droplet import Droplet, NoAnswer
from lab.hypervisor import BRIDGE
from lab.wait import wait_for
from tests.system.cloud import Rest
from tests.system.world import META, World

OFPORTS = (1, 255, 256, 602, 32768, 65279)
MAC = "a6:a4:8e:4a:e8:70"
ADDRESS = "10.0.0.5/24"

ID = "/metadata/v1/id"
HOSTNAME = "/metadata/v1/hostname"
USER_DATA = "/metadata/v1/user-data"

CURL_TIMED_OUT = 28


@pytest.fixture(scope="module")
def crowd(world: World) -> dict[int, Droplet]:
    """Registered droplets by their ids: one on each ofport, all with one MAC and one IP."""
    droplets = {}
    for ofport in OFPORTS:
        droplet = world.host.add_droplet(
            f"tapcrowd{ofport}", ofport=ofport, mac=MAC, addresses=ADDRESS
        )
        droplets[world.register(droplet)] = droplet
    world.wait_until_served(*droplets.values())
    return droplets


@pytest.fixture
def newcomer(world: World) -> Iterator[Callable[..., Droplet]]:
    """Makes droplets that leave when the test ends."""
    made: list[Droplet] = []

    def make(port: str, ofport: int, mac: str = "02:00:00:00:07:01", mtu: int = 1500) -> Droplet:
        made.append(
            world.host.add_droplet(port, ofport=ofport, mac=mac, addresses=ADDRESS, mtu=mtu)
        )
        return made[-1]

    yield make
    for droplet in made:
        if droplet.port in world.host.droplets:
            world.host.remove_droplet(droplet)


def everybody_is_served(crowd: dict[int, Droplet]) -> None:
    """Each droplet asks for id and hostname, and gets its own."""
    for droplet_id, droplet in crowd.items():
        assert droplet.get(ID).text == str(droplet_id)
        assert droplet.get(HOSTNAME).text == f"host-{droplet_id}"


def test_each_droplet_gets_its_own(world: World, crowd: dict[int, Droplet]) -> None:
    assert [world.ovs.ofport(droplet.port) for droplet in crowd.values()] == list(OFPORTS)
    everybody_is_served(crowd)


def test_one_source_port_for_all_is_no_confusion(crowd: dict[int, Droplet]) -> None:
    answers = [droplet.get(ID, source_port=41000).text for droplet in crowd.values()]
    assert answers == [str(droplet_id) for droplet_id in crowd]


def test_conntrack_has_a_zone_for_each_port_and_names_the_droplet(
    world: World, crowd: dict[int, Droplet]
) -> None:
    for droplet in crowd.values():
        droplet.get(ID, source_port=42000)
    seen = {
        (entry.zone, entry.translated, entry.mark)
        for entry in world.ovs.conntrack()
        if entry.source_port == 42000
    }
    assert seen == {
        (droplet.ofport, f"100.127.{droplet.ofport >> 8}.{droplet.ofport & 0xFF}", droplet_id)
        for droplet_id, droplet in crowd.items()
    }


@pytest.mark.parametrize("mtu", [1500, 1280])
def test_bodies_come_byte_for_byte(
    world: World, newcomer: Callable[..., Droplet], mtu: int
) -> None:
    """Open vSwitch gives meta0 the smallest MTU of the bridge, so both ends have this one."""
    droplet = newcomer(f"tapmtu{mtu}", 900 + mtu, mtu=mtu)
    droplet_id = world.register(droplet)
    for size in (1, 1024, 65536):
        data = (bytes(range(256)) * (size // 256 + 1))[:size]
        world.replace(droplet_id, droplet, user_data=data, hostname=f"size-{size}")
        wait_for(
            lambda size=size: droplet.get(HOSTNAME).text == f"size-{size}",
            "the new registration",
            not_yet=(NoAnswer,),
        )
        answer = droplet.get(USER_DATA)
        assert answer.body == data
        assert answer.headers["content-length"] == str(size)
    assert f" mtu {mtu} " in world.host.run("ip", "link", "show", META).stdout


def test_a_droplet_registered_late_waits_and_then_gets_its_own(
    world: World, newcomer: Callable[..., Droplet]
) -> None:
    droplet = newcomer("taplate", 1001)
    answer = world.wait_for_answer(droplet, ID, 503)
    assert answer.headers["retry-after"] == "2"
    droplet_id = world.register(droplet)
    assert world.wait_for_answer(droplet, ID).text == str(droplet_id)


def test_a_droplet_registered_before_its_port_gets_its_own(
    world: World, newcomer: Callable[..., Droplet]
) -> None:
    """The port is plugged in after the registration was answered."""
    port, mac = "tapearly", "02:00:00:00:07:02"
    early = Droplet(port, 1002, mac, (), world.host.namespace)
    droplet_id = world.register(early)
    droplet = newcomer(port, 1002, mac)
    assert world.wait_for_answer(droplet, ID).text == str(droplet_id)


def test_an_unregistered_droplet_is_told_to_wait(
    world: World, newcomer: Callable[..., Droplet]
) -> None:
    droplet = newcomer("tapnobody", 1003)
    answer = world.wait_for_answer(droplet, ID, 503)
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["connection"] == "close"


def test_a_droplet_that_is_removed_from_the_registry_gets_nothing_more(
    world: World, newcomer: Callable[..., Droplet]
) -> None:
    droplet = newcomer("tapremoved", 1004)
    droplet_id = world.register(droplet)
    world.wait_for_answer(droplet, ID)
    world.services.dropletctl("delete", str(droplet_id))
    answer = world.wait_for_answer(droplet, ID, 503)
    assert str(droplet_id) not in answer.text


@pytest.fixture
def full_table(world: World, crowd: dict[int, Droplet]) -> Iterator[Callable[[], None]]:
    """The bridge takes no more flows in the forwarding table, until the test has some room made."""
    taken = sum("table=65," in line for line in world.ovs.dump_flows(BRIDGE))
    world.ovs.vsctl(
        *("--id=@full", "create", "Flow_Table", f"flow_limit={taken}"),
        *("--", "set", "Bridge", BRIDGE, "flow_tables:65=@full"),
    )

    def make_room() -> None:
        world.ovs.vsctl("clear", "Bridge", BRIDGE, "flow_tables")

    yield make_room
    make_room()


def test_what_the_switch_refuses_is_shown_at_the_port(
    world: World,
    crowd: dict[int, Droplet],
    newcomer: Callable[..., Droplet],
    full_table: Callable[[], None],
) -> None:
    droplet = newcomer("tapfull", 1006)
    droplet_id = world.register(droplet)

    def refused() -> str | None:
        port = world.ports()[droplet.port]
        return port["reason"] if port["state"] == "error" else None

    reason = wait_for(
        refused, "the refusal", diagnose=world.services.diagnosis, not_yet=(KeyError,)
    )
    assert reason == "OFPET_FLOW_MOD_FAILED(5)/OFPFMFC_TABLE_FULL(1)"
    assert world.flows_of_port(1006) == []
    everybody_is_served(crowd)
    full_table()
    world.replace(droplet_id, droplet)
    assert world.wait_for_answer(droplet, ID).text == str(droplet_id)


def test_the_next_droplet_on_an_ofport_gets_its_own_at_once(
    world: World, newcomer: Callable[..., Droplet]
) -> None:
    first = newcomer("tapfirst", 1005, "02:00:00:00:07:05")
    first_id = world.register(first)
    world.wait_for_answer(first, ID)
    world.host.remove_droplet(first)
    second = newcomer("tapsecond", 1005, "02:00:00:00:07:06")
    second_id = world.register(second)
    answers = []

    def answered() -> bool:
        answers.append(second.get(ID, seconds=2))
        return answers[-1].status == 200

    wait_for(answered, "the second droplet to be served", not_yet=(NoAnswer,))
    assert answers[-1].text == str(second_id)
    assert all(str(first_id) not in answer.text for answer in answers)


@pytest.mark.parametrize("port", ["uplink0", "vnet-other"])
def test_a_port_without_a_droplet_has_no_flow_and_no_answer(
    world: World, newcomer: Callable[..., Droplet], port: str
) -> None:
    droplet = newcomer(port, 1010)
    wait_for(lambda: port in world.ports(), "the controller to know the port")
    assert world.ports()[port]["state"] == "unregistered"
    with pytest.raises(NoAnswer) as caught:
        droplet.get(ID, seconds=1)
    assert caught.value.status == CURL_TIMED_OUT
    assert world.flows_of_port(1010) == []


def test_meta0_and_the_bridge_itself_have_no_droplet_flow(
    world: World, crowd: dict[int, Droplet]
) -> None:
    everybody = {droplet.ofport for droplet in crowd.values()}
    assert world.ovs.ofport(META) not in everybody
    assert world.flows_of_port(world.ovs.ofport(META)) == []
    assert world.flows_of_port(0xFFFE) == []
    assert not {META, BRIDGE} & set(world.ports())


def test_the_switch_has_the_talk_s_flows(world: World, crowd: dict[int, Droplet]) -> None:
    """The seed's matches and actions, with what the specification adds: untagged frames only
    (vlan_tci), connections opened by a SYN only, the fence behind conntrack (table 25), the zone in
    the way back."""
    droplet_id, droplet = next((key, d) for key, d in crowd.items() if d.ofport == 602)
    flows = world.flows_of_port(602)
    meta, meta_mac = (
        world.ovs.ofport(META),
        world.host.run("cat", f"/sys/class/net/{META}/address").stdout.strip(),
    )
    own, his = (mac.replace(":", "").lstrip("0") for mac in (meta_mac, droplet.mac))
    untagged = "vlan_tci=0x0000/0x1fff"
    expected = {
        "A1": f"priority=4030,arp,in_port=602,{untagged},dl_src={droplet.mac},"
        "arp_tpa=169.254.169.254,arp_op=1 actions=load:0x2->NXM_OF_ARP_OP[],"
        f"mod_dl_src:{meta_mac},mod_dl_dst:{droplet.mac},"
        f"load:0x{own}->NXM_NX_ARP_SHA[],load:0x{his}->NXM_NX_ARP_THA[],"
        "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0xa9fea9fe->NXM_OF_ARP_SPA[],IN_PORT",
        "A2": f"priority=4030,arp,in_port={meta},{untagged},dl_src={meta_mac},"
        "arp_spa=169.254.169.254,arp_tpa=100.127.2.90,arp_op=1 "
        f"actions=load:0x2->NXM_OF_ARP_OP[],mod_dl_src:{droplet.mac},"
        f"mod_dl_dst:{meta_mac},load:0x{his}->NXM_NX_ARP_SHA[],"
        f"load:0x{own}->NXM_NX_ARP_THA[],load:0x647f025a->NXM_OF_ARP_SPA[],"
        "load:0xa9fea9fe->NXM_OF_ARP_TPA[],IN_PORT",
        "N1": f"priority=4010,tcp,in_port=602,{untagged},dl_src={droplet.mac},"
        "nw_dst=169.254.169.254,tp_dst=80,tcp_flags=+syn-ack actions=ct(commit,table=25,zone=602,"
        f"nat(src=100.127.2.90),exec(load:{droplet_id:#x}->NXM_NX_CT_MARK[]))",
        "L1": "table=25, priority=4010,ct_state=-inv+trk,ct_zone=602,tcp,in_port=602,"
        "nw_src=100.127.2.90,nw_dst=169.254.169.254,tp_dst=80 "
        f"actions=mod_dl_dst:{meta_mac},output:{meta}",
        "R1": f"table=65, priority=4012,tcp,metadata=0,in_port={meta},dl_dst={droplet.mac},"
        "nw_src=169.254.169.254,nw_dst=100.127.2.90,tp_src=80 "
        "actions=load:0x1->OXM_OF_METADATA[],ct(table=65,zone=602,nat)",
        "R2": "table=65, priority=4010,ct_state=+est+trk,ct_zone=602,tcp,metadata=0x1,"
        f"in_port={meta},dl_dst={droplet.mac},nw_src=169.254.169.254,tp_src=80 "
        "actions=output:602",
    }
    found = {line.partition(", ")[2] for line in flows}
    assert {name for name, flow in expected.items() if flow not in found} == set(), found


def test_the_switch_is_in_sync_and_the_host_as_it_should_be(world: World) -> None:
    done = world.services.dropletctl("switches")
    assert f"{world.dpid}  in-sync" in done.stdout
    world.services.dropletctl("host-setup", "--bridge", BRIDGE, "--check")
    assert world.ovs.vsctl("get-fail-mode", BRIDGE) == "secure"


def test_what_each_droplet_asked_is_counted_and_shown(
    world: World, crowd: dict[int, Droplet]
) -> None:
    (droplet_id, droplet), (other, _) = list(crowd.items())[3:5]
    rest = Rest(world.host, world.services.state_dir)

    def counted() -> dict[int, dict[str, Any]]:
        status, answer = rest.call("GET", f"/v1/switches/{world.dpid}/requests")
        assert (status, [len(each) for each in answer["servers"]]) == (200, [3])
        return {each["droplet_id"]: each for each in answer["droplets"]}

    before = wait_for(counted, "counts of both", not_yet=(AssertionError,))
    for path, status in ((ID, 200), ("/metadata/v1/nothing", 404), (ID, 200)):
        assert droplet.get(path).status == status
    wanted = before[droplet_id]["requests"] + 3
    wait_for(lambda: counted()[droplet_id]["requests"] == wanted, "the requests to be shown")
    after = counted()
    assert after[droplet_id]["errors"] == before[droplet_id]["errors"] + 1
    assert after[droplet_id]["ofport"] == world.ovs.ofport(droplet.port)
    assert after[other]["requests"] == before[other]["requests"]


def test_the_controller_counts_its_work_with_the_switch(
    world: World, crowd: dict[int, Droplet], newcomer: Callable[..., Droplet]
) -> None:
    def counted(name: str, **labels: str) -> float:
        text = world.services.controller.answer("/metrics")[1]
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"ovs_metadata_{name}" and sample.labels == labels
        ]
        assert len(found) == 1, (name, labels)
        return found[0]

    assert counted("in_sync_seconds_count") >= 1
    assert counted("switches_in_state", state="in-sync") == 1
    release = world.ovs.ofctl("--version").splitlines()[0].split()[-1]
    assert counted("switch_releases", release=release) == 1
    serving = counted("ports_in_state", state="serving")
    served, added = counted("port_serving_seconds_count"), counted("port_events_total", event="add")
    port, mac = "tapcounted", "02:00:00:00:07:03"
    droplet_id = world.register(Droplet(port, 1019, mac, (), world.host.namespace))
    droplet = newcomer(port, 1019, mac)
    assert world.wait_for_answer(droplet, ID).text == str(droplet_id)
    world.wait_until_served(droplet)
    assert counted("port_serving_seconds_count") == served + 1
    assert counted("port_events_total", event="add") > added
    assert counted("ports_in_state", state="serving") == serving + 1
    flows = sum(line.startswith("cookie=0x6d64") for line in world.ovs.dump_flows(BRIDGE))
    for name in ("flows_wanted", "flows_installed"):
        assert counted(name, dpid=world.dpid) == flows
    assert counted("flows_repaired_total", dpid=world.dpid) == 0


def test_a_killed_controller_leaves_everybody_served_and_comes_back_by_itself(
    world: World, crowd: dict[int, Droplet], newcomer: Callable[..., Droplet]
) -> None:
    before = sorted(world.ovs.dump_flows(BRIDGE))
    world.services.controller.kill()
    everybody_is_served(crowd)
    world.services.controller.start()
    everybody_is_served(crowd)
    world.wait_until_served(*crowd.values())
    assert sorted(world.ovs.dump_flows(BRIDGE)) == before
    droplet = newcomer("tapafter", 1020)
    droplet_id = world.register(droplet)
    assert world.wait_for_answer(droplet, ID).text == str(droplet_id)
    everybody_is_served(crowd)


def test_a_registration_survives_the_controller_s_death_the_next_instant(
    world: World, newcomer: Callable[..., Droplet]
) -> None:
    droplet = newcomer("tapdurable", 1021)
    droplet_id = world.register(droplet)
    world.services.controller.kill()
    world.services.controller.start()
    assert world.wait_for_answer(droplet, ID).text == str(droplet_id)


def test_a_killed_server_comes_back_by_itself(world: World, crowd: dict[int, Droplet]) -> None:
    world.services.server.kill()
    world.services.server.start()
    for droplet_id, droplet in crowd.items():
        assert world.wait_for_answer(droplet, ID).text == str(droplet_id)


def test_a_server_started_without_a_controller_serves_what_it_knew(
    world: World, crowd: dict[int, Droplet]
) -> None:
    world.services.server.kill()
    world.services.controller.kill()
    world.services.server.start()
    for droplet_id, droplet in crowd.items():
        assert world.wait_for_answer(droplet, ID).text == str(droplet_id)
    world.services.controller.start()
    world.wait_until_served(*crowd.values())
    everybody_is_served(crowd)


def test_open_vswitch_may_be_restarted(world: World, crowd: dict[int, Droplet]) -> None:
    world.ovs.stop_vswitchd()
    world.ovs.start_vswitchd()
    for droplet_id, droplet in crowd.items():
        assert world.wait_for_answer(droplet, ID).text == str(droplet_id)
