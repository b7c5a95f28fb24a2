"""Values that are asked of an etcd cluster and come back from it. Pure; `gateway.py` speaks them.

Keys are relative to the registry's prefix; revisions are etcd's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ryu_apps.store.interface import StoreRefused

CLIENT_PORT = 2379
"""Where etcd listens unless told otherwise."""

# etcd takes as many operations in a transaction by default (--max-txn-ops) ...
MAX_OPERATIONS = 128
# ... and so many bytes in a request (--max-request-bytes), less what surrounds the values.
MAX_BYTES = (3 << 19) - (16 << 10)


class TooLarge(Exception):
    """etcd does not take a request of this size."""


@dataclass(frozen=True, slots=True)
class EtcdLogin:
    """How we show ourselves to etcd, and what it has to show us.

    Paths of PEM files, TLS where `ca` is given; `certificate` and `key` come together, as do
    `username` and `password_file`.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    username: str | None = None
    password_file: str | None = None


NO_LOGIN = EtcdLogin()


@dataclass(frozen=True, slots=True)
class Access:
    """Where a registry in etcd is and how one gets in. `prefix` ends in a slash."""

    endpoints: tuple[tuple[str, int], ...]
    prefix: str
    login: EtcdLogin = NO_LOGIN

    @property
    def shown(self) -> str:
        """For the operator's eye."""
        nodes = ",".join(f"{host}:{port}" for host, port in self.endpoints)
        return f"etcd://{nodes}/{self.prefix.rstrip('/')}"


def etcd_access(url: str, login: EtcdLogin = NO_LOGIN) -> Access:
    """What `etcd://HOST:PORT,HOST:PORT/PREFIX` names. Raises StoreRefused."""
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if not prefix or parts.query or parts.fragment:
        raise StoreRefused(f"registry_url {url!r}: write it etcd://HOST:PORT,HOST:PORT/PREFIX")
    return Access(tuple(_endpoints(url, parts.netloc)), f"{prefix}/", login)


def _endpoints(url: str, netloc: str) -> Iterator[tuple[str, int]]:
    for place in netloc.split(","):
        try:
            # Of its own, as the brackets of an IPv6 address are the parser's to know.
            node = urlsplit(f"//{place}")
            host, port = node.hostname, node.port or CLIENT_PORT
        except ValueError as error:
            raise StoreRefused(f"registry_url {url!r}: {place!r}: {error}") from error
        if not host or "@" in place:
            raise StoreRefused(
                f"registry_url {url!r}: {place!r} is not HOST:PORT; a name and password are "
                "etcd_username and etcd_password_file"
            )
        yield host, port


@dataclass(frozen=True, slots=True)
class Kv:
    """A key with its value; `revision` is that of its last write, `created` that of its first."""

    key: str
    value: bytes
    revision: int
    created: int


@dataclass(frozen=True, slots=True)
class Range:
    """Keys from `key` on and before `end` (None: `key` alone), relative to the prefix."""

    key: str
    end: str | None = None
    limit: int = 0
    keys_only: bool = False
    count_only: bool = False

    @classmethod
    def under(cls, area: str, **options: Any) -> "Range":
        """All keys that begin with `area`."""
        return cls(area, area[:-1] + chr(ord(area[-1]) + 1), **options)


@dataclass(frozen=True, slots=True)
class Found:
    """What a range held: its keys in order, how many there are without the limit."""

    kvs: tuple[Kv, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """What ranges held at one `revision` of this `cluster_id`.

    `stale`: one node's word, without a quorum's; it may lack what was acknowledged.
    """

    found: tuple[Found, ...]
    revision: int
    cluster_id: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A transaction: `puts` and `deletes` happen if each key has the expected revision.

    0 stands for no such key. What is in `leased` is put as well, and goes with the `lease`.
    """

    expected: dict[str, int] = field(default_factory=dict)
    puts: dict[str, bytes] = field(default_factory=dict)
    deletes: frozenset[str] = frozenset()
    leased: dict[str, bytes] = field(default_factory=dict)
    lease: int = 0

    @property
    def operations(self) -> int:
        """As etcd counts them."""
        return max(len(self.expected), len(self.puts) + len(self.leased) + len(self.deletes))

    @property
    def size(self) -> int:
        """Bytes, about: what etcd takes in a request is bounded."""
        puts = sum(len(key) + len(value) + 40 for key, value in self.puts.items())
        return puts + 60 * (len(self.expected) + len(self.deletes))


@dataclass(frozen=True, slots=True)
class Event:
    """A key was written, or deleted (`value` is None), at this revision."""

    key: str
    value: bytes | None
    revision: int
    created: int


class Compacted(Exception):
    """etcd has forgotten the revisions that a watch was to begin with."""
