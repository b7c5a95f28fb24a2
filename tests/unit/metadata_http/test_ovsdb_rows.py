"""Rows of the database as ovsdb-server sends them -> what is at which ofport."""

import pytest

from metadata_http.ovsdb_rows import Bridge, ControllerRow, Database, UpdateError

DPID = "00000000000000a1"
EMPTY = ["set", []]


def refs(*uuids):
    """References as the wire has them: one alone is no set."""
    pairs = [["uuid", uuid] for uuid in uuids]
    return pairs[0] if len(pairs) == 1 else ["set", pairs]


def initial(*interfaces, controller=EMPTY, controllers=None):
    """A bridge with a port for each (name, ofport, ofport_request)."""
    names = [name for name, _, _ in interfaces]
    bridge = {"datapath_id": DPID, "ports": refs(*(f"p-{n}" for n in names))}
    return {
        "Bridge": {"b": {"initial": {**bridge, "controller": controller}}},
        "Port": {f"p-{n}": {"initial": {"interfaces": refs(f"i-{n}")}} for n in names},
        "Interface": {
            f"i-{name}": {
                "initial": {
                    "name": name,
                    **({} if ofport is None else {"ofport": ofport}),
                    **({} if asked is None else {"ofport_request": asked}),
                }
            }
            for name, ofport, asked in interfaces
        },
        "Controller": controllers or {},
    }


def bridge(*interfaces, **options):
    return Database(initial(*interfaces, **options)).bridge(DPID)


def test_ports_by_ofport():
    found = bridge(("tap1", 1, None), ("tap2", 602, 602))
    assert found == Bridge({1: "tap1", 602: "tap2"})


def test_the_dpid_of_a_bridge_by_its_name():
    database = Database({"Bridge": {"b": {"initial": {"name": "br0", "datapath_id": EMPTY}}}})
    assert database.dpid_of("br0") is None
    database.update({"Bridge": {"b": {"modify": {"datapath_id": DPID}}}})
    assert database.dpid_of("br0") == DPID
    assert database.dpid_of("br1") is None
    database.update({"Bridge": {"b": {"delete": None}}})
    assert database.dpid_of("br0") is None


def test_a_bridge_that_is_not_there():
    assert Database(initial(("tap1", 1, None))).bridge("00000000000000a2") is None
    assert Database({}).bridge(DPID) is None


@pytest.mark.parametrize("ofport", [None, EMPTY, -1])
def test_an_interface_without_an_ofport_is_nowhere(ofport):
    assert bridge(("tap1", ofport, None), ("tap2", 2, None)).ports == {2: "tap2"}


@pytest.mark.parametrize("own", [None, 1])
def test_an_ofport_another_asks_for_is_in_doubt_until_it_was_answered(own):
    database = Database(initial(("tap1", 1, own), ("tap2", 2, None)))
    database.update({"Interface": {"i-tap2": {"modify": {"ofport_request": 1}}}})
    found = database.bridge(DPID)
    assert (found.ports, found.contested) == ({2: "tap2"}, {1})
    database.update({"Interface": {"i-tap2": {"modify": {"ofport": 20}}}})
    found = database.bridge(DPID)
    assert (found.ports, found.contested) == ({1: "tap1", 20: "tap2"}, frozenset())


def test_one_that_comes_and_asks_is_answered_by_its_ofport():
    """It got another one than it asked for, and goes on asking: that takes nothing from anybody."""
    database = Database(initial(("tap1", 1, None), ("tap2", None, 1)))
    assert database.bridge(DPID).contested == {1}
    database.update({"Interface": {"i-tap2": {"modify": {"ofport": 20}}}})
    assert database.bridge(DPID).ports == {1: "tap1", 20: "tap2"}
    assert bridge(("tap1", 1, None), ("tap2", 20, 1)).ports == {1: "tap1", 20: "tap2"}


def test_a_free_ofport_that_is_asked_for_is_nobodys():
    database = Database(initial(("tap1", 1, None), ("tap2", 2, None)))
    database.update({"Interface": {"i-tap2": {"modify": {"ofport_request": 3}}}})
    found = database.bridge(DPID)
    assert (found.ports, found.contested) == ({1: "tap1", 2: "tap2"}, frozenset())


def test_two_at_one_ofport_are_both_in_doubt():
    found = bridge(("tap1", 1, None), ("tap2", 1, None))
    assert (found.ports, found.contested) == ({}, {1})


def test_a_port_of_several_interfaces():
    rows = initial(("tap1", 1, None))
    rows["Port"]["p-tap1"]["initial"]["interfaces"] = refs("i-tap1", "i-tap2")
    rows["Interface"]["i-tap2"] = {"initial": {"name": "tap2", "ofport": 2}}
    assert Database(rows).bridge(DPID).ports == {1: "tap1", 2: "tap2"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("vhost-user-00001", "vhost-user-0000"),
        ("tap-ä", "tap-\\xc3\\xa4"),
        ("fourteen-bytesä", "fourteen-bytes"),
    ],
)
def test_names_are_as_openflow_has_them(name, shown):
    assert bridge((name, 1, None), ("x", 2, None)).ports[1] == shown


def test_an_update_replaces_a_port():
    database = Database(initial(("tap1", 1, None), ("tap2", 2, None)))
    touched = database.update(
        {
            "Bridge": {"b": {"modify": {"ports": refs("p-tap1", "p-tap3")}}},
            "Port": {
                "p-tap1": {"delete": None},
                "p-tap3": {"insert": {"interfaces": refs("i-tap3")}},
            },
            "Interface": {
                "i-tap1": {"delete": None},
                "i-tap3": {"insert": {"name": "tap3", "ofport_request": 1}},
            },
        }
    )
    assert touched.ports
    assert database.bridge(DPID).ports == {2: "tap2"}
    database.update({"Interface": {"i-tap3": {"modify": {"ofport": 1}}}})
    assert database.bridge(DPID).ports == {1: "tap3", 2: "tap2"}
    database.update({"Interface": {"i-tap3": {"modify": {"ofport": EMPTY}}}})
    assert database.bridge(DPID).ports == {2: "tap2"}


def test_controllers_and_what_was_refreshed():
    row = {"c": {"initial": {"target": "tcp:192.0.2.1:6653", "is_connected": True}}}
    database = Database(initial(("tap1", 1, None), controller=refs("c"), controllers=row))
    assert database.bridge(DPID).controllers == (ControllerRow("c", "tcp:192.0.2.1:6653", True),)
    status = ["map", [["state", "BACKOFF"]]]
    touched = database.update(
        {"Controller": {"c": {"modify": {"is_connected": False, "status": status}}}}
    )
    assert (touched.ports, touched.refreshed) == (False, {"c"})
    assert not database.bridge(DPID).controllers[0].connected
    assert database.update({"Controller": {"c": {"modify": {"target": "x"}}}}).refreshed == set()


@pytest.mark.parametrize("target", ["ptcp:6653", "punix:/x", "pssl:1"])
def test_whether_a_passive_controller_is_there_is_not_known(target):
    assert ControllerRow("c", target, False).passive


@pytest.mark.parametrize(
    "changes",
    [
        [],
        {"Flow": {"x": {"insert": {}}}},
        {"Port": {"x": {"rename": {}}}},
        {"Port": {"unknown": {"modify": {"interfaces": refs("i")}}}},
        {"Port": {"x": {"insert": {"interfaces": 7}}}},
        {"Port": {"x": {"insert": {"interfaces": ["list", []]}}}},
        {"Interface": {"x": {"insert": {"ofport": ["set", [1, 2]]}}}},
        {"Interface": {"x": {}}},
    ],
)
def test_nonsense_is_refused(changes):
    with pytest.raises(UpdateError):
        Database({}).update(changes)
