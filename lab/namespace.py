"""A network namespace by name: running commands in it, and this thread stepping into it."""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.process import run

RUN_NETNS = Path("/run/netns")
ETC_NETNS = Path("/etc/netns")
"""What /etc/netns/NAME holds appears in /etc for `ip netns exec NAME` (ip-netns(8))."""

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named network namespace, made and deleted by the `Lab`."""

    name: str

    def command(self, *command: str | Path) -> list[str]:
        """The command that runs `command` in here. `ip` becomes it: the pid stays the same."""
        return ["ip", "netns", "exec", self.name, *(str(word) for word in command)]

    def run(
        self,
        *command: str | Path,
        text: str | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in here to its end. Raises CommandFailed if `check`."""
        return run(*self.command(*command), text=text, env=env, check=check)

    def ip(self, *lines: str) -> None:
        """Do several `ip` commands in here with one process. Raises CommandFailed."""
        run("ip", "-n", self.name, "-batch", "-", text="\n".join(lines) + "\n")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in here meanwhile: sockets it opens belong here, and stay here."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(RUN_NETNS / self.name, os.O_RDONLY)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)


def _setns(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
