"""The commands about switches that look once: switches, ports."""

import click

from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.kinds import Dpid
from ryu_apps.dropletctl.options import connection, controller, json_output


@click.command()
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


@click.command()
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
