"""Faults that operators meet, each broken on the installed host: docs/faults.md, taken at its word.

A section of the page breaks something, shows what one command says of it, and perhaps has what an
operator does before. This does the same: the command says what the page says, what it prints after
`mend:` is run as it is printed, and the droplet is served again.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.wait import wait_for
from tests.docs_shell import Shown, blocks, session
from tests.install.host import Host

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
NAMERS = re.compile(r"dropletctl (doctor|trace)\b")
SOUND = re.compile(r"nothing wrong$|nothing on this side keeps it from its metadata$", re.M)
MEND = re.compile(r"^    mend: (.*)$", re.MULTILINE)

# What is another each time: a dpid, how often a droplet has asked, what conntrack still has of it.
VARIES = (
    (re.compile(r"\b[0-9a-f]{16}\b"), "DPID"),
    (re.compile(r"connections \d+, packets back \d+"), "connections N, packets back N"),
    (re.compile(r"^conntrack +passed .*$", re.MULTILINE), "conntrack passed"),
    (re.compile(r"\bofport \d+ of"), "ofport N of"),
    (re.compile(r"\b100\.127\.0\.\d+\b"), "HV-LOCAL"),
    (re.compile(r" +$", re.MULTILINE), ""),
)


@dataclass(frozen=True)
class Section:
    """How it is broken, which command names it with what words, what is done before its mends."""

    title: str
    broken: tuple[str, ...]
    names: Shown
    before: tuple[str, ...]


def sections(page: str) -> list[Section]:
    """The page's faults, in its order."""
    found = []
    for title, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", page, re.MULTILINE):
        shown = [each for block in blocks(text) for each in session(block)]
        (at,) = (n for n, each in enumerate(shown) if NAMERS.match(each.text))
        texts = [each.text for each in shown]
        broken, before = tuple(texts[:at]), tuple(texts[at + 1 :])
        found.append(Section(title, broken, shown[at], before))
    return found


def as_ever(text: str) -> str:
    """A text without what is another each time."""
    for pattern, word in VARIES:
        text = pattern.sub(word, text)
    return text.strip("\n")


SECTIONS = sections(PAGE.read_text(encoding="utf-8"))


def test_there_are_ten_at_least() -> None:
    assert len(SECTIONS) >= 10
    assert {NAMERS.match(each.names.text)[1] for each in SECTIONS} == {"doctor", "trace"}


def is_command(host: Host, line: str) -> bool:
    """Whether a mend is one to type, and no sentence."""
    word = shlex.quote(line.split()[0])
    return host.run("sh", "-c", f"command -v {word}", check=False).returncode == 0


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_it_is_named_by_one_command_and_mended_as_that_says(host: Host, section: Section) -> None:
    def told() -> str:
        done = host.run("sh", "-c", section.names.text, check=False)
        assert done.returncode == (0 if SOUND.search(done.stdout) else 1), done.stderr
        return done.stdout

    for line in section.broken:
        host.run("sh", "-c", line, check=False)
    wanted = as_ever("\n".join(section.names.output))
    if "trace" in section.names.text:
        # A droplet that gets no answer asks for others as well, and so is seen by the switch.
        host.asks("web-1", "/", at="10.0.0.1", seconds=1)
    wait_for(lambda: as_ever(told()) == wanted, "what the page says", 60, told)
    mends = [line for line in MEND.findall(told()) if is_command(host, line)]
    assert mends, "it says what to type"
    for line in (*section.before, *dict.fromkeys(mends)):
        host.said("sh", "-euc", line)
    host.wait_until_served()
    wait_for(lambda: SOUND.search(told()), "that command's word that all is well", 60, told)
