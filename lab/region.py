"""A region in small: an etcd cluster, two controllers and two hypervisors, each a namespace.

A management network joins them, whose links can be cut.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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

_NETWORK = "192.168.77"
_OPERATOR = 254
_CONTROLLERS = {"one": 11, "other": 12}
_MEMBERS = {"etcd1": 101, "etcd2": 102, "etcd3": 103}
"""Addresses on the management network, by their last number; hypervisors count from 1."""

_OPENFLOW, _REST = 6653, 8080
_ETCD = [2379, 2380]
_PREFIX = "metadata"


class Network:
    """The management network: a switch in a namespace of its own, where the operator sits as well.

    What joins has a namespace and an address, and a link that can be cut.
    """

    def __init__(self, lab: Lab) -> None:
        self.namespace = lab.namespace("region")
        self.namespace.ip(
            "link set lo up",
            "link add management type bridge",
            f"address add {_NETWORK}.{_OPERATOR}/24 dev management",
            "link set management up",
        )

    def join(self, namespace: Namespace, name: str, number: int) -> str:
        """Connect a namespace by its device nic0, to a port called `name`; the address it gets."""
        run(
            *("ip", "-n", namespace.name, "link", "add", "nic0", "type", "veth"),
            *("peer", "name", name, "netns", self.namespace.name),
        )
        address = f"{_NETWORK}.{number}"
        namespace.ip(f"address add {address}/24 dev nic0", "link set nic0 up")
        self.namespace.ip(f"link set {name} master management", f"link set {name} up")
        return address

    def cut(self, name: str) -> None:
        """Take the link of this name down."""
        self.namespace.ip(f"link set {name} down")

    def mend(self, name: str) -> None:
        """Take it up again."""
        self.namespace.ip(f"link set {name} up")


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace on the management network and a folder: all that a `Service` needs of a host."""

    namespace: Namespace
    directory: Path
    address: str


class Center:
    """Where the region is led from: three members of etcd and the controllers `one` and `other`.

    Each is in a namespace of its own.
    """

    def __init__(self, lab: Lab) -> None:
        self.network = Network(lab)
        self.namespace = self.network.namespace
        self.directory = lab.directory / "region"
        self.directory.mkdir()
        self._lab = lab
        members = [self._place(name, number) for name, number in _MEMBERS.items()]
        homes = [(place.namespace, place.address) for place in members]
        self.etcd = Cluster(self.directory, _ETCD * len(homes), homes=homes)
        lab.on_end(self.etcd.stop)
        self.places = {name: self._place(name, number) for name, number in _CONTROLLERS.items()}
        self.controllers = {name: self._controller(name) for name in _CONTROLLERS}

    @property
    def tokens_file(self) -> Path:
        """The tokens of both controllers."""
        return self.directory / "tokens"

    @property
    def targets(self) -> dict[str, str]:
        """Where bridges find the controllers."""
        return {name: f"tcp:{place.address}:{_OPENFLOW}" for name, place in self.places.items()}

    @property
    def urls(self) -> dict[str, str]:
        """Where metadata servers and operators find them."""
        return {name: f"http://{place.address}:{_REST}" for name, place in self.places.items()}

    def start(self) -> None:
        """Start etcd, then the controllers. Raises LabError."""
        self.etcd.start()
        for controller in self.controllers.values():
            controller.start()

    def dropletctl(self, name: str, *words: str, text: str | None = None) -> str:
        """`dropletctl` at one of the controllers. Raises CommandFailed."""
        options = ("--url", self.urls[name], "--tokens-file", self.tokens_file)
        return self.namespace.run(BIN / "dropletctl", *options, *words, text=text).stdout

    def diagnosis(self) -> str:
        """The ends of all logs, for people."""
        logs = [each.log_tail() for each in self.controllers.values()]
        return "\n".join([*logs, *(n.daemon.log_tail(5) for n in self.etcd.nodes if n.daemon)])

    def _place(self, name: str, number: int) -> Place:
        directory = self.directory / name
        directory.mkdir()
        namespace = self._lab.namespace(name)
        namespace.ip("link set lo up")
        return Place(namespace, directory, self.network.join(namespace, name, number))

    def _controller(self, name: str) -> Service:
        place = self.places[name]
        config = place.directory / "ovs-metadata.conf"
        write_config(
            config,
            {
                "DEFAULT": {
                    **{"ofp_listen_host": place.address, "ofp_tcp_listen_port": _OPENFLOW},
                    **{"wsapi_host": "0.0.0.0", "wsapi_port": _REST},
                },
                "metadata": {
                    "state_dir": place.directory,
                    "tokens_file": self.tokens_file,
                    "registry_url": self.etcd.url(_PREFIX),
                    "rest_allow_plain": True,
                    "droplet_port_names": "tap*",
                },
            },
        )
        arguments = ["--config-file", str(config), "ryu_apps.metadata_controller"]
        return Service(self._lab, place, "ryu-manager", _REST, arguments)  # type: ignore[arg-type]


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
        self.addresses = []
        for number, host in enumerate(self.hosts, 1):
            network = self.center.network
            self.addresses.append(network.join(host.namespace, host.name, number))
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
