"""The world of the guards' tests: two hypervisors with real processes, and what is asked of them.

One controller serves both hosts over a management network; each host has its own Open vSwitch,
meta0 and metadata server. One session has one such world; each test leaves it as it found it.
"""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from lab.droplet import Droplet, connect
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.namespace import Namespace
from lab.process import run
from lab.services import CONTROLLER, OPENFLOW_PORT, Options, Services
from lab.wait import wait_for

META = "meta0"
REST_PORT = 8080
HV_LOCAL = IPv4Network("100.127.0.0/16")

# The hosts' management network; the lab lets a hypervisor's kernel hear its nic* only.
_NIC = "nic0"
_MANAGEMENT = ("192.168.77.1", "192.168.77.2")

T = TypeVar("T")


def hv_local(ofport: int) -> IPv4Address:
    """The address that the host must see for an ofport, as the specification says it."""
    return HV_LOCAL.network_address + ofport


class Rest:
    """The controller's REST as its administrator uses it, from the controller's own host."""

    def __init__(self, host: Hypervisor, state_dir: Path, port: int = REST_PORT) -> None:
        self._host = host
        self._state_dir = state_dir
        self._port = port

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of one call. Raises OSError or HTTPException."""
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        with self._host.namespace.entered():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            connection.connect()
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None

    def clock(self) -> float:
        """The time of day by the controller, in seconds since 1970."""
        with self._host.namespace.entered():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            connection.connect()
        try:
            connection.request("GET", "/healthz")
            said = connection.getresponse().headers["Date"]
        finally:
            connection.close()
        return parsedate_to_datetime(said).timestamp()

    def put(
        self,
        droplet_id: int,
        port: str,
        mac: str,
        served: dict[str, object] | None = None,
        **options: object,
    ) -> None:
        """Register a droplet with one port, or replace it; `served` instead of the usual.

        `options` are its metadata options.
        """
        document = {
            "ports": [{"name": port, "mac": mac}],
            "metadata": metadata(droplet_id) if served is None else served,
            "metadata_options": options,
        }
        status, answer = self.call("PUT", f"/v1/droplets/{droplet_id}", document)
        assert status in (HTTPStatus.OK, HTTPStatus.CREATED), answer

    def delete(self, droplet_id: int) -> None:
        """Delete a droplet's record, if there is one."""
        status, answer = self.call("DELETE", f"/v1/droplets/{droplet_id}")
        assert status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND), answer

    def ports(self, dpid: str) -> dict[str, dict[str, Any]]:
        """The ports of a switch by name; none where it is not known."""
        status, answer = self.call("GET", f"/v1/switches/{dpid}/ports")
        if status != HTTPStatus.OK:
            return {}
        return {port["name"]: port for port in answer["ports"]}

    def switch(self, dpid: str) -> dict[str, Any]:
        """What is told of a switch; nothing where it is not known."""
        _, answer = self.call("GET", "/v1/switches")
        return {one["dpid"]: one for one in answer["switches"]}.get(dpid, {})

    def state(self, dpid: str) -> str | None:
        """The state of a switch; None where it is not known."""
        return self.switch(dpid).get("state")

    def _token(self) -> str:
        for line in (self._state_dir / "tokens").read_text().splitlines():
            role, *rest = line.split()
            if role == "admin":
                return rest[0]
        raise AssertionError("the controller wrote no admin token")


def secret(droplet_id: int) -> str:
    """What only this droplet may ever see; finding it elsewhere is the leak."""
    return f"<<secret of droplet {droplet_id}>>"


def metadata(droplet_id: int) -> dict[str, object]:
    """A droplet's metadata, with its secret as user data."""
    return {"hostname": f"d{droplet_id}", "region": "lab1", "user_data": secret(droplet_id)}


@dataclass(eq=False)
class Host:
    """One hypervisor with its two processes (the controller runs on the first host only)."""

    hypervisor: Hypervisor
    services: Services

    def __post_init__(self) -> None:
        self.ovs = self.hypervisor.ovs
        self.namespace = self.hypervisor.namespace
        self.dpid = ""

    @property
    def meta_mac(self) -> str:
        """The MAC of meta0 as Open vSwitch has it."""
        return json.loads(self.ovs.vsctl("get", "Interface", META, "mac_in_use"))

    @property
    def local_mac(self) -> str:
        """The MAC of the bridge's LOCAL port."""
        return json.loads(self.ovs.vsctl("get", "Interface", BRIDGE, "mac_in_use"))

    def prepare(self, controller: str) -> None:
        """Make bridge and meta0."""
        self.hypervisor.add_bridge(controller=controller)
        self.services.dropletctl("host-setup", "--bridge", BRIDGE)
        # The droplets' devices on this side are to be as mute as TAPs are.
        self.namespace.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        self.dpid = self.hypervisor.dpid()

    def device(self, port: str, mac: str, *addresses: str) -> Namespace:
        """A namespace behind a device of this host that is on no switch yet."""
        lab = self.hypervisor._lab
        namespace = lab.namespace(f"{lab.short_name(self.hypervisor)}{port}")
        connect(port, namespace, self.namespace, mac=mac, addresses=addresses, mtu=1500)
        # A guest that speaks only when it is told to.
        namespace.run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
        return namespace


class Cloud:
    """Both hosts, the registry, and the droplets that most tests need."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        everywhere = {"wsapi_host": "0.0.0.0", "ofp_listen_host": "0.0.0.0"}
        plain = {"rest_allow_plain": True}
        self.host = self._host("hv", {"DEFAULT": everywhere, "metadata": plain})
        urls = f"http://{_MANAGEMENT[0]}:{REST_PORT}"
        tokens = self.host.services.state_dir / "tokens"
        follower = {"controller_urls": urls, "tokens_file": tokens}
        self.peer = self._host("peer", {"metadata_http": follower})
        self.rest = Rest(self.host.hypervisor, self.host.services.state_dir)
        self._connect_hosts()

    def start(self) -> None:
        """Start everything and wait until both switches are served."""
        # First the controller: a switch that was refused once waits before it asks again.
        self.host.services.controller.start()
        self.host.prepare(CONTROLLER)
        self.peer.prepare(f"tcp:{_MANAGEMENT[0]}:{OPENFLOW_PORT}")
        for host in (self.host, self.peer):
            host.services.server.start()
            self.wait(lambda host=host: self.rest.state(host.dpid) == "in-sync", "the switch")
            # A bridge that is secure is not flushed when its controller is away.
            host.ovs.vsctl("set-fail-mode", BRIDGE, "secure")
        self.wait_until_followed()

    def wait_until_followed(self) -> None:
        """Wait until both metadata servers have a view that they may serve."""
        for host in (self.host, self.peer):
            host.services.server.wait_until_ready()

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Wait for a condition, with all logs where it does not come."""
        return wait_for(
            condition,
            what,
            diagnose=self.diagnosis,
            not_yet=(OSError, http.client.HTTPException),
        )

    def wait_serving(self, host: Host, port: str, droplet_id: int) -> None:
        """Wait until the controller has opened `port` on `host` for the droplet."""

        def serving() -> bool:
            entry = self.rest.ports(host.dpid).get(port)
            return entry is not None and (entry["state"], entry["droplet_id"]) == (
                "serving",
                droplet_id,
            )

        self.wait(serving, f"{port} to serve droplet {droplet_id}")

    def wait_not_mapped(self, host: Host, port: str) -> None:
        """Wait until the controller maps nobody to `port` on `host`, or the port has gone."""
        self.wait(
            lambda: (self.rest.ports(host.dpid).get(port) or {}).get("droplet_id") is None,
            f"{port} to have no droplet",
        )

    def spare(self, host: Host, port: str, droplet_id: int, *, mac: str, address: str) -> Droplet:
        """A registered droplet whose device is on no switch yet."""
        namespace = host.device(port, mac, address)
        self.rest.put(droplet_id, port, mac)
        return Droplet(port, 0, mac, (address,), namespace)

    def scrap(self, host: Host, droplet: Droplet, droplet_id: int) -> None:
        """Take such a droplet away, wherever it is plugged in now."""
        host.ovs.vsctl("--if-exists", "del-port", droplet.port)
        self.rest.delete(droplet_id)
        host.namespace.ip(f"link delete {droplet.port}")
        self.lab.delete_namespace(droplet.namespace)

    def plug(
        self, host: Host, port: str, droplet_id: int, *, ofport: int, mac: str, address: str = ""
    ) -> Droplet:
        """A registered droplet on `host`, being served; without an address its kernel is mute."""
        addresses = (address,) if address else ()
        namespace = host.device(port, mac, *addresses)
        droplet = Droplet(port, ofport, mac, addresses, namespace)
        host.hypervisor.droplets[port] = droplet
        self.rest.put(droplet_id, port, mac)
        host.hypervisor.add_port(port, ofport=ofport)
        self.wait_serving(host, port, droplet_id)
        return droplet

    def unplug(self, host: Host, droplet: Droplet, droplet_id: int) -> None:
        """Take a droplet away, switch port, device, namespace and record."""
        host.hypervisor.remove_droplet(droplet)
        self.rest.delete(droplet_id)
        self.wait(
            lambda: droplet.port not in self.rest.ports(host.dpid), f"{droplet.port} to be gone"
        )

    def diagnosis(self) -> str:
        """The ends of all logs and the flows, for people."""
        flows = "\n".join(self.host.ovs.dump_flows(BRIDGE))
        return f"{self.host.services.diagnosis()}\n{self.peer.services.diagnosis()}\n{flows}"

    def _host(self, name: str, options: Options) -> Host:
        hypervisor = self.lab.hypervisor(name)
        return Host(hypervisor, Services(self.lab, hypervisor, options))

    def _connect_hosts(self) -> None:
        here, there = self.host.namespace, self.peer.namespace
        run(
            *("ip", "-n", here.name, "link", "add", _NIC, "type", "veth"),
            *("peer", "name", _NIC, "netns", there.name),
        )
        for namespace, address in zip((here, there), _MANAGEMENT, strict=True):
            namespace.ip(f"link set {_NIC} up", f"address add {address}/24 dev {_NIC}")
