"""A fault under traffic: what droplets notice of it, measured, and written down for people.

What is measured is the longest time that a droplet which should be served was without a good
answer, and how many of its requests failed. How long either may be is not judged here: machines
differ. That every answer named the droplet that asked is, by the oracle of `probe.py`.
"""

import json
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

from lab.namespace import Namespace
from lab.process import run
from tests.system.probe import Ledger, Prober, probing
from tests.system.stage import Stage

REPORT = Path(__file__).parents[2] / ".build" / "faults.json"

_BEFORE, _AFTER = 8, 8
"""Good answers of each droplet before the fault and after it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request and its outcome: `status` is None without an answer; times are monotonic.

    `cut`: the connection that was kept for it had ended, so it was asked once more on a new one,
    as clients do.
    """

    over: float
    status: int | None
    cut: bool = False

    @property
    def good(self) -> bool:
        """Whether it got what it asked for."""
        return self.status == HTTPStatus.OK


@dataclass(eq=False)
class Witness(Prober):
    """A prober that remembers when which of its requests was answered."""

    seen: list[Seen] = field(default_factory=list)

    def _ask(self, connection, keep=False):  # type: ignore[no-untyped-def]
        kept, asked = connection is not None, time.monotonic()
        if kept and connection.sock is not None:
            # It was made with the patience of its time, and a timeout is no end of a connection.
            connection.sock.settimeout(self.patience)
        status, connection = super()._ask(connection, keep)
        cut = kept and status is None and time.monotonic() < asked + self.patience
        if cut:
            status, connection = super()._ask(None, keep)
        self.seen.append(Seen(time.monotonic(), status, cut))
        return status, connection


@dataclass(frozen=True, slots=True)
class Outage:
    """What droplets noticed of a fault: `seconds` without a good answer at the longest.

    Of the requests `asked` meanwhile, so many `failed`; so many kept connections were `cut`.
    """

    seconds: float
    failed: int
    cut: int
    asked: int
    droplets: int


def outage(histories: Iterable[list[Seen]], began: float, ended: float) -> Outage:
    """What there is to notice between two times in the histories of droplets.

    A droplet is without a good answer from its last one until the next one came, also where the
    last one came before `began`.
    """
    longest, failed, cut, asked, droplets = 0.0, 0, 0, 0, 0
    for history in histories:
        droplets += 1
        good = [one.over for one in history if one.good and one.over <= ended]
        gaps = pairwise([*(good or [began]), ended])
        longest = max(longest, *(later - earlier for earlier, later in gaps if later >= began))
        meanwhile = [one for one in history if began <= one.over <= ended]
        asked += len(meanwhile)
        failed += sum(not one.good for one in meanwhile)
        cut += sum(one.cut for one in meanwhile)
    return Outage(round(longest, 3), failed, cut, asked, droplets)


@contextmanager
def suffering(
    stage: Stage, fault: str, cast: dict[str, tuple[Namespace, int | None]], *served: str
) -> Iterator[tuple[dict[str, Witness], list[Outage]]]:
    """Traffic from all of `cast` meanwhile; at the end the list has what those `served` noticed.

    Begins when each of them is answered, ends when each is again; recorded as `fault`.
    """
    found: list[Outage] = []
    with probing(stage.ledger, cast, _witness) as witnesses:
        watched = [witnesses[name] for name in served]
        for witness in watched:
            witness.wait_for(HTTPStatus.OK, _BEFORE)
        began = time.monotonic()
        yield witnesses, found
        for witness in watched:
            witness.wait_for(HTTPStatus.OK, _AFTER)
        ended = time.monotonic()
        found.append(outage([list(witness.seen) for witness in watched], began, ended))
    record(fault, found[0])


def _witness(who: str, namespace: Namespace, ledger: Ledger) -> Witness:
    return Witness(who, namespace, ledger)


@dataclass(frozen=True, slots=True)
class FleetOutage:
    """What a region's droplets and operators noticed of a fault that came twice.

    `seconds`, `failed` and `asked` as in `Outage`, of droplets that were there before; `newcomer`:
    seconds until one that was registered meanwhile had its first answer; `unwritten`: the longest
    time in seconds without an acknowledged write at any controller, of `written`; `refused`
    are answers 503.
    """

    seconds: float
    failed: int
    asked: int
    newcomer: float
    unwritten: float
    refused: int
    written: int


def record(fault: str, found: Outage | FleetOutage, table: str = "faults") -> None:
    """Keep what was found under the fault's name; the last run of each is the one that counts."""
    REPORT.parent.mkdir(exist_ok=True)
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    rows = {**known.get(table, {}), fault: asdict(found)}
    document = {**known, "machine": machine(), table: dict(sorted(rows.items()))}
    unfinished = REPORT.with_suffix(".new")
    unfinished.write_text(json.dumps(document, indent=2) + "\n")
    unfinished.rename(REPORT)


def machine() -> str:
    """What the figures were measured on, in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    ovs = run("ovs-vswitchd", "--version").stdout.splitlines()[0].rsplit(" ", 1)[-1]
    model = models[0].strip() if models else platform.machine()
    return (
        f"{len(models)} cores ({model}), Linux {platform.release()}, "
        f"Open vSwitch {ovs} with the userspace datapath"
    )
