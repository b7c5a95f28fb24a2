"""What all tests share: which of them need root, and that none is passed over where it could run.

Only collection, reporting and pytest's own process may be seen to here; a layer's fixtures live in
the layer's folder.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
# From the cheapest to the dearest: a broken unit is reported before a broken system. A layer
# that is not named here comes after these.
LAYERS = ("unit", "property", "golden", "packaging", "trace", "http", "browser", "system")
RUNS_AS_ROOT = os.geteuid() == 0

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def layer_of(item: pytest.Item) -> str:
    """The folder under tests/ that the test lives in; '' for a test beside the layers."""
    parts = item.path.relative_to(TESTS).parts
    return parts[0] if len(parts) > 1 else ""


def pytest_configure() -> None:
    """Let the processes under test hear Ctrl-C and a hangup, also in a run started by `&` or nohup.

    A program started so ignores SIGINT or SIGHUP, and so does whatever it starts in turn; what it
    handles, though it does nothing, has its usual meaning there.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the layers in order and mark what needs root, which is left out where nobody is."""
    items.sort(key=lambda item: (*LAYERS, layer_of(item)).index(layer_of(item)))
    for item in items:
        if layer_of(item) == "system":
            item.add_marker("root")
        if item.get_closest_marker("root") and not RUNS_AS_ROOT:
            item.add_marker(pytest.mark.skip(reason="needs root: namespaces and a whole datapath"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail a run as root that skipped anything: root has all it takes, so a skip hides a gap."""
    if RUNS_AS_ROOT and skipped_reports(session) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in words why a run without a failed test has failed."""
    if RUNS_AS_ROOT and (skipped := terminalreporter.stats.get("skipped")):
        terminalreporter.section("skipped as root", red=True)
        terminalreporter.line(f"{len(skipped)} skipped: as root every test has to run.")


def skipped_reports(session: pytest.Session) -> list[object]:
    """The reports of what was skipped in this run so far."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    return reporter.stats.get("skipped", []) if reporter else []
