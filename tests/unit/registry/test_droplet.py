"""Documents of droplets: what is taken, what is refused, and with which words at which place."""

import base64

import pytest

from ryu_apps.registry.droplet import Droplet, Port, decode_stored, read_droplet
from ryu_apps.registry.faults import MAX_FAULTS, InvalidDocument

PORT = {"name": "tapext7889371", "mac": "a6:a4:8e:4a:e8:70"}
ID = 7889371


def document(**members):
    return {"ports": [PORT], "metadata": {"region": "nyc3"}} | members


def port(**members):
    return document(ports=[PORT | members])


def faults(given, droplet_id=ID, **options):
    with pytest.raises(InvalidDocument) as refused:
        read_droplet(given, droplet_id, **options)
    return {(fault.pointer, fault.reason) for fault in refused.value.faults}


def places(given, droplet_id=ID):
    return {pointer for pointer, _ in faults(given, droplet_id)}


def test_the_specifications_example_is_read():
    given = document(droplet_id=ID, user_data_base64="AP8=")
    assert read_droplet(given, ID) == Droplet(
        ID,
        (Port("tapext7889371", "a6:a4:8e:4a:e8:70"),),
        {"region": "nyc3", "public_keys": []},
        "AP8=",
    )


@pytest.mark.parametrize("droplet_id", [1, 2**32 - 1])
def test_ids_that_fit_ct_mark_are_taken(droplet_id):
    assert read_droplet(document(), droplet_id).droplet_id == droplet_id


@pytest.mark.parametrize("droplet_id", [0, -1, 2**32])
def test_ids_that_do_not_fit_ct_mark_are_refused(droplet_id):
    assert places(document(), droplet_id) == {"/droplet_id"}
    assert "/droplet_id" in places(document(droplet_id=droplet_id), None)


@pytest.mark.parametrize("given", ["7889371", None, True, 7889371.0, 5])
def test_an_id_in_the_document_must_be_the_number_of_the_path(given):
    assert places(document(droplet_id=given)) == {"/droplet_id"}


def test_a_document_of_a_batch_must_name_its_id():
    assert places(document(), None) == {"/droplet_id"}
    assert read_droplet(document(droplet_id=9), None).droplet_id == 9


@pytest.mark.parametrize("given", [None, [], "x", 1, True])
def test_a_droplet_is_an_object(given):
    assert places(given) == {""}


def test_unknown_keys_are_refused_but_kept_inside_metadata():
    assert places(document(colour="red", **{"a/b~": 1})) == {"/colour", "/a~1b~0"}
    kept = read_droplet(document(metadata={"region": "r", "colour": None}), ID)
    assert kept.metadata["colour"] is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is empty"),
        ("x" * 16, "longer than 15 bytes"),
        ("tap 1", "printable ASCII"),
        ("tap\t1", "printable ASCII"),
        ("tapé", "printable ASCII"),
        ("a/b", "no name of a network device"),
        (".", "no name of a network device"),
        ("..", "no name of a network device"),
        (7, "must be a string, not a number"),
        (None, "must be a string, not null"),
    ],
)
def test_port_names_no_device_can_have_are_refused(name, words):
    ((pointer, reason),) = faults(port(name=name))
    assert pointer == "/ports/0/name"
    assert words in reason


@pytest.mark.parametrize("name", ["x", "x" * 15, "tap-1.2_3:4@", "~!"])
def test_port_names_a_device_can_have_are_taken(name):
    assert read_droplet(port(name=name), ID).ports[0].name == name


def test_a_name_too_long_in_bytes_says_both_faults():
    assert len(faults(port(name="é" * 8))) == 2


@pytest.mark.parametrize(
    ("mac", "words"),
    [
        ("01:00:5e:00:00:01", "multicast"),
        ("ff:ff:ff:ff:ff:ff", "multicast"),
        ("00:00:00:00:00:00", "zero MAC"),
        ("a6:a4:8e:4a:e8", "no MAC"),
        ("a6-a4-8e-4a-e8-70", "no MAC"),
        ("a6:a4:8e:4a:e8:7g", "no MAC"),
        ("a6:a4:8e:4a:e8:70\n", "no MAC"),
        ("", "no MAC"),
        (5, "no MAC"),
        (None, "missing"),
    ],
)
def test_macs_no_nic_can_have_are_refused(mac, words):
    ((pointer, reason),) = faults(port(mac=mac))
    assert pointer == "/ports/0/mac"
    assert words in reason


def test_an_upper_case_mac_becomes_lower_case():
    assert read_droplet(port(mac="A6:A4:8E:4A:E8:70"), ID).ports[0].mac == "a6:a4:8e:4a:e8:70"


def test_a_dpid_is_sixteen_hex_digits():
    assert read_droplet(port(dpid="000000000000ABCD"), ID).ports[0].dpid == 0xABCD
    assert read_droplet(port(dpid=None), ID).ports[0].dpid is None
    for wrong in ("abcd", 5, "0x00000000000abc", ""):
        assert places(port(dpid=wrong)) == {"/ports/0/dpid"}


def test_ports_are_required_and_known_but_may_be_none():
    assert places({"metadata": {"region": "r"}}) == {"/ports"}
    assert places(document(ports=None)) == {"/ports"}
    assert places(document(ports=[7, {}])) == {"/ports/0", "/ports/1/name", "/ports/1/mac"}
    assert places(port(speed=10)) == {"/ports/0/speed"}
    assert places(document(ports=[PORT | {"name": f"t{n}"} for n in range(65)])) == {"/ports"}
    assert read_droplet(document(ports=[]), ID).ports == ()


def test_a_port_name_twice_in_one_document_is_refused_even_on_two_switches():
    twice = [PORT, PORT | {"name": "other"}, PORT | {"dpid": "0" * 16}]
    ((pointer, reason),) = faults(document(ports=twice))
    assert (pointer, reason) == ("/ports/2/name", '"tapext7889371" is named twice, first by port 0')


@pytest.mark.parametrize(
    "metadata", [{"region": "r", "user_data": "text"}, {"region": "r", "user_data": ""}]
)
def test_user_data_is_given_once(metadata):
    given = document(metadata=metadata, user_data_base64="AP8=")
    assert places(given) == {"/user_data_base64"}


def test_user_data_null_is_none_given():
    given = document(metadata={"region": "r", "user_data": None}, user_data_base64="AP8=")
    droplet = read_droplet(given, ID)
    assert (droplet.user_data_base64, "user_data" in droplet.metadata) == ("AP8=", False)


@pytest.mark.parametrize("given", ["A", "AP8", "%%%%", "AP8=AP8=", "_-8=", 5, ["AP8="]])
def test_what_is_no_base64_is_refused(given):
    assert places(document(user_data_base64=given)) == {"/user_data_base64"}


def test_base64_as_the_command_wraps_it_is_taken():
    data = bytes(range(256))
    wrapped = base64.encodebytes(data).decode()
    droplet = read_droplet(document(user_data_base64=wrapped), ID)
    assert base64.b64decode(droplet.user_data_base64) == data
    assert "\n" not in droplet.user_data_base64


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (["digitalocean"], ("digitalocean",)),
        (["openstack", "ec2", "digitalocean"], ("digitalocean", "ec2", "openstack")),
        (["ec2", "ec2"], ("ec2",)),
    ],
)
def test_formats_are_some_of_those_there_are(given, expected):
    droplet = read_droplet(document(formats=given), ID)
    assert droplet.formats == expected
    assert decode_stored(droplet.encode()) == droplet == read_droplet(droplet.document(), ID)


@pytest.mark.parametrize(
    ("given", "places_"),
    [
        ([], {"/formats"}),
        ("ec2", {"/formats"}),
        (5, {"/formats"}),
        ({"ec2": True}, {"/formats"}),
        (["ec2", "gce", None, ["ec2"]], {"/formats/1", "/formats/2", "/formats/3"}),
    ],
)
def test_other_formats_are_refused(given, places_):
    assert places(document(formats=given)) == places_


@pytest.mark.parametrize("given", [None, {}, {"agent": {"dotty_status": "running"}}, "x"])
def test_a_status_is_passed_over(given):
    assert read_droplet(document(status=given), ID) == read_droplet(document(), ID)


def test_every_fault_is_reported_at_once_and_their_number_is_bounded():
    given = {
        "size": 1,
        "ports": [{"name": "a b", "mac": "01:00:00:00:00:00"}],
        "metadata": {"droplet_id": "x", "interfaces": {"public": [{"mac": "zz"}]}},
        "user_data_base64": "%",
    }
    assert places(given) == {
        "/size",
        "/ports/0/name",
        "/ports/0/mac",
        "/metadata/droplet_id",
        "/metadata/region",
        "/metadata/interfaces/public/0/mac",
        "/user_data_base64",
    }
    with pytest.raises(InvalidDocument) as refused:
        read_droplet(document(**{f"k{n}": 1 for n in range(MAX_FAULTS + 7)}), ID)
    assert (len(refused.value.faults), refused.value.omitted) == (MAX_FAULTS, 7)


def test_no_secret_is_repeated_in_a_refusal():
    secret = "S3CR3T"
    given = document(
        metadata={
            "user_data": [secret],
            "vendor_data": {"a": secret},
            "public_keys": [secret + "\nx", {"k": secret}],
            "auth_key": secret + "\n",
            "dotty_keys": [secret],
        },
        user_data_base64=secret,
    )
    with pytest.raises(InvalidDocument) as refused:
        read_droplet(given, ID)
    assert len(refused.value.faults) >= 7
    assert secret not in str(refused.value)


def test_what_is_stored_is_read_back_equal():
    given = document(
        ports=[PORT, {"name": "tap2", "mac": "02:00:00:00:00:02", "dpid": "00000000000000ff"}],
        metadata={"region": "nyc3", "hostname": "h", "tags": ["b", "a", "b"], "x": {"é": [1.5]}},
        user_data_base64="AP8=",
    )
    droplet = read_droplet(given, ID)
    assert decode_stored(droplet.encode()) == droplet
    assert read_droplet(droplet.document(), ID) == droplet
    assert droplet.tags == ("b", "a")
    assert droplet.region == "nyc3"
