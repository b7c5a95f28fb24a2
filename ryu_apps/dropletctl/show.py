"""What people see: tables and lines. Programs get JSON, by `print_json`.

Names and hostnames come from droplets' owners, so nothing shown may carry terminal control codes
or rich's markup. rich is imported when a table is made, not before: it is slow to import.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ovs_metadata_client import Document, Switch, SwitchPort, WatchEvent

if TYPE_CHECKING:
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
    table = _table(*columns, numbers=("id",))
    for document in documents:
        metadata = document.get("metadata", {})
        names = ", ".join(port["name"] for port in document.get("ports", ()))
        tags = ", ".join(metadata.get("tags") or ())
        row = [document["droplet_id"], metadata.get("hostname"), metadata.get("region")]
        _add(table, *row, names, tags or None, _options(document.get("metadata_options") or {}))
    _print(table)


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
    table = _table(*columns, numbers=("ports", "serving", "flows"))
    for switch in found:
        counts = [switch["ports"], switch["serving"], switch["flows"]]
        _add(table, switch["dpid"], switch["state"], *counts, switch["hv_local_subnet"])
    _print(table)
    for switch in found:
        for remark in filter(None, [switch["reason"], *switch["warnings"]]):
            click.echo(f"{switch['dpid']}: {clean(remark)}")


def ports(by_switch: Sequence[tuple[str, Sequence[SwitchPort]]]) -> None:
    """A table of ports, of several switches with a column for the switch."""
    several = len(by_switch) > 1
    columns = ("ofport", "port", "hv-local", "droplet", "state", "reason")
    table = _table(*(["switch"] if several else []), *columns, numbers=("ofport", "droplet"))
    for dpid, found in by_switch:
        for port in found:
            row = [port["ofport"], port["name"], port["hv_local_ip"], port["droplet_id"]]
            reason = port["reason"] or ""
            _add(table, *([dpid] if several else []), *row, port["state"], reason)
    _print(table)


def hops(found: Sequence["Hop"]) -> None:
    """A table of a request's hops, each with what to do where it fails."""
    table = _table("hop", "", "seen", "mend")
    for hop in found:
        _add(table, hop.name, hop.state, hop.told, hop.mend)
    _print(table)


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


def _table(*columns: str, numbers: Sequence[str] = ()) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def _add(table: "Table", *cells: object) -> None:
    table.add_row(*(_cell(cell) for cell in cells))


def _cell(value: object) -> "Text":
    from rich.text import Text

    text = clean(value)
    return Text(text, style=_STYLES.get(text, "dim" if value is None else ""))


def _print(table: "Table") -> None:
    from rich.console import Console

    people = sys.stdout.isatty()
    Console(width=None if people else _WIDE).print(table)
