"""The `Lab`: owns every namespace, process and file of a run, and takes them away in the end.

Whatever is made is written down for removal first, so that an end at any moment leaves nothing.
What a killed run could not remove, the next one sweeps up: all names begin with `ovsmd-PID`.
"""

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain, count, product
from pathlib import Path
from string import ascii_lowercase
from types import TracebackType
from typing import Self

from lab.hypervisor import Hypervisor, own_iproute2_files
from lab.namespace import ETC_NETNS, RUN_NETNS, Namespace
from lab.process import Daemon, run

_STEM = "ovsmd"
_OURS = re.compile(rf"{_STEM}-(?P<pid>\d+)[a-z]+-.*")
_letters = map("".join, chain.from_iterable(product(ascii_lowercase, repeat=n) for n in count(1)))
"""a, b, .. z, aa, ab, ..: a run has as many labs as it likes."""


class Lab:
    """A context in which hypervisors and droplets exist; several may exist beside each other."""

    def __init__(self) -> None:
        self.prefix = f"{_STEM}-{os.getpid()}{next(_letters)}"
        self.hypervisors: list[Hypervisor] = []
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        sweep()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        self._undo.callback(shutil.rmtree, self.directory, ignore_errors=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take everything away, last made first. Ctrl-C and SIGTERM have to wait meanwhile."""
        stops = {signal.SIGINT, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        try:
            self._undo.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have something done at the end, before what was made earlier is taken away."""
        self._undo.callback(callback)

    def namespace(self, name: str) -> Namespace:
        """A new network namespace. Raises CommandFailed."""
        namespace = Namespace(f"{self.prefix}-{name}")
        self._undo.callback(self.delete_namespace, namespace)
        run("ip", "netns", "add", namespace.name)
        return namespace

    def delete_namespace(self, namespace: Namespace) -> None:
        """Delete a namespace, if it is there."""
        if (RUN_NETNS / namespace.name).exists():
            run("ip", "netns", "delete", namespace.name)

    def hypervisor(self, name: str = "hv") -> Hypervisor:
        """A new hypervisor with its own Open vSwitch, without a bridge yet. Raises LabError."""
        namespace = self.namespace(name)
        self._undo.callback(_remove_etc, ETC_NETNS / namespace.name)
        own_iproute2_files(namespace)
        hypervisor = Hypervisor(self, name, namespace, self.directory / name)
        self.hypervisors.append(hypervisor)
        self._undo.callback(hypervisor.stop)
        hypervisor.start()
        return hypervisor

    def short_name(self, hypervisor: Hypervisor) -> str:
        """What tells equally named ports of several hypervisors apart; nothing for the first."""
        return "" if hypervisor is self.hypervisors[0] else f"{hypervisor.name}-"

    def on_end(self, do: Callable[[], object]) -> None:
        """Have this done at the end."""
        self._undo.callback(do)

    def daemon(self, daemon: Daemon) -> Daemon:
        """Have a daemon stopped at the end; returns it."""
        self._undo.callback(daemon.stop)
        return daemon


def sweep() -> None:
    """Take away what runs left behind that were killed."""
    for namespace in _left_behind(RUN_NETNS):
        for pid in run("ip", "netns", "pids", namespace.name).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", namespace.name)
    for folder in _left_behind(ETC_NETNS):
        _remove_etc(folder)
    for folder in _left_behind(Path(tempfile.gettempdir())):
        shutil.rmtree(folder, ignore_errors=True)


def _left_behind(folder: Path) -> list[Path]:
    """The entries of a folder that belong to runs whose process is gone."""
    if not folder.is_dir():
        return []
    named = [(path, _OURS.fullmatch(path.name)) for path in folder.iterdir()]
    return [path for path, match in named if match and not _alive(int(match["pid"]))]


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _remove_etc(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # The folder is there only where somebody uses it, as we did.
    if ETC_NETNS.is_dir() and not any(ETC_NETNS.iterdir()):
        ETC_NETNS.rmdir()
