"""`make demo`: the story comes out right, ends as it is told to, and leaves nothing behind."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.wait import wait_for
from tests.system.test_lab_cleanup import left

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "lab.demo"]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The demo as it stays up, and what it has said so far."""
    said = tmp_path / "demo.log"
    with said.open("wb") as output:
        process = subprocess.Popen(DEMO, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    yield process, said
    process.kill()
    process.wait()


def test_once_ends_by_itself_and_everybody_got_what_they_should() -> None:
    process = subprocess.Popen(
        [*DEMO, "--once"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "Every droplet got its own, and nobody anything else." in said
    for flow in ("A1", "A2", "N1", "L1", "R1", "R2"):
        assert f"\n  {flow} " in said
    assert left(f"ovsmd-{process.pid}[a-z]") == []


def test_the_region_loses_a_leader_and_a_member_and_nobody_notices() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.fleet_demo", "--once"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "times meanwhile and was always answered" in said
    assert "Every droplet got its own, and nobody anything else." in said
    assert left(f"ovsmd-{process.pid}[a-z]") == []


def test_it_stays_until_it_is_interrupted(demo: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Told to end by SIGTERM it leaves as little: `test_tutorial.py`."""
    process, said = demo
    wait_for(lambda: "Your turn" in said.read_text(), "the last chapter", 60, said.read_text)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert left(f"ovsmd-{process.pid}[a-z]") == []


def test_ended_in_the_middle_it_leaves_nothing(
    demo: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, said = demo
    wait_for(lambda: "2. Two processes" in said.read_text(), "chapter 2", 60, said.read_text)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 1, said.read_text()
    assert left(f"ovsmd-{process.pid}[a-z]") == []
