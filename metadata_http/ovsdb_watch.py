"""Watches the local Open vSwitch database on a thread, for two things nobody else can tell.

1. Which port is at an ofport now. The controller's view says whose an ofport *was* made; where the
   controller is dead or cut off from the switch, the port may be replaced meanwhile.
2. That no controller is connected to the bridge, so that nobody can change its flows: what a
   refused connection to a controller elsewhere does not prove (`lease`).

Shell: connection, order of steps and logging. What rows mean is `ovsdb_rows`', what is concluded
from them `identity`'s and `lease`'s.

The server is asked for an echo all the time. An answer proves that it lives, and that all it had
to say before has been read. It takes some 20 us, so the server is also asked before a droplet is
answered (`look`), a few hundred times a second at most: a port is replaced in the database first
and in the switch some milliseconds later, so whoever asks through the new port finds us knowing.

Without an answer for a while nothing is known any more (`SILENCE`). A dead server is another
matter: without it ovs-vswitchd takes no new configuration, so what was known last stays true. Its
socket refuses then, or is not there.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from metadata_http import events
from metadata_http.identity import UNCHECKED, Sight
from metadata_http.ovsdb_connection import (
    BadRemote,
    Closed,
    Connection,
    Message,
    ProtocolError,
    is_proof_of_death,
)
from metadata_http.ovsdb_evidence import FRESH, SILENCE, Absence, Echoes
from metadata_http.ovsdb_rows import COLUMNS, Bridge, Database, UpdateError
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

# A restarted server should not be ahead of us for long; a refused try costs microseconds.
_RETRY_EVERY = 0.05
# Where there may never be one.
_SEARCH_EVERY = 1.0
# How long a droplet waits for a server that is slow to answer, and how often one has to.
_LOOK_PATIENCE = 0.05
_LOOK_PAUSE = 1.0
# Seconds for which a look has read everything: while there is one every few milliseconds, a thread
# that waits for the same answers would wake with each only to find nothing.
_LOOKED = 0.05
_MONITOR_ID = "monitor"
NOTHING = Sight(MappingProxyType({}), float("-inf"))
"""No port is where it was."""


@dataclass(frozen=True, slots=True)
class State:
    """How the watch stands, for people. `heard` is when the database was last known to live."""

    name: str
    reason: str = ""
    heard: float | None = None
    contested: int = 0


class OvsdbWatch(threading.Thread):
    """The thread that keeps `publish`ed what the database says of the bridge `dpid`.

    `name` is the bridge's, where it is known to be in this database: then without it nobody can
    be certain; else the watch is off until a database with this bridge is found.
    `quiet(since)` is called when no controller has been connected to the bridge at some moment
    later than `since`, and `moved(dpid)`, once, when the bridge of that `name` has another dpid
    now: it was made again.
    """

    def __init__(
        self,
        remote: str,
        dpid: str,
        name: str | None,
        publish: Callable[[Sight], None],
        quiet: Callable[[float], None],
        moved: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name="ovsdb", daemon=True)
        self.settled = threading.Event()  # set once it is clear whether there is a database
        self.state = State("starting")
        self._remote = remote
        self._dpid = dpid
        self._name = name
        self._required = name is not None
        self._publish = publish
        self._quiet = quiet
        self._moved: Callable[[str], None] | None = moved
        self._clock = clock
        self._stopping = threading.Event()
        self._echoes = Echoes()
        self._database: Database | None = None
        self._bridge: Bridge | None = None
        self._absence = Absence()
        self._connection: Connection | None = None
        self._turn = threading.Lock()  # whose turn it is with the connection
        self._looked = float("-inf")  # when a look last read from it
        if self._required:
            publish(NOTHING)

    def report(self, now: float) -> dict[str, str | float | int | None]:
        """How it stands, for /readyz and as gauges."""
        state = self.state
        age = None if state.heard is None else round(now - state.heard, 3)
        return {
            "ovsdb": state.name,
            "ovsdb_reason": state.reason,
            "ovsdb_age_seconds": age,
            "ovsdb_contested_ofports": state.contested,
        }

    def look(self) -> None:
        """Publish what the database says now, on the caller's thread; wait for it a moment only.

        Nothing new is published where it does not answer: what it said last counts for a while.
        """
        with self._turn:
            connection, now = self._connection, self._clock()
            if connection is None or self._database is None or self._is_fresh(now):
                return
            try:
                while not self._is_fresh(now) and self._clock() < now + _LOOK_PATIENCE:
                    self._ask(connection)
                    for message in connection.receive(now + _LOOK_PATIENCE - self._clock()):
                        self._take(connection, message)
            except (OSError, Closed):
                return  # the watching thread finds the same
            except Exception:  # noqa: BLE001 - logged, with its trace
                say(log, events.OVSDB_FAULT, trace=True, url=self._remote)
                self._bridge, self._connection = None, None
                connection.abort()
                return
            self._looked = now
            if not self._is_fresh(now):
                self._show(slow=True)

    def leave(self) -> None:
        """Stop watching, soon."""
        self._stopping.set()

    def run(self) -> None:
        """Watch until told to stop."""
        while not self._stopping.is_set():
            try:
                self._follow()
            except BadRemote as fault:
                self._off(str(fault))
                return
            except (OSError, Closed) as fault:
                self._unreached(fault)
            except (ProtocolError, UpdateError) as fault:
                self._bridge = None
                self._unreached(fault)
            except Exception:  # noqa: BLE001 - logged, with its trace
                self._bridge = None
                say(log, events.OVSDB_FAULT, trace=True, url=self._remote)
                self._stopping.wait(_SEARCH_EVERY)
            self._stopping.wait(_RETRY_EVERY if self._required else _SEARCH_EVERY)

    # -- one connection --------------------------------------------------------------------------

    def _follow(self) -> None:
        self._echoes, self._absence, self._database = Echoes(), Absence(), None
        connection = Connection(self._remote, SILENCE)
        # The server lives, so from here on the rows read before may be behind.
        self._bridge = None
        try:
            requests = {table: [{"columns": list(names)}] for table, names in COLUMNS.items()}
            connection.send(_call("monitor_cond", _MONITOR_ID, ["Open_vSwitch", None, requests]))
            self._connection = connection
            while not self._stopping.is_set():
                if self._clock() < self._looked + _LOOKED:
                    self._stopping.wait(_LOOKED)
                else:
                    connection.wait(self._echoes.due_in(self._clock()))
                with self._turn:
                    if self._echoes.due_in(self._clock()) <= 0.0:
                        self._ask(connection)
                    for message in connection.receive():
                        self._take(connection, message)
                    self._note_silence()
        finally:
            with self._turn:
                self._connection = None
                connection.close()

    def _ask(self, connection: Connection) -> None:
        if self._echoes.waiting_since is None:
            self._echoes.send(self._clock())
            connection.send(_call("echo", "echo", []))

    def _is_fresh(self, now: float) -> bool:
        return self._echoes.answered is not None and self._echoes.answered + FRESH > now

    def _take(self, connection: Connection, message: Message) -> None:
        method, number = message.get("method"), message.get("id")
        if message.get("error") is not None:
            raise ProtocolError(f"{number}: {message['error']}")
        if method == "echo":
            connection.send({"id": number, "result": message.get("params"), "error": None})
        elif method == "update2":
            self._update(message["params"][1])
        elif number == "echo":
            self._echoes.answer()
            self._show()
        elif number == _MONITOR_ID:
            self._database = Database(message["result"])
            self._look()
            self.settled.set()

    def _update(self, changes: Mapping[str, Any]) -> None:
        if self._database is None:
            raise ProtocolError("an update before the answer it updates")
        touched = self._database.update(changes)
        self._look(ports=touched.ports)
        floor = self._echoes.floor
        if floor is not None:
            since = self._absence.sample(self._bridge, touched.refreshed, floor)
            if since is not None:
                self._quiet(since)

    def _look(self, *, ports: bool = True) -> None:
        """Take the bridge anew from the rows, and publish its ports if they may have changed."""
        assert self._database is not None
        before, self._bridge = self._bridge, self._database.bridge(self._dpid)
        self._absence.learn(self._bridge)
        if self._bridge is not None:
            self._required = True
            contested = self._bridge.contested
            if contested and (before is None or before.contested != contested):
                say(log, events.OFPORTS_CONTESTED, ofports=sorted(contested))
        if ports:
            self._show()

    # -- what is published -----------------------------------------------------------------------

    def _show(self, *, slow: bool = False) -> None:
        """Publish what the rows say, good for a while from the last answered echo on.

        Of a server that is `slow` nobody should ask again at once.
        """
        heard = self._echoes.answered
        if self._database is None or heard is None:
            return
        if self._bridge is not None:
            self._say(State("live", heard=heard, contested=len(self._bridge.contested)))
            fresh = self._clock() + _LOOK_PAUSE if slow else heard + FRESH
            self._publish(Sight(self._bridge.ports, heard + SILENCE, fresh))
        elif self._required:
            self._say(State("no-bridge", f"no bridge of dpid {self._dpid} any more", heard))
            self._publish(NOTHING)
            self._look_for_successor(self._database)
        else:
            self._off(f"it has no bridge of dpid {self._dpid}", heard)

    def _look_for_successor(self, database: Database) -> None:
        dpid = None if self._name is None else database.dpid_of(self._name)
        if dpid is not None and self._moved is not None:
            moved, self._moved = self._moved, None
            moved(dpid)

    def _unreached(self, fault: Exception) -> None:
        """What was published stands until its time is over, unless the server is dead."""
        now = self._clock()
        if not self._required:
            self._off(str(fault))
        elif self._bridge is not None and is_proof_of_death(self._remote, fault):
            self._say(State("down", f"last known stays good: {fault}", now))
            self._publish(Sight(self._bridge.ports, now + SILENCE))
        else:
            self._say(State("unreached", str(fault), self.state.heard))
        self.settled.set()

    def _note_silence(self) -> None:
        since = self._echoes.waiting_since
        if since is not None and self._clock() - since > SILENCE and self.state.name != "silent":
            self._say(State("silent", "it does not answer", self.state.heard))

    def _off(self, reason: str, heard: float | None = None) -> None:
        self._say(State("off", reason, heard))
        self._publish(UNCHECKED)
        self.settled.set()

    def _say(self, state: State) -> None:
        """Log a state once, not once an echo."""
        before, self.state = self.state, state
        if (before.name, before.reason) != (state.name, state.reason):
            if state.name == "live":
                say(log, events.OVSDB_CHECKED, url=self._remote)
            else:
                say(log, events.OVSDB_UNCHECKED, url=self._remote, reason=_words(state))


def _words(state: State) -> str:
    name = "ports are not checked against it" if state.name == "off" else state.name
    return f"{name}: {state.reason}"


def _call(method: str, number: str, parameters: list[Any]) -> Message:
    return {"method": method, "id": number, "params": parameters}
