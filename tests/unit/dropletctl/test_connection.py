"""Where the controller is and which token to show: from options, configuration and files."""

from pathlib import Path

import pytest

from ryu_apps.dropletctl import connection
from ryu_apps.dropletctl.connection import Given, SetupError, choose_token, find

TOKENS = "# who may\n\nserver S 000000000000002a\nadmin A\nserver T\n"


@pytest.fixture(autouse=True)
def no_usual_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine's own configuration is none of these tests' business."""
    monkeypatch.setattr(connection, "CONFIG_FILE", tmp_path / "no-config")
    monkeypatch.setattr(connection, "TOKENS_FILE", tmp_path / "no-tokens")


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(TOKENS)
    return file


def config(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "ovs-metadata.conf"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (TOKENS, "A"),
        ("server S 000000000000002a\nserver T\n", "S"),
        ("# admin A\nroot X\nadmin\n", None),
        ("", None),
    ],
)
def test_the_token_that_may_do_most_is_taken(text: str, token: str | None) -> None:
    assert choose_token(text) == token


def test_what_is_said_is_not_looked_for() -> None:
    place = find(Given(url="http://there:1", token="T"))
    assert (place.url, place.token) == ("http://there:1", "T")


def test_without_a_word_it_is_on_this_host(tokens_file: Path) -> None:
    assert find(Given(tokens_file=tokens_file)).url == "http://127.0.0.1:8080"


def test_the_configuration_tells_url_and_tokens(tmp_path: Path, tokens_file: Path) -> None:
    text = (
        f"[DEFAULT]\nwsapi_host = 10.1.2.3\nwsapi_port = 81\n[metadata]\nstate_dir = {tmp_path}\n"
    )
    place = find(Given(config_file=config(tmp_path, text)))
    assert (place.url, place.token) == ("http://10.1.2.3:81", "A")
    assert place.token_source == str(tokens_file)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("2001:db8::1", "[2001:db8::1]"), ("hv", "hv")],
)
def test_a_listening_address_becomes_one_to_connect_to(
    tmp_path: Path, tokens_file: Path, host: str, url: str
) -> None:
    file = config(tmp_path, f"[DEFAULT]\nwsapi_host = {host}\n")
    assert find(Given(config_file=file, tokens_file=tokens_file)).url == f"http://{url}:8080"


def test_options_win_over_the_configuration(tmp_path: Path, tokens_file: Path) -> None:
    file = config(tmp_path, "[DEFAULT]\nwsapi_port = 81\n[metadata]\nstate_dir = /nowhere\n")
    place = find(Given(url="http://x", tokens_file=tokens_file, config_file=file))
    assert (place.url, place.token) == ("http://x", "A")


def test_the_usual_configuration_is_found_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tokens_file: Path
) -> None:
    usual = config(tmp_path, f"[metadata]\ntokens_file = {tokens_file}\n")
    monkeypatch.setattr(connection, "CONFIG_FILE", usual)
    assert find(Given()).token == "A"


def test_a_missing_tokens_file_names_itself_and_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=rf"{tmp_path}/no-tokens.*--tokens-file"):
        find(Given())


def test_a_tokens_file_without_a_token_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(SetupError, match="no line for the role admin or server"):
        find(Given(tokens_file=tmp_path / "empty"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[metadata]\nmetadata_port = http\n", "metadata_port"),
        ("[DEFAULT]\nwsapi_port = 99999\n", "wsapi_port"),
        ("no section\n", "no section"),
    ],
)
def test_a_bad_configuration_names_file_and_option(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SetupError, match=rf"(?s)ovs-metadata.conf.*{told}"):
        find(Given(config_file=config(tmp_path, text)))


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"absent\.conf"):
        find(Given(config_file=tmp_path / "absent.conf"))
