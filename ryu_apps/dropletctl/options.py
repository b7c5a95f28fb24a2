"""Options that several commands share, and the client they lead to.

The connection's options may stand before or after the command's name; the later place wins.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from ryu_apps.dropletctl.connection import Given, Place, SetupError, find
from ryu_apps.dropletctl.host.values import DEFAULT_TABLE

if TYPE_CHECKING:
    from ovs_metadata_client import Client

_F = TypeVar("_F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)


class _Url(click.ParamType):
    """Where a controller is: scheme, host, perhaps a port."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is; a usage error for what is no such URL."""
        try:
            url = urlsplit(value)
            sound = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:  # A port beyond 65535, or brackets that are not closed.
            sound = False
        if not sound:
            self.fail(f"{value!r} is no http://HOST:PORT or https://HOST:PORT", param, ctx)
        return value


class Failure(click.ClickException):
    """The command did not do what was asked: its text on standard error, exit status 1."""

    exit_code = 1


def connection(function: _F) -> _F:
    """Add the options that say where the controller is."""
    options = (
        _option("url", _Url(), "The controller's REST interface.  [http://127.0.0.1:8080]", "URL"),
        _option("token", str, "The token to show; safer as an environment variable.", "TOKEN"),
        _option("tokens_file", _FILE, "Where to read the token.  [<state_dir>/tokens]", "FILE"),
        _option("ca_file", _FILE, "Whom to trust over https.  [rest_ca, or the system]", "FILE"),
        _option("client_cert", _FILE, "The certificate to show over https, PEM.", "FILE"),
        _option("client_key", _FILE, "Its key, PEM.  [in --client-cert]", "FILE"),
        config_file,
    )
    for option in reversed(options):
        function = option(function)
    return function


def config_file(function: _F) -> _F:
    """Add the option that names the controller's configuration file."""
    text = "The configuration of controller and server.  [/etc/ovs-metadata.conf, if it is there]"
    return _option("config_file", _FILE, text, "FILE")(function)


def given(context: click.Context) -> Given:
    """What the connection's options said so far."""
    return context.find_root().ensure_object(dict).setdefault("given", Given())


server_health = click.option(
    "--server",
    metavar="URL",
    default="http://127.0.0.1:9180",
    show_default=True,
    help="Where the metadata server tells its health: its `admin_listen`.",
)

bridge = click.option(
    "--bridge", required=True, metavar="BR", help="The bridge the droplets are on."
)

ovsdb = click.option(
    "--db", metavar="SERVER", help="The Open vSwitch database, as ovs-vsctl takes it."
)


def routing_table(text: str) -> Callable[[_F], _F]:
    """The option that names the routing table of answers, `text` saying what for."""
    return click.option(
        "--table",
        type=click.IntRange(1, 252),
        metavar="N",
        default=DEFAULT_TABLE,
        show_default=True,
        help=text,
    )


json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@contextmanager
def controller(context: click.Context) -> Iterator["Client"]:
    """The client for the controller the options point at; turns its failures into ours."""
    # urllib3 takes a while to import, which `--help` and `host-setup` need not pay.
    from ovs_metadata_client import Client, ClientError
    from ryu_apps.dropletctl.explain import explain

    place = _place(context)
    try:
        with Client(place.url, place.token, tls=place.tls) as client:
            yield client
    except ClientError as error:
        raise Failure(explain(error, place)) from error


def _option(name: str, kind: Any, text: str, metavar: str) -> Callable[[_F], _F]:
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=kind,
        metavar=metavar,
        envvar=f"DROPLETCTL_{name.upper()}",
        expose_value=False,
        callback=_remember,
        help=text,
    )


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keep what an option said. An environment variable gives way to what was said before it."""
    name = str(parameter.name)
    said = given(context)
    typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    if value is not None and (typed or getattr(said, name) is None):
        context.find_root().obj["given"] = replace(said, **{name: value})
    return value


def _place(context: click.Context) -> Place:
    try:
        return find(given(context))
    except SetupError as error:
        raise Failure(str(error)) from error
