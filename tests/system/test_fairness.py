"""What one droplet may take of the datapath, seen on a real switch: its meter comes and goes with
its binding, and drops what is too much."""

import http.client
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.droplet import Droplet
from lab.hypervisor import BRIDGE
from ryu_apps.openflow.meter import Meter
from ryu_apps.openflow.text import format_meter, parse_meter
from tests.system.cloud import Cloud
from tests.system.packets import HTTP_PORT, METADATA_IP, Aim, syn
from tests.system.wire import Wire

pytest_plugins = ["tests.system.cloud_fixture"]

pytestmark = pytest.mark.root

DROPLET_ID = 7701
OFPORT = 770
MAC = "a6:00:00:00:77:01"
OTHER_ID, OTHER_MAC = 7702, "a6:00:00:00:77:02"
OURS = 0x6D640000
BLAST = Path(__file__).parents[1] / "http" / "blast.py"
FACTOR = 20
"""How many times its quiet p99 another droplet's may be beside the blast."""
RATE, BURST = 2000, 4000  # the defaults of meter_pps and meter_burst


@pytest.fixture
def droplet(cloud: Cloud) -> Iterator[Droplet]:
    made = cloud.plug(
        cloud.host, "tapfair", DROPLET_ID, ofport=OFPORT, mac=MAC, address="10.77.0.1/24"
    )
    try:
        yield made
    finally:
        cloud.unplug(cloud.host, made, DROPLET_ID)


def ofctl(cloud: Cloud, *command: str) -> str:
    return cloud.host.ovs.ofctl("-O", "OpenFlow13", *command)


def meters(cloud: Cloud) -> dict[int, Meter]:
    """The bridge's meters by id."""
    _, *found = re.split(r"(?m)^(?=meter=)", ofctl(cloud, "dump-meters", BRIDGE))
    return {meter.meter_id: meter for meter in map(parse_meter, found)}


def serving(cloud: Cloud) -> set[int]:
    """The ids of the meters there must be: one for each port that is served."""
    ports = cloud.rest.ports(cloud.host.dpid).values()
    return {OURS | port["ofport"] for port in ports if port["state"] == "serving"}


def test_each_served_port_has_its_meter_and_none_is_left(cloud: Cloud, droplet: Droplet):
    mine = OURS | OFPORT
    assert meters(cloud)[mine] == Meter(mine, RATE, BURST)
    assert meters(cloud).keys() == serving(cloud)
    for _ in range(3):
        cloud.rest.delete(DROPLET_ID)
        cloud.wait_not_mapped(cloud.host, "tapfair")
        cloud.wait(lambda: meters(cloud).keys() == serving(cloud) - {mine}, "the meter to go")
        cloud.rest.put(DROPLET_ID, "tapfair", MAC)
        cloud.wait_serving(cloud.host, "tapfair", DROPLET_ID)
        assert mine in meters(cloud)
    assert meters(cloud).keys() == serving(cloud)
    assert len(re.findall(f"meter:{mine},", ofctl(cloud, "dump-flows", BRIDGE))) == 3


def test_taking_over_brings_meters_back_and_takes_stale_ones_away(cloud: Cloud, droplet: Droplet):
    """Whoever takes a meter away takes the flows with it; the others' are never touched."""
    mine, stale, foreign = OURS | OFPORT, OURS | 9999, 7
    ovs, controller = cloud.host.ovs, cloud.host.services.controller
    controller.kill()
    ofctl(cloud, "del-meter", BRIDGE, f"meter={mine}")
    for meter_id in (stale, foreign):
        ofctl(cloud, "add-meter", BRIDGE, format_meter(Meter(meter_id, 5, 5)))
    controller.start()
    cloud.wait(lambda: cloud.rest.state(cloud.host.dpid) == "in-sync", "the switch")
    cloud.wait(lambda: meters(cloud).keys() == serving(cloud) | {foreign}, "the meters")
    assert meters(cloud)[mine] == Meter(mine, RATE, BURST)
    assert meters(cloud)[foreign] == Meter(foreign, 5, 5)
    ofctl(cloud, "del-meter", BRIDGE, f"meter={foreign}")
    assert f"meter:{mine}," in ofctl(cloud, "dump-flows", BRIDGE)
    assert ovs.ofport("tapfair") == OFPORT


def test_a_flood_is_dropped_beyond_the_meter(cloud: Cloud, droplet: Droplet):
    """What passes goes to conntrack and meta0; what does not has cost the switch a look."""
    wire = Wire(droplet.namespace, "eth0")
    flood = [
        syn(Aim(MAC, cloud.host.meta_mac, "10.77.0.1", sport=sport))
        for sport in range(10_000, 10_100)
    ] * (BURST // 100)
    dropped = 0
    for _ in range(50):
        wire.send(flood)
        dropped = counted(cloud, OURS | OFPORT)
        if dropped:
            break
    wire.close()
    assert dropped > 0


@pytest.fixture
def other(cloud: Cloud) -> Iterator[Droplet]:
    made = cloud.plug(
        cloud.host, "tapquiet", OTHER_ID, ofport=OFPORT + 1, mac=OTHER_MAC, address="10.77.0.2/24"
    )
    try:
        yield made
    finally:
        cloud.unplug(cloud.host, made, OTHER_ID)


def test_a_droplet_at_full_blast_leaves_the_other_its_time(
    cloud: Cloud, droplet: Droplet, other: Droplet
) -> None:
    """A hundred connections that pipeline requests, and a flood of SYNs beside them.

    On two processors, loaded by other work, its p99 was 3 to 7 times the quiet one; with
    `rate_limit` and `meter_pps` 0 and no cap on connections it was 290 and 570 times.
    """
    quiet = waits(other)
    words = [METADATA_IP, str(HTTP_PORT), "10.77.0.1", "100"]
    command = droplet.namespace.command(sys.executable, BLAST, *words)
    over = threading.Event()
    flooder = threading.Thread(target=flood, args=(cloud, droplet, over))
    with subprocess.Popen(command) as blast:
        flooder.start()
        try:
            cloud.wait(lambda: counted(cloud, OURS | OFPORT) > BURST, "the meter to drop")
            beside = waits(other)
        finally:
            over.set()
            flooder.join()
            blast.kill()
    assert counted(cloud, OURS | OFPORT + 1) == 0, "the other's own meter dropped something"
    assert p99(beside) < FACTOR * p99(quiet), (p99(quiet), p99(beside))


def flood(cloud: Cloud, droplet: Droplet, over: threading.Event) -> None:
    """SYNs as fast as this thread can."""
    wire = Wire(droplet.namespace, "eth0")
    frames = [
        syn(Aim(MAC, cloud.host.meta_mac, "10.77.0.1", sport=sport))
        for sport in range(10_000, 10_100)
    ]
    while not over.is_set():
        wire.send(frames)
    wire.close()


def waits(droplet: Droplet, times: int = 200) -> list[float]:
    """Seconds of a request on a connection of its own, each time."""
    took = []
    with droplet.namespace.entered():
        for _ in range(times):
            connection = http.client.HTTPConnection(METADATA_IP, HTTP_PORT, timeout=20)
            begin = time.perf_counter()
            connection.request("GET", "/metadata/v1/id", headers={"Connection": "close"})
            answer = connection.getresponse()
            assert answer.status == http.client.OK
            answer.read()
            took.append(time.perf_counter() - begin)
            connection.close()
    return took


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


def counted(cloud: Cloud, meter_id: int) -> int:
    """How many packets a meter dropped."""
    told = ofctl(cloud, "meter-stats", BRIDGE, f"meter={meter_id}")
    (dropped,) = re.findall(r"0: packet_count:(\d+)", told)
    return int(dropped)
