"""The pages that are made from the flows and the options are those that are committed."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["pipeline.md", "options.md"])
def test_the_page_is_up_to_date(generator: ModuleType, name: str):
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert generator.pages()[DOCS / name] == committed, "run .venv/bin/python docs/generate.py"


def test_every_page_that_is_made_is_tested(generator: ModuleType):
    assert {path.name for path in generator.pages()} == {"pipeline.md", "options.md"}
