"""Droplet documents out of files: both forms, where each document stands, and batches of them."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.dropletctl.documents import (
    BATCH_BYTES,
    BadFile,
    Entry,
    batches,
    read_document,
    read_entries,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5)


def entries_of(text: str) -> list[Entry]:
    return list(read_entries(io.StringIO(text)))


@given(DOCUMENTS, st.sampled_from([None, 1, 4]), st.booleans())
def test_an_array_gives_its_elements_however_it_is_laid_out(documents, indent, escaped) -> None:
    text = json.dumps(documents, indent=indent, ensure_ascii=escaped)
    found = entries_of(text)
    assert [json.loads(entry.text) for entry in found] == documents
    assert all(b"\n" not in entry.text for entry in found)


@given(DOCUMENTS, st.booleans())
def test_ndjson_gives_its_lines(documents, escaped) -> None:
    text = "".join(json.dumps(d, ensure_ascii=escaped) + "\n\n" for d in documents)
    found = entries_of(text)
    assert [json.loads(entry.text) for entry in found] == documents
    assert [entry.place for entry in found] == [f"line {2 * n + 1}" for n in range(len(documents))]


def test_a_file_without_text_has_no_documents() -> None:
    assert entries_of("") == []
    assert entries_of("\n \n") == []
    assert entries_of("[]") == []


def test_bad_lines_are_left_to_the_controller_which_lists_them_all() -> None:
    assert [entry.text for entry in entries_of('{"a": 1}\n{"b"\n')] == [b'{"a": 1}', b'{"b"']


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"a": 1},\n{"b": }]', r"element 2 \(line 2\): not JSON"),
        ('[{"a": 1}\n{"b": 2}]', r"line 2: ',' or '\]' expected after element 1"),
        ('\n[{"a": 1}', r"line 2: ',' or '\]' expected after element 1"),
        ("[{},]", r"element 2 \(line 1\): not JSON"),
    ],
)
def test_a_broken_array_names_the_place(text: str, told: str) -> None:
    with pytest.raises(BadFile, match=told):
        entries_of(text)


@pytest.mark.parametrize("text", ["", "[]", "7", '"x"', "{"])
def test_one_document_is_one_object(text: str) -> None:
    with pytest.raises(BadFile):
        read_document(text)


@given(st.integers(0, 30), st.integers(1, 7))
def test_batches_hold_every_document_in_order(number: int, size: int) -> None:
    entries = [Entry(f"line {n}", b"{}") for n in range(number)]
    cut = list(batches(entries, size))
    assert [entry for batch in cut for entry in batch.entries] == entries
    assert all(1 <= len(batch.entries) <= size for batch in cut)
    assert len(cut) == -(-number // size)


def test_a_batch_ends_at_its_size_in_bytes() -> None:
    big = Entry("line 1", b"x" * (BATCH_BYTES - 1))
    cut = list(batches([big, Entry("line 2", b"xx"), Entry("line 3", b"x")], 100))
    assert [batch.span for batch in cut] == ["line 1", "line 2 to line 3"]
