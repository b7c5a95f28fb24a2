"""Several controllers on one bridge, with one registry: one of them leads it, and one always does.

Both run on the hypervisor, beside the members of the etcd cluster. Bridges list both.
"""

import itertools
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from lab.droplet import Droplet
from lab.etcd import Cluster
from lab.hypervisor import BRIDGE
from lab.lab import Lab
from lab.services import CONTROLLER, Service, write_config
from lab.wait import wait_for
from ovs_metadata_client import Client
from ryu_apps.dropletctl.connection import read_token
from tests.system.cloud import secret
from tests.system.probe import Ledger, Prober, probing
from tests.system.world import World

PORTS = [12379, 12380, 22379, 22380, 32379, 32380]
SECOND = "tcp:127.0.0.1:6654"
FAILOVER_S = 60
"""Seconds: a net. A leader that dies is followed within its lease of 9 s and a claim."""

_ofports = itertools.count(100)
_TARGETS = {"one": CONTROLLER, "other": SECOND}


@dataclass
class Site:
    """A hypervisor with two controllers, by name."""

    world: World
    etcd: Cluster
    controllers: dict[str, Service]

    def droplet(self, name: str) -> Droplet:
        """A new droplet's port."""
        ofport = next(_ofports)
        mac = f"02:00:00:00:{ofport >> 8:02x}:{ofport & 255:02x}"
        return self.world.host.add_droplet(
            name, ofport=ofport, mac=mac, addresses=f"10.0.{ofport >> 8}.{ofport & 255}/8"
        )

    def register(self, droplet: Droplet, droplet_id: int, at: str) -> None:
        """Register it at this controller, with its secret."""
        document = {
            "ports": [{"name": droplet.port, "mac": droplet.mac}],
            "metadata": {"hostname": f"d{droplet_id}", "user_data": secret(droplet_id)},
        }
        with self.world.host.namespace.entered(), self._client(at) as client:
            client.put_droplet(droplet_id, document)

    def delete(self, droplet_id: int, at: str) -> None:
        """Delete it at this controller."""
        with self.world.host.namespace.entered(), self._client(at) as client:
            client.delete_droplet(droplet_id)

    def _client(self, at: str) -> Client:
        port = {"one": 8080, "other": 8081}[at]
        token = read_token(self.world.services.state_dir / "tokens")
        return Client(f"http://127.0.0.1:{port}", token)

    def roles(self) -> dict[str, str]:
        """The role of each controller on the bridge, as Open vSwitch has it."""
        found = dict(self.world.ovs.controller_roles())
        return {name: found.get(target, "") for name, target in _TARGETS.items()}

    def masters(self) -> Counter:
        """How many bridges each controller is master of."""
        names = {target: name for name, target in _TARGETS.items()}
        roles = self.world.ovs.controller_roles()
        return Counter(names[target] for target, role in roles if role == "master")

    def leader(self) -> str | None:
        """Who is master of the bridge."""
        masters = [name for name, role in self.roles().items() if role == "master"]
        assert len(masters) <= 1, masters
        return masters[0] if masters else None

    def wait_for_leader(self, *names: str) -> str:
        """Wait until one of these is."""
        return wait_for(
            lambda: self.leader() if self.leader() in names else None,
            f"one of {names} to lead",
            FAILOVER_S,
            self.diagnosis,
        )

    def ages(self) -> dict[str, float]:
        """How old each of our flows is, in seconds, by its text."""
        text = self.world.ovs.dump_flows(BRIDGE)
        ages = {}
        for line in text:
            match = re.search(r"duration=([\d.]+)s", line)
            key = re.sub(r"duration=[^,]*, |n_packets=[^,]*, |n_bytes=[^,]*, |idle_age=[^,]*, ", "",
                         line)  # fmt: skip
            if match:
                ages[key] = float(match[1])
        return ages

    def diagnosis(self) -> str:
        """The ends of all logs."""
        logs = [each.log_tail(60) for each in self.controllers.values()]
        return "\n".join([*logs, self.world.services.server.log_tail(60), str(self.roles())])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Each test leaves both controllers running."""
    with Lab() as lab:
        host = lab.hypervisor()
        cluster = Cluster(host.directory, PORTS, namespace=host.namespace)
        try:
            cluster.start()
            yield _site(lab, host, cluster)
        finally:
            cluster.stop()


def _site(lab, host, cluster) -> Site:
    world = World(
        lab,
        host,
        {"registry_url": cluster.url("metadata"), "tokens_file": "$state_dir/tokens"},
        {"controller_urls": "http://127.0.0.1:8080, http://127.0.0.1:8081"},
    )
    config = host.directory / "other.conf"
    write_config(
        config,
        {
            "DEFAULT": {
                **{"ofp_listen_host": "127.0.0.1", "ofp_tcp_listen_port": 6654},
                **{"wsapi_host": "127.0.0.1", "wsapi_port": 8081},
            },
            "metadata": {
                "state_dir": host.directory / "other",
                "tokens_file": world.services.state_dir / "tokens",
                "registry_url": cluster.url("metadata"),
                "ovsdb": host.ovs.db,
                "droplet_port_names": "tap*",
            },
        },
    )
    (host.directory / "other").mkdir()
    arguments = ["--config-file", str(config), "ryu_apps.metadata_controller"]
    other = Service(lab, host, "ryu-manager", 8081, arguments)
    other.start()
    world.ovs.vsctl("set-controller", BRIDGE, CONTROLLER, SECOND)
    site = Site(world, cluster, {"one": world.services.controller, "other": other})
    site.wait_for_leader("one", "other")
    return site


@contextmanager
def asking(droplet: Droplet, *droplet_ids: int) -> Iterator[tuple[Prober, Ledger]]:
    """The droplet asks all the time, and may see the secrets of these droplets, no other's."""
    ledger = Ledger()
    for droplet_id in droplet_ids[1:]:
        ledger.allow(droplet.port, droplet_id)
    who = {droplet.port: (droplet.namespace, droplet_ids[0])}
    with probing(ledger, who, partial(Prober, patience=10.0)) as probers:
        yield probers[droplet.port], ledger


def id_of(site: Site, droplet: Droplet) -> str:
    return site.world.wait_for_answer(droplet, "/metadata/v1/id").body.decode()


def test_a_leader_that_is_killed_is_followed_and_nobody_notices(site):
    first = site.leader()
    second = {"one": "other", "other": "one"}[first]
    roles = {first: "master", second: "slave"}
    wait_for(lambda: site.roles() == roles, "one to lead and one to stand by", 30, site.diagnosis)
    droplet = site.droplet("tapk1")
    site.register(droplet, 501, at=second)
    assert id_of(site, droplet) == "501"
    ages = site.ages()
    with asking(droplet, 501) as (prober, _):
        prober.wait_for(200, 3)
        site.controllers[first].kill()
        assert site.wait_for_leader(second) == second
        prober.wait_for(200, 3)
        newcomer = site.droplet("tapk2")
        site.register(newcomer, 502, at=second)
        assert id_of(site, newcomer) == "502"
        site.controllers[first].start()
        wait_for(lambda: site.roles()[first] == "slave", "the former leader to stand by", 30)
        assert site.leader() == second
        prober.wait_for(200, 3)
    assert set(prober.answers) == {200}, dict(prober.answers)
    now = site.ages()
    # Good flows were not touched: none of them has begun anew.
    assert {flow: now.get(flow, 0) >= age for flow, age in ages.items()} == dict.fromkeys(
        ages, True
    )


def test_a_leader_that_stands_still_is_followed_and_harms_nobody_when_it_goes_on(site):
    first = site.leader()
    second = {"one": "other", "other": "one"}[first]
    droplet = site.droplet("taps1")
    site.register(droplet, 601, at=second)
    assert id_of(site, droplet) == "601"
    process = site.controllers[first].daemon
    with asking(droplet, 601) as (prober, ledger):
        prober.wait_for(200, 3)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            site.wait_for_leader(second)
            ledger.allow(droplet.port, 602)
            site.register(droplet, 601, at=second)
            site.delete(601, at=second)
            site.register(droplet, 602, at=second)
            wait_for(lambda: droplet.get("/metadata/v1/id", seconds=5).body == b"602",
                     "the new droplet", FAILOVER_S, site.diagnosis)  # fmt: skip
            ledger.forbid(droplet.port, 601)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        wait_for(lambda: site.roles()[first] == "slave", "it to stand by", 30, site.diagnosis)
        refused = prober.answers[503]
        prober.wait_for(200, 20)
        assert prober.answers[503] == refused
        assert site.leader() == second
        assert id_of(site, droplet) == "602"


def test_switches_are_shared_out_when_a_controller_comes(site):
    names = [f"br{n}" for n in range(1, 6)]
    other = site.controllers["other"]
    other.kill()
    site.wait_for_leader("one")
    try:
        for name in names:
            site.world.host.add_bridge(name)
            site.world.ovs.vsctl("set-controller", name, CONTROLLER, SECOND)
        wait_for(lambda: site.masters()["one"] == 6, "one to lead all", 60, site.diagnosis)
        other.start()
        wait_for(lambda: site.masters()["other"] == 3, "half of them to move", 90, site.diagnosis)
        assert site.masters()["one"] == 3
    finally:
        for name in names:
            site.world.ovs.vsctl("--if-exists", "del-br", name)
