"""Where registered droplets are kept durably: one interface (`interface.py`), its backends.

Shell: files, databases and locks live here. Every call may block for as long as the disk takes;
callers on a green thread hand them to a thread.
"""

from urllib.parse import unquote, urlsplit

from ryu_apps.store.interface import Store, StoreRefused
from ryu_apps.store.sqlite import SqliteStore

__all__ = ["Store", "StoreRefused", "open_store"]


def open_store(registry_url: str) -> Store:
    """Open the store that `registry_url` names; `sqlite:///PATH`, the path always absolute.

    `sqlite:////var/lib/x.db` and `sqlite:///var/lib/x.db` name the same file. Raises
    `StoreRefused` with a sentence for the operator where it cannot be had.
    """
    url = urlsplit(registry_url)
    if url.scheme != "sqlite":
        raise StoreRefused(f"registry_url {registry_url!r}: sqlite:///PATH is what there is")
    if url.netloc or url.query or url.fragment or not url.path.strip("/"):
        raise StoreRefused(f"registry_url {registry_url!r}: write it sqlite:///PATH")
    return SqliteStore("/" + unquote(url.path).lstrip("/"))
