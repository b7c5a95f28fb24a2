"""A private etcd cluster, on loopback unless told otherwise: own ports, directories, processes."""

import json
import shutil
import signal
import ssl
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from urllib.request import urlopen

from lab.namespace import Namespace
from lab.process import Daemon, run
from lab.wait import wait_for

TOKEN = "etcd-cluster"
"""etcd's own --initial-cluster-token."""


class Node:
    """One member; `start` again after `stop` or `kill` goes on with its data.

    It lives in `namespace`, where it has one, at the address `host`.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        place: tuple[Namespace | None, str],
        ports: tuple[int, int],
    ) -> None:
        self.name = name
        self.namespace, self.host = place
        self.client_port, self.peer_port = ports
        self.directory = directory
        self.daemon: Daemon | None = None
        self.options: list[str] = []
        self.tls: ssl.SSLContext | None = None

    @property
    def endpoint(self) -> str:
        """As `registry_url` names it."""
        return f"{self.host}:{self.client_port}"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{'http' if self.tls is None else 'https'}://{self.endpoint}"

    @property
    def peer(self) -> str:
        """As the others name it."""
        return f"{self.name}=http://{self.host}:{self.peer_port}"

    def start(self) -> None:
        """Start its process; `Cluster.wait` waits until it answers."""
        peer = f"http://{self.host}:{self.peer_port}"
        command = [
            "etcd",
            *("--name", self.name, "--data-dir", str(self.directory / self.name)),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--heartbeat-interval", "100", "--election-timeout", "1000"),
            *self.options,
        ]
        if self.namespace is not None:
            command = self.namespace.command(*command)
        log = self.directory / f"{self.name}.log"
        self.daemon = Daemon(f"etcd {self.name}", command, log=log)

    def healthy(self) -> bool:
        """Whether it answers, with a quorum behind it."""
        assert self.daemon is not None
        self.daemon.require_running()
        where = nullcontext() if self.namespace is None else self.namespace.entered()
        with where, urlopen(f"{self.url}/health", timeout=2, context=self.tls) as answer:
            return json.load(answer).get("health") == "true"

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        if self.daemon is not None:
            self.daemon.stop(with_signal)

    def kill(self) -> None:
        """`kill -9`."""
        self.stop(signal.SIGKILL)


class Cluster:
    """Members on these ports of 127.0.0.1, two a member: for clients, for each other.

    All are in `namespace`; or each in one of its own, at its address there, by `homes`. `tls` is
    for clients, where `options` make etcd ask for it. One with a `snapshot` begins with what is in
    it.
    """

    def __init__(
        self,
        directory: Path,
        ports: list[int],
        options: tuple[str, ...] = (),
        *,
        tls: ssl.SSLContext | None = None,
        snapshot: Path | None = None,
        namespace: Namespace | None = None,
        homes: Sequence[tuple[Namespace, str]] = (),
    ) -> None:
        pairs = list(zip(ports[::2], ports[1::2], strict=True))
        places = homes or [(namespace, "127.0.0.1")] * len(pairs)
        self.nodes = [
            Node(f"etcd{number}", directory, place, pair)
            for number, (place, pair) in enumerate(zip(places, pairs, strict=True), 1)
        ]
        peers = ",".join(node.peer for node in self.nodes)
        for node in self.nodes:
            node.options = ["--initial-cluster", peers, *options]
            node.tls = tls
        if snapshot is not None:
            self.remake(snapshot)

    def start(self) -> None:
        """Start all and wait until they have a leader. Raises LabError."""
        for node in self.nodes:
            node.start()
        self.wait()

    def remake(self, snapshot: Path, token: str = "remade") -> None:
        """Make the data of the members, which do not run, anew from what `snapshot` has.

        With the token of the former cluster the new one cannot be told from it.
        """
        for node in self.nodes:
            data = node.directory / node.name
            shutil.rmtree(data, ignore_errors=True)
            run(
                *("etcdctl", "snapshot", "restore", snapshot, "--name", node.name),
                *("--data-dir", data, *node.options[:2], "--initial-cluster-token", token),
                *("--initial-advertise-peer-urls", f"http://{node.host}:{node.peer_port}"),
                env={"ETCDCTL_API": "3"},
            )

    def wait(self) -> None:
        """Wait until every member answers with a quorum behind it. Raises LabError."""
        for node in self.nodes:
            assert node.daemon is not None
            wait_for(node.healthy, f"{node.name} to be healthy", diagnose=node.daemon.log_tail)

    def stop(self) -> None:
        """End all."""
        for node in self.nodes:
            node.kill()

    def url(self, prefix: str) -> str:
        """The `registry_url` of a registry at this prefix."""
        return f"etcd://{','.join(node.endpoint for node in self.nodes)}/{prefix}"
