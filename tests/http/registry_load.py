"""Registration load on a controller that may die at any moment, and what must be found afterwards.

Each client owns some droplets and port names and has one request under way at a time. What it
was answered must be there; what it was not answered must be there whole or not at all.
"""

import contextlib
import http.client
import json
import random
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

CLIENTS = 6
_OWN = 40
"""Droplets of one client; and as many port names."""

_TAGS = ("web", "db", "spare")
_REGIONS = ("nyc3", "ams3")


@dataclass(frozen=True)
class Kept:
    """A droplet as the registry must have it; `revision` None where no answer told it."""

    document: str
    maintenance: bool = False
    revision: int | None = None

    def is_that_of(self, shown, revision):
        """Whether this is what the controller shows, or its table has."""
        status = shown.get("status", {})
        document = {key: value for key, value in shown.items() if key != "status"}
        return (
            self.document == _text(document)
            and self.maintenance == ("maintenance_event" in status)
            and self.revision in (None, revision)
        )


def _text(document):
    return json.dumps(document, sort_keys=True)


@dataclass
class Client:
    """One connection's requests, drawn from its own chance."""

    controller: object
    number: int
    chance: random.Random
    kept: dict = field(default_factory=dict)
    pending: dict | None = None
    answered: Counter = field(default_factory=Counter)
    last_revision: int = 0
    fault: BaseException | None = None
    _serial: int = 0

    @property
    def ids(self):
        first = 1000 * (self.number + 1)
        return range(first, first + _OWN)

    def run(self):
        """Send requests until the connection breaks."""
        connection = self.controller.connection()
        try:
            while True:
                self._one(connection)
        except (OSError, http.client.HTTPException):
            pass
        except BaseException as fault:  # noqa: BLE001 - told by whoever joins the thread
            self.fault = fault
        finally:
            connection.close()

    def _one(self, connection):
        kind = self.chance.choices(("put", "delete", "batch", "status"), (5, 2, 2, 3))[0]
        method, path, body, after, statuses = getattr(self, f"_{kind}")()
        self.pending = after
        answer = self.controller.request(method, path, body, on=connection)
        if kind == "batch" and answer.status == 503 and "Retry-After" in answer.headers:
            self.pending = None  # as many as there may be were under way; nothing of it happened
            return
        assert answer.status in statuses, (method, path, answer.status, answer.body)
        if method == "PUT" and kind == "put":
            revision = int(answer.headers["ETag"].strip('"').partition("-")[0])
            assert revision > self.last_revision
            self.last_revision = revision
            (droplet_id,) = after
            kept = after[droplet_id]
            after = {droplet_id: Kept(kept.document, kept.maintenance, revision)}
        self._apply(after)
        self.pending = None
        self.answered[kind] += 1

    def _put(self):
        droplet_id = self.chance.choice(self.ids)
        free = self._free_names({droplet_id})
        document = self._document(droplet_id, free)
        was = self.kept.get(droplet_id)
        after = {droplet_id: Kept(_text(document), bool(was and was.maintenance))}
        return "PUT", f"/v1/droplets/{droplet_id}", document, after, (200, 201)

    def _batch(self):
        """Droplets whose port names wander among them."""
        ids = self.chance.sample(self.ids, 12)
        free = self._free_names(set(ids))
        documents = [self._document(droplet_id, free) for droplet_id in ids]
        after = {
            d["droplet_id"]: Kept(
                _text(d),
                d["droplet_id"] in self.kept and self.kept[d["droplet_id"]].maintenance,
            )
            for d in documents
        }
        return "POST", "/v1/droplets", documents, after, (200,)

    def _delete(self):
        droplet_id = self.chance.choice(self.ids)
        statuses = (204,) if droplet_id in self.kept else (404,)
        return "DELETE", f"/v1/droplets/{droplet_id}", None, {droplet_id: None}, statuses

    def _status(self):
        if not self.kept:
            return self._put()
        droplet_id = self.chance.choice(sorted(self.kept))
        was = self.kept[droplet_id]
        announced = self.chance.random() < 0.7
        path = f"/v1/droplets/{droplet_id}/maintenance"
        after = {droplet_id: Kept(was.document, announced, was.revision)}
        if announced:
            return "PUT", path, {"event": "live_migrate"}, after, (204,)
        return "DELETE", path, None, after, (204,)

    def _document(self, droplet_id, free):
        """A new document, normalised, with some of the `free` names, which it takes."""
        self._serial += 1
        names = [free.pop() for _ in range(min(len(free), self.chance.choice((0, 1, 1, 2))))]
        ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in names]
        metadata = {
            "region": self.chance.choice(_REGIONS),
            "tags": self.chance.sample(_TAGS, self.chance.randrange(3)),
            "note": f"{self.number}/{self._serial}/" + "x" * self.chance.choice((10, 4000)),
            "public_keys": [],
        }
        return {"droplet_id": droplet_id, "ports": ports, "metadata": metadata}

    def _free_names(self, replaced):
        """Names that droplets other than these do not hold, in any order."""
        held = {
            port["name"]
            for droplet_id, kept in self.kept.items()
            if droplet_id not in replaced
            for port in json.loads(kept.document)["ports"]
        }
        free = [name for n in range(_OWN) if (name := f"tap{self.number}x{n}") not in held]
        self.chance.shuffle(free)
        return free

    def _apply(self, after):
        for droplet_id, kept in after.items():
            if kept is None:
                self.kept.pop(droplet_id, None)
            else:
                self.kept[droplet_id] = kept

    def check(self, shown, revisions):
        """What the controller shows is what was answered, with the pending request or without."""
        found = {n: document for n, document in shown.items() if n in self.ids}
        wrong = self._differing(found, revisions)
        if wrong and self.pending is not None:
            before = dict(self.kept)
            self._apply(self.pending)
            if still := self._differing(found, revisions):
                self.kept = before
                raise AssertionError(
                    f"client {self.number}: droplets {sorted(wrong)} are not as answered, nor "
                    f"{sorted(still)} as asked for last: {self.pending}"
                )
            wrong = set()
        assert not wrong, f"client {self.number}: droplets {sorted(wrong)} are not as answered"
        self.pending = None

    def _differing(self, found, revisions):
        return {
            n
            for n in found.keys() | self.kept.keys()
            if n not in found
            or n not in self.kept
            or not self.kept[n].is_that_of(found[n], revisions[n])
        }


class Load:
    """All clients of a controller."""

    def __init__(self, controller, seed):
        self.controller = controller
        self.clients = [Client(controller, n, random.Random(f"{seed}/{n}")) for n in range(CLIENTS)]
        self._threads = []

    def begin(self):
        """Set all clients to work."""
        self._threads = [threading.Thread(target=client.run) for client in self.clients]
        for thread in self._threads:
            thread.start()

    def wait(self):
        """Wait until all have noticed that the controller is gone."""
        for thread in self._threads:
            thread.join()
        for client in self.clients:
            if client.fault is not None:
                raise client.fault

    @property
    def answered(self):
        """How many requests of each kind were answered."""
        return sum((client.answered for client in self.clients), Counter())

    def check(self):
        """The controller, started again, has every answered request and no half one."""
        shown = {d["droplet_id"]: d for d in listed(self.controller)}
        with closing(read_only(self.controller.registry)) as tables:
            check_tables(tables, shown)
            revisions = dict(tables.execute("SELECT droplet_id, revision FROM droplet"))
        for client in self.clients:
            client.check(shown, revisions)
        self._check_index(shown)

    def _check_index(self, shown):
        """What is asked by tag and region, and counted from memory, is what the documents say."""
        for tag in _TAGS:
            region = random.choice(_REGIONS)
            wanted = sorted(
                n
                for n, d in shown.items()
                if tag in d["metadata"]["tags"] and d["metadata"]["region"] == region
            )
            found = listed(self.controller, f"&tag={tag}&region={region}")
            assert [d["droplet_id"] for d in found] == wanted
        assert self.controller.gauge("ovs_metadata_droplets") == len(shown)
        names = [port["name"] for d in shown.values() for port in d["ports"]]
        assert self.controller.gauge("ovs_metadata_claimed_ports") == len(names)


def listed(controller, query=""):
    """All droplets, page by page."""
    found, after = [], 0
    while after is not None:
        answer = controller.get(f"/v1/droplets?limit=100&after={after}{query}")
        assert answer.status == 200, answer.body
        page = answer.json
        found += page["droplets"]
        after = page["next"]
    return found


def read_only(path):
    """The registry's tables beside the controller that has them open."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)


def check_tables(tables, shown):
    """Claims, tags and counters say what the documents say, and nothing refers to nothing."""
    assert tables.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert tables.execute("PRAGMA foreign_key_check").fetchall() == []
    ports = {(p["name"], n, p["mac"]) for n, d in shown.items() for p in d["ports"]}
    assert set(tables.execute("SELECT name, droplet_id, mac FROM port")) == ports
    tags = {(tag, n) for n, d in shown.items() for tag in d["metadata"]["tags"]}
    assert set(tables.execute("SELECT tag, droplet_id FROM tag")) == tags
    regions = {(n, d["metadata"]["region"]) for n, d in shown.items()}
    assert set(tables.execute("SELECT droplet_id, region FROM droplet")) == regions
    counted = tables.execute("SELECT value FROM counter WHERE name = 'droplets'").fetchone()
    assert counted == (len(shown),)


@contextlib.contextmanager
def under_load(load):
    """The clients at work meanwhile; the controller must have been killed at the end."""
    load.begin()
    try:
        yield
    finally:
        load.controller.kill()
        load.wait()
