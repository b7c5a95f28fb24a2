"""Where registered droplets are kept durably: one interface (`interface.py`), its backends.

Shell: files, databases and locks live here. Every call may block for as long as the disk takes;
callers on a green thread hand them to a thread.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ryu_apps.store import sqlite_copy
from ryu_apps.store.interface import Store, StoreRefused
from ryu_apps.store.sqlite_copy import Restored

__all__ = ["Restored", "Store", "StoreRefused", "check_backup", "open_store", "restore"]


def open_store(registry_url: str) -> Store:
    """Open the store that `registry_url` names; `sqlite:///PATH`, the path always absolute.

    `sqlite:////var/lib/x.db` and `sqlite:///var/lib/x.db` name the same file. Raises
    `StoreRefused` with a sentence for the operator where it cannot be had.
    """
    # Imported here: `dropletctl restore` opens no store, and eventlet speaks up when imported.
    from ryu_apps.store.sqlite import SqliteStore

    return SqliteStore(_path(registry_url))


def check_backup(file: Path) -> None:
    """Raise `StoreRefused` unless the file is a sound copy of a registry that we can restore."""
    sqlite_copy.check(file)


def restore(registry_url: str, backup: Path) -> Restored:
    """Make the store that `registry_url` names a copy of `backup`, while no controller has it open.

    What is there is kept under another name. Raises `StoreRefused`; then nothing has changed.
    """
    return sqlite_copy.restore(backup, _path(registry_url))


def _path(registry_url: str) -> Path:
    url = urlsplit(registry_url)
    if url.scheme != "sqlite":
        raise StoreRefused(f"registry_url {registry_url!r}: sqlite:///PATH is what there is")
    if url.netloc or url.query or url.fragment or not url.path.strip("/"):
        raise StoreRefused(f"registry_url {registry_url!r}: write it sqlite:///PATH")
    return Path("/" + unquote(url.path).lstrip("/"))
