"""Ports change hands: in no interleaving does a droplet get a byte of another's.

Droplets ask all the time, by new connections and by ones kept open, while ports, records, hosts
and processes change under them; the oracle of `probe.py` judges every answer.
"""

import random
import signal
from collections.abc import Iterator

import pytest

from tests.system.cloud import Cloud, metadata, secret
from tests.system.faults import frozen, partitioned
from tests.system.packets import Aim, TcpSeen, acknowledgement, reset, shown, syn, tcp_seen
from tests.system.probe import Conversation, probing, secrets_in
from tests.system.sabotage import Sabotage, sabotaged
from tests.system.stage import (
    OFPORT,
    Stage,
    hands_change,
    hands_changed,
    joined,
    newcomers_answered,
    plugged,
    replaced,
    settled,
    staged,
)
from tests.system.trespass import trespassers
from tests.system.wire import Frame, Wire

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = pytest.mark.root


@pytest.fixture
def stage(cloud: Cloud) -> Iterator[Stage]:
    """The first host's."""
    with staged(cloud, cloud.host, "tap", 100) as made:
        yield made


@pytest.fixture
def peer_stage(cloud: Cloud) -> Iterator[Stage]:
    """The second host's, of the same ofports, with port names of its own."""
    with staged(cloud, cloud.peer, "ptap", 200) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_odd_arrives(cloud: Cloud) -> Iterator[None]:
    """Whatever a test does, meta0 shows the host requests from hv-local addresses alone."""
    wires = [trespassers(host) for host in (cloud.host, cloud.peer)]
    yield
    odd = [shown(frame) for wire in wires for frame in wire.drain()]
    for wire in wires:
        wire.close()
    assert odd == []


def test_a_port_replaced_in_one_transaction(stage: Stage) -> None:
    stage.vsctl(*plugged("tapa", OFPORT))
    stage.serving("tapa")
    with probing(stage.ledger, stage.cast()) as probers:
        there, away = "tapa", "tapb"
        probers[there].wait_for(200, 4)
        for _ in range(5):
            stage.vsctl(["del-port", there], *plugged(away, OFPORT))
            there, away = away, there
            stage.serving(there)
            assert stage.ofport(there) == OFPORT
            probers[there].wait_for(200, 4)
            probers[away].wait_for(None, 2)


def test_a_live_port_evicted_by_an_ofport_request(stage: Stage) -> None:
    names = list(stage.ids)
    stage.vsctl(*[one for n, name in enumerate(names) for one in plugged(name, OFPORT + n)])
    stage.serving(*names)
    order = random.Random(1)
    with probing(stage.ledger, stage.cast()) as probers:
        for _ in range(8):
            victim, evictor = order.sample(names, 2)
            wanted = stage.ofport(victim)
            # Open vSwitch moves a port out of the way only if it did not ask for its place.
            stage.vsctl(
                ["clear", "Interface", victim, "ofport_request"],
                ["set", "Interface", evictor, f"ofport_request={wanted}"],
            )
            stage.ofports({evictor: wanted})
            assert stage.ofport(victim) != wanted
            stage.vsctl(["set", "Interface", victim, f"ofport_request={stage.ofport(victim)}"])
            stage.serving(*names)
            for name in names:
                probers[name].wait_for(200, 4)


def test_open_vswitch_restarts_with_its_ports_in_another_order(stage: Stage) -> None:
    names = list(stage.ids)
    stage.vsctl(*[one for n, name in enumerate(names) for one in plugged(name, OFPORT + n)])
    stage.serving(*names)
    with probing(stage.ledger, stage.cast()) as probers:
        for shift in (1, 2):
            for name in names:
                probers[name].wait_for(200, 4)
            stage.host.ovs.stop_vswitchd(signal.SIGKILL)
            wanted = {name: OFPORT + (n + shift) % len(names) for n, name in enumerate(names)}
            for name, ofport in wanted.items():
                stage.vsctl(["set", "Interface", name, f"ofport_request={ofport}"], wait=False)
            stage.host.ovs.start_vswitchd()
            stage.ofports(wanted)
        for name in names:
            probers[name].wait_for(200, 4)


def test_a_droplet_moved_to_another_port(stage: Stage) -> None:
    """The record names another port: who is behind the old one is nobody, then someone else."""
    rest, ledger = stage.cloud.rest, stage.ledger
    stage.vsctl(*plugged("tapa", OFPORT), *plugged("tapb", OFPORT + 1))
    moving, other = stage.ids["tapa"], stage.ids["tapb"]
    rest.delete(other)
    stage.serving("tapa")
    cast = {name: (stage.droplets[name].namespace, None) for name in ("tapa", "tapb")}
    ledger.allow("tapa", moving)
    with probing(ledger, cast) as probers:
        here, there = "tapa", "tapb"
        for _ in range(4):
            probers[here].wait_for(200, 4)
            ledger.allow(there, moving)
            rest.put(moving, there, stage.droplets[there].mac)
            stage.cloud.wait_serving(stage.host, there, moving)
            stage.cloud.wait_not_mapped(stage.host, here)
            ledger.forbid(here, moving)
            probers[there].wait_for(200, 4)
            probers[here].wait_for(None, 2)
            here, there = there, here


def test_a_record_deleted_and_replaced_while_the_droplet_runs(stage: Stage) -> None:
    rest, ledger, mac = stage.cloud.rest, stage.ledger, stage.droplets["tapa"].mac
    stage.vsctl(*plugged("tapa", OFPORT))
    stage.serving("tapa")
    now, then = stage.ids["tapa"], 777
    cast = {"tapa": (stage.droplets["tapa"].namespace, now)}
    with probing(ledger, cast) as probers:
        for _ in range(4):
            probers["tapa"].wait_for(200, 4)
            rest.delete(now)
            stage.cloud.wait_not_mapped(stage.host, "tapa")
            ledger.forbid("tapa", now)
            probers["tapa"].wait_for(None, 2)
            ledger.allow("tapa", then)
            rest.put(then, "tapa", mac)
            now, then = then, now
    rest.delete(777)


def test_a_live_migration_to_another_host_and_back(stage: Stage) -> None:
    cloud, host, peer, ledger = stage.cloud, stage.cloud.host, stage.cloud.peer, stage.ledger
    droplet_id, mac = stage.ids["tapa"], stage.droplets["tapa"].mac
    stage.vsctl(*plugged("tapa", OFPORT))
    stage.serving("tapa")
    twin = peer.device("tapa", mac, "10.30.0.1/24")
    # Whoever takes the ofport that the migrant leaves, on either host.
    heirs = {host: stage.droplets["tapb"].namespace, peer: peer.device("tapz", "a6:00:00:00:30:99")}
    heirs[peer].ip("address add 10.30.0.9/24 dev eth0")
    cloud.rest.put(555, "tapz", "a6:00:00:00:30:99")
    cast = {
        "host": (stage.droplets["tapa"].namespace, droplet_id),
        "peer": (twin, None),
        "tapb": (heirs[host], stage.ids["tapb"]),
        "tapz": (heirs[peer], 555),
    }
    heir = {"host": "tapb", "peer": "tapz"}
    with probing(ledger, cast) as probers:
        for source, target, name, other in (
            (host, peer, "host", "peer"),
            (peer, host, "peer", "host"),
        ):
            probers[name].wait_for(200, 4)
            ledger.allow(other, droplet_id)
            target.ovs.vsctl("--if-exists", "del-port", heir[other])
            target.ovs.vsctl(*joined(plugged("tapa", OFPORT)))
            cloud.wait_serving(target, "tapa", droplet_id)
            cloud.wait_not_mapped(source, "tapa")
            ledger.forbid(name, droplet_id)
            probers[other].wait_for(200, 4)
            source.ovs.vsctl(*joined([["del-port", "tapa"], *plugged(heir[name], OFPORT)]))
            probers[heir[name]].wait_for(200, 4)
    cloud.rest.delete(555)
    peer.ovs.vsctl("--if-exists", "del-port", "tapz")
    peer.namespace.ip("link delete tapz", "link delete tapa")
    for namespace in (twin, heirs[peer]):
        cloud.lab.delete_namespace(namespace)


# -- while processes fail -------------------------------------------------------------------------


def test_a_server_stands_still_and_another_is_refused(stage: Stage, peer_stage: Stage) -> None:
    """One does not run, to one the controller seems dead: ports are opened without them.

    The controller waits for a server until its lease is over. A server that stood still knows by
    its clock that it is; one that is refused must not take that for the controller's death.
    """
    cast, peer_cast = settled(stage), settled(peer_stage)
    a = next(iter(stage.ids))
    with (
        probing(stage.ledger, cast) as probers,
        probing(peer_stage.ledger, peer_cast) as peer_probers,
    ):
        talk = stage.talk(a)
        talk.ask()
        assert secrets_in(talk.read(5)) == {stage.ids[a]}
        with (
            frozen(stage.host.services.server),
            partitioned(peer_stage.host, "reject with tcp reset"),
        ):
            talk.ask()
            hands_change(stage)
            hands_change(peer_stage)
            hands_changed(stage)
            hands_changed(peer_stage)
            peer_probers[peer_stage.newcomer].wait_for(503, 8)
        newcomers_answered(stage, probers)
        newcomers_answered(peer_stage, peer_probers)
        assert secrets_in(talk.read(0.2)) == set()
        talk.close()


def test_the_controller_restarts_without_its_servers(stage: Stage, peer_stage: Stage) -> None:
    """One is dead and comes back with what it had written down, one is cut off in silence."""
    controller = stage.host.services.controller
    cast, peer_cast = settled(stage), settled(peer_stage)
    with (
        probing(stage.ledger, cast) as probers,
        probing(peer_stage.ledger, peer_cast) as peer_probers,
    ):
        controller.kill()
        stage.host.services.server.kill()
        with partitioned(peer_stage.host, "drop"):
            for each in (stage, peer_stage):
                each.vsctl(*replaced(each))
            controller.start()
            for each in (stage, peer_stage):
                each.cloud.wait_serving(each.host, each.newcomer, each.ids[each.newcomer])
            peer_probers[peer_stage.newcomer].wait_for(503, 8)
            stage.host.services.server.start()
        probers[stage.newcomer].wait_for(200, 4)
        peer_probers[peer_stage.newcomer].wait_for(200, 4)


def test_a_server_is_killed_and_back_at_once(stage: Stage) -> None:
    with probing(stage.ledger, settled(stage)) as probers:
        stage.host.services.server.kill()
        hands_change(stage)
        stage.host.services.server.start()
        hands_changed(stage)
        newcomers_answered(stage, probers)


def test_a_server_stands_still_for_a_moment(stage: Stage) -> None:
    with probing(stage.ledger, settled(stage)) as probers:
        # Were the port open, its request would be there when the server looks again.
        probers[stage.newcomer].ask_times(1)
        probers[stage.newcomer].patience = 3
        with frozen(stage.host.services.server):
            hands_change(stage)
            probers[next(iter(stage.ids))].ask_times(4)
        hands_changed(stage)
        newcomers_answered(stage, probers)


def test_the_controller_is_dead_while_a_port_changes_hands(stage: Stage) -> None:
    controller = stage.host.services.controller
    _, b, c = stage.ids
    with probing(stage.ledger, settled(stage)) as probers:
        controller.kill()
        stage.vsctl(*replaced(stage))
        probers[b].wait_for(200, 4)
        probers[c].wait_for(None, 2)
        controller.start()
        stage.serving(b, c)
        probers[b].wait_for(200, 4)
        probers[c].wait_for(200, 4)


# -- what the host still has for the last one -----------------------------------------------------


def test_an_answer_on_its_way_reaches_nobody_else(stage: Stage) -> None:
    """The server has more for A than A took; C, on A's port, knows all of A's connection.

    That much no droplet knows of another; but then nothing rests on what can be guessed. The
    server stands still, for it would end the connection; the kernel has what it wrote.
    """
    a, _, c = stage.ids
    droplet_id, mac = stage.ids[a], stage.droplets[a].mac
    document = metadata(droplet_id) | {"user_data": secret(droplet_id) * 2000}
    stage.cloud.rest.put(droplet_id, a, mac, document)
    stage.vsctl(*plugged(a, OFPORT))
    stage.serving(a)
    tapped = Wire(stage.host.namespace, a)
    talk = stage.talk(a, receive_buffer=2048)
    talk.ask()
    said = last_words(tapped, talk)

    def caught() -> set[int]:
        wire = Wire(stage.droplets[c].namespace, "eth0")
        frames = fishing(wire, stage.droplets[c].mac, stage.host.meta_mac, said)
        wire.close()
        return {one for frame in frames for one in secrets_in(frame)}

    # Were any packet allowed to open a connection, it would be caught.
    opened = Sabotage(instead={r",tcp_flags=\+syn-ack": ""})
    with frozen(stage.host.services.server):
        stage.vsctl(*replaced(stage))
        stage.serving(c)  # when the server's lease is over
        assert caught() == set()
        with sabotaged(stage.host, opened):
            assert caught() == {droplet_id}
    stage.cloud.wait(lambda: told(stage, c), "the server to know the newcomer")
    left = stage.host.namespace.run("ss", "-Htn", f"sport = :80 and dport = :{talk.port}").stdout
    assert left == ""
    talk.close()
    tapped.close()


def told(stage: Stage, name: str) -> bool:
    """Whether it gets its data, and so the server has let go of whoever was there before."""
    talk = stage.talk(name)
    try:
        talk.ask()
        return secrets_in(talk.read(1)) == {stage.ids[name]}
    finally:
        talk.close()


def last_words(tapped: Wire, talk: Conversation) -> TcpSeen:
    """The last that the droplet sent on this connection: its window is full."""
    seen: list[TcpSeen] = []

    def full(frame: Frame) -> bool:
        packet = tcp_seen(frame)
        if packet is not None and packet.sport == talk.port:
            seen.append(packet)
        return packet is not None and packet.sport == talk.port and packet.window == 0

    tapped.until(full, "a window of 0")
    return seen[-1]


def fishing(wire: Wire, mac: str, meta_mac: str, said: TcpSeen) -> list[Frame]:
    """Go on with another's connection, with the window open; what comes of it."""
    aim = Aim(mac, meta_mac, str(said.source), sport=said.sport)
    bait = acknowledgement(aim, said.seq, said.ack)
    probe = Aim(mac, meta_mac, "10.30.0.77", sport=19998)

    def answered(frame: Frame) -> bool:
        packet = tcp_seen(frame)
        return packet is not None and packet.dport == 19998

    caught: list[Frame] = []
    for _ in range(2):
        caught += wire.until(
            answered, "an answer to a SYN", ask=lambda: wire.send([bait, syn(probe)])
        )
        # Only now: had the RST come to the switch in one batch with the SYN, conntrack would have
        # taken the answer to it for invalid.
        wire.send([reset(probe)])
    return caught


def test_the_newcomer_has_the_mac_and_the_controller_has_not_noticed_yet(stage: Stage) -> None:
    """B, with A's very MAC, on A's freed ofport: only the switch's database tells them apart."""
    a, _, c = stage.ids
    stage.cloud.rest.put(stage.ids[c], c, stage.droplets[a].mac)
    stage.droplets[c].namespace.ip(f"link set eth0 address {stage.droplets[a].mac}")
    with probing(stage.ledger, settled(stage)) as probers:
        with frozen(stage.host.services.controller):
            stage.vsctl(*replaced(stage))
            probers[c].ask_times(20)
        stage.serving(c)
        probers[c].wait_for(200, 4)
