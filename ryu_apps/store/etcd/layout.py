"""How a registry lies in etcd: its keys, the values under them, and back. Pure.

Below the prefix of `registry_url`:

    meta                        the registry itself, see `Meta`
    boot                        how often a store was opened on it
    droplet/<id>                a droplet's document, as `Droplet.encode` gave it
    follow/claims/<id>          what the datapath and the lists need of it, see `Summary`
    follow/status/<id>          its status; empty where nothing is left of one that there was
    follow/controller/<boot>    a controller that lives, see `Presence`; goes with its lease
    follow/leader/<dpid>        who leads this switch, see `Leader`; goes with its lease
    follow/wish/<dpid>          the controller that would lead this switch, were it given up
    follow/place/<name>         the switches that have this port name, see `registry.places`
    term/<dpid>                 the newest term of this switch's leaders
    port/<name>                 the id of the droplet that holds this port name
    server/<dpid>/<name>        a metadata server that follows this switch
    settled/<dpid>              a switch all of whose servers are there, see `Store.settled`

Ids are written with ten digits, so that the order of keys is that of ids; dpids with 16 hex digits.
What every controller follows lies under `follow/` and is small: no document travels to those that
do not ask for it. A droplet's claims are written with every write of its document, so their
revision is the document's.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from ryu_apps.registry.claims import Claim
from ryu_apps.registry.places import Places, decoded, encoded
from ryu_apps.store.interface import Entry, Leader, Presence, StoreRefused

FORMAT = 1
"""Of everything above; a registry of a later one is refused."""

DROPLET = "droplet/"
FOLLOW = "follow/"
CLAIMS = "follow/claims/"
STATUS = "follow/status/"
CONTROLLER = "follow/controller/"
LEADER = "follow/leader/"
WISH = "follow/wish/"
PLACE = "follow/place/"
TERM = "term/"
PORT = "port/"
SERVER = "server/"
SETTLED = "settled/"
META = "meta"
BOOT = "boot"


def droplet_key(area: str, droplet_id: int) -> str:
    """The key of this droplet in `DROPLET`, `CLAIMS` or `STATUS`."""
    return f"{area}{droplet_id:010d}"


def droplet_id_of(key: str) -> int:
    """The droplet whose key this is."""
    return int(key.rpartition("/")[2])


def server_key(dpid: int, name: str) -> str:
    """The key of a metadata server; its name may hold any character."""
    return f"{SERVER}{dpid:016x}/{name}"


def server_of(key: str) -> tuple[int, str]:
    """The (dpid, name) of a server's key."""
    dpid, _, name = key.removeprefix(SERVER).partition("/")
    return int(dpid, 16), name


def controller_key(boot_count: int) -> str:
    """The key of a controller's signs of life."""
    return f"{CONTROLLER}{boot_count}"


def controller_of(key: str) -> int:
    """The boot count of the controller whose key this is."""
    return int(key.removeprefix(CONTROLLER))


def switch_key(area: str, dpid: int) -> str:
    """The key of this switch in `LEADER`, `WISH` or `TERM`."""
    return f"{area}{dpid:016x}"


def switch_of(key: str) -> int:
    """The dpid of such a key."""
    return int(key.rpartition("/")[2], 16)


def encode_values(value: Leader | Presence) -> bytes:
    """A leader or a presence as it is stored."""
    return json.dumps(asdict(value)).encode()


def leader(value: bytes) -> Leader:
    """What `encode_values` wrote of one."""
    return Leader(**json.loads(value))


def presence(value: bytes) -> Presence:
    """What `encode_values` wrote of one."""
    return Presence(**json.loads(value))


def encode_places(found: Places) -> bytes:
    """The places of a name as they are stored."""
    return json.dumps(encoded(found), separators=(",", ":")).encode()


def places(value: bytes | None) -> Places:
    """What `encode_places` wrote; none where there is no such key."""
    return () if value is None else decoded(json.loads(value))


def settled_key(dpid: int) -> str:
    """The key that says that all servers of this switch are known."""
    return f"{SETTLED}{dpid:016x}"


def end_of(prefix: bytes) -> bytes:
    """The first key after all that begin with `prefix`: a range_end of etcd."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1])


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a droplet: its ports with their MACs and switches, hop limit, region, tags, and the words
    that it is searched by."""

    ports: tuple[tuple[str, str, int | None], ...]
    hop_limit: int | None
    region: str
    tags: tuple[str, ...]
    words: str

    @classmethod
    def of(cls, entry: Entry) -> "Summary":
        """The summary of the droplet of `entry`."""
        ports = tuple((port.name, port.mac, port.dpid) for port in entry.ports)
        return cls(ports, entry.hop_limit, entry.region, entry.tags, entry.words)

    @classmethod
    def decode(cls, value: bytes) -> "Summary":
        """What `encode` wrote."""
        found = json.loads(value)
        ports = tuple(
            (name, mac, None if dpid is None else int(dpid, 16)) for name, mac, dpid in found["p"]
        )
        return cls(ports, found["h"], found["r"], tuple(found["t"]), found["w"])

    def encode(self) -> bytes:
        """As it is stored."""
        ports = [
            (name, mac, None if dpid is None else f"{dpid:x}") for name, mac, dpid in self.ports
        ]
        found = {
            **{"p": ports, "h": self.hop_limit, "r": self.region, "t": self.tags},
            "w": self.words,
        }
        return json.dumps(found, separators=(",", ":")).encode()

    @property
    def names(self) -> frozenset[str]:
        """The port names it claims."""
        return frozenset(name for name, _, _ in self.ports)

    def claims(self, droplet_id: int, revision: int) -> tuple[Claim, ...]:
        """Its claims, in a record of which `revision` is the latest."""
        return tuple(
            Claim(droplet_id, name, mac, dpid, revision, self.hop_limit)
            for name, mac, dpid in self.ports
        )


@dataclass(frozen=True, slots=True)
class Meta:
    """What a registry in etcd knows of itself.

    A record's revision is `base` + etcd's own. `base` leaves behind what was given elsewhere before
    the registry came to this cluster (`cluster_id`): it was migrated, or its etcd was made anew
    from a snapshot and counts again from there. `restored`: it was, so servers may be missing.
    `unfinished`: a migration into it has not ended.
    """

    cluster_id: int
    base: int = 0
    restored: bool = False
    unfinished: bool = False

    @classmethod
    def decode(cls, value: bytes, where: str) -> "Meta":
        """What `encode` wrote. Raises StoreRefused; `where` names the registry."""
        try:
            found = json.loads(value)
            form = found.pop("format")
            if form == FORMAT:
                return cls(**found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreRefused(f"{where}: {META!r} is not ours: {error}") from error
        raise StoreRefused(
            f"{where}: has the form {form!r}, this release knows {FORMAT}: it is from a later one"
        )

    def encode(self) -> bytes:
        """As it is stored."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({"format": FORMAT, **found}).encode()


def claims_by_droplet(
    summaries: Iterable[tuple[int, int, Summary]], status_revisions: dict[int, int]
) -> dict[int, tuple[Claim, ...]]:
    """The claims of (droplet id, revision, summary), each as of its record's latest revision."""
    return {
        droplet_id: summary.claims(droplet_id, max(revision, status_revisions.get(droplet_id, 0)))
        for droplet_id, revision, summary in summaries
    }
