"""The pages made from flows, options, metrics, alerts and figures are those that are committed."""

import ast
import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

import click
import pytest

import metadata_http.settings
import ryu_apps.settings
from ryu_apps.dropletctl.cli import cli

DOCS = Path(__file__).parents[2] / "docs"
MONITORING = ["monitoring/alerts.yml", "monitoring/dashboard.json"]
OTHERS = ["../packaging/ovs-metadata.conf", *MONITORING]
PAGES = [
    *("pipeline.md", "options.md", "metrics.md", "commands.md", "openapi.md", "operations.md"),
    *OTHERS,
]
MANUALS = ["man/dropletctl.1", "man/metadata-http.8", "man/ovs-metadata.conf.5"]
FAULTS = Path(__file__).parents[1] / "system" / "test_faults.py"
FLEET_FAULTS = FAULTS.with_name("test_fleet_faults.py")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", [*PAGES, *MANUALS])
def test_the_page_is_up_to_date(generator: ModuleType, name: str):
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert generator.pages()[(DOCS / name).resolve()] == committed, (
        "run .venv/bin/python docs/generate.py"
    )


def test_every_page_that_is_made_is_tested(generator: ModuleType):
    assert set(generator.pages()) == {(DOCS / name).resolve() for name in [*PAGES, *MANUALS]}


def test_each_decision_has_a_number_of_its_own():
    files = sorted((DOCS / "decisions").glob("*.md"))
    assert [file.name[:4] for file in files] == [f"{n:04}" for n in range(1, len(files) + 1)]
    for file in files:
        assert file.read_text(encoding="utf-8").startswith(f"# {file.name[:4]}. ")


def test_each_fault_of_the_table_is_a_test_and_was_measured(generator: ModuleType):
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    _, section, _ = generator.fault_section(page)
    rows = [row["name"].replace(" ", "_") for row in generator.FAULT_ROW.finditer(section)]
    tree = ast.parse(FAULTS.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    tests = [name.removeprefix("test_") for name in names if name.startswith("test_")]
    measured = json.loads((DOCS / "faults.json").read_text(encoding="utf-8"))["faults"]
    assert sorted(rows) == sorted(tests) == sorted(measured)


def test_each_fault_of_a_region_is_a_test_and_was_measured(generator: ModuleType):
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    _, section, _ = generator.fault_section(page, generator.REGION)
    rows = [row["name"].replace(" ", "_") for row in generator.REGION_ROW.finditer(section)]
    (tests,) = (
        [name.id for name in node.value.elts]
        for node in ast.parse(FLEET_FAULTS.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "ROWS"
    )
    measured = json.loads((DOCS / "faults.json").read_text(encoding="utf-8"))["fleet"]
    assert sorted(rows) == sorted(tests) == sorted(measured)


@pytest.mark.parametrize("name", MANUALS)
def test_the_manual_is_right_for_mandoc_and_for_man(name: str):
    lint = run("mandoc", "-T", "lint", "-W", "warning", DOCS / name)
    # A page that is generated has no date of its own; a footer without one is as good.
    complaints = [line for line in lint.stdout.splitlines() if "missing date" not in line]
    assert complaints == []
    page = run("man", "--warnings", "-E", "UTF-8", "-l", DOCS / name)
    assert (page.returncode, page.stderr) == (0, "")
    assert page.stdout.startswith(Path(name).stem.upper())


def test_mandoc_complains_of_a_page_that_is_wrong(tmp_path: Path):
    page = tmp_path / "wrong.1"
    page.write_text('.TH WRONG 1 "" x\n.SH NAME\nwrong \\- x\n.XX y\n')
    assert "unknown macro" in run("mandoc", "-T", "lint", "-W", "warning", page).stdout


def test_the_manual_has_every_command_option_and_key():
    """The pages are made of them; here they are looked for as a reader finds them."""
    text = {name: shown(DOCS / name) for name in MANUALS}
    for name in cli.list_commands(click.Context(cli)):
        assert re.search(rf"^   {name} \[OPTIONS\]", text["man/dropletctl.1"], re.MULTILINE), name
    for option in (*ryu_apps.settings.OPTIONS, *metadata_http.settings.OPTIONS):
        page = text["man/ovs-metadata.conf.5"]
        assert re.search(rf"^       {option.name}\b", page, re.MULTILINE), option.name
    for word in ("--config-file", "--tokens-file", "DROPLETCTL_URL", "/etc/ovs-metadata.conf"):
        assert word in text["man/dropletctl.1"], word
    assert "--config-file FILE" in text["man/metadata-http.8"]


def shown(page: Path) -> str:
    """A page as it is read, wide, without a terminal's bold."""
    done = run("mandoc", "-T", "utf8", "-O", "width=200", page)
    return re.sub(".\b", "", done.stdout)


def run(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8"}
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
