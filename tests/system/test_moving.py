"""A droplet that moves between switches of different controllers, which ask for nothing meanwhile.

Two hypervisors, each led by another controller; etcd has what both know. As in a live migration the
name of its port is on both for a while; what asks on the source and on the target is one droplet.
"""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from lab.droplet import connect
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.namespace import Namespace
from lab.region import Region
from lab.wait import wait_for
from ovs_metadata_client import Client, ClientError
from ryu_apps.dropletctl.connection import read_token
from tests.system.cloud import metadata
from tests.system.outage import Witness
from tests.system.probe import Ledger, probing

_numbers = itertools.count(1)
NET_S = 60
"""Seconds: a net. A leader that dies is followed within its lease of 9 s and a claim."""


@dataclass
class Move:
    """A droplet with a device on either hypervisor, and who comes after it on the source."""

    region: Region
    lab: Lab
    source: Hypervisor
    target: Hypervisor
    number: int = field(default_factory=lambda: next(_numbers))
    namespaces: dict[str, Namespace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port, self.heir = f"tapm{self.number}", f"taph{self.number}"
        self.droplet_id, self.heir_id = 700 + 2 * self.number, 701 + 2 * self.number
        self.ofport = 300 + self.number
        self.namespaces = {
            "source": self._device(self.source, self.port),
            "target": self._device(self.target, self.port),
            "heir": self._device(self.source, self.heir),
        }
        self._register(self.droplet_id, self.port)
        self._register(self.heir_id, self.heir)

    def arrive(self) -> None:
        """The port comes to the target."""
        self.target.add_port(self.port, ofport=self.ofport)

    def depart(self) -> None:
        """The source's port goes, and another droplet takes its ofport in the same transaction."""
        add = ("add-port", BRIDGE, self.heir, "--", "set", "Interface", self.heir)
        self.source.ovs.vsctl(*("del-port", self.port, "--", *add, f"ofport_request={self.ofport}"))

    @contextmanager
    def asking(self) -> Iterator[dict[str, Witness]]:
        """All three ask all the time; source and target are one droplet."""
        who = {
            "source": (self.namespaces["source"], self.droplet_id),
            "target": (self.namespaces["target"], self.droplet_id),
            "heir": (self.namespaces["heir"], self.heir_id),
        }
        with probing(Ledger(), who, partial(Witness, patience=1.0)) as witnesses:
            witnesses["source"].wait_for(200, 8)
            yield witnesses

    def clear(self) -> None:
        """All of it goes."""
        for host, port in ((self.source, self.port), (self.target, self.port)):
            host.ovs.vsctl("--if-exists", "del-port", port)
        self.source.ovs.vsctl("--if-exists", "del-port", self.heir)
        for namespace in self.namespaces.values():
            self.lab.delete_namespace(namespace)

    def entry(self, host: Hypervisor) -> dict[str, Any]:
        """The port, as whoever leads the host's bridge tells of it."""
        at = self.region.leader(host)
        if at is None:
            return {}
        with self.region.center.namespace.entered(), self.client(at) as client:
            found = client.ports(host.dpid())["ports"]
        return next((port for port in found if port["name"] == self.port), {})

    def standing(self, host: Hypervisor) -> dict[str, Any]:
        """How the port stands, by whoever leads the host's bridge."""
        with (
            self.region.center.namespace.entered(),
            self.client(self.region.leader(host)) as client,
        ):
            found = client.standings(q=self.port)
        return next(port for each in found["droplets"] for port in each["ports"])

    def client(self, at: str) -> Client:
        """Of a controller, by name."""
        token = read_token(self.region.center.tokens_file)
        return Client(self.region.center.urls[at], token)

    def wait_for(self, condition: Any, what: str) -> Any:
        """Wait for it."""
        not_yet = (OSError, ClientError, KeyError)
        return wait_for(condition, what, NET_S, self.region.diagnosis, not_yet=not_yet)

    def wait_until_yielded(self) -> None:
        """Wait until the source serves the port no more, and says where it is."""

        def yielded() -> bool:
            entry = self.entry(self.source)
            return entry.get("state") == "error" and self.target.dpid() in entry["reason"]

        self.wait_for(yielded, "the source to yield")

    def _device(self, host: Hypervisor, port: str) -> Namespace:
        namespace = self.lab.namespace(f"{self.lab.short_name(host)}{port}")
        connect(port, namespace, host.namespace, mac=self._mac(port), addresses=("10.9.0.5/24",),
                mtu=1500)  # fmt: skip
        return namespace

    def _mac(self, port: str) -> str:
        return f"02:00:00:00:{'0a' if port == self.port else '0b'}:{self.number:02x}"

    def _register(self, droplet_id: int, port: str) -> None:
        document = {
            "droplet_id": droplet_id,
            "ports": [{"name": port, "mac": self._mac(port)}],
            "metadata": metadata(droplet_id),
        }
        self.region.register(document, "one")


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Region, Lab]]:
    """Each test leaves everything running."""
    with Lab() as lab:
        region = Region(lab)
        region.center.start()
        region.start_hosts()
        yield region, lab


@pytest.fixture
def move(world: tuple[Region, Lab]) -> Iterator[Move]:
    """A droplet on the first hypervisor, to go to the second, which has another leader."""
    region, lab = world
    wait_for(
        lambda: {region.leader(host) for host in region.hosts} == {"one", "other"},
        "each bridge to have another leader",
        NET_S,
        region.diagnosis,
    )
    made = Move(region, lab, *region.hosts)
    made.source.add_port(made.port, ofport=made.ofport)
    yield made
    made.clear()


def gap(witnesses: dict[str, Witness], arrived: float) -> float:
    """Seconds that the droplet was without a good answer when its port had come to the target.

    It is where its last good answer was until the port comes, and at the target from then on.
    """
    first = next(one.over for one in witnesses["target"].seen if one.good)
    last = max(one.over for one in witnesses["source"].seen if one.good and one.over <= arrived)
    return first - max(last, arrived)


def test_a_droplet_moves_between_leaders_with_both_ports_there_for_a_while(move):
    with move.asking() as witnesses:
        arrived = time.monotonic()
        move.arrive()
        witnesses["target"].wait_for(200, 8)
        move.wait_until_yielded()
        reason = move.entry(move.source)["reason"]
        assert f"a newer port {move.port} is on switch {move.target.dpid()}" in reason
        assert reason.endswith(" leads")
        assert move.standing(move.source)["state"] == "elsewhere"
        assert move.standing(move.source)["dpid"] == move.target.dpid()
        assert move.standing(move.target)["state"] == "serving"
        served = witnesses["source"].answers[200]
        witnesses["target"].wait_for(200, 8)
        assert witnesses["source"].answers[200] == served, "it is served once"
        move.depart()
        witnesses["heir"].wait_for(200, 8)
        witnesses["target"].wait_for(200, 8)
    print(f"both there: {gap(witnesses, arrived):.3f} s without an answer")


def test_a_droplet_moves_back_and_forth_with_the_old_port_gone_first(move):
    with move.asking() as witnesses:
        move.depart()
        arrived = time.monotonic()
        move.arrive()
        witnesses["target"].wait_for(200, 8)
        witnesses["heir"].wait_for(200, 8)
        print(f"gone first: {gap(witnesses, arrived):.3f} s without an answer")
        move.source.ovs.vsctl("del-port", move.heir)
        move.source.add_port(move.port, ofport=move.ofport)
        witnesses["source"].wait_for(200, 8)
        move.target.ovs.vsctl("del-port", move.port)
        witnesses["source"].wait_for(200, 8)


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_the_leader_of_the_old_switch_is_away_in_the_middle(move, fault):
    first = move.region.leader(move.source)
    second = move.region.leader(move.target)
    controller = move.region.center.controllers[first]
    with move.asking() as witnesses:
        if fault == "killed":
            controller.kill()
        else:
            os.kill(controller.daemon.pid, signal.SIGSTOP)
        try:
            arrived = time.monotonic()
            move.arrive()
            witnesses["target"].wait_for(200, 8)
            move.region.wait_for_leader(move.source, second)
            move.wait_until_yielded()
            move.depart()
            witnesses["heir"].wait_for(200, 8)
        finally:
            if fault == "killed":
                controller.start()
            else:
                os.kill(controller.daemon.pid, signal.SIGCONT)
        roles = {"master", "slave"}
        move.wait_for(
            lambda: (
                {role for h in move.region.hosts for role in move.region.roles(h).values()} == roles
            ),
            "it to be there again",
        )
        refused = len([one for one in witnesses["target"].seen if not one.good])
        witnesses["target"].wait_for(200, 20)
        witnesses["heir"].wait_for(200, 20)
        assert refused == len([one for one in witnesses["target"].seen if not one.good])
    print(f"old leader {fault}: {gap(witnesses, arrived):.3f} s without an answer")


@pytest.mark.parametrize("gone_first", [True, False])
def test_the_leader_of_the_new_switch_dies_in_the_middle(move, gone_first):
    second = move.region.leader(move.target)
    first = move.region.leader(move.source)
    with move.asking() as witnesses:
        if gone_first:
            move.depart()
        os.kill(move.region.center.controllers[second].daemon.pid, signal.SIGSTOP)
        arrived = time.monotonic()
        move.arrive()  # It is told of it, and dies before it did anything.
        move.region.center.controllers[second].kill()
        if not gone_first:
            witnesses["source"].wait_for(200, 8)
            move.region.wait_for_leader(move.target, first)
            move.depart()
        witnesses["target"].wait_for(200, 8)
        witnesses["heir"].wait_for(200, 8)
        print(f"new leader killed: {gap(witnesses, arrived):.3f} s without an answer")
    move.region.center.controllers[second].start()


def test_the_registry_has_no_quorum_in_the_middle(move):
    nodes = move.region.center.etcd.nodes[1:]
    with move.asking() as witnesses:
        for node in nodes:
            node.kill()
        try:
            arrived = time.monotonic()
            move.arrive()
            witnesses["target"].wait_for(200, 8)
            # Neither may know of the other.
            witnesses["source"].wait_for(200, 8)
        finally:
            for node in nodes:
                node.start()
        move.wait_until_yielded()
        move.depart()
        witnesses["heir"].wait_for(200, 8)
        witnesses["target"].wait_for(200, 8)
    print(f"no quorum: {gap(witnesses, arrived):.3f} s without an answer")
