"""Session tokens: good for their holder and their time, and no other text is one."""

import base64
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metadata_http.session_tokens import ID_BYTES, KEY_BYTES, NONCE_BYTES, Key, holder, issue
from metadata_http.session_tokens import key_id as id_in
from metadata_http.session_tokens import opens as opens_
from tests.property.effort import effort

DPID = "00000000000000a1"
BITS = 42 * 8
ALPHABET = string.ascii_letters + string.digits + "-_"

keys = st.builds(
    Key,
    st.binary(min_size=ID_BYTES, max_size=ID_BYTES),
    st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    st.floats(0, 1e9),
)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
times = st.floats(0, 1e9)
names = st.text(min_size=1, max_size=15)
# As `Caller.binding` is: ofport, port name, generation, droplet id.
bindings = st.tuples(
    st.integers(1, 0xFEFF), names, st.integers(0, 2**64), st.integers(1, 2**32 - 1)
)

KEY = Key(b"i" * ID_BYTES, b"k" * KEY_BYTES, 0.0)
BINDING = (602, "tap7", 5 << 32, 7)
TOKEN = issue(KEY, holder(DPID, BINDING), 100.0, b"n" * NONCE_BYTES)


def opens(token=TOKEN, key=KEY, dpid=DPID, binding=BINDING, now=99.9):
    return opens_(key, token, holder(dpid, binding), now)


@given(keys, bindings, times, nonces, times)
@effort(100)
def test_a_token_is_good_for_its_holder_until_its_time_is_over(key, binding, until, nonce, now):
    token = issue(key, holder(DPID, binding), until, nonce)
    assert id_in(token) == key.key_id
    assert len(token) == 56
    assert set(token) <= set(ALPHABET)
    assert opens_(key, token, holder(DPID, binding), now) == (now < until)


@given(bindings, bindings)
@effort(100)
def test_it_is_nobody_elses(binding, other):
    assume(binding != other)
    token = issue(KEY, holder(DPID, binding), 100.0, b"n" * NONCE_BYTES)
    assert opens(token, binding=binding)
    assert not opens(token, binding=other)
    assert not opens(token, binding=binding, dpid="00000000000000a2")


@pytest.mark.parametrize(
    "other",
    [
        (603, "tap7", 5 << 32, 7),  # another port
        (602, "tap8", 5 << 32, 7),
        (602, "tap7", (5 << 32) + 1, 7),  # the same droplet, bound anew
        (602, "tap7", 5 << 32, 8),  # another droplet on its port
        (602, "tap7", None, 7),
        None,
    ],
)
def test_one_thing_that_differs_is_enough(other):
    assert opens()
    assert not opens(binding=other)


@pytest.mark.parametrize("bit", range(BITS))
def test_no_bit_of_it_can_be_flipped(bit):
    data = bytearray(base64.urlsafe_b64decode(TOKEN))
    data[bit // 8] ^= 1 << bit % 8
    flipped = base64.urlsafe_b64encode(data).decode()
    assert not opens(flipped)
    assert opens()


@given(st.integers(0, 55), st.sampled_from(ALPHABET))
@effort(200)
def test_no_character_of_it_can_be_another(place, character):
    assume(TOKEN[place] != character)
    assert not opens(TOKEN[:place] + character + TOKEN[place + 1 :])


@given(st.text() | st.text(ALPHABET, min_size=56, max_size=56))
@effort(200)
def test_whatever_a_droplet_sends_is_no_token_and_no_fault(text):
    assume(text != TOKEN)
    assert not opens(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "\n",
        f" {TOKEN}",
        f"{TOKEN},{TOKEN}",
        TOKEN.replace("-", "+").replace("_", "/") if set("-_") & set(TOKEN) else f"{TOKEN[:-1]}/",
        TOKEN[:-1] + "é",
    ],
)
def test_it_has_one_spelling(text):
    assert not opens(text)


@given(keys)
@effort(20)
def test_another_key_opens_nothing(key):
    assume(key.secret != KEY.secret)
    assert not opens(key=key)
    assert not opens(key=Key(KEY.key_id, key.secret, 0.0))


def test_a_key_does_not_show_its_secret():
    assert "k" * KEY_BYTES not in repr(KEY)
