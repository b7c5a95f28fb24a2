"""A random life of ports, records and processes, under load: steps drawn from a seed, replayable.

What comes next hangs on the seed and the steps before, never on time, so a seed names a sequence.
The droplets ask all the while; the oracle of `probe.py` judges every answer.
"""

import json
import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from lab.droplet import Droplet
from lab.hypervisor import BRIDGE
from tests.system.cloud import Cloud, Host
from tests.system.faults import frozen
from tests.system.probe import PATH, Conversation, Ledger, Prober

SECONDS = float(os.environ.get("OVS_METADATA_SOAK_SECONDS", "30"))
SEED = int(os.environ.get("OVS_METADATA_SOAK_SEED", "0")) or random.SystemRandom().getrandbits(32)

_SLOTS = 5
_FIRST_ID = 500
_HEIRS = 100
"""A port's record may go to another droplet: its usual one's id plus this."""
_OFPORTS = range(4000, 4004)
"""Fewer than ports, so that they are used again and fought for."""
_BETWEEN_CHECKS = 60
_LINGERING = 20


@dataclass(eq=False)
class Slot:
    """One droplet's device. `asked` is the ofport it asked for, None while it is on no switch."""

    droplet: Droplet
    usual_id: int
    registered: int | None = None
    asked: int | None = None

    @property
    def name(self) -> str:
        """The port's name."""
        return self.droplet.port

    @property
    def other_id(self) -> int:
        """The droplet its record does not name now."""
        heir = self.usual_id + _HEIRS
        return self.usual_id if self.registered == heir else heir


class Soak:
    """The world, and what is expected of it after each step.

    `steady`: none of our processes is restarted, so that what they take can be seen to stay.
    """

    def __init__(self, cloud: Cloud, host: Host, seed: int, *, steady: bool = False) -> None:
        self.steps: list[str] = []
        self._steady = steady
        self._waiting: deque[Conversation] = deque()
        self.ledger = Ledger()
        self._cloud = cloud
        self._host = host
        self._random = random.Random(seed)
        self._slots = [self._slot(n) for n in range(_SLOTS)]
        self._probers = {
            slot.name: Prober(slot.name, slot.droplet.namespace, self.ledger)
            for slot in self._slots
        }

    @property
    def answers(self) -> Counter:
        """All answers so far by status."""
        return sum((prober.answers for prober in self._probers.values()), Counter())

    def run(self, seconds: float, look: Callable[[int], None] = lambda steps: None) -> None:
        """Step after step for about this long, looking now and then whether all is well.

        `look` is called then, with the number of steps so far.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _ in range(_BETWEEN_CHECKS):
                self._step()
                assert not self.ledger.violations, self.report()
            self.check()
            look(len(self.steps))

    def check(self) -> None:
        """Everybody who should be served is, as themselves; from now on as nobody else."""
        cloud, host = self._cloud, self._host
        for slot in self._slots:
            if slot.asked is not None and slot.registered is not None:
                cloud.wait_serving(host, slot.name, slot.registered)
            else:
                cloud.wait_not_mapped(host, slot.name)
        for slot in self._slots:
            for droplet_id in {slot.usual_id, slot.usual_id + _HEIRS} - {slot.registered}:
                self.ledger.forbid(slot.name, droplet_id)
        for slot in self._slots:
            if slot.asked is not None and slot.registered is not None:
                self._probers[slot.name].wait_for(200, 2)
        assert not self.ledger.violations, self.report()

    def report(self) -> str:
        """What happened, for people."""
        last = "\n".join(self.steps[-60:])
        return f"{self.ledger.violations[:5]}\n{len(self.steps)} steps, the last:\n{last}"

    def close(self) -> None:
        """Take everything away."""
        for prober in self._probers.values():
            prober.stop()
        while self._waiting:
            self._waiting.pop().close()
        for slot in self._slots:
            self._cloud.rest.delete(slot.usual_id + _HEIRS)
            self._cloud.scrap(self._host, slot.droplet, slot.usual_id)
            self._cloud.wait_not_mapped(self._host, slot.name)

    # -- steps -----------------------------------------------------------------------------------

    def _step(self) -> None:
        slot = self._random.choice(self._slots)
        steps: list[tuple[int, Callable[[Slot], str]]] = [
            (80, self._plug if slot.asked is None else self._unplug),
            (80, self._swap),
            (60, self._plug if slot.asked is None else self._renumber),
            (60, self._register if slot.registered is None else self._replace),
            (40, self._register if slot.registered is None else self._delete),
            (40, self._register if slot.registered is None else self._touch),
            (8, self._pause_server),
            (4, self._restart_switch),
            *(
                [(20, self._linger), (20, self._say)]
                if self._steady
                else [(3, self._restart_server), (2, self._restart_controller)]
            ),
        ]
        weights, calls = zip(*steps, strict=True)
        (call,) = self._random.choices(calls, weights)
        self.steps.append(call(slot))

    def _plug(self, slot: Slot) -> str:
        slot.asked = self._random.choice(_OFPORTS)
        self._vsctl(self._plugging(slot))
        return f"plug {slot.name} as {slot.asked}"

    def _unplug(self, slot: Slot) -> str:
        slot.asked = None
        self._vsctl([["del-port", slot.name]])
        return f"unplug {slot.name}"

    def _swap(self, slot: Slot) -> str:
        """Whoever is plugged goes, and in the same transaction another gets its ofport."""
        other = self._random.choice([one for one in self._slots if one is not slot])
        if slot.asked is None or other.asked is not None:
            slot, other = other, slot
        if slot.asked is None or other.asked is not None:
            return (self._plug if slot.asked is None else self._unplug)(slot)
        other.asked, slot.asked = slot.asked, None
        self._vsctl([["del-port", slot.name], *self._plugging(other)])
        return f"replace {slot.name} by {other.name} as {other.asked}"

    def _renumber(self, slot: Slot) -> str:
        """Ask for an ofport; whoever is on it gives way, not having asked for it any more."""
        slot.asked = self._random.choice(_OFPORTS)
        others = [one for one in self._slots if one.asked is not None and one is not slot]
        yielding = [["clear", "Interface", one.name, "ofport_request"] for one in others]
        wish = ["set", "Interface", slot.name, f"ofport_request={slot.asked}"]
        self._vsctl([*yielding, wish])
        return f"renumber {slot.name} to {slot.asked}"

    def _register(self, slot: Slot) -> str:
        return self._put(slot, slot.usual_id)

    def _replace(self, slot: Slot) -> str:
        self._cloud.rest.delete(slot.registered or 0)
        return self._put(slot, slot.other_id)

    def _touch(self, slot: Slot) -> str:
        return self._put(slot, slot.registered or slot.usual_id)

    def _delete(self, slot: Slot) -> str:
        droplet_id, slot.registered = slot.registered, None
        self._cloud.rest.delete(droplet_id or 0)
        return f"delete {droplet_id} of {slot.name}"

    def _pause_server(self, slot: Slot) -> str:
        """For as long as one step takes."""
        with frozen(self._host.services.server):
            meanwhile = self._swap(slot)
        return f"{meanwhile} while the server stands still"

    def _linger(self, slot: Slot) -> str:
        """The droplet waits for a change, and is not heard of again for a while."""
        if (talk := self._talk(slot)) is None:
            return f"{slot.name} reaches nobody"
        talk.ask(f"{PATH}?wait_for_change=true")
        self._waiting.append(talk)
        if len(self._waiting) > _LINGERING:
            self._waiting.popleft().close()
        return f"{slot.name} waits for a change"

    def _say(self, slot: Slot) -> str:
        """The droplet reports on itself."""
        if (talk := self._talk(slot)) is None:
            return f"{slot.name} reaches nobody"
        body = json.dumps({"dotty_status": self._random.choice(["running", "stopped"])})
        head = f"PATCH /metadata/v1.json HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n"
        talk.socket.sendall(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
        said = talk.read(2).partition(b"\r\n")[0].decode()
        talk.close()
        return f"{slot.name} reports: {said}"

    def _talk(self, slot: Slot) -> Conversation | None:
        try:
            return Conversation(slot.droplet.namespace, patience=0.5)
        except OSError:
            return None

    def _restart_server(self, slot: Slot) -> str:
        self._host.services.server.kill()
        meanwhile = self._swap(slot)
        self._host.services.server.start()
        return f"{meanwhile} while the server is dead"

    def _restart_controller(self, slot: Slot) -> str:
        self._cloud.host.services.controller.kill()
        meanwhile = self._swap(slot)
        self._cloud.host.services.controller.start()
        # Else the next step would speak to nobody.
        self._cloud.wait(
            lambda: self._cloud.rest.state(self._host.dpid) is not None, "the switch to be back"
        )
        return f"{meanwhile} while the controller is dead"

    def _restart_switch(self, slot: Slot) -> str:
        self._host.ovs.stop_vswitchd(signal.SIGKILL)
        order = [one for one in self._slots if one.asked is not None]
        wishes = [one.asked for one in order]
        self._random.shuffle(wishes)
        for one, wish in zip(order, wishes, strict=True):
            one.asked = wish
            command = ["set", "Interface", one.name, f"ofport_request={wish}"]
            self._host.ovs.vsctl("--no-wait", *command)
        self._host.ovs.start_vswitchd()
        return "restart Open vSwitch, ofports shuffled"

    # --------------------------------------------------------------------------------------------

    def _put(self, slot: Slot, droplet_id: int) -> str:
        slot.registered = droplet_id
        self.ledger.allow(slot.name, droplet_id)
        self._cloud.rest.put(droplet_id, slot.name, slot.droplet.mac)
        return f"register {droplet_id} on {slot.name}"

    def _plugging(self, slot: Slot) -> list[list[str]]:
        request = f"ofport_request={slot.asked}"
        return [["add-port", BRIDGE, slot.name], ["set", "Interface", slot.name, request]]

    def _vsctl(self, commands: list[list[str]]) -> None:
        """One transaction."""
        words = [word for command in commands for word in ("--", *command)][1:]
        self._host.ovs.vsctl(*words)

    def _slot(self, number: int) -> Slot:
        droplet_id = _FIRST_ID + number
        droplet = self._cloud.spare(
            self._host,
            f"soak{number}",
            droplet_id,
            mac=f"a6:00:00:00:40:{number:02x}",
            address=f"10.40.0.{number + 1}/24",
        )
        self.ledger.allow(droplet.port, droplet_id)
        return Slot(droplet, droplet_id, registered=droplet_id)
