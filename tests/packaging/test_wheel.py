"""Our own wheel: what must be in it beside the modules, or an installation lacks it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "docs/man")
PACKAGES = ("ryu_apps", "metadata_http", "ovs_metadata_client", "ovs_metadata_logs")


@pytest.mark.slow
def test_the_wheel_has_the_manual_and_says_that_the_client_is_typed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in (*SOURCES, *PACKAGES):
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    options = [
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--quiet",
        "--wheel-dir",
        tmp_path,
    ]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    pages = {"man1/dropletctl.1", "man5/ovs-metadata.conf.5", "man8/metadata-http.8"}
    prefix = f"{'-'.join(wheel.name.split('-')[:2])}.data/data/share/man"
    # pip puts these below the prefix of the environment, where man looks for a command's page.
    assert {f"{prefix}/{page}" for page in pages} == {name for name in names if "share/man" in name}
    assert "ovs_metadata_client/py.typed" in names
    for package in PACKAGES:
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert modules <= names
