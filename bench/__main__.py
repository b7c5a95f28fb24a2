"""`python -m bench [NAME ...]`: run the named measurements, or all, one after the other.

What they find is kept in docs/benchmarks/, and docs/benchmarks.md is written anew from all that is
kept there. `python -m bench --page` only writes the page.
Exit status: 0 measured, met or not; 1 a bench failed; 2 there is no such bench.
"""

import importlib
import logging
import os
import signal
import sys
import time
from types import FrameType

from bench import page, report
from bench.budgets import BUDGETS
from bench.report import Report

_PATIENCE = 5  # times its budget: a busy machine is none that hangs


class OverBudget(Exception):
    """A bench took many times its time: it hangs."""


def main(words: list[str]) -> int:
    """Run the benches, keep what they find, write the page."""
    names = [word for word in words if word != "--page"]
    for name in names:
        if name not in BUDGETS:
            print(f"no such bench: {name}; there are: {', '.join(BUDGETS)}", file=sys.stderr)
            return 2
    failed = []
    for name in [] if "--page" in words else names or BUDGETS:
        try:
            measured(name).save()
        except Exception:
            logging.exception("%s", name)
            failed.append(name)
    page.write()
    kept = Report.load_all(BUDGETS)
    print(f"\n{report.table(kept)}\n\nwrote {page.PAGE.relative_to(page.PAGE.parents[1])}")
    if failed:
        print(f"failed, and kept as it was: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measured(name: str) -> Report:
    """What a bench finds, and when and where. Raises OverBudget and whatever the bench does."""
    print(f"\n== {name} (about {BUDGETS[name]} s)", flush=True)
    machine, date, load, began = _here()
    signal.signal(signal.SIGALRM, _over)
    signal.alarm(_PATIENCE * BUDGETS[name])
    try:
        found = importlib.import_module(f"bench.{name}").main([])
    finally:
        signal.alarm(0)
    found.machine, found.date, found.load = machine, date, (load, round(os.getloadavg()[0], 1))
    found.seconds, found.budget = round(time.monotonic() - began), BUDGETS[name]
    return found


def _here() -> tuple[str, str, float, float]:
    return report.machine(), report.today(), round(os.getloadavg()[0], 1), time.monotonic()


def _over(number: int, frame: FrameType | None) -> None:
    raise OverBudget


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
