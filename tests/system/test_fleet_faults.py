"""The fault matrix of a region: any one part of it dies, or is cut off, twice in a row.

Each of `ROWS` is a row of the table in docs/operations.md, by its name. Meanwhile droplets ask,
operators' programs write to their registrations through both controllers, and a droplet comes in
each fault. Judged is that no answer was another's, that the writes are linearizable with what is
found in the end (so that none that was acknowledged is lost), that each refusal gave a reason and
the newcomer was served. How long anything took goes to .build/faults.json and is not judged.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from lab.lab import Lab
from lab.namespace import Namespace
from lab.wait import wait_for
from tests.linear.clients import (
    Asker,
    Book,
    Stale,
    Subject,
    clients,
    contradictions,
    do,
)
from tests.linear.record import Operation, Shown
from tests.system.faults import frozen
from tests.system.fleet import Fleet, fleet_of
from tests.system.outage import FleetOutage, Witness, outage, record
from tests.system.probe import Ledger, probing

pytestmark = [pytest.mark.timeout(600)]

_SEEDS = os.environ.get("OVS_METADATA_LINEAR_SEEDS", "1").split(",")
_SECONDS = float(os.environ.get("OVS_METADATA_LINEAR_SECONDS", "25"))
_WRITER_PATIENCE_S = 40.0
"""Seconds: more than a controller takes to say that etcd does not answer it, which is that of two
commits, the one under way included: three members asked in vain, and a write that has no answer."""

Fault = Callable[[Fleet, int], Iterator[set[str]]]
"""What befalls the region while it is suspended, in this round; gives the controllers that cannot
be reached by operators then."""


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Each test leaves it whole."""
    with Lab() as lab, fleet_of(lab) as made:
        yield made


# -- what befalls it ------------------------------------------------------------------------------


def leader_killed(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    name = fleet.leader()
    fleet.region.center.controllers[name].kill()
    yield {name}
    fleet.region.center.controllers[name].start()


def other_controller_killed(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    (name,) = fleet.doors().keys() - {fleet.leader()}
    fleet.region.center.controllers[name].kill()
    yield {name}
    fleet.region.center.controllers[name].start()


def leader_frozen(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    name = fleet.leader()
    with frozen(fleet.region.center.controllers[name]):
        yield {name}


def etcd_leader_killed(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    node = fleet.member(leads=True)
    node.kill()
    yield set()
    node.start()


def etcd_follower_killed(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    node = fleet.member(leads=False)
    node.kill()
    yield set()
    node.start()


def etcd_leader_cut_off(fleet: Fleet, round_: int) -> Iterator[set[str]]:
    """First from all; then it hears the others, and they do not hear it."""
    node = fleet.member(leads=True)
    assert node.namespace is not None
    if round_:
        with dropping(node.namespace, 'oifname "nic0"'):
            yield set()
        return
    fleet.region.center.network.cut(node.name)
    yield set()
    fleet.region.center.network.mend(node.name)


def server_killed(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    fleet.server(0).kill()
    yield set()
    fleet.server(0).start()


def link_from_leader_to_etcd_cut(fleet: Fleet, round_: int) -> Iterator[set[str]]:
    """First both ways, then back."""
    place = fleet.region.center.places[fleet.leader()]
    with dropping(place.namespace, "tcp dport 2379" if not round_ else "", "tcp sport 2379"):
        yield set()


def link_from_leader_to_switch_cut(fleet: Fleet, round_: int) -> Iterator[set[str]]:
    place = fleet.region.center.places[fleet.leader()]
    there = fleet.region.addresses[0]
    out = f"ip daddr {there} tcp sport 6653" if not round_ else ""
    with dropping(place.namespace, out, f"ip saddr {there} tcp dport 6653"):
        yield set()


def link_from_server_to_leader_cut(fleet: Fleet, round_: int) -> Iterator[set[str]]:
    place = fleet.region.center.places[fleet.leader()]
    out = f"ip daddr {place.address} tcp dport 8080"
    back = f"ip saddr {place.address} tcp sport 8080" if not round_ else ""
    with dropping(fleet.hosts[0].namespace, out, back):
        yield set()


@contextmanager
def dropping(namespace: Namespace, out: str, into: str = "") -> Iterator[None]:
    """What matches `out` does not leave the namespace meanwhile, and `into` does not come in."""
    chains = [
        f"chain {hook} {{\ntype filter hook {hook} priority filter\n{rule} drop\n}}"
        for hook, rule in (("output", out), ("input", into))
        if rule
    ]
    lines = "\n".join(chains)
    namespace.run("nft", "-f", "-", text=f"table inet cut {{\n{lines}\n}}\n")
    try:
        yield
    finally:
        namespace.run("nft", "delete", "table", "inet", "cut")


# -- the rows -------------------------------------------------------------------------------------

ROWS = (
    leader_killed,
    other_controller_killed,
    leader_frozen,
    etcd_leader_killed,
    etcd_follower_killed,
    etcd_leader_cut_off,
    server_killed,
    link_from_leader_to_etcd_cut,
    link_from_leader_to_switch_cut,
    link_from_server_to_leader_cut,
)
_NO_NEWCOMERS = (server_killed, link_from_server_to_leader_cut)
"""What keeps a droplet from its metadata server: who comes meanwhile is served afterwards."""


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.__name__)
def test_a_part_is_lost_twice(fleet: Fleet, fault: Fault) -> None:
    Ordeal(fleet, fault).run()


class Ordeal:
    """One fault, twice, with all that goes on meanwhile."""

    def __init__(self, fleet: Fleet, fault: Fault) -> None:
        self.fleet = fleet
        self.name = fault.__name__
        self.fault = contextmanager(fault)
        self.served_meanwhile = fault not in _NO_NEWCOMERS
        self.ledger = Ledger()
        self.book = Book()
        self.lost: set[str] = set()
        self.newcomers: list[float] = []

    def run(self) -> None:
        """Have it happen, and judge."""
        fleet, doors = self.fleet, list(self.fleet.doors().values())
        subjects = [*fresh(3), *(subject for _, subject in fleet.old.values())]
        first = states(fleet, subjects)
        cast = {port: (d.namespace, s.droplet_id) for port, (d, s) in fleet.old.items()}
        choices = [[door] for door in doors]
        with (
            probing(self.ledger, cast, partial(Witness, patience=2.0, pause=0.1)) as witnesses,
            clients(self.book, choices, subjects, self.name, _WRITER_PATIENCE_S),
        ):
            self._all_answered(witnesses, 4)
            began = time.monotonic()
            for round_ in range(2):
                self._round(round_, witnesses)
            fleet.wait_until_whole()
            self._all_answered(witnesses, 4)
            ended = time.monotonic()
        self._judge(subjects, first)
        histories = [list(each.seen) for each in witnesses.values()]
        noticed = outage(histories, began, ended)
        found = FleetOutage(
            noticed.seconds,
            noticed.failed,
            noticed.asked,
            round(max(self.newcomers), 3),
            round(self.book.longest_pause(began, ended), 3),
            len(self.book.refused),
            len(self.book.acknowledged),
        )
        record(self.name, found, "fleet")

    def _round(self, round_: int, witnesses: dict[str, Witness]) -> None:
        droplet, subject = self.fleet.arrives(0)
        self.ledger.allow(droplet.port, subject.droplet_id)
        with ExitStack() as stack:
            broken = ExitStack()
            stack.enter_context(broken)
            self.lost |= broken.enter_context(self.fault(self.fleet, round_))
            began = time.monotonic()
            newcomer = Witness(droplet.port, droplet.namespace, self.ledger, 2.0, pause=0.1)
            stack.callback(newcomer.stop)
            self.fleet.register(subject)
            if self.served_meanwhile:
                newcomer.wait_for(200, 1, 90)
            next(iter(witnesses.values())).ask_times(20)
            broken.close()
            if not self.served_meanwhile:
                newcomer.wait_for(200, 1, 90)
            self.newcomers.append(next(s.over for s in newcomer.seen if s.good) - began)

    @staticmethod
    def _all_answered(witnesses: dict[str, Witness], times: int) -> None:
        for witness in witnesses.values():
            witness.wait_for(200, times, 90)

    def _judge(self, subjects: list[Subject], first: dict[int, Shown | None]) -> None:
        """No acknowledged write is lost, and what was refused was with a reason."""
        read_all(self.fleet, self.book, subjects)
        wrong = contradictions(self.book, subjects, first)
        assert not wrong, "\n".join(wrong)
        assert len(self.book.acknowledged) > 20
        assert all(reason for _, reason in self.book.refused)
        assert set(self.book.unheard) <= self.lost, self.book.unheard
        assert not self.ledger.violations, self.ledger.violations[:4]


_fresh = iter(range(100_001, 1_000_000))


def fresh(number: int) -> list[Subject]:
    """So many droplets that are on no switch and not registered."""
    return [Subject(n, f"none{n}") for n, _ in zip(_fresh, range(number), strict=False)]


def states(fleet: Fleet, subjects: list[Subject]) -> dict[int, Shown | None]:
    """How the droplets are registered now."""
    book, asker, found = Book(), Asker(_WRITER_PATIENCE_S), {}
    door = next(iter(fleet.doors().values()))
    for subject in subjects:
        told = do(book, asker, door, subject, Operation("get", certain=True))
        assert told is not None
        found[subject.droplet_id] = told.shown
    asker.close()
    return found


def read_all(fleet: Fleet, book: Book, subjects: list[Subject]) -> None:
    """What each controller has of them in the end, into the book."""
    asker = Asker(_WRITER_PATIENCE_S)
    for door in fleet.doors().values():
        for subject in subjects:
            get = partial(do, book, asker, door, subject, Operation("get", certain=True))
            wait_for(get, f"droplet {subject.droplet_id} at {door.name}", 60, fleet.diagnosis)
    asker.close()


# -- linearizable ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", _SEEDS)
def test_registry_writes_are_linearizable_while_partitions_come_and_go(
    fleet: Fleet, seed: str
) -> None:
    """Reads that say that they may be old are left out, and judged by their own promise."""
    chance, book = random.Random(seed), Book()
    doors = list(fleet.doors().values())
    subjects = [*fresh(2), *(subject for _, subject in list(fleet.old.values())[:2])]
    first = states(fleet, subjects)
    over = time.monotonic() + _SECONDS
    with clients(book, [*[[door] for door in doors] * 2, doors, doors], subjects, seed, 3.0):
        while time.monotonic() < over:
            with contextmanager(chance.choice(PARTITIONS))(fleet, chance.randrange(2)):
                time.sleep(chance.uniform(1, 6))
            time.sleep(chance.uniform(0, 2))
    fleet.wait_until_whole()
    read_all(fleet, book, subjects)
    wrong = contradictions(book, subjects, first)
    assert not wrong, "\n".join(wrong)
    assert len(book.acknowledged) > 50
    for subject in subjects:
        for read in book.stale[subject.droplet_id]:
            assert not too_old(book, subject.droplet_id, read), read


def two_members_cut_off(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    """There is no quorum; the controllers reach the third."""
    names = random.sample([node.name for node in fleet.region.center.etcd.nodes], 2)
    for name in names:
        fleet.region.center.network.cut(name)
    yield set()
    for name in names:
        fleet.region.center.network.mend(name)


def controller_with_the_minority(fleet: Fleet, _round: int) -> Iterator[set[str]]:
    """A controller and one member of etcd hear each other, and nobody else in etcd."""
    nodes = fleet.region.center.etcd.nodes
    alone = random.choice(nodes)
    others = ", ".join(node.host for node in nodes if node is not alone)
    name = random.choice(sorted(fleet.region.center.places))
    assert alone.namespace is not None
    with ExitStack() as stack:
        for namespace in (alone.namespace, fleet.region.center.places[name].namespace):
            stack.enter_context(
                dropping(namespace, f"ip daddr {{ {others} }}", f"ip saddr {{ {others} }}")
            )
        yield set()


PARTITIONS = (
    etcd_leader_cut_off,
    link_from_leader_to_etcd_cut,
    two_members_cut_off,
    controller_with_the_minority,
)


def too_old(book: Book, droplet_id: int, read: Stale) -> bool:
    """Whether the read shows less than what was acknowledged more than its `age` before it."""
    calls, before = book.history[droplet_id], read.since - read.age
    writes = [
        each
        for each in calls
        if each.what.kind == "put" and each.what.shown and each.until and each.until < before
    ]
    if not writes:
        return False
    last = max(writes, key=lambda each: each.what.shown.revision)
    if read.shown is not None:
        return max(read.shown.revision, read.shown.status_revision) < last.what.shown.revision
    return not any(
        each.what.kind == "delete"
        and each.since < read.until
        and (each.until is None or each.until > last.since)
        for each in calls
    )
