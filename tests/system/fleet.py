"""A region under load: two hypervisors with droplets, two controllers, three etcd members.

What may befall its parts is in `test_fleet_faults.py`; here is what lives in it and how it is seen
to be whole.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.request import Request, urlopen

from lab.droplet import Droplet
from lab.etcd import Node
from lab.hypervisor import Hypervisor
from lab.lab import Lab
from lab.region import Region
from lab.services import Service
from lab.wait import LabError, wait_for
from ryu_apps.dropletctl.connection import read_token
from tests.linear.clients import Asker, Door, Subject
from tests.system.cloud import secret

_PATIENCE_S = 15.0
"""Seconds for a controller's answer: more than it waits for etcd itself."""

_ofports = itertools.count(100)
_ids = itertools.count(5001)


@dataclass
class Fleet:
    """The region with its droplets. `old` are those that were there from the beginning, by port."""

    region: Region
    old: dict[str, tuple[Droplet, Subject]] = field(default_factory=dict)

    @property
    def hosts(self) -> list[Hypervisor]:
        """The hypervisors; faults befall those around the first."""
        return self.region.hosts

    def server(self, host: int) -> Service:
        """The metadata server of a hypervisor."""
        return self.region.services[host].server

    def doors(self) -> dict[str, Door]:
        """The controllers as the operator's network reaches them."""
        center = self.region.center
        token = read_token(center.tokens_file)
        return {
            name: Door(name, (place.address, 8080), token, center.namespace)
            for name, place in center.places.items()
        }

    def leader(self) -> str:
        """The controller that leads the first hypervisor's bridge."""
        return self.region.wait_for_leader(self.hosts[0], *self.doors())

    def member(self, *, leads: bool) -> Node:
        """The member of etcd that leads the cluster, or one that does not."""
        nodes = self.region.center.etcd.nodes
        return wait_for(lambda: _first(nodes, leads), "a member of etcd", diagnose=self.diagnosis)

    def arrives(self, host: int) -> tuple[Droplet, Subject]:
        """A droplet that nobody has registered comes to a port of this hypervisor."""
        ofport, droplet_id = next(_ofports), next(_ids)
        port = f"tap{droplet_id}"
        # All have one address: they are neighbours of nobody.
        droplet = self.hosts[host].add_droplet(
            port, ofport=ofport, mac=f"02:00:00:00:01:{ofport & 255:02x}", addresses="10.0.0.5/8"
        )
        text, dpid = secret(droplet_id), self.hosts[host].dpid()
        return droplet, Subject(droplet_id, port, droplet.mac, text, dpid, lasting=True)

    def register(self, subject: Subject) -> None:
        """Register it at whichever controller takes it, as an operator's program would."""
        asker, doors = Asker(_PATIENCE_S), itertools.cycle(self.doors().values())

        def registered() -> bool:
            path, words = f"/v1/droplets/{subject.droplet_id}", {"Content-Type": "application/json"}
            answer = asker.ask(next(doors), "PUT", path, subject.document(0), words)
            return answer.status in (200, 201)

        wait_for(registered, "a registration", 60, self.diagnosis, not_yet=(OSError, HTTPException))
        asker.close()

    def wait_until_whole(self) -> None:
        """Wait until all that was broken is as it was."""
        center = self.region.center
        center.etcd.wait()
        for service in (*center.controllers.values(), *map(self.server, range(len(self.hosts)))):
            service.wait_until_ready()
        for host in self.hosts:
            wait_for(
                lambda host=host: sorted(self.region.roles(host).values()) == ["master", "slave"],
                f"{host.name} to have a leader and another",
                60,
                self.diagnosis,
                not_yet=(KeyError, LabError),
            )

    def diagnosis(self) -> str:
        """The ends of all logs, and the roles."""
        roles = [str(dict(host.ovs.controller_roles())) for host in self.hosts]
        return "\n".join([self.region.diagnosis(), *roles])


def _first(nodes: list[Node], leads: bool) -> Node | None:
    for node in nodes:
        assert node.namespace is not None
        asked = Request(f"{node.url}/v3/maintenance/status", data=b"{}")
        with node.namespace.entered(), urlopen(asked, timeout=2) as answer:
            told = json.load(answer)
        if (told.get("leader") == told["header"]["member_id"]) == leads:
            return node
    return None


@contextmanager
def fleet_of(lab: Lab, per_host: int = 2) -> Iterator[Fleet]:
    """A region that runs, with so many droplets on each hypervisor that are served."""
    fleet = Fleet(Region(lab))
    fleet.region.center.start()
    fleet.region.start_hosts()
    for host in range(len(fleet.hosts)):
        for _ in range(per_host):
            droplet, subject = fleet.arrives(host)
            fleet.register(subject)
            fleet.old[droplet.port] = droplet, subject
    fleet.wait_until_whole()
    yield fleet
