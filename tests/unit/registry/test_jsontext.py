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
    elements = array(b' [ {"a":1} , "\\ud800", [1e999], 4 ] ')
    assert next(elements) == (None, {"a": 1})
    _, half = next(elements)
    assert isinstance(half, InvalidDocument)
    _, large = next(elements)
    assert [fault.pointer for fault in large.faults] == ["/0"]
    assert list(elements) == [(None, 4)]
    assert list(array(b"[ ]")) == []


def array(text, piece=None, max_bytes=1000):
    """The elements of an array that comes in pieces of so many bytes."""
    size = piece or max(len(text), 1)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return jsontext.array_elements(pieces, max_bytes=max_bytes)


@pytest.mark.parametrize("piece", [None, 1, 2, 3])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{}", "a batch is a JSON array"),
        (b"", "a batch is a JSON array"),
        (b" ", "a batch is a JSON array"),
        (b"[1", "',' or ']' expected at character 2"),
        (b"[1 2]", "',' or ']' expected at character 3"),
        (b"[1,]", "Expecting value at line 1 column 4"),
        (b"[,1]", "Expecting value at line 1 column 2"),
        (b"[1]]", "more text after the array, at character 3"),
        (b"[] x", "more text after the array, at character 3"),
        (b'[1,\n {"a"\n:2} ,\n  {"b": x}]', "Expecting value at line 4 column 9"),
        (b'["' + b"\xc3\xa9" * 3 + b'",\n {"a" 1}]', "line 2 column 7"),
        (b'[{"a":1,"a":2}]', "occurs twice"),
        (b"[NaN]", "not JSON: NaN"),
        (b'["\xc3\xa9\xff"]', "not UTF-8: invalid start byte at byte 4"),
        (b'["a", "\xc3', "not UTF-8: unexpected end of data at byte 7"),
        (b"[" * 5000, "nested deeper than 32 levels"),
    ],
)
def test_an_array_that_cannot_be_followed_is_refused_where_it_cannot(text, words, piece):
    with pytest.raises(InvalidDocument) as refused:
        list(array(text, piece, max_bytes=10_000))
    assert words in str(refused.value)


@pytest.mark.parametrize("piece", [None, 1, 7])
def test_an_element_of_an_array_is_bounded_as_a_line_is(piece):
    fits = b'"' + b"x" * 18 + b'"'
    assert len(list(array(b"[" + fits + b"," + fits + b"]", piece, 20))) == 2
    for large in (b'"' + b"x" * 19 + b'"', b'"' + "é".encode() * 10 + b'"', b'"' + b"x" * 90):
        elements = array(b"[" + fits + b"," + large + b"]", piece, 20)
        assert next(elements) == (None, "x" * 18)
        with pytest.raises(InvalidDocument, match="larger than 20 bytes"):
            next(elements)


def test_of_an_array_no_more_is_taken_in_than_an_element_needs():
    def pieces():
        for n in range(1000):
            taken.append(n)
            yield b"[" * (n == 0) + b'{"a":"%b"},' % (b"x" * 100)

    taken = []
    elements = jsontext.array_elements(pieces(), max_bytes=1000)
    for n in range(500):
        next(elements)
        assert len(taken) <= n + 2


def test_small_pieces_of_a_large_element_do_not_make_its_reading_slow(monkeypatch):
    attempts = []
    original = jsontext._value_at

    def counted(text, start, *decoder):
        attempts.append(len(text) - start)
        return original(text, start, *decoder)

    monkeypatch.setattr(jsontext, "_value_at", counted)
    text = b'["' + b"x" * 100_000 + b'"]'
    assert [len(value) for _, value in array(text, 10, 200_000)] == [100_000]
    assert sum(attempts) < 5 * len(text)


def test_a_bad_line_hides_no_other():
    found = list(jsontext.ndjson_elements([b'{"a":1}\r', b"", b"  ", b"{", b"5"]))
    assert [line for line, _ in found] == [1, 4, 5]
    assert isinstance(found[1][1], InvalidDocument)
    assert found[2] == (5, 5)
