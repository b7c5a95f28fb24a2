"""Runs `rest_controller.py` for the tests of the REST interface, and talks HTTP to it."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).with_name("rest_controller.py")
DPID = 0x00AB
DPID_TEXT = f"{DPID:016x}"
OTHER = 0x00CD
OTHER_TEXT = f"{OTHER:016x}"
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
PATIENCE = 60
"""Seconds after which a test gives up waiting; never a measure of speed."""


def droplet(name="tap7", **metadata):
    """A small document with one port."""
    ports = [{"name": name, "mac": "a6:a4:8e:4a:e8:70"}] if name else []
    return {"ports": ports, "metadata": {"region": "nyc3"} | metadata}


def wait_until(condition, what):
    """Wait until `condition` holds and return what it gave."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)
    return value


class Answer:
    """One HTTP answer, read whole."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def pointers(self):
        return [error["pointer"] for error in self.json["errors"]]


class RestController:
    """A controller process with its state in a folder; may be killed and started again."""

    def __init__(self, state_dir, *, limits=None, pace=None, arguments=(), tls=None):
        """`tls` is the context to talk to it with."""
        self.state_dir = Path(state_dir)
        self.tls = tls
        self.arguments = [
            *("--limits", json.dumps(limits or {}), "--pace", json.dumps(pace or {})),
            *arguments,
        ]
        self.process = None
        self.start()

    def start(self):
        self.log = (self.state_dir / "log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", SCRIPT, self.state_dir, *self.arguments],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=SCRIPT.parents[2],
            env={"PYTHONPATH": str(SCRIPT.parents[2]), "PATH": "/usr/bin:/bin"},
        )
        line = self.process.stdout.readline()
        assert line, f"the controller did not start:\n{self.log_text()}"
        self.port = int(line)
        self.read_tokens()

    def read_tokens(self):
        """Learn the tokens that the controller made, or found."""
        self.tokens = {}
        for line in (self.state_dir / "tokens").read_text().splitlines():
            if not line.startswith("#"):
                role, token, *_ = line.split()
                self.tokens.setdefault(role, token)

    def log_text(self):
        return (self.state_dir / "log").read_text()

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()
            self.log.close()
            self.process = None

    def restart(self):
        self.kill()
        self.start()

    def connection(self):
        if self.tls is not None:
            return http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=PATIENCE, context=self.tls
            )
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def headers(self, role="admin", token=None):
        token = token or self.tokens.get(role)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, method, path, body=None, headers=None, *, role="admin", token=None, on=None):
        """One request; `body` that is no bytes goes as JSON. `on` names a connection to use."""
        headers = self.headers(role, token) | (headers or {})
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "__next__"):
            body = json.dumps(body).encode()
            headers = JSON | headers
        connection = on or self.connection()
        try:
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse())
        finally:
            if on is None:
                connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def put(self, droplet_id, body, headers=None, **options):
        return self.request("PUT", f"/v1/droplets/{droplet_id}", body, headers, **options)

    def raw(self, data, *, shut=False):
        """Send bytes, return all that comes until the controller closes."""
        with self.connect() as connection:
            connection.sendall(data)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer

    def connect(self):
        """A connection as `connection` makes it, for bytes of one's own."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        if self.tls is None:
            return plain
        return self.tls.wrap_socket(plain, server_hostname="127.0.0.1")

    def do(self, command, **arguments):
        """Have the stand-in for the core do something, see rest_controller.py."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.state_dir / "commands"))
            connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            return json.loads(connection.makefile().readline())

    def forget_all(self):
        """Make a controller that several tests use one after the other as good as new."""
        self.do("forget")
        while found := self.get("/v1/droplets").json["droplets"]:
            for entry in found:
                self.request("DELETE", f"/v1/droplets/{entry['droplet_id']}")

    def gauge(self, name):
        text = self.get("/metrics", role=None).body.decode()
        return float(next(x.split()[1] for x in text.splitlines() if x.startswith(name + " ")))

    def watch(self, query="", dpid=DPID_TEXT, **options):
        return Watch(self, f"/v1/switches/{dpid}/ports?watch=true{query}", **options)


class Watch:
    """A watch stream, read a line at a time."""

    def __init__(self, controller, path, **options):
        self.connection = controller.connection()
        self.connection.request("GET", path, headers=controller.headers(**options))
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.response.close()
        self.connection.close()

    def line(self):
        """The next event, heartbeats included; None at the stream's end."""
        line = self.response.readline()
        return json.loads(line) if line else None

    def event(self):
        """The next event that is no heartbeat."""
        while (event := self.line()) and event["event"] == "heartbeat":
            pass
        return event

    def until(self, name):
        """The events up to and including the first of this name."""
        events = []
        while not events or events[-1]["event"] != name:
            event = self.event()
            assert event is not None, f"the stream ended before {name}: {events}"
            events.append(event)
        return events
