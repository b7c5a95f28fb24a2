"""The registry against a plain model: whatever is done in whatever order, they agree."""

import json
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ryu_apps.northbound.registry import Registry
from ryu_apps.registry.claims import Claim
from ryu_apps.registry.droplet import decode_stored, read_droplet
from ryu_apps.registry.status import registering
from ryu_apps.store.interface import (
    ChangeRefused,
    Entry,
    NoSuchDroplet,
    PageQuery,
    PortNamesTaken,
    Precondition,
    PreconditionFailed,
)
from ryu_apps.store.sqlite import SqliteStore

ids = st.integers(1, 6)
names = st.lists(st.sampled_from("abcdef"), max_size=3, unique=True)
regions = st.sampled_from(["nyc3", "ams3"])
tags = st.lists(st.sampled_from("xyz"), max_size=3)
statuses = st.sampled_from([None, "installed", "running"])
reports = st.fixed_dictionaries(
    {}, optional={"dotty_status": statuses, "ssh_info": st.sampled_from([None, {"port": 22}])}
)


@st.composite
def droplets(draw):
    ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in draw(names)]
    metadata = {"region": draw(regions), "tags": draw(tags), "dotty_status": draw(statuses)}
    options = {"http_put_response_hop_limit": draw(st.none() | st.integers(1, 64))}
    document = {"ports": ports, "metadata": metadata, "metadata_options": options}
    return read_droplet(document, draw(ids))


conditions = st.sampled_from(
    [
        Precondition(),
        Precondition(match=frozenset()),
        Precondition(none_match=frozenset()),
        "current",
        "outdated",
    ]
)


class RegistryMachine(RuleBasedStateMachine):
    """Drives a registry and a dictionary side by side."""

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.model = {}
        self.statuses = {}
        self.revisions = set()
        self.told = []
        self.open_registry()

    def open_registry(self):
        self.store = SqliteStore(Path(self.folder.name) / "registry.db")
        self.registry = Registry(
            self.store,
            offload=lambda call, *arguments: call(*arguments),
            on_change=self.told.append,
        )

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    def condition(self, kind, droplet_id):
        if isinstance(kind, Precondition):
            return kind
        current = self.model[droplet_id][1] if droplet_id in self.model else 1
        return Precondition(match=frozenset({current if kind == "current" else 0}))

    def holds(self, kind, droplet_id):
        there = droplet_id in self.model
        if kind in ("current", Precondition(match=frozenset())):
            return there
        return kind == Precondition() or (kind != "outdated" and not there)

    def names(self, droplet_id):
        if droplet_id not in self.model:
            return set()
        return {port.name for port in self.model[droplet_id][0].ports}

    def attempt(self, call, *arguments):
        """What the registry says, and what it told its listener of it."""
        self.told.clear()
        try:
            return call(*arguments), self.told
        except ChangeRefused as refusal:
            assert self.told == []
            return refusal, self.told

    def expect_told(self, expected):
        assert self.told == ([frozenset(expected)] if expected else [])

    @rule(droplet=droplets(), kind=conditions)
    def put(self, droplet, kind):
        droplet_id = droplet.droplet_id
        result, _ = self.attempt(self.registry.put, droplet, self.condition(kind, droplet_id))
        mine = {port.name for port in droplet.ports}
        taken = mine & set().union(*(self.names(n) for n in self.model if n != droplet_id))
        if not self.holds(kind, droplet_id):
            assert isinstance(result, PreconditionFailed)
        elif taken:
            assert isinstance(result, PortNamesTaken)
            assert {conflict.port_name for conflict in result.conflicts} == taken
        else:
            record, created = result
            assert created == (droplet_id not in self.model)
            self.expect_told(mine | self.names(droplet_id))
            self.store_in_model(droplet, record.revision)

    def store_in_model(self, droplet, revision):
        assert revision not in self.revisions
        assert revision > max(self.revisions, default=0)
        self.revisions.add(revision)
        self.model[droplet.droplet_id] = (droplet, revision)
        self.patch(droplet.droplet_id, registering(droplet.metadata), revision)

    def patch(self, droplet_id, patch, revision):
        """Change the status in the model, flat: no key of ours holds what could be merged."""
        flat = patch.get("agent", {}) | {k: v for k, v in patch.items() if k != "agent"}
        status, _ = self.statuses.get(droplet_id, ({}, 0))
        status = {key: value for key, value in (status | flat).items() if value is not None}
        self.statuses[droplet_id] = (status, revision)

    @rule(
        droplet_id=ids,
        patch=reports.map(lambda report: {"agent": report})
        | st.sampled_from([{"maintenance_event": "live_migrate"}, {"maintenance_event": None}]),
    )
    def patch_status(self, droplet_id, patch):
        before = self.statuses.get(droplet_id)
        result, _ = self.attempt(self.registry.patch_status, droplet_id, patch)
        if before is None:
            assert isinstance(result, NoSuchDroplet)
            return
        self.patch(droplet_id, patch, result)
        if self.statuses[droplet_id][0] == before[0]:
            assert (result, self.told) == (before[1], [])
        else:
            assert result > max(self.revisions)
            self.revisions.add(result)
            self.expect_told(self.names(droplet_id))

    @rule(batch=st.lists(droplets(), max_size=4, unique_by=lambda droplet: droplet.droplet_id))
    def put_many(self, batch):
        new = [port.name for droplet in batch for port in droplet.ports]
        if len(set(new)) != len(new):
            return  # The reader of batches refuses it before.
        changing = {droplet.droplet_id for droplet in batch}
        held = set().union(*(self.names(n) for n in self.model if n not in changing))
        result, _ = self.attempt(self.registry.put_many, [Entry.of(d) for d in batch])
        if held & set(new):
            assert isinstance(result, PortNamesTaken)
            return
        assert result == len(changing - self.model.keys())
        self.expect_told(set(new).union(*(self.names(n) for n in changing)))
        for droplet in batch:
            record = self.registry.get(droplet.droplet_id)
            self.store_in_model(droplet, record.revision)

    @rule(droplet_id=ids, kind=conditions)
    def delete(self, droplet_id, kind):
        condition = self.condition(kind, droplet_id)
        result, _ = self.attempt(self.registry.delete, droplet_id, condition)
        if droplet_id not in self.model:
            assert isinstance(result, NoSuchDroplet)
        elif not self.holds(kind, droplet_id):
            assert isinstance(result, PreconditionFailed)
        else:
            self.expect_told(self.names(droplet_id))
            del self.model[droplet_id], self.statuses[droplet_id]

    @rule()
    def reopen(self):
        self.store.close()
        self.open_registry()

    @rule(after=st.integers(0, 6), limit=st.integers(1, 4), tag=st.sampled_from([None, *"xy"]),
          region=regions | st.none())  # fmt: skip
    def page(self, after, limit, tag, region):
        expected = [
            droplet_id
            for droplet_id, (droplet, _) in sorted(self.model.items())
            if droplet_id > after
            and (tag is None or tag in droplet.tags)
            and (region is None or region == droplet.region)
        ]
        page = self.registry.page(PageQuery(after, limit, tag, region))
        assert [record.droplet_id for record in page.records] == expected[:limit]
        assert page.more == (len(expected) > limit)

    @invariant()
    def they_agree(self):
        if not hasattr(self, "registry"):
            return
        claims = {
            Claim(
                *(droplet_id, port.name, port.mac, port.dpid),
                *(self.statuses[droplet_id][1], droplet.hop_limit),
            )
            for droplet_id, (droplet, _) in self.model.items()
            for port in droplet.ports
        }
        assert set(self.registry.claims.all()) == set(self.store.claims()) == claims
        records = self.registry.get_many(range(1, 7))
        found = {n: (decode_stored(r.document), r.revision) for n, r in records.items()}
        assert found == self.model
        shown = {n: (json.loads(r.status or b"{}"), r.latest) for n, r in records.items()}
        assert {n: (flat(status), latest) for n, (status, latest) in shown.items()} == self.statuses
        assert self.registry.count == self.store.count() == len(self.model)


def flat(status):
    """The status with what the agent said beside the rest."""
    return status.get("agent", {}) | {k: v for k, v in status.items() if k != "agent"}


RegistryMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestRegistry = RegistryMachine.TestCase
