"""The command watch: a switch's ports as they change, live for people, as lines for programs."""

import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.kinds import Dpid
from ryu_apps.dropletctl.options import Failure, connection, controller, json_output
from ryu_apps.dropletctl.port_board import COLUMNS, PortBoard

if TYPE_CHECKING:
    from rich.table import Table

    from ovs_metadata_client import Client, WatchEvent

_REPAINT = 0.25
"""Seconds between two pictures, at the least; a change waits no longer than that to be seen."""

_HEAD = 3
"""Lines of a screen that are no rows."""


@click.command()
@click.argument("dpid", type=Dpid(), required=False)
@click.option("--lines", is_flag=True, help="A line for each change, at a terminal too.")
@json_output
@connection
@click.pass_context
def watch(context: click.Context, dpid: str | None, lines: bool, as_json: bool) -> None:
    """Follow a switch: its ports now, and each change as it happens, until Ctrl-C. The DPID may be
    left out where there is one switch only.

    A terminal shows a table, what is amiss first and then what changed last. Anything else gets a
    line for each change, or with --json the events of the watch stream.
    """
    with controller(context) as client:
        followed = dpid or _only_switch(client)
        try:
            if show.to_a_screen() and not lines and not as_json:
                _live(client, followed)
            for told in client.follow(followed, broken=_tell):
                _print(told, as_json)
        except KeyboardInterrupt:
            return


def _only_switch(client: "Client") -> str:
    dpids = [switch["dpid"] for switch in client.switches()]
    if len(dpids) != 1:
        which = f"one of {', '.join(dpids)}" if dpids else "none is connected"
        raise Failure(f"which switch? {which}")
    return dpids[0]


def _tell(why: str) -> None:
    click.echo(f"{why}; trying again", err=True)


def _print(told: "WatchEvent", as_json: bool) -> None:
    if as_json:
        show.print_json_line(told)
    elif line := show.event(told):
        click.echo(f"{datetime.now().astimezone():%H:%M:%S} {line}")


def _live(client: "Client", dpid: str) -> None:
    """Until it is interrupted, or the controller refuses: the stream is read by a thread of its
    own, so that ages go on while nothing comes."""
    board = PortBoard(dpid)
    steps: queue.Queue[Callable[[], None]] = queue.Queue()
    threading.Thread(target=_read, args=(client, board, steps), daemon=True).start()
    with show.screen() as screen:
        while True:
            _do_all(steps)
            now = time.monotonic()
            rows = board.rows(now, max(1, screen.height - _HEAD))
            screen.show(board.head(len(rows)), _table(rows))


def _do_all(steps: "queue.Queue[Callable[[], None]]") -> None:
    """What has come meanwhile, waiting a while for it."""
    until = time.monotonic() + _REPAINT
    while (left := until - time.monotonic()) > 0:
        try:
            steps.get(timeout=left)()
        except queue.Empty:
            return


def _read(client: "Client", board: PortBoard, steps: "queue.Queue[Callable[[], None]]") -> None:
    """Hand what is told to the thread that shows it, be it an error that ends the following."""

    def broken(why: str) -> None:
        steps.put(lambda: board.lost(why))

    try:
        for told in client.follow(board.dpid, broken=broken):
            steps.put(lambda told=told: board.take(told, time.monotonic()))
    except Exception as error:  # noqa: BLE001 - raised where it is shown.
        steps.put(lambda error=error: _raise(error))


def _raise(error: Exception) -> None:
    raise error


def _table(rows: list[tuple[object, ...]]) -> "Table":
    table = show.new_table(*COLUMNS, numbers={"ofport", "droplet", "changed"})
    for *cells, changed, reason in rows:
        ago = "" if changed is None else show.duration(changed)
        show.add_row(table, *cells, ago, reason)
    return table
