"""The command `dropletctl` itself: its name, its global options and the list of commands.

No command is imported but the one that is called: neither for `--help` nor to complete a name.
"""

import importlib
from collections.abc import Iterator

import click
from click.shell_completion import CompletionItem

from ryu_apps.dropletctl.options import connection

# Name -> where the command is, and what it does in a few words.
_COMMANDS = {
    "put": ("droplet_commands:put", "Register or replace a droplet."),
    "get": ("droplet_commands:get", "Print a droplet's registration as JSON."),
    "list": ("droplet_commands:list_", "List the registered droplets."),
    "delete": ("droplet_commands:delete", "Remove a droplet's registration."),
    "import": ("droplet_commands:import_", "Register many droplets from a file."),
    "maintenance": (
        "droplet_commands:maintenance",
        "Show, announce or call off a droplet's maintenance.",
    ),
    "backup": ("registry_commands:backup", "Keep a copy of the registry."),
    "restore": ("registry_commands:restore", "Put a backup in the registry's place."),
    "migrate": ("migrate_command:migrate", "Copy the registry to another store."),
    "switches": ("switch_commands:switches", "List the switches and what is wrong with any."),
    "ports": ("switch_commands:ports", "List ports and the droplets behind them."),
    "watch": ("watch_command:watch", "Follow the ports of a switch."),
    "top": ("top_command:top", "Show which droplets ask how much, and what they get."),
    "follow-ovsdb": (
        "follow_command:follow_ovsdb",
        "Register droplets by what interfaces say.",
    ),
    "host-setup": ("host_command:host_setup", "Make meta0 and the routing behind it; or undo it."),
    "doctor": ("doctor_command:doctor", "Find what would keep droplets from their metadata."),
    "trace": ("trace_command:trace", "Follow one droplet's request: which hop fails?"),
    "completion": ("completion_command:completion", "Print what makes a shell complete words."),
}


class _Commands(click.Group):
    """The commands in the order above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        place, text = _COMMANDS[cmd_name]
        module, function = place.split(":")
        command = getattr(importlib.import_module(f"ryu_apps.dropletctl.{module}"), function)
        command.short_help = text
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, which knows no names to suggest where no command is imported."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, None, _COMMANDS, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [*self._names(incomplete), *click.Command.shell_complete(self, ctx, incomplete)]

    def _names(self, incomplete: str) -> Iterator[CompletionItem]:
        for name, (_, text) in _COMMANDS.items():
            if name.startswith(incomplete):
                yield CompletionItem(name, help=text)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ovs-metadata", prog_name="dropletctl")
@connection
def cli() -> None:
    """Register droplets with the controller, see what its switches do, set up a host.

    The exit status is 0, 1 if what was asked for could not be done (or, with host-setup --check,
    is not so, or doctor or trace finds a fault), or 2 for a command that makes no sense.
    """
