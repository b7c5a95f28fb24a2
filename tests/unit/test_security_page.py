"""docs/security.md claims nothing without a test that proves it, and each test it names exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
_NAMED = re.compile(r"`(tests/\S+?\.py)((?:::\w+)*)`")
_MORE = re.compile(r"`::(\w+)`")


def claims(page: str) -> Iterator[tuple[str, str]]:
    """The rows of the tables headed by claims: what is claimed, and the cell with its proof."""
    for table in re.findall(r"\| claim \| .*\n\| --- .*\n((?:\|.*\n)+)", page):
        for row in table.splitlines():
            claim, proof = re.split(r"(?<!\\)\|", row.strip().strip("|"))
            yield claim.strip(), proof.strip()


def names_in(proof: str) -> Iterator[tuple[str, str]]:
    """File and test of each reference; `::name` alone is in the file named before it."""
    file = ""
    for found in re.finditer(r"`[^`]+`", proof):
        if named := _NAMED.fullmatch(found[0]):
            file = named[1]
            yield file, named[2].removeprefix("::")
        elif more := _MORE.fullmatch(found[0]):
            yield file, more[1]


def known_in(file: str) -> set[str]:
    """What a test file has at its top: functions, classes with their methods, state machines."""
    path = ROOT / file
    if not file or not path.is_file():
        return set()
    found = {""}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if hasattr(each, "name")}
        elif isinstance(node, ast.Assign):
            found |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    return {name for name in found if not name or name.split("::")[-1].lower().startswith("test")}


def missing(page: str) -> list[str]:
    """What the page names or claims and there is none of."""
    faults = []
    for claim, proof in claims(page):
        named = list(names_in(proof))
        faults += [] if named else [f"no test: {claim}"]
        faults += [f"{file}::{name}" for file, name in named if name not in known_in(file)]
    return faults


def test_every_claim_names_tests_that_exist():
    page = PAGE.read_text()
    assert len(list(claims(page))) > 20, "the tables were not found"
    assert missing(page) == []


def test_nothing_but_a_claim_names_a_test():
    """So none escapes: all that the page names is in a row that is looked at."""
    page = PAGE.read_text()
    in_rows = sum(len(list(names_in(proof))) for _, proof in claims(page))
    assert len(re.findall(r"`(?:tests/\S+\.py)?::\w+", page)) == in_rows


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| a | `tests/unit/test_security_page.py::test_of_nothing` |", True),
        ("| a | `tests/unit/test_of_nothing.py::test_a` |", True),
        ("| a | `tests/unit/test_security_page.py::names_in` |", True),
        ("| a | `::test_every_claim_names_tests_that_exist` |", True),
        ("| a | believe me |", True),
        (
            "| a | `tests/unit/test_security_page.py::test_a_claim_without_its_test_is_found` |",
            False,
        ),
        (
            "| a | `tests/trace/test_fence.py::TestTheFence::test_what_conntrack_calls_invalid` |",
            False,
        ),
    ],
)
def test_a_claim_without_its_test_is_found(row, fault):
    page = f"| claim | proven by |\n| --- | --- |\n{row}\n"
    assert bool(missing(page)) == fault
