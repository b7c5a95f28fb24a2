"""The table of docs/clients.md says what is tested: the recordings, the image and the tests."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.recordings import recordings

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "clients.md"
# What Debian calls them, and PyPI.
IN_DEBIAN = ("cloud-init", "ignition", "ohai", "python3-digitalocean", "curl", "jq", "ruby3.1")
IN_PYPI = ("python-digitalocean", "cloud-detect")


def table():
    """Client, version, run or recorded, what passes, tests."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def versions(how):
    return {row[0].lower(): row[1] for row in table() if row[2] == how}


def test_every_recorded_client_is_in_the_table_with_its_version():
    assert versions("recorded") == {each.client.lower(): each.version for each in recordings()}


def test_every_line_names_what_passes_and_a_test_there_is():
    for client, _, how, passes, tests in table():
        assert passes, client
        assert how in ("run", "recorded"), client
        named = re.findall(r"`(test_\w+\.py)`", tests)
        assert named and all((HERE / name).exists() for name in named), client


def test_no_client_is_run_that_is_not_in_the_table():
    assert set(versions("run")) == {*IN_DEBIAN, *IN_PYPI}


@pytest.mark.root
@pytest.mark.parametrize("package", IN_DEBIAN)
def test_the_version_is_that_of_the_image(image, package):
    query = ("chroot", image, "dpkg-query", "--show", "--showformat=${Version}", package)
    installed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    upstream = re.match(r"(?:\d+:)?([\d.]+)", installed)[1]
    assert versions("run")[package] == upstream


@pytest.mark.root
@pytest.mark.parametrize("package", IN_PYPI)
def test_the_version_is_that_of_the_environment(pypi_python, package):
    program = f"from importlib.metadata import version; print(version({package!r}))"
    installed = subprocess.run(
        [pypi_python, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert versions("run")[package] == installed.strip()
