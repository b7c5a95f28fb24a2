"""Each command of ours in the documentation has the name, options and targets that there are."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import metadata_http.__main__
from ryu_apps.dropletctl.cli import cli
from tests.docs_shell import ours

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^(\w+) \?=", MAKEFILE, re.MULTILINE)) | set(
    re.findall(r"\$\(filter \d,\$\((\w+)\)\)", MAKEFILE)
)
NOT_WORDS = re.compile(r"[\[\]<>…]|\.\.\.")
"""In what stands for a word, as in a line of usage."""


class Wrong(Exception):
    """The command is none."""


def check(words: list[str]) -> None:
    """Raise Wrong for a command that its program does not know."""
    name, *rest = words
    rest = [word for word in rest if not NOT_WORDS.search(word)]
    {
        "dropletctl": _dropletctl,
        "make": _make,
        "metadata-http": _metadata_http,
        "ryu-manager": _ryu_manager,
    }[name](rest)


def _dropletctl(rest: list[str]) -> None:
    if rest[:1] == ["-"]:  # A line of a drawing.
        return
    root = click.Context(cli, info_name="dropletctl")
    try:
        _, left, _ = cli.make_parser(root).parse_args(list(rest))
        if not left or left[0].isupper():  # The command alone, or COMMAND as in a usage.
            return
        found = cli.get_command(root, left[0])
        if found is None:
            raise Wrong(f"dropletctl has no command {left[0]}")
        context = click.Context(found, root, info_name=left[0])
        _, more, _ = found.make_parser(context).parse_args(left[1:])
    except click.UsageError as error:
        raise Wrong(error.format_message()) from error
    if more:
        raise Wrong(f"dropletctl {left[0]} takes no {more[0]}")


def _make(rest: list[str]) -> None:
    for word in rest:
        name, is_set, _ = word.partition("=")
        if name not in (VARIABLES if is_set else TARGETS):
            raise Wrong(f"the Makefile has no {name}")


def _metadata_http(rest: list[str]) -> None:
    try:
        metadata_http.__main__.parser().parse_args(rest)
    except SystemExit as end:
        raise Wrong(f"metadata-http takes no {rest}") from end


def _ryu_manager(rest: list[str]) -> None:
    app = True
    for word in rest:
        name = word.partition("=")[0]
        if name.startswith("-"):
            if name not in ryu_options():
                raise Wrong(f"ryu-manager has no {name}")
            app = "=" in word or name.startswith("--no")
        elif app:
            if word.startswith("ryu_apps.") and importlib.util.find_spec(word) is None:
                raise Wrong(f"there is no module {word}")
        else:
            app = True


_RYU: set[str] = set()


def ryu_options() -> set[str]:
    """What `ryu-manager --help` lists."""
    if not _RYU:
        done = subprocess.run(
            [Path(sys.executable).parent / "ryu-manager", "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        _RYU.update(re.findall(r"--[a-z][\w-]*", done.stdout))
    return _RYU


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_of_the_page_is_one(page: Path) -> None:
    faults = []
    for words in ours(page.read_text(encoding="utf-8")):
        try:
            check(words)
        except Wrong as wrong:
            faults.append(f"{' '.join(words)}: {wrong}")
    assert faults == []


def units(text: str) -> set[str]:
    """The units that systemctl is given in a text, an instance as its template."""
    found = re.findall(r"systemctl [a-z-]+ (?:--\w+ )*([\w.@-]+)", text)
    named = (re.sub(r"@.*", "@", unit) for unit in found)
    return {unit if "." in unit else f"{unit}.service" for unit in named}


ELSE = {"other-metadata.service"}
"""What a page starts that is somebody else's."""


def test_systemctl_is_given_units_that_there_are() -> None:
    there = {unit.name for unit in (ROOT / "packaging" / "systemd").iterdir()}
    named = units("\n".join(page.read_text(encoding="utf-8") for page in PAGES))
    assert "ovs-metadata-host-setup@.service" in named
    assert named - there == ELSE


def test_a_unit_that_is_none_is_noticed() -> None:
    assert units("# systemctl enable --now ovs-metadata-host-step@br0") == {
        "ovs-metadata-host-step@.service"
    }


def test_the_commands_are_found() -> None:
    """Most pages have some: a search that finds none would let everything pass."""
    found = [tuple(words) for page in PAGES for words in ours(page.read_text(encoding="utf-8"))]
    assert {words[0] for words in found} == {"dropletctl", "make", "metadata-http", "ryu-manager"}
    assert ("dropletctl", "doctor", "--bridge", "br0") in found
    assert ("make", "demo", "ONCE=1") in found
    assert len(set(found)) > 50


@pytest.mark.parametrize(
    "text",
    [
        "    # dropletctl prots\n",
        "    $ dropletctl ports --jsno\n",
        "    dropletctl get 1 2\n",
        "    echo x | dropletctl putt 1 -\n",
        "see `dropletctl wacth`\n",
        "```\ndropletctl host-setup --brigde br0\n```\n",
        "    make dmeo\n",
        "    make demo TWICE=1\n",
        "    metadata-http --config FILE --what\n",
        "    ryu-manager --config-fiel FILE ryu_apps.metadata_controller\n",
        "    ryu-manager --config-file FILE ryu_apps.metadata_controler\n",
    ],
)
def test_a_command_that_is_none_is_noticed(text: str) -> None:
    (words,) = ours(text)
    with pytest.raises(Wrong):
        check(words)
