"""Fixtures of the install layer: the package, and a bare Debian for it. All of it needs root.

Both are made by `make deb host-image` beforehand, which fetch what they need.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.process import run
from tests.install.host import Host

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package() -> Path:
    """The package of this very source."""
    return Path(run(ROOT / "scripts/build-deb", seconds=170).stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def host_image() -> Path:
    """The bare Debian's tree of files."""
    return Path(run(ROOT / "scripts/host-image", "--path").stdout.strip())


@pytest.fixture(scope="module")
def bare(host_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that has just been booted for the first time."""
    host = Host(host_image, tmp_path_factory.mktemp("install"))
    try:
        yield host
    finally:
        host.stop()
