"""What hostile guests send, byte for byte, and what each must be answered: one table.

The tests of the server alone and those through the real datapath read it; the fuzzers begin with
it. All paths asked for are `ID_PATH` or do not exist, so that a 200 can say whose data it is.
"""

import itertools
from dataclasses import dataclass

from tests.http.answers import exchange, read_answers

ID_PATH = b"/metadata/v1/id"
SENTINEL = b"GET /metadata/v1/region HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Sent behind each: answered where the connection goes on, and only there."""

OPEN, CLOSED = False, True


@dataclass(frozen=True)
class Case:
    """Bytes, the statuses of their answers in order, and whether the connection then ends."""

    name: str
    sent: bytes
    statuses: tuple[int, ...]
    closed: bool


def head(*lines, method=b"GET", target=ID_PATH, version=b"HTTP/1.1", host=b"a"):
    """A request's head with these header lines."""
    first = [] if host is None else [b"Host: " + host]
    return b"\r\n".join((b"%s %s %s" % (method, target, version), *first, *lines, b"", b""))


def converse(connect, case):
    """Send the case and the sentinel by a new connection; all answers until its end."""
    received = exchange(connect, case.sent + SENTINEL)
    return read_answers(received, heads=case.sent.count(b"HEAD "))


def check(connect, case, own_id, region):
    """Send `case` as the droplet `own_id` and hold the answers against the table."""
    answers = converse(connect, case)
    expected = case.statuses + (() if case.closed else (200,))
    assert tuple(answer.status for answer in answers) == expected, answers
    if not case.closed:
        assert answers.pop().body == region
    for answer in answers:
        if answer.status == 200 and answer.body:
            assert answer.body == own_id


def _one(status, closed, **sent):
    return [Case(name.replace("_", " "), data, (status,), closed) for name, data in sent.items()]


_CHUNKED = b"Transfer-Encoding: chunked"
_EMPTY = b"0\r\n\r\n"

CONTRADICTORY_LENGTHS = [
    *_one(
        400,
        CLOSED,
        two_lengths=head(b"Content-Length: 1", b"Content-Length: 2") + b"ab",
        two_lengths_in_one_line=head(b"Content-Length: 1, 2") + b"ab",
        equal_lengths_in_one_line=head(b"Content-Length: 1, 1") + b"a",
        negative_length=head(b"Content-Length: -1"),
        signed_length=head(b"Content-Length: +1") + b"a",
        hexadecimal_length=head(b"Content-Length: 0x1") + b"a",
        length_with_a_space=head(b"Content-Length: 1 1") + b"a",
        empty_length=head(b"Content-Length: "),
        length_beyond_64_bits=head(b"Content-Length: 18446744073709551616"),
        chunked=head(_CHUNKED) + _EMPTY,
        chunked_then_length=head(_CHUNKED, b"Content-Length: 5") + _EMPTY,
        length_then_chunked=head(b"Content-Length: 5", _CHUNKED) + _EMPTY,
        chunked_twice=head(_CHUNKED, _CHUNKED) + _EMPTY,
        chunked_in_HTTP_1_0=head(_CHUNKED, version=b"HTTP/1.0") + _EMPTY,
        chunked_after_a_tab=head(b"Transfer-Encoding:\tchunked") + _EMPTY,
        chunked_after_a_vertical_tab=head(b"Transfer-Encoding: \x0bchunked") + _EMPTY,
        chunked_before_a_spaced_colon=head(b"Transfer-Encoding : chunked") + _EMPTY,
        chunked_by_underscore=head(b"Transfer_Encoding: chunked") + _EMPTY,
        chunked_folded=head(b"Transfer-Encoding:\r\n chunked") + _EMPTY,
        gzip_chunked=head(b"Transfer-Encoding: gzip, chunked") + _EMPTY,
        chunked_gzip=head(b"Transfer-Encoding: chunked, gzip") + _EMPTY,
        xchunked=head(b"Transfer-Encoding: xchunked") + _EMPTY,
        identity=head(b"Transfer-Encoding: identity"),
        empty_encoding=head(b"Transfer-Encoding:"),
        chunk_that_is_none=head(_CHUNKED) + b"zz\r\n",
        chunked_report=head(_CHUNKED, method=b"PATCH", target=b"/metadata/v1.json") + _EMPTY,
        forwarded_in_a_trailer=head(_CHUNKED, b"Trailer: Via") + b"0\r\nVia: a\r\n\r\n",
    ),
    # Refused for what it is, and ended for how it is framed.
    *_one(403, CLOSED, chunked_through_a_proxy=head(_CHUNKED, b"Via: a") + _EMPTY),
    # hyper's own answer to a length it cannot hold in 64 bits with what it needs beside.
    *_one(431, CLOSED, length_of_64_bits=head(b"Content-Length: 18446744073709551615")),
    *_one(
        200,
        OPEN,
        # One value said twice is one value (RFC 9112, 6.3).
        equal_lengths=head(b"Content-Length: 1", b"Content-Length: 1") + b"a",
        length_with_zeros=head(b"Content-Length: 0000001") + b"a",
        length_by_underscore=head(b"Content_Length: 500"),
        body_of_a_get=head(b"Content-Length: 5") + b"hello",
        body_that_looks_like_a_request=head(b"Content-Length: %d" % len(SENTINEL)) + SENTINEL,
    ),
    *_one(405, OPEN, body_of_a_post=head(b"Content-Length: 5", method=b"POST") + b"hello"),
    # What is missing of a body would be the next request: none is read.
    *_one(
        200,
        CLOSED,
        body_that_does_not_come=head(b"Content-Length: 500") + b"hello",
        length_of_63_bits=head(b"Content-Length: 9223372036854775808"),
        endless_body=head(b"Content-Length: 100000000") + b"x" * 1_000_000,
    ),
    *_one(
        413,
        CLOSED,
        endless_report=head(
            b"Content-Type: application/json",
            b"Content-Length: 100000000",
            method=b"PATCH",
            target=b"/metadata/v1.json",
        )
        + b"x" * 1_000_000,
    ),
    *_one(
        400,
        CLOSED,
        endless_chunks=head(_CHUNKED) + b"ffff\r\n%s\r\n" % (b"x" * 0xFFFF) * 16,
    ),
]

LINES = [
    *_one(
        400,
        CLOSED,
        obs_fold=head(b"A: b", b" c"),
        obs_fold_by_tab=head(b"A: b", b"\tc"),
        fold_before_any_header=head(b" A: b", host=None),
        space_before_the_colon=head(b"A : b"),
        no_colon=head(b"abc"),
        no_name=head(b": a"),
        control_in_a_name=head(b"a\x01b: a"),
        byte_above_127_in_a_name=head(b"a\xffb: a"),
        no_break_space_after_a_name=head(b"A\xa0: b"),
        NUL_in_a_value=head(b"A: a\x00b"),
        control_in_a_value=head(b"A: a\x01b"),
        DEL_in_a_value=head(b"A: a\x7fb"),
        bare_CR_in_a_value=head(b"A: b\rVia: c"),
        bare_CR_for_all_line_ends=head().replace(b"\r\n", b"\r"),
        space_before_the_method=b" " + head(),
        two_spaces_in_the_request_line=head(method=b"GET "),
        tabs_in_the_request_line=head().replace(b" ", b"\t", 2),
        space_after_the_version=head(version=b"HTTP/1.1 "),
        control_in_the_method=head(method=b"G\x01T"),
        version_in_lower_case=head(version=b"http/1.1"),
        version_1_2=head(version=b"HTTP/1.2"),
        version_2_0=head(version=b"HTTP/2.0"),
        version_9_9=head(version=b"HTTP/9.9"),
        version_0_9=b"GET " + ID_PATH + b"\r\n",
        version_0_9_and_an_empty_line=b"GET " + ID_PATH + b"\r\n\r\n",
        TLS_hello=b"\x16\x03\x01\x02\x00\x01\x00",
        bytes_of_no_protocol=b"\xff" * 100 + b"\r\n\r\n",
    ),
    # Nothing was asked in a protocol that this could be answered in.
    Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (), CLOSED),
    *_one(
        200,
        OPEN,
        # RFC 9112, 2.2: a server may take a bare LF for a line's end, and skips empty lines.
        bare_LF_for_all_line_ends=head().replace(b"\r\n", b"\n"),
        bare_LF_after_a_header=head(b"A: b").replace(b"A: b\r\n", b"A: b\n"),
        empty_lines_first=b"\r\n\r\n" + head(),
        value_that_is_no_UTF_8=head(b"A: \xff\xfe"),
        HTTP_2_upgrade=head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
        websocket_upgrade=head(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Sec-WebSocket-Version: 13",
        ),
        version_1_0_kept_alive=head(b"Connection: keep-alive", version=b"HTTP/1.0"),
    ),
    *_one(
        200,
        CLOSED,
        version_1_0=head(version=b"HTTP/1.0"),
        version_1_0_without_host=head(version=b"HTTP/1.0", host=None),
        version_1_0_with_an_empty_host=head(version=b"HTTP/1.0", host=b""),
    ),
]

HOSTS = [
    *_one(
        400,
        CLOSED,
        no_host=head(host=None),
        empty_host=head(host=b""),
        two_hosts=head(b"Host: b"),
        equal_hosts=head(b"Host: a"),
        two_hosts_in_HTTP_1_0=head(b"Host: b", version=b"HTTP/1.0"),
        host_with_a_path=head(host=b"a/b"),
        host_with_a_user=head(host=b"u@a"),
        host_with_a_space=head(host=b"a b"),
        host_that_is_no_UTF_8=head(host=b"\xff"),
        host_with_a_port_that_is_none=head(host=b"a:b"),
    ),
    *_one(
        200,
        OPEN,
        host_with_a_port=head(host=b"169.254.169.254:80"),
        host_of_IPv6=head(host=b"[fd00:ec2::254]"),
        host_of_another=head(host=b"metadata.google.internal"),
    ),
]

TARGETS = [
    *_one(
        200,
        OPEN,
        # RFC 9112, 3.2.2: all servers take absolute-form; whom it names is nobody's concern here.
        absolute_form=head(target=b"http://169.254.169.254" + ID_PATH),
        absolute_form_without_host=head(target=b"http://169.254.169.254" + ID_PATH, host=None),
        absolute_form_of_another=head(target=b"http://192.0.2.7:8080" + ID_PATH),
        absolute_form_of_another_scheme=head(target=b"https://192.0.2.7" + ID_PATH),
        absolute_form_with_a_user=head(target=b"http://u:p@192.0.2.7" + ID_PATH),
        encoded_slashes=head(target=b"/metadata%2fv1%2Fid"),
        encoded_letter=head(target=b"/metadata/v1/%69d"),
        fragment=head(target=ID_PATH + b"#x"),
        query_of_nonsense=head(target=ID_PATH + b"?%00%ff=;&&=%"),
    ),
    *_one(
        404,
        OPEN,
        absolute_form_of_nothing=head(target=b"http://192.0.2.7/nowhere"),
        two_slashes_first=head(target=b"/" + ID_PATH),
        two_slashes=head(target=b"/metadata//v1/id"),
        dots=head(target=b"/metadata/v1/../v1/id"),
        dots_beyond_the_root=head(target=b"/../../../etc/passwd"),
        encoded_dots=head(target=b"/metadata/v1/%2e%2e/v1/id"),
        dots_and_encoded_slashes=head(target=b"/metadata/v1/..%2f..%2fid"),
        one_dot=head(target=b"/metadata/v1/./id"),
        encoded_NUL=head(target=ID_PATH + b"%00"),
        encoded_line_end=head(target=b"/metadata/v1/tags%0d%0aX:y"),
        encoded_twice=head(target=b"/metadata/v1/%2569d"),
        encoded_bytes_that_are_no_UTF_8=head(target=b"/metadata/v1/%ff%fe"),
        overlong_UTF_8_slash=head(target=b"/metadata%c0%afv1%c0%afid"),
        bytes_of_UTF_8=head(target="/metadata/v1/é".encode()),
        percent_without_digits=head(target=b"/metadata/v1/%zz"),
        percent_at_the_end=head(target=ID_PATH + b"%"),
        semicolon=head(target=ID_PATH + b";x=1"),
        a_controllers_path=head(target=b"/v1/droplets"),
        an_admins_path=head(target=b"/metrics"),
    ),
    *_one(
        400,
        CLOSED,
        authority_form=head(target=b"192.0.2.7:80"),
        authority_form_without_a_port=head(target=b"192.0.2.7"),
        asterisk_form=head(target=b"*"),
        no_slash_first=head(target=ID_PATH[1:]),
        backslashes=head(target=ID_PATH.replace(b"/", b"\\")),
        NUL=head(target=ID_PATH + b"\x00"),
        bytes_that_are_no_UTF_8=head(target=b"/metadata/v1/\xff\xfe"),
        query_that_is_no_UTF_8=head(target=ID_PATH + b"?\xff"),
    ),
    *_one(
        405,
        CLOSED,
        connect=head(method=b"CONNECT", target=b"192.0.2.7:80"),
        connect_with_a_body=head(b"Content-Length: 3", method=b"CONNECT", target=b"a:80") + b"abc",
        connect_to_a_path=head(method=b"CONNECT"),
        connect_to_a_path_of_no_service=head(method=b"CONNECT", target=b"/v1/appkey/"),
        connect_in_HTTP_1_0=head(method=b"CONNECT", target=b"a:80", version=b"HTTP/1.0"),
    ),
    *_one(
        405,
        OPEN,
        options_of_the_server=head(method=b"OPTIONS", target=b"*"),
        options=head(method=b"OPTIONS"),
        trace=head(method=b"TRACE"),
        method_in_lower_case=head(method=b"get"),
        method_of_no_standard=head(method=b"FOO"),
        method_of_9000_letters=head(method=b"A" * 9000),
    ),
]

SIZES = [
    *_one(
        431,
        CLOSED,
        header_of_1_MB=head(b"A: " + b"a" * 1_000_000),
        header_of_20_KB=head(b"A: " + b"a" * 20_000),
        target_of_20_KB=head(target=b"/" + b"a" * 20_000),
        head_of_1_MB_in_small_headers=head(*(b"A%d: b" % n for n in range(100_000))),
        headers_101=head(*(b"A%d: b" % n for n in range(100))),
    ),
    *_one(
        200,
        OPEN,
        header_of_15_KB=head(b"A: " + b"a" * 15_000),
        headers_100=head(*(b"A%d: b" % n for n in range(99))),
    ),
]

EXTENSIONS = [
    *_one(
        200,
        OPEN,
        expect=head(b"Expect: 100-continue"),
        expect_and_a_body=head(b"Expect: 100-continue", b"Content-Length: 5") + b"hello",
        expect_something_else=head(b"Expect: 200-ok"),
        # Ranges are optional (RFC 9110, 14.2): the whole is the answer.
        range=head(b"Range: bytes=0-1"),
        range_of_nothing=head(b"Range: bytes=9-1,-,x"),
        if_range=head(b"Range: bytes=0-1", b'If-Range: "x"'),
    ),
    *_one(
        202,
        OPEN,
        expect_of_a_report=head(
            b"Expect: 100-continue",
            b"Content-Type: application/json",
            b"Content-Length: 2",
            method=b"PATCH",
            target=b"/metadata/v1.json",
        )
        + b"{}",
    ),
    Case("pipelining", head() * 20, (200,) * 20, OPEN),
    Case(
        "pipelining of all kinds",
        head()
        + head(method=b"HEAD")
        + head(target=b"/nowhere")
        + head(b"Content-Length: 3", method=b"DELETE")
        + b"abc"
        + head(b"If-None-Match: *")
        + head(b"Via: a")
        + head(),
        (200, 200, 404, 405, 304, 403, 200),
        OPEN,
    ),
    Case("pipelining behind doubt", head() + head(_CHUNKED) + _EMPTY + head(), (200, 400), CLOSED),
    Case("pipelining behind an end", head(b"Connection: close") + head(), (200,), CLOSED),
    # A redirect that would take the guest's own line ends for headers.
    Case(
        "line end in a redirect",
        head(target=b"/metadata/v1?a%0d%0aX:%20y", method=b"HEAD"),
        (301,),
        OPEN,
    ),
]


def _spellings(name):
    yield from (name, name.lower(), name.upper(), name.swapcase(), name.replace(b"-", b"_"))


def _forwarding():
    for name in (b"X-Forwarded-For", b"Forwarded", b"Via"):
        for spelling in dict.fromkeys(_spellings(name)):
            for value in (b" 127.1.2.91", b"", b" \xff", b" 1.1 a, 1.1 b"):
                line = spelling + b":" + value
                yield Case(f"{line}", head(line), (403,), OPEN)
        line = name + b": for=127.1.2.91"
        for method, version in itertools.product(
            (b"GET", b"HEAD", b"PATCH", b"PUT", b"POST", b"DELETE", b"OPTIONS"),
            (b"HTTP/1.1", b"HTTP/1.0"),
        ):
            sent = head(line, b"Content-Length: 2", method=method, version=version) + b"{}"
            yield Case(f"{method} {version} {name}", sent, (403,), version == b"HTTP/1.0")
        for method, target in ((b"PATCH", b"/metadata/v1.json"), (b"PUT", b"/latest/api/token")):
            report = (b"Content-Type: application/json", b"Content-Length: 2")
            sent = head(line, *report, method=method, target=target) + b"{}"
            yield Case(f"{method} {target} {name}", sent, (403,), OPEN)
        yield Case(f"two {name}", head(line, line), (403,), OPEN)
        yield Case(f"named hop-by-hop {name}", head(b"Connection: " + name, line), (403,), OPEN)
        yield Case(f"folded {name}", head(name + b":", b" 127.1.2.91"), (400,), CLOSED)
        yield Case(f"in a fold {name}", head(b"A: b", b" " + line), (400,), CLOSED)
        yield Case(f"before a space {name}", head(name + b" : a"), (400,), CLOSED)
        yield Case(f"with a NUL {name}", head(line + b"\x00"), (400,), CLOSED)
    # None of these is a proxy's that anybody promises to send; none makes another caller either.
    for name in (
        *(b"X-Real-IP", b"X-Client-IP", b"Client-IP", b"True-Client-IP", b"CF-Connecting-IP"),
        *(b"X-Forwarded", b"X-Forwarded-Host", b"X-Original-Forwarded-For", b"Forwarded-For"),
        *(b"Remote-Addr", b"REMOTE_ADDR", b"X-Remote-Addr", b"X-Instance-ID", b"X-Droplet-ID"),
        *(b"Script-Name", b"Path-Info", b"Wsgi.Input", b"Request_Method"),
    ):
        yield Case(f"{name}", head(name + b": 127.1.2.91"), (200,), OPEN)


FORWARDING = list(_forwarding())

TABLE = [
    *(*CONTRADICTORY_LENGTHS, *LINES, *HOSTS, *TARGETS, *SIZES, *EXTENSIONS),
    *FORWARDING,
]
