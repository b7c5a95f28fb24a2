"""The fault matrix: what befalls processes, switch and network while droplets ask.

Each test is one row of the table in docs/operations.md, by its name, and leaves what droplets
noticed in .build/faults.json. Judged is that nobody got a wrong answer, that everybody is served
again, and, where a fault must not be noticed at all, that no request failed.
"""

import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

import pytest

from lab.hypervisor import BRIDGE
from lab.services import CONTROLLER
from ryu_apps.binding.drift import LONGEST_PAUSE
from ryu_apps.binding.followers import LEASE
from ryu_apps.northbound.watch import HEARTBEAT_SECONDS
from ryu_apps.pipeline.port_flows import PortFlows
from tests.system.cloud import META, REST_PORT, Cloud, Host, metadata, secret
from tests.system.faults import (
    change,
    changed,
    false_time,
    frozen,
    partition,
    partitioned,
    reaches,
    watched,
)
from tests.system.outage import Outage, Witness, suffering
from tests.system.packets import HTTP_PORT, METADATA_IP
from tests.system.rivals import RIVAL, Rival, names, no_strangers, quarrels, rival_of
from tests.system.soak import SECONDS as SOAK_SECONDS
from tests.system.stage import OFPORT, Stage, plugged, replaced, settled, staged

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

OTHER_MAC = "02:00:00:00:77:01"
_DAY = 86400


@pytest.fixture
def stage(cloud: Cloud) -> Iterator[Stage]:
    """The first host's, which the controller runs on."""
    with staged(cloud, cloud.host, "tap", 100) as made:
        yield made


@pytest.fixture
def rough_stage(stage: Stage) -> Iterator[Stage]:
    """The same, where meta0 suffers: it is set up again in the end, whatever happened."""
    yield stage
    set_up(stage.host)
    stage.cloud.wait_until_followed()


@pytest.fixture
def peer_stage(cloud: Cloud) -> Iterator[Stage]:
    """The second host's: its controller is elsewhere."""
    with staged(cloud, cloud.peer, "ptap", 200) as made:
        yield made


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> str:
    """The row's name in the table."""
    return request.node.name.removeprefix("test_")


def set_up(host: Host) -> None:
    """What an operator does when meta0 is not as it should be."""
    host.services.dropletctl("host-setup", "--bridge", BRIDGE)


def said_and_mended(stage: Stage, reason: str) -> None:
    """The metadata server says wherever one may look why droplets get no answer, until they do."""
    server = stage.host.services.server
    stage.cloud.wait(lambda: reason in server.answer("/readyz")[1], "the server to say why")
    assert server.answer("/readyz")[0] == HTTPStatus.SERVICE_UNAVAILABLE
    assert "metadata_http_reachable 0.0" in server.answer("/metrics")[1]
    assert reason in server.log_tail(100)
    set_up(stage.host)
    server.wait_until_ready()


def unnoticed(found: list[Outage], *, but_cut: bool = False) -> None:
    """Not one request of those who should be served failed, nor did a kept connection end.

    `but_cut`: those may have, as they do when a server stops.
    """
    (outage,) = found
    assert outage.failed == 0, outage
    assert but_cut or outage.cut == 0, outage


def patient(witnesses: dict[str, Witness]) -> None:
    """Let requests wait as long as real clients do."""
    for witness in witnesses.values():
        witness.patience = 10


# -- the controller -------------------------------------------------------------------------------


def test_nothing(stage: Stage, fault: str) -> None:
    """For comparison: what this machine makes droplets wait when all is well."""
    a, b, _ = stage.ids
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, found):
        patient(witnesses)
        witnesses[a].ask_times(300)
    unnoticed(found)


def test_controller_killed(stage: Stage, fault: str) -> None:
    """In the middle of an answer that is read slowly, which then comes whole."""
    a, b, _ = stage.ids
    mac, length = stage.droplets[a].mac, 64 << 10
    data = (secret(stage.ids[a]) * 4000)[:length]
    stage.cloud.rest.put(stage.ids[a], a, mac, metadata(stage.ids[a]) | {"user_data": data})
    controller = stage.host.services.controller
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, found):
        patient(witnesses)
        talk = stage.talk(a, receive_buffer=2048)
        talk.ask()
        received = talk.read(5)
        controller.kill()
        received += talk.read(5)
        witnesses[b].ask_times(20)
        controller.start()
        received += talk.read(5)
        stage.serving(a, b)
        until = time.monotonic() + 60
        while len(received.partition(b"\r\n\r\n")[2]) < length and time.monotonic() < until:
            received += talk.read(5)
        talk.close()
    came = received.partition(b"\r\n\r\n")[2]
    assert (len(came), came) == (length, data.encode()), stage.cloud.diagnosis()
    unnoticed(found)


def test_controller_frozen(stage: Stage, fault: str) -> None:
    """For longer than a lease, and in `make soak` for more than a minute: Open vSwitch gives it up.

    The droplet that goes meanwhile leaves its ofport to another, which is not answered as that.
    """
    _, b, c = stage.ids
    with suffering(stage, fault, settled(stage), b) as (witnesses, found):
        patient(witnesses)
        with frozen(stage.host.services.controller):
            until = time.monotonic() + max(1.2 * LEASE, min(SOAK_SECONDS, 70))
            stage.vsctl(*replaced(stage))
            while time.monotonic() < until:
                witnesses[b].ask_times(10)
        stage.serving(b, c)
        witnesses[c].wait_for(200, 4)
    unnoticed(found)


def test_controller_away_while_droplets_come_and_go(stage: Stage, fault: str) -> None:
    a, b, c = stage.ids
    controller = stage.host.services.controller
    with suffering(stage, fault, settled(stage), b) as (witnesses, found):
        controller.kill()
        stage.vsctl(*replaced(stage))
        witnesses[c].wait_for(None, 2)
        controller.start()
        stage.serving(b, c)
        witnesses[c].wait_for(200, 4)
        assert witnesses[a].answers[None]
    unnoticed(found)


# -- more than one controller ---------------------------------------------------------------------


@pytest.fixture
def rival(stage: Stage) -> Iterator[Rival]:
    """A second controller on the first one's host; it has no metadata server."""
    with rival_of(stage) as made:
        yield made


def test_two_controllers(stage: Stage, fault: str, rival: Rival) -> None:
    """By mistake: one port is claimed in both registries, one in the first, one in the second.

    Both say so, and neither takes away what the other has; when one stops, so does the quarrel.
    """
    a, b, c = stage.ids
    dpid, rest, theirs = stage.host.dpid, stage.cloud.rest, rival.rest
    other_id = stage.ids[b] + 5000
    theirs.put(other_id, b, stage.droplets[b].mac)
    rest.delete(stage.ids[c])
    theirs.put(stage.ids[c], c, stage.droplets[c].mac)
    cast = settled(stage)
    stage.vsctl(*plugged(c, OFPORT + 2))
    with suffering(stage, fault, cast, a, b) as (witnesses, _):
        stage.host.ovs.vsctl("set-controller", BRIDGE, CONTROLLER, RIVAL)
        for side in (rest, theirs):
            stage.cloud.wait(lambda side=side: quarrels(side, dpid), "it to be said")
            stage.cloud.wait(lambda side=side: names(side, dpid, RIVAL), "the other to be named")
        before = [side.switch(dpid)["drift"]["repaired"] for side in (rest, theirs)]
        answered = witnesses[b].answers.total()
        began = time.monotonic()
        for name in (a, b):
            witnesses[name].wait_for(200, 40)
        while time.monotonic() < began + 10:
            witnesses[a].ask_times(10)
        seconds = time.monotonic() - began
        after = [side.switch(dpid)["drift"]["repaired"] for side in (rest, theirs)]
        flows = [later - earlier for earlier, later in zip(before, after, strict=True)]
        assert max(flows) <= PortFlows.COUNT * (4 + seconds / LONGEST_PAUSE), flows
        assert witnesses[b].answers.total() > answered
        rival.service.kill()
        stage.cloud.wait(lambda: not quarrels(rest, dpid), "the quarrel to be over")
        stage.cloud.wait(lambda: no_strangers(stage), "what the other left to go")
    assert not names(rest, dpid, RIVAL)


def test_registry_held_up(stage: Stage, fault: str) -> None:
    """Its file takes no writes for as long as it lasts; a switch is taken over meanwhile."""
    a, b, _ = stage.ids
    registry, late = stage.host.services.state_dir / "registry.db", stage.ids[b] + 1000
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, _):
        with closing(sqlite3.connect(registry, isolation_level=None)) as held:
            held.execute("BEGIN IMMEDIATE")
            writing = threading.Thread(target=stage.cloud.rest.call, args=write(late))
            writing.start()
            stage.host.ovs.stop_vswitchd()
            witnesses[a].wait_for(None, 1)
            stage.host.ovs.start_vswitchd()
            for name in (a, b):
                witnesses[name].wait_for(200, 4)
            assert stage.cloud.rest.call("GET", f"/v1/droplets/{late}")[0] == HTTPStatus.NOT_FOUND
            held.execute("ROLLBACK")
        writing.join()


def write(droplet_id: int) -> tuple[str, str, dict[str, object]]:
    """A registration that claims no port."""
    return "PUT", f"/v1/droplets/{droplet_id}", {"ports": [], "metadata": metadata(droplet_id)}


# -- the metadata server --------------------------------------------------------------------------


def test_server_killed_while_the_controller_is_away(stage: Stage, fault: str) -> None:
    a, b, _ = stage.ids
    services = stage.host.services
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, _):
        services.controller.kill()
        services.server.kill()
        services.server.start()
        for name in (a, b):
            witnesses[name].wait_for(200, 4)
        services.controller.start()
        stage.serving(a, b)


def test_server_upgraded_on_a_socket_passed_in(stage: Stage, fault: str) -> None:
    """As under systemd's socket activation: connections wait while there is no server."""
    a, b, _ = stage.ids
    server = stage.host.services.server
    with stage.host.namespace.entered():
        listener = socket.create_server((METADATA_IP, HTTP_PORT), backlog=4096, reuse_port=True)
    server.stop()
    server.start(listener)
    server.wait_until_ready()
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, found):
        patient(witnesses)
        for _ in range(2):
            witnesses[a].ask_times(50)
            assert server.stop() == 0
            server.start(listener)
    unnoticed(found, but_cut=True)
    server.stop()
    listener.close()
    server.start()


def test_clock_jumps(stage: Stage, fault: str) -> None:
    """A day on, then two back, of both processes; what was in force stays so, and news arrive."""
    a, b, _ = stage.ids
    services, rest = stage.host.services, stage.cloud.rest
    with false_time(services.controller, services.server) as clock:
        stage.cloud.wait_until_followed()
        with suffering(stage, fault, settled(stage), a, b) as (witnesses, found):
            patient(witnesses)
            for day in (1, -1):
                clock.jump(day * _DAY)
                assert abs(rest.clock() - time.time() - day * _DAY) < _DAY / 2
                witnesses[a].ask_times(50)
                change(stage, b, f"day{day}")
                changed(stage, b, f"day{day}")
                # For longer than a watch stream is silent, or a view stays certain unasked.
                until = time.monotonic() + HEARTBEAT_SECONDS + 1
                while time.monotonic() < until:
                    witnesses[a].ask_times(10)
        unnoticed(found)
    stage.cloud.wait_until_followed()


# -- between the two ------------------------------------------------------------------------------


def test_rest_connections_cut(peer_stage: Stage, fault: str) -> None:
    a, b, _ = peer_stage.ids
    with suffering(peer_stage, fault, settled(peer_stage), a, b) as (_, found):
        with partitioned(peer_stage.host, "reject with tcp reset"):
            change(peer_stage, b)
        changed(peer_stage, b)
    unnoticed(found)


def test_rest_connections_half_open(peer_stage: Stage, fault: str) -> None:
    """What passes them is lost without a word, as when a firewall forgets; new ones work."""
    a, b, _ = peer_stage.ids
    host = peer_stage.host
    listing = host.namespace.run("ss", "-Htn", "state", "established", f"dport = :{REST_PORT}")
    ours = [line.split()[2].rpartition(":")[2] for line in listing.stdout.splitlines()]
    assert ours
    lost = [f"tcp {end} {{ {', '.join(ours)} }} drop" for end in ("sport", "dport")]
    with (
        suffering(peer_stage, fault, settled(peer_stage), a, b) as (_, found),
        partition(host, *lost),
        partition(peer_stage.cloud.host, *lost),
    ):
        change(peer_stage, b)
        changed(peer_stage, b)
    unnoticed(found)


def test_rest_silent_for_longer_than_a_lease(peer_stage: Stage, fault: str) -> None:
    """Nothing passes, while the controller leads the switch: who is who is not certain then."""
    a, b, _ = peer_stage.ids
    with suffering(peer_stage, fault, settled(peer_stage), a, b) as (witnesses, _):
        with partitioned(peer_stage.host, "drop"):
            witnesses[a].wait_for(503, 4)
        peer_stage.serving(a, b)


def test_rest_slow(peer_stage: Stage, fault: str) -> None:
    """A few packets a second, the others lost."""
    a, b, _ = peer_stage.ids
    with suffering(peer_stage, fault, settled(peer_stage), a, b) as (_, found):
        few = f"tcp dport {REST_PORT} limit rate over 8/second burst 4 packets drop"
        with partition(peer_stage.host, few):
            for hostname in ("one", "two", "three"):
                change(peer_stage, b, hostname)
                changed(peer_stage, b, hostname)
    unnoticed(found)


# -- the switch -----------------------------------------------------------------------------------


def test_vswitchd_restarted(stage: Stage, fault: str) -> None:
    a, b, _ = stage.ids
    with suffering(stage, fault, settled(stage), a, b):
        stage.host.ovs.stop_vswitchd()
        stage.host.ovs.start_vswitchd()


def test_ovsdb_server_restarted(stage: Stage, fault: str) -> None:
    """The switch forwards what it forwarded, or nothing of anyone's, as the datapath is.

    ovs-vswitchd without its database does not run its main loop, which is what moves packets of
    the userspace datapath between devices that are no PMD's; the kernel datapath needs it not.
    """
    a, b, _ = stage.ids
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, found):
        assert reaches(stage.droplets[a], stage.droplets[b])
        with watched(stage.droplets[a], stage.droplets[b]) as forwards:
            stage.host.ovs.stop_database(signal.SIGKILL)
            witnesses[a].ask_times(2)
            stage.host.ovs.start_database()
            witnesses[a].wait_for(200, 4)
    if all(forwards):
        unnoticed(found)


def test_bridge_made_again(rough_stage: Stage, fault: str) -> None:
    """By hand, in two steps, so with another dpid: for the controller it is another switch."""
    stage = rough_stage
    a, b, _ = stage.ids
    host = stage.host
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, _):
        before = host.dpid
        host.ovs.vsctl("del-br", BRIDGE)
        witnesses[a].wait_for(None, 2)
        host.hypervisor.add_bridge(controller=CONTROLLER)
        set_up(host)
        stage.vsctl(*plugged(a, OFPORT), *plugged(b, OFPORT + 1))
        host.dpid = host.hypervisor.dpid()
        assert host.dpid != before
        stage.serving(a, b)


def test_meta0_made_again(rough_stage: Stage, fault: str) -> None:
    stage = rough_stage
    a, b, _ = stage.ids
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, _):
        stage.host.ovs.vsctl("del-port", META)
        witnesses[a].wait_for(None, 2)
        set_up(stage.host)


def test_meta0_gets_another_mac(rough_stage: Stage, fault: str) -> None:
    """Open vSwitch sets the device down for it, whereby the kernel forgets its route."""
    stage = rough_stage
    a, b, _ = stage.ids
    before = stage.host.meta_mac
    with suffering(stage, fault, settled(stage), a, b):
        stage.host.ovs.vsctl("set", "Interface", META, f'mac="{OTHER_MAC}"')
        stage.cloud.wait(lambda: stage.host.meta_mac == OTHER_MAC, "the new MAC")
        said_and_mended(stage, "no route from")
    stage.host.ovs.vsctl("set", "Interface", META, f'mac="{before}"')
    stage.cloud.wait(lambda: stage.host.meta_mac == before, "the old MAC")


def test_meta0_gets_another_ofport(rough_stage: Stage, fault: str) -> None:
    stage = rough_stage
    a, b, _ = stage.ids
    before = stage.ofport(META)
    with suffering(stage, fault, settled(stage), a, b):
        stage.vsctl(["set", "Interface", META, f"ofport_request={OFPORT + 100}"])
        stage.cloud.wait(lambda: stage.ofport(META) == OFPORT + 100, "the new ofport")
        said_and_mended(stage, "no device of this host has")
    stage.vsctl(["set", "Interface", META, f"ofport_request={before}"])
    stage.cloud.wait(lambda: stage.ofport(META) == before, "the old ofport")


def test_meta0_loses_its_address(rough_stage: Stage, fault: str) -> None:
    lost(rough_stage, fault, f"address delete {METADATA_IP}/32 dev {META}", "no device of this")


def test_meta0_loses_its_route(rough_stage: Stage, fault: str) -> None:
    lost(rough_stage, fault, f"route flush table all dev {META} scope link", "no route from")


def test_meta0_loses_its_link(rough_stage: Stage, fault: str) -> None:
    lost(rough_stage, fault, f"link set {META} down", "is down")


def lost(stage: Stage, fault: str, command: str, reason: str) -> None:
    """The port stays, so no switch tells of it: the metadata server has to look for itself."""
    a, b, _ = stage.ids
    with suffering(stage, fault, settled(stage), a, b) as (witnesses, _):
        stage.host.namespace.ip(command)
        witnesses[a].wait_for(None, 2)
        said_and_mended(stage, reason)


def test_port_flaps(stage: Stage, fault: str) -> None:
    """A droplet's port goes and comes back, its link too; its neighbour notices nothing."""
    a, b, _ = stage.ids
    with suffering(stage, fault, settled(stage), b) as (witnesses, found):
        for _ in range(5):
            stage.host.namespace.ip(f"link set {a} down", f"link set {a} up")
            stage.vsctl(["del-port", a])
            stage.vsctl(*plugged(a, OFPORT))
        stage.serving(a)
        witnesses[a].wait_for(200, 4)
    unnoticed(found)
