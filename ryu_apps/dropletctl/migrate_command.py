"""`dropletctl migrate`: the registry from one store to another, with no controller in between."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ryu_apps.dropletctl import audit, show
from ryu_apps.dropletctl.connection import SetupError, etcd_login
from ryu_apps.dropletctl.options import Failure, config_file, given, json_output


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_output
@config_file
@click.pass_context
def migrate(context: click.Context, source: str, target: str, as_json: bool) -> None:
    """Copy the registry at FROM to TO, each a registry_url: sqlite:///PATH or
    etcd://HOST:PORT,HOST:PORT/PREFIX. etcd's login is that of the configuration file. No controller
    may have either open. FROM is only read; at TO nothing is replaced in etcd, and an SQLite file
    is kept under another name.

    TO is compared with FROM and only then becomes a registry that controllers open. Broken off, it
    goes on when it is called again. Then set registry_url, and start the controllers."""
    with warnings.catch_warnings():
        # eventlet's, on its own future.
        warnings.simplefilter("ignore")
        # Imported here: nobody else of us opens a registry.
        from ryu_apps.store import EtcdLogin, StoreRefused
        from ryu_apps.store import migrate as migrate_store
        from ryu_apps.store.interface import StoreError

        try:
            login = EtcdLogin(**etcd_login(given(context).config_file))
            with progress_bar() as progress:
                done = migrate_store(source, target, login, progress)
            audit.tell(
                given(context).config_file,
                action="migrate",
                registry=target,
                file=source,
                droplets=done.droplets,
            )
        except (SetupError, StoreRefused, StoreError) as error:
            raise Failure(str(error)) from error
        except OSError as error:
            raise Failure(f"done, but the audit log does not have it: {error}") from error
    if as_json:
        kept = None if done.kept is None else str(done.kept)
        show.print_json({"droplets": done.droplets, "written": done.written, "kept": kept})
        return
    click.echo(f"{target}: {done.droplets} droplets, {done.written} of them written now; compared")
    if done.kept is not None:
        click.echo(f"what was there is kept as {done.kept}")


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, if that is a terminal, which what is yielded moves."""
    error = sys.stderr
    with click.progressbar(length=1, show_pos=True, file=error, hidden=not error.isatty()) as bar:

        def move(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield move
