"""Prometheus's own checker, which scripts/promtool finds or fetches."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs promtool with these words; its status and what it said are the caller's to judge."""
    found = subprocess.run(
        [ROOT / "scripts" / "promtool"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [found.stdout.strip(), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
