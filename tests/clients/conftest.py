"""Fixtures of the clients' layer: the one site of the session, and where the clients are.

Everything here needs root. The image and the virtual environment are made by `make client-image`
beforehand: a test that has to fetch hundreds of packages first would be judged by its time.
"""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from lab.lab import Lab
from tests.clients import smbios
from tests.clients.boots import Boot, boot_together
from tests.clients.documents import GATEWAY, whole
from tests.clients.machine import Box, boot
from tests.clients.site import Guest, Site

CLIENT_IMAGE = Path(__file__).parents[2] / "scripts" / "client-image"


@pytest.fixture(scope="session")
def client_paths() -> tuple[Path, Path]:
    """The image's and the virtual environment's folders."""
    done = subprocess.run([CLIENT_IMAGE, "--paths"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    image, environment = map(Path, done.stdout.splitlines())
    return image, environment


@pytest.fixture(scope="session")
def image(client_paths: tuple[Path, Path]) -> Path:
    """The Debian with the clients in it."""
    return client_paths[0]


@pytest.fixture(scope="session")
def pypi_python(client_paths: tuple[Path, Path]) -> Path:
    """The Python that has PyPI's clients."""
    return client_paths[1] / "bin" / "python"


@pytest.fixture(scope="session")
def _sigterm_cleans_up() -> Iterator[None]:
    """A session that is told to end takes its site away as one that is interrupted does."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def site(_sigterm_cleans_up: None) -> Iterator[Site]:
    """The session's hypervisor, everything running."""
    with Lab() as lab:
        yield Site(lab)


WEB_MACS = ("a6:a4:8e:00:00:01", "a6:a4:8e:01:00:01")


@pytest.fixture(scope="session")
def web(site: Site) -> Guest:
    """A droplet that has everything, its public NIC configured as its document says."""
    guest = site.plug(7_900_001, WEB_MACS, addresses=("203.0.113.9/24",))
    site.register(guest, whole(guest.droplet_id, WEB_MACS, 9))
    site.wait_until_served(guest)
    return guest


BOX_MACS = ("a6:a4:8e:00:00:03", "a6:a4:8e:01:00:03")


@pytest.fixture(scope="session")
def box(site: Site, image: Path) -> Box:
    """A droplet with a running system, configured by hand; tests register what they need."""
    guest = site.plug(7_900_003, BOX_MACS)
    site.register(guest, whole(guest.droplet_id, BOX_MACS, 3))
    site.wait_until_served(guest)
    firmware = {**smbios.tables(guest.droplet_id), **smbios.identity(guest.droplet_id)}
    machine = boot(site.lab, guest.droplet, image, firmware)
    guest.droplet.namespace.ip(
        "link set eth0 up",
        "link set eth1 up",
        "address add 203.0.113.3/24 dev eth0",
        f"route add default via {GATEWAY}",
    )
    return Box(guest, machine)


@pytest.fixture(scope="session")
def bare(site: Site) -> Guest:
    """A droplet registered with no more than must be given."""
    guest = site.plug(7_900_002, ("a6:a4:8e:00:00:02",), addresses=("10.0.0.2/24",))
    site.register(guest, {"region": "nyc3"})
    site.wait_until_served(guest)
    return guest


@pytest.fixture(scope="session")
def boots(site: Site, image: Path) -> dict[str, Boot]:
    """Droplets that have booted with cloud-init, all at the same time, by the names of `BOOTS`."""
    return boot_together(site, image)
