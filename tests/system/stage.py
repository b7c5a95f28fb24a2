"""Droplets that are plugged in and out: what the tests of rebinding do with ports and records."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.droplet import Droplet
from lab.hypervisor import BRIDGE
from tests.system.cloud import Cloud, Host
from tests.system.probe import Conversation, Ledger, Prober

OFPORT = 3000

_SOURCE_PORTS = (20000, 13000)
"""The first droplet's first source port, and how many each droplet has of its own.

The host's kernel keeps connections that it closed for a minute (TIME_WAIT) and answers a SYN that
says the same ports with the old connection's numbers, which the newcomer's conntrack zone takes for
invalid. A droplet that gets another's ofport and uses the same source ports would so wait until
its client tries another port; docs/operations.md has it among what is known.
"""


@dataclass
class Stage:
    """Some droplets of one host, on the switch or not, and what may be done with them."""

    cloud: Cloud
    host: Host
    ids: dict[str, int]
    droplets: dict[str, Droplet] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def vsctl(self, *commands: list[str], wait: bool = True) -> None:
        """Several commands in one transaction of the database."""
        self.host.ovs.vsctl(*([] if wait else ["--no-wait"]), *joined(commands))

    def serving(self, *names: str) -> None:
        """Wait until these are served as themselves."""
        for name in names:
            self.cloud.wait_serving(self.host, name, self.ids[name])

    def ofport(self, name: str) -> int:
        """Its ofport now."""
        return self.host.ovs.ofport(name)

    def ofports(self, wanted: dict[str, int]) -> None:
        """Wait until Open vSwitch has given these ofports and the controller knows it."""
        for name, ofport in wanted.items():
            self.cloud.wait(lambda name=name: self.ofport(name), f"{name} to be {ofport}")
            self.cloud.wait(
                lambda name=name, ofport=ofport: self._seen_as(name, ofport),
                f"{name} to be seen as {ofport}",
            )

    def _seen_as(self, name: str, ofport: int) -> bool:
        return self.cloud.rest.ports(self.host.dpid).get(name, {}).get("ofport") == ofport

    def talk(self, name: str, receive_buffer: int | None = None) -> Conversation:
        """A connection from one of them, with all there is to know if there is none."""
        try:
            return Conversation(self.droplets[name].namespace, receive_buffer)
        except OSError as error:
            neighbours = self.host.namespace.run("ip", "neighbour").stdout
            tracked = self.host.ovs.appctl("dpctl/dump-conntrack")
            told = "\n".join((neighbours, tracked, self.cloud.diagnosis()))
            raise AssertionError(f"{name} cannot connect: {error}\n{told}") from error

    @property
    def newcomer(self) -> str:
        """The third droplet, which is not on the switch at first."""
        return list(self.ids)[2]

    def cast(self) -> dict[str, tuple]:
        """All droplets for `probing`, each with the right to be itself."""
        return {name: (d.namespace, self.ids[name]) for name, d in self.droplets.items()}


def joined(commands: Iterable[list[str]]) -> list[str]:
    """The words of several commands in one `ovs-vsctl`, which is one transaction."""
    return [word for command in commands for word in ("--", *command)][1:]


def plugged(name: str, ofport: int) -> list[list[str]]:
    """The commands that put a device on the bridge as this ofport."""
    return [
        ["add-port", BRIDGE, name],
        ["set", "Interface", name, f"ofport_request={ofport}"],
    ]


@contextmanager
def staged(cloud: Cloud, host: Host, stem: str, first_id: int) -> Iterator[Stage]:
    """Three droplets on `host`, registered, their devices on no switch."""
    made = Stage(cloud, host, {f"{stem}{letter}": first_id + n for n, letter in enumerate("abc")})
    for n, (name, droplet_id) in enumerate(made.ids.items(), 1):
        mac = f"a6:00:00:{first_id % 256:02x}:30:{n:02x}"
        made.droplets[name] = cloud.spare(
            host, name, droplet_id, mac=mac, address=f"10.30.0.{n}/24"
        )
        first = _SOURCE_PORTS[0] + (n - 1) * _SOURCE_PORTS[1]
        made.droplets[name].namespace.run(
            "sysctl", "-qw", f"net.ipv4.ip_local_port_range={first} {first + _SOURCE_PORTS[1] - 1}"
        )
    try:
        yield made
    finally:
        for droplet_id in [one + 1000 for one in made.ids.values()]:
            cloud.rest.delete(droplet_id)
        for name, droplet in made.droplets.items():
            cloud.scrap(host, droplet, made.ids[name])
    for name in made.ids:
        cloud.wait_not_mapped(host, name)


def settled(stage: Stage) -> dict[str, tuple]:
    """The first two droplets are served, the third waits for its turn; all, for `probing`."""
    a, b, _ = stage.ids
    stage.vsctl(*plugged(a, OFPORT), *plugged(b, OFPORT + 1))
    stage.serving(a, b)
    return stage.cast()


def replaced(stage: Stage) -> list[list[str]]:
    """The commands by which the third droplet gets the first one's ofport."""
    a, _, c = stage.ids
    return [["del-port", a], *plugged(c, OFPORT)]


def hands_change(stage: Stage) -> None:
    """The third droplet gets the first one's ofport, and the second one's port another record."""
    _, b, _ = stage.ids
    heir = stage.ids[b] + 1000
    stage.vsctl(*replaced(stage))
    stage.cloud.rest.delete(stage.ids[b])
    stage.ledger.allow(b, heir)
    stage.cloud.rest.put(heir, b, stage.droplets[b].mac)


def hands_changed(stage: Stage) -> None:
    """Wait until the controller serves the newcomers; from then on the second is the heir only."""
    _, b, c = stage.ids
    stage.cloud.wait_serving(stage.host, c, stage.ids[c])
    stage.cloud.wait_serving(stage.host, b, stage.ids[b] + 1000)
    stage.ledger.forbid(b, stage.ids[b])


def newcomers_answered(stage: Stage, probers: dict[str, Prober]) -> None:
    """Both newcomers get their data."""
    for name in list(stage.ids)[1:]:
        probers[name].wait_for(200, 4)
