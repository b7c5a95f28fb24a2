"""What may befall processes and networks, for a moment."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.services import Service
from lab.wait import wait_for
from tests.system.cloud import REST_PORT, Host


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
