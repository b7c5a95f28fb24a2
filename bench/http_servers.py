"""The metadata server as shipped, on a real switch, beside nginx, haproxy and eventlet.wsgi.

wrk on 32 connections, kept alive and with one request each; through loopback and from a droplet
through the datapath (Open vSwitch's userspace datapath: the lab needs no kernel module; both sides
of that ratio pass one). Sides take turns, and ratios are taken within a turn. What an answer costs
with 10 droplets and with 10,000 is told in processor time, which no busy machine makes longer by
waiting. `python -m bench http_servers` (root), or `python -m bench.http_servers --rounds 1`.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping

from bench import http_peers
from bench.http_site import BIG, BIG_BYTES, METADATA, PATH, Site
from bench.report import Report, medians, package_version, run_alone, version_of
from bench.wrk import Rate, cpu, memory, rate
from lab.lab import Lab

FEW, SOME, MANY = 10, 1_000, 10_000
_NGINX, _HAPROXY, _EVENTLET = 8101, 8102, 8103
_OURS = "metadata-http"

Ask = Callable[[bool], Rate]
"""One run of wrk against one side, with one request a connection if so."""


def loopback(site: Site, seconds: int) -> Mapping[str, Ask]:
    """The sides as the host itself asks them; starts the peers."""
    folder, here = site.host.directory, "127.0.0.1"
    commands = {
        "nginx": (http_peers.nginx(folder / "nginx", f"{here}:{_NGINX}"), _NGINX),
        "haproxy": (http_peers.haproxy(folder / "haproxy", f"{here}:{_HAPROXY}"), _HAPROXY),
        "eventlet.wsgi": (http_peers.eventlet(_EVENTLET), _EVENTLET),
    }
    urls = {_OURS: METADATA + PATH}
    for name, (command, port) in commands.items():
        urls[name] = f"http://{here}:{port}{PATH}"
        site.peer(name, command, urls[name])
    within = site.host.namespace.command

    def ask(url: str) -> Ask:
        return lambda close: rate(url, seconds, close=close, within=within)

    return {name: ask(url) for name, url in urls.items()}


def datapath(site: Site, beside: Site, seconds: int) -> Mapping[str, Ask]:
    """The server, and nginx in its place on another hypervisor, as droplets ask them."""
    beside.services.server.stop()
    command = http_peers.nginx(beside.host.directory / "there", METADATA.removeprefix("http://"))
    beside.peer("nginx-there", command, METADATA + PATH)

    def ask(of: Site) -> Ask:
        within = of.droplet.namespace.command
        return lambda close: rate(METADATA + PATH, seconds, close=close, within=within)

    return {_OURS: ask(site), "nginx": ask(beside)}


def compare(report: Report, where: str, sides: Mapping[str, Ask], rounds: int) -> None:
    """Rates of all sides in turn; the goals are those beside nginx."""
    for close, form in ((False, "kept alive"), (True, "one a connection")):
        runs: dict[str, list[Rate]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, ask in sides.items():
                runs[name].append(ask(close))
        for name, rates in runs.items():
            per_second = statistics.median(each.per_second for each in rates)
            p99 = statistics.median(each.p99 for each in rates)
            report.figure(f"{where}, {form}: {name}", per_second, "/s", f"p99 {p99:.2f} ms")
        pairs = list(zip(runs[_OURS], runs["nginx"], strict=True))
        by_rate, by_p99 = medians(
            [(own.per_second / peer.per_second, own.p99 / peer.p99) for own, peer in pairs]
        )
        report.goal(f"{where}, {form}: requests / nginx", by_rate, 0.5, ">=")
        report.goal(f"{where}, {form}: p99 / nginx", by_p99, 2.0)


def compare_big(report: Report, site: Site, seconds: int, rounds: int) -> None:
    """64 KiB of user-data beside the same 64 KiB by nginx's sendfile, through loopback."""
    within, peer = site.host.namespace.command, f"http://127.0.0.1:{_NGINX}"
    runs = [
        [rate(url + BIG, seconds, close=False, within=within) for url in (METADATA, peer)]
        for _ in range(rounds)
    ]
    (ratio,) = medians([[own.bytes / other.bytes] for own, other in runs])
    own, other = medians([[each.bytes / 2**20 for each in run] for run in runs])
    size = f"user-data of {BIG_BYTES >> 10} KiB"
    report.figure(f"loopback: {size}", own, "MiB/s", f"nginx's sendfile {other:.0f} MiB/s")
    report.goal(f"loopback: {size}, bytes / nginx's sendfile", ratio, 0.5, ">=")


def cost(site: Site, seconds: int) -> float:
    """Microseconds of processor that the server takes for an answer."""
    before = cpu(site.pid)
    asked = rate(METADATA + PATH, seconds, close=False, within=site.host.namespace.command)
    return (cpu(site.pid) - before) / asked.requests * 1e6


def compare_sizes(report: Report, few: Site, many: Site, seconds: int, rounds: int) -> None:
    """What an answer costs among few droplets and among many, in turn."""
    runs = [(cost(few, seconds), cost(many, seconds)) for _ in range(rounds)]
    of_few, of_many = medians(runs)
    (ratio,) = medians([[each / base] for base, each in runs])
    name = f"processor time of an answer, {MANY:,} droplets / {FEW}"
    report.goal(name, ratio, 1.2, note="bridge and registry have as many; 1.2 is noise's room")
    line = [(FEW, of_few), (MANY, of_many)]
    report.curve("Processor time of an answer", "droplets", "µs", {_OURS: line})


def main(arguments: list[str] | None = None) -> Report:
    """Measure and report."""

    parser = argparse.ArgumentParser(prog="bench.http_servers", description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    report = Report("http_servers", "Metadata HTTP")
    report.peer("granian", package_version("granian"))
    report.peer("nginx", version_of("nginx", "-v"))
    report.peer("haproxy", version_of("haproxy", "-v"))
    report.peer("eventlet", package_version("eventlet"))
    with Lab() as lab:
        few, site = Site(lab, "few", FEW), Site(lab, "hv", SOME)
        compare(report, "loopback", loopback(site, options.seconds), options.rounds)
        compare_big(report, site, options.seconds, options.rounds)
        sizes = memory(site.pid)
        report.goal(f"memory of a process, {SOME:,} droplets", sizes[0], 60, unit="MB")
        compare(report, "datapath", datapath(site, few, options.seconds), options.rounds)
        few = Site(lab, "again", FEW)
        site.grow(MANY)
        compare_sizes(report, few, site, options.seconds, options.rounds)
        report.figure(f"memory of a process, {MANY:,} droplets", memory(site.pid)[0], "MB")
    return report


if __name__ == "__main__":
    sys.exit(run_alone(main()))
