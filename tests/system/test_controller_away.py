"""The controller is dead, cut off, or away for long: who is certain of what, on real packets.

The second host's controller is on another host, where a refused connection proves nothing: its
metadata server relies on what Open vSwitch says of its connections.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.hypervisor import BRIDGE
from lab.services import OPENFLOW_PORT
from ryu_apps.binding.followers import LEASE
from tests.system.cloud import REST_PORT, Cloud, Host
from tests.system.probe import Prober, probing
from tests.system.stage import OFPORT, Stage, plugged, replaced, settled, staged

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = pytest.mark.root


@pytest.fixture
def stage(cloud: Cloud) -> Iterator[Stage]:
    """The first host's, which the controller runs on."""
    with staged(cloud, cloud.host, "tap", 100) as made:
        yield made


@pytest.fixture
def peer_stage(cloud: Cloud) -> Iterator[Stage]:
    """The second host's."""
    with staged(cloud, cloud.peer, "ptap", 200) as made:
        yield made


@contextmanager
def cut_off(host: Host, port: int, verdict: str) -> Iterator[None]:
    """What `host` sends to this TCP port of others is dropped, or refused in their name."""
    table = f"away{port}"
    chain = f"type filter hook output priority filter\ntcp dport {port} {verdict}"
    rules = f"table inet {table} {{\nchain output {{\n{chain}\n}}\n}}\n"
    host.namespace.run("nft", "-f", "-", text=rules)
    try:
        yield
    finally:
        host.namespace.run("nft", "delete", "table", "inet", table)


def served_for(prober: Prober, seconds: float) -> None:
    """It gets answers all this time, and nothing but answers."""
    end = time.monotonic() + seconds
    prober.wait_for(200, 1)
    before = prober.answers[503]
    while time.monotonic() < end:
        prober.wait_for(200, 1)
    assert prober.answers[503] == before, dict(prober.answers)


def is_connected(host: Host) -> bool:
    """Whether Open vSwitch says that a controller is connected."""
    said = host.ovs.vsctl("--columns=is_connected", "--bare", "list", "Controller")
    return "true" in said.split()


def test_the_newcomer_has_the_mac_and_the_controller_is_dead(stage: Stage) -> None:
    """B, with A's very MAC, on A's freed ofport: A's flow is B's, but A's data is not."""
    a, b, c = stage.ids
    stage.cloud.rest.put(stage.ids[c], c, stage.droplets[a].mac)
    stage.droplets[c].namespace.ip(f"link set eth0 address {stage.droplets[a].mac}")
    controller = stage.host.services.controller
    with probing(stage.ledger, settled(stage)) as probers:
        probers[a].wait_for(200, 4)
        controller.kill()
        there, away = a, c
        for _ in range(10):
            stage.vsctl(["del-port", there], *plugged(away, OFPORT))
            there, away = away, there
            # The way is open for whoever has the MAC: A is served when it is back, C never is.
            probers[there].wait_for(200 if there == a else 503, 4)
            probers[b].wait_for(200, 4)
        stage.vsctl(*replaced(stage))
        controller.start()
        stage.serving(c)
        probers[c].wait_for(200, 4)


def test_a_controller_on_another_host_is_dead_for_longer_than_a_lease(peer_stage: Stage) -> None:
    controller = peer_stage.cloud.host.services.controller
    _, b, c = peer_stage.ids
    with probing(peer_stage.ledger, settled(peer_stage)) as probers:
        probers[b].wait_for(200, 4)
        controller.kill()
        served_for(probers[b], 1.2 * LEASE)
        peer_stage.vsctl(*replaced(peer_stage))
        controller.start()
        peer_stage.serving(b, c)
        probers[c].wait_for(200, 4)


def test_a_server_counts_on_the_switch_that_is_away_and_is_waited_for(peer_stage: Stage) -> None:
    """Both connections of the second host are cut, and the controller does not even notice one.

    For it the server's lease is long over; the server has a new one from each time that Open
    vSwitch says it is alone. When only Open vSwitch is back, the controller has to remember.
    """
    cloud, host, ledger = peer_stage.cloud, peer_stage.host, peer_stage.ledger
    _, b, _ = peer_stage.ids
    heir = peer_stage.ids[b] + 1000
    with probing(ledger, settled(peer_stage)) as probers:
        probers[b].wait_for(200, 4)
        with cut_off(host, REST_PORT, "drop"):
            with cut_off(host, OPENFLOW_PORT, "reject with tcp reset"):
                # Whatever it sends next tells the switch; the controller hears nothing.
                host.ovs.vsctl("add-port", BRIDGE, "news0", "--", *_internal("news0"))
                served_for(probers[b], 1.2 * LEASE)
                assert not is_connected(host)
                cloud.rest.delete(peer_stage.ids[b])
                ledger.allow(b, heir)
                cloud.rest.put(heir, b, peer_stage.droplets[b].mac)
            cloud.wait_serving(host, b, heir)
            ledger.forbid(b, peer_stage.ids[b])
            probers[b].wait_for(503, 4)
        probers[b].wait_for(200, 4)
        host.ovs.vsctl("del-port", BRIDGE, "news0")


def _internal(port: str) -> list[str]:
    return ["set", "Interface", port, "type=internal"]
