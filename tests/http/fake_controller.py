"""A controller for the metadata server's tests: a real HTTP server that speaks the watch stream.

Only what goes over the wire is here; it shares no code with either side. Its state is set by the
test, which waits on what the server acknowledged.
"""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

DPID = "00000000000000a1"
TOKEN = "a-test-token-that-must-stay-secret"
_AGENT = re.compile(rf"/v1/switches/{DPID}/droplets/([0-9]+)/agent")
_COUNTS = re.compile(rf"/v1/switches/{DPID}/servers/([^/]+)/requests")
_SERVER = re.compile(rf"/v1/switches/{DPID}/servers/([^/]+)")


def port(
    ofport,
    address,
    droplet_id=None,
    *,
    name=None,
    user_data_base64=None,
    maintenance_event=None,
    formats=None,
    metadata_options=None,
    binding=None,
    **metadata,
):
    """One port as the stream shows it; with a `droplet_id`, a droplet that says who it is.

    `binding` is the generation of the binding, the droplet's id if it does not matter.
    """
    droplet = None
    if droplet_id is not None:
        whole = {"droplet_id": droplet_id, "hostname": f"host-{droplet_id}", "region": "nyc3"}
        droplet = {
            "metadata": {**whole, **metadata},
            "user_data_base64": user_data_base64,
            "maintenance_event": maintenance_event,
        }
        if formats is not None:
            droplet["formats"] = formats
        if metadata_options is not None:
            droplet["metadata_options"] = metadata_options
    return {
        "ofport": ofport,
        "name": name or f"tap{ofport}",
        "hv_local_ip": address,
        "droplet_id": droplet_id,
        "state": "unregistered" if droplet_id is None else "serving",
        "binding": binding or droplet_id,
        "droplet": droplet,
    }


class FakeController:
    """The watch stream of one bridge.

    `heartbeat` and `lease` are in seconds; both are short so that no test waits long.
    """

    def __init__(self, lease=10.0, subnet="127.0.0.0/8", heartbeat=0.2):
        self.lease = lease
        self.subnet = subnet
        self.heartbeat = heartbeat
        self.revision = 1 << 32
        self.first_revision = self.revision
        self.ports = {}
        self.in_sync = True
        self.silent = False
        self.acknowledged = {}
        self.left = []
        self.watches = []
        self.counts = []  # what servers counted, as they told it
        self.counts_status = 204
        self.reports = []  # what droplets said of themselves: (droplet id, merge patch)
        self.report_status = 200  # what a report is answered
        self.reports_held = threading.Event()  # cleared, reports are not answered
        self.reports_held.set()
        self.waiting = 0
        self.changed = threading.Condition()
        self._history = []
        self._server = None
        self.port_number = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port_number}"

    def start(self):
        """Listen, on the same port as before if there was one."""
        self._server = _Server(("127.0.0.1", self.port_number), _handler(self))
        self.port_number = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        """Die: every connection ends and new ones are refused."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            server.drop_all()
            self.notify()

    def restart(self):
        """Come back as a controller that knows nothing of earlier revisions."""
        self.revision = self.first_revision = ((self.revision >> 32) + 1) << 32
        self._history.clear()
        self.acknowledged.clear()
        return self.start()

    @property
    def alive(self):
        return self._server is not None

    def put(self, *ports):
        """Add or replace ports."""
        with self.changed:
            for each in ports:
                self.revision += 1
                self.ports[each["ofport"]] = each
                event = {"event": "port", "revision": self.revision, "port": each}
                self._history.append((self.revision, event))
            self.changed.notify_all()
        return self.revision

    def remove(self, ofport):
        with self.changed:
            self.revision += 1
            del self.ports[ofport]
            event = {"event": "gone", "revision": self.revision, "ofport": ofport}
            self._history.append((self.revision, event))
            self.changed.notify_all()
        return self.revision

    def take_report(self, droplet_id, patch):
        """Keep a droplet's report as the registry does, unless reports are refused."""
        with self.changed:
            self.reports.append((droplet_id, patch))
            self.changed.notify_all()
        if self.report_status == 200:
            for each in list(self.ports.values()):
                if each["droplet_id"] == droplet_id:
                    droplet = each["droplet"]
                    metadata = {**droplet["metadata"], **patch}
                    self.put({**each, "droplet": {**droplet, "metadata": metadata}})

    def pause(self):
        """Let one heartbeat pass."""
        time.sleep(self.heartbeat)

    def notify(self):
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, condition, timeout=60.0):
        """Wait for `condition` of this controller's state; a net for a hang, no measure."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), "the server never got there"

    def wait_acknowledged(self, revision=None, servers=1):
        """Wait until that many servers have acknowledged `revision` (default: the newest)."""
        wanted = self.revision if revision is None else revision
        self.wait_for(lambda: sum(each >= wanted for each in self.acknowledged.values()) >= servers)

    def events(self, since):
        """What a watcher that knows `since` must be told now: (events, revision)."""
        with self.changed:
            known = since is not None and self.first_revision <= since <= self.revision
            if known:
                events = [event for revision, event in self._history if revision > since]
            else:
                events = [self._snapshot_begin()]
                events += [
                    {"event": "port", "revision": self.revision, "port": each}
                    for each in self.ports.values()
                ]
            return events, self.revision

    def _snapshot_begin(self):
        return {
            "event": "snapshot",
            "dpid": DPID,
            "revision": self.revision,
            "hv_local_subnet": self.subnet,
            "lease": self.lease,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address, handler):
        self.connections = set()
        super().__init__(address, handler)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def drop_all(self):
        for connection in self.connections:
            try:
                connection.shutdown(2)
            except OSError:
                continue  # it had ended by itself

    def handle_error(self, request, client_address):
        """A connection that ends under a handler is what `stop` is for."""


def _handler(controller):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            if not self._allowed():
                return
            if url.path != f"/v1/switches/{DPID}/ports" or query.get("watch") != ["true"]:
                self._answer(404)
                return
            since = int(query["since"][0]) if "since" in query else None
            controller.watches.append((query.get("server", [None])[0], since))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._stream(since)

        def do_PUT(self):
            name = _SERVER.fullmatch(self.path)
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if _COUNTS.fullmatch(self.path) and self._allowed():
                controller.counts.append(json.loads(body))
                self._answer(controller.counts_status)
                return
            if name is None or not self._allowed():
                return
            with controller.changed:
                controller.acknowledged[name[1]] = json.loads(body)["revision"]
                controller.changed.notify_all()
            self._answer(204)

        def do_DELETE(self):
            name = _SERVER.fullmatch(self.path)
            if name is not None and self._allowed():
                with controller.changed:
                    controller.left.append(name[1])
                    controller.changed.notify_all()
                self._answer(204)

        def do_PATCH(self):
            droplet = _AGENT.fullmatch(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if droplet is None or not self._allowed():
                return
            if self.headers["Content-Type"] != "application/merge-patch+json":
                self._answer(415)
                return
            controller.waiting += 1
            controller.reports_held.wait(30)
            controller.take_report(int(droplet[1]), json.loads(body))
            self._answer(controller.report_status)

        def _stream(self, revision):
            synced = False
            while controller.alive:
                if not controller.in_sync:
                    self._send({"event": "waiting", "dpid": DPID})
                elif not controller.silent:
                    events, newest = controller.events(revision)
                    if not synced:
                        events.append({"event": "in-sync", "revision": newest})
                    elif not events:
                        events = [{"event": "heartbeat", "revision": newest}]
                    synced, revision = True, newest
                    self._send(*events)
                self._pause(revision)

        def _pause(self, revision):
            with controller.changed:
                controller.changed.wait_for(
                    lambda: (
                        not controller.alive
                        or (
                            not controller.silent
                            and controller.in_sync
                            and controller.revision != revision
                        )
                    ),
                    controller.heartbeat,
                )

        def _send(self, *events):
            data = b"".join(json.dumps(event).encode() + b"\n" for event in events)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def _allowed(self):
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                return True
            self._answer(401)
            return False

        def _answer(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format, *args):
            """Tests speak for themselves."""

    return Handler


def wait_until(condition, what, timeout=60.0):
    """Wait for something that gives no notice; a net for a hang, no measure."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)
