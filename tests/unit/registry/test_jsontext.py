"""JSON texts: limits, and what two readers would read differently."""

import pytest

from ryu_apps.registry import jsontext
from ryu_apps.registry.faults import InvalidDocument


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON: Expecting value"),
        (b"{", "not JSON"),
        (b"{} {}", "more text after the value, at character 3"),
        (b'{"a":1,"a":2}', 'the key "a" occurs twice'),
        (b'{"a":NaN}', "not JSON: NaN"),
        (b"[-Infinity]", "not JSON: -Infinity"),
        (b"[1e999]", "/0: the number is too large"),
        (b'{"a":{"b":[0,-1e999]}}', "/a/b/1: the number is too large"),
        (b"[" + b"9" * 400 + b".0]", "/0: the number is too large"),
        (b"[" + b"9" * 5000 + b"]", "thousands of digits"),
        (b'{"a":["\\ud800"]}', "/a/0: holds half a surrogate pair"),
        (b'{"\\udfff":1}', "half a surrogate pair"),
        (b"\xff{}", "not UTF-8: invalid start byte at byte 0"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 33 + b"]" * 33, "nested deeper than 32 levels"),
        (b"[" * 1_000_000, "nested deeper than 32 levels"),
        (b'{"a":' * 200_000, "nested deeper than 32 levels"),
    ],
)
def test_refused(text, words):
    with pytest.raises(InvalidDocument) as refused:
        jsontext.parse(text)
    assert words in str(refused.value)


def test_taken():
    assert jsontext.parse(b' {"a": [1, 2.5, null, "\\u00e9\\ud83d\\ude00"]}\r\n') == {
        "a": [1, 2.5, None, "é\U0001f600"]
    }
    assert jsontext.parse(b"[" * 32 + b"]" * 32)


def test_text_is_written_on_one_line_and_read_back():
    value = {"a": "\u2028 é \x00\n", "b": [1, 2.5, True, None]}
    text = jsontext.encode(value)
    assert b"\n" not in text
    assert b" " not in text.replace("\u2028 é ".encode(), b"")
    assert jsontext.parse(text) == jsontext.decode_trusted(text) == value


def test_elements_of_an_array_are_read_one_at_a_time():
    elements = jsontext.array_elements(b' [ {"a":1} , "\\ud800", [1e999], 4 ] ')
    assert next(elements) == (None, {"a": 1})
    _, half = next(elements)
    assert isinstance(half, InvalidDocument)
    _, large = next(elements)
    assert [fault.pointer for fault in large.faults] == ["/0"]
    assert list(elements) == [(None, 4)]
    assert list(jsontext.array_elements(b"[ ]")) == []


@pytest.mark.parametrize("text", [b"{}", b"", b"[1", b"[1 2]", b"[1,]", b"[1]]", b"[] x", b"[,1]"])
def test_an_array_that_cannot_be_followed_is_refused(text):
    with pytest.raises(InvalidDocument):
        list(jsontext.array_elements(text))


def test_a_bad_line_hides_no_other():
    found = list(jsontext.ndjson_elements([b'{"a":1}\r', b"", b"  ", b"{", b"5"]))
    assert [line for line, _ in found] == [1, 4, 5]
    assert isinstance(found[1][1], InvalidDocument)
    assert found[2] == (5, 5)
