"""Clients that write to and read from controllers at random, and write down what came of it.

Each is a thread with connections of its own. What a client cannot know, a write that was answered
503 or not at all, is put down as such; what never left it is not put down.
"""

import http.client
import itertools
import json
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from lab.namespace import Namespace
from tests.linear.checker import Interval
from tests.linear.record import Operation, Shown, judged

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STALE = "Registry-Age"
"""The header of an answer that may lack what others wrote, see docs/rest.md."""

_TAG = re.compile(r'"(\d+)(?:-(\d+))?"')
_PAUSE_S = (0.0, 0.08)

_values = itertools.count(1)
_reports = itertools.count(1)
"""Each is used once, and a report is a port's number."""


@dataclass(frozen=True, slots=True)
class Door:
    """A controller's REST; `namespace` is where clients are."""

    name: str
    address: tuple[str, int]
    token: str
    namespace: Namespace | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A droplet that is written to: what is registered of it but for its hostname.

    Reports go to the switch `dpid`, where it has to be on a port; without one there are none.
    `lasting`: it is never deleted.
    """

    droplet_id: int
    port: str
    mac: str = "02:00:00:00:00:01"
    user_data: str = ""
    dpid: str | None = None
    lasting: bool = False

    def document(self, value: int) -> dict[str, Any]:
        """What to register; `value` is told by the hostname."""
        metadata = {"hostname": f"h{value}", "region": "r", "user_data": self.user_data}
        return {"ports": [{"name": self.port, "mac": self.mac}], "metadata": metadata}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a controller said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def detail(self) -> str:
        """Why it refuses (RFC 9457)."""
        return json.loads(self.body).get("detail", "")

    @property
    def shown(self) -> Shown:
        """The record that it shows."""
        document = json.loads(self.body)
        status = document.get("status", {})
        revision, status_revision = _revisions(self.headers["ETag"])
        return Shown(
            int(document["metadata"]["hostname"].removeprefix("h")),
            revision,
            status.get("agent", {}).get("ssh_info", {}).get("port"),
            status.get("maintenance_event") is not None,
            status_revision,
        )


def _revisions(tag: str) -> tuple[int, int]:
    found = _TAG.search(tag)
    assert found, tag
    return int(found[1]), int(found[2] or 0)


class NotSent(OSError):
    """No connection came about."""


class Asker:
    """Connections to controllers, one each. For one thread."""

    def __init__(self, patience: float) -> None:
        """`patience` is in seconds, for each answer."""
        self._patience = patience
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def ask(
        self,
        door: Door,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call. Raises NotSent, OSError, HTTPException."""
        connection = self._connections.pop(door.name, None) or self._connect(door)
        words = {"Authorization": f"Bearer {door.token}", **(headers or {})}
        text = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, text, words)
            answer = connection.getresponse()
            found = Answer(answer.status, answer.headers, answer.read())
        except BaseException:
            connection.close()
            raise
        self._connections[door.name] = connection
        return found

    def close(self) -> None:
        """End all of them."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _connect(self, door: Door) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*door.address, timeout=self._patience)
        with door.namespace.entered() if door.namespace else nullcontext():
            try:
                connection.connect()
            except OSError as error:
                raise NotSent(*error.args) from error
        return connection


@dataclass(frozen=True, slots=True)
class Stale:
    """A read whose answer said that it may be old: by which controller, and how old at most."""

    by: str
    since: float
    until: float
    age: float
    shown: Shown | None


@dataclass
class Book:
    """What came of all calls. Safe to write to from several threads."""

    history: dict[int, list[Interval]] = field(default_factory=lambda: defaultdict(list))
    stale: dict[int, list[Stale]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: list[float] = field(default_factory=list)
    """When writes were."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """503: by which controller and why."""
    unheard: Counter = field(default_factory=Counter)
    """Calls without an answer, by controller."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, droplet_id: int, since: float, operation: Operation) -> None:
        """The operation came out as it says."""
        now = time.monotonic()
        with self._lock:
            self.history[droplet_id].append(Interval(operation, since, now))
            if operation.kind != "get" and operation.status in (200, 201, 204):
                self.acknowledged.append(now)

    def unknown(self, droplet_id: int, since: float, operation: Operation) -> None:
        """Nobody knows how it came out."""
        if operation.kind != "get":
            with self._lock:
                self.history[droplet_id].append(Interval(operation, since, None))

    def old(self, droplet_id: int, read: Stale) -> None:
        """A read that may be old."""
        with self._lock:
            self.stale[droplet_id].append(read)

    def longest_pause(self, began: float, ended: float) -> float:
        """The longest time between these without an acknowledged write, in seconds."""
        times = [began, *sorted(t for t in self.acknowledged if began < t < ended), ended]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


class Client:
    """One client: asks `doors` about `subjects` until it is stopped."""

    def __init__(
        self,
        book: Book,
        doors: Sequence[Door],
        subjects: Sequence[Subject],
        seed: str,
        patience: float,
    ) -> None:
        self._book = book
        self._doors = doors
        self._subjects = subjects
        self._random = random.Random(seed)
        self._asker = Asker(patience)
        self._seen: dict[int, int] = {}
        self._over = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"client {seed}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have it end soon."""
        self._over.set()

    def join(self) -> None:
        """Wait for its end. Raises what went wrong in it."""
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._over.wait(self._random.uniform(*_PAUSE_S)):
                subject = self._random.choice(self._subjects)
                do(self._book, self._asker, self._random.choice(self._doors), subject,
                       self._operation(subject), self._seen)  # fmt: skip
        except BaseException as error:  # noqa: BLE001 - told by join
            self.error = error
        finally:
            self._asker.close()

    def _operation(self, subject: Subject) -> Operation:
        kinds = ["get"] * 4 + ["put"] * 5 + ["announce", "call-off"]
        kinds += ["report"] * 2 if subject.dpid else []
        kinds += [] if subject.lasting else ["delete"]
        kind = self._random.choice(kinds)
        if kind == "report":
            return Operation(kind, next(_reports))
        match = self._seen.get(subject.droplet_id) if self._random.random() < 0.5 else None
        if kind == "delete":
            return Operation(kind, match=match)
        if kind == "put":
            new = match is None and self._random.random() < 0.2
            return Operation(kind, next(_values), match=match, new=new)
        return Operation(kind)


def do(
    book: Book,
    asker: Asker,
    door: Door,
    subject: Subject,
    operation: Operation,
    seen: dict[int, int] | None = None,
) -> Operation | None:
    """One operation and its place in the book; what it came to, None where that is not known.

    `seen` gets the revision of the document that the answer shows.
    """
    operation = replace(operation, by=door.name)
    since = time.monotonic()
    try:
        answer = asker.ask(door, *_request(subject, operation))
    except NotSent:
        book.unheard[door.name] += 1
        return None
    except (OSError, http.client.HTTPException):
        book.unheard[door.name] += 1
        book.unknown(subject.droplet_id, since, operation)
        return None
    if answer.status == 503:
        book.refused.append((door.name, answer.detail))
        book.unknown(subject.droplet_id, since, operation)
        return None
    outcome = _outcome(operation, answer)
    if outcome is None:
        return None
    if STALE in answer.headers:
        age = float(answer.headers[STALE])
        read = Stale(door.name, since, time.monotonic(), age, outcome.shown)
        book.old(subject.droplet_id, read)
        return None
    book.known(subject.droplet_id, since, outcome)
    if seen is not None and outcome.shown is not None:
        seen[subject.droplet_id] = outcome.shown.revision
    return outcome


def _request(subject: Subject, operation: Operation) -> tuple[str, str, Any, dict[str, str]]:
    """Method, path, body and headers of the call."""
    path = f"/v1/droplets/{subject.droplet_id}"
    if operation.certain:
        path += "?certain=true"
    conditions = {
        **({} if operation.match is None else {"If-Match": f'"{operation.match}"'}),
        **({"If-None-Match": "*"} if operation.new else {}),
    }
    match operation.kind:
        case "put":
            assert operation.value is not None
            document = subject.document(operation.value)
            return "PUT", path, document, {"Content-Type": JSON, **conditions}
        case "report":
            path = f"/v1/switches/{subject.dpid}/droplets/{subject.droplet_id}/agent"
            report = {"ssh_info": {"port": operation.value}}
            return "PATCH", path, report, {"Content-Type": MERGE_PATCH}
        case "announce":
            event = {"event": "live_migrate"}
            return "PUT", f"{path}/maintenance", event, {"Content-Type": JSON}
        case "call-off":
            return "DELETE", f"{path}/maintenance", None, {}
    return operation.kind.upper(), path, None, conditions


def _outcome(operation: Operation, answer: Answer) -> Operation | None:
    """The operation as it came out; None where the answer says nothing of the record."""
    status = answer.status
    if operation.kind == "report":
        # Anything else is about the switch, of which this controller may know little.
        if status != 200:
            assert status in (404, 421), (operation, answer)
            return None
        return replace(operation, status=status, told=json.loads(answer.body)["revision"])
    assert status in (200, 201, 204, 404, 412), (operation, answer)
    if status == 412:
        tag = _TAG.search(answer.detail)
        return replace(operation, status=status, told=int(tag[1]) if tag else None)
    shown = answer.shown if status in (200, 201) else None
    return replace(operation, status=status, shown=shown)


@contextmanager
def clients(
    book: Book,
    doors: Sequence[Sequence[Door]],
    subjects: Sequence[Subject],
    seed: str,
    patience: float,
) -> Iterator[list[Client]]:
    """Clients meanwhile, one for each choice of doors. Raises what went wrong in them."""
    made = [
        Client(book, choice, subjects, f"{seed}-{number}", patience)
        for number, choice in enumerate(doors)
    ]
    try:
        yield made
    finally:
        for client in made:
            client.end()
    for client in made:
        client.join()


def contradictions(
    book: Book, subjects: Sequence[Subject], first: Mapping[int, Shown | None] | None = None
) -> list[str]:
    """What no order of the calls explains, of each droplet; `first` is how they were registered.

    Raises Inconsistent.
    """
    first = first or {}
    found = []
    for subject in subjects:
        droplet_id = subject.droplet_id
        history = book.history[droplet_id]
        if wrong := judged(history, first.get(droplet_id)):
            found.append(f"droplet {droplet_id}, {len(history)} calls: {wrong}")
    return found
