"""The benches import of this project only what is there.

They import late, in processes of their own, and no test runs them whole: without this a renamed
class is noticed by whoever next runs `make bench`.
"""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OURS = ("bench", "lab", "metadata_http", "ovs_metadata_client", "ryu_apps", "tests")
SOURCES = sorted((ROOT / "bench").glob("*.py"))


def imported(source: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each `from module import name` of ours, at whatever depth."""
    for node in ast.walk(ast.parse(source.read_text())):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        if module and module.split(".")[0] in OURS:
            yield from ((module, alias.name) for alias in node.names)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_every_imported_name_is_there(source: Path) -> None:
    for module, name in imported(source):
        found = importlib.import_module(module)
        if not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
