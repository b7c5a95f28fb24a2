"""Metadata options and what a request must show: every combination."""

import pytest

from metadata_http.access import (
    DEFAULTS,
    LONGEST_TTL,
    TOKEN_HEADERS,
    TTL_HEADERS,
    NoSessions,
    Options,
    admits,
    asked_ttl,
    options,
    told,
)

REQUIRED = Options(token_required=True)
OURS, EC2S = TOKEN_HEADERS


class Sessions(NoSessions):
    """One good token, that of the binding `mine`."""

    def opens(self, token, binding):
        return (token, binding) == ("good", "mine")


def may(headers, wanted=DEFAULTS, binding="mine"):
    return admits(wanted, headers, binding, Sessions())


@pytest.mark.parametrize("name", TOKEN_HEADERS)
def test_a_good_token_is_let_in_and_a_bad_one_is_not_whatever_is_asked_for(name):
    for wanted in (DEFAULTS, REQUIRED):
        assert may({name: "good"}, wanted)
        for bad in ("", "bad", "good,good"):
            assert not may({name: bad}, wanted)
        assert not may({name: "good"}, wanted, "another's")


def test_without_a_token_the_option_decides():
    assert may({})
    assert not may({}, REQUIRED)


def test_of_two_tokens_both_must_be_good():
    assert may({OURS: "good", EC2S: "good"}, REQUIRED)
    assert not may({OURS: "good", EC2S: "bad"})
    assert not may({OURS: "bad", EC2S: "good"})


@pytest.mark.parametrize("name", TTL_HEADERS)
@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("1", 1),
        ("0060", 60),
        ("21600", LONGEST_TTL),
        *((bad, None) for bad in ("21601", "0", "-1", "1.5", "", " 1", "1,1", "x", "9" * 99)),
        *((bad, None) for bad in ("\u0661", "1_0", "+1", "1e2")),
    ],
)
def test_the_life_of_a_token(name, given, seconds):
    assert asked_ttl({name: given}) == seconds


def test_two_lives_that_differ_are_none():
    assert asked_ttl({}) is None
    assert asked_ttl(dict.fromkeys(TTL_HEADERS, "60")) == 60
    assert asked_ttl(dict(zip(TTL_HEADERS, ("60", "61"), strict=True))) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, DEFAULTS),
        ({}, DEFAULTS),
        ({"http_tokens": None, "http_put_response_hop_limit": 1, "to_come": 1}, DEFAULTS),
        ({"http_tokens": "required", "http_endpoint": "enabled"}, REQUIRED),
        ({"http_endpoint": "disabled"}, Options(endpoint_enabled=False)),
    ],
)
def test_what_the_controller_tells(given, expected):
    assert options(given) == expected
    assert options(told(expected)) == expected


@pytest.mark.parametrize(
    "given", ["required", [], {"http_tokens": "strict"}, {"http_endpoint": ["enabled"]}]
)
def test_what_is_not_understood_is_not_guessed(given):
    with pytest.raises(ValueError, match=r"is no object|is none of"):
        options(given)
