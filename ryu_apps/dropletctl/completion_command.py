"""The command completion: the script that makes a shell complete dropletctl's words."""

import click
from click.shell_completion import get_completion_class

from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.options import Failure, json_output

VARIABLE = "_DROPLETCTL_COMPLETE"
"""What click derives from the command's name, and the script sets to ask for completions."""

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@json_output
@click.pass_context
def completion(context: click.Context, shell: str, as_json: bool) -> None:
    """Print the script that makes SHELL complete commands, options, files, switches and the ids of
    droplets. Have the shell read it at its start:

    \b
    bash  eval "$(dropletctl completion bash)"                      in ~/.bashrc
    zsh   eval "$(dropletctl completion zsh)"                       in ~/.zshrc
    fish  dropletctl completion fish > ~/.config/fish/completions/dropletctl.fish

    Ids and dpids are asked of the controller, as the options and the environment say; where it
    does not answer within a second there are none."""
    found = get_completion_class(shell)
    if found is None:
        raise Failure(f"this click knows no completion for {shell}")
    root = context.find_root().command
    script = found(root, {}, "dropletctl", VARIABLE).source()
    if as_json:
        show.print_json({"shell": shell, "script": script})
        return
    click.echo(script)
