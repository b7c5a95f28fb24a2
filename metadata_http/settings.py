"""The options of [metadata_http]: type, default, reason; and the frozen values read from a file.

Shell only in that it reads the file. A bad value is one `SettingsError` naming the option, the
value and the file. Of the controller's section only what both processes must agree on is read.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oslo_config import cfg, types

from metadata_http.formats import FORMATS
from ovs_metadata_logs.handler import LOG_FORMATS, LOG_LEVELS

GROUP = "metadata_http"
SHARED_GROUP = "metadata"


class SettingsError(ValueError):
    """The operator's fault: what is wrong, with which value, and where it stands."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address and TCP port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    try:
        IPv4Address(host)
    except AddressValueError:
        raise ValueError(f"{text!r} is not IPV4ADDRESS:PORT") from None
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} has no port from 0 to 65535")
    return Address(host, int(port))


def _loopback_address(text: str) -> Address:
    address = _address(text)
    if not IPv4Address(address.host).is_loopback:
        raise ValueError(f"{text!r} is not on loopback: droplets could reach it")
    return address


def _dpid(text: str) -> str:
    digits = text.lower().removeprefix("0x")
    if len(digits) != 16 or not set(digits) <= set("0123456789abcdef"):
        raise ValueError(f"{text!r} is not 16 hex digits")
    return digits


def _url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{text!r} is no http or https URL")
    return text.rstrip("/")


def _formats(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"{name!r} is none of {', '.join(FORMATS)}")
    if not names:
        raise ValueError("names no format: nothing would be served")
    return [name for name in FORMATS if name in names]


OPTIONS = (
    cfg.Opt(
        "listen",
        type=_address,
        default="169.254.169.254:80",
        help="Address and port droplets reach. The address may come later than this process.",
    ),
    cfg.Opt(
        "admin_listen",
        type=_loopback_address,
        default="127.0.0.1:9180",
        help="Health and metrics, on loopback only: droplets must not reach them. The second "
        "worker takes the next port, and so on.",
    ),
    cfg.Opt(
        "controller_urls",
        type=types.List(item_type=_url),
        default=["http://127.0.0.1:8080"],
        help="The controller's REST; several are tried in turn.",
    ),
    cfg.StrOpt(
        "controller_ca",
        help="PEM file of the authorities that https controllers are checked against, with their "
        "host names; default [metadata] `rest_ca`, or the system's.",
    ),
    cfg.StrOpt(
        "controller_certificate",
        help="PEM file with the certificate to show to controllers that ask for one.",
    ),
    cfg.StrOpt(
        "controller_key",
        help="PEM file with the key of `controller_certificate`, if it is not in there.",
    ),
    cfg.StrOpt(
        "bridge",
        default="br0",
        help="The bridge this host's droplets are on; its dpid is read from OVSDB.",
    ),
    cfg.Opt(
        "dpid",
        type=_dpid,
        help="The bridge's dpid, 16 hex digits, instead of `bridge`. Where the local OVSDB has no "
        "such bridge, ports are not checked against it.",
    ),
    cfg.StrOpt("token", secret=True, help="Token for the controller, instead of `tokens_file`."),
    cfg.StrOpt(
        "tokens_file",
        help="Lines `ROLE TOKEN [DPID]`; default the controller's own, which it writes itself.",
    ),
    cfg.StrOpt(
        "snapshot_file",
        help="The view on disk, for starting while the controller is away (mode 0600; it holds "
        "user data). Default <state_dir>/snapshot-<dpid>. Two processes for one bridge must have "
        "the same, for by it they find names of their own.",
    ),
    cfg.FloatOpt(
        "unknown_droplet_grace",
        default=60.0,
        min=0.0,
        help="Seconds a port may be without a registered droplet before 503 becomes 404: "
        "longer than a registration takes, shorter than a client's patience.",
    ),
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        help="Processes. One answers tens of thousands of requests a second; each has the whole "
        "view in memory and follows the controller by itself.",
    ),
    cfg.IntOpt(
        "threads",
        default=1,
        min=1,
        help="Threads that answer in each process. Answers come from memory and never block, and "
        "one thread at a time has the interpreter, so more answer later, not sooner. Reading the "
        "reports of droplets takes up to 16 more, which rest meanwhile.",
    ),
    cfg.Opt(
        "formats",
        type=_formats,
        default="digitalocean",
        help="Formats droplets are served in that have none of their own: digitalocean, ec2, "
        "openstack. Each of the others is one more cloud this may be taken for.",
    ),
    cfg.IntOpt(
        "max_waits",
        default=4096,
        min=1,
        help="Requests of a process that wait for a change (wait_for_change). Each is a "
        "connection and a few KiB of memory; beyond it the answer is 503.",
    ),
    cfg.IntOpt(
        "max_waits_per_droplet",
        default=32,
        min=1,
        help="Of these, requests of one droplet, so that none takes the others' places; beyond "
        "it the answer is 429. One that the client gave up counts until its time is up.",
    ),
    cfg.FloatOpt(
        "longest_wait",
        default=60.0,
        min=0.0,
        max=3600.0,
        help="Seconds after which a request that waits is answered with what there is, however "
        "long it asked for: what is between forgets a silent connection after minutes.",
    ),
    cfg.IntOpt(
        "max_connections",
        default=16384,
        min=16,
        help="Open connections a process takes; a slow client costs one and nothing else, so "
        "this is memory (about 20 KiB each), not concurrency.",
    ),
    cfg.IntOpt(
        "max_connections_per_droplet",
        default=128,
        min=1,
        help="Of these, connections of one droplet. Looked at twice a second; of those beyond it "
        "the ones that sent nothing for longest are ended. More than max_waits_per_droplet, or "
        "waiting requests are cut off.",
    ),
    cfg.FloatOpt(
        "rate_limit",
        default=200.0,
        min=0.0,
        help="Requests a second that each droplet is answered in each process once its burst is "
        "used up; beyond it the answer is 429 and the connection's end. 0: no limit.",
    ),
    cfg.IntOpt(
        "rate_burst",
        default=1000,
        min=1,
        help="Requests a droplet may make at once beyond `rate_limit`: a client's walk of the "
        "whole tree is less than a hundred, within a second.",
    ),
    cfg.IntOpt(
        "header_timeout",
        default=10,
        min=1,
        max=60,
        help="Seconds in which a request's head must have come, also on a kept-alive "
        "connection: frees what slow or silent clients hold.",
    ),
    cfg.IntOpt(
        "max_header_bytes",
        default=16384,
        min=8192,
        help="Size of a request's head. A real client's is under 1 KiB.",
    ),
    cfg.IntOpt(
        "stop_timeout",
        default=15,
        min=1,
        help="Seconds a stopping process gives requests it has taken; more than header_timeout.",
    ),
    cfg.StrOpt(
        "log_level",
        default="info",
        choices=LOG_LEVELS,
        help="What is logged to standard error.",
    ),
    cfg.StrOpt(
        "log_format",
        default="text",
        choices=tuple(LOG_FORMATS),
        help="One line an event: `text` for people and grep, `json` an object for programs.",
    ),
)

SHARED_OPTIONS = (
    cfg.StrOpt("state_dir", default="/var/lib/ovs-metadata", help="Where both keep their files."),
    cfg.StrOpt("tokens_file", help="Tokens of the REST; default <state_dir>/tokens."),
    cfg.StrOpt("rest_ca", help="Authority behind the controller's certificate, PEM."),
    cfg.StrOpt(
        "ovsdb",
        default="unix:/var/run/openvswitch/db.sock",
        help="The local OVSDB, unix:PATH or tcp:ADDRESS:PORT: a port is served only while it says "
        "that the port is where the controller saw it. The metadata server needs to read it.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What `load` read; the options' help tells what each is for."""

    listen: Address
    admin_listen: Address
    controller_urls: tuple[str, ...]
    controller_ca: str | None
    controller_certificate: str | None
    controller_key: str | None
    bridge: str
    dpid: str | None
    token: str | None
    tokens_file: Path
    snapshot_file: Path | None
    unknown_droplet_grace: float
    workers: int
    threads: int
    formats: tuple[str, ...]
    max_waits: int
    max_waits_per_droplet: int
    longest_wait: float
    max_connections: int
    max_connections_per_droplet: int
    rate_limit: float
    rate_burst: int
    header_timeout: int
    max_header_bytes: int
    stop_timeout: int
    log_level: str
    log_format: str
    state_dir: Path
    ovsdb: str

    def snapshot_path(self, dpid: str) -> Path:
        """The first worker's snapshot file for bridge `dpid`."""
        return self.snapshot_file or self.state_dir / f"snapshot-{dpid}"

    def session_keys_path(self, dpid: str) -> Path:
        """Where the keys of session tokens are, beside the snapshots of bridge `dpid`."""
        return self.snapshot_path(dpid).with_name(f"session-keys-{dpid}")


def load(config_file: Path | None) -> Settings:
    """Read `config_file`, or the defaults alone. Raises SettingsError."""
    conf = cfg.ConfigOpts()
    conf.register_opts(OPTIONS, group=GROUP)
    conf.register_opts(SHARED_OPTIONS, group=SHARED_GROUP)
    files = [] if config_file is None else [str(config_file)]
    try:
        conf(args=[], default_config_files=files, default_config_dirs=[])
        written = _written(config_file)
    except (cfg.Error, OSError) as fault:
        raise SettingsError(f"{config_file}: {fault}") from fault
    _require_known(written, config_file)

    def read(group: str, options: tuple[cfg.Opt, ...]) -> dict[str, Any]:
        return {option.dest: _value(conf, group, option.dest, written, files) for option in options}

    own, shared = read(GROUP, OPTIONS), read(SHARED_GROUP, SHARED_OPTIONS)
    state_dir = Path(str(shared["state_dir"]))
    tokens_file = own["tokens_file"] or shared["tokens_file"] or state_dir / "tokens"
    snapshot_file = own["snapshot_file"]
    return Settings(
        **{
            **own,
            "controller_urls": tuple(own["controller_urls"]),
            "controller_ca": own["controller_ca"] or shared["rest_ca"],
            "formats": tuple(own["formats"]),
            "tokens_file": Path(tokens_file),
            "snapshot_file": None if snapshot_file is None else Path(snapshot_file),
        },
        state_dir=state_dir,
        ovsdb=str(shared["ovsdb"]),
    )


# Section -> option -> the values written for it, as oslo.config's parser gives them.
_Written = dict[str, dict[str, list[str]]]


def _written(file: Path | None) -> _Written:
    sections: _Written = {}
    if file is not None:
        cfg.ConfigParser(str(file), sections).parse()
    return sections


def _require_known(written: _Written, file: Path | None) -> None:
    """Raise SettingsError for what has no effect: it would go unnoticed. Sections that are nowhere
    near ours may be others'; the command's name is easily taken for the section's."""
    for section in written:
        ours = _close(section, (GROUP, SHARED_GROUP))
        if ours is not None and ours != section:
            raise SettingsError(f"[{section}] in {file}: no such section; did you mean [{ours}]?")
    known = [option.dest for option in OPTIONS]
    for name in written.get(GROUP, {}):
        if name not in known:
            close = _close(name, known)
            hint = f"; did you mean {close}?" if close else ""
            raise SettingsError(f"[{GROUP}] {name} in {file}: there is no such option{hint}")


def _close(name: str, known: Iterable[str]) -> str | None:
    """Which of the known names was probably meant."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)), None)


def _value(conf: cfg.ConfigOpts, group: str, name: str, written: _Written, files: list[str]) -> Any:
    try:
        return conf[group][name]
    except (ValueError, cfg.Error) as fault:
        value = ", ".join(written.get(group, {}).get(name, ["(default)"]))
        # oslo.config puts its own words, with all it knows of the file, before the reason.
        reason = str(fault).rpartition("is not valid: ")[2]
        where = f"[{group}] {name} = {value} in {', '.join(files)}"
        raise SettingsError(f"{where}: {reason}") from fault
