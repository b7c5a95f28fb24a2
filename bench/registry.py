"""The registry beside bare SQLite: importing, single writes, reads in a growing registry, starting,
and what others notice of the largest batch.

The controller is a real `ryu-manager`; what it is measured beside is Python's sqlite3 with the same
rows, tables and fsync setting on the same disk, in the same run. Read the ratios: the disk and
whoever else uses the machine decide the rest. `python -m bench registry`, or with options
`python -m bench.registry --droplets 10000`.
"""

import argparse
import http.client
import json
import os
import random
import re
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.report import Report, medians, percentile, run_alone
from ryu_apps.registry import jsontext
from ryu_apps.registry.droplet import Droplet, read_droplet
from ryu_apps.registry.search import words
from ryu_apps.store.schema import MIGRATIONS

BIN = Path(sys.executable).parent
_PATIENCE = 120.0
_DOCUMENT = 4096
_SIZES = (1_000, 10_000, 100_000)
_READS = 200
_LARGEST = 100_000
_SMALL = 512
"""Bytes of a document of which so many fit into the largest batch."""

_SCRIPT = "echo 'the quick brown fox jumps over the lazy dog'\n"


def document(droplet_id: int, size: int = _DOCUMENT) -> bytes:
    """A droplet as a real one is described, about so many bytes of it."""
    number = f"{droplet_id:08x}"
    mac = f"02:00:{number[:2]}:{number[2:4]}:{number[4:6]}:{number[6:]}"
    ipv4 = {"ip_address": "203.0.113.7", "netmask": "255.255.255.0", "gateway": "203.0.113.1"}
    metadata = {
        "hostname": f"web-{droplet_id}",
        "region": "nyc3",
        "tags": ["web", f"rack-{droplet_id % 100}"],
        "public_keys": [f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number} user@example"],
        "interfaces": {"public": [{"ipv4": ipv4, "mac": mac, "type": "public"}]},
        "dns": {"nameservers": ["192.0.2.53", "192.0.2.54"]},
    }
    ports = [{"name": f"tap{droplet_id}", "mac": mac}]
    given = {"droplet_id": droplet_id, "ports": ports, "metadata": metadata}
    room = max(size - len(json.dumps(given)), 0)
    metadata["user_data"] = ("#!/bin/sh\n" + _SCRIPT * 100)[:room]
    return json.dumps(given).encode()


class Controller:
    """A `ryu-manager` with its registry in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "controller.conf"
        self.config.write_text(
            f"[DEFAULT]\nwsapi_port = {self.port}\nofp_listen_host = 127.0.0.1\n"
            f"ofp_tcp_listen_port = {free_port()}\n"
            f"[metadata]\nstate_dir = {folder}\novsdb = unix:{folder}/none\n"
        )

    @contextmanager
    def running(self) -> Iterator[float]:
        """It runs meanwhile; the seconds it took to be ready."""
        began = time.perf_counter()
        command = [BIN / "ryu-manager", "--config-file", self.config]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "ryu_apps.metadata_controller"], stdout=log, stderr=log
            )
        try:
            while not self._is_ready():
                if self._process.poll() is not None or time.perf_counter() > began + _PATIENCE:
                    raise RuntimeError((self.folder / "log").read_text())
                time.sleep(0.005)
            yield time.perf_counter() - began
        finally:
            self._process.terminate()
            self._process.wait()

    def _is_ready(self) -> bool:
        """Whether it is, and is the one that knows our token: ports are used again."""
        with closing(self.connection()) as connection:
            try:
                for path in ("/readyz", "/v1/droplets?limit=1"):
                    connection.request("GET", path, headers=self.headers())
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != http.client.OK:
                        return False
            except (OSError, StopIteration):
                return False
            return True

    def connection(self) -> http.client.HTTPConnection:
        """A connection to its REST interface."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)

    def headers(self) -> dict[str, str]:
        """What an administrator's request has."""
        lines = (self.folder / "tokens").read_text().splitlines()
        token = next(line.split()[1] for line in lines if line.startswith("admin "))
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def memory(self, which: str = "VmRSS") -> float:
        """Resident MiB, now or at most (VmHWM)."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"{which}:\s+(\d+)", text)
        return int(found[1]) / 1024 if found else 0.0

    def put_all(self, file: Path, *options: str) -> float:
        """Seconds that `dropletctl import` takes."""
        began = time.perf_counter()
        command = [BIN / "dropletctl", "--config-file", self.config, "import", *options, file]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many of them, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def bare(path: Path) -> Iterator[sqlite3.Connection]:
    """An SQLite file with the registry's tables, written as the registry is."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as peer:
        peer.execute("PRAGMA journal_mode = WAL")
        peer.execute("PRAGMA synchronous = FULL")
        for statements in MIGRATIONS:
            peer.executescript(statements)
        yield peer


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that droplets are in the registry's tables."""

    droplets: list[tuple[int, int, str]]
    documents: list[tuple[int, bytes]]
    ports: list[tuple[str, int, str]]
    tags: list[tuple[str, int]]
    words: list[tuple[int, str]]

    @classmethod
    def of(cls, droplets: list[Droplet]) -> "Rows":
        """The rows of these."""
        return cls(
            [(d.droplet_id, n, d.region) for n, d in enumerate(droplets, 1)],
            [(d.droplet_id, d.encode()) for d in droplets],
            [(port.name, d.droplet_id, port.mac) for d in droplets for port in d.ports],
            [(tag, d.droplet_id) for d in droplets for tag in d.tags],
            [(d.droplet_id, words(d)) for d in droplets],
        )

    def insert(self, peer: sqlite3.Connection) -> None:
        """Put them all there, in one transaction."""
        peer.execute("BEGIN IMMEDIATE")
        into = "INSERT OR REPLACE INTO"
        columns = "(droplet_id, revision, region)"
        peer.executemany(f"{into} droplet {columns} VALUES (?, ?, ?)", self.droplets)
        peer.executemany(f"{into} content (droplet_id, document) VALUES (?, ?)", self.documents)
        peer.executemany(f"{into} port (name, droplet_id, mac) VALUES (?, ?, ?)", self.ports)
        peer.executemany(f"{into} tag VALUES (?, ?)", self.tags)
        peer.executemany(f"{into} search VALUES (?, ?)", self.words)
        peer.execute("COMMIT")


def rows_of(file: Path) -> Rows:
    """The rows of a file of documents."""
    with file.open("rb") as lines:
        return Rows.of([read_droplet(jsontext.parse(line)) for line in lines])


def measure_import(
    controller: Controller, file: Path, folder: Path, droplets: int, report: Report
) -> None:
    """An import beside an insert of the same rows in one transaction."""
    rows = rows_of(file)
    with bare(folder / "bare.db") as peer:
        began = time.perf_counter()
        rows.insert(peer)
        reference = time.perf_counter() - began
    del rows
    with controller.running():
        taken = controller.put_all(file)
    size = f"{droplets} droplets of {_DOCUMENT} B"
    report.goal("import / bare sqlite3 in one transaction", taken / reference, 4, note=size)
    report.figure("import", taken, "s", size)


def measure_start(controller: Controller, empty: Controller, droplets: int, report: Report) -> None:
    """Starting with what was imported, warm and from a cold disk, and the memory for it."""
    starts: dict[str, list[tuple[float, float]]] = {}
    for _ in range(3):
        for name, which in (("empty", empty), ("warm", controller), ("cold", controller)):
            if name == "cold":
                _chill(controller.folder / "registry.db")
            with which.running() as seconds:
                starts.setdefault(name, []).append((seconds, which.memory()))
    nothing, warm, cold = (medians(starts[name]) for name in ("empty", "warm", "cold"))
    report.goal(f"start with {droplets} droplets to ready", warm[0], 3, unit="s")
    report.goal(f"start with {droplets} droplets from a cold disk", cold[0], 3, unit="s")
    report.figure("start with none", nothing[0], "s")
    report.figure("memory for a droplet", (warm[1] - nothing[1]) * 2**20 / droplets, "B")


def _chill(file: Path) -> None:
    """Have the kernel forget what it keeps of the file."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_batch(controller: Controller, report: Report) -> None:
    """What others wait for and what memory it takes while the largest batch is registered."""
    body = b"".join(document(n, _SMALL) + b"\n" for n in range(1, _LARGEST + 1))
    with controller.running(), closing(controller.connection()) as connection:
        headers = controller.headers()
        before = controller.memory()
        with _reading(controller, headers) as waits:
            words = headers | {"Content-Type": "application/x-ndjson"}
            connection.request("POST", "/v1/droplets", body, words)
            answer = connection.getresponse()
            answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"HTTP {answer.status}")
        size = f"a batch of {_LARGEST} droplets, {len(body) >> 20} MiB"
        for percent in (50, 99, 100):
            value = percentile(waits, percent) * 1000
            report.figure(f"GET during a batch, p{percent}", value, "ms", size)
        report.figure("memory at most during it", controller.memory("VmHWM") - before, "MiB")


@contextmanager
def _reading(controller: Controller, headers: dict[str, str]) -> Iterator[list[float]]:
    """Somebody reads a droplet, again and again; the seconds each took."""
    waits: list[float] = []
    over = threading.Event()

    def read() -> None:
        with closing(controller.connection()) as connection:
            while not over.wait(0.01):
                waits.append(_get(connection, "/v1/droplets/1", headers))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> float:
    """Seconds to the whole answer."""
    began = time.perf_counter()
    connection.request("GET", path, headers=headers)
    connection.getresponse().read()
    return time.perf_counter() - began


def measure_puts(controller: Controller, folder: Path, seconds: float, report: Report) -> None:
    """Durable writes a second, on one connection and on eight, beside commits of the same rows."""
    print("\nsingle durable PUTs a second, taken in turn with bare sqlite3 commits")
    with controller.running(), bare(folder / "commits.db") as peer:
        headers = controller.headers()
        for connections in (1, 8):
            rounds = [
                (commits(peer, seconds), puts(controller, headers, connections, seconds))
                for _ in range(3)
            ]
            reference, rate = (statistics.median(each) for each in zip(*rounds, strict=True))
            name = f"durable PUTs a second on {connections} / bare sqlite3 commits"
            report.goal(name, rate / reference, 0.5, ">=", note=f"{rate:.0f} a second")


def commits(peer: sqlite3.Connection, seconds: float) -> float:
    """Transactions a second, each with the rows of one droplet."""
    rows = [Rows.of([read_droplet(jsontext.parse(document(n)))]) for n in range(1, 200)]
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        rows[count % len(rows)].insert(peer)
        count += 1
    return count / (time.perf_counter() - began)


def puts(
    controller: Controller, headers: dict[str, str], connections: int, seconds: float
) -> float:
    """Answered PUTs a second."""
    counts = [0] * connections
    until = time.perf_counter() + seconds

    def put(number: int) -> None:
        bodies = [(n, document(n)) for n in range(1 + number * 50, 51 + number * 50)]
        with closing(controller.connection()) as connection:
            while time.perf_counter() < until:
                droplet_id, body = bodies[counts[number] % len(bodies)]
                connection.request("PUT", f"/v1/droplets/{droplet_id}", body, headers)
                response = connection.getresponse()
                response.read()
                if response.status not in (http.client.OK, http.client.CREATED):
                    raise RuntimeError(f"HTTP {response.status}")
                counts[number] += 1

    threads = [threading.Thread(target=put, args=(n,)) for n in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def measure_reads(controllers: dict[int, Controller], report: Report) -> None:
    """Reads of one droplet and of pages among so many, the registries taken in turn."""
    chance = random.Random(1)
    reads: dict[str, Callable[[int], str]] = {
        "GET": lambda size: f"/v1/droplets/{chance.randint(1, size)}",
        "page of 100": lambda size: f"/v1/droplets?after={chance.randrange(size - 100)}",
        "page of 10 by tag": lambda _: f"/v1/droplets?limit=10&tag=rack-{chance.randrange(100)}",
    }
    with ExitStack() as stack:
        for controller in controllers.values():
            stack.enter_context(controller.running())
        for name, path in reads.items():
            rounds = [_times(controllers, path) for _ in range(_READS)]
            points = list(zip(controllers, (1000 * each for each in medians(rounds)), strict=True))
            (least, first), (most, last) = points[0], points[-1]
            report.goal(f"{name} of {most} droplets / of {least}", last / first, 1.25)
            report.curve(name, "droplets", "ms", {name: points})
            for size, value in points:
                report.figure(f"{name} of {size} droplets", value, "ms")


def _times(controllers: dict[int, Controller], path: Callable[[int], str]) -> list[float]:
    """Seconds for one read of each."""
    times = []
    for size, controller in controllers.items():
        with closing(controller.connection()) as connection:
            headers = controller.headers()
            connection.connect()
            times.append(_get(connection, path(size), headers))
    return times


def _controller(folder: Path, name: str) -> Controller:
    (folder / name).mkdir()
    return Controller(folder / name)


def main(arguments: list[str] | None = None) -> Report:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--droplets", type=int, default=max(_SIZES))
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args(arguments)
    report = Report("registry", "Registry")
    report.peer("sqlite3", sqlite3.sqlite_version)
    with tempfile.TemporaryDirectory(prefix="registry-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        measure_puts(_controller(folder, "writes"), folder, options.seconds, report)
        controllers = {}
        for size in sorted({*(n for n in _SIZES if n < options.droplets), options.droplets}):
            controllers[size] = _controller(folder, f"state-{size}")
            file = folder / "droplets.ndjson"
            file.write_bytes(b"".join(document(n) + b"\n" for n in range(1, size + 1)))
            if size == options.droplets:
                measure_import(controllers[size], file, folder, size, report)
                continue
            with controllers[size].running():
                controllers[size].put_all(file)
        measure_reads(controllers, report)
        empty = _controller(folder, "empty")
        measure_start(controllers[options.droplets], empty, options.droplets, report)
        measure_batch(empty, report)
    return report


if __name__ == "__main__":
    sys.exit(run_alone(main()))
