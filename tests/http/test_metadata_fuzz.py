"""Fuzzing a real `metadata-http` process: whatever a droplet sends, what must hold holds.

EXAMPLES=50 python -m pytest tests/http/test_metadata_fuzz.py    # fifty times as many examples
"""

import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.errors import FlakyFailure

from tests.http.answers import connector
from tests.http.conftest import Server, serving
from tests.http.fake_controller import port
from tests.http.fuzz import DROPLET, FUZZERS, OTHER, SECRET, fuzz
from tests.property.effort import effort

pytestmark = pytest.mark.slow

FLAWED = Path(__file__).with_name("flawed_metadata_http.py")
DROPLETS = [
    port(602, DROPLET, 7889371, user_data=SECRET.format(7889371)),
    port(603, OTHER, 7889372, user_data=SECRET.format(7889372)),
]
# Heads that do not come to an end are waited for; there is more to say in all formats; and what
# holds is to hold without the bound on how much one may ask.
OPTIONS = {"header_timeout": 1, "formats": "digitalocean, ec2, openstack", "rate_limit": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for everything that is sent here: none of it may change it."""
    with serving(tmp_path_factory.mktemp("fuzz"), *DROPLETS, **OPTIONS) as made:
        yield made


@pytest.mark.parametrize("name", FUZZERS)
def test_whatever_is_sent(server, name):
    fuzz(name, connector(server.port, DROPLET), effort(400))
    assert "Traceback" not in server.log and "fault of ours" not in server.log


class FlawedServer(Server):
    """A server with a flaw in it."""

    flaw = ""

    @property
    def command(self):
        return [sys.executable, str(FLAWED), self.flaw, *super().command[3:]]


@pytest.mark.parametrize(
    ("flaw", "finder"),
    [
        ("believe the header", "built"),
        ("believe the header", "rows"),
        ("trip over dots", "edited"),
        ("count characters", "edited"),
        ("overlook encodings", "rows"),
    ],
)
def test_the_fuzzers_find_each_flaw_planted(tmp_path, flaw, finder):
    kind = type("Server", (FlawedServer,), {"flaw": flaw})
    looking = settings(effort(2000), phases=[Phase.generate], database=None, derandomize=True)
    with serving(tmp_path, *DROPLETS, kind=kind, **OPTIONS) as server:
        connect = connector(server.port, DROPLET)
        # What comes of a wrong length may differ from time to time; it is found all the same.
        with pytest.raises((AssertionError, FlakyFailure)):
            fuzz(finder, connect, looking)
