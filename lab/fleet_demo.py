"""`python -m lab.fleet_demo`: a region in small, and what happens when parts of it die.

As `lab.demo`, told with the real processes; everything is gone afterwards. With --once it ends by
itself, and its exit status says whether every droplet got what it should.
"""

import sys
import time
from collections import Counter
from typing import Any

from lab.demo import HOSTNAME_PATH, ID_PATH, Guest, main
from lab.droplet import Droplet, NoAnswer
from lab.hypervisor import BRIDGE, Hypervisor
from lab.lab import Lab
from lab.region import Region, asking
from lab.screen import Screen
from lab.wait import wait_for

_MAC = "a6:a4:8e:4a:e8:70"
WEB = Guest(7889371, 602, _MAC, "10.0.0.5/24", "web-1", "at once")
DB = Guest(7889372, 255, _MAC, "10.0.0.5/24", "db-1", "at once")
LATE = Guest(7889373, 256, "a6:a4:8e:4a:e8:73", "10.0.0.9/24", "late-1", "without a leader")


class FleetDemo:
    """The story, chapter by chapter. `failures` has what did not come out as it should."""

    def __init__(self, lab: Lab, screen: Screen) -> None:
        self.screen = screen
        self.failures: list[str] = []
        self.region = Region(lab)
        self._droplets: dict[int, Droplet] = {}

    def tell(self) -> None:
        """All chapters in their order. Raises LabError."""
        self._center()
        self._hypervisors()
        self._droplets_ask()
        self._leader_dies()
        self._droplet_moves()
        self._member_dies()

    def _center(self) -> None:
        self.screen.chapter(
            "Three members of etcd, two controllers",
            "The registry is in etcd; either controller takes registrations and can lead switches.",
        )
        center = self.region.center
        self.screen.command(f"registry_url = {center.etcd.url('metadata')}")
        center.start()
        for name, target in center.targets.items():
            self.screen.output(f"controller {name}: {target}, {center.urls[name]}")

    def _hypervisors(self) -> None:
        self.screen.chapter(
            "Two hypervisors",
            "Each bridge lists both controllers, each metadata server follows whichever leads its "
            "bridge.",
        )
        targets = " ".join(self.region.center.targets.values())
        self.screen.command(f"ovs-vsctl set-controller {BRIDGE} {targets}")
        self.region.start_hosts()
        for host in self.region.hosts:
            self.region.wait_for_leader(host, *self.region.center.targets)
        self._show_roles()

    def _droplets_ask(self) -> None:
        self.screen.chapter(
            "Droplets, one on each",
            "They have the same IP and MAC. One is registered at each controller: it is the same "
            "registry.",
        )
        for guest, host, at in zip((WEB, DB), self.region.hosts, ("one", "other"), strict=True):
            self._arrives(guest, host)
            url = self.region.center.urls[at]
            self.screen.command(f"dropletctl --url {url} put -    # at {at}")
            self.screen.output(self.region.register(guest.document, at).strip())
            self._wait_until_answered(guest)
        self._show_answers(WEB, DB)

    def _leader_dies(self) -> None:
        host, droplet = self.region.hosts[0], self._droplets[WEB.droplet_id]
        first = self.region.leader(host) or ""
        second = next(name for name in self.region.center.targets if name != first)
        self.screen.chapter(
            "The leader dies",
            f"Controller {first} leads the bridge of {WEB.hostname}, which asks all the time. A "
            "droplet comes while nobody leads.",
        )
        answers: Counter[Any] = Counter()
        with asking(droplet, ID_PATH, answers):
            wait_for(lambda: answers.total() > 3, "some answers")
            self.screen.command(f"kill -9 ...    # controller {first}")
            self.region.center.controllers[first].kill()
            began = time.monotonic()
            self._arrives(LATE, host)
            self.screen.output(self.region.register(LATE.document, second).strip())
            self.region.wait_for_leader(host, second)
            self._wait_until_answered(LATE)
            self.screen.say(
                f"Controller {second} leads it {time.monotonic() - began:.0f} s later at the "
                f"latest, and {LATE.hostname} is answered."
            )
        self._judge_answers(WEB, answers)
        self._show_roles()
        self._show_answers(LATE)
        self.screen.command(f"ryu-manager ...    # controller {first} again: it stands by")
        self.region.center.controllers[first].start()

    def _droplet_moves(self) -> None:
        there, here = self.region.hosts[1], self.region.hosts[0]
        self.screen.chapter(
            "A droplet moves between switches of different controllers",
            f"{DB.hostname} goes from {there.name} to {here.name} as in a live migration: its port "
            "is on both for a while. Nobody tells the registry.",
        )
        wait_for(
            lambda: self.region.leader(there) not in (None, self.region.leader(here)),
            "each bridge to have another leader",
            60,
            self.region.diagnosis,
        )
        self._show_roles()
        source = self._droplets[DB.droplet_id]
        self._arrives(DB, here)
        self._wait_until_answered(DB)
        leader = self.region.leader(there) or ""
        ports = self.region.center.dropletctl
        wait_for(
            lambda: here.dpid() in ports(leader, "ports", there.dpid()),
            "the former switch to yield",
            60,
            self.region.diagnosis,
        )
        self.screen.command(f"dropletctl ports {there.dpid()}    # at {leader}")
        self.screen.output(ports(leader, "ports", there.dpid()).strip())
        there.remove_droplet(source)
        self._show_answers(WEB, DB)

    def _member_dies(self) -> None:
        self.screen.chapter(
            "A member of etcd dies", "Two of three are a quorum: it is as if nothing had happened."
        )
        node = self.region.center.etcd.nodes[0]
        self.screen.command(f"kill -9 ...    # {node.name}")
        node.kill()
        at = next(iter(self.region.center.targets))

        def registered() -> bool:
            # What was under way at that very moment may have to be said again.
            return bool(self.region.register(WEB.document, at))

        wait_for(registered, "a registration", not_yet=(OSError, Exception))
        self._show_answers(WEB, DB, LATE)

    # ---------------------------------------------------------------------------------------------

    def _arrives(self, guest: Guest, host: Hypervisor) -> None:
        self._droplets[guest.droplet_id] = host.add_droplet(
            guest.port, ofport=guest.ofport, mac=guest.mac, addresses=guest.address
        )

    def _wait_until_answered(self, guest: Guest) -> None:
        droplet = self._droplets[guest.droplet_id]
        wait_for(
            lambda: droplet.get(ID_PATH, seconds=3).status == 200,
            f"{guest.hostname} to be answered",
            60,
            self.region.diagnosis,
            not_yet=(NoAnswer,),
        )

    def _judge_answers(self, guest: Guest, answers: Counter) -> None:
        wrong = {text: count for text, count in answers.items() if text != str(guest.droplet_id)}
        said = f"{guest.hostname} asked {answers.total()} times meanwhile and was always answered"
        if wrong:
            said = f"{guest.hostname} asked {answers.total()} times and got {wrong}"
            self.failures.append(said)
        self.screen.say(said + ".")

    def _show_roles(self) -> None:
        rows = [
            (f"{BRIDGE} of {host.name}", *self.region.roles(host).values())
            for host in self.region.hosts
        ]
        names = (f"controller {name}" for name in self.region.center.targets)
        self.screen.table(("bridge", *names), rows)

    def _show_answers(self, *guests: Guest) -> None:
        rows = []
        for guest in guests:
            droplet = self._droplets[guest.droplet_id]
            given = [
                droplet.get(path, seconds=10).text.strip() for path in (ID_PATH, HOSTNAME_PATH)
            ]
            fine = given == [str(guest.droplet_id), guest.hostname]
            if not fine:
                self.failures.append(f"{guest.hostname} got {given[0]} and {given[1]}")
            host = next(h for h in self.region.hosts if guest.port in h.droplets)
            rows.append((guest.port, host.name, *given, self.screen.verdict(fine)))
        self.screen.table(("asked by", "on", "id", "hostname", ""), rows)

    def farewell(self) -> None:
        """How to look around oneself."""
        web = self._droplets[WEB.droplet_id].namespace.name
        self.screen.chapter("Your turn", "All of it stays up until Ctrl-C. From another shell:")
        self.screen.command(f"ip netns exec {web} curl -i http://169.254.169.254/metadata/v1.json")
        inside = f"ip netns exec {self.region.center.namespace.name} {sys.prefix}/bin/dropletctl"
        tokens = self.region.center.tokens_file
        url = self.region.center.urls["one"]
        self.screen.command(f"{inside} --url {url} --tokens-file {tokens} switches")

    def diagnosis(self) -> str:
        """The ends of all logs, for people."""
        return self.region.diagnosis()


if __name__ == "__main__":
    sys.exit(main(FleetDemo))
