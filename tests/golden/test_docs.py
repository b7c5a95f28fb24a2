"""The pages that are made from flows, options and figures are those that are committed."""

import ast
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["pipeline.md", "options.md", "operations.md"]
FAULTS = Path(__file__).parents[1] / "system" / "test_faults.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(generator: ModuleType, name: str):
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert generator.pages()[DOCS / name] == committed, "run .venv/bin/python docs/generate.py"


def test_every_page_that_is_made_is_tested(generator: ModuleType):
    assert {path.name for path in generator.pages()} == set(PAGES)


def test_each_fault_of_the_table_is_a_test_and_was_measured(generator: ModuleType):
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    _, section, _ = generator.fault_section(page)
    rows = [row["name"].replace(" ", "_") for row in generator.FAULT_ROW.finditer(section)]
    tree = ast.parse(FAULTS.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    tests = [name.removeprefix("test_") for name in names if name.startswith("test_")]
    measured = json.loads((DOCS / "faults.json").read_text(encoding="utf-8"))["faults"]
    assert sorted(rows) == sorted(tests) == sorted(measured)
