"""The controller's options: one table with type, default and reason, and their reading.

`[metadata]` holds for all switches, `[bridge:<dpid as 16 hex digits>]` overrides some of it for
one. Options are oslo.config's, as all of ryu-manager's are; `docs/options.md` is made from
this table.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

from oslo_config import cfg, types

from ovs_metadata_logs.handler import LOG_FORMATS
from ryu_apps.pipeline.addressing import Addressing
from ryu_apps.pipeline.layout import BridgeSettings, CookieMark, Pipeline, Tables


class SettingsError(ValueError):
    """A bad value in the configuration; the message names the option, the value and the file."""


def _integer(value: str | int) -> int:
    """An integer in decimal or, with 0x, in hexadecimal."""
    return value if isinstance(value, int) else int(value, 0)


def _table(name: str, default: int, what: str) -> cfg.Opt:
    return cfg.IntOpt(f"{name}_table", default=default, min=0, max=253, help=what)


BRIDGE_OPTIONS = [
    cfg.Opt(
        "metadata_ip",
        type=IPv4Address,
        default="169.254.169.254",
        help="The address droplets ask; the one that cloud-init and its kin know.",
    ),
    cfg.PortOpt(
        "metadata_port", default=80, min=1, help="The only TCP port of it that droplets reach."
    ),
    cfg.StrOpt(
        "meta_port_name",
        default="meta0",
        help="The bridge's internal port towards the metadata server; `dropletctl host-setup` "
        "makes it.",
    ),
    cfg.Opt(
        "hv_local_subnet",
        type=IPv4Network,
        default="100.127.0.0/16",
        help="An ofport's hv-local address is this network's address + ofport. Bridges of one "
        "host need subnets that do not overlap.",
    ),
    cfg.IntOpt(
        "zone_base",
        default=0,
        min=0,
        max=65534,
        help="An ofport's ct zone is this + ofport. Bridges of one host share their datapath's "
        "zones and need bases that keep them apart.",
    ),
    cfg.StrOpt(
        "pipeline",
        default="standalone",
        choices=[str(name) for name in Pipeline],
        help="standalone: table misses make the bridge an ordinary L2 switch for all other "
        "traffic. embedded: only the metadata flows, in the tables below; misses and other tables "
        "are left to whoever owns the bridge.",
    ),
    _table("arp_responder", 0, "Where ARP for metadata is answered."),
    _table("classifier", 0, "Where droplets' requests are recognised; 0 if standalone."),
    _table("l2_rewrite", 25, "Where requests go from conntrack to meta0."),
    _table("forwarding", 65, "Where replies go through conntrack to the droplet's port."),
    cfg.Opt(
        "cookie",
        type=_integer,
        default="0x6d64",
        help="Our mark, the upper 16 bits of each cookie; flows with any other are never touched.",
    ),
    cfg.IntOpt(
        "meter_pps",
        default=2000,
        min=0,
        max=0xFFFFFFFF,
        help="Packets a second for the metadata server that the switch takes of each droplet "
        "once `meter_burst` is used up; what exceeds it is dropped before conntrack. A walk of "
        "the whole tree is some five hundred. 0: no meters.",
    ),
    cfg.IntOpt(
        "meter_burst",
        default=4000,
        min=1,
        max=0xFFFFFFFF,
        help="Packets of a droplet that the switch takes at once beyond `meter_pps`.",
    ),
    cfg.ListOpt(
        "droplet_port_names",
        default=[],
        help="Shell patterns of ports that are droplets' before they are registered, such as "
        "`tap*`: they are answered 503 with Retry-After until then. Ports that match none, "
        "uplinks above all, get no flow without a registration.",
    ),
]

LOG_OPTIONS = [
    cfg.StrOpt(
        "log_format",
        default="text",
        choices=tuple(LOG_FORMATS),
        help="One line an event, wherever Ryu logs to (`use_stderr`, `log_file`, `use_syslog`): "
        "`text` for people and grep, `json` an object for programs.",
    ),
    cfg.StrOpt(
        "log_level",
        choices=["debug", "info", "warning", "error"],
        help="What is logged. By default info, or what Ryu's `verbose` and `default_log_level` "
        "say.",
    ),
    cfg.StrOpt(
        "audit_log",
        help="File for the audit log: a line of JSON for each write of the registry, refused ones "
        "too. Without one they are among the other lines.",
    ),
]

OPTIONS = [
    *BRIDGE_OPTIONS,
    cfg.StrOpt(
        "state_dir",
        default="/var/lib/ovs-metadata",
        help="Where the registry and the tokens are kept.",
    ),
    cfg.StrOpt(
        "registry_url",
        default="sqlite:///$state_dir/registry.db",
        help="The registry of droplets: sqlite:///PATH, an embedded database that needs nothing "
        "set up, or etcd://HOST:PORT,HOST:PORT/PREFIX, which several controllers share.",
    ),
    cfg.StrOpt(
        "etcd_ca",
        help="PEM file of the authority behind etcd's certificates. With it etcd is spoken to over "
        "TLS, else plain.",
    ),
    cfg.StrOpt(
        "etcd_certificate",
        help="PEM file with our certificate, for an etcd that asks for one. Goes with `etcd_key`.",
    ),
    cfg.StrOpt("etcd_key", help="PEM file with the key of `etcd_certificate`."),
    cfg.StrOpt(
        "etcd_username",
        help="Our name at an etcd with authentication. Goes with `etcd_password_file`.",
    ),
    cfg.StrOpt(
        "etcd_password_file",
        help="File with the password of `etcd_username`; read again at every login.",
    ),
    cfg.StrOpt(
        "tokens_file",
        default="$state_dir/tokens",
        help="REST tokens, made at the first start: lines `ROLE TOKEN [DPID]`.",
    ),
    cfg.StrOpt(
        "rest_certificate",
        help="PEM file with the certificate, and what leads from it to its authority, that REST is "
        "served with over TLS. Goes with `rest_key`; without both REST is plain HTTP.",
    ),
    cfg.StrOpt("rest_key", help="PEM file with the key of `rest_certificate`, without a password."),
    cfg.StrOpt(
        "rest_client_ca",
        help="PEM file of authorities: over TLS, REST is only for clients that show a certificate "
        "of one of them. They need their token all the same.",
    ),
    cfg.StrOpt(
        "rest_ca",
        help="PEM file of the authority behind `rest_certificate`, for `dropletctl` and "
        "`metadata-http`, which check certificate and host name. By default the system's.",
    ),
    cfg.BoolOpt(
        "rest_allow_plain",
        default=False,
        help="Serve REST without TLS on an address that is not loopback too. Tokens, user data and "
        "keys then cross the network for all on it to read, and to change.",
    ),
    cfg.StrOpt(
        "ovsdb",
        default="unix:/var/run/openvswitch/db.sock",
        help="The local Open vSwitch database, to see to fail_mode and max_backoff of its bridges.",
    ),
    cfg.StrOpt(
        "region",
        default="local",
        help="`region` of droplets that are registered without one; clients take an empty one for "
        "another cloud.",
    ),
    cfg.ListOpt(
        "nameservers",
        item_type=types.IPAddress(),
        default=[],
        help="`dns.nameservers` of droplets that are registered without any.",
    ),
    *LOG_OPTIONS,
]

GROUP = "metadata"
SERVER_GROUP = "metadata_http"
"""The metadata server's section, which it reads itself."""

RYU_OPTIONS = (
    *("wsapi_host", "wsapi_port", "ofp_listen_host", "ofp_tcp_listen_port"),
    *("ofp_ssl_listen_port", "ctl_privkey", "ctl_cert", "ca_certs"),
)
"""Ryu's options in [DEFAULT] that say where this controller is to be found, and by what."""
_BRIDGE_SECTION = re.compile(r"bridge:([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class RestSettings:
    """How REST is protected; paths of PEM files. `certificate` and `key` come together."""

    certificate: str | None
    key: str | None
    client_ca: str | None
    ca: str | None
    allow_plain: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the controller, checked. `etcd` has its options by name, without `etcd_`."""

    registry_url: str
    etcd: dict[str, str | None]
    state_dir: str
    tokens_file: str
    rest: RestSettings
    ovsdb: str
    region: str
    nameservers: tuple[str, ...]
    audit_log: str | None
    default_bridge: BridgeSettings
    bridges: dict[int, BridgeSettings]

    def bridge(self, dpid: int) -> BridgeSettings:
        """The settings of one switch."""
        return self.bridges.get(dpid, self.default_bridge)


def read_settings(conf: cfg.ConfigOpts) -> Settings:
    """Read the options from parsed configuration; raises SettingsError for any bad value."""
    conf.register_opts(OPTIONS, GROUP)
    written = _written(conf)
    _require_sections(conf, written)
    _require_defaults(conf, written)
    _require_known(conf, written, GROUP, OPTIONS)
    common = _values(conf, written, GROUP, OPTIONS)
    return Settings(
        registry_url=common["registry_url"],
        etcd=_etcd_settings(conf, common),
        state_dir=common["state_dir"],
        tokens_file=common["tokens_file"],
        rest=_rest_settings(conf, common),
        ovsdb=common["ovsdb"],
        region=common["region"],
        nameservers=tuple(common["nameservers"]),
        audit_log=common["audit_log"],
        default_bridge=_bridge_settings(conf, GROUP, common),
        bridges=dict(_bridges(conf, written, common)),
    )


def read_log_settings(conf: cfg.ConfigOpts) -> tuple[str, str | None]:
    """`log_format`, and `log_level` if it is set, before anything else is read.

    In place of a bad value stands the default: `read_settings` tells of it, in a line of the log.
    """
    conf.register_opts(LOG_OPTIONS, GROUP)
    try:
        return conf[GROUP].log_format, conf[GROUP].log_level
    except (cfg.Error, ValueError):
        return "text", None


def require_protected(conf: cfg.ConfigOpts, rest: RestSettings) -> None:
    """Raise SettingsError where REST would be plain on an address that others than this host reach.

    `conf` has Ryu's `wsapi_host` beside our options.
    """
    host = conf.wsapi_host
    if rest.certificate or rest.allow_plain or _is_of_this_host(host):
        return
    where = conf.get_location("wsapi_host")
    named = where.detail if where.location is cfg.Locations.user else "the command line"
    raise _error(
        conf,
        GROUP,
        f"wsapi_host = {host} (from {named}) is not loopback, and REST without TLS shows tokens "
        f"and documents to the network: set rest_certificate and rest_key, or "
        f"rest_allow_plain = true",
    )


def _is_of_this_host(host: str) -> bool:
    """Whether only processes of this host can connect to `host`, as far as its text tells."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # RFC 6761, 6.3; and Ryu takes a path for a Unix socket's.
        return host == "localhost" or host.startswith("/")


def _rest_settings(conf: cfg.ConfigOpts, common: dict[str, Any]) -> RestSettings:
    rest = RestSettings(
        *(common[f"rest_{name}"] for name in ("certificate", "key", "client_ca", "ca")),
        allow_plain=common["rest_allow_plain"],
    )
    for name, value, needed in (
        ("rest_certificate", rest.certificate, rest.key),
        ("rest_key", rest.key, rest.certificate),
        ("rest_client_ca", rest.client_ca, rest.certificate),
    ):
        if value and not needed:
            others = "rest_key" if name == "rest_certificate" else "rest_certificate"
            raise _error(conf, GROUP, f"{name} = {value}: is nothing without {others}")
    return rest


def _etcd_settings(conf: cfg.ConfigOpts, common: dict[str, Any]) -> dict[str, str | None]:
    names = ("ca", "certificate", "key", "username", "password_file")
    etcd = {name: common[f"etcd_{name}"] for name in names}
    for pair in (("certificate", "key"), ("username", "password_file")):
        for given, needed in (pair, pair[::-1]):
            if etcd[given] and not etcd[needed]:
                complaint = f"etcd_{given} = {etcd[given]}: is nothing without etcd_{needed}"
                raise _error(conf, GROUP, complaint)
    return etcd


# Section -> option -> the values written for it, as oslo.config's parser gives them.
_Written = dict[str, dict[str, list[str]]]


def _written(conf: cfg.ConfigOpts) -> _Written:
    """What the files say, the last of them prevailing."""
    sections: _Written = {}
    for file in conf.config_file or ():
        of_file: _Written = {}
        cfg.ConfigParser(file, of_file).parse()
        for name, options in of_file.items():
            sections.setdefault(name, {}).update(options)
    return sections


def _require_known(
    conf: cfg.ConfigOpts, written: _Written, section: str, options: list[cfg.Opt]
) -> None:
    """Raise SettingsError for an option that does not exist: it would go unnoticed."""
    known = {option.dest for option in options}
    for name in written.get(section, {}):
        if name not in known:
            hint = _did_you_mean(name, known)
            raise _error(conf, section, f"{name}: there is no such option{hint}")


def _require_sections(conf: cfg.ConfigOpts, written: _Written) -> None:
    """Raise SettingsError for a section that is nearly one of ours: it would go unnoticed.

    Others may be of Ryu, or of what is loaded beside us.
    """
    ours = (GROUP, SERVER_GROUP)
    for section in written:
        if section not in ours and (hint := _did_you_mean(section, ours)):
            raise _error(conf, section, f"there is no such section{hint}")


def _require_defaults(conf: cfg.ConfigOpts, written: _Written) -> None:
    """Raise SettingsError for an option of [DEFAULT] that is nearly one that matters here. Written
    with the hyphens of the command line it would go unnoticed too."""
    for name in written.get("DEFAULT", {}):
        hint = _did_you_mean(name.replace("-", "_"), RYU_OPTIONS, 0.85)
        if name not in RYU_OPTIONS and hint:
            raise _error(conf, "DEFAULT", f"{name}: there is no such option{hint}")


def _did_you_mean(name: str, known: Iterable[str], likeness: float = 0.75) -> str:
    """Words that lead from a name that was misspelt to the one that was meant; none without."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=likeness)
    return f"; did you mean {close[0]}?" if close else ""


def _values(
    conf: cfg.ConfigOpts, written: _Written, section: str, options: list[cfg.Opt]
) -> dict[str, Any]:
    """The values of a section's registered options by name."""
    values = {}
    for option in options:
        try:
            values[option.dest] = conf[section][option.dest]
        except cfg.Error as error:
            value = ", ".join(written.get(section, {}).get(option.dest, ["(default)"]))
            # The cause says what is wrong, without oslo.config's account of where it looked.
            reason = error.__context__ or error
            raise _error(conf, section, f"{option.name} = {value}: {reason}") from error
    return values


def _bridges(
    conf: cfg.ConfigOpts, written: _Written, common: dict[str, Any]
) -> Iterator[tuple[int, BridgeSettings]]:
    """The settings of each `[bridge:DPID]`; what it does not set is as in [metadata]."""
    for section in conf.list_all_sections():
        if not section.startswith("bridge"):
            continue
        named = _BRIDGE_SECTION.fullmatch(section)
        if named is None:
            raise _error(conf, section, "is not [bridge:<dpid as 16 hex digits>]")
        _require_known(conf, written, section, BRIDGE_OPTIONS)
        conf.register_opts(BRIDGE_OPTIONS, section)
        for option in BRIDGE_OPTIONS:
            conf.set_default(option.dest, common[option.dest], section)
        values = _values(conf, written, section, BRIDGE_OPTIONS)
        yield int(named[1], 16), _bridge_settings(conf, section, values)


def _bridge_settings(conf: cfg.ConfigOpts, section: str, values: dict[str, Any]) -> BridgeSettings:
    try:
        return BridgeSettings(
            addressing=Addressing(values["hv_local_subnet"], values["zone_base"]),
            metadata_ip=values["metadata_ip"],
            metadata_port=values["metadata_port"],
            meta_port_name=values["meta_port_name"],
            pipeline=Pipeline(values["pipeline"]),
            tables=Tables(
                values["arp_responder_table"],
                values["classifier_table"],
                values["l2_rewrite_table"],
                values["forwarding_table"],
            ),
            cookie=CookieMark(values["cookie"]),
            droplet_port_names=tuple(values["droplet_port_names"]),
            meter_pps=values["meter_pps"],
            meter_burst=values["meter_burst"],
        )
    except ValueError as error:
        raise _error(conf, section, str(error)) from error


def _error(conf: cfg.ConfigOpts, section: str, complaint: str) -> SettingsError:
    files = ", ".join(conf.config_file or []) or "no configuration file"
    return SettingsError(f"[{section}] {complaint} (in {files})")
