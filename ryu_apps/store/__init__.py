"""Where registered droplets are kept durably: one interface (`interface.py`), its backends.

Shell: files, databases and locks live here. Every call may block for as long as the disk takes;
callers on a green thread hand them to a thread.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from ryu_apps.store import sqlite_copy
from ryu_apps.store.etcd.values import NO_LOGIN, EtcdLogin, etcd_access
from ryu_apps.store.interface import Migrated, Store, StoreRefused
from ryu_apps.store.sqlite_copy import Restored

__all__ = [
    "EtcdLogin",
    "Migrated",
    "Restored",
    "Store",
    "StoreRefused",
    "check_backup",
    "migrate",
    "open_store",
    "restore",
]


def open_store(registry_url: str, login: EtcdLogin = NO_LOGIN) -> Store:
    """Open the store that `registry_url` names.

    `sqlite:///PATH`, the path always absolute: `sqlite:////var/lib/x.db` and
    `sqlite:///var/lib/x.db` name the same file. `etcd://HOST:PORT,HOST:PORT/PREFIX`, which `login`
    lets us into. Raises `StoreRefused` with a sentence for the operator where it cannot be had.
    """
    # Imported here: `dropletctl restore` opens no store, and eventlet speaks up when imported.
    if _is_etcd(registry_url):
        return _etcd(registry_url).EtcdStore(etcd_access(registry_url, login))
    from ryu_apps.store.sqlite import SqliteStore

    return SqliteStore(_path(registry_url))


def migrate(
    source_url: str,
    target_url: str,
    login: EtcdLogin = NO_LOGIN,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Migrated:
    """Copy the registry that one URL names to where another does, while no controller has either.

    `progress` is told how many droplets were written, and how many there are. In etcd a migration
    replaces no registry; an SQLite one is kept under another name. Done again after it was broken
    off, it goes on. Raises `StoreRefused` or another `StoreError`; then the target is no registry
    that a controller opens.
    """
    from ryu_apps.store.migrate import SqliteTarget, migrate

    if source_url.rstrip("/") == target_url.rstrip("/"):
        raise StoreRefused(f"{source_url}: is the source and the target")
    source = open_store(source_url, login)
    try:
        if _is_etcd(source_url):
            source.life.require_idle()  # type: ignore[attr-defined]
        if _is_etcd(target_url):
            target = _etcd(target_url).EtcdTarget(etcd_access(target_url, login))
        else:
            target = SqliteTarget(_path(target_url))
        return migrate(source, target, progress)
    finally:
        source.close()


def _is_etcd(registry_url: str) -> bool:
    return urlsplit(registry_url).scheme == "etcd"


def _etcd(registry_url: str) -> ModuleType:
    """The module of etcd's store: a registry in SQLite needs no etcd3gw. Raises StoreRefused."""
    try:
        return importlib.import_module("ryu_apps.store.etcd.store")
    except ModuleNotFoundError as error:
        raise StoreRefused(
            f"registry_url {registry_url!r}: needs {error.name}: pip install ovs-metadata[etcd]"
        ) from error


def check_backup(file: Path) -> None:
    """Raise `StoreRefused` unless the file is a sound copy of a registry that we can restore."""
    sqlite_copy.check(file)


def restore(registry_url: str, backup: Path) -> Restored:
    """Make the store that `registry_url` names a copy of `backup`, while no controller has it open.

    What is there is kept under another name. Raises `StoreRefused`; then nothing has changed.
    """
    if _is_etcd(registry_url):
        raise StoreRefused(
            f"registry {registry_url}: is restored with etcdctl snapshot restore, with an "
            "--initial-cluster-token that was not used before"
        )
    return sqlite_copy.restore(backup, _path(registry_url))


def _path(registry_url: str) -> Path:
    url = urlsplit(registry_url)
    if url.scheme != "sqlite":
        raise StoreRefused(
            f"registry_url {registry_url!r}: sqlite:///PATH or etcd://HOST:PORT/PREFIX"
        )
    if url.netloc or url.query or url.fragment or not url.path.strip("/"):
        raise StoreRefused(f"registry_url {registry_url!r}: write it sqlite:///PATH")
    return Path("/" + unquote(url.path).lstrip("/"))
