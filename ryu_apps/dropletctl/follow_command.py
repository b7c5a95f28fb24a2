"""The command follow-ovsdb: registers droplets by what the switch's database says of interfaces."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from sdnotify import SystemdNotifier

from ovs_metadata_logs.lines import visible
from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.connection import configured
from ryu_apps.dropletctl.options import Failure, connection, controller, given, json_output

if TYPE_CHECKING:
    from ryu_apps.dropletctl.ovsdb_source.interfaces import Interfaces

_USUAL = "unix:/var/run/openvswitch/db.sock"
_LOOK_AGAIN = 10.0
"""Seconds after which registrations and files are looked at anew without news of the database."""
_TRY_AGAIN = 1.0
_ONCE_PATIENCE = 30.0


@click.command("follow-ovsdb")
@click.option("--db", metavar="SERVER", help="The Open vSwitch database, as ovs-vsctl takes it.")
@click.option(
    "--documents",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where ID.json is the rest of droplet ID's document, if it is there.",
)
@click.option(
    "--owner",
    metavar="NAME",
    help="What registrations made here are tagged with.  [the database's system-id]",
)
@click.option("--once", is_flag=True, help="Do what there is to do now, then end.")
@json_output
@connection
@click.pass_context
def follow_ovsdb(
    context: click.Context,
    db: str | None,
    documents: Path | None,
    owner: str | None,
    once: bool,
    as_json: bool,
) -> None:
    """Register a droplet for each droplet-id in the external_ids of the switch's interfaces, with
    their attached-mac, and remove it when its interfaces are gone. Runs until it is told to end.

    What somebody else registered is left alone and told of; with --once the exit status is 1 then.
    """
    from ryu_apps.dropletctl.ovsdb_source.interfaces import Interfaces

    remote = _database(context, db)
    interfaces = Interfaces(remote)
    tell = show.print_json_line if as_json else _tell

    def bring_about() -> list[str]:
        return _bring_about(context, interfaces, documents, owner, tell)

    if not once:
        _follow(interfaces, bring_about)
    if not interfaces.wait(_ONCE_PATIENCE):
        raise Failure(f"no answer from the database {remote}")
    if troubles := bring_about():
        raise Failure("\n".join(troubles))


def _follow(interfaces: "Interfaces", bring_about: Callable[[], list[str]]) -> NoReturn:
    told: list[str] = []
    pause = _LOOK_AGAIN
    while True:
        interfaces.wait(pause)
        if not interfaces.is_known:
            pause = _TRY_AGAIN
            troubles = ["waiting for the database of Open vSwitch"]
        else:
            _tell_ready()
            try:
                troubles, pause = bring_about(), _LOOK_AGAIN
            except Failure as error:
                troubles, pause = [error.message], _TRY_AGAIN
        for trouble in troubles:
            if trouble not in told:
                click.echo(visible(trouble), err=True)
        told = troubles


def _bring_about(
    context: click.Context,
    interfaces: "Interfaces",
    documents: Path | None,
    owner: str | None,
    tell: Callable[[dict[str, Any]], None],
) -> list[str]:
    """One pass; what could not be done. Raises Failure where the controller cannot be asked."""
    from ryu_apps.dropletctl.ovsdb_source.registrations import Registrations
    from ryu_apps.dropletctl.ovsdb_source.wanted import wanted

    name = owner or interfaces.system_id()
    if name is None:
        raise Failure("the database has no external_ids:system-id; give --owner")
    rows = interfaces.droplets()
    files, bad = _files(documents, (row.external_ids["droplet-id"] for row in rows))
    found = wanted(rows, files, name)
    with controller(context) as client:
        registrations = Registrations(client, name, tell)
        return [*bad, *found.complaints, *registrations.bring_about(found.documents)]


def _tell(done: dict[str, Any]) -> None:
    click.echo("droplet {droplet_id} {done}".format(**done))


def _files(folder: Path | None, ids: Iterable[str]) -> tuple[dict[int, Any], list[str]]:
    """The documents' rests by droplet id, None for one of no use, and what is wrong with it."""
    files: dict[int, Any] = {}
    bad: list[str] = []
    if folder is None:
        return files, bad
    # Only what is an id becomes the name of a file.
    for droplet_id in {int(each) for each in ids if each.isascii() and each.isdigit()}:
        file = folder / f"{droplet_id}.json"
        try:
            document = json.loads(file.read_text("utf-8"))
            if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), dict):
                raise ValueError("it, and its metadata, must be JSON objects")
            files[droplet_id] = document
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            files[droplet_id] = None
            bad.append(f"{file}: {error}; droplet {droplet_id} stays as it is")
    return files, bad


def _database(context: click.Context, db: str | None) -> str:
    if db:
        return db
    if folder := os.environ.get("OVS_RUNDIR"):
        return f"unix:{folder}/db.sock"
    configuration = configured(given(context).config_file)
    return configuration.settings.ovsdb if configuration else _USUAL


_said_ready = False


def _tell_ready() -> None:
    """Tell the service manager, once, that the database was read."""
    global _said_ready
    if not _said_ready and "NOTIFY_SOCKET" in os.environ:
        SystemdNotifier(debug=True).notify("READY=1")
    _said_ready = True
