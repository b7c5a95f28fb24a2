"""The controller's options: defaults, per-bridge sections, and errors that name the culprit."""

import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from oslo_config import cfg

from ryu_apps.pipeline.layout import BridgeSettings, Pipeline
from ryu_apps.settings import (
    BRIDGE_OPTIONS,
    OPTIONS,
    RYU_OPTIONS,
    Settings,
    SettingsError,
    read_settings,
    require_protected,
)

DPID = "00003ab7a35fc341"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ovs-metadata.conf"


def read(file: Path, text: str) -> Settings:
    """The settings of a process that was given this file."""
    file.write_text(text, encoding="utf-8")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(file)], project="test", default_config_files=[])
    return read_settings(conf)


DEFAULTS = BridgeSettings(meter_pps=2000, meter_burst=4000)


def test_the_defaults_are_the_documented_ones(file: Path):
    settings = read(file, "")
    assert settings.state_dir == "/var/lib/ovs-metadata"
    assert settings.registry_url == "sqlite:////var/lib/ovs-metadata/registry.db"
    assert settings.tokens_file == "/var/lib/ovs-metadata/tokens"
    assert settings.ovsdb == "unix:/var/run/openvswitch/db.sock"
    assert settings.default_bridge == DEFAULTS
    assert settings.bridge(0xAA) is settings.default_bridge


def test_without_a_file_there_are_defaults_too():
    conf = cfg.ConfigOpts()
    conf([], project="test", default_config_files=[])
    assert read_settings(conf).default_bridge == DEFAULTS


def test_every_option_of_a_bridge_goes_through(file: Path):
    settings = read(
        file,
        """
        [metadata]
        metadata_ip = 169.254.42.42
        metadata_port = 8775
        meta_port_name = md0
        hv_local_subnet = 198.18.0.0/22
        zone_base = 5000
        pipeline = embedded
        arp_responder_table = 11
        classifier_table = 12
        l2_rewrite_table = 13
        forwarding_table = 14
        cookie = 0x77
        droplet_port_names = tap*, vnet?
        """.replace("        ", ""),
    )
    bridge = settings.default_bridge
    assert bridge.metadata_ip == IPv4Address("169.254.42.42")
    assert bridge.metadata_port == 8775
    assert bridge.meta_port_name == "md0"
    assert bridge.addressing.hv_local_subnet == IPv4Network("198.18.0.0/22")
    assert bridge.addressing.zone_base == 5000
    assert bridge.pipeline is Pipeline.EMBEDDED
    tables = bridge.tables
    assert (tables.arp_responder, tables.classifier) == (11, 12)
    assert (tables.l2_rewrite, tables.forwarding) == (13, 14)
    assert bridge.cookie.mark == 0x77
    assert bridge.droplet_port_names == ("tap*", "vnet?")


def test_a_file_s_state_dir_moves_what_lies_in_it(file: Path):
    settings = read(file, "[metadata]\nstate_dir = /srv/md\n")
    assert settings.registry_url == "sqlite:////srv/md/registry.db"
    assert settings.tokens_file == "/srv/md/tokens"


def test_a_bridge_s_section_overrides_some_of_it(file: Path):
    settings = read(
        file,
        "[metadata]\nmeta_port_name = md0\nmetadata_port = 8775\n"
        f"[bridge:{DPID}]\nhv_local_subnet = 100.126.0.0/16\nmetadata_port = 80\n",
    )
    bridge = settings.bridge(int(DPID, 16))
    assert bridge.addressing.hv_local_subnet == IPv4Network("100.126.0.0/16")
    assert (bridge.meta_port_name, bridge.metadata_port) == ("md0", 80)
    assert settings.bridge(1).addressing.hv_local_subnet == IPv4Network("100.127.0.0/16")
    assert settings.bridge(1).metadata_port == 8775


@pytest.mark.parametrize(
    ("line", "complaints"),
    [
        ("metadata_ip = 169.254.169.256", ["metadata_ip", "169.254.169.256"]),
        ("metadata_port = 0", ["metadata_port", "0"]),
        ("metadata_port = http", ["metadata_port", "http"]),
        ("hv_local_subnet = 100.127.0.1/16", ["hv_local_subnet", "100.127.0.1/16", "host bits"]),
        ("hv_local_subnet = 100.127.0.0/31", ["hv_local_subnet", "100.127.0.0/31"]),
        ("hv_local_subnet = 169.254.0.0/16", ["metadata_ip", "169.254.169.254"]),
        ("zone_base = 65535", ["zone_base", "65535"]),
        ("zone_base = -1", ["zone_base", "-1"]),
        ("pipeline = parallel", ["pipeline", "parallel"]),
        ("classifier_table = 7", ["classifier_table", "7", "standalone"]),
        ("l2_rewrite_table = 254", ["l2_rewrite_table", "254"]),
        ("forwarding_table = 25", ["l2_rewrite_table and forwarding_table", "25"]),
        ("cookie = 0x10000", ["cookie", "0x10000"]),
        ("cookie = zero", ["cookie", "zero"]),
        ("zone_bass = 1", ["zone_bass", "no such option", "did you mean zone_base?"]),
    ],
)
@pytest.mark.parametrize("section", ["metadata", f"bridge:{DPID}"])
def test_a_bad_value_is_named_with_its_option_and_file(
    file: Path, section: str, line: str, complaints: list[str]
):
    with pytest.raises(SettingsError) as refused:
        read(file, f"[{section}]\n{line}\n")
    for complaint in [*complaints, str(file), section]:
        assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("line", "complaints"),
    [
        ("nameservers = one.example", ["nameservers", "one.example"]),
        ("registry_url = sqlite:///$nowhere/x", ["registry_url", "$nowhere"]),
        ("state-dir = /tmp", ["state-dir", "no such option", "did you mean state_dir?"]),
        ("listen = 127.0.0.1:80", ["listen", "no such option"]),
    ],
)
def test_a_bad_value_of_the_controller_alone_is_named_likewise(
    file: Path, line: str, complaints: list[str]
):
    with pytest.raises(SettingsError) as refused:
        read(file, f"[metadata]\n{line}\n")
    for complaint in [*complaints, str(file), "[metadata]"]:
        assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("section", "meant"),
    [
        *(("metadta", "metadata"), ("Metadata", "metadata")),
        *(("metadata-http", "metadata_http"), ("metadat_http", "metadata_http")),
    ],
)
def test_a_section_that_is_nearly_one_of_ours_is_no_other_s(file: Path, section: str, meant: str):
    with pytest.raises(SettingsError, match=rf"\[{section}\] .*did you mean {meant}\?"):
        read(file, f"[{section}]\nstate_dir = /tmp\n")
    read(file, "[oslo_messaging]\nx = 1\n[metadata_http]\nlisten = 127.0.0.1:80\n")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("wsapi-port", "wsapi_port"), ("wsapi_prot", "wsapi_port"), ("wsapi_hots", "wsapi_host")),
        *(("ofp-tcp-listen-port", "ofp_tcp_listen_port"), ("ctl-cert", "ctl_cert")),
    ],
)
def test_an_option_of_ryu_that_says_where_we_are_is_not_misspelt_unnoticed(
    file: Path, name: str, meant: str
):
    with pytest.raises(SettingsError, match=rf"\[DEFAULT\] {name}: .*did you mean {meant}\?"):
        read(file, f"[DEFAULT]\n{name} = 1\n")


def test_every_option_that_ryu_has_may_be_set(file: Path):
    """As ryu-manager registers them, in a process of its own: Ryu is not for this one."""
    program = (
        "import ryu.cmd.manager, ryu.controller.controller, ryu.app.wsgi, ryu.log\n"
        "from ryu import cfg\n"
        "print(*cfg.CONF)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    of_any = cfg.ConfigOpts()
    of_any([], project="test", default_config_files=[])
    names = set(done.stdout.split()) - set(of_any)
    assert set(RYU_OPTIONS) <= set(names)
    read(file, "[DEFAULT]\n" + "".join(f"{name} = 1\n" for name in names))


def test_an_option_that_is_like_none_is_told_without_a_guess(file: Path):
    with pytest.raises(SettingsError) as refused:
        read(file, "[metadata]\nxyzzy = 1\n")
    assert "did you mean" not in str(refused.value)


def test_an_option_of_one_bridge_is_none_of_all(file: Path):
    with pytest.raises(SettingsError, match="state_dir: there is no such option"):
        read(file, f"[bridge:{DPID}]\nstate_dir = /tmp\n")


@pytest.mark.parametrize("section", ["bridge:br0", "bridge:AA", "bridge", f"bridge:{DPID.upper()}"])
def test_a_section_that_names_no_switch_is_refused(file: Path, section: str):
    with pytest.raises(SettingsError) as refused:
        read(file, f"[{section}]\nzone_base = 1\n")
    assert f"[{section}]" in str(refused.value)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("rest_certificate = /c.pem", "rest_key"),
        ("rest_key = /k.pem", "rest_certificate"),
        ("rest_client_ca = /a.pem", "rest_certificate"),
    ],
)
def test_tls_for_rest_is_whole_or_refused(file: Path, line: str, needed: str):
    with pytest.raises(SettingsError) as refused:
        read(file, f"[metadata]\n{line}\n")
    assert f"{line}: is nothing without {needed}" in str(refused.value)
    assert str(file) in str(refused.value)


PLAIN, ALLOWED = "", "rest_allow_plain = true"
SECURE = "rest_certificate = /c.pem\nrest_key = /k.pem"


@pytest.mark.parametrize(
    ("host", "options", "good"),
    [
        *((host, PLAIN, True) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")),
        ("/run/rest.sock", PLAIN, True),
        *((host, PLAIN, False) for host in ("0.0.0.0", "::", "10.0.0.1", "fe80::1", "hv", "")),
        *((host, PLAIN, False) for host in ("127.1", "localhost.example", "169.254.169.254")),
        *(("0.0.0.0", options, True) for options in (ALLOWED, SECURE)),
    ],
)
def test_plain_rest_is_for_this_host_alone(file: Path, host: str, options: str, good: bool):
    file.write_text(f"[DEFAULT]\nwsapi_host = {host}\n[metadata]\n{options}\n", encoding="utf-8")
    conf = cfg.ConfigOpts()
    conf.register_cli_opts([cfg.StrOpt("wsapi-host", default="127.0.0.1")])
    conf(["--config-file", str(file)], project="test", default_config_files=[])
    settings = read_settings(conf)
    if good:
        require_protected(conf, settings.rest)
        return
    with pytest.raises(SettingsError) as refused:
        require_protected(conf, settings.rest)
    for word in (f"wsapi_host = {host} (from {file})", "rest_allow_plain = true", "rest_key"):
        assert word in str(refused.value)


def test_other_sections_are_left_to_others(file: Path):
    settings = read(file, "[metadata_http]\nlisten = 127.0.0.1:80\n[DEFAULT]\nverbose = true\n")
    assert settings.bridges == {}


def test_every_option_says_what_it_is_for():
    for option in [*OPTIONS, *BRIDGE_OPTIONS]:
        assert option.help, option.name
        assert option.help.endswith("."), option.name
    assert [option for option in BRIDGE_OPTIONS if option not in OPTIONS] == []
