"""Fixtures of the install layer: the package, and a bare Debian for it. All of it needs root.

Both are made by `make deb host-image` beforehand, which fetch what they need. There is one host for
all: it is booted, installed and set up once, and the last test of test_package.py takes the package
away.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.process import run
from tests.install.host import DROPLET, MAC, SET_UP, Host

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package() -> Path:
    """The package of this very source."""
    return Path(run(ROOT / "scripts/build-deb", seconds=170).stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def host_image() -> Path:
    """The bare Debian's tree of files."""
    return Path(run(ROOT / "scripts/host-image", "--path").stdout.strip())


@pytest.fixture(scope="session")
def bare(host_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that has just been booted for the first time."""
    host = Host(host_image, tmp_path_factory.mktemp("install"))
    try:
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="session")
def installed(bare: Host, package: Path) -> Host:
    """The package installed by apt, and curl for the droplet."""
    bare.copy(package, "/root/ovs-metadata.deb")
    bare.apt("install", "/root/ovs-metadata.deb", "curl")
    bare.kernel_hears_no_port()
    return bare


@pytest.fixture(scope="session")
def host(installed: Host) -> Host:
    """All that a new user types, until a droplet is served."""
    installed.said("sh", "-euc", SET_UP)
    installed.run("dropletctl", "put", "-", text=json.dumps(DROPLET))
    installed.add_droplet("web-1", "tap7889371", MAC, "10.0.0.5/24")
    installed.wait_until_served()
    return installed
