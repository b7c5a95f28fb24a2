"""Starting, stopping, being killed and being replaced, with clients asking all the while."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter

import pytest

from tests.http.conftest import Server
from tests.http.fake_controller import DPID, FakeController, port, wait_until

pytestmark = pytest.mark.slow

DROPLET = "127.1.2.90"


@pytest.fixture
def bound(controller):
    controller.put(port(602, DROPLET, 7))
    return controller


def started(server):
    server.start()
    wait_until(lambda: server.admin("/readyz")[0] == 200, "a view that may be served")
    return server


class Load:
    """Clients asking one request a connection, each outcome counted.

    `lost`: the server took the connection and closed it without an answer; `cut`: part of an
    answer; `reset`: the kernel gave the connection up before the server had it.
    """

    def __init__(self, port_number, clients=6):
        self.port = port_number
        self.outcomes = Counter()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self._done.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, outcome, more):
        """Wait until `outcome` has been seen `more` times from now on."""
        wanted = self.outcomes[outcome] + more
        wait_until(lambda: self.outcomes[outcome] >= wanted, f"{more} {outcome}: {self.outcomes}")

    def _ask(self):
        while not self._done.is_set():
            self.outcomes[self._one()] += 1

    def _one(self):
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=30, source_address=(DROPLET, 0)
        )
        try:
            connection.request("GET", "/metadata/v1/id", headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read()
            return "answered" if (response.status, body) == (200, b"7") else "wrong"
        except ConnectionRefusedError:
            return "refused"
        except http.client.RemoteDisconnected:
            return "lost"
        except http.client.HTTPException:
            return "cut"
        except ConnectionError:
            return "reset"
        finally:
            connection.close()


def test_stopping_under_load_cuts_no_request(make_server, bound):
    server = started(make_server(bound))
    with Load(server.port) as load:
        load.wait_for("answered", 200)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        load.wait_for("refused", 1)
    assert set(load.outcomes) <= {"answered", "refused", "reset"}
    assert bound.left, "it told the controller"


def test_stopping_finishes_a_request_half_sent(make_server, bound):
    server = started(make_server(bound))
    with socket.create_connection(("127.0.0.1", server.port), 30, (DROPLET, 0)) as connection:
        connection.sendall(b"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nConnection: close\r\n")
        wait_until(lambda: server.get("/metadata/v1/id", DROPLET)[0] == 200, "an answer beside it")
        server.signal(signal.SIGTERM)
        wait_until(lambda: "Stopping worker-1" in server.log, "the worker stopping")
        connection.sendall(b"\r\n")
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
    assert received.endswith(b"\r\n\r\n7")
    assert server.wait() == 0


def test_a_connection_without_a_request_is_not_taken(make_server, bound):
    """So nothing is taken that could be cut while stopping, and silence costs nothing."""
    server = started(make_server(bound))
    (worker,) = server.workers()
    silent = []
    before = len(os.listdir(f"/proc/{worker}/fd"))
    for _ in range(50):
        silent.append(socket.create_connection(("127.0.0.1", server.port), 30, (DROPLET, 0)))
    for _ in range(10):
        assert server.get("/metadata/v1/id", DROPLET)[2] == b"7"
    assert len(os.listdir(f"/proc/{worker}/fd")) < before + 50
    for connection in silent:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once_and_well(make_server, bound, number):
    server = started(make_server(bound))
    server.signal(number)
    assert server.wait() == 0


def test_slow_clients_do_not_keep_a_server_from_stopping(make_server, bound):
    server = started(make_server(bound, header_timeout=60, stop_timeout=1))
    with socket.create_connection(("127.0.0.1", server.port), 30, (DROPLET, 0)) as connection:
        connection.sendall(b"GET /")
        wait_until(lambda: server.get("/metadata/v1/id", DROPLET)[0] == 200, "an answer beside it")
        server.signal(signal.SIGTERM)
        server.wait()


def test_a_restart_on_a_socket_passed_in_refuses_nobody(tmp_path, bound):
    """As under systemd's socket activation: the socket outlives the process, requests wait."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = PassedSocket(tmp_path, bound.url, listener)
    try:
        started(server)
        with Load(server.port) as load:
            for _ in range(3):
                load.wait_for("answered", 100)
                assert server.stop() == 0
                server.start()
            load.wait_for("answered", 100)
        assert set(load.outcomes) <= {"answered"}, load.outcomes
    finally:
        server.process.kill()
        server.wait()
        listener.close()


class PassedSocket(Server):
    """A server that inherits its listening socket as file descriptor 3."""

    def __init__(self, folder, controller_url, listener):
        super().__init__(folder, controller_url, rate_limit=0)
        self.listener = listener

    def spawn(self, command):
        script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&"$FD"'
        file = self.listener.fileno()
        return subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[file],
            env={**os.environ, "FD": str(file)},
        )


def test_the_next_server_may_start_before_the_last_one_stops(tmp_path, bound):
    """Both follow the controller, each under its own name; a client sees no gap."""
    first = Server(tmp_path, bound.url, rate_limit=0)
    second = None
    try:
        started(first)
        second = Server(tmp_path, bound.url, listen=f"127.0.0.1:{first.port}", rate_limit=0)
        with Load(first.port) as load:
            load.wait_for("answered", 100)
            started(second)
            assert len(bound.acknowledged) == 2
            assert first.stop() == 0
            load.wait_for("answered", 200)
        assert set(load.outcomes) <= {"answered", "reset"}, load.outcomes
    finally:
        for server in (first, second):
            if server is not None and server.process.poll() is None:
                server.kill()


def test_a_killed_server_takes_its_workers_with_it(make_server, bound):
    """`wait` asserts it: a worker left behind would keep the log open."""
    server = started(make_server(bound, workers=2))
    workers = server.workers()
    assert len(workers) == 2
    server.kill()
    wait_until(lambda: not any(map(alive, workers)), "the workers' end")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_worker_is_replaced(make_server, bound):
    server = started(make_server(bound))
    (victim,) = server.workers()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(server.workers()) == 1 and victim not in server.workers(), "another")
    wait_until(lambda: server.get("/metadata/v1/id", DROPLET)[2] == b"7", "an answer by it")


def test_a_worker_that_keeps_dying_ends_the_server(make_server, bound):
    """Its admin port is taken: no amount of trying helps, and the exit status says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = make_server(bound, admin_listen=f"127.0.0.1:{taken.getsockname()[1]}")
        server.process = server.spawn(server.command)
        server.read_log()
        assert server.wait() == 1
    assert "Address already in use: admin_listen 127.0.0.1:" in server.log
    assert "Traceback" not in server.log


def test_a_listening_address_that_is_taken_is_said(make_server, bound):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = make_server(bound, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        server.process = server.spawn(server.command)
        server.read_log()
        assert server.wait() == 1
    assert "Address already in use: listen 127.0.0.1:" in server.log
    assert "Traceback" not in server.log


def test_an_address_this_machine_does_not_have_yet_is_listened_on(make_server, bound):
    """The bridge's metadata port may get its address after this server has started."""
    server = make_server(bound, listen="192.0.2.1:18080")
    server.process = server.spawn(server.command)
    server.read_log()
    wait_until(lambda: "Started worker-1" in server.log, "serving")
    assert "listening on 192.0.2.1:18080" in server.log
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config-file", "/nowhere/at/all.conf"], "/nowhere/at/all.conf"),
        (["--no-such-option"], "usage:"),
    ],
)
def test_wrong_usage_is_status_2(arguments, said):
    done = subprocess.run(
        [sys.executable, "-m", "metadata_http", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_bad_settings_are_status_2_and_name_all_there_is_to_know(make_server):
    server = make_server("http://127.0.0.1:1", admin_listen="0.0.0.0:9180")
    done = subprocess.run(server.command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    for part in ("admin_listen", "0.0.0.0:9180", str(server.config), "loopback"):
        assert part in done.stderr


def test_the_callable_serves_under_another_wsgi_server(make_server, bound):
    """`metadata_http.wsgi:application` is plain WSGI: here under the standard library's server."""
    server = make_server(bound)
    script = (
        "from wsgiref.simple_server import make_server\n"
        "from metadata_http.wsgi import application\n"
        "server = make_server('127.0.0.1', 0, application)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "METADATA_HTTP_CONFIG": str(server.config)},
    )
    try:
        server.port = int(process.stdout.readline())
        wait_until(lambda: server.get("/metadata/v1/id", DROPLET)[2] == b"7", "an answer")
        assert server.get("/metadata/v1", DROPLET)[0] == 301
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Ovs:
    """A private Open vSwitch with the dummy datapath: no root, no packets, a real OVSDB."""

    def __init__(self, folder):
        self.folder = folder
        self.db = f"unix:{folder}/db.sock"
        self.environ = {
            **os.environ,
            **dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"), str(folder)),
        }
        self.processes = []

    def start(self):
        schema = "/usr/share/openvswitch/vswitch.ovsschema"
        self.run("ovsdb-tool", "create", f"{self.folder}/conf.db", schema)
        self.spawn("ovsdb-server", f"{self.folder}/conf.db", f"--remote=p{self.db}")
        wait_until(lambda: (self.folder / "db.sock").exists(), "OVSDB")
        self.run("ovs-vsctl", f"--db={self.db}", "--no-wait", "init")
        self.spawn("ovs-vswitchd", "--enable-dummy=override", "--disable-system", self.db)

    def run(self, *command):
        subprocess.run(command, env=self.environ, check=True, capture_output=True)

    def spawn(self, *command):
        self.processes.append(
            subprocess.Popen(command, env=self.environ, stderr=subprocess.DEVNULL)
        )

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def ovs(tmp_path):
    made = Ovs(tmp_path)
    yield made
    made.stop()


def test_the_dpid_is_read_from_ovsdb_whenever_that_comes(tmp_path, ovs, bound):
    server = Server(tmp_path, bound.url, bridge="br-test", dpid=None)
    with server.config.open("a") as config:
        config.write(f"[metadata]\novsdb = {ovs.db}\n")
    server.process = server.spawn(server.command)
    try:
        server.read_log()
        wait_until(lambda: "waiting for bridge br-test in OVSDB" in server.log, "the first wait")
        ovs.start()
        wait_until(lambda: 'no row "br-test"' in server.log, "the wait for the bridge")
        dpid = f"other-config:datapath-id={DPID}"
        add = ("add-br", "br-test", "--", "set", "bridge", "br-test", dpid)
        ovs.run("ovs-vsctl", f"--db={ovs.db}", *add)
        bound.wait_acknowledged()
        assert f"serving bridge {DPID}" in server.log
    finally:
        server.kill()


def test_a_controller_that_comes_last_is_found(make_server):
    controller = FakeController()
    controller.start()
    controller.put(port(602, DROPLET, 7))
    controller.stop()
    server = make_server(controller).start()
    assert server.get("/metadata/v1/id", DROPLET)[0] == 503
    controller.start()
    wait_until(lambda: server.get("/metadata/v1/id", DROPLET)[2] == b"7", "an answer")
    controller.stop()
