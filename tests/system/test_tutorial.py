"""docs/tutorial.md, followed in the demo: each command does what the page says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.wait import wait_for
from tests.docs_shell import Shown, blocks, session
from tests.system.test_lab_cleanup import left

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
SECONDS = 60
"""A net for a command that hangs."""

PLACES = {"web-1": "web-1:", "db-1": "db-1:", "host": "the hypervisor:"}
"""The name in a prompt, and what the demo says above the command that opens a shell there."""

# What differs from run to run, with what stands for it on both sides.
VOLATILE = [
    (r" +", " "),
    (r"(?<=date: ).*", "DATE"),
    (r'(?<=etag: )".*"', "ETAG"),
    (r"\b(?!a6:a4:8e)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"),
    (r"load:0x(?!a6a48e)[0-9a-f]{9,12}(?=->NXM_NX_ARP_[ST]HA)", "load:MAC"),
    (r"(?<=of )[0-9a-f]{16}\b", "DPID"),
    (r"\b(seq|ack|val|ecr|win|wscale) \d+", r"\1 N"),
    (r"\b(10\.0\.0\.5|100\.127\.2\.90)\.\d+\b", r"\1.PORT"),
    (r"\b([sd]port)=\d{4,5}\b", r"\1=PORT"),
    (r"(?<=state=)\w+", "STATE"),
    (r"eth0@if\d+", "eth0@ifN"),
    (r"(connections|packets back) \d+", r"\1 N"),
    (r"(?<=conntrack passed ).*", "N TIME_WAIT"),
]


@pytest.fixture
def shells(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The demo as it stays up: the command that opens a shell, by the name in the prompt."""
    log = tmp_path / "demo.log"
    command = [sys.executable, "-m", "lab.demo"]
    with log.open("wb") as output:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        last = PLACES["host"] + "\n$ "
        wait_for(lambda: last in log.read_text(), "the last chapter", 60, log.read_text)
        wait_for(lambda: log.read_text().endswith("bash\n"), "its end", 60, log.read_text)
        told = log.read_text()
        yield {
            name: told.rpartition(f"{place}\n$ ")[2].splitlines()[0]
            for name, place in PLACES.items()
        }
    finally:
        demo.terminate()
        demo.wait(SECONDS)
    assert left(f"ovsmd-{demo.pid}[a-z]") == []


def plain(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run."""
    text = "\n".join(line.rstrip() for line in lines)
    for pattern, instead in VOLATILE:
        text = re.sub(pattern, instead, text)
    return text.strip("\n").split("\n")


def agrees(told: list[str], said: list[str]) -> bool:
    """Whether the lines said are those told, where `...` is any number of lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in told)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in said)) is not None


def compare(shown: Shown, said: str, status: int) -> None:
    """Fail where a command did something else than the page says."""
    told, heard = plain(shown.output), plain(said.splitlines())
    assert agrees(told, heard), f"{shown.text}\n--- told\n" + "\n".join([*told, "--- said", *heard])
    dies = any("its request dies at" in line for line in told)
    assert status == (1 if dies else 0), shown.text


def follow(commands: list[Shown], shells: dict[str, str]) -> None:
    """Do a block's commands in their order; a tcpdump listens to those after it."""
    listening: list[tuple[Shown, subprocess.Popen[str]]] = []
    try:
        for shown in commands:
            process = subprocess.Popen(
                ["bash", "-c", f'{shells[shown.where]} -c "$1"', "bash", shown.text],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if shown.text.startswith("tcpdump"):
                listening.append((shown, process))
                assert any("listening on" in line for line in iter(process.stderr.readline, ""))
                continue
            said, complaint = process.communicate(timeout=SECONDS)
            assert complaint == "", f"{shown.text}: {complaint}"
            compare(shown, said, process.returncode)
        for shown, process in listening:
            said, _ = process.communicate(timeout=SECONDS)
            compare(shown, said, process.returncode)
    finally:
        for _, process in listening:
            process.kill()
            process.wait()


def test_each_command_does_what_the_page_says(shells: dict[str, str]) -> None:
    sessions = [session(block) for block in blocks(PAGE.read_text(encoding="utf-8"))]
    # The first is `make demo`, which runs.
    (start,), *others = [commands for commands in sessions if commands]
    assert (start.where, start.text) == ("", "make demo")
    assert sum(map(len, others)) >= 20
    for commands in others:
        follow(commands, shells)


@pytest.mark.parametrize(
    ("told", "said", "right"),
    [
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nb\nc", False),
        ("a\nd", "a\nb\nd", False),
        ("IP 100.127.2.90.1234 > x: seq 7", "IP 100.127.2.90.9 > x: seq 8", True),
        ("IP 100.127.2.90.1234 > x: seq 7", "IP 100.127.2.91.1234 > x: seq 7", False),
        ("conntrack  passed  2 TIME_WAIT", "conntrack  died  nothing", False),
    ],
)
def test_what_differs_is_told_from_what_is_wrong(told: str, said: str, right: bool) -> None:
    assert agrees(plain(told.splitlines()), plain(said.splitlines())) is right
