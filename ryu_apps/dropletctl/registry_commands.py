"""The commands about the registry as a whole: backup, from a running controller, and restore.

`restore` works on the controller's own files, the only command that does, for where it is needed
there may be no controller that starts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from ryu_apps.dropletctl import audit, show
from ryu_apps.dropletctl.connection import SetupError, registry_url
from ryu_apps.dropletctl.options import (
    Failure,
    config_file,
    connection,
    controller,
    given,
    json_output,
)

_PATH = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_PATH)
@json_output
@connection
@click.pass_context
def backup(context: click.Context, file: Path, as_json: bool) -> None:
    """Write a copy of the controller's registry, as of one moment, to FILE, which must not be there
    yet. The controller goes on meanwhile. FILE holds what droplets' metadata holds, secrets
    included; it is readable by you alone."""
    with _new_file(file) as (unfinished, sink):
        with controller(context) as client:
            client.backup(sink)
        sink.flush()
        os.fsync(sink.fileno())
        _check(unfinished)
    size = file.stat().st_size
    if as_json:
        show.print_json({"file": str(file), "bytes": size})
        return
    click.echo(f"{file}: the registry as of now, {size} bytes, checked")


@click.command()
@click.argument("file", type=_PATH)
@json_output
@config_file
@click.pass_context
def restore(context: click.Context, file: Path, as_json: bool) -> None:
    """Make the registry on this host a copy of the backup FILE. The controller must not run. What
    is there, damaged or not, is kept beside it under another name.

    Metadata servers may go on running: they take the restored droplets for news."""
    # Imported here: nobody else of us opens a registry.
    from ryu_apps.store import StoreRefused
    from ryu_apps.store import restore as restore_store

    options = given(context)
    try:
        url = registry_url(options.config_file)
        done = restore_store(url, file)
        audit.tell(
            options.config_file, action="restore", registry=url, file=file, droplets=done.droplets
        )
    except (SetupError, StoreRefused) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"done, but the audit log does not have it: {error}") from error
    if as_json:
        kept = None if done.kept is None else str(done.kept)
        show.print_json({"registry": str(done.path), "droplets": done.droplets, "kept": kept})
        return
    click.echo(f"{done.path}: restored, {done.droplets} droplets")
    if done.kept is not None:
        click.echo(f"what was there is kept as {done.kept}")


@contextmanager
def _new_file(file: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file that gets its name when the body has ended well, and never another's."""
    if file.exists():
        raise Failure(f"{file} is there already; a backup replaces nothing")
    unfinished = file.with_name(file.name + ".part")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        with os.fdopen(descriptor, "wb") as sink:
            yield unfinished, sink
        # A rename would replace what somebody else put there meanwhile.
        os.link(unfinished, file)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _check(file: Path) -> None:
    from ryu_apps.store import StoreRefused, check_backup

    try:
        check_backup(file)
    except StoreRefused as error:
        raise Failure(f"the copy that came is no good, it was not kept: {error}") from error
