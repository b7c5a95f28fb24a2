"""The command `dropletctl` itself: its name, its global options and the list of commands."""

import importlib

import click

from ryu_apps.dropletctl.options import connection

_COMMANDS = {
    "put": "droplet_commands:put",
    "get": "droplet_commands:get",
    "list": "droplet_commands:list_",
    "delete": "droplet_commands:delete",
    "import": "droplet_commands:import_",
    "maintenance": "droplet_commands:maintenance",
    "backup": "registry_commands:backup",
    "restore": "registry_commands:restore",
    "migrate": "migrate_command:migrate",
    "switches": "switch_commands:switches",
    "ports": "switch_commands:ports",
    "watch": "switch_commands:watch",
    "host-setup": "host_command:host_setup",
    "doctor": "doctor_command:doctor",
    "trace": "trace_command:trace",
}


class _Commands(click.Group):
    """The commands in the order above; only the one that is called is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, function = _COMMANDS[cmd_name].split(":")
        return getattr(importlib.import_module(f"ryu_apps.dropletctl.{module}"), function)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ovs-metadata", prog_name="dropletctl")
@connection
def cli() -> None:
    """Register droplets with the controller, see what its switches do, set up a host.

    The exit status is 0, 1 if what was asked for could not be done (or, with host-setup --check,
    is not so, or doctor or trace finds a fault), or 2 for a command that makes no sense.
    """
