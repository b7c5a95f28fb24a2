"""The package on a bare Debian 12, as its users meet it: installed, served, upgraded, removed.

The host has its own systemd and apt, and runs the units as they are shipped.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.process import run
from lab.wait import wait_for
from tests.install.host import SETUP, Host

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

CONTROLLER, SERVER = "ovs-metadata-controller.service", "metadata-http.service"
SOCKET = "metadata-http.socket"
FOLLOW = "ovs-metadata-follow-ovsdb.service"


def test_a_new_user_has_a_droplet_served(host: Host):
    assert host.asks("web-1", "/metadata/v1/hostname") == "web-1"
    for unit in (CONTROLLER, SERVER, SOCKET):
        assert host.is_active(unit), host.journal(unit)
        assert host.unit(unit, "UnitFileState") == "enabled"
    assert host.is_active(SETUP)
    said = host.said("dropletctl", "host-setup", "--bridge=br0", "--check")
    assert said == "br0: all is as it should be"
    ports = json.loads(host.said("dropletctl", "ports", "--json"))
    assert [port["state"] for port in ports if port["name"] == "tap7889371"] == ["serving"]
    wait_for(lambda: host.unit(SERVER, "StatusText") == "serving", "the server to say so")
    wait_for(
        lambda: host.run("dropletctl", "doctor", check=False).stdout.endswith("nothing wrong\n"),
        "a clean bill, which the server's view of the host is a part of",
        diagnose=lambda: host.run("dropletctl", "doctor", check=False).stdout,
    )


def test_the_server_sees_as_a_unit_that_droplets_reach_it(host: Host):
    """It asks `ip`, which must be allowed what it does."""
    ready = ("curl", "--silent", "http://127.0.0.1:9180/readyz")
    wait_for(lambda: json.loads(host.said(*ready))["reachable"] is True, "it to know", 40)


def test_they_run_without_privileges_and_see_what_they_need(host: Host):
    for unit, user in ((CONTROLLER, "ovs-metadata"), (SERVER, "metadata-http")):
        status = host.said("cat", f"/proc/{host.unit(unit, 'MainPID')}/status").splitlines()
        values = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        assert values["Uid"].split()[1] == host.said("id", "-u", user)
        assert int(values["CapPrm"], 16) == int(values["CapBnd"], 16) == 0
        assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")
    modes = host.said("stat", "-c%a %U:%G", "/run/openvswitch/db.sock", "/var/lib/ovs-metadata")
    assert modes.splitlines() == ["660 root:ovs-metadata-db", "700 ovs-metadata:ovs-metadata"]
    # The server's token is its own, and no way to the administrator's.
    assert host.said("cat", "/var/lib/metadata-http/token").split()[::2] == ["server"]
    as_server = ("runuser", "-u", "metadata-http", "--", "cat", "/var/lib/ovs-metadata/tokens")
    assert host.run(*as_server, check=False).returncode == 1


# What systemd-analyze makes of each unit, from 0 (nothing is exposed) to 10, as in docs/install.md.
EXPOSED = {CONTROLLER: 1.1, SERVER: 1.4, FOLLOW: 1.1, SETUP: 2.7}


@pytest.mark.parametrize("unit", EXPOSED)
def test_a_unit_is_sound_and_exposes_little(host: Host, unit: str):
    host.said("systemd-analyze", "verify", "--man=no", unit)
    bound = f"--threshold={round(EXPOSED[unit] * 10)}"
    done = host.run("systemd-analyze", "security", "--no-pager", bound, unit, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", [CONTROLLER, SERVER])
def test_a_hung_process_is_started_anew(host: Host, unit: str):
    drop_in = host.path(f"/run/systemd/system/{unit}.d/watchdog.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
    host.said("systemctl", "daemon-reload")
    host.said("systemctl", "restart", unit)
    before = host.unit(unit, "MainPID")
    hang = before
    if unit == SERVER:  # what answers is the worker; the parent only waits
        hang = host.said("cat", f"/proc/{before}/task/{before}/children").split()[-1]
    host.said("kill", "-STOP", hang)
    wait_for(
        lambda: host.unit(unit, "MainPID") not in (before, "0") and host.is_active(unit),
        f"another {unit}",
        60,
        lambda: host.journal(unit),
    )
    assert "Watchdog timeout" in host.journal(unit, lines=500)
    drop_in.unlink()
    host.said("systemctl", "daemon-reload")
    host.wait_until_served()


ASK = """
while [ ! -e /run/enough ]; do
    ip netns exec web-1 curl --silent --max-time 20 --output /dev/null \\
        --write-out '%{http_code}\\n' http://169.254.169.254/metadata/v1/id
done >/run/answers
"""


@contextmanager
def asking(host: Host) -> Iterator[set[str]]:
    """The droplet asks all the while, and in the end its status codes are in the set; 000 is none.

    It has answers before and after what is done meanwhile.
    """
    for name in ("enough", "answers"):
        host.path(f"/run/{name}").unlink(missing_ok=True)
    host.path("/run/ask").write_text(ASK)
    host.said("systemd-run", "--collect", "--unit=asking", "sh", "/run/ask")
    answers = host.path("/run/answers")
    codes: set[str] = set()

    def wait_for_more() -> None:
        before = answers.read_text().count("200") if answers.exists() else 0
        wait_for(lambda: answers.read_text().count("200") > before + 5, "answers", 60, host.journal)

    wait_for_more()
    yield codes
    wait_for_more()
    host.path("/run/enough").touch()
    wait_for(lambda: not host.is_active("asking"), "the last answer", 30)
    codes.update(answers.read_text().split())


def test_a_restart_refuses_no_connection(host: Host):
    with asking(host) as answers:
        for _ in range(3):
            host.said("systemctl", "restart", SERVER)
    assert answers == {"200"}


def test_open_vswitch_may_be_started_anew(host: Host):
    """It makes its database's socket anew, and meta0 without its address."""
    host.said("systemctl", "restart", "openvswitch-switch")
    host.wait_until_served()
    assert host.said("stat", "-c%a %G", "/run/openvswitch/db.sock") == "660 ovs-metadata-db"


def test_a_bad_option_is_said_and_not_tried_for_ever(host: Host):
    config = host.path("/etc/ovs-metadata.conf")
    good = config.read_text()
    config.write_text(good.replace("#zone_base = 0", "zone_base = many"))
    assert host.run("systemctl", "restart", CONTROLLER, check=False).returncode
    wait_for(lambda: host.unit(CONTROLLER, "ActiveState") == "failed", "the controller's end", 30)
    assert host.unit(CONTROLLER, "ExecMainStatus") == "78"
    assert "[metadata] zone_base = many" in host.journal(CONTROLLER)
    assert host.asks("web-1", "/metadata/v1/id") == "7889371"
    config.write_text(good)
    host.said("systemctl", "restart", CONTROLLER)


def test_a_host_needs_no_client_but_its_switchs_database(host: Host):
    host.said("systemctl", "enable", "--now", FOLLOW)
    host.add_droplet("db-1", "tap9", "a6:a4:8e:00:00:09", "10.0.0.9/24")
    keys = {"droplet-id": "9", "attached-mac": "a6:a4:8e:00:00:09", "droplet-hostname": "db-1"}
    ids = [f'external_ids:{key}="{value}"' for key, value in keys.items()]
    host.said("ovs-vsctl", "set", "Interface", "tap9", *ids)
    wait_for(
        lambda: host.asks("db-1", "/metadata/v1/hostname") == "db-1",
        "the droplet to be served",
        60,
        lambda: host.journal(FOLLOW),
    )
    host.said("ovs-vsctl", "del-port", "tap9")
    gone = ("dropletctl", "get", "9")
    wait_for(lambda: host.run(*gone, check=False).returncode == 1, "its registration to go", 60)
    assert json.loads(host.said("dropletctl", "get", "7889371")), "the other's is none of its own"
    host.said("systemctl", "disable", "--now", FOLLOW)


EXAMPLES = "/usr/share/doc/ovs-metadata/examples"
LIBVIRT = Path(__file__).with_name("domain.xml")


def registered(host: Host, droplet_id: int) -> dict[str, Any] | None:
    """A droplet's registration; None without one."""
    done = host.run("dropletctl", "get", str(droplet_id), check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_libvirts_hook_registers_a_domain_and_removes_it(host: Host):
    def happens(operation: str, sub_operation: str) -> None:
        hook = (f"{EXAMPLES}/libvirt-qemu", "web-2", operation, sub_operation, "-")
        done = host.run(*hook, text=LIBVIRT.read_text())
        assert done.stderr == ""

    happens("prepare", "begin")
    assert registered(host, 7889372) is None
    happens("started", "begin")
    droplet = registered(host, 7889372)
    assert droplet["ports"] == [{"name": "vnet0", "mac": "52:54:00:6b:3c:58"}]
    assert droplet["metadata"]["hostname"] == "web-2"
    assert droplet["metadata"]["user_data"] == "#cloud-config\n"
    happens("stopped", "end")
    happens("release", "end")
    assert registered(host, 7889372) is None

    # Migrated away: the other host's hook has registered it anew, and ours leaves that alone.
    happens("started", "begin")
    host.run("dropletctl", "put", "7889372", "-", text=json.dumps(droplet))
    done = host.run(f"{EXAMPLES}/libvirt-qemu", "web-2", "release", "end", text=LIBVIRT.read_text())
    assert "412" in done.stderr
    assert registered(host, 7889372) == droplet
    host.said("dropletctl", "delete", "7889372")


def test_libvirts_hook_stops_no_domain_from_starting(host: Host):
    words = ("env", "DROPLETCTL_URL=http://127.0.0.1:1", f"{EXAMPLES}/libvirt-qemu", "web-2")
    done = host.run(*words, "started", "begin", "-", text=LIBVIRT.read_text())
    assert "127.0.0.1:1" in done.stderr


# As `qm config` prints one.
PROXMOX = """\
boot: order=scsi0;net0
cores: 2
name: pve-1
net0: virtio=BC:24:11:2A:5B:9C,bridge=vmbr0,firewall=1
net1: e1000=BC:24:11:2A:5B:9D,bridge=vmbr1
scsi0: local-lvm:vm-100-disk-0,size=32G
"""


def test_proxmoxs_hook_script_registers_a_vm_and_removes_it(host: Host):
    qm = host.path("/usr/local/bin/qm")
    qm.write_text(f"#!/bin/sh\n[ \"$*\" = 'config 100' ] || exit 1\ncat <<'END'\n{PROXMOX}END\n")
    qm.chmod(0o755)
    hook = ("env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", f"{EXAMPLES}/proxmox")
    host.said(*hook, "100", "pre-start")
    droplet = registered(host, 100)
    assert droplet["ports"] == [
        {"name": "tap100i0", "mac": "bc:24:11:2a:5b:9c"},
        {"name": "tap100i1", "mac": "bc:24:11:2a:5b:9d"},
    ]
    assert droplet["metadata"]["hostname"] == "pve-1"
    for phase in ("post-start", "pre-stop", "post-stop"):
        assert registered(host, 100)
        host.said(*hook, "100", phase)
    assert registered(host, 100) is None


def test_a_tap_is_registered_as_qemu_and_firecracker_have_it_done(host: Host):
    """A real TAP; QEMU calls its script with the device's name and its own environment."""
    host.said(*["ip", "tuntap", "add", "tap7", "mode", "tap"])
    environ = ("env", "DROPLET_ID=7", "DROPLET_MAC=02:00:00:00:00:07")
    host.said(*environ, f"{EXAMPLES}/tap-up", "tap7")

    def state() -> str:
        ports = json.loads(host.said("dropletctl", "ports", "--json"))
        return next(port["state"] for port in ports if port["name"] == "tap7")

    wait_for(lambda: state() == "serving", "tap7 to be served", not_yet=(StopIteration,))
    host.said(*environ, f"{EXAMPLES}/tap-down", "tap7")
    assert registered(host, 7) is None
    assert "tap7" not in host.said("ovs-vsctl", "list-ports", "br0").split()


BEGUN = """\
. /usr/share/bash-completion/bash_completion
dropletctl compl\tzs\t | head -n1
dropletctl switches --js\t
exit
"""
"""A subcommand, its argument and an option, each completed by Tab, and carried out."""


def test_shells_complete_its_words_and_man_has_its_pages(host: Host):
    """With nothing in anybody's ~/.bashrc: the package has the files where shells look."""
    host.apt("install", "bash-completion", "zsh", "fish", "man-db")
    typed = ("env", "TERM=dumb", "script", "-qec", "bash -i", "/dev/null")
    said = host.run(*typed, text=BEGUN).stdout
    assert "#compdef dropletctl" in said, said
    assert '"state": "in-sync"' in said, said
    zsh = "autoload -U compinit; compinit -u; print $_comps[dropletctl]; autoload +X _dropletctl"
    assert host.said("zsh", "-ec", zsh) == "_dropletctl", "zsh finds it, and can read it"
    options = host.said("fish", "-c", 'complete -C "dropletctl host-setup --che"')
    assert "--check" in options.split()
    assert "host-setup" in host.said("fish", "-c", 'complete -C "dropletctl host-s"').split()
    pages = {"1": "dropletctl", "5": "ovs-metadata.conf", "8": "metadata-http"}
    for section, name in pages.items():
        found = host.said("man", "-w", section, name)
        assert found == f"/usr/share/man/man{section}/{name}.{section}.gz"


def repacked(package: Path, folder: Path) -> Path:
    """The package as a later build, with another text in its configuration file."""
    tree = folder / "tree"
    run("dpkg-deb", "--raw-extract", package, tree)
    for file, old, new in (
        ("DEBIAN/control", "\nVersion: ", "\nVersion: 99:"),
        ("etc/ovs-metadata.conf", "# Controller and", "# As of another build. Controller and"),
    ):
        text = (tree / file).read_text()
        assert old in text
        (tree / file).write_text(text.replace(old, new, 1))
    made = folder / "next.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, made)
    return made


def test_upgrade_removal_and_purge(host: Host, package: Path, tmp_path: Path):
    config, edited = host.path("/etc/ovs-metadata.conf"), "# Edited by the operator.\n"
    config.write_text(edited + config.read_text())
    host.copy(repacked(package, tmp_path), "/root/next.deb")
    old = host.unit(SERVER, "MainPID")
    with asking(host) as answers:
        host.apt("install", "/root/next.deb")
    assert answers == {"200"}, "an upgrade refuses nobody"
    assert host.unit(SERVER, "MainPID") not in (old, "0"), "the new one runs"
    version = host.said("dpkg-query", "--show", "--showformat=${Version}", "ovs-metadata")
    assert version.startswith("99:")
    assert config.read_text().startswith(edited)
    assert json.loads(host.said("dropletctl", "get", "7889371"))["droplet_id"] == 7889371

    host.apt("remove", "ovs-metadata")
    assert not host.path("/usr/lib/ovs-metadata").exists()
    assert not any(host.is_active(unit) for unit in (CONTROLLER, SERVER, SOCKET, SETUP))
    assert config.read_text().startswith(edited)
    assert host.path("/var/lib/ovs-metadata/registry.db").exists()

    host.apt("purge", "ovs-metadata")
    for gone in ("/var/lib/ovs-metadata", "/var/lib/metadata-http", "/etc/ovs-metadata.conf"):
        assert not host.path(gone).exists()
    assert host.run("sh", "-c", "ls /etc/systemd/system/*/*metadata*", check=False).stdout == ""
    units = ("systemctl", "list-unit-files", "--no-legend", "*metadata*")
    assert host.run(*units, check=False).stdout == ""
    assert host.said("dpkg", "--audit") == ""
