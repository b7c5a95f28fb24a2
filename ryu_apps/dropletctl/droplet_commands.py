"""The commands about droplets: put, get, list, delete, import, maintenance."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import click

from ryu_apps.dropletctl import show
from ryu_apps.dropletctl.documents import (
    BadFile,
    Batch,
    Entry,
    batches,
    read_document,
    read_entries,
)
from ryu_apps.dropletctl.kinds import MAX_DROPLET_ID, DropletId
from ryu_apps.dropletctl.options import (
    Failure,
    connection,
    controller,
    json_output,
)

if TYPE_CHECKING:
    from ovs_metadata_client import BatchCounts, Client, Refused

_ID = DropletId()
_TEXT_FILE = click.File("r", encoding="utf-8")


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[ID] FILE")
@click.option("--if-new", is_flag=True, help="Only if the droplet is not registered yet.")
@click.option("--if-match", metavar="ETAG", help="Only if the droplet still has this ETag.")
@json_output
@connection
@click.pass_context
def put(
    context: click.Context,
    words: tuple[str, ...],
    if_new: bool,
    if_match: str | None,
    as_json: bool,
) -> None:
    """Register a droplet, or replace its registration, by the JSON document in FILE (- is
    standard input). The ID may be left out where the document names it."""
    droplet_id, file = _id_and_file(context, words)
    text, document = _read(file)
    if droplet_id is None:
        droplet_id = _id_of(document, file)
    with controller(context) as client:
        # As it was written: what is odd about it is for the controller to see.
        done = client.put_droplet(droplet_id, text.encode(), if_new=if_new, if_match=if_match)
    if as_json:
        show.print_json({"created": done.created, "etag": done.etag, "droplet": done.droplet})
        return
    click.echo(f"droplet {droplet_id} {'registered' if done.created else 'replaced'}")


@click.command()
@click.argument("droplet_id", metavar="ID", type=_ID)
@json_output
@connection
@click.pass_context
def get(context: click.Context, droplet_id: int, as_json: bool) -> None:
    """Print a droplet's registration as JSON, with --json or without, as `put` takes it."""
    del as_json  # There is no other form.
    with controller(context) as client:
        show.print_json(client.get_droplet(droplet_id).droplet)


@click.command("list")
@click.option("--tag", help="Only droplets with this tag.")
@click.option("--region", help="Only droplets of this region.")
@json_output
@connection
@click.pass_context
def list_(context: click.Context, tag: str | None, region: str | None, as_json: bool) -> None:
    """List the registered droplets, all of them. With --json a document a line, which `import`
    takes."""
    with controller(context) as client:
        found = client.droplets(tag=tag, region=region)
        if not as_json:
            show.droplets(found)
            return
        for document in found:
            show.print_json_line(document)


@click.command()
@click.argument("droplet_id", metavar="ID", type=_ID)
@click.option("--if-match", metavar="ETAG", help="Only if the droplet still has this ETag.")
@json_output
@connection
@click.pass_context
def delete(context: click.Context, droplet_id: int, if_match: str | None, as_json: bool) -> None:
    """Remove a droplet's registration."""
    with controller(context) as client:
        client.delete_droplet(droplet_id, if_match=if_match)
    if as_json:
        show.print_json({"removed": droplet_id})
        return
    click.echo(f"droplet {droplet_id} removed")


@click.command("import")
@click.argument("file", type=_TEXT_FILE)
@click.option(
    "--batch",
    "size",
    type=click.IntRange(1, 100_000),
    metavar="N",
    default=1000,
    show_default=True,
    help="Droplets in one transaction: all of them are registered, or none.",
)
@json_output
@connection
@click.pass_context
def import_(context: click.Context, file: TextIO, size: int, as_json: bool) -> None:
    """Register the droplets in FILE, which has a JSON document on each line or is one JSON array
    of them. Stops at the first batch that is refused, with every fault in it. After that, or an
    interruption, import the whole again: repeating what is registered does no harm."""
    total = {"droplets": 0, "created": 0, "replaced": 0}
    # The whole file first: one that breaks off in the middle registers nothing.
    count, entries = _entries(file)
    with controller(context) as client, _bar(count) as bar:
        for counts in _register(client, batches(entries, size), total):
            _add(total, counts)
            bar.update(counts["droplets"])
    if as_json:
        show.print_json(total)
        return
    click.echo("{droplets} droplets: {created} new, {replaced} replaced".format(**total))


@click.command()
@click.argument("droplet_id", metavar="ID", type=_ID)
@click.option("--set", "event", metavar="EVENT", help="Announce this event: live_migrate.")
@click.option("--clear", is_flag=True, help="Announce none any more.")
@json_output
@connection
@click.pass_context
def maintenance(
    context: click.Context, droplet_id: int, event: str | None, clear: bool, as_json: bool
) -> None:
    """Print the maintenance event announced to a droplet, which finds it at
    /v1/maintenance_event; with --set announce one, with --clear call it off."""
    if event is not None and clear:
        raise click.UsageError("--set or --clear, not both", context)
    with controller(context) as client:
        if event is not None:
            client.announce_maintenance(droplet_id, event)
        elif clear:
            client.call_off_maintenance(droplet_id)
        else:
            event = client.maintenance(droplet_id)
    if as_json:
        show.print_json({"event": event})
        return
    told = f"maintenance {event} is announced" if event else "no maintenance is announced"
    click.echo(f"droplet {droplet_id}: {told}")


def _register(
    client: "Client", pending: Iterable[Batch], total: Mapping[str, int]
) -> Iterator["BatchCounts"]:
    """Have the batches registered in order; what each did. `total` counts what was."""
    from ovs_metadata_client import Refused

    sent: deque[Batch] = deque()

    def texts() -> Iterator[list[bytes]]:
        for batch in pending:
            sent.append(batch)
            yield [entry.text for entry in batch.entries]

    try:
        for counts in client.put_batches(texts()):
            sent.popleft()
            yield counts
    except Refused as error:
        raise Failure(_why(error, sent[0], total["droplets"])) from error
    except KeyboardInterrupt:
        place = sent[0].span if sent else "the end"
        raise Failure(
            f"interrupted at {place}. The {total['droplets']} droplets before it are registered, "
            "what was under way from there on perhaps; import the whole again"
        ) from None


def _why(error: "Refused", batch: Batch, before: int) -> str:
    """What was refused, each fault by its place in the file, and what is registered now."""
    from ryu_apps.dropletctl.explain import fault_line

    lines = [f"{batch.span}: {error.detail or error.title} ({error.status})"]
    for fault in error.faults:
        line = fault.get("line")
        place = f"  {batch.entries[line - 1].place}:" if line else ""
        lines.append(f"{place}{fault_line(fault)[1 if line else 0 :]}")
    return "\n".join([*lines, _so_far(before)])


def _so_far(registered: int) -> str:
    if not registered:
        return "Nothing was registered."
    return f"The {registered} droplets before it are registered, nothing from there on is."


def _add(total: dict[str, int], counts: "BatchCounts") -> None:
    for name in total:
        total[name] += counts[name]  # type: ignore[literal-required]


def _bar(total: int) -> Any:
    """A progress bar on standard error, if that is a terminal."""
    error = click.get_text_stream("stderr")
    return click.progressbar(length=total, show_pos=True, file=error, hidden=not error.isatty())


def _entries(file: TextIO) -> tuple[int, Iterable[Entry]]:
    """How many documents the file has, and they: read once more as they are asked for, so that
    not all are held, if the file can be."""
    try:
        if not file.seekable():
            entries = list(read_entries(file))
            return len(entries), entries
        begin = file.tell()
        count = sum(1 for _ in read_entries(file))
        file.seek(begin)
        return count, read_entries(file)
    except (BadFile, UnicodeDecodeError) as error:
        raise Failure(f"{file.name}: {error}; nothing was registered") from error


def _id_and_file(context: click.Context, words: tuple[str, ...]) -> tuple[int | None, TextIO]:
    """The two forms of `put`: ID FILE and FILE."""
    if len(words) > 2:
        raise click.UsageError("one droplet at a time: [ID] FILE (many: import FILE)", context)
    parameter = next(p for p in context.command.params if p.name == "words")
    droplet_id = int(_ID(words[0], parameter, context)) if len(words) == 2 else None
    return droplet_id, _TEXT_FILE(words[-1], parameter, context)


def _read(file: TextIO) -> tuple[str, dict[str, Any]]:
    """A file's text, and the document that it is."""
    try:
        text = file.read()
        return text, read_document(text)
    except (BadFile, UnicodeDecodeError) as error:
        raise Failure(f"{file.name}: {error}") from error


def _id_of(document: dict[str, Any], file: TextIO) -> int:
    droplet_id = document.get("droplet_id")
    if isinstance(droplet_id, int) and 1 <= droplet_id <= MAX_DROPLET_ID:
        return droplet_id
    raise Failure(f"{file.name} names no droplet_id (1 to {MAX_DROPLET_ID}); give it as ID")
