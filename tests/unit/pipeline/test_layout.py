"""Tables, cookies and the settings of a bridge: what they refuse, and how a cookie reads."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ryu_apps.pipeline.layout import BridgeSettings, CookieMark, Pipeline, Tables


def test_a_cookie_reads_mark_ofport_droplet():
    mark = CookieMark()
    assert mark.of_port(602, 7889371) == 0x6D64_025A_0078_61DB
    assert mark.of_port(602) == 0x6D64_025A_0000_0000
    assert mark.shared == 0x6D64_0000_0000_0000
    assert CookieMark.owner(0x6D64_025A_0078_61DB) == (602, 7889371)
    assert CookieMark.owner(mark.shared) == (0, 0)


@pytest.mark.parametrize("ofport", [1, 255, 256, 602, 32768, 65279])
@pytest.mark.parametrize("droplet_id", [0, 1, 7889371, 2**32 - 1])
def test_every_cookie_carries_the_mark(ofport: int, droplet_id: int):
    cookie = CookieMark(0xFFFF).of_port(ofport, droplet_id)
    assert cookie & CookieMark.MASK == CookieMark(0xFFFF).shared
    assert cookie & CookieMark.MASK != CookieMark(0x7FFF).shared
    assert CookieMark.owner(cookie) == (ofport, droplet_id)


@pytest.mark.parametrize("mark", [0, -1, 0x10000])
def test_a_mark_that_marks_nothing_is_refused(mark: int):
    with pytest.raises(ValueError, match=r"is not in 0x1\.\.0xffff"):
        CookieMark(mark)


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"arp_responder": 254}, "arp_responder_table 254 is not in 0..253"),
        ({"classifier": -1}, "classifier_table -1 is not in 0..253"),
        ({"l2_rewrite": 65}, "l2_rewrite_table and forwarding_table are both 65"),
        ({"forwarding": 25}, "l2_rewrite_table and forwarding_table are both 25"),
        ({"classifier": 25}, "classifier_table 25 is l2_rewrite_table or forwarding_table"),
        ({"arp_responder": 65}, "arp_responder_table 65 is l2_rewrite_table or forwarding_table"),
    ],
)
def test_tables_that_mix_stages_are_refused(tables: dict[str, int], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Tables(**tables)


def test_the_arp_responder_may_share_the_classifier_s_table():
    assert Tables().arp_responder == Tables().classifier
    assert Tables(arp_responder=10).arp_responder == 10


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"metadata_port": 0}, "metadata_port 0 is not in 1..65535"),
        ({"metadata_port": 65536}, "metadata_port 65536 is not in 1..65535"),
        ({"metadata_ip": IPv4Address("100.127.9.9")}, "100.127.9.9 lies in hv_local_subnet"),
        (
            {"tables": Tables(classifier=7)},
            "pipeline standalone starts in table 0, so classifier_table must be 0, not 7",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, object], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        replace(BridgeSettings(), **change)


def test_an_embedded_pipeline_may_start_anywhere():
    settings = BridgeSettings(pipeline=Pipeline.EMBEDDED, tables=Tables(classifier=7))
    assert settings.tables.classifier == 7


def test_the_defaults_are_the_talk_s():
    settings = BridgeSettings()
    assert str(settings.metadata_net) == "169.254.169.254/32"
    assert str(settings.addressing.hv_local(602)) == "100.127.2.90"
    assert (settings.tables.l2_rewrite, settings.tables.forwarding) == (25, 65)
    assert settings.meta_port_name == "meta0"
