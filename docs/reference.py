"""The reference pages commands.md, read off the commands, and openapi.md, read off the description.

Only what these do not know stands here. A test compares what is committed with what this makes.
"""

import argparse
import inspect
import re
from collections.abc import Iterable, Iterator

import click

import metadata_http.__main__
from ryu_apps.dropletctl.cli import cli
from ryu_apps.northbound.openapi import description

Lines = Iterator[str]

COMMANDS = """\
# Commands

The same as in `man dropletctl` and `man 8 metadata-http`. The controller is
`ryu-manager --config-file FILE ryu_apps.metadata_controller`; its options are in
[options.md](options.md), as are those of `metadata-http`.
"""

OPENAPI = """\
# The calls of REST

Version {version} of the description that the controller gives at `/v1/openapi.json`, with schemas,
parameters and what each status means; [rest.md](rest.md) is the same for people. Every path below
`/v1` takes a [token](rest.md#who-may-call).

| call | | statuses |
|---|---|---|
"""


def commands_page() -> str:
    """docs/commands.md after its first line."""
    return COMMANDS + "\n".join([*_dropletctl(), *_metadata_http(), ""])


def openapi_page() -> str:
    """docs/openapi.md after its first line."""
    told = description()
    rows = (
        f"| `{method.upper()} {path}` | {call['summary']} | {', '.join(call['responses'])} |"
        for path, calls in told["paths"].items()
        for method, call in calls.items()
        if method in ("get", "put", "post", "patch", "delete")
    )
    return OPENAPI.format(version=told["info"]["version"]) + "\n".join([*rows, ""])


def _dropletctl() -> Lines:
    root = click.Context(cli, info_name="dropletctl")
    yield from ("", "## dropletctl", "", "    dropletctl [OPTIONS] COMMAND [ARGUMENTS]", "")
    yield from _paragraphs(str(cli.help))
    yield "The options of the connection may stand before the command or after it; the later place"
    yield from ("wins. The environment variable behind one says the same.", "")
    yield from _options(root, cli.params)
    shared = {tuple(option.opts) for option in cli.params}
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        context = click.Context(command, root, info_name=name)
        usage = " ".join(command.collect_usage_pieces(context))
        yield from (f"### dropletctl {name}", "", f"    dropletctl {name} {usage}", "")
        yield from _paragraphs(str(command.help))
        own = [param for param in command.params if tuple(param.opts) not in shared]
        yield from _options(context, own)


def _paragraphs(text: str) -> Lines:
    r"""Paragraphs as click has them; those after a \b stay as they stand."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield from (
                f"    {line}" for line in paragraph.removeprefix("\b").strip("\n").split("\n")
            )
        else:
            yield _cell(" ".join(paragraph.split()))
        yield ""


def _options(context: click.Context, params: Iterable[click.Parameter]) -> Lines:
    found = [param for param in params if isinstance(param, click.Option)]
    rows = [(param, param.get_help_record(context)) for param in found]
    shown = [(param, record) for param, record in rows if record is not None]
    if shown:
        yield from ("| option | |", "|---|---|")
        for param, (term, text) in shown:
            variable = f" `{param.envvar}`" if param.envvar else ""
            yield f"| `{term.replace('|', chr(92) + '|')}` | {_cell(text)}{variable} |"
        yield ""


def _metadata_http() -> Lines:
    parser = metadata_http.__main__.parser()
    yield from ("## metadata-http", "", "    metadata-http [--config-file FILE]", "")
    yield from (_cell(str(parser.description)), "", _cell(str(parser.epilog)), "")
    yield from ("| option | |", "|---|---|")
    for action in parser._actions:
        yield f"| `{_term(action)}` | {_cell(action.help or '')} |"


def _term(action: argparse.Action) -> str:
    return " ".join(
        [", ".join(action.option_strings), *([action.metavar] if action.metavar else [])]
    )


def _cell(text: str) -> str:
    """Text on one line that Markdown is to show as it is, but for what is in backquotes."""
    parts = " ".join(text.split()).split("`")
    parts[::2] = [re.sub(r"([<|\[\]*_])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
