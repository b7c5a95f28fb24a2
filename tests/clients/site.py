"""The place the clients' tests happen in: a hypervisor with everything running, and its guests.

Controller, metadata server and Open vSwitch are the real ones, set up by the operator's commands.
A guest is a registered droplet with one or two NICs; a gateway stands on the same bridge, as an
ordinary machine that knows nothing of metadata.
"""

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from lab.droplet import Answer, Droplet
from lab.hypervisor import BRIDGE
from lab.lab import Lab
from lab.process import run
from lab.services import CONTROLLER, Services
from lab.wait import wait_for
from ovs_metadata_client import Client, NotFound
from ryu_apps.dropletctl.connection import read_token
from tests.clients.documents import GATEWAY, GATEWAY_MAC, NAMESERVERS, PRIVATE_GATEWAY

Document = Mapping[str, Any]

PRIVATE_NIC = "eth1"
_REST = "http://127.0.0.1:8080"

# As the lab does for veths: the userspace datapath reads a TAP beside the kernel, which is to be
# deaf there. Meta0, which is of the same kind, is not.
_KERNEL_HEARS_NO_TAP = """
table inet taps {
    chain prerouting {
        type filter hook prerouting priority raw; policy accept;
        iifname "tap*" drop
    }
}
table arp taps {
    chain input {
        type filter hook input priority filter; policy accept;
        iifname "tap*" drop
    }
}
"""


@dataclass(frozen=True)
class Plugged:
    """A droplet under its id, with the names and MACs of its switch ports, public first."""

    droplet_id: int
    ports: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Guest(Plugged):
    """A droplet that is a network namespace."""

    droplet: Droplet

    def get(self, path: str, **options: Any) -> Answer:
        """GET a metadata path from inside, with curl. Raises NoAnswer."""
        return self.droplet.get(path, **options)

    def v1_json(self) -> Any:
        """The droplet's own document, as it is served to it."""
        answer = self.get("/metadata/v1.json")
        assert answer.status == HTTPStatus.OK, answer
        return json.loads(answer.body)


class Site:
    """One hypervisor of the session; what a test plugs in it may leave there."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.host = lab.hypervisor()
        self.host.add_bridge()
        options = {"droplet_port_names": "tap*", "nameservers": ", ".join(NAMESERVERS)}
        self.services = Services(lab, self.host, {"metadata": options})
        self.services.dropletctl("host-setup", "--bridge", BRIDGE)
        self.services.start()
        self.host.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)
        self.services.server.wait_until_ready()
        # Meta0 has 1: an ofport that is asked for is taken away from who has it.
        self._ofports = itertools.count(600)
        self.gateway = self.host.add_droplet(
            "gateway",
            ofport=next(self._ofports),
            mac=GATEWAY_MAC,
            addresses=(f"{GATEWAY}/24", f"{PRIVATE_GATEWAY}/16"),
        )

    def plug(
        self, droplet_id: int, macs: tuple[str, ...], *, addresses: tuple[str, ...] = ()
    ) -> Guest:
        """A new droplet with a NIC for each MAC, on the bridge but not registered."""
        ports = _ports(droplet_id, macs)
        (name, mac), *private = ports
        droplet = self.host.add_droplet(
            name, ofport=next(self._ofports), mac=mac, addresses=addresses
        )
        for name, mac in private:
            self._add_private_nic(droplet, name, mac)
        return Guest(droplet_id, ports, droplet)

    def plug_taps(self, droplet_id: int, macs: tuple[str, ...]) -> Plugged:
        """A TAP on the bridge for each MAC, for a virtual machine to open; not registered."""
        ports = _ports(droplet_id, macs)
        self.host.run("nft", "-f", "-", text=_KERNEL_HEARS_NO_TAP)
        for name, _ in ports:
            self.host.namespace.ip(f"tuntap add dev {name} mode tap", f"link set {name} up")
            self.host.add_port(name, ofport=next(self._ofports))
        return Plugged(droplet_id, ports)

    def unplug(self, guest: Guest) -> None:
        """Take a droplet away, and its registration."""
        for name, _ in guest.ports[1:]:
            self.host.ovs.vsctl("--if-exists", "del-port", name)
        self.host.remove_droplet(guest.droplet)
        with self.host.namespace.entered(), self._client() as client:
            try:
                client.delete_droplet(guest.droplet_id)
            except NotFound:
                return  # It never was.

    def register(
        self,
        guest: Plugged,
        metadata: object,
        user_data: bytes | None = None,
        formats: list[str] | None = None,
    ) -> None:
        """Register a droplet, or replace what is registered. Raises Refused with the reasons."""
        document: dict[str, Any] = {
            "ports": [{"name": name, "mac": mac} for name, mac in guest.ports],
            "metadata": metadata,
        }
        if user_data is not None:
            document["user_data_base64"] = base64.b64encode(user_data).decode()
        if formats is not None:
            document["formats"] = formats
        with self.host.namespace.entered(), self._client() as client:
            client.put_droplet(guest.droplet_id, document)

    def registered(self, droplet_id: int) -> Document:
        """What the registry has for a droplet."""
        with self.host.namespace.entered(), self._client() as client:
            return client.get_droplet(droplet_id).droplet

    def wait_until_served(self, guest: Plugged) -> None:
        """Wait until all of a guest's ports are open to it."""
        dpid = self.host.dpid()

        def served() -> bool:
            with self.host.namespace.entered(), self._client() as client:
                ports = {port["name"]: port for port in client.ports(dpid)["ports"]}
            return all(
                (ports[name]["state"], ports[name]["droplet_id"]) == ("serving", guest.droplet_id)
                for name, _ in guest.ports
            )

        wait_for(
            served,
            f"droplet {guest.droplet_id} to be served",
            diagnose=self.services.diagnosis,
            not_yet=(KeyError,),
        )

    def wait_until_seen(self, guest: Guest, hostname: str) -> Any:
        """Wait until a droplet sees the document with this host name as its own; that document."""

        def seen() -> Any:
            document = guest.v1_json()
            return document if document["hostname"] == hostname else None

        what = f"droplet {guest.droplet_id} to be {hostname}"
        return wait_for(seen, what, diagnose=self.services.diagnosis)

    def _add_private_nic(self, droplet: Droplet, port: str, mac: str) -> None:
        host = self.host.namespace
        run(
            *("ip", "-n", host.name, "link", "add", port, "type", "veth"),
            *("peer", "name", PRIVATE_NIC, "address", mac, "netns", droplet.namespace.name),
        )
        host.ip(f"link set {port} up")
        # Userspace conntrack takes a checksum that is left to a NIC for a wrong one.
        droplet.namespace.run("ethtool", "-K", PRIVATE_NIC, "tx", "off")
        self.host.add_port(port, ofport=next(self._ofports))

    def _client(self) -> Client:
        return Client(_REST, read_token(self.services.state_dir / "tokens"))


def _ports(droplet_id: int, macs: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    names = [f"tap{kind}{droplet_id}" for kind in ("ext", "int")]
    return tuple(zip(names, macs, strict=False))
