"""Running the host's own tools, with the Open vSwitch that was asked for."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ryu_apps.dropletctl.host.values import Command, Remove, Run, Write

TIMEOUT = 10
"""Seconds for a command of Open vSwitch: it waits for ovs-vswitchd to do what it is told."""

_PACKAGES = {
    **{"ovs-vsctl": "openvswitch-switch", "ovs-ofctl": "openvswitch-common"},
    **{"ip": "iproute2", "ss": "iproute2", "ethtool": "ethtool"},
    **{"ovs-appctl": "openvswitch-common"},
}


class HostError(Exception):
    """A tool is missing or could not do what it was told; the text has its own words."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools; `db` names an Open vSwitch database other than the usual one, unix:PATH."""

    db: str | None = None

    def run(self, *argv: str, check: bool = True) -> str | None:
        """The output of a command; None where it fails and need not succeed. Raises HostError."""
        command = self._complete(argv)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=TIMEOUT * 2
            )
        except FileNotFoundError as error:
            package = _PACKAGES.get(argv[0], argv[0])
            raise HostError(f"there is no {argv[0]} here (Debian package {package})") from error
        except subprocess.TimeoutExpired as error:
            raise HostError(f"no end of {' '.join(command)} in {TIMEOUT * 2} s") from error
        if done.returncode == 0:
            return done.stdout
        if not check:
            return None
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        if "Alarm clock" in said or "signal 14" in said:
            said = f"no answer in {TIMEOUT} s: is ovs-vswitchd running?"
        if "database connection failed" in said:
            said = f"Open vSwitch's database does not answer: {said.removeprefix('ovs-vsctl: ')}"
            raise HostError(f"{said}; if it is not running: systemctl start openvswitch-switch")
        raise HostError(f"{' '.join(command)}: {said}")

    def rows(self, *argv: str) -> list[dict[str, Any]]:
        """The rows that an `ovs-vsctl` listing gives, by column, values in plain Python."""
        listing = json.loads(self.run("ovs-vsctl", "--no-wait", "--format=json", *argv) or "{}")
        headings = listing.get("headings", [])
        return [
            dict(zip(headings, map(_plain, row), strict=True)) for row in listing.get("data", [])
        ]

    def ip(self, *argv: str, check: bool = True) -> list[dict[str, Any]]:
        """What `ip` says in JSON, numbers not names; nothing where it fails and need not not."""
        return json.loads(self.run("ip", "-json", "-N", *argv, check=check) or "[]")

    def do(self, command: Command) -> None:
        """Carry out one command of a plan. Raises HostError."""
        try:
            match command:
                case Run(argv):
                    self.run(*argv)
                case Write(path, text):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
                case Remove(path):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(f"{command}: {error.strerror}") from error

    def _complete(self, argv: tuple[str, ...]) -> list[str]:
        """The command with what it takes to reach this Open vSwitch."""
        match argv:
            case ("ovs-vsctl", *rest):
                db = [f"--db={self.db}"] if self.db else []
                return ["ovs-vsctl", f"--timeout={TIMEOUT}", *db, *rest]
            case ("ovs-ofctl", *rest):
                return ["ovs-ofctl", f"--timeout={TIMEOUT}", *map(self._management, rest)]
            case ("ovs-appctl", *rest):
                return ["ovs-appctl", f"--timeout={TIMEOUT}", *self._vswitchd(), *rest]
        return list(argv)

    def _vswitchd(self) -> list[str]:
        """What names ovs-vswitchd's control socket beside the database, if that is not usual."""
        if not self.db or not self.db.startswith("unix:"):
            return []
        beside = Path(self.db.removeprefix("unix:")).parent
        return [f"--target={socket}" for socket in sorted(beside.glob("ovs-vswitchd.*.ctl"))[-1:]]

    def _management(self, word: str) -> str:
        """A bridge's name as the socket beside the database, if that is not the usual one."""
        if not self.db or not self.db.startswith("unix:"):
            return word
        socket = Path(self.db.removeprefix("unix:")).parent / f"{word}.mgmt"
        return f"unix:{socket}" if socket.exists() else word


def require_root() -> None:
    """Raise HostError unless this process may change the host."""
    if os.geteuid() != 0:
        raise HostError("this changes the host's network and takes root")
    for tool in _PACKAGES:
        if tool != "ethtool" and shutil.which(tool) is None:
            raise HostError(f"there is no {tool} here (Debian package {_PACKAGES[tool]})")


def _plain(value: Any) -> Any:
    """OVSDB's JSON as plain values (RFC 7047, 5.1).

    A set of one is its element, an empty one None.
    """
    match value:
        case ["uuid", uuid]:
            return uuid
        case ["map", pairs]:
            return {_plain(key): _plain(item) for key, item in pairs}
        case ["set", []]:
            return None
        case ["set", items]:
            return [_plain(item) for item in items]
    return value
