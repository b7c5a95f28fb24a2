"""A region in small: an etcd cluster, two controllers and two hypervisors, each a namespace.

A management network joins them. Controllers and etcd live in a namespace of their own, so that a
hypervisor knows them by address only.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.droplet import Droplet, NoAnswer
from lab.etcd import Cluster
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.namespace import Namespace
from lab.process import run
from lab.services import BIN, Service, Services, write_config
from lab.wait import wait_for

ADDRESS = "192.168.77.254"
"""Of the controllers and of etcd, on the management network."""

_OPENFLOW = {"one": 6653, "other": 6654}
_REST = {"one": 8080, "other": 8081}
_ETCD = [12379, 12380, 22379, 22380, 32379, 32380]
_PREFIX = "metadata"


class Center:
    """Where the region is led from: three members of etcd and the controllers `one` and `other`."""

    def __init__(self, lab: Lab) -> None:
        self.namespace = lab.namespace("region")
        self.directory = lab.directory / "region"
        self.directory.mkdir()
        self.namespace.ip(
            "link set lo up",
            "link add management type bridge",
            f"address add {ADDRESS}/24 dev management",
            "link set management up",
        )
        self.etcd = Cluster(self.directory, _ETCD, namespace=self.namespace)
        lab.on_end(self.etcd.stop)
        self.controllers = {name: self._controller(lab, name) for name in _OPENFLOW}

    @property
    def tokens_file(self) -> Path:
        """The tokens of both controllers."""
        return self.directory / "tokens"

    @property
    def targets(self) -> dict[str, str]:
        """Where bridges find the controllers."""
        return {name: f"tcp:{ADDRESS}:{port}" for name, port in _OPENFLOW.items()}

    @property
    def urls(self) -> dict[str, str]:
        """Where metadata servers find them."""
        return {name: f"http://{ADDRESS}:{port}" for name, port in _REST.items()}

    def join(self, host: Hypervisor, number: int) -> None:
        """Connect a hypervisor to the management network."""
        run(
            *("ip", "-n", host.namespace.name, "link", "add", "nic0", "type", "veth"),
            *("peer", "name", f"hv{number}", "netns", self.namespace.name),
        )
        host.namespace.ip(f"address add 192.168.77.{number}/24 dev nic0", "link set nic0 up")
        self.namespace.ip(f"link set hv{number} master management", f"link set hv{number} up")

    def start(self) -> None:
        """Start etcd, then the controllers. Raises LabError."""
        self.etcd.start()
        for controller in self.controllers.values():
            controller.start()

    def dropletctl(self, name: str, *words: str, text: str | None = None) -> str:
        """`dropletctl` at one of the controllers. Raises CommandFailed."""
        options = ("--url", f"http://127.0.0.1:{_REST[name]}", "--tokens-file", self.tokens_file)
        return self.namespace.run(BIN / "dropletctl", *options, *words, text=text).stdout

    def diagnosis(self) -> str:
        """The ends of all logs, for people."""
        logs = [each.log_tail() for each in self.controllers.values()]
        return "\n".join([*logs, *(n.daemon.log_tail(5) for n in self.etcd.nodes if n.daemon)])

    def _controller(self, lab: Lab, name: str) -> Service:
        directory = self.directory / name
        directory.mkdir()
        config = directory / "ovs-metadata.conf"
        write_config(
            config,
            {
                "DEFAULT": {
                    **{"ofp_listen_host": ADDRESS, "ofp_tcp_listen_port": _OPENFLOW[name]},
                    **{"wsapi_host": "0.0.0.0", "wsapi_port": _REST[name]},
                },
                "metadata": {
                    "state_dir": directory,
                    "tokens_file": self.tokens_file,
                    "registry_url": self.etcd.url(_PREFIX),
                    "rest_allow_plain": True,
                    "droplet_port_names": "tap*",
                },
            },
        )
        arguments = ["--config-file", str(config), "ryu_apps.metadata_controller"]
        place = _Place(self.namespace, directory)
        return Service(lab, place, "ryu-manager", _REST[name], arguments)  # type: ignore[arg-type]


class _Place:
    """The part of a hypervisor that a `Service` needs."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace = namespace
        self.directory = directory


class Region:
    """The center and two hypervisors with a metadata server each."""

    def __init__(self, lab: Lab) -> None:
        self.center = Center(lab)
        self.hosts = [lab.hypervisor(f"hv{number}") for number in (1, 2)]
        follower = {
            "controller_urls": ", ".join(self.center.urls.values()),
            "tokens_file": self.center.tokens_file,
        }
        self.services = [Services(lab, host, {"metadata_http": follower}) for host in self.hosts]
        for number, host in enumerate(self.hosts, 1):
            self.center.join(host, number)
            host.add_bridge()

    def start_hosts(self) -> None:
        """What an operator does on each hypervisor. Raises LabError."""
        for host, services in zip(self.hosts, self.services, strict=True):
            services.dropletctl("host-setup", "--bridge", BRIDGE)
            host.ovs.vsctl("set-controller", BRIDGE, *self.center.targets.values())
            services.server.start()
        for services in self.services:
            services.server.wait_until_ready()

    def roles(self, host: Hypervisor) -> dict[str, str]:
        """What each controller is to the host's bridge, as Open vSwitch has it."""
        found = dict(host.ovs.controller_roles())
        return {name: found[target] for name, target in self.center.targets.items()}

    def leader(self, host: Hypervisor) -> str | None:
        """Who is master of the host's bridge."""
        return next((name for name, role in self.roles(host).items() if role == "master"), None)

    def wait_for_leader(self, host: Hypervisor, *names: str) -> str:
        """Wait until one of these is. Raises LabError."""

        def leads() -> str | None:
            leader = self.leader(host)
            return leader if leader in names else None

        return wait_for(leads, f"one of {names} to lead", 60, self.diagnosis)

    def register(self, document: Mapping[str, Any], at: str) -> str:
        """Register a droplet at a controller. Raises CommandFailed."""
        return self.center.dropletctl(at, "put", "-", text=json.dumps(document))

    def diagnosis(self) -> str:
        """The ends of all logs, for people."""
        return "\n".join([self.center.diagnosis(), *(each.diagnosis() for each in self.services)])


@contextmanager
def asking(droplet: Droplet, path: str, answers: Counter) -> Iterator[None]:
    """Meanwhile the droplet asks again and again; each answer's text, or error, is counted."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.05):
            try:
                answer = droplet.get(path, seconds=10)
                answers[answer.text.strip() if answer.status == 200 else answer.status] += 1
            except NoAnswer as error:
                answers[str(error)] += 1

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
