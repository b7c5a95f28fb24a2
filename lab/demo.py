"""`python -m lab.demo`: the whole thing on one machine, explained as it goes.

A story for people, told with the real processes and the real commands. Everything it makes is the
lab's, so everything is gone afterwards. With --once it ends by itself, and its exit status says
whether every droplet got what it should.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn, Protocol

from lab.droplet import Answer, Droplet, NoAnswer
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.screen import Screen
from lab.services import BIN, CONTROLLER, Services
from lab.wait import LabError, wait_for

ID_PATH = "/metadata/v1/id"
HOSTNAME_PATH = "/metadata/v1/hostname"


@dataclass(frozen=True, slots=True)
class Guest:
    """A droplet of the story. `registered` says when it is."""

    droplet_id: int
    ofport: int
    mac: str
    address: str
    hostname: str
    registered: str

    @property
    def port(self) -> str:
        """The name of its TAP."""
        return f"tapext{self.droplet_id}"

    @property
    def document(self) -> dict[str, Any]:
        """What is registered for it."""
        return {
            "droplet_id": self.droplet_id,
            "ports": [{"name": self.port, "mac": self.mac}],
            "metadata": {"hostname": self.hostname, "region": "nyc3", "tags": ["demo"]},
        }


_MAC, _IP = "a6:a4:8e:4a:e8:70", "10.0.0.5/24"

GUESTS = (
    Guest(7889371, 602, _MAC, _IP, "web-1", "at once"),
    Guest(7889372, 255, _MAC, _IP, "db-1", "at once"),
    Guest(7889373, 32768, "a6:a4:8e:4a:e8:73", _IP, "cache-1", "at once"),
)
LATE = Guest(7889374, 256, "a6:a4:8e:4a:e8:74", "10.0.0.9/24", "late-1", "late")
STRANGER = Guest(7889375, 65279, "a6:a4:8e:4a:e8:75", "10.0.0.10/24", "nobody", "never")


class Stopped(BaseException):
    """SIGTERM came: everything is to be taken away, as for Ctrl-C."""


class Demo:
    """The story, chapter by chapter. `failures` has what did not come out as it should."""

    def __init__(self, lab: Lab, screen: Screen) -> None:
        self.screen = screen
        self.failures: list[str] = []
        self._lab = lab
        self._droplets: dict[int, Droplet] = {}
        self.host: Hypervisor = lab.hypervisor()
        self.host.add_bridge()
        names = {"metadata": {"droplet_port_names": "tap*"}}
        self.services = Services(lab, self.host, names)

    def tell(self) -> None:
        """All chapters in their order. Raises LabError."""
        self._hypervisor()
        self._processes()
        self._guests_arrive()
        self._guests_ask()
        self._late_guest()
        self._stranger()
        self._behind_the_scenes()

    def _hypervisor(self) -> None:
        self.screen.chapter(
            "A hypervisor",
            "A network namespace with an Open vSwitch of its own and the bridge br0. host-setup "
            "gives it meta0, the port behind which the metadata server lives, and routes answers "
            "back there.",
        )
        done = self._operator("host-setup", "--bridge", BRIDGE)
        for line in done.splitlines():
            self.screen.output(line.split("  (")[0])

    def _processes(self) -> None:
        self.screen.chapter(
            "Two processes",
            "The controller keeps the registry of droplets and tells the switch what to do; the "
            "metadata server answers at 169.254.169.254.",
        )
        config = self.services.config_file
        self.screen.command(f"ryu-manager --config-file {config} ryu_apps.metadata_controller")
        self.screen.command(f"metadata-http --config-file {config}")
        self.services.start()
        self.screen.command(f"ovs-vsctl set-controller {BRIDGE} {CONTROLLER}")
        self.host.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)
        self.services.server.wait_until_ready()

    def _guests_arrive(self) -> None:
        self.screen.chapter(
            "Droplets",
            "Each a namespace behind a port of the bridge. Customers choose their own addresses: "
            "three have one IP, and two of these one MAC as well.",
        )
        everyone = (*GUESTS, LATE, STRANGER)
        rows = [(g.hostname, g.port, g.ofport, g.mac, g.address, g.registered) for g in everyone]
        self.screen.table(("droplet", "port", "ofport", "MAC", "IP", "registered"), rows)
        for guest in everyone:
            self._droplets[guest.droplet_id] = self.host.add_droplet(
                guest.port, ofport=guest.ofport, mac=guest.mac, addresses=guest.address
            )
        documents = "".join(json.dumps(guest.document) + "\n" for guest in GUESTS)
        self.screen.output(self._operator("import", "-", text=documents).strip())
        self._wait_until_served(GUESTS)

    def _guests_ask(self) -> None:
        self.screen.chapter(
            "They ask who they are",
            "The same question from each: the same address, the same path, nothing in it that "
            "names the droplet.",
        )
        self.screen.command(f"curl http://169.254.169.254{ID_PATH}")
        self.screen.command(f"curl http://169.254.169.254{HOSTNAME_PATH}")
        rows = [self._introduces_itself(guest) for guest in GUESTS]
        self.screen.table(("asked by", "its own IP and MAC", "id", "hostname", ""), rows)

    def _late_guest(self) -> None:
        self.screen.chapter(
            "One is registered late",
            f"{LATE.hostname}'s port is there, its registration is not yet. It is told to wait "
            "(503, Retry-After), not left without an answer.",
        )
        self._expect_waiting(LATE)
        self.screen.output(self._operator("put", "-", text=json.dumps(LATE.document)).strip())
        droplet = self._droplets[LATE.droplet_id]
        began = time.monotonic()
        wait_for(
            lambda: droplet.get(ID_PATH).status == 200,
            f"{LATE.hostname} to be answered",
            not_yet=(NoAnswer,),
        )
        self.screen.say(f"{(time.monotonic() - began) * 1000:.0f} ms later:")
        rows = [self._introduces_itself(LATE)]
        self.screen.table(("asked by", "its own IP and MAC", "id", "hostname", ""), rows)

    def _stranger(self) -> None:
        self.screen.chapter(
            "One is never registered",
            "Nobody's metadata is given to it. Were its port an uplink, there would be no flow "
            "for it at all; here ports called tap* are known to be droplets'.",
        )
        self._expect_waiting(STRANGER)

    def _behind_the_scenes(self) -> None:
        guest = GUESTS[0]
        self.screen.chapter(
            "Behind the scenes: the switch",
            f"What the bridge does for {guest.hostname}, port {guest.ofport} = {guest.ofport:#06x},"
            " so 100.127.2.90 to the metadata server. Every other port has flows of the same form.",
        )
        self.screen.command(f"ovs-ofctl dump-flows {BRIDGE}")
        self.screen.flows(self.host.ovs.dump_flows(BRIDGE), guest.ofport, guest.droplet_id)
        self.screen.chapter(
            "Behind the scenes: connection tracking",
            "Each port has a zone of its own. That is why two droplets may have the same address "
            "and even the same source port; the mark is the droplet's id.",
        )
        self.screen.command("ovs-appctl dpctl/dump-conntrack")
        rows = [
            (f"{entry.source}:{entry.source_port}", entry.translated, entry.zone, entry.mark)
            for entry in sorted(self.host.ovs.conntrack(), key=lambda entry: entry.zone)
        ]
        self.screen.table(("droplet's own address", "what the server sees", "zone", "mark"), rows)
        self.screen.chapter(
            "Behind the scenes: who is where",
            "The mapping that the controller publishes and the metadata server follows.",
        )
        self.screen.output(self._operator("ports"))

    def farewell(self) -> None:
        """Shells to look around in, each made by one command; the tutorial starts from these."""
        self.screen.chapter(
            "Your turn",
            "All of it stays up until Ctrl-C. A shell on each of these, from another terminal, "
            "and docs/tutorial.md says what there is to see:",
        )
        for guest in GUESTS[:2]:
            namespace = self._droplets[guest.droplet_id].namespace.name
            self.screen.say(f"{guest.hostname}:")
            self.screen.command(f"ip netns exec {namespace} bash")
        self.screen.say("the hypervisor:")
        environment = (
            f"OVS_RUNDIR={self.host.ovs.directory} "
            f"DROPLETCTL_CONFIG_FILE={self.services.config_file} PATH={BIN}:$PATH"
        )
        self.screen.command(f"{environment} ip netns exec {self.host.namespace.name} bash")

    def diagnosis(self) -> str:
        """The ends of all logs, for people."""
        return self.services.diagnosis()

    def _operator(self, *words: str, text: str | None = None) -> str:
        """A dropletctl command, shown and done."""
        self.screen.command(" ".join(["dropletctl", *words]))
        return self.services.dropletctl(*words, text=text).stdout

    def _wait_until_served(self, guests: Sequence[Guest]) -> None:
        def served() -> bool:
            ports = self.services.ports()
            return all(ports[guest.port]["state"] == "serving" for guest in guests)

        wait_for(served, "all ports to be served", not_yet=(KeyError,))

    def _introduces_itself(self, guest: Guest) -> tuple[object, ...]:
        """Ask for id and hostname in the droplet; a row that shows both."""
        droplet = self._droplets[guest.droplet_id]
        answers = [self._ask(droplet, path) for path in (ID_PATH, HOSTNAME_PATH)]
        given = [_in_short(answer) for answer in answers]
        fine = given == [str(guest.droplet_id), guest.hostname]
        if not fine:
            self.failures.append(f"{guest.hostname} got {given[0]} and {given[1]}")
        return (guest.port, f"{guest.address} {guest.mac}", *given, self.screen.verdict(fine))

    def _expect_waiting(self, guest: Guest) -> None:
        answer = self._ask(self._droplets[guest.droplet_id], ID_PATH)
        retry = answer.headers.get("retry-after") if isinstance(answer, Answer) else None
        fine = isinstance(answer, Answer) and answer.status == 503 and retry is not None
        if not fine:
            self.failures.append(f"{guest.hostname} got {_in_short(answer)}, not 503")
        given = f"{_in_short(answer)}, Retry-After: {retry}"
        row = (guest.port, f"{guest.address} {guest.mac}", given, self.screen.verdict(fine))
        self.screen.table(("asked by", "its own IP and MAC", "answer", ""), [row])

    def _ask(self, droplet: Droplet, path: str) -> Answer | NoAnswer:
        try:
            return droplet.get(path)
        except NoAnswer as error:
            return error


def _in_short(answer: Answer | NoAnswer) -> str:
    if isinstance(answer, NoAnswer):
        return f"no answer ({answer})"
    return answer.text.strip() if answer.status == 200 else str(answer.status)


class Story(Protocol):
    """A demo: chapters, what did not come out as it should, and how to look around."""

    failures: list[str]

    def tell(self) -> None:
        """All chapters in their order. Raises LabError."""

    def farewell(self) -> None:
        """How to look around oneself."""

    def diagnosis(self) -> str:
        """The ends of all logs, for people."""


def run(story: Callable[[Lab, Screen], Story], screen: Screen, *, once: bool) -> int:
    """A demo from beginning to end; its exit status."""
    with Lab() as lab:
        demo = story(lab, screen)
        try:
            demo.tell()
        except LabError as error:
            screen.output(demo.diagnosis())
            screen.failure(str(error))  # last, where people look
            return 1
        for failure in demo.failures:
            screen.failure(failure)
        if not demo.failures:
            screen.say("\nEvery droplet got its own, and nobody anything else.")
        if not once:
            demo.farewell()
            signal.pause()
        return 1 if demo.failures else 0


def main(story: Callable[[Lab, Screen], Story] = Demo) -> int:
    """Parse the command line and run; everything is gone when this returns."""
    parser = argparse.ArgumentParser(description=story.__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself, for scripts")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    screen = Screen()
    try:
        return run(story, screen, once=options.once)
    except KeyboardInterrupt:
        screen.say("Stopped; everything is taken away.")
        return 128 + signal.SIGINT if options.once else 0
    except Stopped:
        return 128 + signal.SIGTERM


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
