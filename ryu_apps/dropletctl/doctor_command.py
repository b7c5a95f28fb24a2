"""The command doctor: what it looks at, from options and configuration; telling what it found."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import click

from ryu_apps.dropletctl import options, show
from ryu_apps.dropletctl.connection import SetupError, configured
from ryu_apps.dropletctl.doctor.checks import CHECKS, diagnose
from ryu_apps.dropletctl.doctor.values import Facts, Finding, Weight
from ryu_apps.dropletctl.host.tools import HostError, Tools, require_root
from ryu_apps.dropletctl.host_command import database, wanted_host
from ryu_apps.dropletctl.options import Failure, connection, given, json_output


@click.command()
@click.option(
    "--bridge", metavar="BR", help="The bridge the droplets are on.  [this host's only one]"
)
@options.server_health
@options.routing_table("Number of the routing table that host-setup was given.")
@options.ovsdb
@json_output
@connection
@click.pass_context
def doctor(
    context: click.Context,
    bridge: str | None,
    server: str,
    table: int,
    db: str | None,
    as_json: bool,
) -> None:
    """Look at this host, its bridge, the controller and the metadata server, and tell what would
    keep droplets from their metadata: what is wrong, why it matters, and what mends it.

    Changes nothing. The exit status is 1 if there is a fault; warnings alone leave it 0.
    """
    # Here, not above: urllib3 takes a while to import, which `--help` need not pay.
    from ryu_apps.dropletctl.doctor.look import look

    try:
        require_root()
        configuration = configured(given(context).config_file)
        tools = Tools(database(db, configuration))
        bridge = bridge or _only_bridge(tools)
        wanted, settings = wanted_host(bridge, None, table, configuration, tools)
        facts = look(wanted, settings, given(context), server.rstrip("/"), tools)
        if configuration is not None:
            shared = configuration.settings.registry_url.startswith("etcd:")
            facts = replace(facts, shared_registry=shared)
    except (HostError, SetupError) as error:
        raise Failure(str(error)) from error
    _tell(facts, diagnose(facts), as_json)


def _only_bridge(tools: Tools) -> str:
    """This host's bridge. Raises HostError, UsageError where there is none, or a choice."""
    bridges = (tools.run("ovs-vsctl", "list-br") or "").split()
    if not bridges:
        raise HostError("there is no bridge on this host: ovs-vsctl add-br br0")
    if len(bridges) > 1:
        raise click.UsageError(f"this host has {', '.join(bridges)}: --bridge says which")
    return bridges[0]


def _tell(facts: Facts, findings: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        show.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(_text(finding))
        click.echo(_summary(facts, findings))
    if any(finding.weight is Weight.FAULT for finding in findings):
        raise SystemExit(1)


def _text(finding: Finding) -> str:
    lines = [f"{finding.weight}: {show.clean(finding.what)} [{finding.check}]"]
    lines += [f"    why:  {show.clean(finding.why)}"]
    lines += [f"    mend: {show.clean(line)}" for line in finding.mend]
    return "\n".join(lines)


def _summary(facts: Facts, findings: Sequence[Finding]) -> str:
    faults = sum(finding.weight is Weight.FAULT for finding in findings)
    warnings = len(findings) - faults
    if not findings:
        return f"{facts.wanted.bridge}: {len(CHECKS)} checks, nothing wrong"
    return f"{facts.wanted.bridge}: {len(CHECKS)} checks, faults: {faults}, warnings: {warnings}"
