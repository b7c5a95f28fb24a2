"""Entity tags over any bodies and conditions: equal tags mean equal bodies, and only then 304."""

from hypothesis import given
from hypothesis import strategies as st

from metadata_http import formats
from metadata_http.conditional import etag
from metadata_http.document import Node
from metadata_http.identity import Caller, Verdict
from metadata_http.respond import Request, respond
from tests.property.effort import effort
from tests.property.test_metadata_document import documents, user_data

patient = effort(100)

bodies = st.binary(max_size=30)
tags = bodies.map(etag) | st.sampled_from(['""', '"x"', '"a,b"', "*", "x", '"'])
conditions = st.lists(
    st.tuples(st.sampled_from(["", "W/", "w/"]), tags).map("".join), min_size=1, max_size=4
).map(", ".join)


def ask(body, method="GET", **headers):
    tree = {"/metadata/v1/x": Node(body)}
    request = Request(
        method, "/metadata/v1/x", {k.replace("_", "-"): v for k, v in headers.items()}
    )
    return respond(Caller(Verdict.KNOWN), request, {"digitalocean": lambda: tree})


@patient
@given(bodies, bodies)
def test_tags_are_equal_if_and_only_if_bodies_are(one, other):
    assert (ask(one).etag == ask(other).etag) == (one == other)


@patient
@given(bodies, bodies, st.booleans())
def test_304_to_the_other_answers_tag_only_where_the_body_is_the_same(one, other, weak):
    condition = ("W/" if weak else "") + (ask(one).etag or "")
    response = ask(other, if_none_match=condition)
    assert (response.status == 304) == (one == other)
    assert response.body == (b"" if one == other else other)


@patient
@given(bodies, conditions)
def test_any_condition_gives_the_body_or_304_with_the_tag(body, condition):
    fresh, conditional = ask(body), ask(body, if_none_match=condition)
    assert conditional.etag == fresh.etag
    if conditional.status == 304:
        assert conditional.body == b""
        assert condition == "*" or fresh.etag in condition
    else:
        assert conditional == fresh
    head = ask(body, "HEAD", if_none_match=condition)
    assert (head.status, head.headers, head.body) == (conditional.status, conditional.headers, b"")


@patient
@given(documents, user_data, st.sampled_from(formats.FORMATS))
def test_every_node_of_every_format_has_its_tag(document, data, name):
    tree = formats.tree(name, document, 7, data, None)
    for path, node in tree.items():
        response = respond(Caller(Verdict.KNOWN), Request("GET", path, {}), {name: lambda: tree})
        assert (response.status, response.body) == (200, node.body)
        assert response.etag == etag(node.body)
