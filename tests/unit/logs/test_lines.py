"""A line is one line, and what it says is what was said, whatever the words are."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from ovs_metadata_logs.fields import MAX_TEXT
from ovs_metadata_logs.lines import OWN_NAMES, Line, as_json, as_text
from ryu_apps.events import BY_NAME

AT = 1764111588.1234
HOSTILE = st.text(st.characters() | st.sampled_from('\n\r\x1b\x9b\x00"\\] \u2028\u202e\ud800=[{}'))
HEAD = re.compile(
    r"(\S+) (\S+) (\d+) (\S+) \[(\w+)((?: \w+=\"(?:[^\"\\\]]|\\.)*\")*)\] (.*)", re.DOTALL
)
FIELD = re.compile(r' (\w+)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)


def line(message="m", fields=None, trace=None):
    return Line(AT, "INFO", "ryu_apps.x", 4711, "switch_connected", message, fields or {}, trace)


def unescaped(text):
    """What an escaped value stands for; halves of surrogate pairs as Python writes them."""

    def letter(found):
        if found[1] in "nrt":
            return {"n": "\n", "r": "\r", "t": "\t"}[found[1]]
        return chr(int(found[1][1:], 16)) if found[1][0] in "xuU" else found[1]

    return re.sub(r"\\(x..|u....|U........|.)", letter, text)


def test_as_documented():
    told = line("switch 0000000000000007 connected", {"dpid": f"{7:016x}", "ofports": [1, 2]})
    assert as_text(told) == (
        "2025-11-25T22:59:48.123Z INFO 4711 ryu_apps.x "
        '[switch_connected dpid="0000000000000007" ofports="1,2"] '
        "switch 0000000000000007 connected"
    )
    assert json.loads(as_json(told)) == {
        "time": "2025-11-25T22:59:48.123Z",
        "level": "INFO",
        "logger": "ryu_apps.x",
        "process": 4711,
        "event": "switch_connected",
        "message": "switch 0000000000000007 connected",
        "dpid": "0000000000000007",
        "ofports": [1, 2],
    }


@given(HOSTILE, HOSTILE, HOSTILE)
def test_text_is_one_line_with_these_fields_and_no_other(message, value, trace):
    text = as_text(line(message, {"path": value, "peer": "p"}, trace))
    assert text.isprintable()  # no line's end, no escape sequence, nothing that turns the line
    assert text.splitlines() == [text]
    found = HEAD.fullmatch(text)
    assert found is not None, text
    fields = {name: unescaped(each) for name, each in FIELD.findall(found[6])}
    assert fields == {"path": value, "peer": "p", "trace": trace}
    assert unescaped(found[7]) == message


@given(HOSTILE, HOSTILE, HOSTILE)
def test_json_is_one_object_with_these_fields_and_no_other(message, value, trace):
    text = as_json(line(message, {"path": value, "port_names": [value]}, trace))
    assert text.isascii()
    assert text.isprintable()
    told = json.loads(text)
    json.dumps(told, ensure_ascii=False).encode("utf-8")  # no half of a pair: any reader takes it
    assert told.keys() == {*OWN_NAMES, "path", "port_names"}
    if all(each.isascii() for each in (message, value, trace)):
        assert (told["message"], told["path"], told["trace"]) == (message, value, trace)


def test_no_field_is_called_what_every_line_has():
    assert not {name for event in BY_NAME.values() for name in event.fields} & {*OWN_NAMES}


def test_what_is_long_is_cut():
    assert len(as_text(line("m" * 100_000, {}, "t" * 100_000))) < 21_000
    assert MAX_TEXT < 4000


def test_half_of_a_surrogate_pair_is_told_in_letters():
    """As a file's name may have it; Hypothesis makes none."""
    odd = line("a\udcffb", {"path": "\ud800", "port_names": ["\udc00"]}, "\udfff")
    told = json.loads(as_json(odd))
    json.dumps(told, ensure_ascii=False).encode("utf-8")
    assert (told["message"], told["path"], told["trace"]) == ("a\\udcffb", "\\ud800", "\\udfff")
    assert 'path="\\ud800"' in as_text(odd)
