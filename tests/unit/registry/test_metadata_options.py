"""A droplet's metadata options: what is taken, what is refused, what a server is told."""

import pytest

from ryu_apps.registry.completion import Defaults, served
from ryu_apps.registry.droplet import decode_stored, read_droplet
from ryu_apps.registry.faults import InvalidDocument
from ryu_apps.registry.metadata_options import MetadataOptions

DEFAULT = {"http_tokens": "optional", "http_endpoint": "enabled"}


def document(options):
    return {"ports": [], "metadata": {"region": "nyc3"}, "metadata_options": options}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, DEFAULT),
        ({"http_tokens": None, "http_put_response_hop_limit": None}, DEFAULT),
        ({"http_tokens": "required"}, DEFAULT | {"http_tokens": "required"}),
        ({"http_endpoint": "disabled"}, DEFAULT | {"http_endpoint": "disabled"}),
        (
            {"http_put_response_hop_limit": 1, "http_tokens": "optional"},
            DEFAULT | {"http_put_response_hop_limit": 1},
        ),
        ({"http_put_response_hop_limit": 64}, DEFAULT | {"http_put_response_hop_limit": 64}),
    ],
)
def test_options_are_kept_whole_and_told_to_servers(given, kept):
    droplet = read_droplet(document(given), 7)
    assert droplet.document()["metadata_options"] == kept
    assert droplet.hop_limit == kept.get("http_put_response_hop_limit")
    assert decode_stored(droplet.encode()) == droplet == read_droplet(droplet.document(), 7)
    assert served(droplet, Defaults())["metadata_options"] == kept


def test_without_any_the_defaults_are_told_and_none_are_kept():
    droplet = read_droplet(document(None), 7)
    assert (droplet.metadata_options, droplet.hop_limit) == (None, None)
    assert "metadata_options" not in droplet.document()
    assert decode_stored(droplet.encode()) == droplet
    assert served(droplet, Defaults())["metadata_options"] == DEFAULT
    assert MetadataOptions().document() == DEFAULT


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ("required", {"": "must be an object, not a string"}),
        ([], {"": "must be an object, not an array"}),
        (
            {"http_tokens": "Required", "http_endpoint": True, "http_put_response_hop_limit": 0},
            {
                "/http_tokens": '"Required" is none of optional, required',
                "/http_endpoint": "true is none of enabled, disabled",
                "/http_put_response_hop_limit": "0 is out of range: 1 to 64",
            },
        ),
        (
            {"http_tokens": ["required"]},
            {"/http_tokens": '["required"] is none of optional, required'},
        ),
        (
            {"http_put_response_hop_limit": 65},
            {"/http_put_response_hop_limit": "65 is out of range: 1 to 64"},
        ),
        (
            {"http_put_response_hop_limit": True, "httpTokens": "required"},
            {
                "/http_put_response_hop_limit": "must be a whole number, not true",
                "/httpTokens": "unknown key; there are http_tokens, http_endpoint, "
                "http_put_response_hop_limit",
            },
        ),
        (
            {"http_put_response_hop_limit": 1.0},
            {"/http_put_response_hop_limit": "must be a whole number, not 1.0"},
        ),
    ],
)
def test_every_fault_is_told_with_its_place(given, faults):
    with pytest.raises(InvalidDocument) as refused:
        read_droplet(document(given), 7)
    found = {fault.pointer: fault.reason for fault in refused.value.faults}
    assert found == {f"/metadata_options{place}": reason for place, reason in faults.items()}
