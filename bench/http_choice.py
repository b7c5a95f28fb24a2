"""Which WSGI server: several with the metadata application, beside nginx returning a constant.

What docs/decisions/0005-wsgi-server.md was decided by, to be asked again of a new version; no part
of `make bench`, for which see `http_servers`.

Rates with wrk (32 connections, loopback) in both forms, kept-alive and one request a connection;
the slowest of a hundred; memory. Then what rates do not tell: slow clients, a blocking request,
large and ambiguous heads, a stop under load. Rounds are interleaved so that a busy moment of the
machine hits all; read the ratios, not the rates. `python -m bench.http_choice`, with options
`--seconds 5 --rounds 2 --workers 1 --only granian --only nginx`.
"""

import argparse
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.http_candidates import BLOCKING_PATH, CANDIDATES, PATH, start

REFERENCE = "nginx"
# Whose gateway answers later than it is called; with the others a long poll takes a thread.
DEFERRING = ("granian", "granian_1")
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Rate:
    """One run of wrk: requests a second, the 99th percentile in milliseconds, and failures."""

    per_second: float
    p99: float
    failed: int


@contextmanager
def serving(name: str, workers: int = 1) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A candidate that answers: (process, port)."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = start(name, port, workers)
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer")
            time.sleep(0.05)
        yield process, port
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        return exchange(port, REQUEST, 5).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def exchange(port: int, request: bytes, timeout: float) -> bytes:
    """Send `request`; all that comes until the server closes. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def rate(port: int, seconds: int, close: bool, connections: int = 32) -> Rate:
    """Ask with wrk for so many seconds, with one request a connection if `close`."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-H", "Connection: close"] if close else []
    url = f"http://127.0.0.1:{port}{PATH}"
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
    value, unit = _found(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    failed = [int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text)]
    failed += [int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text)]
    (per_second,) = _found(r"Requests/sec:\s+([\d.]+)", text)
    return Rate(float(per_second), float(value) * scale[unit], sum(failed))


def _found(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk did not say {pattern}:\n{text}")
    return found.groups()


def memory(pid: int) -> list[float]:
    """Resident MiB of the process and all its descendants, the largest first."""
    own = [int(_status(pid, "VmRSS")) / 1024]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            own += memory(int(child))
    return sorted(own, reverse=True)


def _status(pid: int, key: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return _found(rf"{key}:\s+(\d+)", text)[0]


def measure_rates(names: list[str], workers: int, seconds: int, rounds: int) -> None:
    """Print each candidate's rates and their ratio to the reference of the same round."""
    print(f"\nRates, {workers} worker(s), {rounds} rounds of {seconds} s, 32 connections")
    runs: dict[tuple[str, bool], list[Rate]] = {}
    sizes: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in names:
            with serving(name, workers) as (process, port):
                for close in (False, True):
                    runs.setdefault((name, close), []).append(rate(port, seconds, close))
                sizes[name] = memory(process.pid)
    for close in (False, True):
        print("\none request a connection" if close else "\nkept alive")
        print(f"{'server':12} {'req/s':>8} {'x nginx':>8} {'p99 ms':>8} {'x nginx':>8} failed  MiB")
        for name in names:
            _print_rates(name, runs[name, close], runs.get((REFERENCE, close)), sizes[name])


def _print_rates(
    name: str, rates: list[Rate], reference: list[Rate] | None, sizes: list[float]
) -> None:
    per_second = statistics.mean(each.per_second for each in rates)
    p99 = statistics.mean(each.p99 for each in rates)
    pairs = list(zip(rates, reference or rates, strict=True))
    by_rate = statistics.mean(own.per_second / other.per_second for own, other in pairs)
    by_p99 = statistics.mean(own.p99 / other.p99 for own, other in pairs)
    failed = sum(each.failed for each in rates)
    size = "+".join(f"{each:.0f}" for each in sizes)
    print(f"{name:12} {per_second:8.0f} {by_rate:8.2f} {p99:8.2f} {by_p99:8.2f} {failed:6}  {size}")


def slow_clients(port: int, clients: int = 1000) -> str:
    """Clients that never finish their head; how the others fare beside them."""
    held = []
    try:
        for _ in range(clients):
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connection.sendall(b"GET / HTTP/1.1\r\nX: ")
            held.append(connection)
        return "others: " + _asked(port)
    except OSError as fault:
        return f"after {len(held)} connections: {fault}"
    finally:
        for connection in held:
            connection.close()


def blocked(port: int, requests: int = 64) -> str:
    """Requests that block for two seconds each; how the others fare beside them."""
    request = REQUEST.replace(PATH.encode(), BLOCKING_PATH.encode())
    threads = [
        threading.Thread(target=_quietly, args=(port, request), daemon=True)
        for _ in range(requests)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    return "others: " + _asked(port)


def waiting(port: int, polls: int = 1000) -> str:
    """Long polls, one of each droplet, that nothing answers; how the others fare beside them."""
    target = f"{PATH}?wait_for_change=true"
    held = []
    try:
        for n in range(1, polls + 1):
            source = (f"127.0.{n >> 8}.{n & 255}", 0)
            connection = socket.create_connection(("127.0.0.1", port), 5, source)
            connection.sendall(REQUEST.replace(PATH.encode(), target.encode()))
            held.append(connection)
        return "others: " + _asked(port)
    finally:
        for connection in held:
            connection.close()


def _quietly(port: int, request: bytes) -> None:
    try:
        exchange(port, request, 60)
    except OSError:
        return  # how the others fare is what is asked here


def _asked(port: int, times: int = 20) -> str:
    took, failed = [], 0
    for _ in range(times):
        begun = time.monotonic()
        try:
            ok = exchange(port, REQUEST, 3).startswith(b"HTTP/1.1 200")
        except OSError:
            ok = False
        took.append(time.monotonic() - begun)
        failed += not ok
        if failed == 3:
            return "3 of 3 or more unanswered in 3 s"
    return f"{failed} of {times} failed, slowest {max(took) * 1000:.0f} ms"


HEADS = {
    "1 MB header": b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "two Content-Lengths": REQUEST[:-2] + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "TE and CL": REQUEST[:-2] + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "obs-fold": REQUEST[:-2] + b"A: b\r\n c\r\n\r\n",
    "space before colon": REQUEST[:-2] + b"A : b\r\n\r\n",
    "HTTP/1.0, no Host": f"GET {PATH} HTTP/1.0\r\n\r\n".encode(),
}


def head(port: int, request: bytes) -> str:
    """The status line and whether the server ended the connection by itself."""
    try:
        received = exchange(port, request, 3)
    except TimeoutError:
        return "left open or unanswered"
    except OSError:
        return "reset"
    return received.split(b"\r\n")[0].decode("latin-1", "replace") or "closed"


def idle_timeout(port: int, longest: float = 35.0) -> str:
    """When a connection with half a head is ended."""
    with socket.create_connection(("127.0.0.1", port), longest) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        begun = time.monotonic()
        try:
            connection.recv(4096)
        except TimeoutError:
            return f"not within {longest:.0f} s"
        except OSError:
            return f"after {time.monotonic() - begun:.0f} s"
        return f"after {time.monotonic() - begun:.0f} s"


def stop_under_load(process: subprocess.Popen[bytes], port: int) -> str:
    """SIGTERM while six clients ask one request a connection: what they saw, and the exit."""
    outcomes: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            outcomes[_outcome(port)] += 1

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        status = str(process.wait(20))
    except subprocess.TimeoutExpired:
        status = "none within 20 s"
    took = time.monotonic() - begun
    done.set()
    for thread in threads:
        thread.join()
    seen = {key: n for key, n in outcomes.items() if key not in ("answered", "refused")}
    return f"{seen or 'nothing lost'}, exit {status} after {took:.1f} s"


def _outcome(port: int) -> str:
    try:
        received = exchange(port, REQUEST, 10)
    except ConnectionRefusedError:
        time.sleep(0.01)
        return "refused"
    except ConnectionError:
        return "reset by the kernel"
    except OSError:
        return "timed out"
    if received == b"":
        return "closed unanswered"
    return "answered" if received.startswith(b"HTTP/1.1 200") else "wrong"


def measure_manners(names: list[str]) -> None:
    """Print what each candidate does with clients that are no benchmark."""
    print("\nManners, 1 worker")
    for name in names:
        print(f"\n{name}")
        with serving(name) as (process, port):
            for what, request in HEADS.items():
                print(f"  {what}: {head(port, request)}")
            print(f"  1,000 slow clients: {slow_clients(port)}")
            print(f"  half a head: ended {idle_timeout(port)}")
            if name in DEFERRING:
                print(f"  1,000 long polls: {waiting(port)}")
            if name != REFERENCE:
                print(f"  64 requests that block 2 s: {blocked(port)}")
                process.kill()  # what is still blocked would only keep it
        with serving(name) as (process, port):
            print(f"  SIGTERM under load: {stop_under_load(process, port)}")


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.http_choice", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--only", action="append", choices=sorted(CANDIDATES))
    parser.add_argument("--no-rates", action="store_true")
    parser.add_argument("--no-manners", action="store_true")
    options = parser.parse_args(arguments)
    names = options.only or list(CANDIDATES)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    print(f"{os.cpu_count()} cores, {os.uname().release}, load {os.getloadavg()[0]:.1f}")
    if not options.no_rates:
        for workers in options.workers:
            one_process = ("waitress", "eventlet") if workers > 1 else ()
            measure_rates(
                [each for each in names if each not in one_process],
                workers,
                options.seconds,
                options.rounds,
            )
    if not options.no_manners:
        measure_manners(names)


if __name__ == "__main__":
    main()
