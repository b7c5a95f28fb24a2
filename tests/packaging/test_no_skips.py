"""A run as root that passed over a test has failed: the rule of tests/conftest.py, tried."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SUITE = {
    "unit/test_unit.py": "def test_passes(): pass\n",
    "unit/test_skips.py": "import pytest\ndef test_skips(): pytest.skip('no reason')\n",
    "system/test_system.py": "def test_passes(): pass\n",
}


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A few tests under our conftest.py."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    root: needs root\n")
    for name, text in SUITE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(suite: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on the suite, as a process of its own."""
    # The plugins of schemathesis take seconds to load.
    without = (f"-pno:{name}" for name in ("cacheprovider", "schemathesis", "anyio"))
    command = [sys.executable, "-m", "pytest", *without, *options]
    return subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False)


def test_a_skip_fails_a_run_as_root_and_no_other(suite: Path) -> None:
    done = run(suite)
    if os.geteuid() == 0:
        assert done.returncode == 1, done.stdout
        assert "as root every test has to run" in done.stdout
    else:
        assert done.returncode == 0, done.stdout


def test_without_a_skip_the_run_passes(suite: Path) -> None:
    (suite / "unit/test_skips.py").unlink()
    done = run(suite)
    assert done.returncode == 0, done.stdout


def test_check_leaves_the_system_tests_out(suite: Path) -> None:
    (suite / "unit/test_skips.py").unlink()
    done = run(suite, "-m", "not root")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 deselected" in done.stdout
