"""The fuzzers of the metadata server's request path: what they send, and what must hold of it.

Each is a strategy and a function that holds one of its examples against a server in a process of
its own; `fuzz` runs them. The flawed servers of the tests show what they find.
"""

from hypothesis import given
from hypothesis import strategies as st

from tests.http.answers import exchange, read_answers
from tests.http.hostile import SENTINEL, TABLE, Case, converse, head

DROPLET = "127.1.2.90"
OTHER = "127.1.2.91"
SECRET = "secret of droplet {}"
"""In each droplet's user data; finding another's is the leak."""
LEAVES = {b"id": b"7889371", b"hostname": b"host-7889371", b"region": b"nyc3"}

# Every status docs/metadata-http.md has. 500 is none of them.
DOCUMENTED = {200, 202, 301, 304, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 503}

# Megabytes are the table's own to send.
_SEEDS = [case for case in TABLE if len(case.sent) < 10_000]

_BYTES = st.binary(max_size=8) | st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"%", b"..", b"/", b"\xff"),
        *(b"\r\n\r\n", b"HEAD", b"Via: a\r\n", b"HTTP/1.1", b"Content-Length: 5\r\n", b"chunked"),
    ]
)


@st.composite
def edited(draw):
    """A hostile request of the table with some bytes put in, taken out, repeated or swapped."""
    sent = draw(st.sampled_from(_SEEDS)).sent
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(sent)))
        to = min(len(sent), at + draw(st.integers(0, 40)))
        match draw(st.sampled_from(("insert", "replace", "delete", "repeat", "splice"))):
            case "insert":
                sent = sent[:at] + draw(_BYTES) + sent[at:]
            case "replace":
                sent = sent[:at] + draw(_BYTES) + sent[to:]
            case "delete":
                sent = sent[:at] + sent[to:]
            case "repeat":
                sent = sent[:to] + sent[at:]
            case "splice":
                sent = sent[:at] + draw(st.sampled_from(_SEEDS)).sent[at:]
    return sent


def _words(text):
    return st.sampled_from(text.encode("latin-1").split(b" "))


_NAMES = st.binary(max_size=6) | _words(
    "Host Content-Length Transfer-Encoding Connection Expect Range Via X-Forwarded-For Forwarded"
    " If-None-Match Content-Type A X_Forwarded_For x-forwarded-for Upgrade TE Trailer"
    " Content-Encoding X-aws-ec2-metadata-token-ttl-seconds"
)
_VALUES = st.binary(max_size=12) | _words(
    "a  0 2 -1 99999999999999999999 chunked gzip close * keep-alive 100-continue bytes=0-1"
    f" {OTHER} for={OTHER} application/json a,b \xff upgrade 60"
)
_LINES = st.tuples(_NAMES, _VALUES).map(b": ".join) | st.sampled_from(
    [
        *(f"{name}: {OTHER}".encode() for name in ("X-Forwarded-For", "X-Real-IP", "Via")),
        *(b"Content-Type: application/json", b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        *(b"Expect: 100-continue", b"If-None-Match: *", b"Connection: keep-alive"),
    ]
)
_METHODS = _words("GET GET GET GET HEAD PATCH PUT POST OPTIONS CONNECT")
_TARGETS = _words("/metadata/v1.json /metadata/v1/user-data /latest/user-data /latest/api/token")
_SEGMENTS = st.binary(max_size=4) | _words(
    "metadata v1 id v1.json user-data tags latest openstack interfaces public 0  .. . %2e%2e %2f"
    " %00 %ff http: ?a=b ?wait_for_change=true&timeout_sec=0 ?timeout_sec=x #"
)
_PATHS = st.lists(_SEGMENTS, max_size=6).map(lambda parts: b"/" + b"/".join(parts))
_BODIES = st.sampled_from((b"", b"", b"{}", b"0\r\n\r\n", b"hello"))


@st.composite
def built(draw):
    """One to three requests, put together from parts that mean something to HTTP."""
    sent = b""
    for _ in range(draw(st.integers(1, 3))):
        odd = draw(st.booleans())
        version = draw(_words("HTTP/1.1 HTTP/1.1 HTTP/1.0 HTTP/2.0 ")) if odd else b"HTTP/1.1"
        lines = [b"%s %s %s" % (draw(_METHODS), draw(_TARGETS | _PATHS), version)]
        lines += [b"Host: a"] * (draw(st.integers(0, 2)) if odd else 1)
        lines += draw(st.lists(_LINES, max_size=4))
        end = draw(st.sampled_from((b"\n", b"\r", b"\r\n "))) if odd else b"\r\n"
        sent += b"\r\n".join(lines) + end + b"\r\n" + draw(_BODIES)
    return sent


def hold(connect, sent):
    """What must hold of whatever a droplet sends; raises AssertionError where it does not."""
    received = exchange(connect, sent + SENTINEL)
    assert SECRET.format(7889372).encode() not in received, received
    answers = read_answers(received, heads=sent.count(b"HEAD"))
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= DOCUMENTED, statuses
    # One for each request there can be in it, one for what is none, and the sentinel's.
    assert len(answers) <= sent.count(b"HTTP/1.") + 2, statuses
    for answer in answers[:-1]:
        assert "close" not in answer.headers.get("connection", ""), statuses
    for answer in answers:
        if answer.status == 405:
            assert answer.headers["allow"]
        if answer.status in (429, 503):
            assert answer.headers["retry-after"]


_PLAIN = [
    Case(path.decode(), head(target=b"/metadata/v1/" + path), (200,), False) for path in LEAVES
]
_OPEN = [*_PLAIN, *(case for case in _SEEDS if not case.closed and b"PATCH" not in case.sent)]
_ENDING = [case for case in _SEEDS if case.closed]


def rows():
    """Requests of the table one behind the other, where each but the last leaves it open."""
    going_on = st.lists(st.sampled_from(_OPEN) | st.sampled_from(_PLAIN), max_size=8)
    return st.tuples(going_on, st.none() | st.sampled_from(_ENDING)).map(
        lambda row: [*row[0], *([] if row[1] is None else [row[1]])]
    )


def hold_row(connect, row):
    """Each answered as the table says, in order, all of them, and nothing after an end."""
    whole = Case(
        " + ".join(case.name for case in row),
        b"".join(case.sent for case in row),
        sum((case.statuses for case in row), ()),
        any(case.closed for case in row),
    )
    answers = converse(connect, whole)
    expected = whole.statuses + (() if whole.closed else (200,))
    assert tuple(answer.status for answer in answers) == expected, answers
    at = 0
    for case in row:
        if case in _PLAIN:
            assert answers[at].body == LEAVES[case.name.encode()], answers
        at += len(case.statuses)


FUZZERS = {
    "bytes": (st.binary(max_size=200), hold),
    "edited": (edited(), hold),
    "built": (built(), hold),
    "rows": (rows(), hold_row),
}


def fuzz(name, connect, settings):
    """Run a fuzzer; after each example another connection must work as ever."""
    strategy, claims = FUZZERS[name]

    @settings
    @given(strategy)
    def run(example):
        claims(connect, example)
        hold_row(connect, _PLAIN[:1])

    run()
