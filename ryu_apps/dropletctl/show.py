"""What people see: tables and lines. Programs get JSON, by `print_json`.

Names and hostnames come from droplets' owners, so nothing shown may carry terminal control codes
or rich's markup. rich is imported when a table is made, not before: it is slow to import.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ovs_metadata_client import Document, Switch, SwitchPort, WatchEvent

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from ryu_apps.dropletctl.trace.values import Hop

_WIDE = 10_000
"""Columns of what is no terminal: nothing is cut off for a program that reads it."""

_STYLES = {
    **{"serving": "green", "in-sync": "green"},
    **{"binding": "yellow", "syncing": "yellow", "unregistered": "dim", "disconnected": "red"},
    **{"error": "red", "refused": "red"},
    **{"passed": "green", "died": "red"},
}


def print_json(value: Any) -> None:
    """One JSON value on standard output, readable."""
    click.echo(json.dumps(value, indent=2))


def print_json_line(value: Any) -> None:
    """One JSON value on a line of its own, at once."""
    click.echo(json.dumps(value))


def clean(value: object) -> str:
    """The value as text that a terminal cannot take for a command."""
    text = "-" if value is None else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def droplets(documents: Iterable[Document]) -> None:
    """A table of droplets, with what tells them apart."""
    columns = ("id", "hostname", "region", "ports", "tags", "options")
    table = new_table(*columns, numbers=("id",))
    for document in documents:
        metadata = document.get("metadata", {})
        names = ", ".join(port["name"] for port in document.get("ports", ()))
        tags = ", ".join(metadata.get("tags") or ())
        row = [document["droplet_id"], metadata.get("hostname"), metadata.get("region")]
        add_row(table, *row, names, tags or None, _options(document.get("metadata_options") or {}))
    print_table(table)


def _options(options: dict[str, Any]) -> str | None:
    """What differs from the defaults, in a few words."""
    limit = options.get("http_put_response_hop_limit")
    words = (
        "disabled" if options.get("http_endpoint") == "disabled" else None,
        "token required" if options.get("http_tokens") == "required" else None,
        None if limit is None else f"hop limit {limit}",
    )
    return ", ".join(filter(None, words)) or None


def switches(found: Sequence[Switch]) -> None:
    """A table of switches, and below it what should be looked at."""
    columns = ("dpid", "state", "ports", "serving", "flows", "hv-local subnet")
    table = new_table(*columns, numbers=("ports", "serving", "flows"))
    for switch in found:
        counts = [switch["ports"], switch["serving"], switch["flows"]]
        add_row(table, switch["dpid"], switch["state"], *counts, switch["hv_local_subnet"])
    print_table(table)
    for switch in found:
        for remark in filter(None, [switch["reason"], *switch["warnings"]]):
            click.echo(f"{switch['dpid']}: {clean(remark)}")


def ports(by_switch: Sequence[tuple[str, Sequence[SwitchPort]]]) -> None:
    """A table of ports, of several switches with a column for the switch."""
    several = len(by_switch) > 1
    columns = ("ofport", "port", "hv-local", "droplet", "state", "reason")
    table = new_table(*(["switch"] if several else []), *columns, numbers=("ofport", "droplet"))
    for dpid, found in by_switch:
        for port in found:
            row = [port["ofport"], port["name"], port["hv_local_ip"], port["droplet_id"]]
            reason = port["reason"] or ""
            add_row(table, *([dpid] if several else []), *row, port["state"], reason)
    print_table(table)


def hops(found: Sequence["Hop"]) -> None:
    """A table of a request's hops."""
    table = new_table("hop", "", "seen")
    for hop in found:
        add_row(table, hop.name, hop.state, hop.told)
    print_table(table)


def event(told: WatchEvent) -> str | None:
    """A line for an event of the watch stream; None for one that is not worth one."""
    match told["event"]:
        case "waiting":
            return f"{told['dpid']} is not in sync yet"
        case "snapshot":
            return f"{told['dpid']} at revision {told['revision']}, {told['hv_local_subnet']}"
        case "port":
            port = told["port"]
            who = "no droplet" if port["droplet_id"] is None else f"droplet {port['droplet_id']}"
            why = f": {clean(port['reason'])}" if port.get("reason") else ""
            name, address = clean(port["name"]), clean(port["hv_local_ip"])
            place = f"ofport {port['ofport']:<5} {name:<15} {address:<15}"
            return f"{place} {who}, {port['state']}{why}"
        case "gone":
            return f"ofport {told['ofport']:<5} gone"
        case "in-sync":
            return f"in sync at revision {told['revision']}"
    return None


def new_table(*columns: str, numbers: Sequence[str] = ()) -> "Table":
    """An empty table; the columns named in `numbers` are flush right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def add_row(table: "Table", *cells: object) -> None:
    """A row of values that may be anything, None being shown as none."""
    table.add_row(*(_cell(cell) for cell in cells))


def _cell(value: object) -> "Text":
    from rich.text import Text

    text = clean(value)
    return Text(text, style=_STYLES.get(text, "dim" if value is None else ""))


def print_table(table: "Table") -> None:
    """A table on standard output, as wide as it needs to be where that is no terminal."""
    from rich.console import Console

    Console(width=None if to_a_terminal() else _WIDE).print(table)


def to_a_terminal() -> bool:
    """Whether people see standard output as it is written."""
    return sys.stdout.isatty()


def to_a_screen() -> bool:
    """Whether standard output is a terminal that can be painted again and again."""
    return to_a_terminal() and os.environ.get("TERM", "dumb") != "dumb"


def duration(seconds: float) -> str:
    """A time that has passed, in the unit that suits it."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


class Screen:
    """A terminal's screen, painted anew at each `show`."""

    def __init__(self, live: "Live") -> None:
        self._live = live

    @property
    def height(self) -> int:
        """Lines there are now."""
        return self._live.console.size.height

    def show(self, head: str, table: "Table") -> None:
        """Lines of text, and a table below; what does not fit is not seen."""
        from rich.console import Group
        from rich.text import Text

        lines = (Text(clean(line), no_wrap=True) for line in head.splitlines())
        self._live.update(Group(*lines, table), refresh=True)


@contextmanager
def screen() -> Iterator[Screen]:
    """The terminal's other screen: what was there before comes back in the end."""
    from rich.live import Live

    with Live(screen=True, auto_refresh=False) as live:
        yield Screen(live)
