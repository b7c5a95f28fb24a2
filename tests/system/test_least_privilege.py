"""Both processes as users without privileges, as docs/operations.md says, and their files."""

import http.client
import os
import socket
import stat
from http import HTTPStatus
from pathlib import Path

import pytest

from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.process import run
from lab.services import BIN, CONTROLLER, Services
from lab.wait import wait_for

CONTROLLER_USER, SERVER_USER, GROUP = 65532, 65533, 65531
DAC_READ_SEARCH, NET_BIND_SERVICE = 2, 10  # capability.h
MAC = "02:00:00:00:0c:01"


def as_user(user: int, *capabilities: str) -> list[str]:
    """What runs a command as this user with these capabilities and no way to any more."""
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return [
        *("setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={GROUP}"),
        *(f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"),
        "--no-new-privs",
    ]


def reading() -> list[str]:
    """What it takes to read this checkout: nothing, but where it lies in a folder closed to others.

    Then it is one capability more, which opens no port.
    """
    command = [*as_user(SERVER_USER), BIN / "python", "-c", "import metadata_http, ryu_apps"]
    return [] if run(*command, check=False).returncode == 0 else ["dac_read_search"]


def belongs_to(folder: Path, user: int) -> Path:
    """A new folder of this user's alone."""
    folder.mkdir(mode=0o700)
    os.chown(folder, user, user)
    return folder


@pytest.fixture
def services(lab: Lab, host: Hypervisor) -> Services:
    """Both with a state directory of their own, and a token for the one bridge."""
    host.add_bridge()
    for folder in (lab.directory, host.directory, host.ovs.directory):
        folder.chmod(0o711)
    database = Path(host.ovs.db.removeprefix("unix:"))
    os.chown(database, 0, GROUP)
    database.chmod(0o660)
    state = belongs_to(host.directory / "controller", CONTROLLER_USER)
    own = belongs_to(host.directory / "server", SERVER_USER)
    options = {
        "metadata": {"state_dir": state},
        "metadata_http": {"tokens_file": own / "token", "snapshot_file": own / "snapshot"},
    }
    services = Services(lab, host, options)
    services.state_dir = state
    services.controller.privileges = ["bash", "-c", 'umask 0; exec "$@"', "bash"]
    services.server.privileges = list(services.controller.privileges)
    services.controller.privileges += as_user(CONTROLLER_USER, *reading())
    services.server.privileges += as_user(SERVER_USER, "net_bind_service", *reading())
    return services


def effective(pid: int) -> tuple[int, int]:
    """The user and the effective capabilities of a process, as a bit set."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    return int(values["Uid"][1]), int(values["CapEff"][0], 16)


def test_they_serve_without_privileges_and_their_files_are_theirs_alone(
    services: Services, host: Hypervisor
) -> None:
    services.dropletctl("host-setup", "--bridge", BRIDGE)
    services.controller.start()
    host.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)
    lines = (services.state_dir / "tokens").read_text().splitlines()
    token = next(line.split()[1] for line in lines if line.startswith("server "))
    own = host.directory / "server" / "token"
    own.write_text(f"server {token} {host.dpid()}\n")
    own.chmod(0o600)
    os.chown(own, SERVER_USER, SERVER_USER)
    services.server.start()
    services.server.wait_until_ready()

    assert services.controller.daemon is not None
    assert services.server.daemon is not None
    more = 1 << DAC_READ_SEARCH if reading() else 0
    assert effective(services.controller.daemon.pid) == (CONTROLLER_USER, more)
    assert effective(services.server.daemon.pid) == (SERVER_USER, 1 << NET_BIND_SERVICE | more)

    droplet = host.add_droplet("tap7", ofport=7, mac=MAC, addresses="10.0.0.7/24")
    services.register({"droplet_id": 7, "ports": [{"name": "tap7", "mac": MAC}], "metadata": {}})
    wait_for(
        lambda: droplet.get("/metadata/v1/id").text == "7",
        "the droplet to be served",
        diagnose=services.diagnosis,
    )
    # The controller could see to fail_mode by the database's socket.
    assert host.ovs.vsctl("get-fail-mode", BRIDGE).strip() == "secure"

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for folder in (services.state_dir, own.parent)
        for path in folder.iterdir()
    }
    assert {"tokens", "registry.db", "registry.db.lock", "snapshot", "snapshot.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes

    own.chmod(0o604)
    log = host.directory / "metadata-http.log"
    told = f"{own} is open to every user (mode 604)"
    wait_for(lambda: told in log.read_text(), "the warning of an open tokens file")


def test_with_a_socket_passed_in_the_server_needs_no_capability(
    services: Services, host: Hypervisor
) -> None:
    services.dropletctl("host-setup", "--bridge", BRIDGE)
    with host.namespace.entered():
        listener = socket.create_server(("169.254.169.254", 80))
    services.server.privileges = as_user(SERVER_USER, *reading())
    with listener:
        services.server.start(listener)
    assert services.server.daemon is not None
    more = 1 << DAC_READ_SEARCH if reading() else 0
    assert effective(services.server.daemon.pid) == (SERVER_USER, more)
    with host.namespace.entered():
        connection = http.client.HTTPConnection("169.254.169.254", timeout=10)
        connection.request("GET", "/metadata/v1/id")
        # It has no view: there is no controller here.
        assert connection.getresponse().status == HTTPStatus.SERVICE_UNAVAILABLE


def test_without_its_one_capability_the_server_says_what_it_lacks(
    services: Services, host: Hypervisor
) -> None:
    services.dropletctl("host-setup", "--bridge", BRIDGE)
    words = services.server.privileges[:4] + as_user(SERVER_USER, *reading())
    command = [*words, BIN / "metadata-http", "--config-file", services.config_file]
    done = host.run(*command, check=False)
    assert done.returncode == 1
    assert "Permission denied: listen 169.254.169.254:80" in done.stderr
