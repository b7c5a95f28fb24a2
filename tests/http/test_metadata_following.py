"""The server beside a controller that changes its mind, dies, comes back, or falls silent."""

import http.client
import json
import os
import stat
import threading

import pytest

from metadata_http.controller import Controller
from tests.http.fake_controller import DPID, TOKEN, FakeController, port, wait_until

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
UNREACHED = "http://127.0.0.1:1"


def started(make_server, controller, **options):
    server = make_server(controller, **options).start()
    wait_until(lambda: server.admin("/readyz")[0] == 200, "a view that may be served")
    return server


def status(server, address=DROPLET):
    return server.get("/metadata/v1/id", address)[0]


def body(server, path="/metadata/v1/id", address=DROPLET):
    return server.get(path, address)[2]


@pytest.mark.slow
def test_before_the_controller_is_heard_the_answer_is_503(make_server):
    server = make_server(UNREACHED).start()
    assert status(server) == 503
    assert server.admin("/readyz")[0] == 503


def test_what_is_acknowledged_is_in_the_next_answer(make_server, controller):
    server = started(make_server, controller)
    connection = server.connect(DROPLET)
    for n in range(1, 50):
        controller.put(port(602, DROPLET, 7, hostname=f"name-{n}"))
        controller.wait_acknowledged()
        connection.request("GET", "/metadata/v1/hostname")
        assert connection.getresponse().read() == f"name-{n}".encode()
    connection.close()


def test_a_rebound_address_is_the_other_droplets_and_open_connections_end(make_server, controller):
    controller.put(port(602, DROPLET, 7, user_data="of seven"))
    server = started(make_server, controller)
    connections = []

    def connect():
        connections.append(server.connect(DROPLET))

    def ask(path):
        connections[-1].request("GET", path)
        response = connections[-1].getresponse()
        return response.status, response.read()

    connect()
    assert ask("/metadata/v1/id") == (200, b"7")
    assert ask("/metadata/v1/user-data") == (200, b"of seven")
    controller.put(port(602, DROPLET, 8, name="tap8"))
    controller.wait_acknowledged()
    with pytest.raises(OSError):
        ask("/metadata/v1/id")
    connect()
    assert ask("/metadata/v1/id") == (200, b"8")
    assert ask("/metadata/v1/user-data") == (200, b"")
    assert b"seven" not in ask("/metadata/v1.json")[1]
    controller.remove(602)
    controller.wait_acknowledged()
    with pytest.raises(OSError):
        ask("/metadata/v1/id")
    connect()
    assert ask("/metadata/v1/id")[0] == 503
    for each in connections:
        each.close()


def test_a_droplet_registered_late(make_server, controller):
    controller.put(port(602, DROPLET))
    server = started(make_server, controller)
    assert status(server) == 503
    controller.put(port(602, DROPLET, 7))
    controller.wait_acknowledged()
    assert body(server) == b"7"


def test_waiting_for_a_droplet_has_an_end(make_server, controller):
    controller.put(port(602, DROPLET))
    server = started(make_server, controller, unknown_droplet_grace=0.3)
    wait_until(lambda: status(server) == 404, "503 becoming 404")
    controller.put(port(602, DROPLET, 7))
    controller.wait_acknowledged()
    assert status(server) == 200


@pytest.mark.slow
def test_a_dead_controller_changes_nothing(make_server):
    """Several leases long: nobody is there to open a port for another droplet."""
    controller = FakeController(lease=1.0).start()
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller, rate_limit=0)
    controller.stop()
    wait_until(lambda: "refused" in server.log, "the refusal")
    before = lease_seconds(server)
    rises = 0
    while rises < 20:  # each is a refusal that extended the lease
        assert status(server) == 200
        after = lease_seconds(server)
        rises += after > before
        before = after


def lease_seconds(server):
    return json.loads(server.admin("/readyz")[1])["lease_seconds"]


def view_age(server):
    return json.loads(server.admin("/readyz")[1])["view_age_seconds"]


def test_the_age_of_the_view_is_told(make_server, controller):
    """It grows while nobody confirms the view, over a restart too, and shrinks when one does."""
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    controller.silent = True
    wait_until(lambda: view_age(server) > 1.0, "the view getting older")
    assert "metadata_http_view_age_seconds 1." in server.admin("/metrics")[1]
    server.kill()
    controller.stop()
    server.start()
    assert status(server) == 200
    assert view_age(server) > 1.0
    controller.silent = False
    controller.start()
    wait_until(lambda: view_age(server) < 1.0, "the view confirmed")


@pytest.mark.slow
def test_a_silent_controller_makes_the_view_uncertain(make_server):
    controller = FakeController(lease=1.0).start()
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    assert status(server) == 200
    controller.silent = True
    wait_until(lambda: status(server) == 503, "503 after the lease")
    assert status(server, "127.9.9.9") == 503
    # Dying does not help a view that is uncertain already: it may have been rebound meanwhile.
    controller.stop()
    wait_until(lambda: "refused" in server.log, "the refusal")
    assert status(server) == 503
    controller.silent = False
    controller.restart()
    wait_until(lambda: status(server) == 200, "200 once the controller is heard again")
    controller.stop()


def test_a_restarted_controller_is_found_and_its_view_taken(make_server, controller):
    controller.put(port(602, DROPLET, 7), port(603, OTHER, 8))
    server = started(make_server, controller)
    controller.stop()
    assert (body(server), body(server, address=OTHER)) == (b"7", b"8")
    del controller.ports[603]
    controller.restart()
    controller.put(port(602, DROPLET, 9))
    controller.wait_acknowledged()
    assert body(server) == b"9"
    assert status(server, OTHER) == 503


@pytest.mark.slow
def test_while_the_bridge_is_not_in_sync_the_old_view_is_kept(make_server):
    controller = FakeController(lease=1.0).start()
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    old = controller.revision
    controller.stop()
    controller.in_sync = False
    controller.ports.clear()
    controller.restart()
    controller.wait_acknowledged(old)  # the old view is acknowledged while it waits
    assert body(server) == b"7"
    controller.in_sync = True
    controller.put(port(602, DROPLET, 8))
    controller.wait_acknowledged()
    assert body(server) == b"8"
    controller.stop()


def test_a_lost_stream_is_resumed_where_it_was(make_server, controller):
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    known = controller.revision
    controller.stop()
    controller.put(port(603, OTHER, 8))
    controller.start()
    controller.wait_acknowledged()
    assert controller.watches[-1] == (controller.watches[0][0], known)
    assert (body(server), body(server, address=OTHER)) == (b"7", b"8")


def test_controllers_are_tried_in_turn(make_server, controller):
    controller.put(port(602, DROPLET, 7))
    server = make_server(f"{UNREACHED},{controller.url}").start()
    wait_until(lambda: body(server) == b"7", "an answer by the second controller's word")


def test_nonsense_from_the_controller_is_answered_by_asking_anew(make_server, controller):
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    controller.put(port(603, "10.9.9.9", 8))  # outside the subnet: cannot be
    wait_until(lambda: "asking for everything anew" in server.log, "the fault in the log")
    assert body(server) == b"7"
    controller.remove(603)
    controller.wait_acknowledged()
    assert controller.watches[-1][1] is None


def test_a_token_that_comes_later_is_found(make_server, controller):
    controller.put(port(602, DROPLET, 7))
    server = make_server(controller)
    tokens = server.folder / "tokens"
    content = tokens.read_text()
    tokens.unlink()
    server.start()
    wait_until(lambda: "no token" in server.log, "the missing token in the log")
    tokens.write_text(content)
    wait_until(lambda: body(server) == b"7", "an answer once there is a token")


def test_a_wrong_token_is_said_and_not_shown(make_server, controller):
    server = make_server(controller, token="wrong-and-secret").start()
    wait_until(lambda: "HTTP 401" in server.log, "the refusal in the log")
    assert "wrong-and-secret" not in server.log


def test_killed_and_started_again_without_the_controller(make_server, controller):
    controller.put(port(602, DROPLET, 7), port(603, OTHER))
    server = started(make_server, controller)
    controller.put(port(604, "127.1.2.93", 9))
    controller.wait_acknowledged()
    controller.stop()
    server.kill()
    server.start()
    assert (body(server), body(server, address="127.1.2.93")) == (b"7", b"9")
    assert status(server, OTHER) == 503
    controller.restart()
    controller.put(port(602, DROPLET, 8))
    controller.wait_acknowledged()
    assert body(server) == b"8"


@pytest.mark.slow
def test_a_stopped_server_told_a_dead_controller_nothing_and_serves_again(make_server, controller):
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    controller.stop()
    assert server.stop() == 0
    server.start()
    assert body(server) == b"7"


@pytest.mark.slow
def test_a_server_that_said_goodbye_serves_nothing_before_it_is_heard_again(
    make_server, controller
):
    """Since the goodbye the controller may have opened the port for another droplet."""
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    assert server.stop() == 0
    assert controller.left == [next(iter(controller.acknowledged))]
    controller.stop()
    server.start()
    assert status(server) == 503
    controller.restart()
    wait_until(lambda: body(server) == b"7", "the answer once the controller is heard again")


@pytest.mark.slow
def test_a_snapshot_older_than_its_lease_is_not_served(make_server):
    controller = FakeController(lease=0.5).start()
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    controller.silent = True  # it lives, so nothing extends the lease
    wait_until(lambda: status(server) == 503, "the end of the lease")
    controller.stop()
    server.kill()
    server.start()
    assert status(server) == 503
    assert "too old to serve" in server.log


@pytest.mark.slow
@pytest.mark.parametrize("over", [False, True], ids=["holds", "is over"])
def test_a_controller_without_its_switch_keeps_a_lease_but_revives_none(make_server, over):
    """While it waits for the switch it cannot know what was opened while nobody was heard."""
    controller = FakeController(lease=1.0).start()
    controller.put(port(602, DROPLET, 7))
    server = started(make_server, controller)
    if over:
        controller.silent = True
        wait_until(lambda: status(server) == 503, "the end of the lease")
    controller.silent, controller.in_sync = False, False
    controller.stop()
    controller.restart()
    heartbeats = len(controller.watches) + 1
    wait_until(lambda: len(controller.watches) >= heartbeats, "the server following again")
    for _ in range(15):  # three leases long, told by the controller's heartbeats
        assert status(server) == (503 if over else 200)
        controller.pause()
    assert bool(controller.acknowledged) is not over


def test_nothing_is_acknowledged_before_it_is_on_disk(make_server, controller):
    server = started(make_server, controller)
    for n in range(1, 30):
        revision = controller.put(port(602, DROPLET, n))
        controller.wait_acknowledged(revision)
        text = server.snapshot.read_text()
        assert f'"droplet_id": {n},' in text or f'"droplet_id":{n},' in text


def test_the_snapshot_is_its_owners_only(make_server, controller):
    server = started(make_server, controller)
    assert stat.S_IMODE(server.snapshot.stat().st_mode) == 0o600


@pytest.mark.slow
def test_each_worker_follows_under_a_name_its_successor_takes_over(make_server, controller):
    controller.put(port(602, DROPLET, 7))
    server = make_server(controller, workers=2).start()
    controller.wait_acknowledged(servers=2)
    names = set(controller.acknowledged)
    assert len(names) == 2
    wait_until(lambda: {body(server) for _ in range(20)} == {b"7"}, "both workers answering")
    victim = server.workers()[0]
    os.kill(victim, 9)
    wait_until(
        lambda: len(server.workers()) == 2 and victim not in server.workers(), "a new worker"
    )
    controller.put(port(602, DROPLET, 8))
    controller.wait_acknowledged(servers=2)
    assert set(controller.acknowledged) == names
    wait_until(lambda: {body(server) for _ in range(20)} == {b"8"}, "both workers answering")


@pytest.mark.slow
def test_load_while_everything_changes(make_server, controller):
    """Two droplets swap their addresses under load; every answer is of one whole view."""
    controller.put(port(1, DROPLET, 100), port(2, OTHER, 200))
    server = started(make_server, controller, rate_limit=0)
    done = threading.Event()
    wrong = []

    def ask(address):
        connection = server.connect(address)
        while not done.is_set():
            try:
                connection.request("GET", "/metadata/v1.json")
                answer = connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()  # ended with the binding; the next request opens another
                continue
            whole = json.loads(answer)
            if whole["hostname"] != f"host-{whole['droplet_id']}":
                wrong.append(whole)
        connection.close()

    threads = [threading.Thread(target=ask, args=(each,)) for each in (DROPLET, OTHER)]
    for thread in threads:
        thread.start()
    for n in range(100):
        a, b = (100, 200) if n % 2 else (200, 100)
        controller.put(port(1, DROPLET, a), port(2, OTHER, b))
        controller.wait_acknowledged()
        assert body(server) == str(a).encode()
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_bridges_dpid_is_in_every_start(make_server, controller):
    server = started(make_server, controller)
    assert f"serving bridge {DPID}" in server.log


def test_a_stream_that_has_just_ended_can_still_be_aborted(controller):
    """The thread that stops a server does not know how far the one that follows has come."""
    ended = Controller(controller.url, lambda: TOKEN, None).watch(DPID, "a", None)
    ended.close()
    ended.abort()
    cut = Controller(controller.url, lambda: TOKEN, None).watch(DPID, "b", None)
    cut._response.connection.sock.close()
    cut.abort()
