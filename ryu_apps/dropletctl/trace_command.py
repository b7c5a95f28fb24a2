"""The command trace: one droplet's request, hop by hop, and where it dies."""

from dataclasses import asdict

import click

from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.connection import SetupError, configured
from ryu_apps.dropletctl.host.tools import HostError, Tools, require_root
from ryu_apps.dropletctl.host_command import database
from ryu_apps.dropletctl.kinds import DropletId
from ryu_apps.dropletctl.options import (
    Failure,
    connection,
    controller,
    given,
    json_output,
    ovsdb,
    server_health,
)
from ryu_apps.dropletctl.trace.judge import verdict
from ryu_apps.dropletctl.trace.values import Hop, State


@click.command()
@click.argument("droplet_id", metavar="ID", type=DropletId())
@server_health
@ovsdb
@json_output
@connection
@click.pass_context
def trace(
    context: click.Context, droplet_id: int, server: str, db: str | None, as_json: bool
) -> None:
    """Follow one droplet's request on the hypervisor it is on: the registry, its port, its flows,
    ARP, request and reply through the switch's tables, conntrack, the metadata server's view, and
    at last a real SYN in the droplet's name, which is answered and ended.

    The exit status is 1 if a hop fails.
    """
    # Here, not above: urllib3 takes a while to import, which `--help` need not pay.
    from ryu_apps.dropletctl.trace.walk import Walk

    try:
        require_root()
        configuration = configured(given(context).config_file)
        tools = Tools(database(db, configuration))
        settings = None if configuration is None else configuration.settings
        with controller(context) as client:
            walk = Walk(client, tools, settings, server.rstrip("/"))
            hops = list(walk.hops(droplet_id))
    except (HostError, SetupError) as error:
        raise Failure(str(error)) from error
    _tell(droplet_id, hops, as_json)


def _tell(droplet_id: int, hops: list[Hop], as_json: bool) -> None:
    said = verdict(droplet_id, hops)
    if as_json:
        told = {"droplet_id": droplet_id, "verdict": said, "hops": [asdict(hop) for hop in hops]}
        show.print_json(told)
    else:
        show.hops(hops)
        click.echo(show.clean(said))
        for mend in dict.fromkeys(hop.mend for hop in hops if hop.mend):
            click.echo(f"    mend: {show.clean(mend)}")
    if any(hop.state is State.DIED for hop in hops):
        raise SystemExit(1)
