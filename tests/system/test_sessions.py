"""Session tokens, closed endpoints and hop limits on the real datapath.

What a token must not do is shown with ports that change hands; what a hop limit does, with a
router and its NAT inside a droplet, as a host of containers has it.
"""

from collections.abc import Iterator

import pytest

from lab.droplet import Droplet, NoAnswer
from lab.hypervisor import BRIDGE
from lab.process import run
from tests.system.cloud import Cloud
from tests.system.stage import OFPORT, Stage, plugged, replaced, settled, staged

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = pytest.mark.root

ID = "/metadata/v1/id"
CURL_TIMED_OUT = 28


@pytest.fixture
def stage(cloud: Cloud) -> Iterator[Stage]:
    """The first host's, with port names and records of its own."""
    with staged(cloud, cloud.host, "stap", 400) as made:
        yield made


def ask(droplet: Droplet, token: str | None = None) -> tuple[int, str]:
    """The status and body of a request, with a session token or without."""
    shown = [] if token is None else ["--header", f"X-Metadata-Token: {token}"]
    answer = droplet.get(ID, *shown)
    return answer.status, answer.text


def token_of(droplet: Droplet) -> str:
    """A new session token."""
    life = ("--request", "PUT", "--header", "X-Metadata-Token-TTL-Seconds: 600")
    answer = droplet.get("/metadata/v1/token", *life)
    assert answer.status == 200, answer
    return answer.text


def options(stage: Stage, name: str, **given: object) -> None:
    """Register this droplet anew with these metadata options."""
    stage.cloud.rest.put(stage.ids[name], name, stage.droplets[name].mac, **given)


def wait_for_status(stage: Stage, name: str, status: int, token: str | None = None) -> None:
    """Wait until it is answered so."""
    stage.cloud.wait(lambda: ask(stage.droplets[name], token)[0] == status, f"{name}: {status}")


def test_what_is_registered_is_what_the_droplet_meets(stage: Stage) -> None:
    settled(stage)
    a, b, _ = stage.ids
    first, second = stage.droplets[a], stage.droplets[b]
    mine = (200, str(stage.ids[a]))
    assert ask(first) == mine
    options(stage, a, http_tokens="required")
    wait_for_status(stage, a, 401)
    token = token_of(first)
    assert ask(first, token) == mine
    assert ask(first, token_of(second)) == (401, "401 Unauthorized")
    options(stage, a, http_endpoint="disabled")
    wait_for_status(stage, a, 403, token)
    assert ask(first) == (403, "403 Forbidden")
    assert ask(second) == (200, str(stage.ids[b]))
    options(stage, a)
    wait_for_status(stage, a, 200)
    assert ask(first, token) == mine


def test_a_token_dies_when_its_droplet_leaves_its_port(stage: Stage) -> None:
    """Used by who gets the ofport, and by its own droplet on another port and back on its own."""
    settled(stage)
    a, _, c = stage.ids
    token = token_of(stage.droplets[a])
    assert ask(stage.droplets[a], token)[0] == 200
    stage.vsctl(*replaced(stage))
    stage.serving(c)
    assert stage.ofport(c) == OFPORT
    assert ask(stage.droplets[c]) == (200, str(stage.ids[c]))
    assert ask(stage.droplets[c], token) == (401, "401 Unauthorized")
    stage.vsctl(*plugged(a, OFPORT + 7))
    stage.serving(a)
    assert ask(stage.droplets[a], token)[0] == 401
    stage.vsctl(["del-port", c])
    stage.cloud.wait_not_mapped(stage.host, c)
    stage.vsctl(["del-port", a], *plugged(a, OFPORT))
    stage.ofports({a: OFPORT})
    stage.serving(a)
    assert ask(stage.droplets[a]) == (200, str(stage.ids[a]))
    assert ask(stage.droplets[a], token)[0] == 401
    assert ask(stage.droplets[a], token_of(stage.droplets[a]))[0] == 200


def test_a_token_lives_on_with_its_port_and_over_the_servers_restart(stage: Stage) -> None:
    settled(stage)
    a, _, _ = stage.ids
    options(stage, a, http_tokens="required")
    wait_for_status(stage, a, 401)
    token = token_of(stage.droplets[a])
    stage.host.services.server.kill()
    stage.host.services.server.start()
    stage.host.services.server.wait_until_ready()
    wait_for_status(stage, a, 200, token)
    options(stage, a, http_tokens="required", http_put_response_hop_limit=1)
    stage.cloud.wait(lambda: ttl_in_flows(stage, a) == 1, "the hop limit in the flows")
    assert ask(stage.droplets[a], token)[0] == 200


# -- the hop limit --------------------------------------------------------------------------------


@pytest.fixture
def guest(stage: Stage) -> Iterator[Droplet]:
    """What runs behind a router in the first droplet, which hides it behind its own address."""
    settled(stage)
    outer = stage.droplets[next(iter(stage.ids))].namespace
    inner = stage.cloud.lab.namespace(f"{outer.name}in")
    run(
        *("ip", "-n", outer.name, "link", "add", "cont0", "type", "veth"),
        *("peer", "name", "eth0", "netns", inner.name),
    )
    outer.ip("link set cont0 up", "address add 172.17.0.1/24 dev cont0")
    inner.ip(
        "link set lo up",
        "link set eth0 up",
        "address add 172.17.0.2/24 dev eth0",
        "route add default via 172.17.0.1",
    )
    outer.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    # Source ports that no droplet of the stage has used at this ofport, see `stage.py`.
    inner.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=60000 65000")
    rules = 'type nat hook postrouting priority srcnat\noifname "eth0" masquerade'
    outer.run("nft", "-f", "-", text=f"table ip nat {{\nchain post {{\n{rules}\n}}\n}}\n")
    yield Droplet("eth0", 0, "", ("172.17.0.2/24",), inner)
    stage.cloud.lab.delete_namespace(inner)


def ttl_in_flows(stage: Stage, name: str) -> int | None:
    """The TTL that the switch writes into the droplet's replies."""
    mark = f"cookie=0x6d64{stage.ofport(name):04x}{stage.ids[name]:08x}"
    flows = [flow for flow in stage.host.ovs.dump_flows(BRIDGE) if mark in flow]
    found = [flow.partition("load:")[2].partition("->")[0] for flow in flows if "IP_TTL" in flow]
    return int(found[0], 0) if found else None


def gets_no_answer(guest: Droplet) -> bool:
    """Whether a request ends without one, by a time-out."""
    try:
        guest.get(ID, seconds=1.5)
    except NoAnswer as error:
        assert error.status == CURL_TIMED_OUT
        return True
    return False


def test_a_hop_limit_of_one_ends_in_the_droplet(stage: Stage, guest: Droplet) -> None:
    a = next(iter(stage.ids))
    mine = (200, str(stage.ids[a]))
    assert ask(guest) == mine, "the router in the droplet does not work"
    for limit, reached in ((1, False), (2, True), (None, True), (1, False)):
        options(stage, a, http_put_response_hop_limit=limit)
        stage.cloud.wait(
            lambda limit=limit: ttl_in_flows(stage, a) == limit, f"a hop limit of {limit}"
        )
        assert ask(stage.droplets[a]) == mine
        if reached:
            stage.cloud.wait(lambda: not gets_no_answer(guest), "an answer behind the router")
            assert ask(guest) == mine
        else:
            assert gets_no_answer(guest)
    assert ask(stage.droplets[list(stage.ids)[1]])[0] == 200
