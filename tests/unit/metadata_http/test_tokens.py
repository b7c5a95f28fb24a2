"""Which line of the tokens file is a metadata server's."""

import pytest

from metadata_http.tokens import token_for

DPID = "00000000000000a1"


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("", None),
        ("\n# comment\n", None),
        ("admin AAA\n", "AAA"),
        ("admin AAA\nserver BBB\n", "BBB"),
        (f"admin AAA\nserver BBB\nserver CCC {DPID}\n", "CCC"),
        (f"server CCC {DPID.upper()}\nserver BBB\n", "CCC"),
        ("server CCC 00000000000000b2\n", None),
        ("server CCC 00000000000000b2\nadmin AAA\n", "AAA"),
        ("server\nadmin\n", None),
        ("server BBB  # of this host\n", "BBB"),
        ("stranger DDD\n", None),
    ],
)
def test_token_for(text, token):
    assert token_for(text, DPID) == token
