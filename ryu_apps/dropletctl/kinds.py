"""Kinds of arguments that several commands take: droplet ids and dpids, and their completion."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from ryu_apps.dropletctl.connection import SetupError, find
from ryu_apps.dropletctl.options import given

if TYPE_CHECKING:
    from ovs_metadata_client import Client

MAX_DROPLET_ID = 2**32 - 1

_SECONDS = 1.0
"""How long somebody who pressed Tab is kept waiting."""

_MOST = 50
"""Ids worth showing."""


class DropletId(click.IntRange):
    """The id of a droplet."""

    name = "droplet id"

    def __init__(self) -> None:
        super().__init__(1, MAX_DROPLET_ID)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The registered droplets whose id begins so, with their names."""
        return _asked(ctx, lambda client: _droplets(client, incomplete))


class Dpid(click.ParamType):
    """A dpid as Open vSwitch writes it: 16 hex digits, perhaps with 0x before them."""

    name = "dpid"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The digits alone, lower case; a usage error for anything else."""
        digits = value.lower().removeprefix("0x").zfill(16)
        if len(digits) != 16 or not set(digits) <= set("0123456789abcdef"):
            self.fail(f"{value!r} is not 16 hex digits", param, ctx)
        return digits

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The switches whose dpid begins so, with their states."""

        def dpids(client: "Client") -> Iterator[CompletionItem]:
            for switch in client.switches():
                if switch["dpid"].startswith(incomplete.lower()):
                    yield CompletionItem(switch["dpid"], help=switch["state"])

        return _asked(ctx, dpids)


def ranges(prefix: str) -> list[range]:
    """The ids whose decimal digits begin with `prefix`, in the order of their lengths."""
    if not prefix:
        return [range(1, MAX_DROPLET_ID + 1)]
    if not (prefix.isascii() and prefix.isdigit()) or prefix.startswith("0"):
        return []
    first = int(prefix)
    found = []
    while first <= MAX_DROPLET_ID:
        width = 10 ** (len(str(first)) - len(prefix))
        found.append(range(first, min(first + width, MAX_DROPLET_ID + 1)))
        first *= 10
    return found


def _droplets(client: "Client", prefix: str) -> Iterator[CompletionItem]:
    for ids in ranges(prefix):
        for document in client.page(limit=_MOST, after=ids.start - 1)["droplets"]:
            droplet_id = document["droplet_id"]
            if droplet_id not in ids:
                break
            hostname = document.get("metadata", {}).get("hostname")
            # A name may hold what the shell's script takes for its own separators.
            text = hostname if isinstance(hostname, str) and hostname.isprintable() else None
            yield CompletionItem(str(droplet_id), help=text)


def _asked(
    context: click.Context, ask: Callable[["Client"], Iterable[CompletionItem]]
) -> list[CompletionItem]:
    """What the controller the options point at says; nothing where it cannot be asked."""
    from ovs_metadata_client import Client, ClientError

    with suppress(ClientError, SetupError):
        place = find(given(context))
        with Client(place.url, place.token, retries=0, timeout=_SECONDS, tls=place.tls) as client:
            return list(ask(client))
    return []
