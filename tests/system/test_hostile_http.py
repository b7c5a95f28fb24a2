"""Hostile requests from inside a droplet, through the real datapath to the real server.

The table is that of the server's own tests (`tests/http/hostile.py`): what comes of it must not
hang on loopback, where those run. How others fare is measured there; here they have to be served.
"""

import socket
from collections.abc import Iterator

import pytest

from lab.droplet import Droplet
from tests.http import hostile
from tests.http.answers import PATIENCE
from tests.system.world import World

REGION = "nyc3"


@pytest.fixture(scope="module")
def droplets(world: World) -> Iterator[dict[int, Droplet]]:
    """Two, registered and served, by their ids."""
    made = {}
    for ofport in (711, 712):
        droplet = world.host.add_droplet(
            f"taphost{ofport}",
            ofport=ofport,
            mac=f"02:00:00:00:07:{ofport - 700}",
            addresses=f"10.7.0.{ofport - 700}/24",
        )
        made[world.register(droplet, region=REGION)] = droplet
    world.wait_until_served(*made.values())
    yield made
    for droplet in made.values():
        world.host.remove_droplet(droplet)


def test_the_table(droplets: dict[int, Droplet]) -> None:
    (own_id, attacker), (other_id, other) = droplets.items()

    def connect() -> socket.socket:
        with attacker.namespace.entered():
            return socket.create_connection(("169.254.169.254", 80), PATIENCE)

    wrong = []
    for number, case in enumerate(hostile.TABLE):
        try:
            hostile.check(connect, case, str(own_id).encode(), REGION.encode())
        except AssertionError as fault:
            wrong.append(f"{case.name}: {fault}")
        if number % 20 == 0:
            assert other.get("/metadata/v1/id").text == str(other_id)
    assert not wrong, "\n".join(wrong)
