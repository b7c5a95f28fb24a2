"""The command line: where options may stand, what is a usage error, and the exit statuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ryu_apps.dropletctl import connection
from ryu_apps.dropletctl.cli import cli
from ryu_apps.dropletctl.connection import Given
from ryu_apps.dropletctl.options import connection as connection_options
from ryu_apps.dropletctl.options import given

NOBODY = "http://127.0.0.1:1"
"""A port where nobody listens."""

SECURE = "https://127.0.0.1:1"
"""The same by TLS."""


@pytest.fixture(autouse=True)
def nothing_usual(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this machine's configuration nor its environment has a say."""
    monkeypatch.setattr(connection, "CONFIG_FILE", tmp_path / "no-config")
    monkeypatch.setattr(connection, "TOKENS_FILE", tmp_path / "no-tokens")
    for name in ("URL", "TOKEN", "TOKENS_FILE", "CONFIG_FILE", "CA_FILE"):
        monkeypatch.delenv(f"DROPLETCTL_{name}", raising=False)


def call(*words: str, text: str = "") -> Result:
    return CliRunner().invoke(cli, [*words], input=text)


@click.group()
@connection_options
def group() -> None:
    """A group with one command that tells what it was given."""


@group.command()
@connection_options
@click.pass_context
def tell(context: click.Context) -> None:
    click.echo(repr(given(context)))


@pytest.mark.parametrize(
    ("words", "env", "expected"),
    [
        ([], {}, Given()),
        (["--url", "http://a", "tell"], {}, Given(url="http://a")),
        (["tell", "--url", "http://a"], {}, Given(url="http://a")),
        (["--url", "http://a", "tell", "--url", "http://b"], {}, Given(url="http://b")),
        (["--url", "http://a", "tell", "--token", "t"], {}, Given(url="http://a", token="t")),
        ([], {"DROPLETCTL_URL": "http://e"}, Given(url="http://e")),
        (["--url", "http://a", "tell"], {"DROPLETCTL_URL": "http://e"}, Given(url="http://a")),
        (["tell", "--url", "http://a"], {"DROPLETCTL_URL": "http://e"}, Given(url="http://a")),
        (["tell", "--tokens-file", "f"], {}, Given(tokens_file=Path("f"))),
        (["--config-file", "f", "tell"], {}, Given(config_file=Path("f"))),
        (["tell", "--ca-file", "f"], {}, Given(ca_file=Path("f"))),
        ([], {"DROPLETCTL_CA_FILE": "f"}, Given(ca_file=Path("f"))),
        (["tell", "--client-cert", "c"], {}, Given(client_cert=Path("c"))),
        (["--client-key", "k", "tell"], {}, Given(client_key=Path("k"))),
    ],
)
def test_options_may_stand_on_both_sides_of_the_command(
    words: list[str], env: dict[str, str], expected: Given
) -> None:
    done = CliRunner().invoke(group, words or ["tell"], env=env)
    assert done.output.strip() == repr(expected)


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["get"],
        ["get", "0"],
        ["get", "4294967296"],
        ["get", "web-1"],
        ["put"],
        ["put", "1", "a.json", "b.json"],
        ["put", "0", "-"],
        ["put", "1", "/nowhere.json"],
        ["import", "/nowhere.json"],
        ["import", "-", "--batch", "0"],
        ["maintenance"],
        ["maintenance", "7", "--set", "live_migrate", "--clear"],
        ["ports", "xyz"],
        ["ports", "12345678901234567"],
        ["host-setup"],
        ["host-setup", "--bridge", "br0", "--mac", "01:00:00:00:00:01"],
        ["host-setup", "--bridge", "br0", "--table", "254"],
        ["list", "--nonsense"],
        *(
            ["list", "--url", url]
            for url in ("", "10.0.0.1:8080", "ftp://h", "http://", "http://[")
        ),
        *(["list", "--url", url] for url in ("http://h:0", "http://h:65536", "https://h:x")),
        ["list", "--tokens-file", "/"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(words: list[str]) -> None:
    done = call(*words)
    assert done.exit_code == 2, done.output
    assert "Usage:" in done.output


@pytest.mark.parametrize(
    ("words", "text", "told"),
    [
        (["put", "-"], "{", "not JSON"),
        (["put", "-"], "[]", "a droplet is a JSON object"),
        (["put", "-"], "{}", "names no droplet_id"),
        (["put", "-"], '{"droplet_id": "7"}', "names no droplet_id"),
        (["import", "-"], '[{"a": 1}', "nothing was registered"),
        (["list"], "", "no token: there is no"),
    ],
)
def test_what_cannot_be_done_is_told(words: list[str], text: str, told: str) -> None:
    done = call(*words, text=text)
    assert done.exit_code == 1
    assert told in done.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--url", NOBODY], f"no answer from a controller at {NOBODY}: Connection refused"),
        (["--url", SECURE], f"no answer from a controller at {SECURE}: Connection refused"),
        (["--url", "http://h.invalid:1"], "no answer from a controller at http://h.invalid:1: "),
        (["--url", SECURE, "--ca-file", "/absent"], "/absent: no certificates"),
        (["--url", SECURE, "--client-cert", "/absent"], "/absent: no certificates"),
        (["--url", SECURE, "--client-key", "/absent"], "/absent: no certificates"),
        (["--url", SECURE, "--ca-file", __file__], f"{__file__}: no certificates"),
        (["--config-file", "/absent.conf"], "/absent.conf"),
    ],
)
def test_a_controller_that_is_not_reached_is_named_in_one_line(words: list[str], told: str) -> None:
    done = call("switches", "--token", "sesame", *words)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert told in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no token: there is no {file}"),
        ("# nothing\n", "no token: {file} has no line for the role admin or server"),
        (b"\xff\xfe", "no token: {file}: it is not UTF-8"),
    ],
)
def test_a_token_that_is_not_found_is_told_with_its_file_in_one_line(
    tmp_path: Path, text: str | bytes | None, told: str
) -> None:
    file = tmp_path / "tokens"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = call("switches", "--url", NOBODY, "--tokens-file", str(file))
    assert done.exit_code == 1
    assert told.format(file=file) in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_token_is_never_shown() -> None:
    done = call("switches", "--url", NOBODY, "--token", "sesame")
    assert "sesame" not in done.output


@pytest.mark.parametrize("words", [[], *([name] for name in cli.list_commands(click.Context(cli)))])
def test_every_command_explains_itself(words: list[str]) -> None:
    done = call(*words, "--help")
    assert done.exit_code == 0
    assert done.output.startswith("Usage:")


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_command_has_a_form_for_programs(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert "--json" in [option for each in command.params for option in each.opts]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["wathc"], "'watch'"),
        (["delte", "7"], "'delete'"),
        (["host_setup"], "'host-setup'"),
        (["list", "--regoin", "x"], "'--region'"),
        (["--tokn", "x", "list"], "'--token'"),
        (["top", "--sort", "request"], "requests"),
        (["completion", "csh"], "zsh"),
    ],
)
def test_what_is_misspelt_is_told_with_what_was_probably_meant(words: list[str], told: str) -> None:
    done = call(*words)
    assert done.exit_code == 2
    assert told in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_what_a_command_does_is_said_in_the_list_alone(name: str) -> None:
    """The list is shown without the command: what that says of itself would be a second word."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    text = command.short_help
    assert text and text in " ".join(call("--help").output.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shell_s_script(shell: str) -> None:
    done = call("completion", shell)
    assert done.exit_code == 0
    assert f"_DROPLETCTL_COMPLETE={shell}_complete" in done.stdout
    assert json.loads(call("completion", shell, "--json").stdout) == {
        **{"shell": shell, "script": done.stdout.removesuffix("\n")}
    }


SLOW = ("rich", "urllib3", "oslo_config", "ryu", "eventlet", "ssl", "ryu_apps.pipeline")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"_DROPLETCTL_COMPLETE": "zsh_complete", "COMP_WORDS": "dropletctl wa", "COMP_CWORD": "1"},
    ],
    ids=["help", "completing a command"],
)
def test_the_command_line_is_quick_because_it_imports_only_what_it_needs(
    environment: dict[str, str],
) -> None:
    program = (
        "import sys; from ryu_apps.dropletctl.cli import cli\n"
        "try: cli(['--help'], prog_name='dropletctl')\n"
        "except SystemExit: pass\n"
        f"print([name for name in sys.modules if name in {SLOW} or name.endswith('_commands')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "watch" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
