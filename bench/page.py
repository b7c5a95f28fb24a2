"""docs/benchmarks.md with its plots and docs/scale.md, from what is kept of the benches and what is
written by hand.

Pure but for reading and writing files. `docs/benchmarks/NAME.in.md` is put below the tables of the
bench NAME; every other `docs/benchmarks/*.in.md` follows at the end, in the order of their names.
"""

from collections.abc import Iterator
from pathlib import Path

from bench import plots, scale
from bench.budgets import BUDGETS
from bench.report import FOLDER, Report, number

PAGE = FOLDER.parent / "benchmarks.md"

_HEAD = """\
<!-- Written by `python -m bench` from docs/benchmarks/: change that, not this. -->

# Benchmarks

`make bench` measures this project beside named peers, in the same run on the same machine, and
writes this page. Read the ratios: where two sides are compared they took turns, and what else the
machine had to do (its load is told) hits both. A goal is met or not met here; no test asserts a
time.

"""


def pages() -> dict[Path, str]:
    """All that is generated, by file."""
    reports = Report.load_all(BUDGETS)
    files = {PAGE: _page(reports), **scale.pages()}
    for report in reports:
        if report.goals:
            files[FOLDER / f"{report.name}.svg"] = plots.goals(report.goals)
        for count, curve in enumerate(report.curves, 1):
            files[FOLDER / f"{report.name}-{count}.svg"] = plots.curve(curve)
    return files


def write() -> None:
    """Write them, and take away plots that nobody makes any more. Raises OSError."""
    files = pages()
    for stale in set(FOLDER.glob("*.svg")) - set(files):
        stale.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


def _page(reports: list[Report]) -> str:
    machines = list(dict.fromkeys(report.machine for report in reports))
    parts = [_HEAD, *(f"Measured on: {each}.\n\n" for each in machines), _goals(reports)]
    for report in reports:
        parts += ["\n", *_section(report, several=len(machines) > 1)]
    own = {f"{name}.in.md" for name in BUDGETS}
    for file in sorted(FOLDER.glob("*.in.md")):
        if file.name not in own:
            parts.append("\n" + file.read_text(encoding="utf-8"))
    return "".join(parts)


def _goals(reports: list[Report]) -> str:
    goals = [goal for report in reports for goal in report.goals]
    met, took = sum(goal.met for goal in goals), sum(report.seconds for report in reports)
    rows = [
        f"| [{report.name}](#{_anchor(report.title)}) | {goal.name} | {number(goal.ratio)} "
        f"{goal.unit} | {goal.asked} | {goal.verdict if goal.met else f'**{goal.verdict}**'} |\n"
        for report in reports
        for goal in report.goals
    ]
    head = "| bench | goal | measured | limit | |\n|---|---|---:|---:|---|\n"
    return f"{met} of {len(goals)} goals met, in {took / 60:.0f} minutes.\n\n{head}{''.join(rows)}"


def _anchor(title: str) -> str:
    """As the forges make it from a heading."""
    kept = "".join(char for char in title.lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")


def _section(report: Report, *, several: bool) -> Iterator[str]:
    yield f"## {report.title}\n\n"
    where = f" on {report.machine}" if several else ""
    yield (
        f"`python -m bench {report.name}`, {report.date}{where}: {report.seconds:.0f} s of "
        f"{report.budget:.0f} s, load {report.load[0]} before and {report.load[1]} after.\n"
    )
    if report.peers:
        peers = (f"{peer.name} {peer.version}".rstrip() for peer in report.peers)
        yield f"Beside: {', '.join(peers)}.\n"
    if report.goals:
        yield f"\n![measured, as a part of the limit](benchmarks/{report.name}.svg)\n"
    noted = [(goal.name, goal.note) for goal in report.goals if goal.note]
    if noted:
        yield "\n" + "".join(f"- {name}: {note}.\n" for name, note in noted)
    if report.figures:
        yield "\n| figure | | |\n|---|---:|---|\n"
    for each in report.figures:
        yield f"| {each.name} | {number(each.value)} {each.unit} | {each.note} |\n"
    for count, curve in enumerate(report.curves, 1):
        yield f"\n![{curve.title}](benchmarks/{report.name}-{count}.svg)\n"
    prose = FOLDER / f"{report.name}.in.md"
    if prose.exists():
        yield "\n" + prose.read_text(encoding="utf-8")
