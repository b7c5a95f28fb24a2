"""Where the controller is and which token to show it, found out from options and files.

What is not said is looked for where the controller itself puts it: its configuration file and the
tokens file that it writes at its first start.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ovs_metadata_client import Tls

if TYPE_CHECKING:
    from ryu_apps.settings import Settings

CONFIG_FILE = Path("/etc/ovs-metadata.conf")
TOKENS_FILE = Path("/var/lib/ovs-metadata/tokens")

HOST = "127.0.0.1"
PORT = 8080
"""Ryu's default `wsapi_port`, and the host that the controller has it listen on."""

_ROLES = ("admin", "server")
"""From the role that may do more to the one that may do less."""


class SetupError(Exception):
    """What is needed to reach the controller is missing or unusable; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller said; None where nothing was."""

    url: str | None = None
    token: str | None = None
    tokens_file: Path | None = None
    config_file: Path | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A controller's URL, the token for it, and where each is from, for messages."""

    url: str
    url_source: str
    token: str
    token_source: str
    tls: Tls


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the controller's configuration file says, read as the controller reads it."""

    url: str
    settings: "Settings"


def find(given: Given) -> Place:
    """Where the controller is and the token for it. Raises SetupError."""
    configuration = configured(given.config_file)
    url, source = _url(given, configuration)
    ca_file = given.ca_file
    if ca_file is None and configuration and configuration.settings.rest.ca:
        ca_file = Path(configuration.settings.rest.ca)
    tls = Tls(ca_file, given.client_cert, given.client_key)
    if given.token:
        return Place(url, source, given.token, "--token or DROPLETCTL_TOKEN", tls)
    file = given.tokens_file
    if file is None:
        file = Path(configuration.settings.tokens_file) if configuration else TOKENS_FILE
    return Place(url, source, read_token(file), str(file), tls)


def _url(given: Given, configuration: "Configuration | None") -> tuple[str, str]:
    """The URL, and where it is from."""
    if given.url:
        return given.url, "as --url or DROPLETCTL_URL says"
    if configuration is not None:
        file = given.config_file or CONFIG_FILE
        return configuration.url, f"wsapi_host and wsapi_port of {file}; --url says otherwise"
    return f"http://{HOST}:{PORT}", "where it is by default; --url says otherwise"


def configured(config_file: Path | None) -> Configuration | None:
    """The configuration in `config_file`, or in the usual file if there is one; else None.

    Raises SetupError.
    """
    file = config_file or CONFIG_FILE
    if config_file is None and not file.exists():
        return None
    return _read([file])


def registry_url(config_file: Path | None) -> str:
    """Where the controller has its registry: as configured, or where it is without a word of it.

    Raises SetupError.
    """
    return (configured(config_file) or _read([])).settings.registry_url


def etcd_login(config_file: Path | None) -> dict[str, str | None]:
    """How the controller logs in to etcd, as `Settings.etcd`. Raises SetupError."""
    return (configured(config_file) or _read([])).settings.etcd


def _read(files: list[Path]) -> Configuration:
    # Imported here: most calls need no configuration file, and oslo.config is slow to import.
    from oslo_config import cfg

    from ryu_apps.settings import SettingsError, read_settings

    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt("wsapi_host"), cfg.PortOpt("wsapi_port", default=PORT)])
    try:
        conf(
            args=[],
            project="ryu",
            default_config_files=list(map(str, files)),
            default_config_dirs=[],
        )
        settings = read_settings(conf)
        host = conf.wsapi_host or HOST
        scheme = "https" if settings.rest.certificate else "http"
        return Configuration(f"{scheme}://{_reachable(host)}:{conf.wsapi_port}", settings)
    except (cfg.Error, SettingsError, ValueError) as error:
        raise SetupError(f"configuration {', '.join(map(str, files))}: {error}") from error


def read_token(file: Path) -> str:
    """The token that may do most of those in a tokens file. Raises SetupError."""
    options = "give --tokens-file, --config-file or DROPLETCTL_TOKEN"
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise SetupError(
            f"no token: there is no {file}, which a controller on this host writes at its first "
            f"start; {options}"
        ) from None
    except OSError as error:
        raise SetupError(f"no token: {file}: {error.strerror}; be root, or {options}") from error
    except UnicodeDecodeError as error:
        raise SetupError(f"no token: {file}: it is not UTF-8; {options}") from error
    token = choose_token(text)
    if token is None:
        raise SetupError(f"no token: {file} has no line for the role {' or '.join(_ROLES)}")
    return token


def choose_token(text: str) -> str | None:
    """The token of the lines `ROLE TOKEN [DPID]` that may do most; None if there is none."""
    lines = [line.split() for line in text.splitlines()]
    for role in _ROLES:
        for words in lines:
            if len(words) >= 2 and words[0] == role:
                return words[1]
    return None


def _reachable(host: str) -> str:
    """The address to connect to for one that a server listens on."""
    anywhere = {"0.0.0.0": HOST, "::": "[::1]"}
    if host in anywhere:
        return anywhere[host]
    return f"[{host}]" if ":" in host else host
