"""What may befall processes and networks for a moment, and how to see what still works."""

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.droplet import Droplet
from lab.services import Service
from lab.wait import wait_for
from tests.system.cloud import REST_PORT, Host, metadata
from tests.system.stage import Stage


@contextmanager
def frozen(service: Service) -> Iterator[None]:
    """The processes of a service stand still meanwhile."""
    pids = family(service.daemon.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            # A child that had ended is reaped by its parent, which goes on first.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """The process and all that come from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


@contextmanager
def partition(host: Host, *rules: str) -> Iterator[None]:
    """What `host` sends is subject to these rules of nft meanwhile."""
    body = "\n".join(("type filter hook output priority filter", *rules))
    table = f"table inet partition {{\nchain output {{\n{body}\n}}\n}}\n"
    host.namespace.run("nft", "-f", "-", text=table)
    try:
        yield
    finally:
        host.namespace.run("nft", "delete", "table", "inet", "partition")


@contextmanager
def partitioned(host: Host, verdict: str) -> Iterator[None]:
    """The metadata server of `host` cannot reach the controller's REST; Open vSwitch can."""
    server = host.services.server
    with partition(host, f"tcp dport {REST_PORT} {verdict}"):
        wait_for(
            lambda: not (server.health("/readyz") or {}).get("connected"),
            "the server to be cut off",
            diagnose=server.log_tail,
        )
        yield


def change(stage: Stage, name: str, hostname: str = "changed") -> None:
    """The droplet gets another hostname."""
    droplet_id = stage.ids[name]
    document = metadata(droplet_id) | {"hostname": hostname}
    stage.cloud.rest.put(droplet_id, name, stage.droplets[name].mac, document)


def changed(stage: Stage, name: str, hostname: str = "changed") -> None:
    """It is served with that."""
    droplet = stage.droplets[name]
    stage.cloud.wait(
        lambda: droplet.get("/metadata/v1/hostname").text == hostname,
        "the change to be served",
    )


@contextmanager
def watched(one: Droplet, other: Droplet) -> Iterator[list[bool]]:
    """Whether the bridge took packets between these droplets, looked at again and again."""
    seen: list[bool] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(reaches(one, other, 0.2))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def reaches(one: Droplet, other: Droplet, seconds: float = 2) -> bool:
    """Whether the bridge takes packets between these droplets, which is no business of ours."""
    with one.namespace.entered():
        probe = socket.socket()
    with probe:
        probe.settimeout(seconds)
        # Nobody listens there: only its host can say so.
        return probe.connect_ex((other.addresses[0].partition("/")[0], 9)) == errno.ECONNREFUSED


class FalseTime:
    """The time of day of processes that run under it; their monotonic clocks go right.

    `words` stand before a command that is to run so. By libfaketime, which reads the offset anew
    each time that a process asks for the time.
    """

    def __init__(self, directory: Path) -> None:
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self._offset = directory / "clock"
        self.jump(0)
        self.words = [
            *("env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={self._offset}"),
            *("FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"),
        ]

    def jump(self, seconds: int) -> None:
        """From now on it is so many seconds later than it is."""
        unfinished = self._offset.with_suffix(".new")
        unfinished.write_text(f"{seconds:+d}\n")
        unfinished.rename(self._offset)


@contextmanager
def false_time(*services: Service) -> Iterator[FalseTime]:
    """These services run by a clock of their own meanwhile; they are restarted for it."""
    clock = FalseTime(services[0].host.directory)
    for service in services:
        service.stop()
        service.privileges = clock.words
        service.start()
    try:
        yield clock
    finally:
        for service in services:
            service.stop()
            service.privileges = []
            service.start()
