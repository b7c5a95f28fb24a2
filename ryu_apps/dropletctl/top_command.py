"""The command top: which droplets ask how much, and what they get, again and again."""

import time
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.kinds import Dpid
from ryu_apps.dropletctl.options import connection, controller, json_output
from ryu_apps.dropletctl.rates import Meter, Order, Row, ordered, total

if TYPE_CHECKING:
    from rich.table import Table

    from ovs_metadata_client import Client, RequestServer

_HEAD = 4
"""Lines of a screen that are no rows."""


@click.command()
@click.argument("dpid", type=Dpid(), required=False)
@click.option(
    "--sort",
    "order",
    type=click.Choice([str(order) for order in Order]),
    default=str(Order.REQUESTS),
    show_default=True,
    help="What comes first: the most a second, the most in all, the last to ask, the lowest id.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option("--once", is_flag=True, help="Two looks, an interval apart, and what was between.")
@json_output
@connection
@click.pass_context
def top(
    context: click.Context,
    dpid: str | None,
    order: str,
    interval: float,
    once: bool,
    as_json: bool,
) -> None:
    """Show the droplets of a switch, or of all, by what they ask of their metadata servers:
    requests, errors (400 and above) and answers 429, a second and since the servers started.
    Until Ctrl-C; with --json an object a line, each time.
    """
    with controller(context) as client:
        looks = _Looks(client, dpid)
        looks.look()
        try:
            time.sleep(interval)
            if once:
                _tell_once(looks, ordered(looks.look(), Order(order)), as_json)
                return
            _run(looks, Order(order), interval, as_json)
        except KeyboardInterrupt:
            return


class _Looks:
    """One look after another at some switches."""

    def __init__(self, client: "Client", dpid: str | None) -> None:
        self.client = client
        self.dpid = dpid
        self.servers: dict[str, list[RequestServer]] = {}
        self._meters: dict[str, Meter] = defaultdict(Meter)

    def look(self) -> list[Row]:
        dpids = [self.dpid] if self.dpid else [each["dpid"] for each in self.client.switches()]
        self.servers = {}
        rows: list[Row] = []
        for dpid in dpids:
            told = self.client.requests(dpid)
            self.servers[dpid] = told["servers"]
            rows += self._meters[dpid].look(told, time.monotonic())
        return rows

    def silent(self) -> list[str]:
        """The switches whose droplets nobody counts requests of."""
        return [dpid for dpid, servers in self.servers.items() if not servers]


def _run(looks: _Looks, order: Order, interval: float, as_json: bool) -> None:
    if not as_json and show.to_a_screen():
        with show.screen() as screen:
            while True:
                rows = ordered(looks.look(), order)
                fitting = rows[: max(1, screen.height - _HEAD)]
                screen.show(_head(looks, rows, len(fitting)), _table(fitting, looks.dpid is None))
                time.sleep(interval)
    while True:
        rows = ordered(looks.look(), order)
        if as_json:
            show.print_json_line(_as_json(looks, rows))
        else:
            click.echo(_head(looks, rows, len(rows)))
            show.print_table(_table(rows))
        time.sleep(interval)


def _tell_once(looks: _Looks, rows: list[Row], as_json: bool) -> None:
    if as_json:
        show.print_json(_as_json(looks, rows))
        return
    show.print_table(_table(rows))
    for dpid in looks.silent():
        click.echo(f"{dpid}: no metadata server reports", err=True)


def _head(looks: _Looks, rows: list[Row], shown: int) -> str:
    sums = total(rows)
    lines = [
        f"{datetime.now().astimezone():%H:%M:%S}  {len(rows)} droplets"
        f"{'' if shown == len(rows) else f', the first {shown}'}, a second: "
        f"{sums.requests:.1f} requests, {sums.errors:.1f} errors, {sums.rate_limited:.1f} limited"
    ]
    lines += [f"{dpid}: no metadata server reports" for dpid in looks.silent()]
    return "\n".join(lines)


def _table(rows: list[Row], several: bool = True) -> "Table":
    columns = ["req/s", "err/s", "429/s", "requests", "errors", "429", "last", "ago"]
    names = [*(["switch"] if several else []), "ofport", "droplet", *columns]
    table = show.new_table(*names, numbers=set(names) - {"switch"})
    for row in rows:
        told, rates = row.counted, row.rates
        show.add_row(
            table,
            *([row.dpid] if several else []),
            *(told["ofport"], told["droplet_id"]),
            *((None,) * 3 if rates is None else (f"{each:.1f}" for each in asdict(rates).values())),
            *(told["requests"], told["errors"], told["rate_limited"], told["last_status"]),
            show.duration(told["last_request_s"]),
        )
    return table


def _as_json(looks: _Looks, rows: list[Row]) -> dict[str, Any]:
    switches = [{"dpid": dpid, "servers": told} for dpid, told in looks.servers.items()]
    return {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "switches": switches,
        "droplets": [_row_as_json(row) for row in rows],
    }


def _row_as_json(row: Row) -> dict[str, Any]:
    rates = (
        dict.fromkeys(("requests", "errors", "rate_limited"))
        if row.rates is None
        else asdict(row.rates)
    )
    return {
        "dpid": row.dpid,
        **row.counted,
        **{f"{name}_per_s": value for name, value in rates.items()},
    }
