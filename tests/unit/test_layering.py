"""Who may import whom: the directions of dependency, read off the source, not off a drawing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ryu_apps", "metadata_http", "ovs_metadata_client", "ovs_metadata_logs")

# Package -> the others it may import.
MAY_IMPORT = {
    "ryu_apps": {"ovs_metadata_client", "ovs_metadata_logs"},
    "metadata_http": {"ovs_metadata_logs"},
    "ovs_metadata_client": set(),
    "ovs_metadata_logs": set(),
}

# Room of ryu_apps -> the other rooms it may import.
MAY_USE = {
    "openflow": set(),
    "pipeline": {"openflow"},
    "registry": set(),
    "binding": {"openflow", "pipeline", "registry"},
    "events": set(),
    "store": {"registry", "events"},
    "settings": {"openflow", "pipeline", "binding", "registry"},
    "northbound": {"registry", "store", "binding", "events"},
    "southbound": {"openflow", "pipeline", "binding", "events"},
    # store: a registry is checked and restored where it is, with no controller to ask.
    "dropletctl": {"openflow", "pipeline", "registry", "settings", "store", "events"},
    "metadata_controller": {
        *("openflow", "pipeline", "registry", "binding"),
        *("store", "settings", "northbound", "southbound", "events"),
    },
}

# Code that decides and does nothing: no clock, no chance, no file, no socket, no thread.
PURE = {
    *("ryu_apps.openflow", "ryu_apps.pipeline", "ryu_apps.binding", "ryu_apps.registry"),
    *("metadata_http.document", "metadata_http.identity", "metadata_http.lease"),
    *("metadata_http.respond", "metadata_http.view", "metadata_http.conditional"),
    *("metadata_http.formats", "metadata_http.ec2", "metadata_http.openstack"),
    *("metadata_http.agent", "metadata_http.rates", "metadata_http.tally"),
    *("metadata_http.ovsdb_rows", "metadata_http.ovsdb_evidence"),
    *("metadata_http.access", "metadata_http.session_tokens"),
    *(f"ovs_metadata_logs.{name}" for name in ("event", "fields", "lines", "repeats")),
    *("ovs_metadata_client.view", "ovs_metadata_client.wire", "ovs_metadata_client.errors"),
}
# The like in rooms that do more.
PURE_FILES = {
    f"ryu_apps.store.etcd.{name}" for name in ("values", "layout", "changes", "parts", "placing")
}
PURE_MODULES = {
    *("__future__", "abc", "base64", "binascii", "bisect", "codecs", "collections"),
    *("collections.abc",),
    *("contextlib", "copy", "dataclasses", "enum", "fnmatch", "functools", "hashlib", "heapq"),
    *("http", "ipaddress", "itertools", "json", "math", "netaddr", "operator", "re", "string"),
    "datetime",  # its clocks are looked for below
    *("struct", "types", "typing", "unicodedata", "urllib.parse"),
    # Sealing is arithmetic: what chance it needs is given to it.
    *("cryptography.exceptions", "cryptography.hazmat.primitives.ciphers.aead"),
}

# Library -> the only rooms, or single modules, that may import it.
ONLY_IN = {
    "ryu": {
        *("ryu_apps.southbound", "ryu_apps.metadata_controller"),
        "ryu_apps.northbound.mount",  # where REST meets Ryu's HTTP server, and nothing else
    },
    "eventlet": {
        "ryu_apps.store",
        "ryu_apps.southbound",
        "ryu_apps.northbound",
        "ryu_apps.metadata_controller",
    },
    "sqlite3": {"ryu_apps.store"},
    "etcd3gw": {"ryu_apps.store.etcd.gateway"},
    "requests": {"ryu_apps.store.etcd.gateway"},
    "cryptography": {"metadata_http.session_tokens"},
    "webob": {"ryu_apps.northbound"},
    "click": {"ryu_apps.dropletctl"},
    "rich": {"ryu_apps.dropletctl"},
    "ovs": {"ryu_apps.dropletctl.ovsdb_source.interfaces"},
    "sdnotify": {
        *("ryu_apps.southbound.manager", "metadata_http.supervision"),
        "ryu_apps.dropletctl.follow_command",
    },
    "ovs_metadata_client": {"ryu_apps.dropletctl", "ovs_metadata_client"},
}

# Open vSwitch's own library looks whether eventlet is there; follow-ovsdb alone imports this.
LOADS_EVENTLET = {"ryu_apps.dropletctl.ovsdb_source.interfaces"}

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def parts_of(path: Path) -> tuple[str, ...]:
    """The dotted name of a file's module, in parts; a package is named by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def room_of(path: Path) -> str:
    """The package and the part directly below it that a file belongs to."""
    return ".".join(parts_of(path)[:2])


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in it. `from a import b` counts as a and as a.b."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_within(module: str, package: str) -> bool:
    """Whether `module` is `package` or lives in it."""
    return f"{module}.".startswith(f"{package}.")


def every_file(test: object) -> object:
    """Run a test for each source file, named by its path."""
    names = [str(path.relative_to(ROOT)) for path in FILES]
    return pytest.mark.parametrize("path", FILES, ids=names)(test)


def test_there_is_something_to_look_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)


@every_file
def test_the_two_processes_and_the_client_share_no_code(path: Path) -> None:
    here = path.relative_to(ROOT).parts[0]
    others = set(PACKAGES) - {here} - MAY_IMPORT[here]
    assert [m for m in imports_of(path) if any(is_within(m, other) for other in others)] == []


def test_the_client_needs_urllib3_and_nothing_else() -> None:
    """It is for other people's programs too."""
    libraries = {"ovs_metadata_client", "urllib3", *sys.stdlib_module_names}
    files = [path for path in FILES if parts_of(path)[0] == "ovs_metadata_client"]
    assert {module.split(".")[0] for path in files for module in imports_of(path)} <= libraries


def test_the_logs_need_no_library() -> None:
    libraries = {"ovs_metadata_logs", *sys.stdlib_module_names}
    files = [path for path in FILES if parts_of(path)[0] == "ovs_metadata_logs"]
    assert {module.split(".")[0] for path in files for module in imports_of(path)} <= libraries


@every_file
def test_rooms_depend_in_one_direction(path: Path) -> None:
    package, *rooms = parts_of(path)
    if package != "ryu_apps" or not rooms:
        return
    assert rooms[0] in MAY_USE, f"a new room: say in MAY_USE what {rooms[0]} may import"
    allowed = {rooms[0], *MAY_USE[rooms[0]]}
    used = {module.split(".")[1] for module in imports_of(path) if module.startswith("ryu_apps.")}
    assert used <= allowed, f"{rooms[0]} may not import {sorted(used - allowed)}"


@every_file
def test_pure_rooms_do_nothing_but_decide(path: Path) -> None:
    if room_of(path) not in PURE and ".".join(parts_of(path)) not in PURE_FILES:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), path)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            ours = any(is_within(module, package) for package in PACKAGES)
            assert ours or module in PURE_MODULES, f"{module} is not known to be pure"


@every_file
def test_pure_rooms_of_the_metadata_server_use_no_other(path: Path) -> None:
    if room_of(path) not in PURE or not room_of(path).startswith("metadata_http."):
        return
    ours = {".".join(m.split(".")[:2]) for m in imports_of(path) if m.startswith("metadata_http.")}
    assert ours <= PURE


@every_file
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    for library, rooms in ONLY_IN.items():
        used = [module for module in imports_of(path) if is_within(module, library)]
        allowed = any(is_within(".".join(parts_of(path)), room) for room in rooms)
        assert not used or allowed, f"{used[0]}: {library} is for {sorted(rooms)}"


@pytest.mark.parametrize(
    ("rooms", "strangers"),
    [
        (["ryu_apps.dropletctl"], ["ryu", "eventlet", "sqlite3", "metadata_http"]),
        (["metadata_http"], ["ryu", "eventlet", "sqlite3", "ryu_apps", "ovs_metadata_client"]),
        (["ovs_metadata_logs"], ["ryu", "eventlet", "oslo_config", "ryu_apps", "metadata_http"]),
        (["ovs_metadata_client"], ["ryu", "eventlet", "click", "rich", "ryu_apps"]),
        (sorted(PURE), ["ryu", "eventlet", "sqlite3", "webob"]),
    ],
    ids=["dropletctl", "metadata-http", "logs", "client", "pure rooms"],
)
def test_what_is_loaded_in_the_end(rooms: list[str], strangers: list[str]) -> None:
    """The same over all that the imported libraries import in turn, in a process of its own."""
    names = sorted({".".join(parts_of(path)) for path in FILES} - LOADS_EVENTLET)
    modules = [name for name in names if any(is_within(name, room) for room in rooms)]
    assert modules
    program = (
        f"import sys, {', '.join(modules)}\nprint([m for m in {strangers} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


WALL_CLOCKS = {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "datetime.now"}
WALL_CLOCKS |= {"datetime.utcnow", "datetime.today", "date.today", "time.CLOCK_REALTIME"}

# They tell a person what time it is, or that it is wrong, and decide nothing.
MAY_TELL_THE_TIME = {
    "ryu_apps/dropletctl/top_command.py",
    "ryu_apps/dropletctl/watch_command.py",
    "ryu_apps/dropletctl/doctor/look.py",
    # For people: when flows were last mended.
    "ryu_apps/southbound/inspecting.py",
}


@every_file
def test_the_clock_on_the_wall_decides_nothing(path: Path) -> None:
    """It jumps, both ways; what decides is monotonic: leases, time limits, revisions, order."""
    tree = ast.parse(path.read_text(encoding="utf-8"), path)
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {
        f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    found = {name for name in used if any(f".{name}".endswith(f".{w}") for w in WALL_CLOCKS)}
    if str(path.relative_to(ROOT)) in MAY_TELL_THE_TIME:
        assert found, "it tells no time any more: take it off the list"
    else:
        assert found == set()


@every_file
def test_every_file_says_what_may_live_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"), path))
