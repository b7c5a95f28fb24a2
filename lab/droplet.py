"""A droplet: a network namespace behind one switch port, and HTTP requests made inside it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from lab.wait import LabError

NIC = "eth0"
"""The droplet's end of the veth pair; the other end has the switch port's name."""

METADATA = "http://169.254.169.254"

_CURL = ("curl", "--silent", "--show-error", "--include", "--no-buffer")


class NoAnswer(LabError):
    """A request got no HTTP answer. `status` is curl's exit status: 7 refused, 28 timed out."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Droplet:
    """A droplet of the lab. `mac` is its NIC's own, `addresses` its own, with prefix lengths."""

    port: str
    ofport: int
    mac: str
    addresses: tuple[str, ...]
    namespace: Namespace

    def run(
        self, *command: str | Path, check: bool = True, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the droplet to its end. Raises CommandFailed if `check`."""
        return self.namespace.run(*command, check=check, text=text)

    def get(
        self,
        path: str,
        *options: str,
        source: str | None = None,
        source_port: int | None = None,
        seconds: float = 5,
    ) -> Answer:
        """GET a path of the metadata address, or any URL, from inside the droplet.

        `source` and `source_port` choose the connection's own end; further `options` are curl's.
        Raises NoAnswer.
        """
        ends = [
            *(["--interface", f"host!{source}"] if source else []),
            *(["--local-port", str(source_port)] if source_port else []),
        ]
        url = path if "://" in path else METADATA + path
        command = self.namespace.command(*_CURL, "--max-time", str(seconds), *ends, *options, url)
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise NoAnswer(done.returncode, f"{self.port}: {done.stderr.decode().strip()}")
        return _parse(done.stdout)


def connect(
    port: str,
    namespace: Namespace,
    hypervisor: Namespace,
    *,
    mac: str,
    addresses: tuple[str, ...],
    mtu: int,
) -> None:
    """Join a droplet's namespace to the hypervisor's by a veth pair, ready for a switch port.

    The droplet has its addresses, and everything is on link for it: it asks by ARP for what it
    wants to reach. Raises CommandFailed.
    """
    run(
        *("ip", "-n", hypervisor.name, "link", "add", port, "mtu", str(mtu), "type", "veth"),
        *("peer", "name", NIC, "address", mac, "mtu", str(mtu), "netns", namespace.name),
    )
    hypervisor.ip(f"link set {port} up")
    # Userspace conntrack takes a checksum that is left to a NIC for a wrong one.
    namespace.run("ethtool", "-K", NIC, "tx", "off")
    namespace.ip(
        "link set lo up",
        f"link set {NIC} up",
        *(f"address add {address} dev {NIC}" for address in addresses),
        f"route add default dev {NIC}",
    )


def _parse(reply: bytes) -> Answer:
    head, _, body = reply.partition(b"\r\n\r\n")
    status_line, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(int(status_line.split()[1]), headers, body)
