"""The keys of session tokens, in a file that all workers of a bridge on this host share.

Shell (a file, a lock, random numbers). The file is the truth: whatever is in memory is used only as
long as the file is the one it was read from, so that deleting it ends every token at once. A key
makes tokens for `ROTATION` seconds and is kept until the last of them is over. Keys are of one
boot: their times are on its clock, and a file that comes back from a backup opens nothing.
"""

import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

from metadata_http import events, session_tokens
from metadata_http.access import LONGEST_TTL
from metadata_http.boot import boot_id
from metadata_http.session_tokens import ID_BYTES, KEY_BYTES, NONCE_BYTES, Key
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

ROTATION = 21600.0  # seconds
_VERSION = 1
_SIZE_LIMIT = 65536  # bytes; a few hundred are the rule
_OTHERS = 0o077

_Stamp = tuple[int, int, int]
_Keys = dict[bytes, Key]


class SessionKeys:
    """The key file at `path`; `clock` is in seconds since boot."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        # Replaced as a whole: it is read without the lock.
        self._held: tuple[_Stamp | None, _Keys] = (None, {})

    def newest(self) -> Key:
        """The key for a new token; makes one where there is none that is fresh. Raises OSError."""
        key = self._fresh(self._read())
        if key is not None:
            return key
        # Held for one small write, every six hours.
        with self._lock, self._locked():
            keys = self._load()
            key = self._fresh(keys)
            if key is None:
                now = self._clock()
                key = Key(os.urandom(ID_BYTES), os.urandom(KEY_BYTES), now)
                kept = [k for k in keys.values() if now < k.made + ROTATION + LONGEST_TTL]
                self._write([*kept, key])
            return key

    def find(self, key_id: bytes) -> Key | None:
        """The key of this name, if there is one."""
        return self._read().get(key_id)

    def _fresh(self, keys: _Keys) -> Key | None:
        now = self._clock()
        fresh = [key for key in keys.values() if key.made <= now < key.made + ROTATION]
        return max(fresh, key=lambda key: key.made, default=None)

    def _read(self) -> _Keys:
        """The keys in the file, read again only where it is another one."""
        stamp, keys = self._held
        if stamp is not None and _stamp(self.path) == stamp:
            return keys
        with self._lock:
            return self._load()

    def _load(self) -> _Keys:
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            self._held = (None, {})
            return {}
        with open(file, "rb") as opened:
            status = os.fstat(file)
            text = opened.read(_SIZE_LIMIT)
        keys = self._parse(text) if self._is_ours_alone(status) else {}
        self._held = (_stamp_of(status), keys)
        return keys

    def _is_ours_alone(self, status: os.stat_result) -> bool:
        mode = status.st_mode & 0o777
        if mode & _OTHERS:
            say(log, events.KEYS_OPEN, file=self.path, mode=mode)
        return not mode & _OTHERS

    def _parse(self, text: bytes) -> _Keys:
        try:
            document = json.loads(text)
            if document["version"] != _VERSION or document["boot_id"] != boot_id():
                return {}
            keys = [_key(each) for each in document["keys"]]
        except (ValueError, LookupError, TypeError, AttributeError) as fault:
            # Only the kind: the text of the fault could hold a key.
            say(log, events.KEYS_UNUSABLE, file=self.path, reason=type(fault).__name__)
            return {}
        return {key.key_id: key for key in keys}

    def _write(self, keys: list[Key]) -> None:
        """Replace the file, whole or not at all. No fsync: keys of another boot count nothing."""
        listed = [{"id": k.key_id.hex(), "key": k.secret.hex(), "made": k.made} for k in keys]
        document = {"version": _VERSION, "boot_id": boot_id(), "keys": listed}
        temporary = self.path.with_name(f"{self.path.name}.new")
        temporary.unlink(missing_ok=True)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "wb") as opened:
            opened.write(json.dumps(document).encode("ascii") + b"\n")
        os.rename(temporary, self.path)
        say(log, events.KEY_MADE, file=self.path, count=len(keys))
        self._load()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """No other process makes a key meanwhile."""
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class HostSessions:
    """An `access.Sessions` for the droplets of bridge `dpid`, by the keys of this host."""

    def __init__(self, dpid: str, keys: SessionKeys, clock: Callable[[], float]) -> None:
        self._dpid = dpid
        self._keys = keys
        self._clock = clock
        self._said = ""

    def issue(self, binding: Hashable, ttl: int) -> str | None:
        """A token for `ttl` seconds; None, and the reason in the log, where the file fails."""
        try:
            key = self._keys.newest()
        except OSError as fault:
            self._say(fault)
            return None
        holder = session_tokens.holder(self._dpid, binding)
        until = self._clock() + ttl
        return session_tokens.issue(key, holder, until, os.urandom(NONCE_BYTES))

    def opens(self, token: str, binding: Hashable) -> bool:
        """Whether `token` was issued to this binding and is still good."""
        key_id = session_tokens.key_id(token)
        if key_id is None:
            return False
        try:
            key = self._keys.find(key_id)
        except OSError as fault:
            self._say(fault)
            return False
        if key is None:
            return False
        holder = session_tokens.holder(self._dpid, binding)
        return session_tokens.opens(key, token, holder, self._clock())

    def _say(self, fault: OSError) -> None:
        """Log a fault once, not once a request."""
        if str(fault) != self._said:
            self._said = str(fault)
            say(log, events.NO_KEY, reason=fault)


def _key(given: dict) -> Key:
    key = Key(bytes.fromhex(given["id"]), bytes.fromhex(given["key"]), float(given["made"]))
    if (len(key.key_id), len(key.secret)) != (ID_BYTES, KEY_BYTES):
        raise ValueError("a key of another size")
    return key


def _stamp(path: Path) -> _Stamp | None:
    try:
        return _stamp_of(os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _stamp_of(status: os.stat_result) -> _Stamp:
    """What changes when the file is replaced, written to, or opened to others."""
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns
