"""dropletctl against the real controller, as the operator of the host calls it."""

import json
import subprocess
from collections.abc import Iterator

import click
import pytest

from lab.hypervisor import BRIDGE
from lab.process import Daemon
from lab.services import BIN
from lab.wait import wait_for
from ovs_metadata_client import Conflict, NotFound, PreconditionFailed, Refused
from ryu_apps.dropletctl.cli import cli
from tests.system.world import World

FIRST = 5_000_000
"""Ids that no other test of this world uses."""


def document(droplet_id: int, **metadata: object) -> dict[str, object]:
    return {
        "droplet_id": droplet_id,
        "ports": [{"name": f"t{droplet_id}", "mac": "02:00:00:00:00:01"}],
        "metadata": {"hostname": f"host-{droplet_id}", **metadata},
    }


def ndjson(*documents: object) -> str:
    return "".join(json.dumps(each) + "\n" for each in documents)


@pytest.fixture
def clean(world: World) -> Iterator[World]:
    """The world; what a test registered under its own ids is removed in the end."""
    yield world
    with world.host.namespace.entered(), world.client() as client:
        for each in list(client.droplets()):
            if FIRST <= each["droplet_id"] < FIRST + 100_000:
                client.delete_droplet(each["droplet_id"])


def call(
    world: World, *words: str, text: str | None = None, status: int = 0
) -> subprocess.CompletedProcess[str]:
    done = world.services.dropletctl(*words, text=text, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_a_droplet_s_life(clean: World) -> None:
    text = json.dumps(document(FIRST, tags=["a"]))
    assert call(clean, "put", "-", text=text).stdout == f"droplet {FIRST} registered\n"
    assert call(clean, "put", str(FIRST), "-", text=text).stdout == f"droplet {FIRST} replaced\n"
    found = json.loads(call(clean, "get", str(FIRST)).stdout)
    assert found["droplet_id"] == FIRST
    assert found["metadata"]["tags"] == ["a"]
    assert f"host-{FIRST}" in call(clean, "list").stdout
    assert call(clean, "delete", str(FIRST)).stdout == f"droplet {FIRST} removed\n"
    assert f"droplet {FIRST} is not registered" in call(clean, "get", str(FIRST), status=1).stderr
    call(clean, "delete", str(FIRST), status=1)


def test_conditions_are_kept(clean: World) -> None:
    text = json.dumps(document(FIRST))
    done = json.loads(call(clean, "put", "-", "--if-new", "--json", text=text).stdout)
    assert done["created"] is True
    call(clean, "put", "-", "--if-new", text=text, status=1)
    call(clean, "put", "-", "--if-match", done["etag"], text=text)
    call(clean, "put", "-", "--if-match", done["etag"], text=text, status=1)
    call(clean, "delete", str(FIRST), "--if-match", done["etag"], status=1)


def test_every_fault_of_a_document_is_shown(clean: World) -> None:
    ports = [{"name": "longer-than-15-bytes", "mac": "01:00:00:00:00:01"}]
    done = call(clean, "put", str(FIRST), "-", text=json.dumps({"ports": ports}), status=1)
    assert "/ports/0/name:" in done.stderr
    assert "/ports/0/mac:" in done.stderr
    assert "multicast" in done.stderr


def test_a_name_that_another_droplet_holds_is_told_with_its_holder(clean: World) -> None:
    call(clean, "put", "-", text=json.dumps(document(FIRST)))
    thief = document(FIRST + 1) | {"ports": document(FIRST)["ports"]}
    done = call(clean, "put", "-", text=json.dumps(thief), status=1)
    assert f"t{FIRST} belongs to droplet {FIRST}" in done.stderr


def test_many_are_imported_in_batches_and_listed_page_by_page(clean: World) -> None:
    number = 2300
    documents = [document(FIRST + n, region="lots") for n in range(number)]
    done = call(clean, "import", "-", "--batch", "700", text=ndjson(*documents))
    assert done.stdout == f"{number} droplets: {number} new, 0 replaced\n"
    listed = call(clean, "list", "--region", "lots", "--json").stdout.splitlines()
    assert [json.loads(line)["droplet_id"] for line in listed] == [FIRST + n for n in range(number)]
    again = call(clean, "import", "-", "--json", text="\n".join(listed))
    assert json.loads(again.stdout) == {"droplets": number, "created": 0, "replaced": number}


def test_an_array_is_imported_too(clean: World) -> None:
    text = json.dumps([document(FIRST), document(FIRST + 1)], indent=2)
    assert "2 droplets: 2 new" in call(clean, "import", "-", text=text).stdout


def test_a_bad_batch_names_its_lines_and_what_was_registered(clean: World) -> None:
    bad = document(FIRST + 3) | {"ports": [{"name": "x", "mac": "nonsense"}]}
    lines = [document(FIRST), document(FIRST + 1), document(FIRST + 2), bad]
    done = call(clean, "import", "-", "--batch", "2", text=ndjson(*lines) + "{broken\n", status=1)
    assert "line 3 to line 4" in done.stderr
    assert "line 4: /ports/0/mac" in done.stderr
    assert "The 2 droplets before it are registered" in done.stderr
    call(clean, "get", str(FIRST + 1))
    call(clean, "get", str(FIRST + 2), status=1)


def test_a_file_that_breaks_off_registers_nothing(clean: World) -> None:
    text = json.dumps([document(FIRST)])[:-1]
    assert "nothing was registered" in call(clean, "import", "-", text=text, status=1).stderr
    call(clean, "get", str(FIRST), status=1)


def test_switches_and_ports_are_listed(clean: World) -> None:
    assert clean.dpid in call(clean, "switches").stdout
    (switch,) = json.loads(call(clean, "switches", "--json").stdout)
    assert switch["state"] == "in-sync"
    droplet = clean.host.add_droplet("taplist", ofport=2001, mac="02:00:00:00:09:01")
    wait_for(lambda: "taplist" in clean.ports(), "the port")
    for words in (["ports"], ["ports", clean.dpid], ["ports", clean.dpid.upper()]):
        assert "100.127.7.209" in call(clean, *words).stdout
    clean.host.remove_droplet(droplet)
    assert "is not known" in call(clean, "ports", "ff", status=1).stderr


def test_maintenance_reaches_the_droplet_and_is_called_off(clean: World) -> None:
    droplet = clean.host.add_droplet(
        "tapmaint", ofport=2003, mac="02:00:00:00:09:03", addresses="10.0.0.9/24"
    )
    droplet_id = clean.register(droplet)
    clean.wait_until_served(droplet)

    def in_the_droplet() -> str:
        answer = droplet.get("/v1/maintenance_event")
        assert answer.status == 200
        return answer.text

    def told(*words: str) -> str:
        return call(clean, "maintenance", str(droplet_id), *words).stdout

    assert in_the_droplet() == ""
    assert told() == f"droplet {droplet_id}: no maintenance is announced\n"
    announced = f"droplet {droplet_id}: maintenance live_migrate is announced\n"
    assert told("--set", "live_migrate") == announced
    wait_for(lambda: in_the_droplet() == "live_migrate", "the event in the droplet")
    assert told() == announced
    assert json.loads(told("--json")) == {"event": "live_migrate"}
    assert told("--clear") == f"droplet {droplet_id}: no maintenance is announced\n"
    wait_for(lambda: in_the_droplet() == "", "no event in the droplet")
    assert json.loads(told("--json")) == {"event": None}
    clean.host.remove_droplet(droplet)


def test_maintenance_that_is_none_or_nobody_s_is_refused(clean: World) -> None:
    call(clean, "put", "-", text=json.dumps(document(FIRST)))
    done = call(clean, "maintenance", str(FIRST), "--set", "reboot", status=1)
    assert '/event: "reboot" is none of live_migrate' in done.stderr
    for words in ([], ["--set", "live_migrate"], ["--clear"]):
        done = call(clean, "maintenance", str(FIRST + 1), *words, status=1)
        assert f"droplet {FIRST + 1} is not registered" in done.stderr


def test_watch_tells_changes_as_they_happen(clean: World) -> None:
    log = clean.host.directory / "watch.log"
    words = ["--config-file", str(clean.services.config_file), "watch"]
    command = clean.host.namespace.command(BIN / "dropletctl", *words)
    watch = Daemon("watch", command, log=log, env={"PYTHONUNBUFFERED": "1"})
    try:
        wait_for(
            lambda: "in sync at revision" in log.read_text(), "the view", diagnose=watch.log_tail
        )
        droplet = clean.host.add_droplet("tapwatch", ofport=2002, mac="02:00:00:00:09:02")
        wait_for(lambda: "tapwatch" in log.read_text(), "the port", diagnose=watch.log_tail)
        clean.register(droplet)
        wait_for(lambda: ", serving" in log.read_text(), "serving", diagnose=watch.log_tail)
        clean.host.remove_droplet(droplet)
        wait_for(lambda: "ofport 2002  gone" in log.read_text(), "gone", diagnose=watch.log_tail)
    finally:
        watch.stop()


def test_watch_goes_on_after_the_controller_s_restart(clean: World) -> None:
    log = clean.host.directory / "watch-again.log"
    words = ["--config-file", str(clean.services.config_file), "watch", clean.dpid, "--json"]
    command = clean.host.namespace.command(BIN / "dropletctl", *words)
    watch = Daemon("watch", command, log=log, env={"PYTHONUNBUFFERED": "1"})
    try:
        wait_for(lambda: '"in-sync"' in log.read_text(), "the view", diagnose=watch.log_tail)
        clean.services.controller.kill()
        clean.services.controller.start()
        wait_for(
            lambda: log.read_text().count('"in-sync"') > 1, "a new view", diagnose=watch.log_tail
        )
        assert watch.running
    finally:
        watch.stop()


def test_top_shows_what_a_droplet_asked(clean: World) -> None:
    droplet = clean.host.add_droplet(
        "taptop", ofport=2005, mac="02:00:00:00:09:05", addresses="10.0.0.9/24"
    )
    droplet_id = clean.register(droplet)
    clean.wait_until_served(droplet)

    def counted() -> dict[str, object]:
        done = call(clean, "top", "--once", "--json", "--interval", "0.2", "--sort", "id")
        rows = json.loads(done.stdout)["droplets"]
        return next((row for row in rows if row["droplet_id"] == droplet_id), {})

    assert droplet.get("/metadata/v1/id").status == 200
    wait_for(lambda: counted().get("last_status") == 200, "the droplet in the counts")
    before = counted()
    assert [droplet.get(f"/metadata/v1/{name}").status for name in ("id", "nonsense")] == [200, 404]
    wait_for(lambda: counted()["errors"] == before["errors"] + 1, "the error in the counts")
    now = counted()
    assert now["requests"] == before["requests"] + 2
    assert (now["ofport"], now["last_status"]) == (2005, 404)
    clean.host.remove_droplet(droplet)


def test_a_wrong_token_is_told_with_its_source(clean: World) -> None:
    done = call(clean, "list", "--token", "0123456789abcdef", status=1)
    assert "does not know the token of --token or DROPLETCTL_TOKEN" in done.stderr
    assert "0123456789abcdef" not in done.stderr


def test_a_server_s_token_may_look_at_switches_only(clean: World) -> None:
    lines = (clean.services.state_dir / "tokens").read_text().splitlines()
    file = clean.host.directory / "server-token"
    file.write_text("\n".join(line for line in lines if line.startswith("server")))
    call(clean, "--tokens-file", str(file), "switches")
    done = call(clean, "--tokens-file", str(file), "list", status=1)
    assert str(file) in done.stderr and "admin" in done.stderr


JSON_WORDS = {
    "put": ("put", "-"),
    "get": ("get", str(FIRST)),
    "list": ("list",),
    "maintenance": ("maintenance", str(FIRST)),
    "delete": ("delete", str(FIRST)),
    "import": ("import", "-"),
    "backup": ("backup", "FILE"),
    "restore": ("restore", "FILE", "--config-file", "CONFIG"),
    "migrate": ("migrate", "RESTORED", "MIGRATED", "--config-file", "CONFIG"),
    "switches": ("switches",),
    "ports": ("ports",),
    "watch": ("watch",),
    "top": ("top", "--once", "--interval", "0.2"),
    "host-setup": ("host-setup", "--bridge", BRIDGE, "--check"),
    "doctor": ("doctor", "--bridge", BRIDGE),
    "trace": ("trace", "DROPLET"),
    "completion": ("completion", "zsh"),
    "follow-ovsdb": ("follow-ovsdb", "--once", "--owner", "json"),
}
"""A call of each command that does what it is for, in an order in which they can."""


def test_every_command_says_it_in_json_and_nothing_else(clean: World) -> None:
    droplet = clean.host.add_droplet("tapjson", ofport=2004, mac="02:00:00:00:09:04")
    droplet_id = clean.register(droplet)
    clean.wait_until_served(droplet)
    named = clean.host.add_droplet("tapnamed", ofport=2005, mac="02:00:00:00:09:05")
    ids = (f"external_ids:droplet-id={FIRST + 7}", f"external_ids:attached-mac={named.mac}")
    clean.ovs.vsctl("set", "Interface", named.port, *ids)
    folder = clean.host.directory
    config = folder / "elsewhere.conf"
    restored, migrated = (f"sqlite:///{folder}/{name}.db" for name in ("restored", "migrated"))
    config.write_text(f"[metadata]\nregistry_url = {restored}\n")
    place = {
        **{"RESTORED": restored, "MIGRATED": migrated},
        **{"FILE": str(folder / "registry-backup.db"), "CONFIG": str(config)},
        **{"DROPLET": str(droplet_id)},
    }
    assert set(JSON_WORDS) == set(cli.list_commands(click.Context(cli)))
    for name, words in JSON_WORDS.items():
        filled = [place.get(word, word) for word in words]
        if name == "watch":
            said = first_line_of(clean, *filled, "--json")
        else:
            text = json.dumps(document(FIRST)) if "-" in filled else None
            said = call(clean, *filled, "--json", text=text).stdout
        values = [json.loads(said)] if name != "list" else list(map(json.loads, said.splitlines()))
        assert values, name
    for each in (droplet, named):
        clean.host.remove_droplet(each)


def first_line_of(world: World, *words: str) -> str:
    """What a command that goes on for ever says first."""
    log = world.host.directory / "first-line.log"
    words = ("--config-file", str(world.services.config_file), *words)
    command = world.host.namespace.command(BIN / "dropletctl", *words)
    process = Daemon("first-line", command, log=log, env={"PYTHONUNBUFFERED": "1"})
    try:
        wait_for(lambda: "\n" in log.read_text(), "a line", diagnose=process.log_tail)
        return log.read_text().splitlines()[0]
    finally:
        process.stop()


def test_something_else_at_the_url_is_no_controller(clean: World) -> None:
    done = call(clean, "--url", "http://127.0.0.1:9180", "switches", status=1)
    assert "what answers at http://127.0.0.1:9180 is no controller of ours" in done.stderr


def test_the_client_s_refusals_have_kinds(clean: World) -> None:
    with clean.host.namespace.entered(), clean.client() as client:
        with pytest.raises(NotFound):
            client.get_droplet(FIRST)
        made = client.put_droplet(FIRST, document(FIRST))
        assert client.get_droplet(FIRST).etag == made.etag
        with pytest.raises(PreconditionFailed):
            client.put_droplet(FIRST, document(FIRST), if_new=True)
        with pytest.raises(Conflict):
            client.put_droplet(FIRST + 1, {**document(FIRST), "droplet_id": FIRST + 1})
        with pytest.raises(Refused) as caught:
            client.put_batch([json.dumps({"droplet_id": 0}).encode(), b"{"])
        assert caught.value.status == 400
        assert {fault["line"] for fault in caught.value.faults} == {1, 2}
        assert client.ready()
