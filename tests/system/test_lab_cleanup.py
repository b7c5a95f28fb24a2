"""Nothing of the lab outlives its run: not a namespace, a process or a file, however it ended."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab, sweep
from lab.namespace import ETC_NETNS, RUN_NETNS
from lab.wait import wait_for

ROOT = Path(__file__).parents[2]

# A run that makes all there is to make, says so, and waits to be ended.
RUN = """
import signal, time
from lab.lab import Lab
def stop(number, frame): raise SystemExit(3)
signal.signal(signal.SIGTERM, stop)
with Lab() as lab:
    host = lab.hypervisor()
    host.add_bridge()
    host.add_droplet("tap1", ofport=7, mac="02:00:00:00:00:01", addresses="10.0.0.5/24")
    print(lab.prefix, flush=True)
    {then}
"""


def left(prefix: str) -> list[str]:
    """What there is of a run on the machine: namespaces, files, processes. `prefix` may be an
    expression."""
    folders = (RUN_NETNS, ETC_NETNS, Path(tempfile.gettempdir()))
    names = [str(path) for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return [name for name in names if re.search(rf"{prefix}-", name)] + processes(prefix)


def processes(prefix: str) -> list[str]:
    """The processes that name the run in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # It has ended meanwhile.
        if re.search(rf"{prefix}-", words):
            found.append(f"{folder.name}: {words}")
    return found


@pytest.fixture
def run() -> Iterator[list[subprocess.Popen[str]]]:
    """Runs that a test starts; killed in the end if they are still there."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def start(run: list[subprocess.Popen[str]], then: str) -> tuple[subprocess.Popen[str], str]:
    """Start a run and wait until it has made everything; the process and its prefix."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN.format(then=then)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    run.append(process)
    assert process.stdout is not None
    prefix = process.stdout.readline().strip()
    assert prefix
    return process, prefix


def test_after_the_end(run: list[subprocess.Popen[str]]) -> None:
    process, prefix = start(run, "pass")
    assert process.wait() == 0
    assert left(prefix) == []


def test_after_a_failure(run: list[subprocess.Popen[str]]) -> None:
    process, prefix = start(run, "raise RuntimeError")
    assert process.wait() == 1
    assert left(prefix) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal(run: list[subprocess.Popen[str]], number: signal.Signals) -> None:
    process, prefix = start(run, "time.sleep(100)")
    assert left(prefix)
    process.send_signal(number)
    process.wait()
    assert left(prefix) == []


def test_two_signals_do_not_stop_the_taking_away(run: list[subprocess.Popen[str]]) -> None:
    process, prefix = start(run, "time.sleep(100)")
    for _ in range(5):
        process.send_signal(signal.SIGINT)
    process.wait()
    assert left(prefix) == []


def test_what_a_killed_run_left_is_swept_up(run: list[subprocess.Popen[str]]) -> None:
    process, prefix = start(run, "time.sleep(100)")
    process.kill()
    process.wait()
    # Its daemons die with it; what is left are names.
    wait_for(lambda: not processes(prefix), "the daemons of a killed run to end")
    assert left(prefix)
    sweep()
    assert left(prefix) == []


def test_what_belongs_to_a_run_that_lives_is_left_alone() -> None:
    with Lab() as lab:
        namespace = lab.namespace("alive")
        assert str(os.getpid()) in namespace.name
        sweep()
        assert (RUN_NETNS / namespace.name).exists()
        assert lab.directory.exists()
    assert left(lab.prefix) == []


def test_a_droplet_may_leave_early() -> None:
    with Lab() as lab:
        host = lab.hypervisor()
        host.add_bridge()
        droplet = host.add_droplet("tap1", ofport=7, mac="02:00:00:00:00:01")
        host.remove_droplet(droplet)
        assert not (RUN_NETNS / droplet.namespace.name).exists()
        assert "tap1" not in host.ovs.vsctl("list-ports", "br0")
        assert "tap1" not in host.run("ip", "link").stdout
        again = host.add_droplet("tap1", ofport=7, mac="02:00:00:00:00:01")
        assert host.ovs.ofport("tap1") == again.ofport
