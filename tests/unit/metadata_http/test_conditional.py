"""Entity tags, conditions and wishes: what the headers and queries of clients mean."""

import pytest

from metadata_http.conditional import BadWish, Wish, etag, none_match, wish

TAG = etag(b"web-1")


def test_a_tag_is_strong_and_of_the_body_alone():
    assert TAG == etag(b"web-1") != etag(b"web-2")
    assert TAG.startswith('"')
    assert len(TAG) == 34
    assert etag(b"") != TAG


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("*", True),
        (" * ", True),
        (TAG, True),
        (f"W/{TAG}", True),
        (f'"a", {TAG}', True),
        (f'W/"a" , W/{TAG} ,"b"', True),
        (f'"a,{TAG[1:-1]}"', False),
        (TAG[1:-1], False),
        (TAG.upper(), False),
        ('"*"', False),
        ("**", False),
        ("", False),
        ('"', False),
        (TAG[:-1], False),
    ],
)
def test_if_none_match(condition, holds):
    assert none_match(condition, TAG) is holds


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("", None),
        ("a=b", None),
        ("last_etag=x&timeout_sec=3", None),
        ("wait_for_change=false", None),
        ("wait_for_change", None),
        ("xwait_for_change=true", None),
        ("wait_for_change=true", Wish(None, None)),
        ("wait_for_change=True&recursive=true&alt=json", Wish(None, None)),
        ("wait_for_change=true&last_etag=", Wish(None, None)),
        ("wait_for_change=true&last_etag=abc", Wish('"abc"', None)),
        ("wait_for_change=true&last_etag=%22abc%22", Wish('"abc"', None)),
        ("wait_for_change=true&last_etag=W/%22abc%22", Wish('"abc"', None)),
        ("wait_for_change=true&timeout_sec=60", Wish(None, 60.0)),
        ("wait_for_change=true&timeout_sec=0.5", Wish(None, 0.5)),
        ("wait_for_change=true&timeout_sec=", Wish(None, None)),
        ("timeout_sec=0&wait_for_change=true&last_etag=0", Wish('"0"', 0.0)),
    ],
)
def test_wishes(query, meant):
    assert wish(query) == meant


@pytest.mark.parametrize("seconds", ["-1", "x", "nan", "inf", "-inf", "1e400", "1_0x"])
def test_a_time_that_is_none(seconds):
    with pytest.raises(BadWish, match="timeout_sec"):
        wish(f"wait_for_change=true&timeout_sec={seconds}")


def test_a_query_of_very_many_fields_is_refused():
    with pytest.raises(BadWish):
        wish("wait_for_change=true&" + "a=b&" * 1000)
