"""Whoever logs never waits: pipes that nobody reads, files that are moved, processes that end."""

import fcntl
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time

import pytest

from ovs_metadata_logs.handler import Logs
from ovs_metadata_logs.outlet import Descriptor, Outlet, WatchedFile


@pytest.fixture
def pipe():
    """A pipe of one page: (the end to read, the end to write)."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    yield ends
    for end in ends:
        os.close(end)


def read_until(end, condition):
    """What comes out of the pipe until it is as wanted."""
    text = b""
    while not condition(text):
        text += os.read(end, 65536)
    return text.decode()


def drain(end, outlet):
    """Read until the outlet has nothing more to write, for its thread outlives the test."""
    until = time.monotonic() + 60
    while not outlet.flush(0.01):
        assert time.monotonic() < until
        if select.select([end], [], [], 0)[0]:
            os.read(end, 65536)


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_what_was_lost_is_told(pipe):
    reading, writing = pipe
    lost = []
    outlet = Outlet("stderr", Descriptor(writing), max_lines=100)
    outlet.lost = lambda name, count: (lost.append((name, count)), outlet.put(20, "lost"))
    for number in range(1000):
        outlet.put(20, f"line {number} {'x' * 100}")
    assert outlet.dropped > 0
    text = read_until(reading, lambda text: text.endswith(b"lost\n"))
    assert lost == [("stderr", outlet.dropped)]
    lines = text.splitlines()
    assert len(lines) == 1000 - outlet.dropped + 1
    # In order, each whole.
    numbers = [int(line.split()[1]) for line in lines[:-1]]
    assert numbers == sorted(numbers)
    assert all(line.endswith("x" * 100) for line in lines[:-1])


def test_few_long_lines_are_bounded_too(pipe):
    outlet = Outlet("stderr", Descriptor(pipe[1]), max_bytes=100_000)
    for _ in range(100):
        outlet.put(20, "x" * 10_000)
    # What is on its way to the pipe counts until it is there.
    assert outlet.dropped >= 90
    drain(pipe[0], outlet)


def test_a_pipe_that_does_not_block_loses_nothing(pipe):
    """Whoever shares it, as a terminal is shared, may have made it so."""
    reading, writing = pipe
    os.set_blocking(writing, False)
    outlet = Outlet("stderr", Descriptor(writing))
    for number in range(1000):
        outlet.put(20, f"{number} {'x' * 50}")
    text = read_until(reading, lambda text: text.count(b"\n") == 1000)
    assert [int(line.split()[0]) for line in text.splitlines()] == list(range(1000))


def test_a_sink_that_fails_is_counted_and_written_to_again():
    class Failing:
        text = b""
        fails = True

        def write(self, _level, data):
            if self.fails:
                raise OSError(28, "No space left on device")
            self.text += data

    sink = Failing()
    outlet = Outlet("file", sink)
    outlet.put(20, "one")
    assert outlet.flush(60.0)
    assert outlet.dropped == 1
    sink.fails = False
    outlet.put(20, "two")
    assert outlet.flush(60.0)
    assert sink.text == b"two\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "log"


def written(sink, *lines):
    for line in lines:
        sink.write(20, f"{line}\n".encode())


def test_a_file_that_is_moved_away_is_made_anew_without_a_signal(file):
    """As logrotate does it by default."""
    sink = WatchedFile(file, mode=0o600)
    written(sink, "one")
    moved = file.rename(file.with_name("log.1"))
    written(sink, "two", "three")
    assert (moved.read_text(), file.read_text()) == ("one\n", "two\nthree\n")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_truncated_goes_on_at_its_beginning(file):
    """As logrotate does it with copytruncate."""
    sink = WatchedFile(file)
    written(sink, "one", "two")
    os.truncate(file, 0)
    written(sink, "three")
    assert file.read_bytes() == b"three\n"


def test_a_file_in_whose_folder_there_is_no_place_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        WatchedFile(tmp_path / "none" / "log")


PROGRAM = """
import logging, os, sys, threading
from ovs_metadata_logs import Event, Logs, say
from ovs_metadata_logs.outlet import Descriptor
logs = Logs("json")
logs.to("stderr", Descriptor(2))
logging.getLogger().setLevel(logging.INFO)
logs.take_over()
LOG = logging.getLogger("x")
EVENT = Event("started", 20, "number {count}", "", burst=0)
def many():
    for number in range(2000):
        say(LOG, EVENT, count=number)
"""


def lines_of(program, status=0):
    """The lines of a process with this program, each of which must be JSON."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def counts(lines):
    return [line["count"] for line in lines if line["event"] == "started"]


def test_at_the_end_everything_is_written():
    assert counts(lines_of("many()")) == list(range(2000))


def test_at_an_end_with_a_status_too():
    assert counts(lines_of("many(); sys.exit(78)", status=78)) == list(range(2000))


def test_a_fault_nobody_caught_is_the_last_line_with_its_trace():
    lines = lines_of("many(); raise RuntimeError('with\\nan end')", status=1)
    assert counts(lines) == list(range(2000))
    assert (lines[-1]["event"], lines[-1]["level"]) == ("crashed", "CRITICAL")
    assert lines[-1]["trace"].endswith("RuntimeError: with\nan end")


def test_a_fault_of_a_thread_is_a_line_too():
    lines = lines_of("t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join(); many()")
    assert "ZeroDivisionError" in lines[0]["trace"]
    assert counts(lines) == list(range(2000))


def test_what_writes_to_standard_error_and_warnings_are_lines_too():
    lines = lines_of(
        "import warnings; print('by\\x1b[31m itself', file=sys.stderr); warnings.warn('odd')"
    )
    assert [line["event"] for line in lines] == ["stderr", "library"]
    assert lines[0]["message"] == "by\x1b[31m itself"
    assert "odd" in lines[1]["message"]


def test_a_child_has_a_thread_and_a_queue_of_its_own():
    lines = lines_of("""
many()
if os.fork() == 0:
    many()
    logs.finish()
    os._exit(0)
os.wait()
""")
    of = {}
    for line in lines:
        of.setdefault(line["process"], []).append(line["count"])
    assert list(of.values()) == [list(range(2000))] * 2


def test_an_ending_process_does_not_wait_for_ever(pipe):
    """Nobody reads what it has to say."""
    done = subprocess.Popen([sys.executable, "-c", PROGRAM + "many()"], stderr=pipe[1])
    assert done.wait(120) == 0


def test_arguments_that_do_not_fit_are_told_and_no_fault_of_the_logs():
    lines = lines_of("LOG.info('%d and %d', 'x')")
    assert lines[0]["message"] == "%d and %d (its arguments do not fit: TypeError)"


def test_whoever_configures_logging_anew_ends_nothing():
    """As granian does in each worker."""
    lines = lines_of("""
import logging.config
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
many()
""")
    assert counts(lines) == list(range(2000))


def test_lines_of_a_library_that_say_the_same_are_held_back():
    lines = lines_of("for n in range(1000): logging.getLogger('lib').info('%d', n)")
    assert len(lines) == 21
    assert (lines[-1]["event"], lines[-1]["more"]) == ("more_like_this", 980)


def test_no_lock_is_held_while_lines_are_written(pipe):
    """A thread that logs while the pipe is full does not wait, nor does one that asks for it."""
    logs = Logs()
    logs.to("stderr", Descriptor(pipe[1]))
    record = logging.makeLogRecord(
        {"name": "x", "msg": "x" * 8000, "levelno": 20, "levelname": "INFO"}
    )
    threads = [threading.Thread(target=logs.emit, args=(record,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert logs.lock is None
    (outlet,) = logs._all()
    drain(pipe[0], outlet)
