"""One run of wrk, and what a family of processes takes of the machine meanwhile."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
_SCALE = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests and bytes a second, the 99th percentile in milliseconds, and how many requests."""

    per_second: float
    bytes: float
    p99: float
    requests: int


def rate(
    url: str,
    seconds: int,
    *,
    close: bool,
    within: Callable[..., list[str]] = lambda *words: [*words],
) -> Rate:
    """Ask for so many seconds on 32 connections, with one request each if `close`.

    `within` puts the command into a namespace. Raises RuntimeError where one answer is no 200.
    """
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    words += ["-H", "Connection: close"] if close else []
    text = subprocess.run(within(*words, url), capture_output=True, text=True, check=True).stdout
    # A connection that the server closes after its answer is no error; wrk counts none for it.
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"wrk {url} got other than answers:\n{text}")
    value, unit = _found(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    moved, scale = _found(r"Transfer/sec:\s+([\d.]+)(B|KB|MB|GB)", text)
    (per_second,) = _found(r"Requests/sec:\s+([\d.]+)", text)
    (requests,) = _found(r"(\d+) requests in", text)
    p99 = float(value) * _SCALE[unit]
    return Rate(float(per_second), float(moved) * _BYTES[scale], p99, int(requests))


def _found(pattern: str, text: str) -> Sequence[str]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk did not say {pattern}:\n{text}")
    return found.groups()


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def memory(pid: int) -> list[float]:
    """Resident MB (10^6 bytes) of each process of the family, the largest first."""
    sizes = (
        _found(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text()) for each in family(pid)
    )
    return sorted((int(size) * 1024 / 1e6 for (size,) in sizes), reverse=True)


def cpu(pid: int) -> float:
    """Seconds of processor that the family has had."""
    stats = (
        Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in family(pid)
    )
    return sum(int(words[11]) + int(words[12]) for words in stats) / _TICKS
