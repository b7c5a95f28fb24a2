"""Every event is declared once and said somewhere, with exactly its fields."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import metadata_http.events
import ryu_apps.events
from ovs_metadata_logs.event import Event

ROOT = Path(__file__).parents[3]
TABLES = {"ryu_apps": ryu_apps.events, "metadata_http": metadata_http.events}
OF_SAY = {"trace"}


def calls(package: str) -> Iterator[tuple[str, ast.Call]]:
    """Each call of `say` in the package, and where it is."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "say":
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def events_of(node: ast.expr) -> list[str]:
    """The names of the events an argument may be."""
    if isinstance(node, ast.IfExp):
        return [*events_of(node.body), *events_of(node.orelse)]
    return [ast.unparse(node).removeprefix("events.")]


@pytest.mark.parametrize("package", TABLES)
def test_each_call_gives_the_fields_of_its_event(package: str) -> None:
    said = set()
    for where, call in calls(package):
        given = {word.arg for word in call.keywords if word.arg} - OF_SAY
        spread = any(word.arg is None for word in call.keywords)
        for name in events_of(call.args[1]):
            event = getattr(TABLES[package], name)
            said.add(name)
            assert given <= event.fields, f"{where}: {event.name} has no {given - event.fields}"
            missing = event.fields - set(event.more) - given
            assert spread or not missing, f"{where}: {event.name} without {missing}"
    declared = {name for name, each in vars(TABLES[package]).items() if isinstance(each, Event)}
    assert said == declared


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_names_are_unique_and_those_of_their_constants(table: ModuleType) -> None:
    declared = {name: each for name, each in vars(table).items() if isinstance(each, Event)}
    assert {name.lower() for name in declared} == {each.name for each in declared.values()}
    assert len(table.BY_NAME) == len({each.name for each in table.EVENTS}) + 5


@pytest.mark.parametrize("package", TABLES)
def test_nothing_is_logged_but_events(package: str) -> None:
    """The lines of a library have its own words; ours do not."""
    levels = ("debug", "info", "warning", "error", "exception", "critical", "log")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in levels
        and ast.unparse(node.value) in ("LOG", "log", "logging")
    ]
    # What eventlet's HTTP server says is handed on there.
    assert [each for each in found if not each.startswith("ryu_apps/northbound/mount.py")] == []


def test_an_event_with_a_field_that_there_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no such field"):
        Event("x", 20, "{dropletid}", "")
    with pytest.raises(ValueError, match="no such field"):
        Event("x", 20, "{dpid}", "", key=("ofport",))
