"""Droplets whose registry is in etcd: served as from any other, also while the cluster is not.

The members live on the hypervisor's loopback. What the store does on its own is in tests/cluster.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from lab.droplet import Droplet
from lab.etcd import Cluster
from lab.lab import Lab
from lab.wait import wait_for
from ovs_metadata_client import Unavailable
from tests.system.cloud import secret
from tests.system.probe import Ledger, Prober, probing
from tests.system.world import World

_ofports = itertools.count(100)
PORTS = [12379, 12380, 22379, 22380, 32379, 32380]


@dataclass
class Site:
    """A hypervisor, and the cluster with its registry."""

    world: World
    etcd: Cluster

    def droplet(self, name: str, ofport: int | None = None) -> Droplet:
        """A new droplet's port."""
        ofport = ofport or next(_ofports)
        address = f"10.0.{ofport >> 8}.{ofport & 255}/8"
        return self.world.host.add_droplet(
            name, ofport=ofport, mac=mac_of(ofport), addresses=address
        )

    def id_of(self, droplet: Droplet) -> str:
        """Who the droplet is told that it is."""
        return self.world.wait_for_answer(droplet, "/metadata/v1/id").body.decode()

    def register(self, droplet: Droplet) -> int:
        """Register it with its secret as user data; its id, which is its ofport."""
        text = secret(droplet.ofport).encode()
        self.world.replace(droplet.ofport, droplet, user_data=text)
        return droplet.ofport

    def without_quorum(self) -> None:
        """Two of three members die."""
        for node in self.etcd.nodes[:2]:
            node.kill()

    def with_all(self) -> None:
        """They come back."""
        for node in self.etcd.nodes[:2]:
            node.start()
        self.etcd.wait()


def mac_of(ofport: int) -> str:
    """The MAC of the droplet on this ofport."""
    return f"02:00:00:00:{ofport >> 8:02x}:{ofport & 255:02x}"


@contextmanager
def asking(droplet: Droplet, droplet_id: int) -> Iterator[Prober]:
    """The droplet asks all the time, and may see its own secret."""
    who = {droplet.port: (droplet.namespace, droplet_id)}
    with probing(Ledger(), who, partial(Prober, patience=10.0)) as probers:
        yield probers[droplet.port]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One of the three members answers first; each test leaves all of them well."""
    with Lab() as lab:
        host = lab.hypervisor()
        cluster = Cluster(host.directory, PORTS, namespace=host.namespace)
        try:
            cluster.start()
            yield Site(World(lab, host, {"registry_url": cluster.url("metadata")}), cluster)
        finally:
            cluster.stop()


def test_droplets_are_served_from_a_registry_in_etcd(site):
    droplet = site.droplet("tapa")
    droplet_id = site.register(droplet)
    assert site.id_of(droplet) == str(droplet_id)
    with asking(droplet, droplet_id) as prober:
        prober.wait_for(200, 3)
        site.world.services.controller.kill()
        site.world.services.controller.start()
        site.world.wait_until_served(droplet)
        prober.wait_for(200, 3)
    assert set(prober.answers) == {200}, dict(prober.answers)


def test_without_a_quorum_the_served_are_served_and_nobody_new_begins(site):
    old, new = site.droplet("tapb"), site.droplet("tapc")
    old_id, late_id = site.register(old), next(_ofports)
    # Its port comes when the cluster is away.
    site.register(Droplet("tapd", late_id, mac_of(late_id), (), new.namespace))
    assert site.id_of(old) == str(old_id)
    with asking(old, old_id) as prober:
        prober.wait_for(200, 1)
        site.without_quorum()
        try:
            with pytest.raises(Unavailable, match="etcd"):
                site.world.register(new)
            wait_for(lambda: not ready(site), "the controller to say that it is not ready")
            stale = "ovs_metadata_registry_age_seconds"
            wait_for(lambda: metric(site, stale) > 10, "the index to be old", 30)
            late = site.droplet("tapd", late_id)
            state = wait_for(lambda: site.world.ports().get("tapd"), "the port")
            assert state["state"] == "error"
            assert "nothing was heard of the registry" in state["reason"]
            assert site.world.ports()["tapb"]["state"] == "serving"
            served = prober.answers[200]
            prober.wait_for(200, 5)
            assert prober.answers[200] >= served + 5
        finally:
            site.with_all()
        site.world.wait_until_served(late)
        assert site.id_of(late) == str(late_id)
    assert set(prober.answers) == {200}, dict(prober.answers)


def ready(site: Site) -> bool:
    """Whether the controller says that it takes writes."""
    return site.world.services.controller.health("/readyz") is not None


def metric(site: Site, name: str) -> float:
    """The value of one of the controller's metrics without labels."""
    _, text = site.world.services.controller.answer("/metrics")
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))
