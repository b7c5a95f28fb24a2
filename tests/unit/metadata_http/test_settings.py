"""[metadata_http] as read from a file: defaults, and errors that name what is wrong and where."""

from pathlib import Path

import pytest

from metadata_http.settings import Address, SettingsError, load


def write(folder, text):
    file = folder / "metadata.conf"
    file.write_text(text)
    return file


def test_defaults_need_no_file():
    settings = load(None)
    assert settings.listen == Address("169.254.169.254", 80)
    assert settings.admin_listen == Address("127.0.0.1", 9180)
    assert settings.controller_urls == ("http://127.0.0.1:8080",)
    assert (settings.bridge, settings.dpid, settings.token) == ("br0", None, None)
    assert settings.tokens_file == Path("/var/lib/ovs-metadata/tokens")
    dpid = "00000000000000a1"
    assert settings.snapshot_path(dpid) == Path(f"/var/lib/ovs-metadata/snapshot-{dpid}")


def test_one_file_serves_both_processes(tmp_path):
    file = write(
        tmp_path,
        "[metadata]\nstate_dir = /s\nmeta_port_name = meta0\n[bridge:00000000000000a1]\nx = y\n"
        "[metadata_http]\nlisten = 127.0.0.1:8081\ndpid = 00000000000000A1\n"
        "controller_urls = https://a:1, http://b:2/\n",
    )
    settings = load(file)
    assert settings.listen == Address("127.0.0.1", 8081)
    assert settings.dpid == "00000000000000a1"
    assert settings.controller_urls == ("https://a:1", "http://b:2")
    assert settings.tokens_file == Path("/s/tokens")


def test_formats_in_whatever_order_they_are_named(tmp_path):
    assert load(None).formats == ("digitalocean",)
    file = write(tmp_path, "[metadata_http]\nformats = openstack , digitalocean,openstack\n")
    assert load(file).formats == ("digitalocean", "openstack")


def test_the_controllers_tokens_file_is_ours_unless_we_have_one(tmp_path):
    both = "[metadata]\ntokens_file = /theirs\n[metadata_http]\ntokens_file = /ours\n"
    assert load(write(tmp_path, both)).tokens_file == Path("/ours")
    assert load(write(tmp_path, "[metadata]\ntokens_file = /theirs\n")).tokens_file == Path(
        "/theirs"
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("listen", "169.254.169.254"),
        ("listen", "localhost:80"),
        ("listen", "127.0.0.1:65536"),
        ("listen", "127.0.0.1:-1"),
        ("admin_listen", "0.0.0.0:9180"),
        ("admin_listen", "169.254.169.254:9180"),
        ("admin_listen", "192.0.2.1:9180"),
        ("dpid", "1"),
        ("dpid", "000000000000000g"),
        ("controller_urls", "ftp://a"),
        ("controller_urls", "10.0.0.1:8080"),
        ("workers", "0"),
        ("workers", "many"),
        ("header_timeout", "0"),
        ("unknown_droplet_grace", "-1"),
        ("log_level", "loud"),
        ("formats", "azure"),
        ("formats", ","),
        ("max_waits", "0"),
        ("longest_wait", "3601"),
    ],
)
def test_a_bad_value_names_the_option_the_value_and_the_file(tmp_path, option, value):
    file = write(tmp_path, f"[metadata_http]\n{option} = {value}\n")
    with pytest.raises(SettingsError) as fault:
        load(file)
    for part in (option, value, str(file)):
        assert part in str(fault.value)


def test_an_option_that_does_not_exist_is_an_error(tmp_path):
    file = write(tmp_path, "[metadata_http]\nlissten = 127.0.0.1:80\n")
    with pytest.raises(SettingsError, match=r"lissten .*did you mean listen\?"):
        load(file)


@pytest.mark.parametrize("section", ["metadata-http", "metadat_http"])
def test_a_section_that_is_nearly_ours_is_an_error(tmp_path, section):
    file = write(tmp_path, f"[{section}]\nlisten = 127.0.0.1:80\n[oslo_messaging]\nx = 1\n")
    with pytest.raises(SettingsError, match=rf"\[{section}\] .*did you mean \[metadata_http\]"):
        load(file)


@pytest.mark.parametrize("text", ["no section\n", "[metadata_http\n"])
def test_a_file_that_is_no_ini_file(tmp_path, text):
    file = write(tmp_path, text)
    with pytest.raises(SettingsError, match=str(file)):
        load(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="absent"):
        load(tmp_path / "absent")
