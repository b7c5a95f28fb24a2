"""Setting up, checking and undoing: looking, planning and doing, over and over until it is so."""

import json
from collections.abc import Callable

from ryu_apps.dropletctl.host.observe import RECORD_KEY, observe
from ryu_apps.dropletctl.host.plan import forgotten, next_steps, recorded, setup_steps, undo_steps
from ryu_apps.dropletctl.host.tools import HostError, Tools
from ryu_apps.dropletctl.host.values import Record, Step, Wanted

_ROUNDS = 4
"""Three on a fresh host: the port, everything else, and finding that nothing is left to do."""

Report = Callable[[Step], None]


def check(wanted: Wanted, tools: Tools) -> list[Step]:
    """What differs from what is wanted; changes nothing. Raises HostError, Impossible."""
    return setup_steps(wanted, observe(wanted, tools))


def setup(wanted: Wanted, tools: Tools, report: Report) -> list[Step]:
    """Make the host as wanted, reporting each step as it is done; what is held back is returned.

    Raises HostError, also where something keeps changing it back, and Impossible.
    """
    for _ in range(_ROUNDS):
        seen = observe(wanted, tools)
        steps = setup_steps(wanted, seen)
        to_do = next_steps(steps)
        records = recorded(wanted, seen, to_do)
        if records != seen.records:
            # First the record: whatever happens next, it can be undone.
            _keep(records, tools)
        if not to_do:
            return steps
        _do(to_do, tools, report)
    names = ", ".join(step.what for step in to_do)
    raise HostError(f"something on this host keeps changing back: {names}")


def undo(wanted: Wanted, tools: Tools, report: Report) -> None:
    """Take back what setting up changed. Raises HostError."""
    seen = observe(wanted, tools)
    _do(undo_steps(wanted, seen), tools, report)
    records = forgotten(wanted, seen)
    if records != seen.records:
        _keep(records, tools)


def _do(steps: list[Step], tools: Tools, report: Report) -> None:
    for step in steps:
        for command in step.commands:
            tools.do(command)
        report(step)


def _keep(records: dict[str, Record], tools: Tools) -> None:
    if records:
        # OVSDB strings are written as JSON strings, so this is JSON in JSON.
        text = json.dumps(json.dumps(records))
        tools.run("ovs-vsctl", "set", "Open_vSwitch", ".", f"external_ids:{RECORD_KEY}={text}")
    else:
        tools.run("ovs-vsctl", "remove", "Open_vSwitch", ".", "external_ids", RECORD_KEY)
