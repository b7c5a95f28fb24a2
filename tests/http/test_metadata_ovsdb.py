"""The metadata server beside a real Open vSwitch database: it serves only ports that are there.

A private ovsdb-server and an ovs-vswitchd with dummy ports; the controller is a fake that goes on
saying what it said, as one that is dead, cut off or slow does.
"""

import json
import os
import signal
import socket
import time

import pytest

from tests.http.fake_controller import DPID, FakeController, port, wait_until
from tests.trace.dummy_ovs import DummyOvs

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
BRIDGE = "br-test"


class Ovs(DummyOvs):
    """With a bridge of the dpid the controller speaks of; its processes may stop and die."""

    @property
    def remote(self):
        return f"unix:{self.directory}/db.sock"

    def vsctl(self, *command, wait=True):
        return self.run("ovs-vsctl", *([] if wait else ["--no-wait"]), *command)

    def add_bridge(self, dpid=DPID):
        own = f"other-config:datapath-id={dpid}"
        self.vsctl("add-br", BRIDGE, "--", "set", "bridge", BRIDGE, own, "fail_mode=secure")

    def signal_database(self, number):
        os.kill(self.pids[0], number)

    def kill_database(self):
        process = self._processes[0]
        process.kill()
        process.wait()

    def start_database(self):
        database, socket = self.directory / "conf.db", self.directory / "db.sock"
        self._spawn("ovsdb-server", str(database), f"--remote=punix:{socket}")
        self._processes.insert(0, self._processes.pop())


def plugged(name, ofport):
    """The commands that put a port on the bridge."""
    asked = f"ofport_request={ofport}"
    return ["add-port", BRIDGE, name, "--", "set", "interface", name, "type=dummy", asked]


@pytest.fixture
def ovs():
    with Ovs() as made:
        made.add_bridge()
        made.vsctl(*plugged("tap602", 602), "--", *plugged("tap603", 603))
        yield made


@pytest.fixture
def server(make_server, controller, ovs):
    """One that serves droplet 7 on tap602 and 8 on tap603, as long as the switch has them."""
    controller.put(port(602, DROPLET, 7), port(603, OTHER, 8))
    return started(make_server, controller, ovs)


def started(make_server, controller, ovs, **options):
    """A server of the bridge by its name, unless told otherwise, that has its view."""
    made = make_server(controller, **{"bridge": BRIDGE, "dpid": None, "rate_limit": 0, **options})
    with made.config.open("a") as config:
        config.write(f"[metadata]\novsdb = {ovs.remote}\n")
    made.start()
    wait_until(lambda: made.admin("/readyz")[0] == 200, "a view that may be served")
    return made


def answer(server, address=DROPLET):
    """Status and, of a 200, whose data it is."""
    status, headers, body = server.get("/metadata/v1/id", address)
    if status == 503:
        assert headers["Retry-After"]
    return status, body if status == 200 else None


def health(server):
    return json.loads(server.admin("/readyz")[1])


def test_a_port_that_is_there_is_served(server):
    assert answer(server) == (200, b"7")
    assert answer(server, OTHER) == (200, b"8")
    assert (health(server)["ovsdb"], health(server)["in_doubt"]) == ("live", 0)
    assert health(server)["ovsdb_age_seconds"] < 3
    metrics = server.admin("/metrics")[1]
    assert "metadata_http_ovsdb_age_seconds" in metrics
    assert "metadata_http_in_doubt 0.0" in metrics


def test_another_port_at_the_ofport_gets_nothing_until_it_is_bound(server, controller, ovs):
    assert answer(server) == (200, b"7")
    for _ in range(10):
        ovs.vsctl("del-port", "tap602", "--", *plugged("tapnew", 602))
        assert answer(server) == (503, None)
        assert answer(server, OTHER) == (200, b"8")
        ovs.vsctl("del-port", "tapnew", "--", *plugged("tap602", 602))
        assert answer(server) == (200, b"7")
    ovs.vsctl("del-port", "tap602", "--", *plugged("tapnew", 602))
    controller.put(port(602, DROPLET, 9, name="tapnew"))
    controller.wait_acknowledged()
    assert answer(server) == (200, b"9")


def test_the_first_answer_after_the_commit_knows_of_it(server, ovs):
    """ovs-vsctl does not wait for the switch here: what counts is the database."""
    for _ in range(100):
        assert answer(server) == (200, b"7")
        ovs.vsctl("del-port", "tap602", wait=False)
        assert answer(server) == (503, None)
        ovs.vsctl(*plugged("tap602", 602))


def test_a_connection_kept_open_is_asked_each_time(server, ovs):
    connection = server.connect(DROPLET)
    for wanted, change in (
        (200, ["del-port", "tap602"]),
        (503, plugged("tap602", 602)),
        (200, ["show"]),
    ):
        connection.request("GET", "/metadata/v1/id")
        response = connection.getresponse()
        assert (response.status, response.read() == b"7") == (wanted, wanted == 200)
        ovs.vsctl(*change)
    connection.close()


def test_a_renumbered_port_is_in_doubt_under_its_old_number(server, ovs):
    ovs.vsctl("set", "interface", "tap602", "ofport_request=700")
    assert answer(server) == (503, None)
    ovs.vsctl("set", "interface", "tap602", "ofport_request=602")
    assert answer(server) == (200, b"7")


def test_an_ofport_that_another_interface_asks_for_is_in_doubt(server, ovs):
    """ovs-vswitchd may take it away at once and says so in the database only afterwards."""
    vswitchd = ovs.pids[1]
    os.kill(vswitchd, signal.SIGSTOP)
    try:
        ovs.vsctl("set", "interface", "tap603", "ofport_request=602", wait=False)
        assert answer(server) == (503, None)
        assert answer(server, OTHER) == (200, b"8")
        assert health(server)["ovsdb_contested_ofports"] == 1
        ovs.vsctl("set", "interface", "tap603", "ofport_request=603", wait=False)
        assert answer(server) == (200, b"7")
    finally:
        os.kill(vswitchd, signal.SIGCONT)


def test_a_bridge_that_is_gone_serves_nobody(server, ovs):
    ovs.vsctl("del-br", BRIDGE)
    assert answer(server) == (503, None)
    assert (health(server)["ovsdb"], health(server)["ready"]) == ("no-bridge", False)
    ovs.add_bridge()
    ovs.vsctl(*plugged("tap602", 602))
    assert answer(server) == (200, b"7")


def test_a_bridge_made_again_with_another_dpid_is_another_bridge(server, controller, ovs):
    """It is followed without a restart; of the old one nothing is served, nor kept on disk."""
    assert answer(server) == (200, b"7")
    ovs.vsctl("del-br", BRIDGE)
    ovs.add_bridge("00000000000000a2")
    ovs.vsctl(*plugged("tap602", 602))
    wait_until(lambda: health(server)["dpid"] == "00000000000000a2", "the new bridge followed")
    assert answer(server) == (503, None)
    assert not server.snapshot.exists()
    assert controller.left, "the controller was told that the old one is followed no more"
    ovs.vsctl("set", "bridge", BRIDGE, f"other-config:datapath-id={DPID}")
    wait_until(lambda: answer(server) == (200, b"7"), "the bridge that the controller knows")
    assert server.stop() == 0


@pytest.mark.slow
def test_a_dead_database_changes_nothing(server, ovs):
    """Without it the switch takes no new configuration: what was known last stays so."""
    assert answer(server) == (200, b"7")
    ovs.kill_database()
    wait_until(lambda: health(server)["ovsdb"] == "down", "the death of the database")
    until = time.monotonic() + 5.0  # longer than an answer of the database counts
    while time.monotonic() < until:
        assert answer(server) == (200, b"7")
        assert health(server)["ready"]
    ovs.start_database()
    wait_until(lambda: health(server)["ovsdb"] == "live", "the database being back")
    assert answer(server) == (200, b"7")
    ovs.vsctl("del-port", "tap602", wait=False)
    assert answer(server) == (503, None)


@pytest.mark.slow
def test_a_silent_database_makes_everybody_uncertain(server, ovs):
    assert answer(server) == (200, b"7")
    ovs.signal_database(signal.SIGSTOP)
    try:
        wait_until(lambda: answer(server) == (503, None), "503 from a server that cannot know")
        wait_until(lambda: health(server)["ovsdb"] == "silent", "the silence in its health")
        assert not health(server)["ready"]
        assert answer(server, OTHER) == (503, None)
    finally:
        ovs.signal_database(signal.SIGCONT)
    wait_until(lambda: answer(server) == (200, b"7"), "200 once the database answers")
    assert health(server)["ovsdb"] == "live"


def test_without_any_database_the_controllers_word_is_all_there_is(
    make_server, controller, tmp_path
):
    controller.put(port(602, DROPLET, 7))
    server = make_server(controller)
    with server.config.open("a") as config:
        config.write(f"[metadata]\novsdb = unix:{tmp_path}/none.sock\n")
    server.start()
    wait_until(lambda: server.admin("/readyz")[0] == 200, "a view that may be served")
    assert answer(server) == (200, b"7")
    assert health(server)["ovsdb"] == "off"
    assert "ports are not checked against it" in server.log


def test_a_bridge_given_by_its_dpid_is_found_in_the_database(make_server, controller, ovs):
    controller.put(port(602, DROPLET, 7), port(604, OTHER, 8))
    server = started(make_server, controller, ovs, bridge=None, dpid=DPID)
    assert answer(server) == (200, b"7")
    assert answer(server, OTHER) == (503, None)
    assert (health(server)["ovsdb"], health(server)["in_doubt"]) == ("live", 1)


def test_a_dpid_the_database_does_not_know_is_not_checked(make_server, controller, ovs):
    controller.put(port(602, DROPLET, 7))
    ovs.vsctl("set", "bridge", BRIDGE, "other-config:datapath-id=00000000000000a2")
    server = started(make_server, controller, ovs, bridge=None, dpid=DPID)
    assert answer(server) == (200, b"7")
    assert health(server)["ovsdb"] == "off"
    ovs.vsctl(
        "set", "bridge", BRIDGE, f"other-config:datapath-id={DPID}", "--", "del-port", "tap602"
    )
    wait_until(lambda: answer(server) == (503, None), "the bridge being found")


class OpenFlowPeer:
    """A controller that Open vSwitch can be connected to, and nothing else; it dies with `stop`."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"

    def take(self):
        self._connection, _ = self._listener.accept()
        self._connection.sendall(bytes.fromhex("0400000800000001"))  # OFPT_HELLO, OpenFlow 1.3

    def stop(self):
        self._connection.close()
        self._listener.close()


def connected(ovs):
    return ovs.vsctl("--columns=is_connected", "--bare", "list", "controller").strip()


@pytest.mark.slow
def test_a_silent_controller_that_left_the_switch_too_changes_nothing(make_server, ovs):
    """Open vSwitch says again and again that none is connected, so nobody changes flows."""
    peer = OpenFlowPeer()
    ovs.vsctl(
        "set-controller", BRIDGE, peer.target, "--", "set", "controller", BRIDGE, "max_backoff=1000"
    )
    peer.take()
    wait_until(lambda: connected(ovs) == "true", "the switch to say that it is connected")
    controller = FakeController(lease=10.0).start()
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller, ovs)
    controller.silent = True
    peer.stop()
    end = time.monotonic() + 13.0  # more than a lease
    while time.monotonic() < end:
        assert answer(server) == (200, b"7")
        time.sleep(0.2)
    # Whether any has come to the switch is not told of this kind.
    ovs.vsctl("set-controller", BRIDGE, "ptcp:0")
    wait_until(lambda: answer(server) == (503, None), "503 after the lease")
    controller.stop()


@pytest.mark.slow
def test_a_silent_controller_that_the_switch_is_connected_to_may_be_alive(make_server, ovs):
    peer = OpenFlowPeer()
    ovs.vsctl(
        "set-controller",
        BRIDGE,
        peer.target,
        "--",
        "set",
        "controller",
        BRIDGE,
        "inactivity_probe=0",
    )
    peer.take()
    wait_until(lambda: connected(ovs) == "true", "the switch to say that it is connected")
    controller = FakeController(lease=2.0).start()
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller, ovs)
    controller.silent = True
    wait_until(lambda: answer(server) == (503, None), "503 after the lease")
    peer.stop()
    wait_until(lambda: connected(ovs) == "false", "the switch to say that it is not")
    assert answer(server) == (503, None), "what was opened meanwhile cannot be known"
    controller.stop()
