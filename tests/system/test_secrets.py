"""No secret leaves by the side: logs at debug level, refusals and metrics of both real processes.

Documents with marked secrets are registered, served and refused in every way there is, and both
processes are brought to faults of their own; then all that they said is searched for the marks.
"""

import base64
import http.client
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from lab.droplet import Droplet
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.services import CONTROLLER, Services
from lab.wait import wait_for

KINDS = ("user_data", "vendor_data", "auth_key", "public_keys", "dotty_keys", "report", "token")
MARK = {kind: f"SECRET{number}of{kind.replace('_', '')}" for number, kind in enumerate(KINDS)}
JSON, NDJSON, MERGE = (
    {"Content-Type": f"application/{name}"} for name in ("json", "x-ndjson", "merge-patch+json")
)
MAC = "02:00:00:00:0a:01"


def document(droplet_id: int = 7, **changed: object) -> dict[str, object]:
    """A droplet with a marked secret wherever one can be."""
    key = {"ssh_key": f"ssh-rsa {MARK['dotty_keys']}", "ttl": 60}
    metadata = {
        "region": "lab1",
        "user_data": f"#!/bin/sh\n# {MARK['user_data']}\n",
        "vendor_data": MARK["vendor_data"],
        "auth_key": MARK["auth_key"],
        "public_keys": [f"ssh-ed25519 {MARK['public_keys']}"],
        "dotty_keys": [json.dumps(key)],
    }
    ports = [{"name": f"tap{droplet_id}", "mac": MAC}]
    return {"droplet_id": droplet_id, "ports": ports, "metadata": metadata | changed}


def bad_documents() -> Iterator[object]:
    """Documents that are refused, for what each secret may be and more."""
    for kind in ("user_data", "vendor_data", "auth_key", "public_keys", "dotty_keys"):
        mark = MARK[kind]
        lines, half = f"{mark}\n{mark}", '{"ssh_key": "' + mark
        odd = json.dumps({"ssh_key": lines, "ttl": mark})
        for value in (5, [mark], [[mark]], {mark: mark}, lines, [lines], [half], [odd], mark, True):
            yield document(**{kind: value}, region="")
    yield {**document(), "user_data_base64": MARK["user_data"] + "!"}
    yield {**document(), "user_data_base64": [MARK["user_data"]], "formats": ["none"]}
    yield {**document(), "ports": [{"name": "longer-than-fifteen", "mac": "x"}]}
    yield [document()]
    yield {**document(), "droplet_id": 8}


def bad_bodies() -> Iterator[tuple[bytes, dict[str, str]]]:
    """Bodies that are no documents, and what type they say they are of."""
    whole = json.dumps(document()).encode()
    for data in (
        whole[:-20],
        whole + b"}",
        whole.replace(b'"', b"'"),
        b"\xff" + whole,
        b"{" + whole,
    ):
        yield data, JSON
    yield whole.replace(b"{", b'{"metadata": {}, ', 1), JSON  # A key twice.
    yield whole.replace(b"lab1", b"\\ud800"), JSON
    yield whole, {"Content-Type": "text/plain"}
    yield whole, JSON | {"Content-Encoding": "gzip"}
    yield json.dumps(document(user_data=MARK["user_data"] * 60_000)).encode(), JSON
    yield whole, JSON | {"If-Match": '"999999"'}
    yield whole, JSON | {"Authorization": f"Bearer {MARK['token']}"}
    yield whole, JSON | {"Authorization": f"Basic {MARK['token']}"}


class Said:
    """All that the two processes say beside documents to those they are for."""

    def __init__(self, host: Hypervisor, services: Services) -> None:
        self.host = host
        self.services = services
        self.texts: list[str] = []
        self.statuses: set[int] = set()
        self.tokens_file = services.state_dir / "tokens"
        lines = self.tokens_file.read_text().splitlines()
        self.tokens = [line.split()[1] for line in lines if line.startswith(("admin ", "server "))]

    def call(
        self, method: str, path: str, data: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """One call as the administrator; kept where it is refused."""
        body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
        headers = {"Authorization": f"Bearer {self.tokens[0]}"} | (headers or JSON)
        with self.host.namespace.entered():
            connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=30)
            connection.connect()
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        self.statuses.add(answer.status)
        if answer.status >= 400:
            self.texts += [text, str(answer.headers)]
        return answer.status, text

    def asked(self, droplet: Droplet, path: str, *options: str) -> int:
        """A request from the droplet; kept where it is refused."""
        answer = droplet.get(path, *options)
        if answer.status >= 400:
            self.texts += [answer.text, str(answer.headers)]
        return answer.status

    def health(self, port: int) -> None:
        """Keep what the process on this port tells of itself."""
        for path in ("/metrics", "/readyz", "/healthz", "/nothing"):
            with self.host.namespace.entered():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.connect()
            with closing(connection):
                connection.request("GET", path)
                self.texts.append(connection.getresponse().read().decode())

    def logs(self) -> str:
        """What both processes wrote."""
        names = ("ryu-manager.log", "metadata-http.log")
        return "".join((self.host.directory / name).read_text(errors="replace") for name in names)


def found(text: str, tokens: list[str]) -> list[str]:
    """The marks and tokens in `text`, plain or in base64 at any of its three phases."""
    secrets = [*MARK.values(), *tokens]
    hits = [secret for secret in secrets if secret in text]
    for secret in secrets:
        for phase in range(3):
            coded = base64.b64encode(b"x" * phase + secret.encode())[4 : len(secret)].decode()
            hits += [f"{secret} in base64"] if coded in text else []
    return hits


def around(hit: str, text: str) -> list[str]:
    """Where a secret was found, for people."""
    lines = [line for line in text.splitlines() if hit in line]
    return [line[max(line.find(hit) - 150, 0) :][:300] for line in lines[:5]]


@pytest.fixture
def said(lab: Lab, host: Hypervisor) -> Said:
    """Both processes at debug level, and droplet 7 being served."""
    host.add_bridge()
    services = Services(
        lab, host, {"DEFAULT": {"verbose": True}, "metadata_http": {"log_level": "debug"}}
    )
    services.dropletctl("host-setup", "--bridge", BRIDGE)
    services.start()
    host.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)
    return Said(host, services)


def test_no_secret_is_in_logs_errors_or_metrics(said: Said) -> None:
    droplet = said.host.add_droplet("tap7", ofport=7, mac=MAC, addresses="10.0.0.7/24")
    assert said.call("PUT", "/v1/droplets/7", document())[0] == 201
    status, shown = said.call("GET", "/v1/droplets/7")
    assert status == 200
    assert set(found(shown, [])) >= {MARK[kind] for kind in KINDS[:5]}
    wait_for(lambda: said.asked(droplet, "/metadata/v1/user-data") == 200, "the droplet's data")

    refuse_documents(said)
    refuse_requests(said, droplet)
    break_tokens(said)
    break_the_registry(said)
    break_snapshots(said)
    for port in (8080, 9180):
        said.health(port)

    assert {400, 401, 409, 412, 413, 415} <= said.statuses
    assert said.statuses & {500, 503}
    logs = said.logs()
    # That this was the debug level, and that there were faults of ours.
    assert "DEBUG" in logs
    assert "connected socket" in logs
    everything = "\n".join([logs, *said.texts])
    assert {hit: around(hit, everything) for hit in found(everything, said.tokens)} == {}


def refuse_documents(said: Said) -> None:
    """Everything that registration refuses, alone and in batches."""
    for bad in bad_documents():
        assert said.call("PUT", "/v1/droplets/7", bad)[0] == 400
        assert said.call("POST", "/v1/droplets", [document(), bad])[0] == 400
        lines = b"\n".join(json.dumps(each).encode() for each in (document(9), bad))
        assert said.call("POST", "/v1/droplets", lines, NDJSON)[0] in (400, 409)
    for data, headers in bad_bodies():
        assert said.call("PUT", "/v1/droplets/7", data, headers)[0] >= 400
        assert said.call("POST", "/v1/droplets", data, headers)[0] >= 400
    thief = {**document(8), "ports": document()["ports"]}
    assert said.call("PUT", "/v1/droplets/8", thief)[0] == 409


def refuse_requests(said: Said, droplet: Droplet) -> None:
    """What a droplet and its agent are refused."""
    assert said.asked(droplet, "/metadata/v1/nothing") == 404
    mark = MARK["report"]
    reports = [
        {"dotty_status": "nonsense", "ssh_info": mark},
        {"ssh_info": {"port": mark}},
        {"ssh_info": {"port": 22, "host_keys": [f"{mark}\n"]}},
        {mark: mark},
        [mark],
        mark,
    ]
    dpid = said.host.dpid()
    for report in reports:
        text = json.dumps(report)
        options = ("-X", "PATCH", "-H", "Content-Type: application/json", "--data-binary", text)
        said.asked(droplet, "/metadata/v1.json", *options)
        said.asked(droplet, "/metadata/v1.json", *options[:-1], text[:-1])
        path = f"/v1/switches/{dpid}/droplets/7/agent"
        if mark not in report:  # A key is named, for nothing secret is one.
            said.call("PATCH", path, report, MERGE)
    said.asked(droplet, "/metadata/v1.json", "-H", f"Authorization: Bearer {mark}", "-X", "PUT")
    said.asked(droplet, "/metadata/v1.json", "-H", f"X-Forwarded-For: {mark}")


def break_tokens(said: Said) -> None:
    """A tokens file with its words swapped is reported and the former one stays in force."""
    good, mark = said.tokens_file.read_text(), MARK["token"]
    for bad in (f"{said.tokens[0]} admin", f"{mark} admin", f"admin {mark}!", f"admin {mark} 7"):
        said.tokens_file.write_text(f"{bad}\n")
        assert said.call("GET", "/v1/switches")[0] == 200
    words = "the tokens read before stay in force"
    wait_for(lambda: said.logs().count(words) == 4, "a line for each")
    said.tokens_file.write_text(good)


def break_the_registry(said: Said) -> None:
    """A write that the database refuses, and a record that is damaged."""
    refusal = "BEGIN SELECT RAISE(FAIL, 'refused'); END"
    with closing(sqlite3.connect(said.services.state_dir / "registry.db")) as registry:
        registry.execute(f"CREATE TRIGGER refuse BEFORE INSERT ON droplet {refusal}")
        registry.execute(f"CREATE TRIGGER refuse_too BEFORE UPDATE ON droplet {refusal}")
        assert said.call("PUT", "/v1/droplets/7", document(hostname="changed"))[0] >= 500
        registry.execute("DROP TRIGGER refuse")
        registry.execute("DROP TRIGGER refuse_too")
        assert said.call("PUT", "/v1/droplets/7", document(hostname="again"))[0] == 200
        broken = json.dumps(document())[:-30].encode()
        registry.execute("UPDATE content SET document = ? WHERE droplet_id = 7", (broken,))
        registry.commit()
    before = said.logs().count("Traceback")
    # Has the stream read the record.
    said.call("PUT", "/v1/droplets/7/maintenance", {"event": "live_migrate"})
    wait_for(lambda: said.logs().count("Traceback") > before, "a fault of the stream")


def break_snapshots(said: Said) -> None:
    """Snapshot files that are none."""
    said.services.server.stop()
    snapshot = next(said.services.state_dir.glob("snapshot-*[0-9a-f]"))
    whole = snapshot.read_text()
    mark = MARK["user_data"]
    for text in (
        whole.replace(mark, mark + '"'),
        whole.replace('"revision":', f'"revision": "{mark}", "x":'),
        whole.replace('"port":{', f'"port":{{"{mark}":1, "ofport": "{mark}", "y":{{'),
        whole.replace('"droplet":{', f'"droplet": "{mark}", "z":{{'),
    ):
        snapshot.write_text(text)
        said.services.server.start()
        said.services.server.stop()
    said.services.server.start()
