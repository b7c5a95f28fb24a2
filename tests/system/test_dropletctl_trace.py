"""dropletctl trace: each hop of a droplet's request is broken on a real host, and is named."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.droplet import Droplet
from lab.hypervisor import BRIDGE
from lab.lab import Lab
from lab.wait import wait_for
from tests.system.world import META, World

pytestmark = pytest.mark.root

HOPS = [
    *("registry", "port", "bridge", "flows", "arp", "request", "reply"),
    *("conntrack", "server", "probe"),
]
OFPORT = 602


@pytest.fixture(scope="module")
def traced(lab: Lab) -> World:
    """A host of this module's own; each test that breaks something of it mends it."""
    return World(lab)


@pytest.fixture(scope="module")
def droplet(traced: World) -> Droplet:
    made = traced.host.add_droplet(
        "tapext1", ofport=OFPORT, mac="a6:a4:8e:4a:e8:70", addresses="10.0.0.5/24"
    )
    traced.replace(7889371, made)
    traced.wait_until_served(made)
    return made


def trace(world: World, droplet_id: int = 7889371) -> dict[str, str]:
    """What came of each hop."""
    done = world.services.dropletctl("trace", str(droplet_id), "--json", check=False)
    told = json.loads(done.stdout)
    states = {hop["name"]: hop["state"] for hop in told["hops"]}
    assert done.returncode == (1 if "died" in states.values() else 0), done.stderr
    assert "nothing on this side" in told["verdict"] or "dies at" in told["verdict"]
    return states


def whole(world: World) -> None:
    wait_for(
        lambda: trace(world) == dict.fromkeys(HOPS, "passed"),
        "a whole path",
        diagnose=lambda: world.services.dropletctl("trace", "7889371", check=False).stdout,
    )


def dies_at(world: World, *hops: str) -> None:
    wait_for(
        lambda: [name for name, state in trace(world).items() if state == "died"] == list(hops),
        f"it dies at {hops}",
        diagnose=lambda: world.services.dropletctl("trace", "7889371", check=False).stdout,
    )


def test_a_droplet_that_is_served(traced: World, droplet: Droplet) -> None:
    whole(traced)
    said = traced.services.dropletctl("trace", "7889371").stdout
    assert said.endswith("droplet 7889371: nothing on this side keeps it from its metadata\n")
    # The probe leaves nothing behind, and the droplet is served as before.
    assert "SYN_SENT" not in traced.ovs.appctl("dpctl/dump-conntrack")
    assert traced.wait_for_answer(droplet, "/metadata/v1/id").body == b"7889371"


def test_nobody_of_this_id(traced: World, droplet: Droplet) -> None:
    assert trace(traced, 12345) == {"registry": "died"}


def test_no_port(traced: World, droplet: Droplet) -> None:
    document = {
        "droplet_id": 44,
        "ports": [{"name": "nowhere0", "mac": "02:00:00:00:00:44"}],
        "metadata": {"hostname": "lost"},
    }
    traced.services.register(document)
    assert trace(traced, 44) == {"registry": "passed", "port": "died"}
    traced.services.dropletctl("delete", "44")


@contextmanager
def broken(world: World, do: str, undo: str) -> Iterator[None]:
    """A shell line that breaks something of the host, and the one that mends it."""
    world.host.run("sh", "-c", do)
    try:
        yield
    finally:
        world.host.run("sh", "-c", undo)


def test_the_link_is_down(traced: World, droplet: Droplet) -> None:
    with broken(traced, "ip link set tapext1 down", "ip link set tapext1 up"):
        dies_at(traced, "bridge")
    whole(traced)


@pytest.mark.parametrize(
    ("hops", "match"),
    [
        (("arp",), f"arp,in_port={OFPORT}"),
        (("request", "probe"), f"tcp,in_port={OFPORT}"),
        (("reply", "probe"), f"tcp,in_port={META}"),
    ],
)
def test_a_foreign_flow_takes_it_first(
    traced: World, droplet: Droplet, hops: tuple[str, ...], match: str
) -> None:
    flow = f"cookie=0x5,priority=40000,{match},actions=drop"
    with broken(
        traced,
        f"ovs-ofctl -O OpenFlow13 add-flow {BRIDGE} {flow}",
        f"ovs-ofctl -O OpenFlow13 del-flows {BRIDGE} cookie=0x5/-1",
    ):
        dies_at(traced, *hops)
    whole(traced)


def test_the_server_is_away(traced: World, droplet: Droplet) -> None:
    traced.services.server.stop()
    try:
        dies_at(traced, "server", "probe")
    finally:
        traced.services.server.start()
    whole(traced)


def test_the_host_routes_answers_elsewhere(traced: World, droplet: Droplet) -> None:
    rule = "from 169.254.169.254 blackhole priority 90"
    with broken(traced, f"ip rule add {rule}", f"ip rule del {rule}"):
        dies_at(traced, "probe")
    whole(traced)
