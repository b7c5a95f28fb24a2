"""Bearer tokens: the file they are in, and who a request comes from.

Lives here: reading and writing `tokens_file`, comparing in constant time. A token's text never
gets into a message or a log; what is kept of it is its digest.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ovs_metadata_logs import say
from ryu_apps import events

LOG = logging.getLogger(__name__)

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}", re.ASCII)
"""RFC 6750's characters; the least length keeps out what can be guessed."""

_DPID = re.compile(r"[0-9a-fA-F]{16}", re.ASCII)

_HEAD = """\
# Who may use the controller's REST interface: ROLE TOKEN [DPID]
# Roles: admin (everything), server (follows switches; with a DPID that switch alone).
# Read again whenever the file changes. Keep it readable by its owner only.
"""


class Role(StrEnum):
    """What a token allows."""

    ADMIN = "admin"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token stands for. With `dpid` only that switch is theirs to see."""

    role: Role
    dpid: int | None = None
    line: int = field(default=0, compare=False)
    """Of the token in `tokens_file`: its name in the audit log."""

    def may_see(self, dpid: int) -> bool:
        """Whether the switch with this dpid is theirs to see."""
        return self.dpid is None or self.dpid == dpid


class TokensRefused(Exception):
    """The tokens file cannot be used; the text is for the operator and holds no token."""


class Tokens:
    """The tokens of the file at `path`, which is created where there is none.

    Raises `TokensRefused` where the file cannot be read or created, is open to others, or has a
    line that is not understood.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            _create(self.path)
        self._stamp, self._callers = _read(self.path)

    def caller(self, token: str) -> Caller | None:
        """Whom `token` stands for, or None. Takes as long for a wrong token as for a right one.

        Every known token is compared, by digests of one length, so that time tells neither how
        much of a guess was right nor how long the tokens are.
        """
        self._reload()
        given = _digest(token)
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, given):
                found = caller
        return found

    def _reload(self) -> None:
        """Take over a changed file; where it is no good, keep what was and say so once."""
        try:
            stamp = _stamp(self.path.stat())
        except OSError:
            return  # Gone for a moment, as while an editor replaces it: the tokens still stand.
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._stamp, self._callers = _read(self.path)
        except TokensRefused as error:
            say(LOG, events.TOKENS_REFUSED, reason=error)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)


def _create(path: Path) -> None:
    """Write a token for each role; the file appears complete or not at all, and is ours alone."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    lines = "".join(f"{role} {secrets.token_urlsafe(32)}\n" for role in Role)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_HEAD + lines)
            file.flush()
            os.fsync(file.fileno())
        # A rename would overwrite a file that somebody wrote meanwhile; a link does not.
        with suppress(FileExistsError):
            os.link(unfinished, path)
        unfinished.unlink()
    except OSError as error:
        raise TokensRefused(f"tokens_file {path}: cannot be created: {error.strerror}") from error


def _read(path: Path) -> tuple[tuple[int, ...], list[tuple[bytes, Caller]]]:
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise TokensRefused(f"tokens_file {path}: cannot be read: {error}") from error
    if stat.S_IMODE(status.st_mode) & 0o007:
        raise TokensRefused(f"tokens_file {path}: is open to every user; chmod 600 it")
    callers = [
        _parse(line.split(), number, f"tokens_file {path} line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return _stamp(status), callers


def _parse(words: list[str], number: int, where: str) -> tuple[bytes, Caller]:
    if len(words) not in (2, 3):
        raise TokensRefused(f"{where}: a line is ROLE TOKEN [DPID]")
    role, token, *dpid = words
    if role not in set(Role):
        # Without the word: where the two are swapped it is the token.
        raise TokensRefused(f"{where}: its first word is none of {', '.join(Role)}")
    if not _TOKEN.fullmatch(token):
        raise TokensRefused(f"{where}: a token has 16 to 512 letters, digits or -._~+/=")
    if not dpid:
        return _digest(token), Caller(Role(role), line=number)
    if role != Role.SERVER or not _DPID.fullmatch(dpid[0]):
        raise TokensRefused(f"{where}: a DPID is 16 hex digits, and for the role server only")
    return _digest(token), Caller(Role(role), int(dpid[0], 16), number)
