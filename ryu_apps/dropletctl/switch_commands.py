"""The commands about switches: switches, ports, watch."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.options import Failure, connection, controller, json_output

if TYPE_CHECKING:
    from ovs_metadata_client import Client, WatchEvent


class Dpid(click.ParamType):
    """A dpid as Open vSwitch writes it: 16 hex digits, perhaps with 0x before them."""

    name = "dpid"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The digits alone, lower case; a usage error for anything else."""
        digits = value.lower().removeprefix("0x").zfill(16)
        if len(digits) != 16 or not set(digits) <= set("0123456789abcdef"):
            self.fail(f"{value!r} is not 16 hex digits", param, ctx)
        return digits


@click.command(short_help="List the switches and what is wrong with any.")
@json_output
@connection
@click.pass_context
def switches(context: click.Context, as_json: bool) -> None:
    """List the switches that are or were connected, and what is wrong with any."""
    with controller(context) as client:
        found = client.switches()
    if as_json:
        show.print_json(found)
        return
    show.switches(found)


@click.command(short_help="List ports and the droplets behind them.")
@click.argument("dpid", type=Dpid(), required=False)
@json_output
@connection
@click.pass_context
def ports(context: click.Context, dpid: str | None, as_json: bool) -> None:
    """List the ports of a switch, or of all: which droplet is behind each, and is it served."""
    with controller(context) as client:
        dpids = [dpid] if dpid else [switch["dpid"] for switch in client.switches()]
        found = [(each, client.ports(each)["ports"]) for each in dpids]
    if as_json:
        show.print_json([{"dpid": each, **port} for each, some in found for port in some])
        return
    show.ports(found)


@click.command(short_help="Follow the ports of a switch.")
@click.argument("dpid", type=Dpid(), required=False)
@json_output
@connection
@click.pass_context
def watch(context: click.Context, dpid: str | None, as_json: bool) -> None:
    """Follow a switch: its ports now, then each change as it happens, until Ctrl-C. The DPID may
    be left out where there is one switch only."""
    with controller(context) as client:
        try:
            for told in client.follow(dpid or _only_switch(client), broken=_tell):
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
