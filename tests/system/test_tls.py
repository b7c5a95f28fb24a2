"""OpenFlow and REST by TLS, with the certificates that docs/operations.md makes.

Two bridges of one Open vSwitch, the whole application behind them.
"""

import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.process import run
from lab.services import OPENFLOW_PORT, Services
from lab.wait import wait_for

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
SECOND, SECOND_DPID = "br1", "00000000000000b1"
MAC = "02:00:00:00:0b:01"


def make_certificates(folder: Path) -> Path:
    """The page's own commands, carried out in a new `folder`."""
    section = PAGE.read_text().partition("\n## TLS\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (openssl (?:.*\\\n)*.*)$", section, re.MULTILINE)
    assert len(lines) == 3
    folder.mkdir()
    script = f"set -eu; cd {folder}\n" + "\n".join(lines)
    run("bash", "-c", script)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Key pairs of controller and hypervisor, and their authority."""
    return make_certificates(tmp_path / "ours")


@pytest.fixture
def services(lab: Lab, host: Hypervisor, files: Path) -> Services:
    """The controller, listening with TLS alone, and a host with two bridges that is set up."""
    host.add_bridge()
    host.add_bridge(SECOND)
    host.ovs.vsctl("set", "Bridge", SECOND, f"other-config:datapath-id={SECOND_DPID}")
    controller, key = files / "controller.pem", files / "controller.key"
    openflow = {
        "ofp_ssl_listen_port": OPENFLOW_PORT,
        **{"ctl_cert": controller, "ctl_privkey": key, "ca_certs": files / "ca.pem"},
    }
    rest = {
        **{"rest_certificate": controller, "rest_key": key},
        **{"rest_client_ca": files / "ca.pem", "rest_ca": files / "ca.pem"},
    }
    server = {
        "controller_urls": "https://127.0.0.1:8080",
        "controller_certificate": files / "hypervisor.pem",
        "controller_key": files / "hypervisor.key",
    }
    rest["hv_local_subnet"] = "100.127.0.0/17"
    second = {"hv_local_subnet": "100.127.128.0/17", "zone_base": 0x8000}
    services = Services(
        lab,
        host,
        {
            **{"DEFAULT": openflow, "metadata": rest, "metadata_http": server},
            f"bridge:{SECOND_DPID}": second,
        },
    )
    services.controller.tls = ssl.create_default_context(cafile=files / "ca.pem")
    services.controller.tls.load_cert_chain(files / "hypervisor.pem", files / "hypervisor.key")
    services.dropletctl("host-setup", "--bridge", BRIDGE)
    services.controller.start()
    return services


def test_bridges_get_in_by_their_certificate_and_a_droplet_is_served(
    services: Services, host: Hypervisor, files: Path, tmp_path: Path
) -> None:
    shown = ("--client-cert", files / "hypervisor.pem", "--client-key", files / "hypervisor.key")

    def states() -> dict[str, str]:
        listed = services.dropletctl(*shown, "switches", "--json").stdout
        return {one["dpid"]: one["state"] for one in json.loads(listed)}

    def log() -> str:
        return (host.directory / "ryu-manager.log").read_text()

    def connect(scheme: str, certificates: Path | None) -> None:
        if certificates is not None:
            pair = (certificates / "hypervisor.key", certificates / "hypervisor.pem")
            host.ovs.vsctl("set-ssl", *map(str, pair), str(files / "ca.pem"))
        for bridge in (BRIDGE, SECOND):
            host.ovs.vsctl("set-controller", bridge, f"{scheme}:127.0.0.1:{OPENFLOW_PORT}")

    def wait(what: str, condition: Callable[[], bool]) -> None:
        wait_for(condition, what, diagnose=services.diagnosis)

    # Nobody gets in in the clear, or with a certificate of somebody else's authority.
    connect("tcp", None)
    wait("the refusal of plain OpenFlow", lambda: "SSLError" in log())
    theirs = make_certificates(tmp_path / "theirs")
    connect("ssl", theirs)
    wait_for(
        lambda: "CERTIFICATE_VERIFY_FAILED" in log(), "the refusal of a stranger", diagnose=log
    )
    assert states() == {}

    connect("ssl", files)
    both = {host.dpid(): "in-sync", SECOND_DPID: "in-sync"}
    wait("both bridges to be in sync", lambda: states() == both)
    services.server.start()
    services.server.wait_until_ready()
    droplet = host.add_droplet("tap7", ofport=7, mac=MAC, addresses="10.0.0.7/24")
    document = {"ports": [{"name": "tap7", "mac": MAC}], "metadata": {"hostname": "secure"}}
    services.dropletctl(*shown, "put", "7", "-", text=json.dumps(document))

    def hostname() -> str:
        return droplet.get("/metadata/v1/hostname").text

    wait_for(
        lambda: hostname() == "secure", "the droplet to be served", diagnose=services.diagnosis
    )
    assert states() == both
