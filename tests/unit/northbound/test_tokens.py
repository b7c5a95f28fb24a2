"""The tokens file."""

import os
import stat

import pytest

from ryu_apps.northbound.tokens import Caller, Role, Tokens, TokensRefused

ADMIN = "a" * 40
SERVER = "s" * 40


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "tokens"


def write(path, text, mode=0o600):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_first_start_writes_a_token_for_each_role(path):
    first = Tokens(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [line.split() for line in path.read_text().splitlines() if line[0] != "#"]
    assert [role for role, _ in lines] == ["admin", "server"]
    assert all(len(token) >= 40 for _, token in lines)
    for role, token in lines:
        assert first.caller(token) == Tokens(path).caller(token) == Caller(Role(role))
    assert os.listdir(path.parent) == ["tokens"]


def test_a_file_that_is_there_is_never_overwritten(path):
    write(path, f"admin {ADMIN}\n")
    Tokens(path)
    assert path.read_text() == f"admin {ADMIN}\n"


def test_a_server_token_may_be_bound_to_a_switch(path):
    tokens = Tokens(write(path, f"# comment\n\n admin {ADMIN}\nserver {SERVER} 00000000000000AB\n"))
    caller = tokens.caller(SERVER)
    assert caller == Caller(Role.SERVER, 0xAB)
    assert caller.may_see(0xAB)
    assert not caller.may_see(0xAC)
    assert tokens.caller(ADMIN).may_see(5)
    for wrong in ("", ADMIN[:-1], ADMIN + "a", "é" * 40, "#"):
        assert tokens.caller(wrong) is None


def test_every_token_is_compared_whichever_it_is(path, monkeypatch):
    known = {role * 40: Caller(Role.SERVER) for role in "abcde"}
    tokens = Tokens(write(path, "".join(f"server {token}\n" for token in known)))
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("ryu_apps.northbound.tokens.hmac.compare_digest", compare)
    for token in (*known, "wrong" * 8, "a", ""):
        compared.clear()
        assert tokens.caller(token) == known.get(token)
        assert len({one for one, _ in compared}) == len(known), token
        assert {len(side) for pair in compared for side in pair} == {32}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"root {ADMIN}\n", "line 1: its first word is none of admin, server"),
        (f"{ADMIN} admin\n", "line 1: its first word is none of admin, server"),
        (f"admin {ADMIN}\nserver\n", "line 2: a line is ROLE TOKEN"),
        ("admin short\n", "16 to 512"),
        (f"admin {ADMIN}é\n", "16 to 512"),
        (f"admin {ADMIN} 00000000000000ab\n", "for the role server only"),
        (f"server {SERVER} ab\n", "16 hex digits"),
    ],
)
def test_a_line_that_is_not_understood_is_refused_without_its_token(path, text, words):
    with pytest.raises(TokensRefused, match=words) as refused:
        Tokens(write(path, text))
    assert str(path) in str(refused.value)
    assert ADMIN[:8] not in str(refused.value)
    assert SERVER[:8] not in str(refused.value)


def test_a_file_open_to_every_user_is_refused(path):
    with pytest.raises(TokensRefused, match="chmod 600"):
        Tokens(write(path, f"admin {ADMIN}\n", 0o644))
    Tokens(write(path, f"admin {ADMIN}\n", 0o640))


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TokensRefused, match="cannot be created"):
        Tokens(tmp_path / "file" / "tokens")


def test_a_changed_file_counts_at_once_and_a_broken_one_not_at_all(path, caplog):
    tokens = Tokens(write(path, f"admin {ADMIN}\n"))
    write(path, f"server {SERVER}\n")
    assert tokens.caller(SERVER) == Caller(Role.SERVER)
    assert tokens.caller(ADMIN) is None
    write(path, f"nonsense {ADMIN} x y z\n")
    assert tokens.caller(SERVER) == Caller(Role.SERVER)
    assert tokens.caller(SERVER) == Caller(Role.SERVER)
    assert caplog.text.count("stay in force") == 1
    assert ADMIN not in caplog.text
    path.unlink()
    assert tokens.caller(SERVER) == Caller(Role.SERVER)
    write(path, f"admin {ADMIN}\n")
    assert tokens.caller(ADMIN) == Caller(Role.ADMIN)
