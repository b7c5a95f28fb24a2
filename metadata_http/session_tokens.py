"""Session tokens: what is in one, and the only way to make or to open one.

Pure; time and nonces are arguments. A token is stateless: all that is known of it is in it, sealed
with AES-256-GCM under a key of this host, and bound to its holder as associated data, so that
neither another droplet nor the same one after a rebinding can use it.

    key id (6 bytes) | nonce (12) | sealed: end of its life (8) | tag (16)

in the URL-safe base64 alphabet: 56 characters, the length of EC2's, with not a bit to spare, so
that each token has one spelling. Why AES-GCM: docs/decisions/0007-session-tokens.md.
"""

import base64
import json
import re
import struct
from collections.abc import Hashable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
ID_BYTES = 6
NONCE_BYTES = 12

_TOKEN = re.compile(r"[A-Za-z0-9_-]{56}")
_LIFE = struct.Struct("!d")


@dataclass(frozen=True, slots=True)
class Key:
    """One key, with the name it has in tokens and the time it was made at."""

    key_id: bytes
    secret: bytes = field(repr=False)
    made: float


def holder(dpid: str, binding: Hashable) -> bytes:
    """Whose a token is: the bridge and the `Caller.binding`, in a form that is unambiguous."""
    return json.dumps(["ovs-metadata session 1", dpid, binding]).encode()


def issue(key: Key, holder: bytes, until: float, nonce: bytes) -> str:
    """A token for `holder`, good before the time `until`.

    A `nonce` must not come twice under one key.
    """
    sealed = AESGCM(key.secret).encrypt(nonce, _LIFE.pack(until), holder)
    return base64.urlsafe_b64encode(key.key_id + nonce + sealed).decode("ascii")


def key_id(token: str) -> bytes | None:
    """The name of the key that `token` says it is sealed with; None for what is no token."""
    if _TOKEN.fullmatch(token) is None:
        return None
    return base64.urlsafe_b64decode(token)[:ID_BYTES]


def opens(key: Key, token: str, holder: bytes, now: float) -> bool:
    """Whether `token` was issued to `holder` under `key` and its life is not over at `now`."""
    if key_id(token) != key.key_id:
        return False
    _, nonce, sealed = _parts(base64.urlsafe_b64decode(token))
    try:
        (until,) = _LIFE.unpack(AESGCM(key.secret).decrypt(nonce, sealed, holder))
    except InvalidTag:
        return False
    return now < until


def _parts(token: bytes) -> tuple[bytes, bytes, bytes]:
    at = ID_BYTES + NONCE_BYTES
    return token[:ID_BYTES], token[ID_BYTES:at], token[at:]
