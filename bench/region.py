"""A region in small: three controllers, three members of etcd, and switches that know all three.

Real `ryu-manager` and etcd processes; the switches are stubs with OpenFlow's roles
(`bench.stub_region`). How each figure grows is told as the slope of a straight line by least
squares, for docs/scale.md is worked out from these slopes (`bench.scale`). All share the processors
of the machine, so seconds are more than a region with a machine for each would need; the processor
time is that of the processes that are named. `python -m bench region`.
"""

import argparse
import base64
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.region_world import (
    PREFIX,
    Member,
    Region,
    Switches,
    droplet,
    droplet_id,
    etcd_size,
    memory,
    processor,
)
from bench.report import Report, percentile, run_alone, version_of
from bench.scale import DOCUMENT, DROPLETS, STORM
from bench.slopes import Line, Points, line
from ryu_apps.store.etcd.layout import CLAIMS, FOLLOW
from ryu_apps.store.etcd.values import Range

SIZES = (40, 80, 160)
_WRITERS = 4
_CHANGES = 8
_CLAIMS = f"{PREFIX}/{CLAIMS}".encode()
_SPARE = 900_000
"""Droplets from this on are on no switch."""


Series = list[tuple[float, float]]


@dataclass(slots=True)
class Growth:
    """Figures by name, each by size: droplets registered, switches connected, switches that a
    controller led when it was killed."""

    registered: dict[str, Series] = field(default_factory=dict)
    switches: dict[str, Series] = field(default_factory=dict)
    lost: dict[str, Series] = field(default_factory=dict)


def _note(of: dict[str, Series], size: float, **values: float) -> None:
    for name, value in values.items():
        of.setdefault(name, []).append((size, value))


# -- the registry ----------------------------------------------------------------------------------


def measure_registering(region: Region, sizes: Sequence[int], growth: Growth) -> None:
    """Etcd's file and memory, and the controllers' memory, while droplets are registered."""

    def note(count: int) -> None:
        members = [memory(node.daemon, "RssAnon") for node in region.etcd.nodes if node.daemon]
        _note(
            growth.registered,
            count,
            file=etcd_size(region.etcd),
            etcd=statistics.mean(members),
            controller=_memory(region),
        )

    before = 0
    note(0)
    for size in sizes:
        seconds = region.register(range(before + 1, size + 1), DOCUMENT)
        _note(growth.registered, size, rate=(size - before) * region.droplets / seconds)
        before = size
        note(size * region.droplets)


def _memory(region: Region) -> float:
    """Bytes of a controller."""
    return statistics.mean(each.memory() for each in region.controllers) * 2**20


def _processor(region: Region) -> tuple[float, float]:
    """Seconds that all controllers have used, and all of etcd."""
    pids = [node.daemon.pid for node in region.etcd.nodes if node.daemon is not None]
    return sum(each.cpu() for each in region.controllers), processor(pids)


def _coded(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


class Listening(threading.Thread):
    """Follows the registry as each controller does: bytes that came, and of how many changes."""

    def __init__(self, region: Region) -> None:
        super().__init__(daemon=True)
        self.changes = self.bytes = 0
        self._url = f"{region.etcd.nodes[-1].url}/v3/watch"
        self._stopped = threading.Event()
        self._begun = threading.Event()
        self.start()
        self._begun.wait(10)

    def run(self) -> None:
        area = Range.under(f"{PREFIX}/{FOLLOW}")
        assert area.end is not None
        create = {"key": _coded(area.key), "range_end": _coded(area.end)}
        request = Request(self._url, json.dumps({"create_request": create}).encode())
        with urlopen(request, timeout=60) as answer:
            self._begun.set()
            while not self._stopped.is_set():
                text = answer.readline()
                keys = [
                    event["kv"]["key"] for event in json.loads(text)["result"].get("events", ())
                ]
                count = sum(base64.b64decode(key).startswith(_CLAIMS) for key in keys)
                if count:
                    self.changes += count
                    self.bytes += len(text)

    def stop(self) -> None:
        """It ends with the next news."""
        self._stopped.set()


def measure_writes(region: Region, seconds: float, report: Report) -> None:
    """PUTs at all controllers at once, durable at a quorum and known to the controller asked."""
    listening = Listening(region)
    file, before = etcd_size(region.etcd), _processor(region)
    members = [member for member in region.controllers for _ in range(_WRITERS)]
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(len(members)) as pool:
        rounds = pool.map(_put_until, members, range(len(members)), [until] * len(members))
        times = [each for found in rounds for each in found]
    controllers, etcd = (
        1e3 * (now - then) / len(times)
        for now, then in zip(_processor(region), before, strict=True)
    )
    told = f"{len(members)} writers, {DOCUMENT} B each"
    report.figure("registry writes", len(times) / seconds, "/s", told)
    for percent in (50, 99):
        report.figure(f"a write, p{percent}", percentile(times, percent) * 1e3, "ms", told)
    report.figure("processor of all controllers, a write", controllers, "ms")
    report.figure("processor of all etcd, a write", etcd, "ms")
    grown = (etcd_size(region.etcd) - file) / len(times)
    report.figure("etcd's file, a write until compaction", grown, "B")
    listening.stop()
    news = listening.bytes / listening.changes
    report.figure("news of a write to each controller", news, "B", f"{listening.changes} changes")


def _put_until(member: Member, writer: int, until: float) -> list[float]:
    """The seconds that each of the writes of this writer took."""
    headers = member.headers()
    times: list[float] = []
    with closing(member.connection()) as connection:
        while time.perf_counter() < until:
            dpid, ofport = _SPARE + writer, 1 + len(times) % 100
            body = droplet(dpid, ofport, DOCUMENT)
            began = time.perf_counter()
            connection.request("PUT", f"/v1/droplets/{droplet_id(dpid, ofport)}", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (http.client.OK, http.client.CREATED):
                raise RuntimeError(f"HTTP {answer.status}")
            times.append(time.perf_counter() - began)
    return times


# -- switches --------------------------------------------------------------------------------------


def measure_switches(region: Region, count: int, growth: Growth, report: Report) -> None:
    """So many switches connect at once with empty tables; news reach them; a leader is killed."""
    controllers, etcd = _processor(region)
    with region.switches(count) as switches:
        began = time.monotonic()
        at = switches.wait_until_whole(count)
        now = _processor(region)
        took = [one - began for one in at]
        _note(
            growth.switches,
            count,
            all=max(took),
            half=percentile(took, 50),
            controllers=now[0] - controllers,
            etcd=now[1] - etcd,
            memory=_memory(region),
        )
        _require_right(region, switches, count)
        leaders = region.leaders(count)
        _measure_news(region, switches, leaders, report)
        _lose_one(region, leaders, growth)
        _note(growth.switches, count, late=_require_right(region, switches, count)["late"])


def _require_right(region: Region, switches: Switches, count: int) -> dict[str, Any]:
    """What the switches tell. Raises RuntimeError where they do not have exactly their flows."""
    told = switches.told()
    if (told["flows"], told["faults"]) != (region.flows(count), {}):
        raise RuntimeError(f"the switches have {told['flows']} flows, {told['faults']}")
    return told


def _measure_news(
    region: Region, switches: Switches, leaders: dict[int, int], report: Report
) -> None:
    """From a PUT at a controller to the flows of a switch that it leads, or another one."""
    size = len(leaders)
    for shift, name in enumerate(("its leader", "another controller")):
        times = []
        for place, _ in enumerate(region.controllers):
            led = [dpid for dpid, leader in leaders.items() if leader == place]
            at = region.controllers[(place + shift) % len(region.controllers)]
            for dpid in led[:_CHANGES]:
                # Another MAC than the last.
                body = droplet(dpid, 1, DOCUMENT, generation=1 + shift + 2 * size)
                began = time.monotonic()
                at.ask("PUT", f"/v1/droplets/{droplet_id(dpid, 1)}", body)
                times.append(switches.changed_after(dpid, began) - began)
        for percent in (50, 99):
            value = percentile(times, percent) * 1e3
            told = f"{size} switches: PUT at {name} to the flows, p{percent}"
            report.figure(told, value, "ms")


def _lose_one(region: Region, leaders: dict[int, int], growth: Growth) -> None:
    """Kill who leads most; the others take its switches over. It lives again afterwards."""
    ((most, _),) = Counter(leaders.values()).most_common(1)
    victim = region.controllers[most]
    others = [each for each in region.controllers if each is not victim]
    region.forget_logs(others)
    killed = victim.kill()
    led = {dpid for dpid, leader in leaders.items() if leader == most}
    # Some may have been given up to another one at the last moment.
    led -= set().union(*(other.led() for other in others))
    at = region.wait_for_sync(others, led)
    first, last = min(at) - killed, max(at) - killed
    _note(growth.lost, len(led), first=first, last=last, storm=last - first)
    victim.start()


# -- telling ---------------------------------------------------------------------------------------


def tell(growth: Growth, report: Report) -> None:
    """Slopes, curves and goals of what was measured."""
    _tell_registered(growth.registered, report)
    _tell_switches(growth.switches, report)
    _tell_lost(growth.lost, report)


def _slope(report: Report, name: str, points: Points, unit: str, scale: float = 1.0) -> Line:
    """The figure `name` is what each one more adds."""
    found = line(points)
    report.figure(name, found.slope * scale, unit, found.told)
    return found


def _tell_registered(found: dict[str, Series], report: Report) -> None:
    documents = f"documents of {DOCUMENT} B"
    _slope(report, "etcd's file, a droplet", found["file"], "B")
    _slope(report, "memory of a member of etcd, a droplet", found["etcd"], "B")
    held = _slope(report, "memory of a controller, a droplet", found["controller"], "B")
    report.figure("memory of a controller with no droplet", held.base / 2**20, "MiB")
    rates = [rate for _, rate in found["rate"]]
    report.figure("import at three controllers", sum(rates) / len(rates), "/s", documents)
    names = {"file": "etcd's file", "etcd": "a member", "controller": "a controller"}
    lines = {text: [(n, b / 2**20) for n, b in found[name] if n] for name, text in names.items()}
    report.curve("Registered in etcd: file and memory", "droplets", "MiB", lines)


def _tell_switches(found: dict[str, Series], report: Report) -> None:
    _slope(report, "all have their flows, a switch", found["all"], "ms", 1e3)
    for name in ("controllers", "etcd"):
        told = f"processor of all {name} to lead a switch"
        _slope(report, told, found[name], "ms", 1e3)
    _slope(report, "memory of a controller, a switch", found["memory"], "kB", 1e-3)
    for name, text in (
        ("all", "all have their flows after"),
        ("half", "half of them after"),
    ):
        count, seconds = found[name][-1]
        report.figure(f"{count:.0f} switches: {text}", seconds, "s")
    late = sum(count for _, count in found["late"])
    report.figure("writes that came late and were refused", late, "", "by switches led by another")
    (few, first), (many, last) = found["all"][0], found["all"][-1]
    name = f"connect: seconds a switch, {many:.0f} / {few:.0f} switches"
    report.goal(name, last / many / (first / few), 1.3)
    lines = {"all": found["all"], "half": found["half"]}
    report.curve(STORM, "switches", "s", lines)


def _tell_lost(found: dict[str, Series], report: Report) -> None:
    first = max(seconds for _, seconds in found["first"])
    report.figure("a leader dies: the first of its switches led again", first, "s", "at most")
    _slope(report, "a leader dies: every switch more", found["storm"], "ms", 1e3)
    lines = {"the first": found["first"], "all": found["last"]}
    report.curve("A leader dies: its switches in sync again", "switches", "s", lines)


def main(arguments: Sequence[str] | None = None) -> Report:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args(arguments)
    report = Report("region", "A region: three controllers, etcd and their switches")
    report.peer("etcd", version_of("etcd", "--version"))
    growth = Growth()
    with tempfile.TemporaryDirectory(prefix="region-bench-", dir="/var/tmp") as folder:
        region = Region(Path(folder), DROPLETS)
        with region.running():
            measure_registering(region, options.switches, growth)
            measure_writes(region, options.seconds, report)
            for count in options.switches:
                measure_switches(region, count, growth, report)
    tell(growth, report)
    return report


if __name__ == "__main__":
    sys.exit(run_alone(main()))
