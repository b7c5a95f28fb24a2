"""packaging/ovs-metadata.conf: every option of both processes, with what it is for and its default.

Written by docs/generate.py from the tables of options. What is set there, and why, is said here.
"""

import textwrap
from collections.abc import Iterable, Iterator

from oslo_config import cfg

import metadata_http.settings
import ryu_apps.settings

_HEAD = """\
# Controller and metadata server of one hypervisor. What is commented out is as it is by default;
# what is not is how the package's units have it. Where one switch differs, a section
# [bridge:<dpid as 16 hex digits>] says so.
# After a change: systemctl restart ovs-metadata-controller metadata-http
"""

# Ryu's own, of which there are more: ryu-manager --help.
_RYU = (
    ("ofp_listen_host", "127.0.0.1", "Where switches connect; by default on every address."),
    ("ofp_tcp_listen_port", "6653", "The port for switches without TLS; by default 6653 and 6633."),
    ("wsapi_host", "127.0.0.1", "Where REST listens. On any other address than loopback with TLS."),
)
_RYU_DEFAULTS = (
    ("ofp_ssl_listen_port", "6653", "The port for switches with TLS, instead of the one above."),
    ("ctl_cert", "", "PEM file with the certificate to show to switches. With it comes TLS."),
    ("ctl_privkey", "", "PEM file with its key."),
    ("ca_certs", "", "PEM file of authorities; without it any switch that speaks TLS is taken."),
    ("wsapi_port", "8080", "The port of REST."),
)

SET = {
    "metadata_http": {
        "tokens_file": "/var/lib/metadata-http/token",
        "snapshot_file": "/var/lib/metadata-http/snapshot",
    },
}
"""What is set, by section: the server has a folder of its own, and of the tokens its own only."""


def example_config() -> str:
    """The file's text."""
    controller = (ryu_apps.settings.GROUP, ryu_apps.settings.OPTIONS)
    server = (metadata_http.settings.GROUP, metadata_http.settings.OPTIONS)
    lines = [*_HEAD.splitlines(), "", "[DEFAULT]"]
    for name, value, text in _RYU:
        lines += ["", *_comment(text), f"{name} = {value}"]
    for name, value, text in _RYU_DEFAULTS:
        lines += ["", *_comment(text), f"#{name} = {value}".rstrip()]
    for group, options in (controller, server):
        lines += ["", "", f"[{group}]", *_section(options, SET.get(group, {}))]
    return "\n".join(lines) + "\n"


def _section(options: Iterable[cfg.Opt], given: dict[str, str]) -> Iterator[str]:
    for option in options:
        choices = getattr(option.type, "choices", None)
        text = option.help + (f" One of {', '.join(map(str, choices))}." if choices else "")
        yield from ("", *_comment(text))
        if option.name in given:
            yield f"{option.name} = {given[option.name]}"
        else:
            yield f"#{option.name} = {_written(option.default)}".rstrip()


def _comment(text: str) -> list[str]:
    mark = {"initial_indent": "# ", "subsequent_indent": "# "}
    return textwrap.wrap(text.replace("`", ""), 98, **mark, break_long_words=False)


def _written(default: object) -> str:
    if isinstance(default, list):
        return ", ".join(map(str, default))
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else str(default)
