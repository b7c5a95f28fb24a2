"""Both ways to the server: on link from any 169.254.x.y address, and through a gateway."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.conftest import WEB_MACS
from tests.clients.documents import GATEWAY, GATEWAY_MAC
from tests.clients.site import Guest, Site

pytestmark = pytest.mark.root

ID = "/metadata/v1/id"


@pytest.fixture(scope="module")
def twins(site: Site) -> list[Guest]:
    """Two droplets with no address of their own yet, as at their first boot."""
    guests = []
    for number in (1, 2):
        guest = site.plug(7_910_000 + number, (f"a6:a4:8e:00:01:0{number}",))
        site.register(guest, {"region": "nyc3"})
        site.wait_until_served(guest)
        guests.append(guest)
    return guests


def ask_on_link(guest: Guest, address: str, **options: int) -> str:
    """Ask from a link-local address that the droplet has just for this, as cloud-init does."""
    link = guest.droplet.namespace
    link.ip(f"address add {address}/16 dev eth0")
    try:
        return guest.get(ID, source=address, **options).text
    finally:
        link.ip(f"address del {address}/16 dev eth0")


@pytest.mark.parametrize(
    "address",
    ["169.254.1.0", "169.254.168.255", "169.254.0.1", "169.254.169.253", "169.254.255.254"],
)
def test_on_link_from_any_link_local_address(twins, address):
    assert ask_on_link(twins[0], address) == str(twins[0].droplet_id)


def test_two_droplets_with_one_link_local_address_and_port_at_once(twins):
    """NixOS has 169.254.0.1 on every droplet; cloud-init may hit on the same address twice."""

    def ask_often(guest: Guest) -> set[str]:
        return {ask_on_link(guest, "169.254.0.1", source_port=port) for port in range(40000, 40008)}

    with ThreadPoolExecutor(len(twins)) as pool:
        answers = list(pool.map(ask_often, twins))
    assert answers == [{str(guest.droplet_id)} for guest in twins]


@pytest.fixture
def routed(web: Guest) -> Guest:
    """A droplet that has its route to metadata as Talos sets it, through the public gateway."""
    link = web.droplet.namespace
    link.ip(f"route add 169.254.169.254/32 via {GATEWAY}", "neigh flush dev eth0")
    yield web
    link.ip("route del 169.254.169.254/32")


def test_through_the_gateways_mac(site, routed):
    assert routed.get(ID, source="203.0.113.9").text == str(routed.droplet_id)
    neighbours = routed.droplet.namespace.run("ip", "neigh", "show", "dev", "eth0").stdout
    assert f"{GATEWAY} lladdr {GATEWAY_MAC}" in neighbours
    assert "169.254.169.254" not in neighbours


def test_on_link_and_through_the_gateway_in_turn(routed):
    """cloud-init asks on link; what runs later on the same droplet is routed."""
    link = routed.droplet.namespace
    assert routed.get(ID).text == str(routed.droplet_id)
    link.ip("route replace 169.254.169.254/32 dev eth0 scope link")
    assert ask_on_link(routed, "169.254.77.7") == str(routed.droplet_id)
    assert routed.get(ID).text == str(routed.droplet_id)


def test_from_the_private_nic(site, web):
    """Both ports are the droplet's: what it hears does not hang on the NIC it asks through."""
    link = web.droplet.namespace
    link.ip("link set eth1 up", "address add 10.132.0.9/16 dev eth1")
    try:
        answer = web.get("/metadata/v1/interfaces/public/0/mac", source="10.132.0.9")
        through_private = link.run(
            *("curl", "--silent", "--interface", "eth1"),
            f"http://169.254.169.254{ID}",
        ).stdout
    finally:
        link.ip("address flush dev eth1", "link set eth1 down")
    assert answer.text == WEB_MACS[0]
    assert through_private == str(web.droplet_id)
