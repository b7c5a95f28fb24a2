"""The command host-setup: what is wanted, from options and configuration; telling what is done."""

import os
import re
from collections.abc import Sequence
from typing import Any

import click

from ryu_apps.dropletctl import options, show
from ryu_apps.dropletctl.connection import Configuration, SetupError, configured
from ryu_apps.dropletctl.host import carry_out
from ryu_apps.dropletctl.host.plan import Impossible
from ryu_apps.dropletctl.host.tools import HostError, Tools, require_root
from ryu_apps.dropletctl.host.values import Step, Wanted
from ryu_apps.dropletctl.options import Failure, config_file, given, json_output
from ryu_apps.pipeline.layout import BridgeSettings


class Mac(click.ParamType):
    """A MAC that a NIC can have."""

    name = "mac"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The MAC in lower case; a usage error for anything else."""
        if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", value.lower()):
            self.fail(f"{value!r} is no MAC of one NIC", param, ctx)
        return value.lower()


@click.command("host-setup")
@options.bridge
@click.option("--check", "mode", flag_value="check", help="Change nothing; tell what differs.")
@click.option("--undo", "mode", flag_value="undo", help="Take back what host-setup changed.")
@click.option("--mac", type=Mac(), help="The port's MAC.  [derived, the same each time]")
@options.routing_table("Number of the routing table, and priority of the rule that leads to it.")
@options.ovsdb
@json_output
@config_file
@click.pass_context
def host_setup(
    context: click.Context,
    bridge: str,
    mode: str | None,
    mac: str | None,
    table: int,
    db: str | None,
    as_json: bool,
) -> None:
    """Make this host lead from the bridge to the metadata server: the port meta0, its address, the
    routing that brings answers back to it, and what keeps everything else out.

    Does only what is not so yet, so it may be run at any time; it should be at each boot, since
    addresses, rules and sysctls do not outlive one. With --check the exit status is 1 if anything
    differs.
    """
    try:
        require_root()
        configuration = configured(given(context).config_file)
        tools = Tools(database(db, configuration))
        wanted, _ = wanted_host(bridge, mac, table, configuration, tools)
        match mode:
            case "check":
                _check(carry_out.check(wanted, tools), bridge, as_json)
            case "undo":
                _report(as_json, lambda report: carry_out.undo(wanted, tools, report), bridge)
            case _:
                _report(as_json, lambda report: carry_out.setup(wanted, tools, report), bridge)
    except (HostError, SetupError) as error:
        raise Failure(str(error)) from error
    except Impossible as error:
        raise Failure("\n".join(error.reasons)) from error


def database(db: str | None, configuration: Configuration | None) -> str | None:
    """Where OVSDB is; None leaves it to the tools, which know OVS_RUNDIR and the usual place."""
    if db or configuration is None or "OVS_RUNDIR" in os.environ:
        return db
    return configuration.settings.ovsdb


def wanted_host(
    bridge: str, mac: str | None, table: int, configuration: Configuration | None, tools: Tools
) -> tuple[Wanted, BridgeSettings]:
    """What the host should be like, and the settings of the bridge it is for. Raises HostError."""
    usual = BridgeSettings()
    settings = usual
    if configuration is not None:
        dpid = tools.run("ovs-vsctl", "--if-exists", "get", "Bridge", bridge, "datapath_id")
        digits = (dpid or "").strip().strip('"[]')
        all_settings = configuration.settings
        settings = all_settings.bridge(int(digits, 16)) if digits else all_settings.default_bridge
    subnet = settings.addressing.hv_local_subnet
    wanted = Wanted(
        bridge=bridge,
        port=settings.meta_port_name,
        metadata_ip=settings.metadata_ip,
        # Several bridges of a host share the table, each with a subnet of its own.
        hv_local_subnet=None if subnet == usual.addressing.hv_local_subnet else subnet,
        table=table,
        mac=mac,
    )
    return wanted, settings


def _check(steps: Sequence[Step], bridge: str, as_json: bool) -> None:
    if as_json:
        show.print_json([_as_json(step) for step in steps])
    else:
        for step in steps:
            click.echo(_difference(step))
        if not steps:
            click.echo(f"{bridge}: all is as it should be")
    if steps:
        raise SystemExit(1)


def _report(as_json: bool, act: Any, bridge: str) -> None:
    """Carry out, telling each step as it is done, and at the end what was held back."""
    done: list[Step] = []

    def tell(step: Step) -> None:
        done.append(step)
        if not as_json:
            click.echo(f"{step.what}: {_word(step.now)} -> {_word(step.then)}  ({step.why})")

    held = act(tell) or []
    if as_json:
        show.print_json([_as_json(step) for step in (*done, *held)])
        return
    for step in held:
        click.echo(f"{step.what} stays {_word(step.now)} {step.held}")
    if not done:
        click.echo(f"{bridge}: nothing to do")


def _difference(step: Step) -> str:
    """A step in words, with the commands that would take it."""
    lines = [f"{step.what} is {_word(step.now)}, should be {_word(step.then)}: {step.why}"]
    if step.held:
        lines.append(f"    held back {step.held}")
    return "\n".join([*lines, *(f"    {command}" for command in step.commands)])


def _word(value: str | None) -> str:
    return "none" if value is None else " ".join(value.split())


def _as_json(step: Step) -> dict[str, Any]:
    return {
        **{"setting": step.key, "is": step.now, "should_be": step.then, "why": step.why},
        **{"held": step.held, "commands": [str(command) for command in step.commands]},
    }
