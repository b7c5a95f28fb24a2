"""The Interface table of a switch's database, followed with Open vSwitch's own IDL. Shell."""

import time

import ovs.db.idl
import ovs.poller

from ryu_apps.dropletctl.ovsdb_source.wanted import ID, Interface

_TEXT = {"type": "string"}
_MAP = {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}
# Of the schema only what is read; the IDL asks for no more, and the server has the rest.
_SCHEMA = {
    "name": "Open_vSwitch",
    "version": "1.0.0",
    "tables": {
        "Open_vSwitch": {"columns": {"external_ids": _MAP}, "isRoot": True},
        "Interface": {"columns": {"name": _TEXT, "external_ids": _MAP}, "isRoot": True},
    },
}
_SYSTEM_ID = "system-id"


class Interfaces:
    """The interfaces of the database at `remote`, unix:PATH or as ovs-vsctl takes it."""

    def __init__(self, remote: str) -> None:
        helper = ovs.db.idl.SchemaHelper(schema_json=_SCHEMA)
        helper.register_all()
        self._idl = ovs.db.idl.Idl(remote, helper)
        self._seen = 0

    def wait(self, seconds: float) -> bool:
        """Wait for news at most so long; whether there are any."""
        until = time.monotonic() + seconds
        while True:
            self._idl.run()
            if self._idl.change_seqno != self._seen:
                self._seen = self._idl.change_seqno
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            poller = ovs.poller.Poller()
            self._idl.wait(poller)
            poller.timer_wait(int(left * 1000) + 1)
            poller.block()

    @property
    def is_known(self) -> bool:
        """Whether the database was read; what was read stays while it is away."""
        return self._idl.has_ever_connected()

    def system_id(self) -> str | None:
        """The host's name for itself, kept in the database."""
        for row in self._idl.tables["Open_vSwitch"].rows.values():
            return row.external_ids.get(_SYSTEM_ID)
        return None

    def droplets(self) -> list[Interface]:
        """Those that name a droplet."""
        rows = self._idl.tables["Interface"].rows.values()
        return [Interface(row.name, row.external_ids) for row in rows if ID in row.external_ids]
