"""The manual pages, in man(7): dropletctl(1), metadata-http(8) and ovs-metadata.conf(5).

What they say of commands and options is read off the commands and the tables of options; only what
these do not know, such as which files there are, stands here. click-man writes a page for each
command, repeats the options of the connection on all of them, and knows nothing of argparse and
oslo.config: three of our own pages need less code than that needs around it.
"""

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator

import click
from oslo_config import cfg

import metadata_http.__main__
import metadata_http.settings
import ryu_apps.settings
from ryu_apps.dropletctl.cli import cli
from ryu_apps.dropletctl.connection import CONFIG_FILE, TOKENS_FILE

Lines = Iterator[str]


def manpages() -> dict[str, str]:
    """The text of each page by its file's name."""
    pages = {
        "dropletctl.1": _dropletctl(),
        "metadata-http.8": _metadata_http(),
        "ovs-metadata.conf.5": _configuration(),
    }
    return {name: "\n".join(lines) + "\n" for name, lines in pages.items()}


# -- man(7) ----------------------------------------------------------------------------------------


def _escape(text: str) -> str:
    """Text as it is to be seen: no escapes, and hyphens that can be pasted as options."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def _prose(text: str) -> str:
    """Filled and escaped, what is between backquotes in bold."""
    lines = textwrap.wrap(text, 72, break_long_words=False, break_on_hyphens=False)
    parts = _escape("\n".join(lines)).split("`")
    bold = [f"\\fB{part}\\fR" if n % 2 else part for n, part in enumerate(parts)]
    return "".join(bold)


def _title(name: str, section: int, what: str) -> Lines:
    yield '.\\" Written by docs/generate.py from commands and options: change these, not this.'
    yield f'.TH {name.upper()} {section} "" ovs\\-metadata'
    yield from _section("Name")
    yield f"{_escape(name)} \\- {_escape(what)}"


def _section(name: str) -> Lines:
    yield f".SH {name.upper()}"


def _paragraphs(text: str) -> Lines:
    r"""Paragraphs as click has them: apart by empty lines, as they stand after a \b."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield from (".nf", _escape(paragraph.removeprefix("\b").strip("\n")), ".fi")
        else:
            yield _prose(" ".join(paragraph.split()))


def _item(term: str, *text: str) -> Lines:
    yield ".TP"
    yield term
    yield from (_prose(line) for line in text if line)


def _see_also(*pages: tuple[str, int]) -> Lines:
    yield from _section("See also")
    yield " ,\n".join(f".BR {_escape(name)} ({section})" for name, section in pages)


# -- dropletctl(1) ---------------------------------------------------------------------------------


def _dropletctl() -> Lines:
    root = click.Context(cli, info_name="dropletctl")
    shared = {tuple(option.opts) for option in cli.params}
    first, *rest = str(cli.help).split("\n\n")
    yield from _title("dropletctl", 1, first[0].lower() + first[1:].rstrip("."))
    yield from _section("Synopsis")
    yield ".B dropletctl"
    yield "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]"
    yield from _section("Description")
    yield from _paragraphs(first)
    yield ".PP"
    yield from _paragraphs(
        "The controller is reached by its REST interface, the host by its own tools. Each command "
        "takes `--json`, to print JSON for programs, and `--help`."
    )
    yield from _section("Commands")
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        yield from _command(click.Context(command, root, info_name=name), shared)
    yield from _section("Options of the connection")
    yield "They may stand before the command or after it; the later place wins."
    connection = [option for option in cli.params if option.envvar]
    yield from _options(root, connection)
    yield from _section("Environment")
    for option in connection:
        yield from _item(f".B {option.envvar}", f"As `{option.opts[0]}`.")
    yield from _section("Files")
    yield from _item(f".I {CONFIG_FILE}", "The configuration, if it is there.")
    yield from _item(f".I {TOKENS_FILE}", "Tokens, which the controller writes at its first start.")
    yield from _section("Exit status")
    yield from _paragraphs("\n\n".join(rest))
    yield from _see_also(("metadata-http", 8), ("ovs-metadata.conf", 5), ("ovs-vsctl", 8))


def _command(context: click.Context, shared: set[tuple[str, ...]]) -> Lines:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_escape(str(context.info_name))} {_escape(usage)}"'
    yield from _paragraphs(str(command.help))
    own = [each for each in command.params if tuple(each.opts) not in {*shared, ("--json",)}]
    yield from _options(context, own)


def _options(context: click.Context, params: Iterable[click.Parameter]) -> Lines:
    for param in params:
        record = param.get_help_record(context) if isinstance(param, click.Option) else None
        if record is not None:
            term, text = record
            yield from _item(f"\\fB{_escape(term)}\\fR", text)


# -- metadata-http(8) ------------------------------------------------------------------------------


def _metadata_http() -> Lines:
    parser = metadata_http.__main__.parser()
    yield from _title("metadata-http", 8, "answer droplets at 169.254.169.254")
    yield from _section("Synopsis")
    usage = parser.format_usage().removeprefix(f"usage: {parser.prog} ")
    yield ".B metadata\\-http"
    yield _escape(" ".join(usage.split()))
    yield from _section("Description")
    yield from _paragraphs(str(parser.description))
    yield from _section("Options")
    for action in parser._actions:
        text = " ".join([*action.option_strings, *([action.metavar] if action.metavar else [])])
        yield from _item(f"\\fB{_escape(text)}\\fR", action.help or "")
    yield from _section("Exit status")
    yield from _paragraphs(str(parser.epilog).removeprefix("Exit status: "))
    yield from _see_also(("dropletctl", 1), ("ovs-metadata.conf", 5))


# -- ovs-metadata.conf(5) --------------------------------------------------------------------------


def _configuration() -> Lines:
    yield from _title("ovs-metadata.conf", 5, "options of the metadata controller and server")
    yield from _section("Description")
    yield from _paragraphs(
        "One file for the controller and for `metadata-http`, of sections in brackets and lines "
        "`option = value`; lines that begin with # are comments. All of it may be left out: an "
        "empty file will do. A bad value, and an option that there is none, stops the process "
        "with the option, the value and the file in its message."
    )
    bridge = ryu_apps.settings.BRIDGE_OPTIONS
    controller = [option for option in ryu_apps.settings.OPTIONS if option not in bridge]
    for title, text, options in (
        ("[metadata]: the controller", "", controller),
        (
            "[metadata], and [bridge:DPID] where one switch differs",
            "The dpid is written as 16 hex digits. What its section does not set is as in "
            "[metadata].",
            bridge,
        ),
        (
            "[metadata_http]: the metadata server",
            "It reads `state_dir`, `tokens_file`, `rest_ca` and `ovsdb` of [metadata] too.",
            metadata_http.settings.OPTIONS,
        ),
    ):
        yield f'.SH "{_escape(title)}"'
        if text:
            yield _prose(text)
        for option in options:
            yield from _item(f"\\fB{_escape(option.name)}\\fR", option.help, *_values(option))
    yield from _see_also(("dropletctl", 1), ("metadata-http", 8))


def _values(option: cfg.Opt) -> Lines:
    choices = getattr(option.type, "choices", None)
    if choices:
        yield f"One of {', '.join(f'`{choice}`' for choice in choices)}."
    default = option.default
    if isinstance(default, list):
        default = ", ".join(map(str, default))
    if default not in (None, ""):
        yield f"Default: `{default}`."
