"""The world of the main path's tests: one hypervisor, set up and run by the operator's commands."""

import base64
import itertools
from dataclasses import dataclass, field
from typing import Any

from lab.droplet import Answer, Droplet, NoAnswer
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.services import CONTROLLER, Services
from lab.wait import wait_for
from ovs_metadata_client import Client, NotFound, Unreachable
from ryu_apps.dropletctl.connection import read_token

META = "meta0"

_ids = itertools.count(7_000_001)


@dataclass
class World:
    """A hypervisor with both processes; droplets come and go with the tests.

    `options` are those of [metadata] beside the usual, `server_options` of [metadata_http].
    """

    lab: Lab
    host: Hypervisor = field(default=None)  # type: ignore[assignment]  # the lab's next, if None
    options: dict[str, Any] = field(default_factory=dict)
    server_options: dict[str, Any] = field(default_factory=dict)
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.host = self.host or self.lab.hypervisor()
        self.ovs = self.host.ovs
        self.host.add_bridge()
        options = {"droplet_port_names": "tap*, gone*", **self.options}
        both = {"metadata": options, "metadata_http": self.server_options}
        self.services = Services(self.lab, self.host, both)
        self.services.dropletctl("host-setup", "--bridge", BRIDGE)
        self.services.start()
        self.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)
        self.services.server.wait_until_ready()

    @property
    def dpid(self) -> str:
        """The bridge's, 16 hex digits."""
        return self.host.dpid()

    def client(self) -> Client:
        """The REST client on the controller's loopback, its connections made in its namespace."""
        return Client("http://127.0.0.1:8080", read_token(self.services.state_dir / "tokens"))

    def ports(self) -> dict[str, dict[str, Any]]:
        """The controller's ports by name."""
        with self.host.namespace.entered(), self.client() as client:
            return {port["name"]: dict(port) for port in client.ports(self.dpid)["ports"]}

    def register(self, droplet: Droplet, **more: Any) -> int:
        """Register a droplet under a new id, which is returned; `more` goes into its metadata."""
        droplet_id = next(_ids)
        self.replace(droplet_id, droplet, **more)
        return droplet_id

    def replace(self, droplet_id: int, droplet: Droplet, **more: Any) -> None:
        """Register a droplet under this id, or replace what is registered."""
        metadata = {"hostname": f"host-{droplet_id}", **more}
        user_data = metadata.pop("user_data", None)
        document: dict[str, Any] = {
            "ports": [{"name": droplet.port, "mac": droplet.mac}],
            "metadata": metadata,
        }
        if user_data is not None:
            document["user_data_base64"] = base64.b64encode(user_data).decode()
        with self.host.namespace.entered(), self.client() as client:
            client.put_droplet(droplet_id, document)

    def wait_until_served(self, *droplets: Droplet) -> None:
        """Wait until the controller says that it serves these droplets' ports."""

        def served() -> bool:
            ports = self.ports()
            return all(ports[droplet.port]["state"] == "serving" for droplet in droplets)

        wait_for(
            served,
            "ports to be served",
            diagnose=self.services.diagnosis,
            not_yet=(KeyError, NotFound, Unreachable),
        )

    def wait_for_answer(self, droplet: Droplet, path: str, status: int = 200) -> Answer:
        """Ask again and again until the answer has this status; that answer.

        A request without an answer is one as well: the droplet's own TCP would go on trying.
        """

        def asked() -> Answer | None:
            answer = droplet.get(path, seconds=2)
            return answer if answer.status == status else None

        return wait_for(
            asked,
            f"{droplet.port} to get {status} for {path}",
            diagnose=self.services.diagnosis,
            not_yet=(NoAnswer,),
        )

    def flows_of_port(self, ofport: int) -> list[str]:
        """The flows whose cookie names this ofport."""
        return [
            line
            for line in self.ovs.dump_flows(BRIDGE)
            if int(line.split(",")[0].removeprefix("cookie="), 16) >> 32 & 0xFFFF == ofport
        ]
