"""The Ryu in use is the official 4.34 plus our patch and nothing else, built by current tools."""

import hashlib
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.version import Version

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OURS = "4.34+ovsmetadata.1"
SDIST = ROOT / ".build/sdist/ryu-4.34.tar.gz"
WHEEL = ROOT / f".build/wheels/ryu-{OURS}-py3-none-any.whl"
PATCH = ROOT / "third_party/ryu/ryu-4.34.patch"


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """The official source tree, unpacked; its archive is the one pinned by its hash."""
    digest = hashlib.sha256(SDIST.read_bytes()).hexdigest()
    assert f"ryu==4.34 --hash=sha256:{digest}" in (ROOT / "third_party/ryu/sdist.txt").read_text()
    subprocess.run(["tar", "-xzf", SDIST, "-C", tmp_path], check=True)
    return tmp_path / "ryu-4.34"


@pytest.fixture
def patched(official: Path) -> Path:
    """The official tree with our patch on it, which fits to the letter."""
    command = ["patch", "--batch", "--forward", "--fuzz=0", "--strip=1", f"--directory={official}"]
    with PATCH.open("rb") as patch:
        done = subprocess.run(command, stdin=patch, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return official


@pytest.fixture
def installed() -> Distribution:
    """What this virtual environment knows of its Ryu."""
    return distribution("ryu")


def build(tree: Path) -> subprocess.CompletedProcess[str]:
    """Build a wheel of `tree` with the setuptools of this environment, from nothing outside it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"]
    return subprocess.run(
        [*pip, "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", tree.parent, tree],
        capture_output=True,
        text=True,
        check=False,
    )


def code_in(wheel: Path) -> dict[str, bytes]:
    """Each Python file of the wheel's package, by its path."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        return {name: archive.read(name) for name in names}


def test_every_place_that_names_the_version_names_the_same_one(installed: Distribution) -> None:
    assert installed.version == OURS
    assert f"ryu =={OURS}\n" in (ROOT / "setup.cfg").read_text()
    assert f"ryu=={OURS}\n" in (ROOT / "constraints.txt").read_text()
    assert f"ryu-{OURS}-py3" in (ROOT / "Makefile").read_text()


def test_wheel_was_built_by_current_setuptools(installed: Distribution) -> None:
    metadata = installed.read_text("WHEEL")
    assert metadata is not None
    generator = next(line for line in metadata.splitlines() if line.startswith("Generator:"))
    version = Version(generator.partition("(")[2].rstrip(")"))
    assert generator.startswith("Generator: setuptools")
    # The unpatched tree needs one as old as 66 (third_party/ryu/build-wheel).
    assert version >= Version("77")


def test_installed_ryu_is_the_wheel_and_the_wheel_is_the_patched_sdist(
    patched: Path, installed: Distribution
) -> None:
    code = code_in(WHEEL)
    assert "ryu/cmd/manager.py" in code
    for name, content in code.items():
        assert (patched / name).read_bytes() == content, f"{name} differs between sdist and wheel"
        there = Path(str(installed.locate_file(name)))
        assert there.read_bytes() == content, f"{name} differs between wheel and installation"
    assert code.keys() == {str(path.relative_to(patched)) for path in patched.glob("ryu/**/*.py")}


def test_official_tree_does_not_build_under_current_tools(official: Path) -> None:
    done = build(official)
    assert done.returncode != 0
    assert "get_script_args" in done.stdout + done.stderr


def test_patched_tree_builds_under_current_tools(patched: Path) -> None:
    done = build(patched)
    assert done.returncode == 0, done.stdout + done.stderr
    assert code_in(patched.parent / WHEEL.name) == code_in(WHEEL)
