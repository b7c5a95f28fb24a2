"""What the controller sets in the database of its own host, and that it leaves the rest alone."""

from collections.abc import Iterator

import eventlet
import pytest

from lab.dummy_openvswitch import DummyOvs
from ryu_apps.southbound import ovsdb
from ryu_apps.southbound.ovsdb import Database, OvsdbError

LOCAL, REMOTE = "tcp:127.0.0.1:1", "tcp:192.0.2.1:1"


class Host:
    """A bridge as an operator may have left it, and what its database says."""

    def __init__(self, ovs: DummyOvs) -> None:
        self.vsctl = lambda *words: ovs.run("ovs-vsctl", *words).strip()
        self.vsctl("add-br", "brdb", "--", "set-fail-mode", "brdb", "standalone")
        self.vsctl("set-controller", "brdb", LOCAL, REMOTE)
        self.vsctl("add-port", "brdb", "metadb", "--", "set", "interface", "metadb", "type=dummy")
        self.dpid = int(self.get("Bridge", "brdb", "datapath_id"), 16)
        self.database = Database(f"unix:{ovs.directory / 'db.sock'}")

    def get(self, table: str, row: str, *columns: str) -> str:
        """Columns of a row as `ovs-vsctl` tells them."""
        return self.vsctl("get", table, row, *columns).replace('"', "").replace("\n", " ")

    def controller(self, target: str) -> str:
        """The settings of a controller that may matter."""
        find = ("--bare", "--columns=max_backoff,connection_mode", "find", "Controller")
        return self.vsctl(*find, f'target="{target}"').replace("\n", " ")

    def secure(self) -> list[str]:
        """As the switchboard does."""
        bridge = self.database.find_bridge(self.dpid)
        assert bridge is not None
        return self.database.secure(bridge, "metadb")


@pytest.fixture
def host(ovs: DummyOvs) -> Iterator[Host]:
    try:
        yield Host(ovs)
    finally:
        ovs.run("ovs-vsctl", "del-br", "brdb")


def test_a_bridge_is_secured(host: Host):
    (warning,) = host.secure()
    assert f"bridge brdb reaches {REMOTE} in-band" in warning
    assert host.get("Bridge", "brdb", "fail_mode") == "secure"
    assert host.get("Port", "metadb", "vlan_mode", "trunks") == "trunk [4095]"
    assert host.controller(LOCAL) == "1000 out-of-band"
    assert host.controller(REMOTE) == "1000"


def test_what_is_right_is_not_touched(host: Host, monkeypatch: pytest.MonkeyPatch):
    """Open vSwitch looks at every port of a bridge again when a column of it changes."""
    host.secure()
    asked = []
    transact = ovsdb._transact

    def watched(url: str, *operations: dict) -> list[dict]:
        asked.extend(operation["op"] for operation in operations)
        return transact(url, *operations)

    monkeypatch.setattr(ovsdb, "_transact", watched)
    host.secure()
    assert asked == ["select"] * 3


def test_a_bridge_without_a_meta_port_is_secured_too(host: Host):
    host.vsctl("set-controller", "brdb", LOCAL)
    host.vsctl("set", "Controller", "brdb", "max_backoff=8000", "connection_mode=out-of-band")
    host.vsctl("del-port", "metadb")
    assert host.secure() == []
    assert host.controller(LOCAL) == "1000 out-of-band"


def test_a_bridge_of_another_host_is_not_found(host: Host):
    assert host.database.find_bridge(host.dpid ^ 1) is None


def test_many_who_ask_at_once_share_a_reading(host: Host, monkeypatch: pytest.MonkeyPatch):
    """One that has begun before they asked is not theirs: it may be older than what they know."""
    read, readings = host.database._read, []

    def slowly() -> object:
        readings.append(None)
        eventlet.sleep(0.05)
        return read()

    monkeypatch.setattr(host.database, "_read", slowly)
    threads = [eventlet.spawn(host.database.find_bridge, host.dpid + n) for n in range(20)]
    found = [thread.wait() for thread in threads]
    assert [bridge.name for bridge in found if bridge] == ["brdb"]
    assert len(readings) == 2


def test_a_database_that_is_not_there():
    with pytest.raises(OvsdbError, match="transact unix:/nowhere"):
        Database("unix:/nowhere").find_bridge(1)


def test_a_refusal_says_what_the_database_says(host: Host):
    with pytest.raises(OvsdbError, match="fail_mod is not a valid column name"):
        ovsdb._transact(host.database._url, ovsdb._select("Bridge", ("fail_mod",)))
