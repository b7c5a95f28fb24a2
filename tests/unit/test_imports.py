"""What a program does not need it does not import: it would cost each start of it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Tools of tests and of packaging, and what only other programs of ours need.
TOOLS = {"pytest", "hypothesis", "scapy", "schemathesis", "jsonschema", "setuptools", "unittest"}
NOT_IMPORTED = {
    "metadata_http.__main__": TOOLS
    | {"ryu", "eventlet", "sqlite3", "webob", "click", "rich", "requests", "etcd3gw"},
    "ryu_apps.dropletctl.__main__": TOOLS
    | {"ryu", "eventlet", "sqlite3", "webob", "rich", "requests", "etcd3gw"}
    | {"prometheus_client", "urllib3", "cryptography", "oslo_config", "granian", "asyncio"},
    "ryu_apps.metadata_controller": TOOLS
    | {"click", "rich", "granian", "urllib3", "requests", "etcd3gw"},
}

LISTED = "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sys.modules)"


@pytest.mark.parametrize("program", NOT_IMPORTED)
def test_a_program_starts_without_what_it_does_not_need(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LISTED, program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    imported = set(done.stdout.split())
    assert program in imported
    assert not imported & NOT_IMPORTED[program]
